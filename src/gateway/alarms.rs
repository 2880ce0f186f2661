//! The alarms of a gateway: made from the plan, with everyone who is told of their changes.

use std::sync::Arc;

use tokio::sync::watch;

use crate::alarm::Engine;
use crate::alarm::engine::Listener;
use crate::clock::Clock;
use crate::command::Commander;
use crate::config::Plan;
use crate::model::AlarmOperator;
use crate::publish::Publisher;

/// The engine of the plan's alarms, whose states are published at once.
pub(super) fn engine(
    plan: &Plan,
    commander: &Commander,
    clock: &Clock,
    publisher: &Arc<Publisher>,
    changed: watch::Sender<u64>,
) -> Arc<Engine> {
    let teller = Arc::clone(publisher);
    let listener: Listener = Box::new(move |event| {
        teller.alarm_event(event);
        changed.send_modify(|count| *count += 1);
    });
    let (rules, points) = (plan.alarms.clone(), Arc::clone(&plan.points));
    let engine = Engine::new(rules, points, commander.clone(), clock.clone(), vec![listener]);
    for status in engine.status() {
        publisher.alarm(&status);
    }
    Arc::new(engine)
}

/// The way for people's requests.
pub(super) fn operator(engine: &Arc<Engine>) -> AlarmOperator {
    let engine = Arc::clone(engine);
    Arc::new(move |request| {
        let answer = engine.operate(&request);
        Box::pin(std::future::ready(answer))
    })
}
