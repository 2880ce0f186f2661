//! `iogate notify test`: whether people can be told of alarms, by a message that says that it is a test.
//!
//! Absent: whatever needs a running gateway.

use super::{ConfigFile, Exit, complain, load, print};
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
    Test(TestArguments),
}

#[derive(Debug, clap::Args)]
struct TestArguments {
    /// Name of the notifier in the configuration.
    name: String,
    /// The configuration file.
    #[arg(short, long, value_name = "FILE", default_value = super::DEFAULT_CONFIG)]
    config: std::path::PathBuf,
}

/// Sends a test message.
pub(super) async fn run(arguments: Arguments) -> Exit {
    let Command::Test(TestArguments { name, config }) = arguments.command;
    let plan = match load(ConfigFile { config, file: None }.path()) {
        Ok(plan) => plan,
        Err(exit) => return exit,
    };
    let Some(found) = plan.notifiers.get(&*name) else {
        let names: Vec<&str> = plan.notifiers.keys().map(|name| &**name).collect();
        complain(&format!("there is no notifier `{name}`; the configuration has: {}", names.join(", ")));
        return Exit::Config;
    };
    match notify::try_out(&name, plan.site.as_str(), found).await {
        Ok(()) => print("the test message was sent\n"),
        Err(error) => {
            complain(&format!("the test message was not sent: {error}"));
            Exit::Failed
        }
    }
}
