//! `iogate mqtt`: the clients and retained messages of a running broker, through its local API.
//!
//! Absent: any way around the API; who may not use it there may not use it here. Invariant: with `--json`
//! standard output holds the API's own answer.

pub(super) mod http;
pub(super) mod table;

use std::path::{Path, PathBuf};

use clap::{Subcommand, ValueEnum};
use serde_json::{Value as Json, json};

use super::{DEFAULT_CONFIG, Exit, complain, print};
use crate::config;
use crate::web::config::DEFAULT_LISTEN;
use http::{Answer, HttpError, Place, encode};

/// How many entries one request asks for; the API gives no more.
const PAGE: usize = 500;

/// What `mqtt` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The configuration of the running gateway; only where its web page listens is looked at.
    #[arg(short, long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Where the gateway's web page is, instead of what the configuration says.
    #[arg(long, value_name = "http://HOST:PORT", global = true, conflicts_with = "config")]
    url: Option<String>,
    /// Print JSON instead of text.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the sessions, connected or not.
    Clients {
        /// Only those whose client identifier, user, address or listener holds this text.
        #[arg(value_name = "TEXT")]
        filter: Option<String>,
        /// Which ones.
        #[arg(long, value_enum, default_value_t = Which::All)]
        state: Which,
    },
    /// Show one session with its subscriptions.
    Client {
        /// Its client identifier.
        client: String,
    },
    /// End a client's connection; its will is published and its session kept for as long as it asked.
    Kick {
        /// Its client identifier.
        client: String,
    },
    /// End a session with its subscriptions and everything that waits in it, and its connection if there is one.
    ClearSession {
        /// Its client identifier.
        client: String,
    },
    /// Retained messages.
    #[command(subcommand)]
    Retained(Retained),
}

#[derive(Debug, Subcommand)]
enum Retained {
    /// List those that a topic filter selects.
    List {
        /// The topic filter, such as `busan/#`.
        #[arg(default_value = "#")]
        filter: String,
    },
    /// Delete those that a topic filter selects. Subscribers are not told.
    Delete {
        /// The topic filter.
        filter: String,
        /// Only count them.
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Which {
    All,
    Connected,
    Absent,
}

/// Why a command came to nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The configuration has errors: its report.
    #[error("{0}")]
    Config(String),
    /// The API could not be asked.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The API refused: its own words.
    #[error("{0}")]
    Refused(String),
}

/// Does one thing and reports.
pub(super) fn run(arguments: &Arguments) -> Exit {
    let place = place(arguments.config.as_deref(), arguments.url.as_deref());
    report(place.and_then(|place| act(&place, arguments)))
}

/// Prints what came of a command.
pub(super) fn report(outcome: Result<String, Failure>) -> Exit {
    match outcome {
        Ok(text) => print(&text),
        Err(failure) => {
            complain(&failure.to_string());
            if matches!(failure, Failure::Config(_)) { Exit::Config } else { Exit::Failed }
        }
    }
}

/// Where the API is: at this URL, or where the page of this configuration listens.
pub(super) fn place(config: Option<&Path>, url: Option<&str>) -> Result<Place, Failure> {
    if let Some(url) = url {
        return Ok(Place::parse(url)?);
    }
    let path = match config {
        Some(path) => path,
        // Without an installed service there may still be `iogate demo`, which listens where all do.
        None if !Path::new(DEFAULT_CONFIG).exists() => return Ok(Place::of(DEFAULT_LISTEN)),
        None => Path::new(DEFAULT_CONFIG),
    };
    let web = config::load_web(path).map_err(|report| Failure::Config(report.to_string()))?;
    if !web.enabled {
        let what = format!(
            "{}: `web: enabled: false`: there is no page to ask; `--url` names another one",
            path.display()
        );
        return Err(Failure::Refused(what));
    }
    Ok(Place::of(web.listen))
}

fn act(place: &Place, arguments: &Arguments) -> Result<String, Failure> {
    let (answer, show): (Json, fn(&Json) -> String) = match &arguments.action {
        Action::Clients { filter, state } => {
            let state = state.to_possible_value().map(|value| value.get_name().to_owned());
            let path = format!(
                "/api/v1/mqtt/clients?filter={}&state={}",
                encode(filter.as_deref().unwrap_or_default()),
                state.unwrap_or_default()
            );
            (all(place, &path, "clients")?, table::clients)
        }
        Action::Client { client } => {
            let path = format!("/api/v1/mqtt/client?client={}", encode(client));
            (understand(&place.get(&path)?)?, table::client)
        }
        Action::Kick { client } => (change(place, "kick", &json!({"client": client}))?, table::kicked),
        Action::ClearSession { client } => {
            (change(place, "clear-session", &json!({"client": client}))?, table::cleared)
        }
        Action::Retained(Retained::List { filter }) => {
            let path = format!("/api/v1/mqtt/retained?filter={}", encode(filter));
            (all(place, &path, "messages")?, table::retained)
        }
        Action::Retained(Retained::Delete { filter, dry_run }) => {
            (change(place, "retained/delete", &json!({"filter": filter, "dryRun": dry_run}))?, table::deleted)
        }
    };
    match arguments.json {
        true => Ok(format!("{answer:#}\n")),
        false => Ok(show(&answer)),
    }
}

fn change(place: &Place, what: &str, body: &Json) -> Result<Json, Failure> {
    understand(&place.post(&format!("/api/v1/mqtt/{what}"), body)?)
}

/// Asks for page after page and puts them together. What comes and goes meanwhile may be missed or told twice.
fn all(place: &Place, path: &str, list: &str) -> Result<Json, Failure> {
    let mut whole: Option<Json> = None;
    let mut offset = 0;
    loop {
        let mut answer = understand(&place.get(&format!("{path}&offset={offset}&limit={PAGE}"))?)?;
        let Some(page) = answer[list].as_array_mut().map(std::mem::take) else {
            return Err(Failure::Refused(format!(
                "the answer holds no `{list}`; is it another version of iogate?"
            )));
        };
        let count = page.len();
        offset += count;
        match whole.as_mut().and_then(|whole| whole[list].as_array_mut()) {
            Some(known) => known.extend(page),
            None => {
                answer[list] = Json::Array(page);
                whole = Some(answer);
            }
        }
        if count < PAGE {
            return Ok(whole.unwrap_or_default());
        }
    }
}

/// An answer that is not a refusal.
pub(super) fn understand(answer: &Answer) -> Result<Json, Failure> {
    let json: Option<Json> = serde_json::from_str(&answer.body).ok();
    match (answer.status, json) {
        (200, Some(json)) => Ok(json),
        (_, Some(json)) if json["detail"].is_string() => {
            Err(Failure::Refused(json["detail"].as_str().unwrap_or_default().to_owned()))
        }
        (status, _) => Err(Failure::Refused(format!("the gateway answers with status {status}"))),
    }
}
