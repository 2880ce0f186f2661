//! Measures the gateway as a process of its own, against a raw tokio-modbus loop and the same loop with
//! rumqttc and Mosquitto. What is measured and how: docs/benchmarks.md.
//!
//! Run: `cargo bench --bench gateway -- [--quick] [--iogate PROGRAM] [MEASURE…]`. Rounds of gateway and
//! baseline alternate. It fails when something cannot be measured, never because a figure is bad.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "the result of a bench is what it prints")]

#[path = "gateway/device.rs"]
mod device;
#[path = "gateway/figures.rs"]
mod figures;
#[path = "gateway/line.rs"]
mod line;
#[path = "gateway/measures/mod.rs"]
mod measures;
#[path = "gateway/mosquitto.rs"]
mod mosquitto;
#[path = "gateway/plant.rs"]
mod plant;
#[path = "gateway/process.rs"]
mod process;
#[path = "gateway/raw_loop.rs"]
mod raw_loop;
#[path = "gateway/subscriber.rs"]
mod subscriber;

use std::path::PathBuf;
use std::process::ExitCode;

use figures::Row;
use measures::{MEASURES, Setup};

/// What a measurement returns: an error is a measurement that could not be made.
pub(crate) type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// First argument of the process that runs the baseline.
pub(crate) const RAW_LOOP: &str = "--raw-loop";

/// What the command line asks for.
struct Wanted {
    setup: Setup,
    measures: Vec<String>,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.split_first() {
        Some((first, rest)) if first == RAW_LOOP => raw_loop::run(rest),
        // Test runners ask every target for its list of tests; there are none.
        _ if arguments.iter().any(|argument| argument == "--list") => Ok(()),
        _ => wanted(arguments).and_then(|wanted| run(&wanted)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn wanted(arguments: Vec<String>) -> Outcome<Wanted> {
    let mut setup = Setup::full(PathBuf::from(env!("CARGO_BIN_EXE_iogate")));
    let mut measures = Vec::new();
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            // What cargo itself adds.
            "--bench" => {}
            "--quick" => setup = Setup::quick(setup.program),
            "--iogate" => setup.program = arguments.next().ok_or("--iogate needs a program")?.into(),
            name if MEASURES.iter().any(|(known, _)| *known == name) => measures.push(argument),
            _ => {
                let names: Vec<_> = MEASURES.iter().map(|(name, _)| *name).collect();
                return Err(format!(
                    "`{argument}` is neither --quick, --iogate nor one of {}",
                    names.join(", ")
                )
                .into());
            }
        }
    }
    Ok(Wanted { setup, measures })
}

fn run(wanted: &Wanted) -> Outcome {
    println!("{}", machine());
    println!("{}", wanted.setup);
    let mut rows: Vec<Row> = Vec::new();
    let asked = |name: &str| wanted.measures.is_empty() || wanted.measures.iter().any(|asked| asked == name);
    for (name, measure) in MEASURES.iter().filter(|(name, _)| asked(name)) {
        println!("{name} … (load {})", load());
        let new = measure(&wanted.setup).map_err(|error| format!("{name}: {error}"))?;
        println!("{}", figures::table(&new));
        rows.extend(new);
    }
    println!("All: median (lowest…highest) of the rounds\n\n{}", figures::table(&rows));
    Ok(())
}

fn machine() -> String {
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{cpus} cores of {}, Linux {}", model.map_or("an unknown kind", |(_, name)| name), kernel.trim())
}

/// Processes that ran or wanted to in the last minute: what else the machine was doing.
fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}
