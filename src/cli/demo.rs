//! `iogate demo`: a small factory in Busan with simulated devices, gateway, broker and page in one process.
//!
//! The devices speak real Modbus, over TCP on loopback and RTU on pseudo-terminals; the gateway reaches
//! them as it would reach hardware. The configuration is the shipped `config/demo.yaml`.

use std::net::SocketAddr;

use super::{Exit, Listen, StopSignals, complain, print, run, with_causes};
use crate::config::{self, Plan, Surroundings};
use crate::driver::DriverPlan;
use crate::gateway::Gateway;
use crate::simulate::{self, Simulation};

const CONFIGURATION: &str = include_str!("../../config/demo.yaml");

/// What `demo` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    listen: Listen,
    /// Print the demo's configuration instead of running it.
    #[arg(long)]
    print_config: bool,
}

/// Runs the demo until it is asked to stop.
pub(super) async fn run(arguments: Arguments) -> Exit {
    if arguments.print_config {
        return print(CONFIGURATION);
    }
    let signals = match StopSignals::listen() {
        Ok(signals) => signals,
        Err(exit) => return exit,
    };
    let (plan, simulation) = match prepare().await {
        Ok(prepared) => prepared,
        Err(exit) => return exit,
    };
    let site = plan.site.clone();
    let set = plan.points.iter().find(|point| point.access.writable()).map(|point| point.topic.set());
    let gateway = match run::start(plan, &arguments.listen).await {
        Ok(gateway) => gateway,
        Err(exit) => return exit,
    };
    let mut text = welcome(&gateway, site.as_str());
    if let Some(set) = set {
        text.push_str(&format!(
            "  switch:    mosquitto_pub {}-t {set} -m on\n",
            client_options(gateway.mqtt)
        ));
    }
    text.push_str("  stop:      Ctrl-C\n");
    print(&text);
    let exit = run::run_until_asked(gateway, signals).await;
    simulation.stop().await;
    exit
}

/// The shipped plan, led to devices that are simulated in this process.
async fn prepare() -> Result<(Plan, Simulation), Exit> {
    let mut plan = config::load_str(CONFIGURATION, "demo.yaml", &Surroundings::none()).map_err(|report| {
        complain(&report.to_string());
        Exit::Config
    })?;
    let drivers: Vec<DriverPlan> = plan.channels.iter().map(|channel| channel.driver.clone()).collect();
    let options = simulate::Options::default();
    let simulation = Simulation::start(&plan.points, &drivers, &plan.behaviours, &options);
    let simulation = simulation.await.map_err(|error| {
        complain(&with_causes(&error));
        Exit::CannotStart
    })?;
    for channel in &mut plan.channels {
        channel.driver = simulation.redirect(&channel.driver);
    }
    Ok((plan, simulation))
}

fn welcome(gateway: &Gateway, site: &str) -> String {
    let page = gateway.web.map_or_else(|| "off".to_owned(), |web| format!("http://{web}/"));
    format!(
        "iogate demo: a simulated factory with {} points\n  \
         page:      {page}\n  \
         broker:    {}\n  \
         subscribe: mosquitto_sub {}-t '{site}/#' -v\n",
        gateway.bus.points().len(),
        gateway.mqtt,
        client_options(gateway.mqtt),
    )
}

/// What Mosquitto's clients need beyond their defaults to reach the broker.
fn client_options(mqtt: SocketAddr) -> String {
    let host = if mqtt.ip().is_loopback() { String::new() } else { format!("-h {} ", mqtt.ip()) };
    let port = if mqtt.port() == 1883 { String::new() } else { format!("-p {} ", mqtt.port()) };
    host + &port
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_configuration_is_without_fault() {
        let plan = config::load_str(CONFIGURATION, "demo.yaml", &Surroundings::none());
        let plan = plan.unwrap_or_else(|report| panic!("{report}"));
        assert!(plan.warnings.is_empty(), "{:?}", plan.warnings);
        for topic in ["manufacture/temperature", "assembly/barometer", "packaging/co2"] {
            assert!(plan.points.by_topic(&format!("busan/factory/{topic}")).is_some(), "{topic}");
        }
    }

    #[test]
    fn client_options_name_only_what_differs_from_the_defaults() {
        assert_eq!(client_options("127.0.0.1:1883".parse().unwrap()), "");
        assert_eq!(client_options("192.0.2.1:1884".parse().unwrap()), "-h 192.0.2.1 -p 1884 ");
    }
}
