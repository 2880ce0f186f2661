//! Listening: accepting connections until told to stop, then seeing them off.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::core::Core;
use super::{Broker, connection};

/// How long connections may take to end after the listener stopped.
const DRAIN: Duration = Duration::from_secs(5);

/// Pause after a failure to accept, such as no free file descriptor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

impl Broker {
    /// Serves clients that connect to `listener` until `shutdown` is cancelled. Then every client is told
    /// that the server stops, and the call returns when all are gone, after five seconds at the latest.
    pub async fn serve(&self, listener: TcpListener, shutdown: CancellationToken) {
        let tracker = TaskTracker::new();
        let mut failing = false;
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = shutdown.cancelled() => break,
            };
            match accepted {
                Ok((stream, _)) => {
                    failing = false;
                    self.welcome(stream, &tracker, &shutdown);
                }
                Err(error) => {
                    if !failing {
                        tracing::warn!(%error, "broker cannot accept connections");
                    }
                    failing = true;
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(listener);
        tracker.close();
        if tokio::time::timeout(DRAIN, tracker.wait()).await.is_err() {
            tracing::warn!(left = tracker.len(), "broker connections did not end in time");
        }
    }

    fn welcome(&self, stream: TcpStream, tracker: &TaskTracker, shutdown: &CancellationToken) {
        // A client that is gone already has no address any more.
        let Ok(peer) = stream.peer_addr() else { return };
        let Some(place) = self.admit(peer) else { return };
        // Answers are small and urgent; without this option they wait for the client's acknowledgement.
        let _ = stream.set_nodelay(true);
        let stop = shutdown.clone();
        tracker.spawn(async move { connection::serve(Arc::clone(&place.core), stream, peer, stop).await });
    }

    /// Serves one client over any byte stream, such as a pipe, until its connection ends.
    pub async fn serve_stream<S>(&self, stream: S, peer: SocketAddr, shutdown: CancellationToken)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        if let Some(place) = self.admit(peer) {
            connection::serve(Arc::clone(&place.core), stream, peer, shutdown).await;
        }
    }

    fn admit(&self, peer: SocketAddr) -> Option<Place> {
        let admitted = self.core.admit(peer.ip());
        admitted.then(|| Place { core: Arc::clone(&self.core), address: peer.ip() })
    }
}

/// A counted connection; counted off when dropped.
struct Place {
    core: Arc<Core>,
    address: std::net::IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.core.dismiss(self.address);
    }
}
