//! From an edge of an input through an alarm to an output, with the whole program: with its broker and network at
//! hand, and with no client and no network at all.
//!
//! An edge is when the kernel's interrupt is, which gpio-sim raises with the next tick of its clock. A second line of
//! the chip, pulled just before the input, tells that moment: its own edge is of the same interrupt. (Where a tick
//! falls between the two pulls, the time is too much by a tick.) The end is when sysfs shows the output's level.

use std::fs::File;
use std::net::TcpStream;
use std::os::unix::fs::FileExt;
use std::process::Command;
use std::time::{Duration, Instant};

use gpiocdev::line::EdgeDetection;

use crate::ear::Ear;
use crate::program::{monotonic, start, tell};
use crate::sim::Chip;
use crate::stage::PATIENCE;

/// How many edges are timed.
const EDGES: usize = 400;

/// How long it rests between two looks at the output.
const LOOK: Duration = Duration::from_micros(50);

const MARK: usize = 0;
const DOOR: usize = 1;
const FAN: usize = 2;

/// The loopback interface is down as long as this lives.
struct Down;

impl Down {
    fn new() -> Self {
        set_loopback("down");
        Self
    }
}

impl Drop for Down {
    fn drop(&mut self) {
        set_loopback("up");
    }
}

fn set_loopback(state: &str) {
    assert!(Command::new("ip").args(["link", "set", "lo", state]).status().unwrap().success());
}

/// The level of a line by sysfs, looked at often.
struct Watch(File);

impl Watch {
    fn new(chip: &Chip, line: usize) -> Self {
        Self(File::open(chip.value_file(line)).unwrap())
    }

    fn level(&self) -> bool {
        let mut text = [0];
        self.0.read_exact_at(&mut text, 0).unwrap();
        text == *b"1"
    }

    /// Looks until the level is there: when it was seen, and how long after the look before.
    fn until(&self, level: bool) -> (Duration, Duration) {
        let begun = Instant::now();
        let mut before = monotonic();
        while self.level() != level {
            assert!(begun.elapsed() < PATIENCE, "the output does not become {level}");
            before = monotonic();
            // There is one processor, and the host puts aside who takes all of it. Looking without a rest made the
            // input's edges late by 40 ms every two seconds.
            std::thread::sleep(LOOK);
        }
        let seen = monotonic();
        (seen, seen - before)
    }
}

#[test]
#[ignore = "runs in the user-mode kernel"]
fn an_edge_switches_an_output_of_the_program() {
    let chip = Chip::new("switched", &["MARK", "DOOR", "FAN"], None);
    let config = "
channels: { pins: { gpio: { chip: switched } } }
devices:
  board:
    channel: pins
    points:
      door: { gpio: DOOR }
      fan: { gpio: FAN, access: rw, safe: off }
alarms:
  open: { point: board/door, state: on, then: { board/fan: on } }
";
    let watch = Watch::new(&chip, FAN);
    // The line stands high until the program pulls it down: then the program runs.
    chip.pull(FAN, true);
    let (mut program, mqtt, _folder) = start(config);
    watch.until(false);
    // The first reading of the input is no edge.
    let mut ear = Ear::new(mqtt);
    ear.until("hil/board/door", |payload| payload.contains(r#""value":false"#));
    switch(&chip, &watch, "with a client");
    ear.until("hil/board/fan", |payload| payload.contains(r#""value":true"#));
    drop(ear);
    let down = Down::new();
    let reached = TcpStream::connect_timeout(&mqtt, Duration::from_millis(100));
    assert!(reached.is_err(), "the network is gone");
    switch(&chip, &watch, "no client, no network");
    drop(down);
    // What it has told since then, nobody heard; how it stands is heard by whoever comes.
    Ear::new(mqtt).until("hil/board/fan", |payload| payload.contains(r#""value":false"#));
    assert!(program.0.try_wait().unwrap().is_none(), "it still runs");
}

/// Makes edges one after the other; each must switch the output, and nothing else may.
fn switch(chip: &Chip, watch: &Watch, how: &str) {
    let found = gpiocdev::find_named_line("MARK").unwrap();
    let mut mark = gpiocdev::Request::builder();
    mark.with_found_line(&found).with_edge_detection(EdgeDetection::BothEdges);
    let mark = mark.request().unwrap();
    let (mut edges, mut pulls, mut gaps) = (Vec::new(), Vec::new(), Vec::new());
    for edge in 0..EDGES {
        let up = edge % 2 == 0;
        assert_eq!(watch.level(), !up, "the output has changed without an edge before edge {edge}");
        let pulled = monotonic();
        chip.pull(MARK, up);
        chip.pull(DOOR, up);
        assert!(mark.wait_edge_event(PATIENCE).unwrap(), "gpio-sim tells no edge {edge}");
        let marked = mark.read_edge_event().unwrap();
        let (seen, gap) = watch.until(up);
        edges.push(seen.saturating_sub(Duration::from_nanos(marked.timestamp_ns)));
        pulls.push(seen - pulled);
        gaps.push(gap);
    }
    assert!(!mark.has_edge_event().unwrap(), "one interrupt for each edge");
    tell(&format!("program: edge to alarm to output, {how}"), edges);
    tell("  the same from the pull on, with gpio-sim's own wait for a tick", pulls);
    tell("  between the last two looks at the output", gaps);
}
