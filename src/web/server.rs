//! The server under the page: connections with their limits, from acceptance to the end.
//!
//! It drives hyper itself, because a slow client has to be closed in time. Invariant: every connection
//! holds one of [`MAX_CONNECTIONS`] places, must send its request's head within [`HEADER_TIMEOUT`], and is
//! cut off [`STOP_GRACE`] after shutdown began.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use axum::Router;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::app::App;
use super::guard::Hosts;
use super::hub::Hub;
use super::{Config, Context, api};

/// The most connections at once; browsers open up to six each.
pub(super) const MAX_CONNECTIONS: usize = 256;

/// The longest time that a client may take to send a request's head; also how long an idle connection is kept.
pub(super) const HEADER_TIMEOUT: Duration = Duration::from_secs(8);

/// The longest time that a client may take to send a request's body.
pub(super) const BODY_TIMEOUT: Duration = Duration::from_secs(8);

/// The longest request head in bytes.
const MAX_HEAD_BYTES: usize = 16 << 10;

/// After this long without any acknowledgement of what was sent, the kernel gives a connection up.
const STALL_TIMEOUT: Duration = Duration::from_secs(30);

/// How long requests under way may take once shutdown has begun.
const STOP_GRACE: Duration = Duration::from_millis(500);

/// The pause after the system refused to accept a connection (no descriptors left).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The network address at the other end of a request's connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub IpAddr);

/// Serves the page on `listener` until `shutdown`, then ends streams and connections within a second.
pub async fn serve(listener: TcpListener, context: Context, config: &Config, shutdown: CancellationToken) {
    let address = listener.local_addr().map_or(config.listen.ip(), |address| address.ip());
    let (hub, task) = Hub::new();
    let app = Arc::new(App::new(context, config, address, hub, shutdown.clone()));
    let router = api::router(Arc::clone(&app), Hosts::new(address, &config.hosts));
    let tracker = TaskTracker::new();
    tracker.spawn(task.run(Arc::clone(&app), shutdown.clone()));
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = accept(&listener, &app, &router, &tracker) => {}
    }
    drop(listener);
    tracker.close();
    tracker.wait().await;
}

async fn accept(listener: &TcpListener, app: &Arc<App>, router: &Router, tracker: &TaskTracker) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::debug!(error = %error, "a connection to the page could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            app.counters.connections_refused.fetch_add(1, Relaxed);
            continue;
        };
        let (router, shutdown) = (router.clone(), app.shutdown.clone());
        tracker.spawn(async move {
            connection(stream, Peer(peer.ip()), router, shutdown).await;
            drop(place);
        });
    }
}

async fn connection(stream: TcpStream, peer: Peer, router: Router, shutdown: CancellationToken) {
    prepare(&stream);
    let inner = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        inner.call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            timeout(STOP_GRACE, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        tracing::debug!(peer = %peer.0, error = %error, "a connection to the page ended early");
    }
}

/// Small events leave at once, and a peer that has vanished or stopped reading is given up.
fn prepare(stream: &TcpStream) {
    let stall_ms = u32::try_from(STALL_TIMEOUT.as_millis()).unwrap_or(u32::MAX);
    let timed = rustix::net::sockopt::set_tcp_user_timeout(stream, stall_ms);
    if let Err(error) = stream.set_nodelay(true).and_then(|()| timed.map_err(Into::into)) {
        tracing::debug!(error = %error, "socket options of a page connection could not be set");
    }
}
