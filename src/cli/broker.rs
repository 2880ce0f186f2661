//! `iogate broker`: the MQTT broker alone, without devices, page or anything else.
//!
//! It has a page only when asked for one. On the loopback address unless told otherwise. Without `--data`
//! everything ends with the program.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Exit, StopSignals, complain, footprint, print, run, with_causes};
use crate::broker::{Broker, Config, Listeners};
use crate::clock::Clock;
use crate::journal::Level;
use crate::{config, gateway, systemd, web};

/// What `broker` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Where to listen, instead of what the configuration says. Port 0: any that is free.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// Listen on this port of the loopback address; short for `--listen 127.0.0.1:PORT`.
    #[arg(short, long, value_name = "PORT", conflicts_with = "listen")]
    port: Option<u16>,
    /// Serve the web page and its API on this address, for `iogate mqtt` and people. Without it there is none.
    #[arg(long, value_name = "ADDRESS:PORT")]
    web: Option<SocketAddr>,
    /// Keep retained messages and sessions in this directory, over restarts.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// What an acknowledgement promises, with `--data`.
    #[arg(long, value_name = "LEVEL", value_parser = level)]
    durability: Option<Level>,
    /// A configuration file; only its section `broker:` is used. Without it: the defaults.
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Arguments {
    fn broker(&self) -> Result<Config, Exit> {
        let mut section = match &self.config {
            None => Config::default(),
            Some(path) => config::load_broker(path).map_err(|report| {
                complain(&report.to_string());
                Exit::Config
            })?,
        };
        let loopback = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
        section.listen = self.listen.or(self.port.map(loopback)).unwrap_or(section.listen);
        if let Some(dir) = &self.data {
            section.data = Some(std::path::absolute(dir).map_err(|error| {
                complain(&format!("{}: {error}", dir.display()));
                Exit::Config
            })?);
        }
        section.durability = self.durability.unwrap_or(section.durability);
        Ok(section)
    }
}

fn level(text: &str) -> Result<Level, &'static str> {
    match text {
        "none" => Ok(Level::None),
        "process" => Ok(Level::Process),
        "power" => Ok(Level::Power),
        _ => Err("must be none, process or power"),
    }
}

/// Serves MQTT clients until it is asked to stop; asked again, it ends without waiting for them.
pub(super) async fn run(arguments: Arguments) -> Exit {
    let (section, mut signals) =
        match arguments.broker().and_then(|section| Ok((section, StopSignals::listen()?))) {
            Ok(ready) => ready,
            Err(exit) => return exit,
        };
    let listeners = match Listeners::bind(&section).await {
        Ok(listeners) => listeners,
        Err(error) => {
            complain(&format!("the broker cannot start: {}", with_causes(&error)));
            return Exit::CannotStart;
        }
    };
    let page = match bind_page(arguments.web).await {
        Ok(page) => page,
        Err(exit) => return exit,
    };
    let mqtt = listeners.address("listen").unwrap_or(section.listen);
    let broker = match Broker::open(section) {
        Ok(broker) => broker,
        Err(error) => {
            complain(&format!("the broker cannot start: {}", with_causes(&error)));
            return Exit::CannotStart;
        }
    };
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    let mut welcome = format!("iogate broker: listening on {mqtt}\n");
    if let Some((listener, address)) = page {
        let context = gateway::page_of(&broker, mqtt, &Clock::system());
        let (config, stop) = (web::Config { listen: address, ..web::Config::default() }, stop.clone());
        welcome.push_str(&format!("iogate broker: page on http://{address}/\n"));
        tasks.spawn(async move { web::serve(listener, context, &config, stop).await });
    }
    tasks.spawn({
        let (broker, stop) = (broker.clone(), stop.clone());
        async move { broker.publish_sys(stop).await }
    });
    tasks.spawn({
        let (broker, stop) = (broker.clone(), stop.clone());
        async move { broker.serve_all(listeners, stop).await }
    });
    tasks.close();
    run::reload_when_asked(broker, |_| {});
    print(&welcome);
    systemd::ready(&format!("broker on {mqtt}"));
    footprint::settle();
    signals.next().await;
    systemd::stopping();
    stop.cancel();
    tokio::select! {
        () = tasks.wait() => tracing::info!("stopped"),
        () = signals.next() => tracing::warn!("asked again: ending without waiting"),
    }
    Exit::Ok
}

/// Where the page is served, if it is wanted.
async fn bind_page(wanted: Option<SocketAddr>) -> Result<Option<(TcpListener, SocketAddr)>, Exit> {
    let Some(wanted) = wanted else { return Ok(None) };
    let bound = TcpListener::bind(wanted).await;
    let bound = bound.and_then(|listener| listener.local_addr().map(|address| Some((listener, address))));
    bound.map_err(|error| {
        complain(&format!("the page cannot listen on {wanted}: {error}"));
        Exit::CannotStart
    })
}
