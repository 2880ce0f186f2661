//! The audit log of a gateway: opened where there is a state directory, and told of every command and changed file.

use std::sync::Arc;

use super::{StartError, state_directory};
use crate::audit::Audit;
use crate::broker::Broker;
use crate::clock::Clock;
use crate::command::Commander;
use crate::config::Plan;
use crate::model::AuditReader;

/// The audit log, which hears of every command and every changed file of the broker from now on; `None` without a state directory.
///
/// # Errors
/// The state directory cannot be used.
pub(super) fn start(
    plan: &Plan,
    commander: &Commander,
    broker: &Broker,
    clock: &Clock,
) -> Result<Option<Arc<Audit>>, StartError> {
    let Some(directory) = state_directory() else { return Ok(None) };
    let audit = Arc::new(Audit::open(&directory, (&plan.source.origin, &plan.source.digest), clock.stamp())?);
    let told = Arc::clone(&audit);
    let first = commander.on_record(Arc::new(move |record| told.command(record)));
    debug_assert!(first, "nobody else listens");
    let released = Arc::clone(&audit);
    commander.on_release(Arc::new(move |release| released.release(release)));
    let (files, at) = (Arc::clone(&audit), clock.clone());
    broker.on_change(move |taken| {
        let outcome = taken.error.clone().map_or(Ok(None), Err);
        files.event("reload", "gateway", &taken.what, outcome, at.stamp());
    });
    let keeper = Arc::clone(&audit);
    commander.answer_once_kept(Arc::new(move || {
        let written = keeper.written();
        // A disk that does not write is told of by the log itself.
        Box::pin(async move { drop(written.await) })
    }));
    Ok(Some(audit))
}

/// The way to the records.
pub(super) fn reader(audit: Option<&Arc<Audit>>) -> AuditReader {
    let audit = audit.cloned();
    Arc::new(move |query| match &audit {
        Some(audit) => audit.page(query),
        None => Err("there is no audit log: the gateway has no state directory".into()),
    })
}

/// How many records it has lost.
pub(super) fn dropped(audit: Option<&Arc<Audit>>) -> Arc<dyn Fn() -> u64 + Send + Sync> {
    let audit = audit.cloned();
    Arc::new(move || audit.as_ref().map_or(0, |audit| audit.dropped()))
}
