//! From a register that changes to an output that is written and verified: `cargo bench --bench reaction`.
//!
//! Real processes: `iogate simulate` is the device on Modbus TCP, told by its control port; `iogate run` polls it every 100 ms,
//! raises the alarm and switches its coil. The time begins before the simulator is told, at a random phase of the poll, and ends
//! when the gateway's log says that the coil was written and read back. docs/benchmarks.md says what is measured. It fails when
//! something cannot be measured, never because a figure is bad.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "the result of a bench is what it prints")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a measurement ends at once")]

#[path = "common/command.rs"]
#[allow(dead_code, reason = "the benches share it, and each uses its part")]
mod command;
#[path = "common/figures.rs"]
#[allow(dead_code, reason = "the benches share it, and each uses its part")]
mod figures;
#[path = "../tests/alarms/simulator.rs"]
mod simulator;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use command::{Asked, load, machine};
use figures::{Goal, Row, ms, percentile, table};
use simulator::Simulator;

/// What a measurement returns: an error is a measurement that could not be made.
pub(crate) type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// How often the register is read.
const PERIOD: Duration = Duration::from_millis(100);

/// How often the alarm comes, and as often goes.
const ROUNDS: u32 = 500;

/// How long one step may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the gateway may add to poll period and exchange, in milliseconds.
const GOAL_MS: f64 = 2.0;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // Test runners ask every target for its list of tests; there are none.
    if arguments.iter().any(|argument| argument == "--list") {
        return ExitCode::SUCCESS;
    }
    match Asked::parse(arguments, &[], &["--iogate"]).and_then(|asked| run(&asked)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(asked: &Asked) -> Outcome {
    let program = PathBuf::from(asked.option("--iogate").unwrap_or(env!("CARGO_BIN_EXE_iogate")));
    let rounds = if asked.quick { 20 } else { ROUNDS };
    println!("{}, load {}", machine(), load());
    let alone =
        "web: { enabled: off }\nbridges: { cloud: { url: \"mqtt://127.0.0.1:9\", forward: [\"#\"] } }\n";
    let mut rows = Vec::new();
    for (name, more) in [("page and broker on", ""), ("no page, upstream broker gone", alone)] {
        let measured = measure(&program, more, rounds)?;
        let exchange = percentile(&measured.exchanges, 0.5);
        let goal = Goal::AtMost(ms(PERIOD) + exchange + GOAL_MS);
        for (what, times) in [("alarm comes", &measured.comes), ("alarm goes", &measured.goes)] {
            for (share, goal) in [(0.5, Goal::None), (0.99, goal), (1.0, Goal::None)] {
                rows.push(Row {
                    what: format!("{name}: {what}, p{}", share * 100.0),
                    unit: "ms",
                    ours: vec![percentile(times, share)],
                    baseline: vec![percentile(&measured.exchanges, share)],
                    against: "one exchange",
                    goal,
                });
            }
        }
    }
    println!("{}load {}", table(&rows, "gateway"), load());
    Ok(())
}

/// Times in milliseconds.
struct Measured {
    comes: Vec<f64>,
    goes: Vec<f64>,
    exchanges: Vec<f64>,
}

fn measure(program: &Path, more: &str, rounds: u32) -> Outcome<Measured> {
    let directory = tempfile::tempdir()?;
    let directory = directory.path();
    let mut simulator = Simulator::start(program, directory, &config("127.0.0.1:1", more));
    let device = simulator.endpoints["plc"].as_str().ok_or("the simulator serves no plc")?.to_owned();
    simulator.tell("set press/temperature 20");
    let gateway = Gateway::start(program, directory, &config(&device, more))?;
    gateway.verified(false)?;
    let mut line = TcpStream::connect(&device)?;
    line.set_nodelay(true)?;
    let mut measured = Measured { comes: Vec::new(), goes: Vec::new(), exchanges: Vec::new() };
    for _ in 0..rounds {
        for (value, on) in [("75", true), ("20", false)] {
            measured.exchanges.push(exchange(&mut line)?);
            // Any phase of the poll.
            std::thread::sleep(Duration::from_micros(fastrand::u64(0..2 * PERIOD.as_micros() as u64)));
            let changed = Instant::now();
            simulator.tell(&format!("set press/temperature {value}"));
            let took = ms(gateway.verified(on)?.duration_since(changed));
            if on { &mut measured.comes } else { &mut measured.goes }.push(took);
            let told = simulator.tell("get press/fan");
            if told.contains("true") != on {
                return Err(format!("it was verified, but the device says: {told}").into());
            }
        }
    }
    Ok(measured)
}

fn config(device: &str, more: &str) -> String {
    let poll = PERIOD.as_millis();
    format!(
        "site: s
channels: {{ plc: {{ modbus-tcp: {{ address: \"{device}\" }} }} }}
devices:
  press:
    channel: plc
    unit: 1
    poll: {poll}ms
    points:
      temperature: {{ input: 0, type: i16, scale: 0.1, unit: °C }}
      fan: {{ coil: 16, access: rw, safe: off }}
alarms:
  hot: {{ point: press/temperature, high: 60, hysteresis: 5, then: {{ press/fan: on }} }}
{more}"
    )
}

/// One register read as the gateway reads it, in milliseconds.
fn exchange(line: &mut TcpStream) -> Outcome<f64> {
    let begun = Instant::now();
    line.write_all(&[0, 1, 0, 0, 0, 6, 1, 4, 0, 0, 0, 1])?;
    line.read_exact(&mut [0; 11])?;
    Ok(ms(begun.elapsed()))
}

/// A gateway whose log is read.
struct Gateway {
    child: Child,
    log: Receiver<(Instant, String)>,
}

impl Gateway {
    fn start(program: &Path, directory: &Path, config: &str) -> Outcome<Self> {
        let file = directory.join("iogate.yaml");
        std::fs::write(&file, config)?;
        let mut child = Command::new(program)
            .args(["--log-format", "json", "run", "--mqtt", "127.0.0.1:0", "--web", "127.0.0.1:0", "-c"])
            .arg(&file)
            .env("STATE_DIRECTORY", directory)
            .stderr(Stdio::piped())
            .spawn()?;
        let lines = BufReader::new(child.stderr.take().ok_or("no log")?).lines();
        let (told, log) = channel();
        std::thread::spawn(move || {
            lines.map_while(Result::ok).try_for_each(|line| told.send((Instant::now(), line)))
        });
        Ok(Self { child, log })
    }

    /// When the coil was written and read back as this.
    fn verified(&self, on: bool) -> Outcome<Instant> {
        let setpoint = format!("\"setpoint\":\"{on}\"");
        loop {
            let (at, line) = self.log.recv_timeout(PATIENCE)?;
            if line.contains("\"outcome\":\"verified\"") && line.contains(&setpoint) {
                return Ok(at);
            }
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
