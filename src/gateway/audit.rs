//! The audit log of a gateway: opened where there is a state directory, and told of every command.

use std::sync::Arc;

use super::{StartError, state_directory};
use crate::audit::Audit;
use crate::clock::Clock;
use crate::command::Commander;
use crate::config::Plan;
use crate::model::AuditReader;

/// The audit log, which hears of every command from now on; `None` without a state directory.
///
/// # Errors
/// The state directory cannot be used.
pub(super) fn start(
    plan: &Plan,
    commander: &Commander,
    clock: &Clock,
) -> Result<Option<Arc<Audit>>, StartError> {
    let Some(directory) = state_directory() else { return Ok(None) };
    let audit = Arc::new(Audit::open(&directory, (&plan.source.origin, &plan.source.digest), clock.stamp())?);
    let told = Arc::clone(&audit);
    let first = commander.on_record(Arc::new(move |record| told.command(record)));
    debug_assert!(first, "nobody else listens");
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
