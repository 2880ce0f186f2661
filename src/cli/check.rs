//! `iogate check`: everything that can be known of a configuration without starting it.

use super::{ConfigFile, Exit, load, print};
use crate::config;

/// What `check` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    file: ConfigFile,
}

/// Checks and reports.
pub(super) fn run(arguments: &Arguments) -> Exit {
    match load(arguments.file.path()) {
        Ok(plan) => print(&config::check_report(&plan)),
        Err(exit) => exit,
    }
}
