//! A scripted instrument on a pty or socket, and the driver's channel of a configuration.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use iogate::bus::{Bus, Latest};
use iogate::clock::Clock;
use iogate::config::{self, Plan, Surroundings};
use iogate::driver::{ChannelContext, ChannelStats, Services, WriteJob, WriteQueue};
use iogate::model::{CommandId, Outcome, Quality, Reading, Reason, Value};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_serial::{SerialPort, SerialStream};
use tokio_util::sync::CancellationToken;

/// How long to wait for something that must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// What an instrument does with a request: its answer, byte by byte.
pub(crate) type Script = Box<dyn FnMut(&str) -> Option<Vec<u8>> + Send>;

/// Serves one connection: requests end with `end`.
async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, end: u8, script: &mut Script) {
    let (mut gathered, mut chunk) = (Vec::new(), [0; 256]);
    while let Ok(count @ 1..) = stream.read(&mut chunk).await {
        gathered.extend_from_slice(&chunk[..count]);
        while let Some(at) = gathered.iter().position(|byte| *byte == end) {
            let request: Vec<u8> = gathered.drain(..=at).collect();
            let request = String::from_utf8_lossy(&request).trim().to_owned();
            if let Some(answer) = script(&request)
                && stream.write_all(&answer).await.is_err()
            {
                return;
            }
        }
    }
}

/// An instrument behind a TCP port, which it keeps over connections.
pub(crate) async fn on_tcp(end: u8, mut script: Script) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            serve(stream, end, &mut script).await;
        }
    });
    (address, task)
}

/// An instrument on a pty under a link that stays, as `/dev/serial/by-id` does. Ending the task unplugs it.
pub(crate) fn on_pty(link: &Path, end: u8, mut script: Script) -> JoinHandle<()> {
    let (mut master, slave) = SerialStream::pair().unwrap();
    let _ = std::fs::remove_file(link);
    std::os::unix::fs::symlink(slave.name().unwrap(), link).unwrap();
    // The driver takes the port for itself alone.
    drop(slave);
    tokio::spawn(async move {
        // While nobody has the port open, reading it fails.
        let mut looks = tokio::time::interval(Duration::from_millis(5));
        loop {
            serve(&mut master, end, &mut script).await;
            looks.tick().await;
        }
    })
}

/// The channel of a configuration at work.
pub(crate) struct Running {
    plan: Plan,
    pub(crate) context: ChannelContext,
    task: JoinHandle<()>,
}

impl Running {
    pub(crate) fn start(yaml: &str) -> Self {
        let plan = config::load_str(yaml, "test.yaml", &Surroundings::none())
            .unwrap_or_else(|report| panic!("{report}"));
        let driver = &plan.channels[0].driver;
        let context = ChannelContext {
            bus: Bus::new(Arc::clone(&plan.points), Vec::new()),
            writes: Arc::new(WriteQueue::default()),
            stats: Arc::new(ChannelStats::new("line".into(), driver.device_names())),
            clock: Clock::system(),
            services: Services::default(),
            shutdown: CancellationToken::new(),
        };
        let task = tokio::spawn(driver.channel().run(context.clone()));
        Self { plan, context, task }
    }

    pub(crate) fn latest(&self, point: &str) -> Latest {
        self.context.bus.latest(self.plan.points.by_name(point).unwrap().id)
    }

    /// Waits until `wanted`, looking after every reading.
    pub(crate) async fn until(&self, what: &str, wanted: impl Fn(&Self) -> bool) {
        let news = self.context.bus.subscribe(4096);
        let wait = async {
            while !wanted(self) {
                news.recv(&mut Vec::new()).await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("{what} does not come"));
    }

    pub(crate) async fn until_value(&self, point: &str, value: impl Into<Value>) {
        let value = Some(value.into());
        let reached = |this: &Self| {
            let latest = this.latest(point);
            latest.value == value && latest.quality.is_good()
        };
        self.until(&format!("{point} = {value:?}"), reached).await;
    }

    pub(crate) async fn until_bad(&self, point: &str, reason: Reason) {
        let wanted = Quality::Bad(reason);
        self.until(&format!("{point} {wanted}"), |this| this.latest(point).quality == wanted).await;
    }

    /// All readings until `count` of them have come.
    pub(crate) async fn readings(&self, count: usize) -> Vec<Reading> {
        let news = self.context.bus.subscribe(4096);
        let mut readings = Vec::new();
        while readings.len() < count {
            tokio::time::timeout(PATIENCE, news.recv(&mut readings)).await.expect("readings come");
        }
        readings
    }

    pub(crate) async fn write(&self, point: &str, setpoint: impl Into<Value>) -> Outcome {
        let (reply, outcome) = oneshot::channel();
        let point = self.plan.points.by_name(point).unwrap().id;
        let deadline = self.context.clock.mono() + PATIENCE;
        let setpoint = setpoint.into();
        self.context.writes.push(WriteJob {
            id: CommandId(1),
            point,
            setpoint,
            deadline,
            reply: reply.into(),
        });
        outcome.await.unwrap()
    }

    pub(crate) async fn stop(self) {
        self.context.shutdown.cancel();
        tokio::time::timeout(PATIENCE, self.task).await.expect("it stops").unwrap();
    }
}

/// A directory with the path of a port in it.
pub(crate) fn port() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let link = directory.path().join("port");
    (directory, link)
}
