//! `iogate simulate`: the devices that a configuration describes, served on this machine.

use std::path::Path;

use tokio::io::BufReader;
use tokio_util::sync::CancellationToken;

use super::{ConfigFile, Exit, StopSignals, complain, load, with_causes};
use crate::config::{self, Plan, Surroundings};
use crate::driver::{DriverPlan, ascii, snmp};
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
    let served =
        |driver: &DriverPlan| driver.get::<ascii::Plan>().is_none() && driver.get::<snmp::Plan>().is_none();
    if !plan.channels.iter().all(|channel| served(&channel.driver)) {
        complain(&format!(
            "{name} is for instruments that speak in lines, or for SNMP agents, which are not simulated"
        ));
        return Err(Exit::CannotStart);
    }
    Ok(plan)
}

/// Serves devices until it is asked to stop.
pub(super) async fn run(arguments: Arguments) -> Exit {
    let plan = match plan(&arguments) {
        Ok(plan) => plan,
        Err(exit) => return exit,
    };
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
    let served =
        simulate::run(&plan.points, &drivers, &plan.behaviours, &arguments.options, input, output, shutdown);
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
