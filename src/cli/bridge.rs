//! `iogate bridge test`: whether an upstream broker can be reached, and if not, at which step it fails.
//!
//! Absent: whatever needs a running gateway.

use super::{Exit, complain, print, trial};
use crate::bridge;
use crate::clock::Clock;

/// What `bridge` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Connect as the gateway would and tell each step: names, TCP, TLS, login. Publishes nothing. A gateway that
    /// runs with the same client identifier loses its link for a moment.
    #[command(after_help = "Example:\n  iogate bridge test cloud -c /etc/iogate/iogate.yaml")]
    Test(trial::Arguments),
}

/// Tests a bridge.
pub(super) async fn run(arguments: Arguments) -> Exit {
    let Command::Test(test) = arguments.command;
    let plan = match test.load("bridge", |plan| &plan.bridges) {
        Ok(plan) => plan,
        Err(exit) => return exit,
    };
    let (name, found) = (&test.name, &plan.bridges[&*test.name]);
    let mut told = |step: &'static str, what: String| {
        print(&format!("{step:<10} {what}\n"));
    };
    match bridge::probe(name, found, &plan.site, &Clock::system(), &mut told).await {
        Ok(()) => print("the bridge can connect\n"),
        Err(error) => {
            complain(&format!("the bridge cannot connect: {error}"));
            Exit::Failed
        }
    }
}
