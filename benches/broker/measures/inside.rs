//! Publishing inside the program, to one subscriber over TCP.
//!
//! A process of its own is broker and publisher; it tells its port on standard output and begins when it reads a
//! line. There is no baseline: no other broker is part of its publisher.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use iogate::broker::{Broker, Config, PublishOptions, QoS};
use rustix::time::{ClockId, clock_gettime};
use tokio_util::sync::CancellationToken;

use super::Setup;
use crate::Outcome;
use crate::figures::{Goal, Row};
use crate::flow::{self, Shape};
use crate::mqtt::STAMP;
use crate::wire::{Target, Through};

/// First argument of the process that is broker and publisher.
pub(crate) const CHILD: &str = "--inside";

const TOPICS: usize = 1_000;
/// Messages that are committed together.
const BATCH: usize = 200;

pub(crate) fn measure(setup: &Setup) -> Outcome<Vec<Row>> {
    let mut rows = Vec::new();
    for (name, qos, retain) in
        [("QoS 0", 0, false), ("QoS 0, retained", 0, true), ("QoS 1", 1, false), ("QoS 1, retained", 1, true)]
    {
        // About as long as the others' rounds.
        let per_topic = setup.time.as_millis() as u64 * if qos == 0 { 4 } else { 1 };
        let mut rounds = Vec::new();
        for _ in 0..setup.rounds {
            rounds.push(round(qos, retain, per_topic)?);
        }
        let figures = (rounds, Vec::new());
        rows.push(setup.row(format!("inside→1 {name}"), "msg/s", &figures, |flow| flow.per_s, Goal::None));
        let what = format!("inside→1 {name}, CPU with publishing");
        rows.push(setup.row(what, "µs/msg", &figures, |flow| flow.cpu_us, Goal::None));
    }
    Ok(rows)
}

fn round(qos: u8, retain: bool, per_topic: u64) -> Outcome<flow::Figures> {
    let mut child = Command::new(std::env::current_exe()?)
        .args([CHILD, &qos.to_string(), &retain.to_string(), &per_topic.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let figures = receive(&mut child, qos, per_topic);
    if figures.is_err() {
        child.kill()?;
    }
    let status = child.wait()?;
    if status.success() {
        figures
    } else {
        figures.and(Err(format!("the publishing process: {status}").into()))
    }
}

fn receive(child: &mut Child, qos: u8, per_topic: u64) -> Outcome<flow::Figures> {
    let (Some(mut input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
        return Err("the publishing process has no pipes".into());
    };
    let mut lines = BufReader::new(output).lines();
    let mut line = move || lines.next().ok_or("the publishing process ended")?.map_err(crate::Failure::from);
    let address: SocketAddr = line()?.parse()?;
    let shape = Shape { publishers: TOPICS, qos, ..Shape::one_to_one(qos) };
    let target = Target { address, through: Through::Nothing };
    let begin = || Ok(input.write_all(b"begin\n")?);
    let (messages, time) = flow::receive(&target, shape, per_topic, begin)?;
    input.write_all(b"end\n")?;
    let cpu_ns: u64 = line()?.parse()?;
    Ok(flow::Figures {
        per_s: messages as f64 / time.as_secs_f64(),
        cpu_us: cpu_ns as f64 / 1e3 / messages as f64,
    })
}

/// The process that is broker and publisher.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    let [qos, retain, per_topic] = arguments else { return Err("wants QoS, retain and a count".into()) };
    let qos = QoS::from_bits(qos.parse()?).ok_or("no such QoS")?;
    let options = PublishOptions { qos, retain: retain.parse()?, ..PublishOptions::default() };
    let per_topic = per_topic.parse()?;
    tokio::runtime::Runtime::new()?.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let (broker, stop) = (Broker::new(Config::default()), CancellationToken::new());
        println!("{}", listener.local_addr()?);
        let serving = tokio::spawn({
            let (broker, stop) = (broker.clone(), stop.clone());
            async move { broker.serve(listener, stop).await }
        });
        next_line().await?;
        let before = cpu_time();
        publish(&broker, &options, per_topic).await?;
        next_line().await?;
        println!("{}", (cpu_time() - before).as_nanos());
        stop.cancel();
        Ok(serving.await?)
    })
}

async fn next_line() -> Outcome {
    tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new())).await??;
    Ok(())
}

/// Publishes in batches, waiting where the subscriber is behind.
async fn publish(broker: &Broker, options: &PublishOptions<'_>, per_topic: u64) -> Outcome {
    let mut publisher = broker.publisher("bench");
    let names = (0..TOPICS).map(|number| Shape::one_to_one(0).topic(number));
    let topics = names.map(|name| publisher.topic(&name)).collect::<Result<Vec<_>, _>>()?;
    let mut payload = [b'x'; 100];
    for number in 0..per_topic {
        payload[4..STAMP].copy_from_slice(&number.to_be_bytes());
        for first in (0..TOPICS).step_by(BATCH) {
            let mut batch = publisher.batch();
            for (index, topic) in topics.iter().enumerate().skip(first).take(BATCH) {
                payload[..4].copy_from_slice(&(index as u32).to_be_bytes());
                batch.publish(topic, &payload, options);
            }
            if batch.commit().wait {
                publisher.ready().await;
            } else {
                tokio::task::yield_now().await;
            }
        }
    }
    Ok(())
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.try_into().unwrap_or_default())
}
