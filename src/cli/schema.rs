//! `iogate schema`: the JSON Schema of configuration files.

use super::{Exit, print};
use crate::config;

/// What `schema` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The schema of device profiles instead.
    #[arg(long)]
    profile: bool,
}

/// Prints the schema.
pub(super) fn run(arguments: &Arguments) -> Exit {
    let schema = if arguments.profile { config::profile_schema() } else { config::schema() };
    print(&format!("{schema:#}\n"))
}
