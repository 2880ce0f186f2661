//! Measures the broker as a process of its own against Mosquitto. What is measured and how:
//! docs/benchmarks.md.
//!
//! Run: `cargo bench --bench broker -- [--quick] [--rounds N] [--iogate PROGRAM] [--against PROGRAM]
//! [MEASURE…]`. Rounds of both alternate. It fails when something cannot be measured or a message is lost,
//! doubled or out of order, never because a figure is bad.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "the result of a bench is what it prints")]

#[path = "../common/command.rs"]
mod command;
mod crowd;
#[path = "../common/figures.rs"]
#[allow(dead_code, reason = "the benches share it, and each uses its part")]
mod figures;
mod flow;
mod measures;
#[path = "../common/mosquitto.rs"]
#[allow(dead_code, reason = "the benches share it, and each uses its part")]
mod mosquitto;
mod mqtt;
mod probe;
#[path = "../common/process.rs"]
#[allow(dead_code, reason = "the benches share it, and each uses its part")]
mod process;
mod readiness;
mod servers;
mod wire;

use std::process::ExitCode;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use command::{Asked, load, machine};
use figures::Row;
use measures::{MEASURES, Setup, inside};

/// Why a measurement could not be made.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What a measurement returns.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.split_first() {
        Some((first, rest)) if first == inside::CHILD => inside::run(rest),
        // Test runners ask every target for its list of tests; there are none.
        _ if arguments.iter().any(|argument| argument == "--list") => Ok(()),
        _ => run(arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Vec<String>) -> Outcome {
    let names = MEASURES.map(|(name, _)| name);
    let asked = Asked::parse(arguments, &names, &["--rounds", "--iogate", "--against"])?;
    let setup = Setup::new(&asked)?;
    more_files()?;
    println!("{}\n{setup}", machine());
    let mut rows: Vec<Row> = Vec::new();
    for (name, measure) in MEASURES.iter().filter(|(name, _)| asked.wants(name)) {
        println!("{name} … (load {})", load());
        let new = measure(&setup).map_err(|error| format!("{name}: {error}"))?;
        println!("{}", figures::table(&new, "iogate"));
        rows.extend(new);
    }
    println!(
        "All: median (lowest…highest) of the rounds (load {})\n\n{}",
        load(),
        figures::table(&rows, "iogate")
    );
    Ok(())
}

/// Thousands of connections need as many file descriptors, here and in the brokers, which inherit the limit.
fn more_files() -> Outcome {
    let limit = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?)
}
