//! Basic encoding rules (X.690), as far as SNMP uses them: definite lengths, tags of one byte.
//!
//! Pure. Invariant: arbitrary bytes give `None` and never a panic.

/// INTEGER.
pub(super) const INTEGER: u8 = 0x02;
/// OCTET STRING.
pub(super) const OCTETS: u8 = 0x04;
/// NULL.
pub(super) const NULL: u8 = 0x05;
/// OBJECT IDENTIFIER.
pub(super) const OBJECT: u8 = 0x06;
/// SEQUENCE.
pub(super) const SEQUENCE: u8 = 0x30;

/// The longest object identifier that is read (RFC 2578, section 7.1.3).
const MAX_ARCS: usize = 128;

/// Tag and content of what stands first, which is taken off.
pub(super) fn take<'a>(bytes: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        short @ 0..=0x7f => (usize::from(short), rest),
        0x81..=0x84 => {
            let (length, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (length.iter().fold(0, |all, byte| all << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    *bytes = rest;
    Some((tag, content))
}

/// The content of what stands first, if it has this tag.
pub(super) fn expect<'a>(bytes: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    take(bytes).filter(|(found, _)| *found == tag).map(|(_, content)| content)
}

/// A whole number of at most eight bytes.
pub(super) fn integer(content: &[u8]) -> Option<i64> {
    let first = *content.first().filter(|_| content.len() <= 8)?;
    let sign = if first & 0x80 == 0 { 0 } else { -1 };
    Some(content.iter().fold(sign, |all, byte| all << 8 | i64::from(*byte)))
}

/// The numbers of an object identifier.
pub(super) fn object(content: &[u8]) -> Option<Vec<u32>> {
    let mut numbers: Vec<u32> = Vec::new();
    let mut number = 0_u32;
    for byte in content {
        number = number.checked_mul(128)?.checked_add(u32::from(byte & 0x7f))?;
        if byte & 0x80 != 0 {
            continue;
        }
        if numbers.is_empty() {
            let first = (number / 40).min(2);
            numbers.extend([first, number - 40 * first]);
        } else {
            numbers.push(number);
        }
        number = 0;
    }
    let whole = content.last().is_some_and(|last| last & 0x80 == 0);
    (whole && numbers.len() <= MAX_ARCS).then_some(numbers)
}

/// Appends a tag with its content.
pub(super) fn put(out: &mut Vec<u8>, tag: u8, content: &[u8]) {
    out.push(tag);
    match u8::try_from(content.len()) {
        Ok(short @ 0..=0x7f) => out.push(short),
        _ => {
            let length = u32::try_from(content.len()).unwrap_or(u32::MAX).to_be_bytes();
            out.push(0x84);
            out.extend_from_slice(&length);
        }
    }
    out.extend_from_slice(content);
}

/// The shortest content of a whole number.
pub(super) fn number(number: i64) -> Vec<u8> {
    let bytes = number.to_be_bytes();
    let spare = |at: usize| {
        let sign = if bytes[at + 1] & 0x80 == 0 { 0 } else { 0xff };
        bytes[at] == sign
    };
    let skip = (0..7).take_while(|at| spare(*at)).count();
    bytes[skip..].to_vec()
}

/// The content of an object identifier.
pub(super) fn numbers(object: &[u32]) -> Vec<u8> {
    let mut out = Vec::with_capacity(object.len() + 4);
    let (first, second) = (object.first().copied().unwrap_or(0), object.get(1).copied().unwrap_or(0));
    let head = std::iter::once(first.saturating_mul(40).saturating_add(second));
    for number in head.chain(object.iter().skip(2).copied()) {
        let groups = (1..5).rev().filter(|group| number >> (7 * group) != 0);
        out.extend(groups.map(|group| 0x80 | (number >> (7 * group) & 0x7f) as u8));
        out.push((number & 0x7f) as u8);
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn as_the_standard_writes_them() {
        // X.690, section 8.19.5: { 2 999 3 } is 06 03 88 37 03.
        assert_eq!(numbers(&[2, 999, 3]), [0x88, 0x37, 0x03]);
        assert_eq!(object(&[0x88, 0x37, 0x03]).unwrap(), [2, 999, 3]);
        assert_eq!(numbers(&[1, 3, 6, 1, 4, 1, 8072]), [0x2b, 6, 1, 4, 1, 0xbf, 0x08]);
        for (value, bytes) in
            [(0, &[0][..]), (127, &[127]), (128, &[0, 128]), (-128, &[0x80]), (-129, &[0xff, 0x7f])]
        {
            assert_eq!(number(value), bytes);
        }
        assert_eq!(object(&[0x88]), None);
        assert_eq!(take(&mut &[0x30, 0x80, 0, 0][..]), None);
    }

    proptest! {
        #[test]
        fn what_is_put_is_taken(tag: u8, content in prop::collection::vec(any::<u8>(), 0..400), value: i64, arcs in prop::collection::vec(any::<u32>(), 0..20)) {
            let mut out = Vec::new();
            put(&mut out, tag, &content);
            prop_assert_eq!(take(&mut out.as_slice()), Some((tag, content.as_slice())));
            prop_assert_eq!(integer(&number(value)), Some(value));
            let whole: Vec<u32> = [1, 3].into_iter().chain(arcs).collect();
            prop_assert_eq!(object(&numbers(&whole)), Some(whole));
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let mut rest = bytes.as_slice();
            while take(&mut rest).is_some() {}
            let _ = (integer(&bytes), object(&bytes));
        }
    }
}
