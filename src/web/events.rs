//! One page's live stream (server-sent events): a snapshot of everything, then what changes.
//!
//! A page that cannot keep up loses the oldest events and is given a new snapshot, at most once per
//! [`SNAPSHOT_PERIOD`]. Invariant: a stream holds one place of the limited number until its connection ends.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::api::Refusal;
use super::app::App;
use super::hub;

/// A slow page gets a new snapshot at most this often.
const SNAPSHOT_PERIOD: Duration = Duration::from_secs(1);

/// What browsers are told to wait before they connect again.
const RETRY: &[u8] = b"retry: 1000\n\n";

struct Stream {
    app: Arc<App>,
    events: Receiver<Bytes>,
    snapshot_due: Option<Instant>,
    greeted: bool,
    _place: OwnedSemaphorePermit,
}

/// `GET /api/v1/events`.
pub(super) async fn events(State(app): State<Arc<App>>) -> Response {
    let Ok(place) = Semaphore::try_acquire_owned(Arc::clone(&app.streams)) else {
        app.counters.streams_refused.fetch_add(1, Relaxed);
        let detail = format!(
            "{} live streams are open already; close a page or raise `web: max-streams:`",
            app.max_streams
        );
        let refusal = Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "too-many-streams", detail);
        return ([(RETRY_AFTER, "5")], refusal).into_response();
    };
    let Some(events) = app.hub.join().await else {
        return Refusal::stopping().into_response();
    };
    let stream = Stream { app, events, snapshot_due: Some(Instant::now()), greeted: false, _place: place };
    let body = Body::from_stream(stream::unfold(stream, |mut stream| async move {
        let chunk = stream.next().await?;
        Some((Ok::<_, Infallible>(chunk), stream))
    }));
    let headers = [
        (CONTENT_TYPE, "text/event-stream"),
        (CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    (headers, body).into_response()
}

impl Stream {
    /// The next piece of the stream; `None` ends it.
    async fn next(&mut self) -> Option<Bytes> {
        if !self.greeted {
            self.greeted = true;
            return Some(Bytes::from_static(RETRY));
        }
        let stop = self.app.shutdown.clone();
        tokio::select! {
            biased;
            () = stop.cancelled() => None,
            piece = self.piece() => piece,
        }
    }

    async fn piece(&mut self) -> Option<Bytes> {
        loop {
            if let Some(due) = self.snapshot_due {
                tokio::time::sleep_until(due).await;
                self.snapshot_due = None;
                self.events = self.events.resubscribe();
                return Some(hub::event("snapshot", &self.app.state().snapshot(&self.app)));
            }
            match self.events.recv().await {
                Ok(event) => return Some(event),
                Err(RecvError::Lagged(_)) => {
                    self.app.counters.streams_lagged.fetch_add(1, Relaxed);
                    self.snapshot_due = Some(Instant::now() + SNAPSHOT_PERIOD);
                }
                Err(RecvError::Closed) => return None,
            }
        }
    }
}
