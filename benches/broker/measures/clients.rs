//! Many clients at once: they connect, they log in, they say nothing.

use std::io::{self, Read, Write};
use std::thread;
use std::time::{Duration, Instant};

use super::{Setup, Side};
use crate::crowd::{Crowd, Manner, begin};
use crate::figures::{Goal, Row, ms, percentile};
use crate::readiness::Readiness;
use crate::servers::{LOGIN, Serving};
use crate::wire::Target;
use crate::{Failure, Outcome, mqtt, probe};

/// Clients of the storm, and the seconds in which they are to be served.
const STORM: (usize, f64) = (5_000, 2.0);
/// Clients that log in at once.
const LOGINS: usize = 1_000;
/// Connections that never finish a CONNECT, and when they are to be gone, in seconds.
const HALF_OPEN: (usize, f64) = (1_000, 11.0);
/// How long a round waits for them.
const PATIENCE: Duration = Duration::from_secs(15);

/// Until the last of 5,000 clients has its CONNACK, and its SUBACK.
pub(crate) fn storm(setup: &Setup) -> Outcome<Vec<Row>> {
    let mut rows = Vec::new();
    for (what, subscribes) in [("connect", false), ("connect and subscribe", true)] {
        let figures = setup.alternate(|side| {
            let broker = setup.start(side, Serving::Plain)?;
            let manner = Manner { login: None, subscribes };
            Ok(Crowd::default().add(broker.target.address, STORM.0, manner)?.as_secs_f64())
        })?;
        let what = format!("5,000 clients {what} at once");
        rows.push(setup.row(what, "s", &figures, |&seconds| seconds, Goal::AtMost(STORM.1)));
    }
    Ok(rows)
}

/// Until the last of 1,000 clients with user name and password has its CONNACK: the first time, when the
/// password has to be hashed, and once more.
pub(crate) fn login(setup: &Setup) -> Outcome<Vec<Row>> {
    let manner = Manner { login: Some(LOGIN), subscribes: false };
    let figures = setup.alternate(|side| {
        let broker = setup.start(side, Serving::Users)?;
        Ok(Crowd::default().add(broker.target.address, LOGINS, manner)?.as_secs_f64())
    })?;
    Ok(vec![setup.row("1,000 clients log in at once", "s", &figures, |&seconds| seconds, Goal::None)])
}

/// What others feel of 1,000 connections that send nothing or half a CONNECT, and when those are gone.
/// Mosquitto is not asked: it waits for a minute and a half.
pub(crate) fn half_open(setup: &Setup) -> Outcome<Vec<Row>> {
    let mut rounds = Vec::new();
    for _ in 0..setup.rounds {
        let broker = setup.start(Side::Iogate, Serving::Plain)?;
        let alone = probe::run(&broker.target, Duration::from_secs(10))?;
        let (gone, beside) = thread::scope(|scope| {
            let crowd = scope.spawn(|| until_gone(&broker.target));
            let beside = probe::run(&broker.target, Duration::from_secs(10));
            Ok::<_, Failure>((crowd.join().map_err(|_| "the half-open clients' thread panicked")??, beside?))
        })?;
        rounds.push((gone, percentile(&alone, 0.99), percentile(&beside, 0.99)));
    }
    let figures = (rounds, Vec::new());
    let goal = Goal::AtMost(HALF_OPEN.1);
    Ok(vec![
        setup.row("1,000 half-open clients gone after", "s", &figures, |round| round.0.as_secs_f64(), goal),
        setup.row("p99 of others before", "µs", &figures, |round| round.1, Goal::None),
        setup.row("p99 of others meanwhile", "µs", &figures, |round| round.2, Goal::None),
    ])
}

/// Opens the connections and returns when the broker has closed the last one.
fn until_gone(target: &Target) -> Outcome<Duration> {
    let (readiness, began) = (Readiness::new()?, Instant::now());
    let greeting = mqtt::connect("half", None, false);
    let mut sockets = Vec::new();
    for number in 0..HALF_OPEN.0 {
        let socket = begin(target.address)?;
        readiness.add(number, &socket, true)?;
        sockets.push(Some(socket));
    }
    let mut left = sockets.len();
    while left > 0 && began.elapsed() < PATIENCE {
        for ready in readiness.wait(Duration::from_millis(100))? {
            let Some(socket) = &mut sockets[ready.number] else { continue };
            if ready.writable {
                readiness.change(ready.number, socket, false)?;
                if ready.number % 2 == 1 {
                    socket.write_all(&greeting[..greeting.len() / 2])?;
                }
            }
            let gone = match socket.read(&mut [0; 16]) {
                Ok(count) => count == 0,
                Err(error) => error.kind() != io::ErrorKind::WouldBlock,
            };
            if ready.readable && gone {
                sockets[ready.number] = None;
                left -= 1;
            }
        }
    }
    match left {
        0 => Ok(began.elapsed()),
        _ => {
            Err(format!("{left} half-open connections are still there after {} ms", ms(began.elapsed()))
                .into())
        }
    }
}
