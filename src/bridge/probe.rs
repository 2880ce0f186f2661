//! `iogate bridge test`: how far a bridge comes, step by step. Publishes and subscribes nothing.
//!
//! It connects under the bridge's own client identifier, since many services tie rights to it; a gateway that runs
//! loses its link for a moment and connects again.

use super::client::dial::dial;
use super::client::error::LinkError;
use super::config::Config;
use super::link::Link;
use super::names::Names;
use super::pump::wire;
use super::run::hello;
use crate::clock::Clock;
use crate::model::Topic;

/// Tries every address of a bridge until one works. `told` is given each step and what came of it.
///
/// # Errors
/// Why the last address did not work.
pub async fn probe(
    name: &str,
    config: &Config,
    site: &Topic,
    clock: &Clock,
    told: &mut (dyn FnMut(&'static str, String) + Send),
) -> Result<(), LinkError> {
    let names = Names::new(site.as_str(), name);
    let mut last: Option<LinkError> = None;
    for url in config.urls() {
        if let Some(error) = last.take() {
            told("failed", error.to_string());
        }
        told("address", url.to_string());
        let attempt: Result<(), LinkError> = async {
            let (hello, _) = hello(&names, config, url, clock).await?;
            let login = match (&hello.user, &hello.password) {
                (None, None) => "without user and password".to_owned(),
                (Some(user), None) => format!("as {user}, without password"),
                (None, Some(_)) => "with a password".to_owned(),
                (Some(user), Some(_)) => format!("as {user}, with a password"),
            };
            told("client", format!("{} {login}", hello.client_id));
            let stream = dial(config, url, told).await?;
            let link = Link::open(stream, wire(config.version()), &hello).await?;
            told("mqtt", link.told());
            link.leave().await;
            Ok(())
        }
        .await;
        match attempt {
            Ok(()) => return Ok(()),
            Err(error) => last = Some(error),
        }
    }
    last.map_or(Ok(()), Err)
}
