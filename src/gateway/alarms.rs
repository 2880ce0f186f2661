//! The alarms of a gateway: made from the plan, with everyone who is told of their changes.

use std::path::Path;
use std::sync::Arc;

use tokio::sync::watch;

use super::{StartError, state_directory};
use crate::alarm::engine::Listener;
use crate::alarm::store::{Kept, StoreError};
use crate::alarm::{Boot, Engine, Store};
use crate::clock::Clock;
use crate::command::Commander;
use crate::config::Plan;
use crate::model::{AlarmJournal, AlarmNews, AlarmOperator, AlarmOverview, AlarmRefusal, NotifierTally};
use crate::notify::Notifier;
use crate::publish::Publisher;

/// The engine of the plan's alarms, whose states are published at once.
///
/// # Errors
/// The state directory cannot be used.
pub(super) fn engine(
    plan: &Plan,
    commander: &Commander,
    clock: &Clock,
    publisher: &Arc<Publisher>,
    changed: watch::Sender<u64>,
    notifiers: &[Arc<Notifier>],
) -> Result<Arc<Engine>, StartError> {
    let (teller, told) = (Arc::clone(publisher), notifiers.to_vec());
    let listener: Listener = Box::new(move |news| {
        match news {
            AlarmNews::Event(event, entry) => {
                teller.alarm_event(event);
                told.iter().for_each(|notifier| notifier.tell(event, entry));
            }
            AlarmNews::Group(group) => teller.alarm_group(group),
        }
        changed.send_modify(|count| *count += 1);
    });
    let (rules, points) = (plan.alarms.clone(), Arc::clone(&plan.points));
    let engine = Engine::new(rules, points, commander.clone(), clock.clone(), vec![listener]);
    let (engine, kept) = match state_directory() {
        Some(directory) if !plan.alarms.is_empty() => stored(engine, &directory, clock)?,
        _ => (engine, None),
    };
    for status in engine.status() {
        publisher.alarm(&status);
    }
    for group in engine.overview().groups {
        publisher.alarm_group(&group);
    }
    let engine = Arc::new(engine);
    engine.attend();
    if let Some(kept) = kept {
        catch_up(&engine, &kept, notifiers);
    }
    Ok(engine)
}

/// The engine with its store, which brings the alarms back as they stood.
fn stored(engine: Engine, directory: &Path, clock: &Clock) -> Result<(Engine, Option<Kept>), StartError> {
    let (store, kept) = Store::open(directory)?;
    let boot = Boot::read(clock).map_err(StoreError::from)?;
    Ok((engine.with_store(store, &kept, boot), Some(kept)))
}

/// Lets notifiers take up what they had not told when the program ended. One that is new begins with what comes.
fn catch_up(engine: &Arc<Engine>, kept: &Kept, notifiers: &[Arc<Notifier>]) {
    for notifier in notifiers {
        // A journal that was lost in part begins with numbers that were there before.
        let told = kept.told.get(&**notifier.name()).map(|told| kept.newest.min(*told));
        let untold = told.map(|told| engine.untold(told)).unwrap_or_default();
        let (engine, name) = (Arc::downgrade(engine), Arc::clone(notifier.name()));
        let keep = move |entry| {
            if let Some(engine) = engine.upgrade() {
                engine.put_told(&name, entry);
            }
        };
        notifier.resume(untold, kept.newest, Box::new(keep));
    }
}

/// The way for people's requests.
pub(super) fn operator(engine: &Arc<Engine>) -> AlarmOperator {
    let engine = Arc::clone(engine);
    Arc::new(move |request| {
        let answer = engine.operate(&request);
        let stored = engine.stored();
        Box::pin(async move {
            let alarms = answer?;
            match stored {
                None => Ok(alarms),
                Some(stored) => match stored.await {
                    Ok(Ok(())) => Ok(alarms),
                    Ok(Err(why)) => Err(AlarmRefusal::NotStored(why)),
                    Err(_) => Err(AlarmRefusal::NotStored("the store has ended".into())),
                },
            }
        })
    })
}

/// The way to the journal.
pub(super) fn journal(engine: &Arc<Engine>) -> AlarmJournal {
    let engine = Arc::clone(engine);
    Arc::new(move |query| engine.journal(query))
}

/// The way to what is known of all alarms together.
pub(super) fn overview(engine: &Arc<Engine>) -> Arc<dyn Fn() -> AlarmOverview + Send + Sync> {
    let engine = Arc::clone(engine);
    Arc::new(move || engine.overview())
}

/// Those who tell people of alarms.
pub(super) fn notifiers(plan: &Plan) -> Vec<Arc<Notifier>> {
    let one = |(name, config): (&Arc<str>, &crate::notify::Config)| {
        Arc::new(Notifier::new(Arc::clone(name), plan.site.as_str(), config.clone()))
    };
    plan.notifiers.iter().map(one).collect()
}

/// The way to what they have counted.
pub(super) fn tallies(notifiers: &[Arc<Notifier>]) -> Arc<dyn Fn() -> Vec<NotifierTally> + Send + Sync> {
    let notifiers = notifiers.to_vec();
    Arc::new(move || notifiers.iter().map(|notifier| notifier.tally()).collect())
}
