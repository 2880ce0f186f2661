//! Measures the gateway as a process of its own, against a raw tokio-modbus loop and the same loop with
//! rumqttc and Mosquitto. What is measured and how: docs/benchmarks.md.
//!
//! Run: `cargo bench --bench gateway -- [--quick] [--iogate PROGRAM] [MEASURE…]`. Rounds of gateway and
//! baseline alternate. It fails when something cannot be measured, never because a figure is bad.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "the result of a bench is what it prints")]

#[path = "common/command.rs"]
mod command;
#[path = "gateway/device.rs"]
mod device;
#[path = "common/figures.rs"]
#[allow(dead_code, reason = "the benches share it, and each uses its part")]
mod figures;
#[path = "gateway/line.rs"]
mod line;
#[path = "gateway/measures/mod.rs"]
mod measures;
#[path = "common/mosquitto.rs"]
#[allow(dead_code, reason = "the benches share it, and each uses its part")]
mod mosquitto;
#[path = "gateway/plant.rs"]
mod plant;
#[path = "common/process.rs"]
#[allow(dead_code, reason = "the benches share it, and each uses its part")]
mod process;
#[path = "gateway/raw_loop.rs"]
mod raw_loop;
#[path = "gateway/subscriber.rs"]
mod subscriber;

use std::process::ExitCode;

use command::{Asked, load, machine};
use figures::Row;
use measures::{MEASURES, Setup};

/// What a measurement returns: an error is a measurement that could not be made.
pub(crate) type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// First argument of the process that runs the baseline.
pub(crate) const RAW_LOOP: &str = "--raw-loop";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.split_first() {
        Some((first, rest)) if first == RAW_LOOP => raw_loop::run(rest),
        // Test runners ask every target for its list of tests; there are none.
        _ if arguments.iter().any(|argument| argument == "--list") => Ok(()),
        _ => wanted(arguments).and_then(|(setup, asked)| run(&setup, &asked)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn wanted(arguments: Vec<String>) -> Outcome<(Setup, Asked)> {
    let names = MEASURES.map(|(name, _)| name);
    let asked = Asked::parse(arguments, &names, &["--iogate"])?;
    let program = asked.option("--iogate").unwrap_or(env!("CARGO_BIN_EXE_iogate")).into();
    let setup = if asked.quick { Setup::quick(program) } else { Setup::full(program) };
    Ok((setup, asked))
}

fn run(setup: &Setup, asked: &Asked) -> Outcome {
    println!("{}", machine());
    println!("{setup}");
    let mut rows: Vec<Row> = Vec::new();
    for (name, measure) in MEASURES.iter().filter(|(name, _)| asked.wants(name)) {
        println!("{name} … (load {})", load());
        let new = measure(setup).map_err(|error| format!("{name}: {error}"))?;
        println!("{}", figures::table(&new, "gateway"));
        rows.extend(new);
    }
    println!("All: median (lowest…highest) of the rounds\n\n{}", figures::table(&rows, "gateway"));
    Ok(())
}
