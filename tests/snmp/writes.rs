//! Writes: set once, read back, refused in words, and behind a session where there is one.

use std::time::Duration;

use iogate::driver::WriteJob;
use iogate::model::{CommandId, Outcome, Value};
use tokio::sync::oneshot;

use super::bench::{PATIENCE, Running, plan};
use super::keeper::{END, Keeper, Mode, PASSWORD};

fn yaml(address: &str, device: &str) -> String {
    format!(
        "
site: s
defaults: {{ poll: 20ms }}
channels: {{ a: {{ snmp: {{ address: \"{address}\", timeout: 500ms, retries: 2 }} }} }}
devices:
  a:
    channel: a
    {device}
    points:
      out: {{ oid: 1.3.6.1.4.1.99999.1, as: integer, access: rw, safe: none }}
      level: {{ oid: 1.3.6.1.4.1.99999.2, scale: 0.1, access: rw, safe: none, snmp-type: unsigned }}
      mode: {{ oid: 1.3.6.1.4.1.99999.3, enum: {{ 42: Idle, 7: Busy }}, access: rw, safe: none }}
      pulse: {{ oid: 1.3.6.1.4.1.99999.4, as: state, access: w, safe: none, snmp-type: integer }}
      apart: {{ oid: 1.3.6.1.4.1.99999.5, as: integer, access: rw, safe: none, set-oid: 1.3.6.1.4.1.99999.6, snmp-type: integer }}
"
    )
}

async fn start(keeper: &Keeper, device: &str) -> Running {
    let running = Running::as_configured(plan(&yaml(&keeper.address, device)));
    running.until_value("a/out", 42_i64).await;
    running
}

fn verified(value: impl Into<Value>) -> Outcome {
    Outcome::Verified { read_back: value.into() }
}

#[tokio::test]
async fn a_value_is_written_as_the_type_that_it_has() {
    let keeper = Keeper::start().await;
    let running = start(&keeper, "").await;
    assert_eq!(running.write("a/out", 300_i64).await, verified(300_i64));
    assert_eq!(keeper.sets(), [(1, 2, vec![1, 44])], "an INTEGER as it was read");
    assert!(matches!(running.write("a/level", 20.0).await, Outcome::Verified { .. }));
    assert_eq!(keeper.sets(), [(2, 0x42, vec![0, 200])], "an Unsigned32 as it is said");
    assert_eq!(running.write("a/mode", "Busy").await, verified("Busy"));
    assert_eq!(keeper.sets(), [(3, 2, vec![7])]);
    assert_eq!(running.write("a/pulse", true).await, Outcome::Confirmed);
    assert_eq!(keeper.sets(), [(4, 2, vec![1])]);
    assert!(matches!(running.write("a/level", -1.0).await, Outcome::Rejected(_)), "no Unsigned32");
    assert_eq!(keeper.sets(), []);
    // What is read there is another object, which does not follow.
    let read_back = Value::Int(42);
    assert_eq!(running.write("a/apart", 5_i64).await, Outcome::Mismatch { read_back });
    assert_eq!(keeper.sets(), [(6, 2, vec![5])]);
    running.stop().await;
}

#[tokio::test]
async fn a_lost_answer_is_read_back_and_nothing_is_set_twice() {
    let keeper = Keeper::start().await;
    let running = start(&keeper, "").await;
    keeper.be(Mode::Unanswered);
    assert_eq!(running.write("a/out", 7_i64).await, verified(7_i64));
    assert_eq!(keeper.sets(), [(1, 2, vec![7])]);
    keeper.be(Mode::Lost);
    let read_back = Value::Int(7);
    assert_eq!(running.write("a/out", 8_i64).await, Outcome::Mismatch { read_back });
    assert_eq!(keeper.sets(), [(1, 2, vec![8])]);
    let Outcome::Failed(said) = running.write("a/pulse", true).await else { panic!("nobody knows") };
    assert!(said.contains("whether the output has changed is not known"), "{said}");
    assert_eq!(keeper.sets().len(), 1);
    running.stop().await;
}

#[tokio::test]
async fn what_the_agent_says_to_a_write_is_named() {
    let keeper = Keeper::start().await;
    let running = start(&keeper, "").await;
    for (status, name) in [(6, "noAccess"), (7, "wrongType"), (10, "wrongValue"), (17, "notWritable")] {
        keeper.be(Mode::Refused(status));
        let Outcome::Failed(said) = running.write("a/out", 7_i64).await else { panic!("{name}") };
        assert!(said.contains(name), "{said}");
        assert_eq!(keeper.sets().len(), 1, "{name}");
    }
    keeper.be(Mode::Right);
    assert_eq!(running.write("a/out", 7_i64).await, verified(7_i64));
    running.stop().await;
}

fn session(password: &str) -> String {
    format!(
        "write-password: {password}
    write-session: [{{ oid: 1.3.6.1.4.1.99999.{PASSWORD} }}]
    write-session-end: [{{ oid: 1.3.6.1.4.1.99999.{END}, type: integer, value: \"0\" }}]"
    )
}

#[tokio::test]
async fn a_session_goes_before_the_write_and_ends_after_it() {
    let keeper = Keeper::start().await;
    keeper.be(Mode::Locked);
    let running = start(&keeper, "").await;
    let Outcome::Failed(said) = running.write("a/out", 7_i64).await else { panic!("it is locked") };
    assert!(said.contains("noAccess") && said.contains("session"), "{said}");
    running.stop().await;
    keeper.sets();

    let running = start(&keeper, &session("open sesame")).await;
    assert_eq!(running.write("a/out", 7_i64).await, verified(7_i64));
    let all = [(PASSWORD, 4, b"open sesame".to_vec()), (1, 2, vec![7]), (END, 2, vec![0])];
    assert_eq!(keeper.sets(), all);
    running.stop().await;
}

#[tokio::test]
async fn without_its_session_nothing_is_written_and_no_password_is_told() {
    let keeper = Keeper::start().await;
    keeper.be(Mode::Locked);
    let running = start(&keeper, &session("hunter2hunter2")).await;
    let Outcome::Failed(said) = running.write("a/out", 7_i64).await else { panic!("it is locked") };
    assert!(said.contains("nothing was written") && said.contains("wrongValue"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
    let set: Vec<u8> = keeper.sets().into_iter().map(|(object, ..)| object).collect();
    assert_eq!(set, [PASSWORD, END], "the output is not among them");
    running.stop().await;
}

#[tokio::test]
async fn a_write_whose_session_took_too_long_is_not_sent() {
    let keeper = Keeper::start().await;
    let planned = plan(&yaml(&keeper.address, &session("open sesame")));
    let point = planned.points.by_name("a/out").unwrap().id;
    let running = Running::as_configured(planned);
    running.until_value("a/out", 42_i64).await;
    keeper.be(Mode::Slow(Duration::from_millis(300)));
    let context = running.context(0);
    let (reply, outcome) = oneshot::channel();
    let deadline = context.clock.mono() + Duration::from_millis(250);
    let setpoint = Value::Int(7);
    context.writes.push(WriteJob { id: CommandId(1), point, setpoint, deadline, reply: reply.into() });
    let outcome = tokio::time::timeout(PATIENCE, outcome).await.unwrap().unwrap();
    assert_eq!(outcome, Outcome::Expired);
    assert!(keeper.sets().iter().all(|(object, ..)| *object != 1), "the output is not set");
    running.stop().await;
}
