//! `iogate notify test`: whether people can be told of alarms, by a message that says that it is a test.
//!
//! Absent: whatever needs a running gateway.

use super::{Exit, complain, print, trial};
use crate::notify;

/// What `notify` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Send a test message once, as the gateway would, without its limits and retries.
    #[command(after_help = "Example:\n  iogate notify test duty -c /etc/iogate/iogate.yaml")]
    Test(trial::Arguments),
}

/// Sends a test message.
pub(super) async fn run(arguments: Arguments) -> Exit {
    let Command::Test(test) = arguments.command;
    let plan = match test.load("notifier", |plan| &plan.notifiers) {
        Ok(plan) => plan,
        Err(exit) => return exit,
    };
    let (name, found) = (&test.name, &plan.notifiers[&*test.name]);
    match notify::try_out(name, plan.site.as_str(), found).await {
        Ok(()) => print("the test message was sent\n"),
        Err(error) => {
            complain(&format!("the test message was not sent: {error}"));
            Exit::Failed
        }
    }
}
