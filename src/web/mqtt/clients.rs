//! The list of MQTT clients, and sending one away.
//!
//! Sorting and paging happen here, so that a page with thousands of sessions stays light for the browser.
//! Invariant: a page is cut out of one look at the broker.

use std::cmp::Ordering;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Query, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::{Asker, body, limit, query};
use crate::broker::ClientInfo;
use crate::web::api::{Refusal, fresh};
use crate::web::app::App;
use crate::web::server::Peer;
use crate::web::view::rfc3339;

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ListQuery {
    /// Part of a client identifier, user, address or listener.
    filter: String,
    state: Which,
    sort: Sort,
    /// The greatest or longest first.
    descending: bool,
    offset: usize,
    limit: Option<usize>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Which {
    #[default]
    All,
    Connected,
    Absent,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Sort {
    #[default]
    Client,
    User,
    Address,
    /// By the time for which it has been connected or absent.
    Age,
    Subscriptions,
    Queued,
    InFlight,
    Sent,
    Received,
    Dropped,
}

#[derive(Serialize)]
struct ListView {
    total: usize,
    connected: usize,
    matched: usize,
    offset: usize,
    clients: Vec<ClientView>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ClientView {
    client: Arc<str>,
    user: Option<Arc<str>>,
    connected: bool,
    /// Where it connects from.
    address: Option<String>,
    listener: Option<Arc<str>>,
    /// `3.1`, `3.1.1` or `5.0`.
    protocol: Option<&'static str>,
    /// Since when it has been connected or absent.
    since: String,
    seconds: u64,
    expiry_seconds: u64,
    subscriptions: usize,
    queued: usize,
    queued_bytes: usize,
    in_flight: usize,
    sent: u64,
    received: u64,
    dropped: u64,
}

#[derive(Serialize)]
struct OneView {
    #[serde(flatten)]
    client: ClientView,
    filters: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Named {
    client: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DoneView<'a> {
    client: &'a str,
    done: bool,
}

const NAMED: &str = "{\"client\": \"client-id\"}";

/// `GET /api/v1/mqtt/clients`.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    parameters: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Response, Refusal> {
    let parameters = query(parameters)?;
    let now_us = app.context.clock.stamp().unix_us;
    Ok(fresh(page(app.context.mqtt.clients(), &parameters, now_us)))
}

/// `GET /api/v1/mqtt/client`.
pub(super) async fn one(
    State(app): State<Arc<App>>,
    parameters: Result<Query<Named>, QueryRejection>,
) -> Result<Response, Refusal> {
    let Named { client } = query(parameters)?;
    let found = app.context.mqtt.client(&client).ok_or_else(|| unknown(&client))?;
    let client = ClientView::new(&found.info, app.context.clock.stamp().unix_us);
    Ok(fresh(OneView { client, filters: found.filters }))
}

/// `POST /api/v1/mqtt/kick`.
pub(super) async fn kick(
    State(app): State<Arc<App>>,
    peer: Extension<Peer>,
    request: Request,
) -> Result<Response, Refusal> {
    let Asker { by, agent } = Asker::new(peer, request.headers());
    let Named { client } = body(request, NAMED).await?;
    let done = app.context.mqtt.kick(&client);
    if done {
        tracing::info!(client, %by, agent, "MQTT client sent away by the operator");
    } else if app.context.mqtt.client(&client).is_none() {
        return Err(unknown(&client));
    }
    Ok(fresh(DoneView { client: &client, done }))
}

/// `POST /api/v1/mqtt/clear-session`.
pub(super) async fn clear(
    State(app): State<Arc<App>>,
    peer: Extension<Peer>,
    request: Request,
) -> Result<Response, Refusal> {
    let Asker { by, agent } = Asker::new(peer, request.headers());
    let Named { client } = body(request, NAMED).await?;
    if !app.context.mqtt.clear_session(&client) {
        return Err(unknown(&client));
    }
    tracing::info!(client, %by, agent, "MQTT session cleared by the operator");
    Ok(fresh(DoneView { client: &client, done: true }))
}

fn unknown(client: &str) -> Refusal {
    let shown: String = client.chars().take(256).collect();
    let detail = format!("there is no session of a client `{shown}`; /api/v1/mqtt/clients lists them");
    Refusal::new(StatusCode::NOT_FOUND, "unknown-client", detail)
}

/// The part of all sessions that is asked for.
fn page(all: Vec<ClientInfo>, wanted: &ListQuery, now_us: i64) -> ListView {
    let total = all.len();
    let connected = all.iter().filter(|client| client.connection.is_some()).count();
    let needle = wanted.filter.to_lowercase();
    let mut matched: Vec<ClientInfo> =
        all.into_iter().filter(|client| fits(client, wanted.state) && says(client, &needle)).collect();
    // Stable, and the broker sorts by client identifier: equal ones stay in that order.
    match wanted.descending {
        true => matched.sort_by(|a, b| compare(b, a, wanted.sort)),
        false => matched.sort_by(|a, b| compare(a, b, wanted.sort)),
    }
    let shown = matched.iter().skip(wanted.offset).take(limit(wanted.limit));
    ListView {
        total,
        connected,
        matched: matched.len(),
        offset: wanted.offset,
        clients: shown.map(|client| ClientView::new(client, now_us)).collect(),
    }
}

fn fits(client: &ClientInfo, which: Which) -> bool {
    match which {
        Which::All => true,
        Which::Connected => client.connection.is_some(),
        Which::Absent => client.connection.is_none(),
    }
}

fn says(client: &ClientInfo, needle: &str) -> bool {
    let holds = |text: &str| text.to_lowercase().contains(needle);
    needle.is_empty()
        || holds(&client.client_id)
        || client.user.as_deref().is_some_and(holds)
        || client
            .connection
            .as_ref()
            .is_some_and(|connection| holds(&connection.peer.to_string()) || holds(&connection.listener))
}

fn compare(a: &ClientInfo, b: &ClientInfo, sort: Sort) -> Ordering {
    let peer = |client: &ClientInfo| client.connection.as_ref().map(|connection| connection.peer);
    match sort {
        Sort::Client => a.client_id.cmp(&b.client_id),
        Sort::User => a.user.cmp(&b.user),
        Sort::Address => peer(a).cmp(&peer(b)),
        Sort::Age => age(a).cmp(&age(b)),
        Sort::Subscriptions => a.subscriptions.cmp(&b.subscriptions),
        Sort::Queued => (a.queued_bytes, a.queued).cmp(&(b.queued_bytes, b.queued)),
        Sort::InFlight => a.in_flight.cmp(&b.in_flight),
        Sort::Sent => a.sent.cmp(&b.sent),
        Sort::Received => a.received.cmp(&b.received),
        Sort::Dropped => a.dropped.cmp(&b.dropped),
    }
}

/// For how long the client has been connected, or absent.
fn age(client: &ClientInfo) -> Duration {
    let connected = client.connection.as_ref().map(|connection| connection.age);
    connected.or(client.absent).unwrap_or_default()
}

impl ClientView {
    fn new(client: &ClientInfo, now_us: i64) -> Self {
        let (connection, age) = (client.connection.as_ref(), age(client));
        let age_us = i64::try_from(age.as_micros()).unwrap_or(i64::MAX);
        Self {
            client: Arc::clone(&client.client_id),
            user: client.user.clone(),
            connected: connection.is_some(),
            address: connection.map(|connection| connection.peer.to_string()),
            listener: connection.map(|connection| Arc::clone(&connection.listener)),
            protocol: connection.map(|connection| connection.version.text()),
            since: rfc3339(now_us.saturating_sub(age_us)),
            seconds: age.as_secs(),
            expiry_seconds: client.expiry.as_secs(),
            subscriptions: client.subscriptions,
            queued: client.queued,
            queued_bytes: client.queued_bytes,
            in_flight: client.in_flight,
            sent: client.sent,
            received: client.received,
            dropped: client.dropped,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(id: &str, user: Option<&str>, queued: usize) -> ClientInfo {
        ClientInfo {
            client_id: id.into(),
            connection: None,
            absent: Some(Duration::from_secs(queued as u64)),
            expiry: Duration::ZERO,
            user: user.map(Into::into),
            subscriptions: 0,
            queued,
            queued_bytes: queued,
            in_flight: 0,
            sent: 0,
            received: 0,
            dropped: 0,
        }
    }

    fn ids(wanted: &ListQuery) -> (usize, Vec<String>) {
        let all = vec![client("a", Some("Anna"), 1), client("b", None, 3), client("c", Some("otto"), 2)];
        let page = page(all, wanted, 0);
        assert_eq!((page.total, page.connected), (3, 0));
        (page.matched, page.clients.iter().map(|client| client.client.to_string()).collect())
    }

    #[test]
    fn a_page_is_filtered_sorted_and_cut() {
        assert_eq!(ids(&ListQuery::default()), (3, vec!["a".into(), "b".into(), "c".into()]));
        let by_user = ListQuery { filter: "aNN".into(), ..ListQuery::default() };
        assert_eq!(ids(&by_user), (1, vec!["a".into()]));
        let longest =
            ListQuery { sort: Sort::Queued, descending: true, limit: Some(2), ..ListQuery::default() };
        assert_eq!(ids(&longest), (3, vec!["b".into(), "c".into()]));
        let rest = ListQuery { offset: 2, ..longest };
        assert_eq!(ids(&rest), (3, vec!["a".into()]));
        let beyond = ListQuery { offset: usize::MAX, limit: Some(usize::MAX), ..ListQuery::default() };
        assert_eq!(ids(&beyond), (3, vec![]));
        assert_eq!(ids(&ListQuery { state: Which::Connected, ..ListQuery::default() }).0, 0);
    }
}
