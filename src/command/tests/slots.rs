//! Tests of holds, interlocks, momentary outputs, pauses, lost links and stages.

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const DOOR: PointId = PointId(1);

async fn rejected(ticket: Ticket) -> String {
    match ticket.outcome().await {
        Outcome::Rejected(reason) => reason,
        other => panic!("{other}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_hold_keeps_others_out_until_it_ends_and_then_the_output_becomes_safe() {
    let control = Control { automatic: ["plc".into()].into(), ..Control::default() };
    let rig = rig_with(Some(Value::Bool(false)), OutputRules::default(), control);
    rig.take(false, verified(false)).await;
    let held = rig.give(true, "plc", Some(10 * SECOND));
    rig.take(true, verified(true)).await;
    assert!(held.outcome().await.succeeded());
    let begun = tokio::time::Instant::now();
    let reason = rejected(rig.give(false, "cloud", None)).await;
    assert!(reason.contains("held by mqtt client plc, for 10 s more"), "{reason}");
    let reason = rejected(rig.give(false, "cloud", Some(SECOND))).await;
    assert!(reason.contains("held by mqtt client plc"), "{reason}");
    assert!(rejected(rig.give(true, "plc", Some(9 * 3600 * SECOND))).await.contains("at most 28800 s"));
    rig.take(false, verified(false)).await;
    assert_eq!(begun.elapsed(), 10 * SECOND);
    assert_eq!(rig.commander.status()[0].slots, []);
}

#[tokio::test(start_paused = true)]
async fn whoever_renews_a_hold_keeps_it_and_people_may_end_it() {
    let rig = rig(Some(Value::Bool(false)));
    rig.take(false, verified(false)).await;
    for _ in 0..3 {
        let held = rig.give(true, "cloud", Some(10 * SECOND));
        rig.take(true, verified(true)).await;
        assert!(held.outcome().await.succeeded());
        tokio::time::sleep(9 * SECOND).await;
        assert!(rig.nothing_waits());
    }
    let person = Origin::Web("192.0.2.9".into());
    rig.commander.let_go(COIL, &person).unwrap();
    rig.take(false, verified(false)).await;
    assert!(rig.commander.let_go(COIL, &person).unwrap_err().contains("nothing"));
}

#[tokio::test(start_paused = true)]
async fn an_interlock_refuses_everybody_takes_the_output_and_lets_nothing_begin_again() {
    let (condition, _) = crate::model::expression::parse("not door", &["door"]).unwrap();
    let interlock = Interlock {
        name: "air".into(),
        inputs: vec![DOOR],
        condition,
        sense: Sense::Permits,
        text: "not door".into(),
        message: None,
        outputs: vec![(COIL, Some(Value::Bool(false)))],
        resume: false,
    };
    let control = Control { interlocks: vec![interlock], ..Control::default() };
    let rig = rig_with(Some(Value::Bool(false)), OutputRules::default(), control);
    rig.take(false, verified(false)).await;
    let reason = rejected(rig.operator(true)).await;
    assert_eq!(reason, "interlock `air` stands against it: `test/door` is bad (not-yet-read)");
    rig.read(DOOR, false);
    rig.take(false, verified(false)).await;
    let ticket = rig.operator(true);
    rig.take(true, verified(true)).await;
    assert!(ticket.outcome().await.succeeded());
    let waiting = rig.operator(true);
    rig.read(DOOR, true);
    assert!(rejected(waiting).await.contains("interlock `air` has taken the output"));
    rig.take(false, verified(false)).await;
    rig.commander.hold(COIL, &"hot".into(), Value::Bool(true));
    assert!(rejected(rig.give(true, "cloud", Some(SECOND))).await.contains("`not door` does not hold"));
    tokio::time::sleep(SECOND).await;
    assert!(rig.nothing_waits(), "not for an alarm either");
    rig.commander.release(COIL, "hot");
    rig.read(DOOR, false);
    rig.take(false, verified(false)).await;
    let bad = Reading::bad(DOOR, Reason::Stale, Clock::system().stamp());
    rig.commander.observe(&[bad]);
    assert!(rig.commander.interlocks()[0].1.as_ref().unwrap().contains("stale"));
}

#[tokio::test(start_paused = true)]
async fn a_pulse_ends_by_itself_also_when_nobody_knows_whether_it_began() {
    let rules = OutputRules { pulse: Some(Duration::from_millis(500)), ..OutputRules::default() };
    let rig = rig_with(Some(Value::Bool(false)), rules, Control::default());
    rig.take(false, verified(false)).await;
    let ticket = rig.operator(true);
    tokio::time::sleep(2 * SECOND).await;
    rig.take(true, verified(true)).await;
    assert!(ticket.outcome().await.succeeded(), "it lasts from the write on");
    let begun = tokio::time::Instant::now();
    rig.take(false, Outcome::Failed("no answer".into())).await;
    assert_eq!(begun.elapsed(), Duration::from_millis(500));
    rig.take(false, verified(false)).await;
    let ticket = rig.operator(true);
    rig.take(true, Outcome::Failed("no answer; whether the output has changed is not known".into())).await;
    assert!(!ticket.outcome().await.succeeded());
    rig.take(false, verified(false)).await;
    rig.commander.hold(COIL, &"horn".into(), Value::Bool(true));
    rig.take(true, verified(true)).await;
    rig.take(false, verified(false)).await;
    rig.commander.release(COIL, "horn");
    tokio::time::sleep(SECOND).await;
    assert!(rig.nothing_waits());
}

#[tokio::test(start_paused = true)]
async fn an_output_is_written_only_so_often_but_made_safe_at_once() {
    let rules = OutputRules { pause: Some(10 * SECOND), ..OutputRules::default() };
    let rig = rig_with(Some(Value::Bool(false)), rules, Control::default());
    rig.take(false, verified(false)).await;
    tokio::time::sleep(3 * SECOND).await;
    let reason = rejected(rig.operator(true)).await;
    assert!(reason.contains("again in 7.0 s"), "{reason}");
    let begun = tokio::time::Instant::now();
    rig.commander.hold(COIL, &"hot".into(), Value::Bool(true));
    rig.take(true, verified(true)).await;
    assert_eq!(begun.elapsed(), 7 * SECOND, "an alarm waits for it");
    let commander = rig.commander.clone();
    let stop = tokio::spawn(async move { commander.stop(5 * SECOND).await });
    rig.take(false, verified(false)).await;
    assert!(stop.await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_a_device_may_have_dropped_is_written_again_or_made_safe_as_declared() {
    for (after_loss, again) in
        [(AfterLoss::Safe, Some(false)), (AfterLoss::Again, Some(true)), (AfterLoss::Leave, None)]
    {
        let rules = OutputRules { after_loss, ..OutputRules::default() };
        let rig = rig_with(Some(Value::Bool(false)), rules, Control::default());
        rig.commander.link("test", true);
        rig.take(false, verified(false)).await;
        let ticket = rig.operator(true);
        rig.take(true, verified(true)).await;
        assert!(ticket.outcome().await.succeeded());
        rig.commander.link("other", false);
        rig.commander.link("other", true);
        rig.commander.link("test", false);
        tokio::time::sleep(SECOND).await;
        assert!(rig.nothing_waits());
        rig.commander.link("test", true);
        match again {
            Some(again) => rig.take(again, verified(again)).await,
            None => {
                tokio::time::sleep(SECOND).await;
                assert!(rig.nothing_waits());
                rig.commander.hold(COIL, &"hot".into(), Value::Bool(true));
                rig.take(true, verified(true)).await;
                rig.commander.link("test", false);
                rig.commander.link("test", true);
                rig.take(true, verified(true)).await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_stages_of_a_command_are_told_and_outcomes_counted() {
    let rig = rig(None);
    let (told, stages) = std::sync::mpsc::channel();
    let deadline = tokio::time::Instant::now().into_std() + DEFAULT_DEADLINE;
    let (setpoint, origin) = (Value::Bool(true), Origin::Mqtt("c".into()));
    let command = Command { point: COIL, setpoint, origin, deadline, lasts: None };
    let ticket = rig.commander.give(command, move |stage| told.send(stage).unwrap());
    let job = rig.next_write().await;
    job.confirmed();
    job.finish(verified(true));
    assert!(ticket.outcome().await.succeeded());
    assert_eq!(stages.iter().collect::<Vec<_>>(), [Stage::Accepted, Stage::OnWire, Stage::Confirmed]);
    let sent = Value::from("on");
    rig.commander.refuse(COIL, sent, Origin::Mqtt("c".into()), "a retained message is no command");
    let counts = rig.commander.counts();
    assert_eq!((counts[0], counts[2]), (("verified", 1), ("rejected", 1)));
}
