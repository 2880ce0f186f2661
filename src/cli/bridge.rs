//! `iogate bridge test`: whether an upstream broker can be reached, and if not, at which step it fails.
//!
//! Absent: whatever needs a running gateway.

use super::{ConfigFile, Exit, complain, load, print};
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
    Test(TestArguments),
}

#[derive(Debug, clap::Args)]
struct TestArguments {
    /// Name of the bridge in the configuration.
    name: String,
    /// The configuration file.
    #[arg(short, long, value_name = "FILE", default_value = super::DEFAULT_CONFIG)]
    config: std::path::PathBuf,
}

/// Tests a bridge.
pub(super) async fn run(arguments: Arguments) -> Exit {
    let Command::Test(TestArguments { name, config }) = arguments.command;
    let plan = match load(ConfigFile { config, file: None }.path()) {
        Ok(plan) => plan,
        Err(exit) => return exit,
    };
    let Some(found) = plan.bridges.get(&*name) else {
        let names: Vec<&str> = plan.bridges.keys().map(|name| &**name).collect();
        complain(&format!("there is no bridge `{name}`; the configuration has: {}", names.join(", ")));
        return Exit::Config;
    };
    let mut told = |step: &'static str, what: String| {
        print(&format!("{step:<10} {what}\n"));
    };
    match bridge::probe(&name, found, &plan.site, &Clock::system(), &mut told).await {
        Ok(()) => print("the bridge can connect\n"),
        Err(error) => {
            complain(&format!("the bridge cannot connect: {error}"));
            Exit::Failed
        }
    }
}
