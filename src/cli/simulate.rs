//! `iogate simulate`: the devices that a configuration describes, served on this machine.

use std::path::Path;

use tokio::io::BufReader;
use tokio_util::sync::CancellationToken;

use super::{ConfigFile, Exit, StopSignals, complain, load, with_causes};
use crate::config::{self, Plan, Surroundings};
use crate::driver::DriverPlan;
use crate::simulate;

/// What `simulate` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    file: ConfigFile,
    /// Serve one device of this profile instead, with all of its points.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["config", "file"])]
    profile: Option<String>,
    #[command(flatten)]
    options: simulate::RunOptions,
}

fn plan(arguments: &Arguments) -> Result<Plan, Exit> {
    let Some(name) = &arguments.profile else { return load(arguments.file.path()) };
    let plan = config::profile_trial(name, &Surroundings::of(Path::new(""))).map_err(|report| {
        complain(&report.to_string());
        Exit::Config
    })?;
    Ok(plan)
}

/// Complains where nothing would be served.
fn check(plan: &Plan) -> Result<(), Exit> {
    let served: Vec<_> = plan.channels.iter().map(|channel| simulate::serves(&channel.driver)).collect();
    if served.contains(&Ok(true)) {
        return Ok(());
    }
    let reason = served.into_iter().find_map(Result::err);
    complain(reason.unwrap_or("there are no devices to simulate: every channel is the gateway's own affair"));
    Err(Exit::CannotStart)
}

/// Serves devices until it is asked to stop.
pub(super) async fn run(arguments: Arguments) -> Exit {
    let plan = match plan(&arguments).and_then(|plan| check(&plan).map(|()| plan)) {
        Ok(plan) => plan,
        Err(exit) => return exit,
    };
    let mut options = arguments.options;
    // The broker of this configuration is where its devices connect to.
    options.devices.mqtt.get_or_insert(plan.broker.listen);
    let drivers: Vec<DriverPlan> = plan.channels.iter().map(|channel| channel.driver.clone()).collect();
    let mut signals = match StopSignals::listen() {
        Ok(signals) => signals,
        Err(exit) => return exit,
    };
    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    tokio::spawn(async move {
        signals.next().await;
        stop.cancel();
    });
    let (input, output) = (BufReader::new(tokio::io::stdin()), tokio::io::stdout());
    let served = simulate::run(&plan.points, &drivers, &plan.behaviours, &options, input, output, shutdown);
    match served.await {
        Ok(()) => Exit::Ok,
        Err(error @ simulate::RunError::Output(_)) => {
            complain(&with_causes(&error));
            Exit::Failed
        }
        Err(error) => {
            complain(&with_causes(&error));
            Exit::CannotStart
        }
    }
}
