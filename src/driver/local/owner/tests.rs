//! The owner over a bus whose devices do what the test says.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError, mpsc};

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::bus::{Bus as ReadingBus, Subscription};
use crate::driver::WriteJob;
use crate::driver::entry::RawForm;
use crate::driver::local::{Device, Step, Work};
use crate::model::{Access, CommandId, Conversion, Outcome, PointTable, Quality, Value};

type Script = Arc<Mutex<Vec<VecDeque<Step>>>>;

/// Does what is next in each device's script, and the last of it for ever; notes what is written.
struct Scripted {
    script: Script,
    written: mpsc::Sender<(usize, Value)>,
}

impl Bench for Scripted {
    fn read(&mut self, device: usize, points: &[usize]) -> Step {
        let mut scripts = self.script.lock().unwrap_or_else(PoisonError::into_inner);
        let script = &mut scripts[device];
        let step = if script.len() > 1 { script.pop_front() } else { script.front().cloned() };
        match step.unwrap() {
            Step::Done(results) => Step::Done(results.into_iter().cycle().take(points.len()).collect()),
            later => later,
        }
    }

    fn write(&mut self, device: usize, _: usize, raw: &Value) -> Result<(), Fault> {
        self.written.send((device, raw.clone())).map_err(|_| Fault::Bus("the test has ended".into()))
    }
}

/// A plan whose bench is handed to its owner by the test.
fn plan(devices: Vec<Device>) -> Plan {
    let unused = Work::Bench(Arc::new(|| -> Box<dyn Bench> { unreachable!("the owner is given its bench") }));
    Plan { name: "c".into(), word: "bus", place: "/bus".into(), devices, work: unused, stand_in: None }
}

/// A channel with one device per script, each with one point that is polled every 10 ms.
struct Stage {
    context: ChannelContext,
    readings: Subscription,
    written: mpsc::Receiver<(usize, Value)>,
    script: Script,
    task: tokio::task::JoinHandle<()>,
}

impl Stage {
    fn new(scripts: Vec<Vec<Step>>, access: Access) -> Self {
        let names: Vec<Arc<str>> = (0..scripts.len()).map(|at| format!("d{at}").into()).collect();
        let device = |(at, name): (usize, &Arc<str>)| Device {
            name: Arc::clone(name),
            points: vec![Point {
                id: PointId(u32::try_from(at).unwrap()),
                form: RawForm::state(),
                conversion: Conversion::default(),
                poll: Duration::from_millis(10),
                access,
                tolerance: 0.0,
            }],
        };
        let devices: Vec<Device> = names.iter().enumerate().map(device).collect();
        let plan = Arc::new(plan(devices));
        let table = names.iter().map(|name| crate::model::point::tests::point(name)).collect();
        let bus = ReadingBus::new(Arc::new(PointTable::new(table)), Vec::new());
        let readings = bus.subscribe(10_000);
        let context = ChannelContext::plain(bus, "c", names);
        let script: Script = Arc::new(Mutex::new(scripts.into_iter().map(VecDeque::from).collect()));
        let (tell, written) = mpsc::channel();
        let bench = Box::new(Scripted { script: Arc::clone(&script), written: tell });
        let task = tokio::spawn(Owner::new(plan, bench, context.clone()).run());
        Self { context, readings, written, script, task }
    }

    async fn write(&self, setpoint: bool) -> Outcome {
        let (reply, outcome) = oneshot::channel();
        let deadline = self.context.clock.mono() + Duration::from_secs(5);
        let (id, point) = (CommandId(1), PointId(0));
        self.context.writes.push(WriteJob {
            id,
            point,
            setpoint: Value::Bool(setpoint),
            deadline,
            reply: reply.into(),
        });
        outcome.await.unwrap()
    }

    async fn end(self) {
        self.context.shutdown.cancel();
        self.task.await.unwrap();
    }
}

fn state(on: bool) -> Step {
    Step::Done(vec![Ok(Value::Bool(on))])
}

fn fault(fault: Fault) -> Step {
    Step::Done(vec![Err(fault)])
}

#[tokio::test]
async fn faults_become_qualities_and_a_device_that_comes_back_is_read_again() {
    let gone = fault(Fault::Absent("gone".into()));
    let crc = fault(Fault::Malformed("crc".into()));
    let none = fault(Fault::NoValue(Reason::NotAvailable));
    let stage = Stage::new(vec![vec![state(true), gone, crc, none, state(false)]], Access::R);
    let mut qualities = Vec::new();
    let mut seen = Vec::new();
    while qualities.len() < 5 {
        stage.readings.recv(&mut seen).await;
        qualities.extend(seen.drain(..).map(|reading| (reading.quality, reading.value)));
    }
    // A reading without a value keeps the last good one beside its quality; nothing is made up.
    let last = Some(Value::Bool(true));
    assert_eq!(
        qualities[..5],
        [
            (Quality::Good, last.clone()),
            (Quality::Bad(Reason::NoConnection), last.clone()),
            (Quality::Bad(Reason::MalformedReply), last.clone()),
            (Quality::Bad(Reason::NotAvailable), last),
            (Quality::Good, Some(Value::Bool(false))),
        ]
    );
    let device = &stage.context.stats.devices[0];
    assert_eq!(device.link.get(), LinkState::Online);
    assert_eq!((device.exceptions.load(Ordering::Relaxed), device.malformed.load(Ordering::Relaxed)), (1, 1));
    stage.end().await;
}

#[tokio::test]
async fn a_device_at_work_leaves_the_bus_to_the_others() {
    let slow = vec![Step::Later(Duration::from_millis(300)), state(true)];
    let stage = Stage::new(vec![slow, vec![state(true)]], Access::R);
    let mut seen = Vec::new();
    let mut before = 0;
    loop {
        stage.readings.recv(&mut seen).await;
        if seen.drain(..).any(|reading| {
            before += u32::from(reading.point == PointId(1));
            reading.point == PointId(0)
        }) {
            break;
        }
    }
    assert!(before >= 10, "only {before} readings of the other device in 300 ms at 10 ms each");
    stage.end().await;
}

#[tokio::test]
async fn a_write_is_done_once_and_judged_by_what_reads_back() {
    let stage = Stage::new(vec![vec![state(true)]], Access::Rw);
    assert_eq!(stage.write(true).await, Outcome::Verified { read_back: Value::Bool(true) });
    assert_eq!(stage.write(false).await, Outcome::Mismatch { read_back: Value::Bool(true) });
    let written: Vec<_> = stage.written.try_iter().collect();
    assert_eq!(written, [(0, Value::Bool(true)), (0, Value::Bool(false))]);
    *stage.script.lock().unwrap() = vec![VecDeque::from([fault(Fault::Absent("gone".into()))])];
    assert!(matches!(stage.write(true).await, Outcome::Failed(why) if why.contains("gone")));
    stage.end().await;
}

/// Hangs in its first access until it is let go.
struct Hanging(mpsc::Receiver<()>);

impl Bench for Hanging {
    fn read(&mut self, _: usize, points: &[usize]) -> Step {
        // The test lets it go by dropping the other end.
        let _ = self.0.recv();
        Step::Done(points.iter().map(|_| Ok(Value::Bool(true))).collect())
    }

    fn write(&mut self, _: usize, _: usize, _: &Value) -> Result<(), Fault> {
        Ok(())
    }
}

#[tokio::test]
async fn a_bus_that_hangs_is_told_refuses_writes_and_recovers() {
    let stage = Stage::new(vec![vec![state(true)]], Access::Rw);
    let (mut context, bus) = (stage.context.clone(), stage.context.bus.clone());
    stage.end().await;
    context.shutdown = CancellationToken::new();
    let readings = bus.subscribe(100);
    let (release, held) = mpsc::channel();
    let device = Device {
        name: "d0".into(),
        points: vec![Point {
            id: PointId(0),
            form: RawForm::state(),
            conversion: Conversion::default(),
            poll: Duration::from_millis(10),
            access: Access::Rw,
            tolerance: 0.0,
        }],
    };
    let plan = Arc::new(plan(vec![device]));
    let task = tokio::spawn(Owner::new(plan, Box::new(Hanging(held)), context.clone()).run());
    let mut seen = Vec::new();
    readings.recv(&mut seen).await;
    assert_eq!(seen[0].quality, Quality::Bad(Reason::Timeout));
    let (reply, outcome) = oneshot::channel();
    let deadline = context.clock.mono() + Duration::from_secs(60);
    let (id, point, setpoint) = (CommandId(1), PointId(0), Value::Bool(true));
    context.writes.push(WriteJob { id, point, setpoint, deadline, reply: reply.into() });
    assert!(matches!(outcome.await, Ok(Outcome::Failed(why)) if why.contains("hangs")));
    drop(release);
    seen.clear();
    readings.recv(&mut seen).await;
    assert_eq!(seen[0].quality, Quality::Good);
    assert_eq!(context.stats.reconnects.load(Ordering::Relaxed), 1);
    context.shutdown.cancel();
    task.await.unwrap();
}
