//! A TCP proxy that behaves badly by a seed: cuts, stalls half-open, delays, resets in the middle of packets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// The proxy.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    /// As long as this holds, links are cut.
    pub(crate) bad: Arc<AtomicBool>,
    pub(crate) cuts: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

/// What happens to one connection.
#[derive(Debug, Clone, Copy)]
struct Fate {
    /// Until it is cut.
    life: Duration,
    /// How long it is silent, half open, before that.
    stall: Duration,
    /// How long bytes are held up each time.
    delay: Duration,
    /// Cut by a reset, with bytes on their way.
    reset: bool,
    /// After so many bytes upstream: in the middle of a packet.
    bytes: u64,
}

impl Fate {
    fn of(random: &mut fastrand::Rng) -> Self {
        let ms = Duration::from_millis;
        Self {
            life: ms(random.u64(20..140)),
            stall: if random.u8(0..20) == 0 { ms(random.u64(1000..3000)) } else { Duration::ZERO },
            delay: if random.u8(0..4) == 0 { ms(random.u64(1..8)) } else { Duration::ZERO },
            reset: random.bool(),
            bytes: random.u64(3_000..60_000),
        }
    }
}

impl Proxy {
    pub(crate) async fn start(target: u16, seed: u64) -> Self {
        Self::sparing(target, seed, Duration::ZERO).await
    }

    /// Lets every connection live so much longer: as long as a handshake takes.
    pub(crate) async fn sparing(target: u16, seed: u64, longer: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (bad, cuts) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicU64::new(0)));
        let (worse, counted) = (Arc::clone(&bad), Arc::clone(&cuts));
        let task = tokio::spawn(async move {
            let mut random = fastrand::Rng::with_seed(seed);
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let fate = worse.load(Relaxed).then(|| Fate::of(&mut random));
                let fate = fate.map(|fate| Fate { life: fate.life + longer, ..fate });
                tokio::spawn(carry(client, target, fate, Arc::clone(&counted)));
            }
        });
        Self { address, bad, cuts, task }
    }

    pub(crate) fn url(&self, scheme: &str) -> String {
        format!("{scheme}://localhost:{}", self.address.port())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn carry(mut client: TcpStream, target: u16, fate: Option<Fate>, cuts: Arc<AtomicU64>) {
    let Ok(mut server) = TcpStream::connect(("127.0.0.1", target)).await else { return };
    let Some(fate) = fate else {
        let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
        return;
    };
    let end = tokio::time::sleep(fate.life);
    tokio::pin!(end);
    let (mut up, mut down) = ([0; 4096], [0; 4096]);
    let mut passed = 0;
    loop {
        tokio::select! {
            () = &mut end => break,
            read = client.read(&mut up) => match read {
                Ok(count @ 1..) => {
                    passed += count as u64;
                    let count = if passed > fate.bytes { count / 2 } else { count };
                    tokio::time::sleep(fate.delay).await;
                    if server.write_all(&up[..count]).await.is_err() || passed > fate.bytes {
                        break;
                    }
                }
                _ => return,
            },
            read = server.read(&mut down) => match read {
                Ok(count @ 1..) => {
                    tokio::time::sleep(fate.delay).await;
                    if client.write_all(&down[..count]).await.is_err() {
                        return;
                    }
                }
                _ => return,
            },
        }
    }
    cuts.fetch_add(1, Relaxed);
    // Half open: neither side hears anything, nothing is refused.
    tokio::time::sleep(fate.stall).await;
    if fate.reset {
        let _ = client.set_zero_linger();
        let _ = server.set_zero_linger();
    }
}
