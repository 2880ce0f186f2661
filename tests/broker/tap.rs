//! What a tap keeps in a log of its own is acknowledged only when it is as durable as the tap's level.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use iogate::broker::{Broker, Config, NotKept, PublishOptions, QoS, Tap, TapRefusal, Tapped};
use iogate::clock::Clock;
use iogate::journal::{Disk, Journal, Level, Options, Terms, Waiting};

use crate::client::{Client, Server};

const MESSAGE: u8 = 1;

/// A tap whose log is synced when [`Vault::sync`] says so, and no sooner.
struct Vault {
    log: Journal,
    full: AtomicBool,
    taken: Mutex<Vec<String>>,
    _folder: tempfile::TempDir,
}

impl Vault {
    fn new() -> Arc<Self> {
        let folder = tempfile::tempdir().unwrap();
        let options = Options { sync_interval: Duration::from_secs(3600), ..Options::default() };
        let (log, _) = Journal::open(folder.path(), options, Arc::new(Disk), Clock::system()).unwrap();
        let vault = Self { log, full: AtomicBool::new(false), taken: Mutex::default(), _folder: folder };
        // The first sync waits for nothing; the hour begins with it.
        vault.sync();
        Arc::new(vault)
    }

    fn sync(&self) {
        let position = self.log.append(MESSAGE, &[b""], Terms::at(Level::Power).urgently()).unwrap();
        self.log.wait(Level::Power, position).unwrap();
    }
}

impl Tap for Vault {
    fn take(&self, message: &Tapped<'_>) -> Result<u64, TapRefusal> {
        if self.full.load(SeqCst) {
            return Err(TapRefusal);
        }
        self.taken.lock().unwrap().push(message.topic.to_owned());
        self.log.append(MESSAGE, &[message.payload], Terms::at(Level::Power)).map_err(|_| TapRefusal)
    }

    fn waiting(&self) -> Option<(Waiting, Level)> {
        Some((self.log.waiting(), Level::Power))
    }
}

/// Sends one message and sees it arrive at `other`, by when its acknowledgement would have been sent, were it not held.
async fn publish_unanswered(client: &mut Client, other: &mut Client, qos: u8) -> [u8; 2] {
    let id = send(client, qos).await;
    assert_eq!(other.message().await.topic, "t/1");
    other.send(&[0xC0, 0]).await;
    other.expect(&[0xD0, 0]).await;
    assert!(client.packet().now_or_never().is_none(), "acknowledged before it was kept");
    id
}

async fn send(client: &mut Client, qos: u8) -> [u8; 2] {
    let (bytes, id) = client.publication(qos << 1, "t/1", &[], b"x");
    client.send(&bytes).await;
    id
}

#[tokio::test]
async fn acknowledgements_wait_for_every_log() {
    let server = Server::start().await;
    let (first, second) = (Vault::new(), Vault::new());
    let _taps = [
        server.broker.tap(&["t/#"], first.clone(), false).unwrap(),
        server.broker.tap(&["t/1"], second.clone(), false).unwrap(),
    ];
    let mut other = server.v5("other").await;
    other.subscribe("t/#", 0).await;
    let mut client = server.v5("client").await;
    let id = publish_unanswered(&mut client, &mut other, 1).await;
    first.sync();
    assert!(client.packet().now_or_never().is_none(), "the other log has not come so far");
    second.sync();
    client.expect(&[0x40, 2, id[0], id[1]]).await;
    let two = publish_unanswered(&mut client, &mut other, 2).await;
    let one = publish_unanswered(&mut client, &mut other, 1).await;
    second.sync();
    first.sync();
    client.expect(&[0x50, 2, two[0], two[1]]).await;
    client.expect(&[0x40, 2, one[0], one[1]]).await;
    assert_eq!(first.taken.lock().unwrap().len(), 3);
    // At QoS 0 nobody waits.
    send(&mut client, 0).await;
    client.send(&[0xC0, 0]).await;
    client.expect(&[0xD0, 0]).await;
}

#[tokio::test]
async fn what_a_tap_refuses_is_not_acknowledged() {
    let server = Server::start().await;
    let vault = Vault::new();
    vault.full.store(true, SeqCst);
    let tap = server.broker.tap(&["t/#"], vault.clone(), false).unwrap();
    let mut client = server.v5("five").await;
    let id = send(&mut client, 1).await;
    client.expect_failure(0x40, id, 0x97).await;
    let id = send(&mut client, 2).await;
    client.expect_failure(0x50, id, 0x97).await;
    // There is no word for it before MQTT 5.
    let mut older = server.v4("four").await;
    send(&mut older, 1).await;
    older.expect_end().await;
    drop(tap);
    let id = send(&mut client, 1).await;
    client.expect(&[0x40, 3, id[0], id[1], 0x10]).await;
}

#[tokio::test]
async fn a_publisher_inside_can_wait_and_is_told() {
    let broker = Broker::new(Config::default());
    let vault = Vault::new();
    let _tap = broker.tap(&["t"], vault.clone(), false).unwrap();
    let mut publisher = broker.publisher("gateway");
    let options = PublishOptions { qos: QoS::AtLeastOnce, ..PublishOptions::default() };
    assert_eq!(publisher.kept().await, Ok(()), "nothing was published");
    publisher.publish("t", b"x", &options).unwrap();
    assert!(publisher.kept().now_or_never().is_none());
    assert!(publisher.kept().now_or_never().is_none(), "asked again, it still waits");
    vault.sync();
    assert_eq!(publisher.kept().await, Ok(()));
    vault.full.store(true, SeqCst);
    publisher.publish("t", b"x", &options).unwrap();
    assert_eq!(publisher.kept().await, Err(NotKept));
}
