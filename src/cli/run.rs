//! `iogate run`: the gateway itself.

use std::io::ErrorKind;

use tokio::signal::unix::{SignalKind, signal};

use super::{ConfigFile, Exit, Listen, StopSignals, complain, footprint, load, with_causes};
use crate::broker::{Broker, ListenError, Taken};
use crate::clock::Clock;
use crate::config::{Level, Plan};
use crate::gateway::{Gateway, StartError};
use crate::systemd;

/// What `run` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    file: ConfigFile,
    #[command(flatten)]
    listen: Listen,
}

/// Runs the gateway until it is asked to stop.
pub(super) async fn run(arguments: Arguments) -> Exit {
    let plan = match load(arguments.file.path()) {
        Ok(plan) => plan,
        Err(exit) => return exit,
    };
    for warning in &plan.warnings {
        let place = warning.place.as_ref().map(|place| format!("{}:{}", place.file, place.line));
        match warning.level {
            Level::Note => tracing::info!(place, "{}", warning.message),
            _ => tracing::warn!(place, help = warning.help, "{}", warning.message),
        }
    }
    if plan.points.is_empty() {
        let config = arguments.file.path().display();
        tracing::warn!(%config, "no points are configured: describe channels and devices in the configuration");
    }
    let signals = match StopSignals::listen() {
        Ok(signals) => signals,
        Err(exit) => return exit,
    };
    match start(plan, &arguments.listen).await {
        Ok(gateway) => run_until_asked(gateway, signals).await,
        Err(exit) => exit,
    }
}

/// Starts a gateway, complaining on standard error when it cannot.
pub(super) async fn start(mut plan: Plan, listen: &Listen) -> Result<Gateway, Exit> {
    plan.broker.listen = listen.mqtt.unwrap_or(plan.broker.listen);
    plan.web.listen = listen.web.unwrap_or(plan.web.listen);
    let gateway = Gateway::start(plan, Clock::system()).await.map_err(|error| {
        complain(&(with_causes(&error) + advice(&error)));
        Exit::CannotStart
    })?;
    // Before anybody hears that it has started: an unasked SIGHUP would end the program.
    let (audit, clock) = (gateway.audit.clone(), Clock::system());
    reload_when_asked(gateway.broker.clone(), move |outcome| {
        if let Some(audit) = &audit {
            let outcome = outcome.map(Some);
            audit.event("reload", "signal SIGHUP", "users and certificates", outcome, clock.stamp());
        }
    });
    tracing::info!(
        points = gateway.bus.points().len(),
        channels = gateway.stats.len(),
        mqtt = %gateway.mqtt,
        web = gateway.web.map(tracing::field::display),
        "gateway started"
    );
    systemd::ready(&format!("{} points", gateway.bus.points().len()));
    footprint::settle();
    Ok(gateway)
}

/// How to mend what kept the gateway from starting.
fn advice(error: &StartError) -> &'static str {
    let source = match error {
        StartError::Listen { source, .. } => source,
        // A path of a Unix socket is blamed by what the system says.
        StartError::Broker(ListenError::Bind { source, place, .. }) if !place.starts_with('/') => source,
        _ => return "",
    };
    match source.kind() {
        ErrorKind::AddrInUse => {
            "; another program listens there: stop it, or choose another address with --mqtt or --web"
        }
        ErrorKind::AddrNotAvailable => {
            "; it is not an address of this machine: 127.0.0.1 is always one, 0.0.0.0 stands for all"
        }
        ErrorKind::PermissionDenied => "; ports below 1024 are the system's: choose a higher one",
        _ => "",
    }
}

/// Waits for the signal and stops in order; a second signal ends the program without waiting.
pub(super) async fn run_until_asked(gateway: Gateway, mut signals: StopSignals) -> Exit {
    signals.next().await;
    systemd::stopping();
    tracing::info!("stopping: outputs go to their safe states");
    tokio::select! {
        unsafe_outputs = gateway.stop() => {
            tracing::info!("stopped");
            if unsafe_outputs.is_empty() { Exit::Ok } else { Exit::NotSafe }
        }
        () = signals.next() => {
            tracing::warn!("asked again: ending without waiting");
            Exit::NotSafe
        }
    }
}

/// Takes in the broker's users and certificates at every SIGHUP from now on, and tells `told` what has changed, or why
/// that could not be used.
pub(super) fn reload_when_asked(broker: Broker, told: impl Fn(Result<String, String>) + Send + 'static) {
    let mut hangup = match signal(SignalKind::hangup()) {
        Ok(hangup) => hangup,
        Err(error) => {
            tracing::warn!(%error, "SIGHUP cannot be caught");
            return;
        }
    };
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            tracing::info!("asked to take in changed users and certificates");
            let broker = broker.clone();
            let taken = tokio::task::spawn_blocking(move || broker.reload()).await;
            told(taken.map_or_else(|_| Err("they could not be looked at".into()), |taken| in_words(&taken)));
        }
    });
}

/// What has changed; what could not be used, where there is such.
fn in_words(taken: &[Taken]) -> Result<String, String> {
    let failed: Vec<String> = taken
        .iter()
        .filter_map(|taken| taken.error.as_ref().map(|error| format!("{}: {error}", taken.what)))
        .collect();
    if !failed.is_empty() {
        return Err(failed.join("; "));
    }
    let changed: Vec<&str> = taken.iter().map(|taken| taken.what.as_str()).collect();
    Ok(if changed.is_empty() { "nothing had changed".into() } else { changed.join(", ") })
}
