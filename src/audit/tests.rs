//! The log on a real disk: what was written holds, what was cut leaves an anchor, what was lost is told.

use std::time::Instant;

use super::*;
use crate::audit::chain::{Broken, Walk, beginning};
use crate::model::{CommandId, CommandRequest, Origin, PointId, Value};

fn at(unix_us: i64) -> Stamp {
    Stamp { mono: Instant::now(), unix_us }
}

const NOW: i64 = 1_800_000_000_000_000;

fn command(id: u64, outcome: Outcome) -> CommandRecord {
    let given = at(NOW);
    CommandRecord {
        request: CommandRequest {
            id: CommandId(id),
            point: PointId(0),
            setpoint: Value::Bool(true),
            origin: Origin::Mqtt("panel".into()),
            deadline: given.mono,
            given,
            old: Some(Value::Bool(false)),
        },
        output: "press/fan".into(),
        outcome,
        ended: Stamp { mono: given.mono + Duration::from_millis(7), ..given },
    }
}

fn everything(path: &Path) -> AuditPage {
    let mut page = store::read(path, &AuditQuery { limit: 1000, ..AuditQuery::default() }).unwrap();
    page.records.reverse();
    page
}

fn verified(page: &AuditPage) -> Result<i64, Broken> {
    let mut walk = Walk::new(page.anchor.clone(), None);
    page.records.iter().try_for_each(|record| walk.step(record))?;
    walk.end().map(|end| end.id)
}

#[test]
fn commands_and_configurations_are_told_with_what_was_before() {
    let folder = tempfile::tempdir().unwrap();
    let audit = Audit::open(folder.path(), ("site.yaml", "aa"), at(NOW)).unwrap();
    audit.command(&command(1, Outcome::Verified { read_back: Value::Bool(true) }));
    audit.command(&command(2, Outcome::Rejected("held by alarm `hot`".into())));
    assert_eq!(audit.written().blocking_recv(), Ok(Ok(())));
    let query = AuditQuery { origin: Some("panel".into()), limit: 1, ..AuditQuery::default() };
    let page = audit.page(&query).unwrap();
    assert_eq!((page.records.len(), page.dropped, page.anchor), (1, 0, beginning()));
    let newest = &page.records[0];
    assert_eq!((newest.id, newest.took_us, &*newest.outcome), (3, 7000, "rejected"));
    assert_eq!((newest.old.as_deref(), newest.new.as_deref()), (Some("false"), Some("true")));
    assert_eq!(newest.detail.as_deref(), Some("held by alarm `hot`"));
    drop(audit);
    drop(Audit::open(folder.path(), ("site.yaml", "aa"), at(1_000)).unwrap());
    drop(Audit::open(folder.path(), ("site.yaml", "bb"), at(NOW)).unwrap());
    let page = everything(&folder.path().join(FILE));
    assert_eq!(verified(&page), Ok(5));
    let kinds: Vec<&str> = page.records.iter().map(|record| &*record.kind).collect();
    assert_eq!(kinds, ["start", "command", "command", "start", "configuration"]);
    assert_eq!(page.records[3].clock, ClockQuality::Unset);
    assert_ne!(page.records[4].clock, ClockQuality::Unset);
    let changed = (page.records[4].old.as_deref(), page.records[4].new.as_deref());
    assert_eq!(changed, (Some("aa"), Some("bb")));
}

#[test]
fn the_oldest_go_and_the_rest_still_verifies() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    for round in 0..10 {
        // Opened anew each time, as after restarts.
        let mut database = Database::open_with(&path, 20).unwrap();
        let mut records: Vec<_> = (0..13).map(|_| plain("command", "gateway", "a", at(NOW))).collect();
        database.write(&mut records).unwrap();
        let page = everything(&path);
        assert_eq!(verified(&page), Ok((round + 1) * 13));
        assert!(page.records.len() < 40 + 13, "{}", page.records.len());
        assert!(database.verify().unwrap().is_ok());
    }
    assert!(everything(&path).anchor.id > 80);
}

#[test]
fn a_changed_record_shows_and_is_declared() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    let audit = Audit::open(folder.path(), ("site.yaml", "aa"), at(NOW)).unwrap();
    audit.command(&command(1, Outcome::Confirmed));
    drop(audit);
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.execute("UPDATE audit SET origin = 'mqtt client nobody' WHERE id = 2", []).unwrap();
    drop(connection);
    assert_eq!(verified(&everything(&path)), Err(Broken::Hash(2)));
    drop(Audit::open(folder.path(), ("site.yaml", "aa"), at(NOW)).unwrap());
    let page = everything(&path);
    let kinds: Vec<&str> = page.records.iter().map(|record| &*record.kind).collect();
    assert_eq!(kinds, ["start", "command", "start", "break"]);
    assert!(page.records[3].detail.as_deref().unwrap().contains("record 2 was changed"));
    // What follows is a chain again.
    let rest = AuditPage {
        anchor: crate::model::AuditAnchor { id: 2, hash: page.records[1].hash.clone() },
        records: page.records[2..].to_vec(),
        ..page
    };
    assert_eq!(verified(&rest), Ok(4));
}

#[test]
fn a_damaged_file_is_put_aside_and_told_of() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(FILE), vec![7; 5000]).unwrap();
    drop(Audit::open(folder.path(), ("site.yaml", "aa"), at(NOW)).unwrap());
    let page = everything(&folder.path().join(FILE));
    assert_eq!(page.records[0].kind, "break");
    assert!(page.records[0].detail.as_deref().unwrap().contains("put aside"));
    assert!(folder.path().join(format!("{FILE}.damaged")).exists());
    assert_eq!(verified(&page), Ok(2));
}

#[test]
fn what_the_disk_cannot_take_is_dropped_counted_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    let audit = Audit::open(folder.path(), ("site.yaml", "aa"), at(NOW)).unwrap();
    assert_eq!(audit.written().blocking_recv(), Ok(Ok(())));
    // Somebody holds the file, so that the writer must wait.
    let mut other = rusqlite::Connection::open(&path).unwrap();
    let held = other.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).unwrap();
    let written = audit.written();
    for id in 0..MAX_WAITING as u64 * 2 + 100 {
        audit.command(&command(id, Outcome::Confirmed));
    }
    assert!(audit.dropped() >= 100, "{}", audit.dropped());
    drop(held);
    drop(written);
    drop(audit);
    let query = AuditQuery { origin: Some("gateway".into()), limit: 10, ..AuditQuery::default() };
    let told = store::read(&path, &query).unwrap().records;
    assert_eq!(told[0].kind, "gap");
    assert!(told[0].detail.as_deref().unwrap().contains("records were lost"));
    assert!(Database::open_with(&path, 1_000_000).unwrap().verify().unwrap().is_ok());
}

#[test]
fn long_texts_are_cut_at_a_character() {
    let mut text = "온".repeat(1000);
    shorten(&mut text);
    assert!(text.len() <= MAX_TEXT && text.ends_with('…'), "{}", text.len());
    let mut short = "fan".to_owned();
    shorten(&mut short);
    assert_eq!(short, "fan");
}
