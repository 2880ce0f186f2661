//! What the gateway spends on the buses of its machine: edges of a GPIO line and sensors on I2C.
//!
//! Run as root: `cargo bench --bench field -- [--quick] [--iogate PROGRAM]`. A machine that has neither is made to have
//! them: the gateway, as a process of its own, gets a `/dev` of its own and `field/buses.c` in the place of the kernel's
//! drivers; everything from the drivers' system calls to an MQTT client on a TCP connection is real. docs/benchmarks.md
//! says what is measured. It fails when something cannot be measured, never because a figure is bad.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "the result of a bench is what it prints")]

#[path = "common/command.rs"]
#[allow(dead_code, reason = "the benches share it, and each uses its part")]
mod command;
#[path = "common/figures.rs"]
#[allow(dead_code, reason = "the benches share it, and each uses its part")]
mod figures;
#[path = "common/process.rs"]
#[allow(dead_code, reason = "the benches share it, and each uses its part")]
mod process;
#[path = "gateway/subscriber.rs"]
#[allow(dead_code, reason = "the benches share it, and each uses its part")]
mod subscriber;

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use command::{Asked, load, machine};
use figures::{Goal, Row};
use process::{Process, free_address};
use subscriber::Subscriber;

/// First argument of the process that is the baseline.
const RELAY: &str = "--relay";

/// What a measurement returns: an error is a measurement that could not be made.
pub(crate) type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Edges in a second.
const EDGES: u32 = 200;
/// Buses, of two sensors each: an SHT3x has two addresses.
const BUSES: usize = 25;
/// How long everything may take to be there.
const PATIENCE: Duration = Duration::from_secs(20);
/// What of one core is to be spent at the most, in percent.
const GOAL: f64 = 2.0;

/// What the gateway has to do.
#[derive(Debug, Clone, Copy)]
struct Task {
    name: &'static str,
    edges: bool,
    sensors: bool,
    goal: Goal,
}

const TASKS: [Task; 4] = [
    Task { name: "idle", edges: false, sensors: false, goal: Goal::None },
    Task { name: "200 edges/s", edges: true, sensors: false, goal: Goal::None },
    Task { name: "50 sensors every second", edges: false, sensors: true, goal: Goal::None },
    Task { name: "both", edges: true, sensors: true, goal: Goal::AtMost(GOAL) },
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.first().map(String::as_str) {
        Some(RELAY) => relay(&arguments[1..]),
        // Test runners ask every target for its list of tests; there are none.
        _ if arguments.iter().any(|argument| argument == "--list") => Ok(()),
        _ => Asked::parse(arguments, &[], &["--iogate"]).and_then(|asked| run(&asked)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(asked: &Asked) -> Outcome {
    if !rustix::process::getuid().is_root() {
        return Err("it needs root, for a /dev of its own".into());
    }
    println!("{}, load {}; a thread woken and heard of again: {:.0} µs", machine(), load(), wake()?);
    let folder = tempfile::tempdir()?;
    let program = asked.option("--iogate").unwrap_or(env!("CARGO_BIN_EXE_iogate"));
    let buses = folder.path().join("buses.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/field/buses.c");
    let built =
        Command::new("cc").args(["-shared", "-fPIC", "-O2", "-o"]).arg(&buses).arg(source).status()?;
    if !built.success() {
        return Err("benches/field/buses.c could not be built".into());
    }
    let (rounds, time) = if asked.quick { (1, Duration::from_secs(3)) } else { (3, Duration::from_secs(20)) };
    let mut rows = Vec::new();
    for task in TASKS {
        let (mut shares, mut bare, mut rates) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..rounds {
            let (share, rate) = measure(program, folder.path(), task, time)?;
            shares.push(share);
            rates.push(rate);
            if task.edges && !task.sensors {
                bare.push(measure_relay(folder.path(), task, time)?);
            }
        }
        let against = if bare.is_empty() { "" } else { "poll, read, send in one thread" };
        let what = format!("{}: of one core", task.name);
        rows.push(Row { what, unit: "%", ours: shares, baseline: bare, against, goal: task.goal });
        let what = format!("{}: messages to the client", task.name);
        rows.push(Row { what, unit: "/s", ours: rates, baseline: Vec::new(), against: "", goal: Goal::None });
    }
    println!("{}", figures::table(&rows, "gateway"));
    Ok(())
}

/// What waking costs on this machine, in microseconds: a byte to a thread that sleeps and back, 5 ms after the one
/// before, as edges come; the median.
fn wake() -> Outcome<f64> {
    let (mut there, back) = std::os::unix::net::UnixStream::pair()?;
    let echo = std::thread::spawn(move || std::io::copy(&mut &back, &mut &back));
    let mut times = Vec::new();
    for _ in 0..2 * EDGES {
        std::thread::sleep(Duration::from_secs(1) / EDGES);
        let begun = Instant::now();
        there.write_all(b"e")?;
        there.read_exact(&mut [0])?;
        times.push(begun.elapsed());
    }
    drop(there);
    echo.join().map_err(|_| "the echo failed")??;
    times.sort_unstable();
    Ok(times[times.len() / 2].as_secs_f64() * 1e6)
}

/// The share of one core in percent, and messages in a second.
fn measure(program: &str, folder: &Path, task: Task, time: Duration) -> Outcome<(f64, f64)> {
    let broker = free_address()?;
    let edges = folder.join("edges");
    let mut pipe = line(&edges)?;
    let config = folder.join("iogate.yaml");
    fs::write(&config, configuration(broker, task))?;
    let mut gateway = start(program, folder, &config, &edges)?;
    let subscriber = Subscriber::count(broker, "#", 0, PATIENCE)?;
    // The status topics, and one value of every point.
    let points = if task.sensors { 4 * BUSES } else { 0 } + usize::from(task.edges);
    subscriber.wait_for(points as u64, PATIENCE)?;
    let mut edge = 0;
    // The first second is the start's.
    drive(&mut pipe, &mut edge, task, Duration::from_secs(1))?;
    let (before, had, begun) = (process::cpu_ns(&mut [&mut gateway])?, subscriber.received(), Instant::now());
    drive(&mut pipe, &mut edge, task, time)?;
    let (spent, passed) = (process::cpu_ns(&mut [&mut gateway])? - before, begun.elapsed());
    let messages = (subscriber.received() - had) as f64;
    let wanted =
        f64::from(u8::from(task.edges)) * f64::from(EDGES) + f64::from(u8::from(task.sensors)) * 100.0;
    if messages < 0.95 * wanted * passed.as_secs_f64() {
        return Err(format!("{}: only {messages} messages in {passed:?}", task.name).into());
    }
    Ok((100.0 * spent as f64 / passed.as_nanos() as f64, messages / passed.as_secs_f64()))
}

/// What any program would spend on the edges at least: one thread that polls, reads and sends.
fn measure_relay(folder: &Path, task: Task, time: Duration) -> Outcome<f64> {
    let edges = folder.join("edges");
    let mut pipe = line(&edges)?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(RELAY).arg(&edges).arg(listener.local_addr()?.to_string());
    let mut process = Process::start(&mut command)?;
    let (mut client, _) = listener.accept()?;
    let reader = std::thread::spawn(move || std::io::copy(&mut client, &mut std::io::sink()));
    let mut edge = 0;
    drive(&mut pipe, &mut edge, task, Duration::from_secs(1))?;
    let (before, begun) = (process::cpu_ns(&mut [&mut process])?, Instant::now());
    drive(&mut pipe, &mut edge, task, time)?;
    let (spent, passed) = (process::cpu_ns(&mut [&mut process])? - before, begun.elapsed());
    drop(process);
    let heard = reader.join().map_err(|_| "the client failed")??;
    if heard < u64::from(edge) * 48 * 95 / 100 {
        return Err(format!("the relay sent only {heard} bytes").into());
    }
    Ok(100.0 * spent as f64 / passed.as_nanos() as f64)
}

/// The baseline's process, until it is ended.
fn relay(arguments: &[String]) -> Outcome {
    let [edges, address] = arguments else { return Err("--relay PIPE ADDRESS".into()) };
    let mut pipe = File::open(edges)?;
    let mut client = TcpStream::connect(address)?;
    client.set_nodelay(true)?;
    let mut events = [0; 64 * 48];
    loop {
        let mut ready = [rustix::event::PollFd::new(&pipe, rustix::event::PollFlags::IN)];
        rustix::event::poll(&mut ready, None)?;
        match pipe.read(&mut events)? {
            0 => return Ok(()),
            count => client.write_all(&events[..count])?,
        }
    }
}

/// A new pipe in the place of the line, open on both sides so that neither waits for the other.
fn line(edges: &Path) -> Outcome<File> {
    // What a round before has left in it is nothing to this one.
    let _ = fs::remove_file(edges);
    rustix::fs::mknodat(rustix::fs::CWD, edges, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0)?;
    Ok(OpenOptions::new().read(true).write(true).open(edges)?)
}

fn configuration(broker: SocketAddr, task: Task) -> String {
    let (mut channels, mut devices) = (String::new(), String::new());
    if task.edges {
        channels.push_str("  pins: { gpio: {} }\n");
        devices.push_str("  board: { channel: pins, points: { door: { gpio: EDGE } } }\n");
    }
    for bus in (0..BUSES).filter(|_| task.sensors) {
        // Writing to a String cannot fail.
        let _ = writeln!(channels, "  bus-{bus}: {{ i2c: {{ bus: /dev/i2c-{bus} }} }}");
        for address in ["0x44", "0x45"] {
            let _ = writeln!(
                devices,
                "  room-{bus}-{address}: {{ channel: bus-{bus}, i2c-chip: sht3x, i2c-address: {address}, \
                 points: {{ t: {{ i2c: temperature }}, rh: {{ i2c: humidity }} }} }}"
            );
        }
    }
    let sections = match channels.is_empty() {
        true => String::new(),
        false => format!("channels:\n{channels}devices:\n{devices}"),
    };
    format!(
        "site: bench\nbroker: {{ listen: \"{broker}\" }}\nweb: {{ enabled: off }}\ndefaults: {{ poll: 1s }}\n{sections}"
    )
}

/// Starts the gateway with a `/dev` in which the buses are.
fn start(program: &str, folder: &Path, config: &Path, edges: &Path) -> Outcome<Process> {
    let script = format!(
        "mount -t tmpfs none /dev && mknod /dev/null c 1 3 && touch /dev/gpiochip0 /dev/i2c-{{0..{}}} && \
         LD_PRELOAD='{}' exec \"$@\"",
        BUSES - 1,
        folder.join("buses.so").display()
    );
    let program = fs::canonicalize(program)?;
    let mut command = Command::new("unshare");
    command.args(["-m", "bash", "-c", &script, "bash"]).arg(program).arg("run").arg("-c").arg(config);
    Process::start(command.env("IOGATE_BENCH_EDGES", edges).env("RUST_LOG", "error"))
}

/// Lets edges come for so long, at their times; without edges the time passes.
fn drive(pipe: &mut File, edge: &mut u32, task: Task, time: Duration) -> Outcome {
    let begun = Instant::now();
    if !task.edges {
        std::thread::sleep(time);
        return Ok(());
    }
    let first = *edge;
    while begun.elapsed() < time {
        *edge += 1;
        pipe.write_all(&event(*edge))?;
        let next = begun + Duration::from_secs(1) * (*edge - first) / EDGES;
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    Ok(())
}

/// `struct gpio_v2_line_event` (linux/gpio.h): time, rising or falling, offset, number, number on its line.
fn event(number: u32) -> [u8; 48] {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let ns = now.tv_sec.cast_unsigned() * 1_000_000_000 + now.tv_nsec.cast_unsigned();
    let mut event = [0; 48];
    event[..8].copy_from_slice(&ns.to_ne_bytes());
    event[8..12].copy_from_slice(&(1 + number % 2).to_ne_bytes());
    event[16..20].copy_from_slice(&number.to_ne_bytes());
    event[20..24].copy_from_slice(&number.to_ne_bytes());
    event
}
