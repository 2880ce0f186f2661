//! `iogate simulate`: the devices that a configuration describes, served on this machine.

use tokio::io::BufReader;
use tokio_util::sync::CancellationToken;

use super::{ConfigFile, Exit, StopSignals, complain, load, with_causes};
use crate::driver::DriverPlan;
use crate::simulate;

/// What `simulate` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    file: ConfigFile,
    #[command(flatten)]
    options: simulate::RunOptions,
}

/// Serves devices until it is asked to stop.
pub(super) async fn run(arguments: Arguments) -> Exit {
    let plan = match load(arguments.file.path()) {
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
