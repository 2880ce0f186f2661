//! The log: to standard error, as text for people or JSON for machines.
//!
//! Under systemd standard error goes to the journal, which stamps each line itself.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

/// The form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum LogFormat {
    /// A line of text per event.
    Text,
    /// A JSON object per event.
    Json,
}

/// Starts logging.
///
/// # Errors
/// When `rules` cannot be read, or logging runs already.
pub(super) fn start(rules: &str, format: LogFormat) -> Result<(), String> {
    // The SNMP library warns of every answer that it does not believe; the driver tells the first one.
    let all = format!("async_snmp=error,{rules}");
    let filter = EnvFilter::try_new(all).map_err(|error| format!("--log {rules}: {error}"))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let in_journal = std::env::var_os("JOURNAL_STREAM").is_some();
    let started = match (format, in_journal) {
        (LogFormat::Json, _) => builder.json().finish().try_init(),
        (LogFormat::Text, true) => builder.without_time().finish().try_init(),
        (LogFormat::Text, false) => builder.finish().try_init(),
    };
    started.map_err(|error| error.to_string())
}
