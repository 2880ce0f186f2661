//! What the devices of Wiesemann & Theis answer to a broadcast: who they are, also before anything is configured.
//!
//! A datagram of [`REQUEST`] goes to [`PORT`]; every device answers with one of its own. Facts: the maker's Node-RED
//! package (github.com/wiesemann-theis/node-red-contrib-wut, `src/util/wut-broadcast.js`). Absent: changing a device's
//! address by the same protocol. Invariant: nothing that arrives makes this panic or read beyond the datagram.

use std::fmt::Write as _;

/// What is sent.
pub const REQUEST: &[u8] = b"Version 1.04";

/// Where it is sent to.
pub const PORT: u16 = 8513;

/// What a device says of itself; older ones say less.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Its hardware address, as `00:c0:3d:01:02:03`.
    pub mac: Option<String>,
    /// The port of its page.
    pub port: Option<u16>,
    /// The name that it was given.
    pub name: Option<String>,
    /// What it is called by its maker.
    pub product: Option<String>,
    /// The digits in which its article number is.
    pub product_id: Option<String>,
    /// Whether its page is encrypted.
    pub https: bool,
}

/// Reads an answer; `None` is one that is not of this protocol.
#[must_use]
pub fn parse(answer: &[u8]) -> Option<Found> {
    let version = (*answer.first()?, *answer.get(1)?);
    match version {
        (1, 4) => items(answer),
        (1, 0) => {
            old(answer, 30, |answer| Some(Found { mac: Some(mac(answer.get(10..16)?)), ..Found::default() }))
        }
        (1, 1) => old(answer, 46, |answer| {
            // The first character is a letter that stands for the series.
            let product_id = text(answer.get(11..18)?);
            Some(Found { mac: Some(mac(answer.get(26..32)?)), product_id, ..Found::default() })
        }),
        (1, 3) => old(answer, 280, |answer| {
            let digits = number(answer.get(96..102)?).to_string();
            Some(Found {
                mac: Some(mac(answer.get(260..266)?)),
                port: Some(word(answer, 40)?),
                name: text(answer.get(44..92)?),
                product: text(answer.get(104..168)?),
                product_id: digits.get(7..12).map(str::to_owned),
                https: answer.get(94)? & 2 != 0,
            })
        }),
        _ => None,
    }
}

/// The fixed layouts: at `count_at` the number of entries of ten bytes that follow.
fn old(answer: &[u8], count_at: usize, read: impl Fn(&[u8]) -> Option<Found>) -> Option<Found> {
    let entries = usize::from(word(answer, count_at)?);
    (answer.len() == count_at + 2 + 10 * entries).then(|| read(answer))?
}

/// Version 1.4: items of a type, a length and data, from the eighth byte on.
fn items(answer: &[u8]) -> Option<Found> {
    if answer.len() != usize::from(word(answer, 2)?) + 4 {
        return None;
    }
    let mut found = Found::default();
    let mut rest = answer.get(8..)?;
    while let Some((item, after)) = item(rest) {
        found.take(&item);
        rest = after;
    }
    Some(found)
}

struct Item<'a> {
    kind: u16,
    /// Which one of several, where there may be several.
    index: Option<u8>,
    data: &'a [u8],
}

/// The first item, and what follows it; `None` at the end and at what is not one.
fn item(bytes: &[u8]) -> Option<(Item<'_>, &[u8])> {
    let head = word(bytes, 0)?;
    let indexed = head & 0x8000 != 0;
    let index = if indexed { Some(*bytes.get(3)?) } else { None };
    let mut at = if indexed { 4 } else { 2 };
    let length = match (head >> 12) & 7 {
        7 => {
            at += 2;
            usize::from(word(bytes, at - 2)?)
        }
        6 => return None,
        key => [1, 2, 4, 6, 8, 16][usize::from(key)],
    };
    let data = bytes.get(at..at + length)?;
    Some((Item { kind: head & 0x0fff, index, data }, &bytes[at + length..]))
}

impl Found {
    fn take(&mut self, item: &Item<'_>) {
        match item.kind {
            0 if item.index == Some(0) => self.mac = Some(mac(item.data)),
            11 => self.port = u16::try_from(number(item.data)).ok(),
            13 => self.name = text(item.data),
            14 => self.https = item.data.get(2).is_some_and(|flags| flags & 2 != 0),
            15 => self.product = text(item.data),
            19 => self.product_id = Some(number(item.data).to_string()),
            _ => {}
        }
    }

    /// Whether it may be the model of this article number, such as `57730`.
    #[must_use]
    pub fn is(&self, article: &str) -> bool {
        let says = |text: &Option<String>| text.as_ref().is_some_and(|text| text.contains(article));
        says(&self.product_id) || says(&self.product)
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]))
}

/// A number of any length, least byte first; of more than eight bytes the first eight.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().take(8).rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn mac(bytes: &[u8]) -> String {
    let mut out = String::new();
    for byte in bytes {
        let colon = if out.is_empty() { "" } else { ":" };
        // Writing to a String cannot fail.
        let _ = write!(out, "{colon}{byte:02x}");
    }
    out
}

/// A text in Latin 1 up to its first zero, without what a terminal would act upon; none when it is empty.
fn text(bytes: &[u8]) -> Option<String> {
    let text: String = bytes.iter().take_while(|byte| **byte != 0).map(|byte| char::from(*byte)).collect();
    let text: String = text.trim().chars().filter(|character| !character.is_control()).collect();
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// One item of version 1.4 with its length in words of its own.
    fn put(out: &mut Vec<u8>, kind: u16, index: Option<u8>, data: &[u8]) {
        let indexed = if index.is_some() { 0x8000 } else { 0 };
        out.extend((kind | 0x7000 | indexed).to_le_bytes());
        if let Some(index) = index {
            out.extend([0, index]);
        }
        out.extend(u16::try_from(data.len()).unwrap().to_le_bytes());
        out.extend(data);
    }

    fn newest(items: &[u8]) -> Vec<u8> {
        let length = u16::try_from(items.len() + 4).unwrap();
        [&[1, 4][..], &length.to_le_bytes(), &[0; 4], items].concat()
    }

    #[test]
    fn the_newest_answer_tells_everything() {
        let mut items = Vec::new();
        put(&mut items, 0, Some(1), &[9; 6]);
        put(&mut items, 0, Some(0), &[0, 0xc0, 0x3d, 1, 2, 3]);
        // Two bytes, by the key 1.
        items.extend((11_u16 | 0x1000).to_le_bytes());
        items.extend(8080_u16.to_le_bytes());
        put(&mut items, 13, None, b"hall\0\0");
        put(&mut items, 14, None, &[0, 0, 3, 0]);
        put(&mut items, 15, None, b"Web-IO 4.0 Digital 12xIn 12xOut");
        put(&mut items, 99, None, b"unknown");
        put(&mut items, 19, None, &57_730_u32.to_le_bytes());
        let found = parse(&newest(&items)).unwrap();
        let wanted = Found {
            mac: Some("00:c0:3d:01:02:03".into()),
            port: Some(8080),
            name: Some("hall".into()),
            product: Some("Web-IO 4.0 Digital 12xIn 12xOut".into()),
            product_id: Some("57730".into()),
            https: true,
        };
        assert_eq!(found, wanted);
        assert!(found.is("57730") && !found.is("57737"));
    }

    #[test]
    fn older_answers_tell_less() {
        let mut answer = vec![0; 282];
        answer[..2].copy_from_slice(&[1, 3]);
        answer[40..42].copy_from_slice(&80_u16.to_le_bytes());
        answer[44..48].copy_from_slice(b"hall");
        answer[96..102].copy_from_slice(&1_234_567_577_140_u64.to_le_bytes()[..6]);
        answer[104..118].copy_from_slice(b"\x1b[2JWeb-Thermo");
        answer[260..266].copy_from_slice(&[0, 0xc0, 0x3d, 4, 5, 6]);
        let found = parse(&answer).unwrap();
        assert_eq!((found.port, found.product_id.as_deref()), (Some(80), Some("57714")));
        // What a terminal would act upon does not reach it.
        assert_eq!(found.product.as_deref(), Some("[2JWeb-Thermo"));
        assert_eq!(found.mac.as_deref(), Some("00:c0:3d:04:05:06"));
        // An entry that is announced but not there.
        answer[280] = 1;
        assert_eq!(parse(&answer), None);
        answer.extend([0; 10]);
        assert!(parse(&answer).is_some());

        let mut answer = vec![0; 32];
        answer[..2].copy_from_slice(&[1, 0]);
        answer[10..16].copy_from_slice(&[0, 0xc0, 0x3d, 7, 8, 9]);
        assert_eq!(parse(&answer).unwrap().mac.as_deref(), Some("00:c0:3d:07:08:09"));
        let mut answer = vec![0; 48];
        answer[..2].copy_from_slice(&[1, 1]);
        answer[10..17].copy_from_slice(b"#57613\0");
        assert_eq!(parse(&answer).unwrap().product_id.as_deref(), Some("57613"));
    }

    #[test]
    fn what_is_not_of_this_protocol_is_nothing() {
        for answer in [&b""[..], &[1], &[2, 0, 0, 0], &[1, 4], &[1, 4, 9, 0, 0], b"Version 1.04"] {
            assert_eq!(parse(answer), None, "{answer:?}");
        }
        // An item that runs out of the datagram ends the list; what came before counts.
        let mut items = Vec::new();
        put(&mut items, 13, None, b"hall");
        items.extend([13, 0x70, 200, 0, b'x']);
        assert_eq!(parse(&newest(&items)).unwrap().name.as_deref(), Some("hall"));
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(mut answer: Vec<u8>, version in 0_u8..6, framed: bool) {
            if framed && answer.len() >= 4 {
                let length = u16::try_from(answer.len() - 4).unwrap_or(0).to_le_bytes();
                answer[..4].copy_from_slice(&[1, version, length[0], length[1]]);
            }
            let _ = parse(&answer);
        }
    }
}
