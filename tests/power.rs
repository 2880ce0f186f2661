//! Power cuts: `iogate broker --durability power` on an ext4 disk of a user-mode kernel that is killed at random
//! moments. What was acknowledged is there after the next boot, in order, and at QoS 2 once.
//!
//! A few cuts here; `IOGATE_POWER_CUTS=40 cargo test --test power -- --nocapture` makes as many as wanted, about
//! two seconds each. `IOGATE_POWER_LEVEL=process` shows that the cuts are real: acknowledged messages are lost then,
//! and the test fails. Needs root and the kernel (tests/kernel.sh); without them it says that it did not run.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends at once")]

#[path = "broker_data/client.rs"]
#[allow(dead_code, reason = "shared with broker_data")]
mod client;
#[path = "power/machine.rs"]
mod machine;
#[path = "broker_data/process.rs"]
#[allow(dead_code, reason = "shared with broker_data")]
mod process;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use client::{Client, Open};
use machine::{Machine, kernel, make_disk, say};
use process::Running;

/// Cuts between two looks at what the subscriber gets.
const CUTS_PER_LOOK: u32 = 5;

/// Messages per cut and QoS, at most: what waits must fit into one session's queue.
const BURST: u32 = 3_000;

/// Numbers from here on are those of messages that come last.
const LAST: u32 = 1 << 31;

/// Longest boot, or pause in what the machine says.
const PATIENCE: Duration = Duration::from_secs(60);

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

/// What the publishers were told, as far as the world outside of the machine has heard of it.
#[derive(Default)]
struct Told {
    /// The next numbers at QoS 1 and 2 that were surely never sent.
    next: [u32; 2],
    acked: BTreeSet<u32>,
    open: BTreeMap<u32, Open>,
    done: BTreeSet<u32>,
    /// What the subscriber got at QoS 2.
    got: BTreeSet<u32>,
    looks: u32,
}

impl Told {
    fn take(&mut self, line: &str) {
        let (what, number) = line.split_once(' ').unwrap_or((line, ""));
        let number = || number.parse::<u32>().unwrap();
        match what {
            "next1" => self.next[0] = number(),
            "acked" => drop(self.acked.insert(number())),
            "next2" => {
                self.open.extend((self.next[1]..number()).map(|number| (number, Open::Published)));
                self.next[1] = number();
            }
            "released" => drop(self.open.insert(number(), Open::Released)),
            "done" => {
                self.open.remove(&number());
                self.done.insert(number());
            }
            "up" => {}
            other => panic!("the machine says: {other}"),
        }
    }

    fn open_text(&self) -> String {
        let item = |(number, open): (&u32, &Open)| format!("{number}:{}", u8::from(*open == Open::Released));
        self.open.iter().map(item).collect::<Vec<_>>().join(",")
    }

    fn variables(&self, role: &str) -> Vec<(&'static str, String)> {
        let level = std::env::var("IOGATE_POWER_LEVEL").unwrap_or_else(|_| "power".into());
        vec![
            ("ROLE", role.into()),
            ("LEVEL", level),
            ("NEXT1", self.next[0].to_string()),
            ("NEXT2", self.next[1].to_string()),
            ("OPEN", self.open_text()),
            // Of topic 3, as its number says.
            ("LAST", (LAST + 3 + 4 * self.looks).to_string()),
        ]
    }
}

#[test]
fn nothing_that_was_acknowledged_is_lost_when_the_power_fails() {
    let Some(kernel) = kernel().filter(|_| rustix::process::geteuid().is_root()) else {
        return eprintln!("not run: needs root and a user-mode kernel (bash tests/kernel.sh)");
    };
    let cuts: u32 = variable("IOGATE_POWER_CUTS").parse().unwrap_or(3);
    let folder = tempfile::tempdir().unwrap();
    make_disk(&folder.path().join("disk"));
    let mut random = fastrand::Rng::with_seed(23);
    let (mut told, mut checked) = (Told::default(), 0);
    look(&kernel, folder.path(), &mut told);
    for number in 1..=cuts {
        publish_until_cut(&kernel, folder.path(), &mut told, &mut random);
        if number % CUTS_PER_LOOK == 0 || number == cuts {
            checked += look(&kernel, folder.path(), &mut told);
            println!("{number} power cuts: {checked} acknowledged messages, none lost");
        }
    }
    assert!(checked > 10 * cuts as usize, "{checked}");
}

/// Boots, publishes, and cuts the power at some moment: now and then while it starts.
fn publish_until_cut(kernel: &Path, folder: &Path, told: &mut Told, random: &mut fastrand::Rng) {
    let mut machine = Machine::boot(kernel, folder, &told.variables("publish"));
    let start = Instant::now();
    let early = random.u8(..5) == 0;
    let mut cut_at = start + if early { Duration::from_millis(random.u64(..1_500)) } else { PATIENCE };
    let mut counting = early;
    while let Some(line) = machine.line(cut_at) {
        told.take(&line);
        if !counting && line.starts_with("acked") {
            counting = true;
            cut_at = Instant::now() + Duration::from_millis(random.u64(..1_000));
        }
    }
    assert!(counting, "nothing was acknowledged: {:#?}", machine.transcript);
    for line in machine.cut() {
        told.take(&line);
    }
}

/// Boots, completes what is open, and lets the subscriber take everything. Returns how many messages had been
/// acknowledged.
fn look(kernel: &Path, folder: &Path, told: &mut Told) -> usize {
    let mut machine = Machine::boot(kernel, folder, &told.variables("look"));
    let mut seen: Vec<(u8, u32)> = Vec::new();
    loop {
        let line = machine.line(Instant::now() + PATIENCE);
        let line = line.unwrap_or_else(|| panic!("silence: {:#?}", machine.transcript));
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["got", qos, number] => seen.push((qos.parse().unwrap(), number.parse().unwrap())),
            ["end"] => break,
            _ => told.take(&line),
        }
    }
    machine.cut();
    let unique: BTreeSet<_> = seen.iter().copied().collect();
    let lost = |qos, numbers: &BTreeSet<u32>| {
        numbers.iter().filter(|&&number| !unique.contains(&(qos, number))).count()
    };
    let lost = (lost(1, &told.acked), lost(2, &told.done));
    assert_eq!(lost, (0, 0), "acknowledged messages lost, at QoS 1 and 2, of {:?}", told.next);
    for qos in [1, 2] {
        for topic in 0..4 {
            let of_topic = seen.iter().filter(|(of, number)| *of == qos && number % 4 == topic);
            assert!(
                of_topic.is_sorted_by(|a, b| a < b),
                "QoS {qos}, topic {topic}: lost order or came twice"
            );
        }
    }
    for (_, number) in seen.iter().filter(|(qos, _)| *qos == 2) {
        assert!(told.got.insert(*number), "QoS 2: {number} came again after a cut");
    }
    told.looks += 1;
    let checked = told.acked.len() + told.done.len();
    told.acked.clear();
    told.done.clear();
    checked
}

#[test]
#[ignore = "runs inside of the machine, by the test above"]
fn inside_the_machine() {
    let broker = Running::start(Path::new("/run/data/broker"), &variable("LEVEL"));
    say(format_args!("up"));
    let number = |name: &str| variable(name).parse::<u32>().unwrap();
    let open = variable("OPEN");
    let open = open.split(',').filter_map(|item| item.split_once(':'));
    let state = |text| if text == "1" { Open::Released } else { Open::Published };
    let mut open: BTreeMap<u32, Open> =
        open.map(|(number, text)| (number.parse().unwrap(), state(text))).collect();
    let (mut next1, mut next2) = (number("NEXT1"), number("NEXT2"));
    if variable("ROLE") == "look" {
        exchange(broker.port, &mut next2, &mut open, 0);
        take(broker.port, number("LAST"));
        return say(format_args!("end"));
    }
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut acked = 0;
            // Nothing beyond this is sent before it is said.
            say(format_args!("next1 {}", next1 + BURST + 20));
            let mut one = Client::connect(broker.port, "pub", true).unwrap();
            let enough = |number: Option<u32>| {
                if let Some(number) = number {
                    acked += 1;
                    say(format_args!("acked {number}"));
                }
                acked >= BURST
            };
            one.flood(&mut next1, 20, enough).unwrap();
        });
        scope.spawn(|| exchange(broker.port, &mut next2, &mut open, BURST));
    });
}

/// Publishes at QoS 2, beginning with what is open, and says how far each message has come.
fn exchange(port: u16, next: &mut u32, open: &mut BTreeMap<u32, Open>, most: u32) {
    let end = *next + most;
    let mut two = Client::connect(port, "pub2", false).unwrap();
    two.resend(open).unwrap();
    while *next < end || !open.is_empty() {
        let window = if *next < end { 20 } else { 0 };
        if open.len() < window {
            say(format_args!("next2 {}", *next + (window - open.len()) as u32));
        }
        let before = open.clone();
        two.exchange(next, open, window).unwrap();
        for (number, state) in before {
            match open.get(&number) {
                None => say(format_args!("done {number}")),
                Some(Open::Released) if state == Open::Published => say(format_args!("released {number}")),
                Some(_) => {}
            }
        }
    }
}

/// Takes everything that waits, up to a last message that is published for the purpose.
fn take(port: u16, last_number: u32) {
    let mut sub = Client::connect(port, "sub", false).unwrap();
    if !sub.present {
        sub.subscribe("t1/+", 1).unwrap();
        sub.subscribe("t2/+", 2).unwrap();
    }
    let mut last = Client::connect(port, "last", true).unwrap();
    last.publish_acked(1, "t1/3", last_number.to_string().as_bytes(), false).unwrap();
    let seen = sub.take_all(BTreeSet::from([(1, last_number)])).unwrap();
    for (qos, number) in seen.iter().filter(|(_, number)| *number < LAST) {
        say(format_args!("got {qos} {number}"));
    }
    sub.disconnect();
}
