//! Chains, and everything that somebody may do to one.

use proptest::prelude::*;

use super::*;
use crate::model::ClockQuality;

fn record(id: i64, new: &str) -> AuditRecord {
    AuditRecord {
        id,
        unix_us: 1_767_225_600_000_000 + id,
        clock: ClockQuality::Set,
        took_us: 12,
        kind: "command".into(),
        origin: "mqtt client panel".into(),
        subject: "press/fan".into(),
        old: None,
        new: Some(new.into()),
        outcome: "verified".into(),
        detail: None,
        hash: String::new(),
    }
}

fn chain(length: usize) -> Vec<AuditRecord> {
    let mut before = beginning().hash;
    (1..=length)
        .map(|id| {
            let mut record = record(id as i64, if id % 2 == 0 { "on" } else { "off" });
            record.hash = hash(&before, &record);
            before.clone_from(&record.hash);
            record
        })
        .collect()
}

fn walk(
    anchor: AuditAnchor,
    records: &[AuditRecord],
    known: Option<AuditAnchor>,
) -> Result<AuditAnchor, Broken> {
    let mut walk = Walk::new(anchor, known);
    records.iter().try_for_each(|record| walk.step(record))?;
    walk.end()
}

fn anchor_of(record: &AuditRecord) -> AuditAnchor {
    AuditAnchor { id: record.id, hash: record.hash.clone() }
}

#[test]
fn an_untouched_chain_holds_also_from_its_middle() {
    let chain = chain(10);
    let end = anchor_of(&chain[9]);
    assert_eq!(walk(beginning(), &chain, None), Ok(end.clone()));
    assert_eq!(walk(anchor_of(&chain[3]), &chain[4..], Some(anchor_of(&chain[7]))), Ok(end.clone()));
    // What was noted and is no longer kept says nothing.
    assert_eq!(walk(anchor_of(&chain[3]), &chain[4..], Some(anchor_of(&chain[1]))), Ok(end));
    assert_eq!(walk(beginning(), &[], None), Ok(beginning()));
}

#[test]
fn a_chain_that_is_written_anew_or_cut_shows_against_a_noted_hash() {
    let (old, mut new) = (chain(10), chain(10));
    new[2].new = Some("on?".into());
    let mut before = new[1].hash.clone();
    for record in &mut new[2..] {
        record.hash = hash(&before, record);
        before.clone_from(&record.hash);
    }
    assert!(walk(beginning(), &new, None).is_ok());
    assert_eq!(walk(beginning(), &new, Some(anchor_of(&old[6]))), Err(Broken::Known(7)));
    assert_eq!(walk(beginning(), &old[..5], Some(anchor_of(&old[6]))), Err(Broken::Missing(7)));
}

#[test]
fn nothing_and_an_empty_text_differ_and_texts_do_not_run_together() {
    let plain = record(1, "");
    let none = AuditRecord { new: None, ..record(1, "") };
    assert_ne!(hash("", &plain), hash("", &none));
    let one = AuditRecord { kind: "ab".into(), origin: "c".into(), ..record(1, "x") };
    let other = AuditRecord { kind: "a".into(), origin: "bc".into(), ..record(1, "x") };
    assert_ne!(hash("", &one), hash("", &other));
}

proptest! {
    #[test]
    fn whatever_is_done_to_a_chain_shows(length in 2usize..12, at in 0usize..12, what in 0u8..8, text in "[a-z]{1,8}") {
        let mut chain = chain(length);
        let at = at % length;
        let untouched = chain.clone();
        match what {
            0 => chain[at].subject = text,
            1 => chain[at].new = Some(text),
            2 => chain[at].old = Some(text),
            3 => chain[at].unix_us += 1,
            4 => chain[at].clock = ClockQuality::Unset,
            5 => drop(chain.remove(at.min(length - 2))),
            6 => chain.swap(at, (at + 1) % length),
            _ => { let again = chain[at].clone(); chain.insert(at, again); }
        }
        prop_assert_ne!(&chain, &untouched);
        prop_assert!(walk(beginning(), &chain, None).is_err());
    }
}
