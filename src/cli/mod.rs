//! The command line: arguments, logging, exit codes.
//!
//! Exit codes: 0 all is well; 1 it ran and failed; 2 the command line is wrong; 3 the configuration has
//! errors; 4 it cannot start (a port in use); 5 it ended, but an output did not confirm
//! its safe state. Absent: any work; each command is one file beside this one.

mod alarms;
mod audit;
mod bridge;
mod broker;
mod check;
mod demo;
mod discover;
mod footprint;
mod import;
mod log;
mod logging;
mod mqtt;
mod notify;
mod passwd;
mod profiles;
mod record;
mod run;
mod schema;
mod simulate;
mod test;
mod trial;

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use tokio::signal::unix::{Signal, SignalKind, signal};

use logging::LogFormat;

use crate::config::{self, Plan};

/// Where the installed service's configuration is.
pub const DEFAULT_CONFIG: &str = "/etc/iogate/iogate.yaml";

const EXIT_CODES: &str = "\
Exit codes: 0 all is well, 1 it ran and failed, 2 the command line is wrong, 3 the configuration has errors
or cannot be read, 4 it cannot start (a port in use), 5 it ended, but an output did not confirm its safe state.";

/// How a command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// All is well.
    Ok = 0,
    /// It ran and failed.
    Failed = 1,
    /// The configuration has errors.
    Config = 3,
    /// It cannot start.
    CannotStart = 4,
    /// It ended, but an output did not confirm its safe state.
    NotSafe = 5,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// An edge I/O gateway: field devices to MQTT topics, with broker, alarms, control and a status page.
#[derive(Debug, Parser)]
#[command(name = "iogate", version, about, after_help = EXIT_CODES, propagate_version = true)]
struct Arguments {
    /// What to log: error, warn, info, debug, trace, or rules such as `info,iogate::driver=debug`.
    #[arg(long, global = true, value_name = "LEVEL", env = "IOGATE_LOG", default_value = "info")]
    log: String,
    /// How to write the log.
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway.
    #[command(after_help = "Example:\n  iogate run -c /etc/iogate/iogate.yaml")]
    Run(run::Arguments),
    /// Check a configuration and tell what it asks of each line; starts nothing.
    #[command(after_help = "Example:\n  iogate check site.yaml")]
    Check(check::Arguments),
    /// Run the rule tests of a configuration: no hardware, hours of plant time in milliseconds.
    #[command(
        after_help = "Exit code: 0 all have passed, 1 one has failed, 3 configuration or tests have errors, or there are no tests.\n\nExample:\n  iogate test site.yaml\n  iogate test site.yaml --only press --timeline"
    )]
    Test(test::Arguments),
    /// Watch a running gateway for a while and write what happened as a rule test.
    #[command(
        after_help = "Exit code: 0 it is recorded and passes, 1 it could not be recorded or does not pass.\n\nExample:\n  iogate record site.yaml --for 10m -o site.monday.test.yaml\n  iogate record site.yaml --for 1h --alarm press-too-hot -o site.press.test.yaml"
    )]
    Record(record::Arguments),
    /// Serve the devices that a configuration describes, so that it can be tried without hardware.
    #[command(after_help = "Example:\n  iogate simulate site.yaml\n  then type: fault press dead 5s")]
    Simulate(simulate::Arguments),
    /// Run a small simulated factory with gateway, broker and page: nothing else is needed.
    #[command(after_help = "Example:\n  iogate demo\n  mosquitto_sub -t 'busan/factory/#' -v")]
    Demo(demo::Arguments),
    /// Run the MQTT broker alone; what it holds is in memory and ends with it.
    #[command(after_help = "Example:\n  iogate broker -p 1883\n  mosquitto_sub -t '#' -v")]
    Broker(broker::Arguments),
    /// Test the link to an upstream broker.
    #[command(after_help = "Example:\n  iogate bridge test cloud")]
    Bridge(bridge::Arguments),
    /// Set the password of an MQTT user in a password file.
    #[command(
        after_help = "Example:\n  iogate passwd /etc/iogate/mqtt-users anna\n  iogate passwd --scram --iterations 20000 /etc/iogate/mqtt-users sensor-7"
    )]
    Passwd(passwd::Arguments),
    /// Look at the MQTT clients and retained messages of a running gateway, and tidy them up.
    #[command(
        after_help = "Example:\n  iogate mqtt clients --state absent\n  iogate mqtt kick press-7\n  iogate mqtt retained delete 'old/#' --dry-run"
    )]
    Mqtt(mqtt::Arguments),
    /// Look at the alarms of a running gateway, and acknowledge, shelve or take them out of service.
    #[command(
        after_help = "Example:\n  iogate alarms\n  iogate alarms acknowledge press-too-hot --user kim --comment seen\n  iogate alarms shelve --group press --for 2h\n  iogate alarms journal press-too-hot"
    )]
    Alarms(alarms::Arguments),
    /// Look at who changed what: commands to outputs and changes of the configuration.
    #[command(
        after_help = "Exit code: 0 all is well, 1 it cannot be read or the chain is broken.\n\nExample:\n  iogate audit list press/fan\n  iogate audit verify --file /var/lib/iogate/audit.sqlite\n  iogate audit export --csv > audit.csv"
    )]
    Audit(audit::Arguments),
    /// See whether people can be told of alarms by e-mail and webhook.
    #[command(after_help = "Example:\n  iogate notify test duty")]
    Notify(notify::Arguments),
    /// Make a configuration out of another program's.
    #[command(
        after_help = "Example:\n  iogate import mosquitto /etc/mosquitto/mosquitto.conf -o /etc/iogate/moved.yaml"
    )]
    Import(import::Arguments),
    /// Look into a log directory, also while it is being written: list, verify, dump, export.
    #[command(after_help = "Example:\n  iogate log verify /var/lib/iogate/broker")]
    Log(log::Arguments),
    /// List, show and check device profiles.
    #[command(
        after_help = "Example:\n  iogate profiles list\n  iogate profiles show moxa/e1210\n  iogate simulate --profile moxa/e1210"
    )]
    Profiles(profiles::Arguments),
    /// See which devices of Wiesemann & Theis answer in the local network, and what profile fits each.
    #[command(after_help = "Example:\n  iogate discover\n  iogate discover --address 192.0.2.30")]
    Discover(discover::Arguments),
    /// Print the JSON Schema of configuration files, for editors.
    #[command(after_help = "Example:\n  iogate schema > iogate.schema.json")]
    Schema(schema::Arguments),
    /// Print the version.
    Version,
    /// Print a completion script for a shell.
    #[command(after_help = "Example:\n  iogate completions bash > /etc/bash_completion.d/iogate")]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// The configuration file to work on.
#[derive(Debug, clap::Args)]
struct ConfigFile {
    /// The configuration file.
    #[arg(short, long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    config: PathBuf,
    /// The configuration file, without `-c`.
    #[arg(value_name = "FILE", conflicts_with = "config")]
    file: Option<PathBuf>,
}

impl ConfigFile {
    fn path(&self) -> &Path {
        self.file.as_deref().unwrap_or(&self.config)
    }
}

/// Other listening addresses than the configuration's.
#[derive(Debug, clap::Args)]
struct Listen {
    /// Where the MQTT broker listens, instead of what the configuration says.
    #[arg(long, value_name = "ADDRESS:PORT")]
    mqtt: Option<SocketAddr>,
    /// Where the web page listens, instead of what the configuration says.
    #[arg(long, value_name = "ADDRESS:PORT")]
    web: Option<SocketAddr>,
}

/// Reads the command line and does what it says.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Err(problem) = logging::start(&arguments.log, arguments.log_format) {
        complain(&problem);
        return ExitCode::from(2);
    }
    let exit = match arguments.command {
        Command::Run(arguments) => in_runtime(run::run(arguments)),
        Command::Check(arguments) => check::run(&arguments),
        Command::Test(arguments) => test::run(&arguments),
        Command::Record(arguments) => record::run(&arguments),
        Command::Simulate(arguments) => in_runtime(simulate::run(arguments)),
        Command::Demo(arguments) => in_runtime(demo::run(arguments)),
        Command::Broker(arguments) => in_runtime(broker::run(arguments)),
        Command::Bridge(arguments) => in_runtime(bridge::run(arguments)),
        Command::Notify(arguments) => in_runtime(notify::run(arguments)),
        Command::Passwd(arguments) => passwd::run(&arguments),
        Command::Mqtt(arguments) => mqtt::run(&arguments),
        Command::Alarms(arguments) => alarms::run(&arguments),
        Command::Audit(arguments) => audit::run(&arguments),
        Command::Import(arguments) => import::run(&arguments),
        Command::Log(arguments) => log::run(&arguments),
        Command::Profiles(arguments) => profiles::run(&arguments),
        Command::Discover(arguments) => in_runtime(discover::run(arguments)),
        Command::Schema(arguments) => schema::run(&arguments),
        Command::Version => print(concat!("iogate ", env!("CARGO_PKG_VERSION"), "\n")),
        Command::Completions { shell } => completions(shell),
    };
    exit.into()
}

fn in_runtime(work: impl Future<Output = Exit>) -> Exit {
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(work),
        Err(error) => {
            complain(&format!("the runtime cannot be started: {error}"));
            Exit::CannotStart
        }
    }
}

fn completions(shell: clap_complete::Shell) -> Exit {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "iogate", &mut text);
    print(&String::from_utf8_lossy(&text))
}

/// Writes to standard output. A reader that has gone away (`| head`) is no failure.
fn print(text: &str) -> Exit {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Exit::Failed,
        _ => Exit::Ok,
    }
}

/// Writes to standard error, where nothing better can be done if that fails.
fn complain(text: &str) {
    let _ = writeln!(std::io::stderr(), "iogate: {text}");
}

/// Loads a configuration, complaining on standard error when it has errors.
fn load(path: &Path) -> Result<Plan, Exit> {
    config::load(path).map_err(|report| {
        complain(&report.to_string());
        Exit::Config
    })
}

/// An error with everything that led to it, on one line.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(&format!(": {inner}"));
        cause = inner.source();
    }
    text
}

/// Ctrl-C and SIGTERM, heard from the moment this is made: one that comes while the gateway still starts
/// must stop it in order, too, and not end the program with its outputs as they are.
struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
}

impl StopSignals {
    fn listen() -> Result<Self, Exit> {
        let caught = signal(SignalKind::interrupt())
            .and_then(|interrupt| Ok(Self { interrupt, terminate: signal(SignalKind::terminate())? }));
        caught.map_err(|error| {
            complain(&format!("the signals that stop the program cannot be caught: {error}"));
            Exit::CannotStart
        })
    }

    /// Waits for the next of them.
    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
