//! E-mail: one message to all who are told, by SMTP (lettre).
//!
//! A connection is made for each message: alarms are rare, and mail servers close idle connections anyway. Absent: queues
//! and retries. Invariant: without TLS nothing secret is sent, which the check of the configuration sees to.

use std::time::SystemTime;

use lettre::message::header::ContentType;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::transport::smtp::{AsyncSmtpTransport, Error};
use lettre::{AsyncTransport, Message, Tokio1Executor};

use super::Failure;
use super::config::{MailConfig, MailTls, mailbox};
use super::text::Words;

/// Sends one message.
///
/// # Errors
/// Why it did not arrive.
pub(super) async fn send(config: &MailConfig, words: Words) -> Result<(), Failure> {
    let message = message(config, words).map_err(Failure::Lasting)?;
    let host = config.server.trim();
    let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host).port(config.port());
    builder = builder.tls(match config.tls {
        MailTls::None => Tls::None,
        MailTls::Starttls => Tls::Required(parameters(config, host).await?),
        MailTls::Implicit => Tls::Wrapper(parameters(config, host).await?),
    });
    if let (Some(user), Some(password)) = (&config.user, &config.password) {
        builder = builder.credentials(Credentials::new(user.clone(), password.reveal().to_owned()));
    }
    let transport: AsyncSmtpTransport<Tokio1Executor> = builder.build();
    transport.send(message).await.map(drop).map_err(|error| failure(&error))
}

fn message(config: &MailConfig, words: Words) -> Result<Message, String> {
    let mut builder =
        Message::builder().from(mailbox(&config.from)?).subject(words.subject).date(SystemTime::now());
    for who in &config.to {
        builder = builder.to(mailbox(who)?);
    }
    builder.header(ContentType::TEXT_PLAIN).body(words.body).map_err(|error| error.to_string())
}

/// Who is trusted. A file may be replaced by the right one before the next try.
async fn parameters(config: &MailConfig, host: &str) -> Result<TlsParameters, Failure> {
    let (host, ca) = (host.to_owned(), config.ca.clone());
    // The certificates of the system are many, and reading them takes a while.
    let made = tokio::task::spawn_blocking(move || {
        let mut builder = TlsParameters::builder(host);
        if let Some(path) = ca {
            let unusable = |what: &dyn std::fmt::Display| format!("mail ca {}: {what}", path.display());
            let pem = std::fs::read(&path).map_err(|error| unusable(&error))?;
            let certificate = Certificate::from_pem(&pem).map_err(|error| unusable(&error))?;
            builder = builder.certificate_store(CertificateStore::None).add_root_certificate(certificate);
        }
        builder.build_rustls().map_err(|error| in_words(&error))
    });
    made.await.map_err(|error| error.to_string()).flatten().map_err(Failure::Passing)
}

/// A refusal for good (5yz, RFC 5321) is not tried again.
fn failure(error: &Error) -> Failure {
    match error.is_permanent() {
        true => Failure::Lasting(in_words(error)),
        false => Failure::Passing(in_words(error)),
    }
}

/// The error with its sources, which lettre does not tell by itself.
fn in_words(error: &Error) -> String {
    let mut words = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        let inner_words = inner.to_string();
        if !words.contains(&inner_words) {
            words.push_str(&format!(": {inner_words}"));
        }
        source = inner.source();
    }
    words
}
