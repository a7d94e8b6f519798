//! What an operator may choose about the API; each field's text is its reference.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use greffier_store::config::duration;
use ipnet::IpNet;
use secrecy::SecretString;
use serde::Deserialize;
use url::Url;

use crate::{auth::ForeignConfig, push::PushConfig};

/// The `[api]` section.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ApiConfig {
    /// Where connections are accepted: the API and the web application.
    pub listen: SocketAddr,
    /// How others reach it: `https://meet.example.org`. Links in invitations and calendars begin with it. Without it,
    /// they begin with what whoever is given them asked for (`Host`; behind `trusted_proxies`, `X-Forwarded-Host` and
    /// `X-Forwarded-Proto`).
    pub public_url: Option<Url>,
    /// The address browsers connect to for media, if it is not the one Greffier itself uses.
    pub livekit_public_url: Option<Url>,
    /// Serve HTTPS. Without it HTTP, for a proxy in front or for this machine alone.
    pub tls: Option<TlsConfig>,
    /// Networks of proxies whose `X-Forwarded-For` is believed: `["10.0.0.0/8"]`.
    pub trusted_proxies: Vec<IpNet>,
    /// Other sites whose pages may call the API: `["https://app.example.org"]`.
    pub cors_origins: Vec<String>,
    /// Other sites that may show a room in an `<iframe>`.
    pub embed_origins: Vec<String>,
    /// API keys for machines.
    pub keys: Vec<KeyConfig>,
    /// Other applications whose users are let in by their tokens.
    pub foreign: Vec<ForeignConfig>,
    /// People have accounts here and log in with a password. Without it, only users of `foreign` applications come in.
    pub own_accounts: bool,
    /// Of pages and messages, until somebody chooses another: `en` or `fr`.
    pub default_language: String,
    /// Pushing to browsers that have no page open. Without it, nothing is pushed.
    pub push: Option<PushConfig>,
    pub limits: LimitsConfig,
    /// How long a signed link to a file works.
    #[serde(with = "duration")]
    pub link_lifetime: Duration,
    /// Answer `/metrics` to everybody. Otherwise to this machine itself, and to keys with the scope `admin`.
    pub public_metrics: bool,
}

impl ApiConfig {
    /// How others reach the server: what links begin with.
    pub fn base_url(&self) -> String {
        match &self.public_url {
            Some(url) => url.as_str().trim_end_matches('/').to_owned(),
            None if self.tls.is_some() => format!("https://{}", self.listen),
            None => format!("http://{}", self.listen),
        }
    }

    /// Whether browsers reach it over HTTPS.
    pub(crate) fn is_secure(&self) -> bool {
        self.tls.is_some() || self.public_url.as_ref().is_some_and(|url| url.scheme() == "https")
    }
}

impl Default for ApiConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8000),
            public_url: None,
            livekit_public_url: None,
            tls: None,
            trusted_proxies: Vec::new(),
            cors_origins: Vec::new(),
            embed_origins: Vec::new(),
            keys: Vec::new(),
            foreign: Vec::new(),
            own_accounts: true,
            default_language: "en".to_owned(),
            push: None,
            limits: LimitsConfig::default(),
            link_lifetime: Duration::from_hours(12),
            public_metrics: false,
        }
    }
}

/// The `[api.tls]` section.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// A PEM file: the certificate, and those between it and a root.
    pub certificate: PathBuf,
    /// A PEM file: its private key.
    pub key: PathBuf,
    /// How often the files are read again.
    #[serde(default = "an_hour", with = "duration")]
    pub reload: Duration,
}

fn an_hour() -> Duration {
    Duration::from_hours(1)
}

/// One `[[api.keys]]` entry.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyConfig {
    /// Names the key in logs and in what it asked for.
    pub name: String,
    /// The key itself, as it stands after `Authorization: Bearer`. At least 16 bytes.
    #[serde(default)]
    pub key: Option<SecretString>,
    /// A file that holds `key`.
    #[serde(default)]
    pub key_file: Option<PathBuf>,
    /// What it may be used for.
    pub scopes: Vec<Scope>,
}

/// What an API key may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
pub enum Scope {
    /// See recordings, their files and their renders.
    #[serde(rename = "recordings:read")]
    RecordingsRead,
    /// Start, pause, stop and delete recordings, and have renders made.
    #[serde(rename = "recordings:write")]
    RecordingsWrite,
    /// See rooms and calls.
    #[serde(rename = "rooms:read")]
    RoomsRead,
    /// Make, change and end rooms.
    #[serde(rename = "rooms:write")]
    RoomsWrite,
    /// Mint `LiveKit` tokens for anybody.
    #[serde(rename = "tokens")]
    Tokens,
    /// Everything.
    #[serde(rename = "admin")]
    Admin,
}

impl Scope {
    pub const ALL: [Self; 6] = [
        Self::RecordingsRead,
        Self::RecordingsWrite,
        Self::RoomsRead,
        Self::RoomsWrite,
        Self::Tokens,
        Self::Admin,
    ];

    /// As it is written in configuration and API.
    pub fn name(self) -> &'static str {
        match self {
            Self::RecordingsRead => "recordings:read",
            Self::RecordingsWrite => "recordings:write",
            Self::RoomsRead => "rooms:read",
            Self::RoomsWrite => "rooms:write",
            Self::Tokens => "tokens",
            Self::Admin => "admin",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.name() == name)
    }
}

/// The `[api.limits]` section. Zero means no limit.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsConfig {
    /// Requests a second from one address, on average. A burst may be ten times as many.
    pub requests_per_second: u32,
    /// Requests a second of one caller (user, key, token), on average. A burst may be ten times as many.
    pub caller_requests_per_second: u32,
    /// Failed log-ins and wrong tokens a minute from one address. Further log-ins are refused unseen, further wrong tokens
    /// with 429; good tokens are let in all the same.
    pub failures_per_minute: u32,
    /// Wrong passwords a minute for one account. Further log-ins are refused unseen from addresses that it was never logged
    /// in at; whoever guesses keeps nobody out of their own account.
    pub account_failures_per_minute: u32,
    /// Largest body of a request, in bytes.
    pub body_bytes: usize,
    /// A request that is not answered after this long is given up.
    #[serde(with = "duration")]
    pub timeout: Duration,
    /// Event streams open at a time …
    pub event_streams: usize,
    /// … and those of one caller (user, key, token).
    pub event_streams_per_caller: usize,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            requests_per_second: 100,
            caller_requests_per_second: 50,
            failures_per_minute: 20,
            account_failures_per_minute: 10,
            body_bytes: 256 * 1024,
            timeout: Duration::from_secs(30),
            event_streams: 1000,
            event_streams_per_caller: 20,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    #[test]
    fn scopes_have_one_name() {
        for scope in Scope::ALL {
            assert_eq!(Scope::from_name(scope.name()), Some(scope));
            assert_eq!(from_value::<Scope>(json!(scope.name())).unwrap(), scope);
        }
    }

    #[test]
    fn reads_what_an_operator_writes() {
        let config: ApiConfig = from_value(json!({
            "listen": "0.0.0.0:8443",
            "trusted_proxies": ["10.0.0.0/8"],
            "tls": {"certificate": "/etc/cert.pem", "key": "/etc/key.pem"},
            "keys": [{"name": "ci", "key": "a key that is long", "scopes": ["recordings:read"]}],
            "limits": {"timeout": "5s"},
        }))
        .unwrap();
        assert_eq!(config.limits.timeout, Duration::from_secs(5));
        assert_eq!(config.keys[0].scopes, [Scope::RecordingsRead]);
        assert!(!format!("{config:?}").contains("a key that is long"));
        assert!(from_value::<ApiConfig>(json!({"lisen": "x"})).is_err());
    }
}
