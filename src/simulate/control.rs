//! `iogate simulate`: serves until told to stop, driven by lines from the keyboard and from a control port.
//!
//! The control port listens on loopback only. After every command it answers with the lines that the
//! command prints and then one line `ok` or `error: …`.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::command::Command;
use super::{Options, Simulation, StartError, serves};
use crate::driver::DriverPlan;
use crate::model::{Behaviour, PointId, PointTable};

/// The longest line of a command in bytes; a longer one ends its connection.
pub const MAX_LINE: u64 = 1024;

/// The most control connections at a time.
pub const MAX_CONTROLS: usize = 8;

/// How long to wait after a control connection could not be taken.
const RETRY: Duration = Duration::from_millis(50);

/// What `iogate simulate` takes.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
pub struct RunOptions {
    /// How devices are simulated.
    #[command(flatten)]
    pub devices: Options,
    /// Take commands on this loopback address too, such as 127.0.0.1:0 (any free port)
    #[arg(long, value_name = "ADDRESS")]
    pub control: Option<SocketAddr>,
    /// Write a JSON object of channel names and the endpoints where they are served to this file
    #[arg(long, value_name = "FILE")]
    pub endpoints: Option<PathBuf>,
}

/// Why `iogate simulate` ended.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The devices cannot be simulated.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The control port would be open to others.
    #[error("control address {0}: it must be a loopback address, such as 127.0.0.1:0")]
    NotLoopback(SocketAddr),
    /// The control port cannot be had.
    #[error("cannot listen for control connections at {address}")]
    Control {
        /// Where.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The endpoints cannot be written.
    #[error("cannot write endpoints to {}", .path.display())]
    Endpoints {
        /// Where.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Nobody can be told where the channels are.
    #[error("cannot write to the terminal")]
    Output(#[source] io::Error),
}

/// Serves the devices of `plans` until `shutdown`, `quit`, or for ever when `input` ends without it.
///
/// # Errors
/// When a port cannot be had or the output is gone.
pub async fn run(
    points: &Arc<PointTable>,
    plans: &[DriverPlan],
    behaviours: &BTreeMap<PointId, Behaviour>,
    options: &RunOptions,
    input: impl AsyncBufRead + Unpin,
    output: impl AsyncWrite + Unpin,
    shutdown: CancellationToken,
) -> Result<(), RunError> {
    let simulation = Simulation::start(points, plans, behaviours, &options.devices).await?;
    if let Some(path) = &options.endpoints {
        write_endpoints(&simulation, path)
            .map_err(|source| RunError::Endpoints { path: path.clone(), source })?;
    }
    let control = match options.control {
        Some(address) => Some(listen(address).await?),
        None => None,
    };
    let mut text = String::new();
    for (name, kind, endpoint) in simulation.endpoints() {
        text.push_str(&format!("{name}  {kind}  {endpoint}\n"));
    }
    for plan in plans {
        if let Err(reason) = serves(plan) {
            text.push_str(&format!("{}  not simulated: {reason}\n", plan.name()));
        }
    }
    if let Some((_, address)) = &control {
        text.push_str(&format!("control  {address}\n"));
    }
    if simulation.endpoints().any(|(_, _, endpoint)| endpoint.starts_with('/')) {
        text.push_str("serial ports are ptys: open them with 8 data bits and no parity, at any rate\n");
    }
    text.push_str("`help` lists commands\n");
    let mut output = output;
    output.write_all(text.as_bytes()).await.map_err(RunError::Output)?;
    output.flush().await.map_err(RunError::Output)?;
    let controls = async {
        match control {
            Some((listener, _)) => serve_controls(&listener, &simulation).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = controls => {}
        done = keyboard(&simulation, input, &mut output) => done.map_err(RunError::Output)?,
    }
    simulation.stop().await;
    Ok(())
}

/// Takes commands until `quit`. The end of the input is not the end of the simulation: it runs as a service.
async fn keyboard(
    simulation: &Simulation,
    mut input: impl AsyncBufRead + Unpin,
    output: &mut (impl AsyncWrite + Unpin),
) -> io::Result<()> {
    while let Some(line) = next_line(&mut input).await? {
        let (answer, quit) = obey(simulation, &line);
        output.write_all(answer.as_bytes()).await?;
        output.flush().await?;
        if quit {
            return Ok(());
        }
    }
    std::future::pending().await
}

/// Carries out one line. Returns what to print and whether it was `quit`.
fn obey(simulation: &Simulation, line: &str) -> (String, bool) {
    if line.trim().is_empty() {
        return (String::new(), false);
    }
    let command = line.parse::<Command>();
    let quit = command == Ok(Command::Quit);
    let answer = match command.and_then(|command| simulation.execute(&command)) {
        Ok(text) => format!("{text}ok\n"),
        Err(error) => format!("error: {error}\n"),
    };
    (answer, quit)
}

async fn next_line(input: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    let count = input.take(MAX_LINE).read_until(b'\n', &mut line).await?;
    if count as u64 == MAX_LINE {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the line is too long"));
    }
    Ok((count > 0).then(|| String::from_utf8_lossy(&line).into_owned()))
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), RunError> {
    if !address.ip().is_loopback() {
        return Err(RunError::NotLoopback(address));
    }
    let failed = |source| RunError::Control { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

/// Returns when a control connection says `quit`. All of them end with this future.
async fn serve_controls(listener: &TcpListener, simulation: &Simulation) {
    let mut connections = FuturesUnordered::new();
    loop {
        tokio::select! {
            Some(quit) = connections.next() => if matches!(quit, Ok(true)) {
                return;
            },
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) if connections.len() < MAX_CONTROLS => {
                    connections.push(serve_control(stream, simulation));
                }
                Ok(_) => {}
                // Out of descriptors, say: the next one may fare better.
                Err(_) => tokio::time::sleep(RETRY).await,
            },
        }
    }
}

/// Returns whether it said `quit`.
async fn serve_control(mut stream: TcpStream, simulation: &Simulation) -> io::Result<bool> {
    let (input, mut output) = stream.split();
    let mut input = BufReader::new(input);
    while let Some(line) = next_line(&mut input).await? {
        let (answer, quit) = obey(simulation, &line);
        output.write_all(answer.as_bytes()).await?;
        if quit {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Writes the endpoints so that a reader finds all of them or none.
fn write_endpoints(simulation: &Simulation, path: &Path) -> io::Result<()> {
    let endpoints: serde_json::Map<String, serde_json::Value> =
        simulation.endpoints().map(|(name, _, endpoint)| (name.to_owned(), endpoint.into())).collect();
    let mut text = serde_json::to_string_pretty(&endpoints).map_err(io::Error::other)?;
    text.push('\n');
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let draft = path.with_file_name(name);
    std::fs::write(&draft, text)?;
    std::fs::rename(&draft, path)
}
