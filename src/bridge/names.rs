//! Who a bridge is towards its upstream broker: client identifier, user, password or token.
//!
//! Templates are filled in; secrets are read anew for every connection. Absent: sending them.

use std::path::Path;
use std::time::Duration;

use super::client::error::LinkError;
use super::client::tls;
use super::config::{Config, SecretFile, Token, Url};
use super::profile::Profile;
use super::token;

/// The version of Azure IoT Hub's interface that user names ask for.
const HUB_API: &str = "2021-04-12";

/// The share of a token's life after which a new one is made.
const RENEW_AT: f64 = 0.9;

/// The file of a token is not read anew sooner than that.
const SOONEST_RENEWAL: Duration = Duration::from_secs(5);

/// What templates are filled in with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Names {
    /// The site, with `-` for `/`.
    pub(crate) site: String,
    /// Host name of the machine.
    pub(crate) host: String,
    /// Name of the bridge.
    pub(crate) bridge: String,
}

/// User and password of one connection.
#[derive(Default)]
pub(crate) struct Login {
    /// User name.
    pub(crate) user: Option<String>,
    /// Password or token.
    pub(crate) password: Option<Vec<u8>>,
    /// When to connect anew with a new token.
    pub(crate) renew_after: Option<Duration>,
}

impl Names {
    /// Of a bridge on this machine.
    pub(crate) fn new(site: &str, bridge: &str) -> Self {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let host = if host.trim().is_empty() { "gateway" } else { host.trim() };
        Self { site: site.replace('/', "-"), host: host.to_owned(), bridge: bridge.to_owned() }
    }

    fn fill(&self, template: &str) -> String {
        let filled = template.replace("{site}", &self.site).replace("{host}", &self.host);
        filled.replace("{bridge}", &self.bridge)
    }

    /// The client identifier.
    pub(crate) fn client_id(&self, config: &Config) -> String {
        self.fill(&config.client_id)
    }

    /// User and password for this address. Reads files: not for an I/O worker.
    pub(crate) fn login(&self, config: &Config, url: &Url, now_s: u64) -> Result<Login, LinkError> {
        let client_id = self.client_id(config);
        let own = config.user.as_deref().map(|user| self.fill(user).replace("{client-id}", &client_id));
        let hub = || format!("{}/{client_id}/?api-version={HUB_API}", url.host);
        let user = own.or_else(|| (config.profile == Profile::AzureIotHub).then(hub));
        let mut renew_after = config.token.as_ref().and_then(Token::lifetime).map(|life| life.mul_f64(RENEW_AT));
        let password = match (&config.password, &config.token) {
            (Some(SecretFile { file }), _) => Some(secret(file)?),
            (None, Some(Token::File(file))) => {
                let token = secret(file)?;
                renew_after = token::expiry(&token).and_then(|expiry| until_renewal(expiry, now_s));
                Some(token)
            }
            (None, Some(Token::Jwt(jwt))) => {
                let subject = jwt.subject.as_deref().map(|subject| self.fill(subject));
                let made = token::jwt(jwt, &tls::read(&jwt.key)?, subject.as_deref(), now_s);
                Some(made.map_err(|what| tls::file(&jwt.key, &what))?.into_bytes())
            }
            (None, Some(Token::Sas(sas))) => {
                let resource = sas.resource.as_deref().map(|resource| self.fill(resource));
                let resource = resource.unwrap_or_else(|| format!("{}/devices/{client_id}", url.host));
                let made = token::sas(sas, &tls::read(&sas.key)?, &resource, now_s);
                Some(made.map_err(|what| tls::file(&sas.key, &what))?.into_bytes())
            }
            (None, None) => None,
        };
        Ok(Login { user, password, renew_after })
    }
}

/// When to read the file of a token anew that expires at this second; `None` when it has expired already.
fn until_renewal(expiry_s: u64, now_s: u64) -> Option<Duration> {
    let left = Duration::from_secs(expiry_s.checked_sub(now_s).filter(|left| *left > 0)?);
    // Should the file still hold the old token then, there is no use in asking ever faster.
    Some(left.mul_f64(RENEW_AT).max(SOONEST_RENEWAL).min(left))
}

fn secret(path: &Path) -> Result<Vec<u8>, LinkError> {
    let mut bytes = tls::read(path)?;
    while bytes.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
        bytes.pop();
    }
    if bytes.is_empty() {
        return Err(tls::file(path, "is empty"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bridge::config::Sas;
    use crate::model::units::Period;

    fn names() -> Names {
        Names { site: "busan-factory".into(), host: "gw1".into(), bridge: "cloud".into() }
    }

    fn config() -> Config {
        Config::to("mqtts://hub.example.com".parse().unwrap())
    }

    #[test]
    fn templates_are_filled_in() {
        let config = Config { user: Some("{host}/{client-id}".into()), ..config() };
        assert_eq!(names().client_id(&config), "busan-factory-gw1-cloud");
        let login = names().login(&config, &config.url, 0).unwrap();
        assert_eq!(login.user.as_deref(), Some("gw1/busan-factory-gw1-cloud"));
        assert!(!Names::new("a/b", "c").host.is_empty());
    }

    #[test]
    fn the_hub_has_names_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("key");
        std::fs::write(&key, "a2V5\n").unwrap();
        let sas = Sas { key, resource: None, policy: None, lifetime: Period::from_secs(1000) };
        let (profile, token) = (Profile::AzureIotHub, Some(Token::Sas(sas)));
        let config = Config { client_id: "gw".into(), profile, token, ..config() };
        let login = names().login(&config, &config.url, 0).unwrap();
        assert_eq!(login.user.as_deref(), Some("hub.example.com/gw/?api-version=2021-04-12"));
        let password = String::from_utf8(login.password.unwrap()).unwrap();
        assert!(
            password.starts_with("SharedAccessSignature sr=hub.example.com%2Fdevices%2Fgw&"),
            "{password}"
        );
        assert_eq!(login.renew_after, Some(Duration::from_secs(900)));
    }

    #[test]
    fn the_file_of_a_token_is_read_again_before_its_end() {
        assert_eq!(until_renewal(1100, 1000), Some(Duration::from_secs(90)));
        assert_eq!(until_renewal(1006, 1000), Some(Duration::from_millis(5400)));
        assert_eq!(until_renewal(1002, 1000), Some(Duration::from_secs(2)));
        assert_eq!((until_renewal(1000, 1000), until_renewal(5, 1000)), (None, None));
    }

    #[test]
    fn secrets_are_read_anew_and_named_when_they_are_missing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        let config = Config { password: Some(SecretFile { file: file.clone() }), ..config() };
        let login = || names().login(&config, &config.url, 0);
        assert!(login().err().unwrap().to_string().contains("cannot be read"));
        std::fs::write(&file, "one\n").unwrap();
        assert_eq!(login().unwrap().password.as_deref(), Some(&b"one"[..]));
        std::fs::write(&file, "\n").unwrap();
        assert!(login().err().unwrap().to_string().contains("is empty"));
    }
}
