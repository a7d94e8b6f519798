//! Webhooks that go out: what happened to recordings and renders, told to whoever the configuration names.
//!
//! A delivery is put into the store's outbox in the transaction that changes the recording or render, so neither a
//! crash nor a receiver that is down for a day loses one. Receivers may get one twice, with the same id.

mod deliver;
mod signature;

use std::path::PathBuf;
use std::sync::Arc;

use globset::{Glob, GlobSet, GlobSetBuilder};
use greffier_store::recordings::Recording;
use greffier_store::renders::Render;
use greffier_store::webhooks::NewDelivery;
use jiff::Timestamp;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use url::Url;

pub use signature::{Key, SignatureError};

use crate::view::{RecordingView, RenderView};

/// One `[[webhooks]]` entry: an address that is told what happens.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookConfig {
    /// Where events are posted to.
    pub url: Url,
    /// What they are signed with, as [Standard Webhooks](https://www.standardwebhooks.com) has it: `whsec_` and
    /// base64, or any text.
    #[serde(default)]
    pub secret: Option<SecretString>,
    /// A file that holds `secret`.
    #[serde(default)]
    pub secret_file: Option<PathBuf>,
    /// Patterns of the events to tell of: `recording.*`, `render.ready`. Without it, all of them.
    #[serde(default)]
    pub events: Vec<String>,
}

/// What is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    RecordingStarted,
    RecordingPaused,
    RecordingResumed,
    RecordingSealed,
    RecordingFailed,
    RenderReady,
    RenderFailed,
    RenderCancelled,
}

impl Event {
    pub const ALL: [Self; 8] = [
        Self::RecordingStarted,
        Self::RecordingPaused,
        Self::RecordingResumed,
        Self::RecordingSealed,
        Self::RecordingFailed,
        Self::RenderReady,
        Self::RenderFailed,
        Self::RenderCancelled,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::RecordingStarted => "recording.started",
            Self::RecordingPaused => "recording.paused",
            Self::RecordingResumed => "recording.resumed",
            Self::RecordingSealed => "recording.sealed",
            Self::RecordingFailed => "recording.failed",
            Self::RenderReady => "render.ready",
            Self::RenderFailed => "render.failed",
            Self::RenderCancelled => "render.cancelled",
        }
    }
}

/// Why a webhook cannot be configured so.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WebhookConfigError {
    #[error("webhooks go to http or https addresses, not to `{0}`")]
    Scheme(Url),
    #[error("`{pattern}` matches none of the events {}", names())]
    Pattern { pattern: String },
    #[error("the webhook to {url} has no secret: give `secret` or `secret_file`")]
    NoSecret { url: Url },
    #[error("give either `secret` or `secret_file` for the webhook to {url}, not both")]
    TwoSecrets { url: Url },
    #[error("the file `{}` that `secret_file` names cannot be read", path.display())]
    SecretFile { path: PathBuf, source: std::io::Error },
    #[error("the webhook to {url} cannot be signed")]
    Key { url: Url, source: SignatureError },
}

fn names() -> String {
    Event::ALL.map(Event::name).join(", ")
}

struct Target {
    url: Url,
    key: Key,
    events: Option<GlobSet>,
}

/// Makes deliveries and knows who they are for. Clones share everything.
#[derive(Clone)]
pub struct Outbox {
    targets: Arc<[Target]>,
    wake: Arc<Notify>,
}

/// The body of a delivery, in the shape that Standard Webhooks proposes.
#[derive(Serialize)]
struct Body<'a, T> {
    r#type: &'static str,
    timestamp: Timestamp,
    data: &'a T,
}

impl Outbox {
    /// # Errors
    /// When an entry makes no sense; it says which and why.
    pub fn new(configs: &[WebhookConfig]) -> Result<Self, WebhookConfigError> {
        let targets = configs.iter().map(Target::new).collect::<Result<_, _>>()?;
        Ok(Self {
            targets,
            wake: Arc::default(),
        })
    }

    /// For the transaction that changes a recording; call [`wake`](Self::wake) once it is through.
    pub fn recording(&self, event: Event, at: Timestamp, recording: &Recording) -> Vec<NewDelivery> {
        self.deliveries(event, at, &RecordingView::from(recording))
    }

    /// For the transaction that changes a render.
    pub fn render(&self, event: Event, at: Timestamp, render: &Render) -> Vec<NewDelivery> {
        self.deliveries(event, at, &RenderView::from(render))
    }

    fn deliveries(&self, event: Event, at: Timestamp, data: &impl Serialize) -> Vec<NewDelivery> {
        let body = || match serde_json::to_string(&Body {
            r#type: event.name(),
            timestamp: at,
            data,
        }) {
            Ok(body) => Some(body),
            Err(error) => {
                tracing::error!(%error, event = event.name(), "a webhook has no body");
                None
            }
        };
        let wants = |target: &&Target| {
            target
                .events
                .as_ref()
                .is_none_or(|events| events.is_match(event.name()))
        };
        let delivery = |target: &Target| {
            Some(NewDelivery {
                url: target.url.to_string(),
                event: event.name().to_owned(),
                body: body()?,
            })
        };
        self.targets.iter().filter(wants).filter_map(delivery).collect()
    }

    /// Something is waiting: delivers it now rather than at the next look.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    fn key(&self, url: &str) -> Option<&Key> {
        self.targets
            .iter()
            .find(|target| target.url.as_str() == url)
            .map(|target| &target.key)
    }
}

impl Target {
    fn new(config: &WebhookConfig) -> Result<Self, WebhookConfigError> {
        let url = config.url.clone();
        if !matches!(url.scheme(), "http" | "https") {
            return Err(WebhookConfigError::Scheme(url));
        }
        let secret = match (&config.secret, &config.secret_file) {
            (Some(secret), None) => secret.clone(),
            (None, Some(path)) => std::fs::read_to_string(path)
                .map_err(|source| WebhookConfigError::SecretFile {
                    path: path.clone(),
                    source,
                })?
                .trim_end_matches(['\r', '\n'])
                .into(),
            (None, None) => return Err(WebhookConfigError::NoSecret { url }),
            (Some(_), Some(_)) => return Err(WebhookConfigError::TwoSecrets { url }),
        };
        let key = Key::new(&secret).map_err(|source| WebhookConfigError::Key {
            url: url.clone(),
            source,
        })?;
        let mut globs = GlobSetBuilder::new();
        for pattern in &config.events {
            let glob = Glob::new(pattern).ok();
            let matcher = glob.as_ref().map(Glob::compile_matcher);
            let hits = matcher.is_some_and(|matcher| Event::ALL.iter().any(|event| matcher.is_match(event.name())));
            match glob {
                Some(glob) if hits => globs.add(glob),
                _ => {
                    return Err(WebhookConfigError::Pattern {
                        pattern: pattern.clone(),
                    });
                }
            };
        }
        let events = match globs.build() {
            Ok(set) if !config.events.is_empty() => Some(set),
            _ => None,
        };
        Ok(Self { url, key, events })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn outbox(entries: serde_json::Value) -> Result<Outbox, WebhookConfigError> {
        let configs: Vec<WebhookConfig> = serde_json::from_value(entries).expect("entries");
        Outbox::new(&configs)
    }

    #[test]
    fn each_address_is_told_what_it_asked_for() {
        let outbox = outbox(json!([
            {"url": "https://all.example/hook", "secret": "a secret that is long"},
            {"url": "https://some.example/hook", "secret": "a secret that is long", "events": ["render.*"]},
        ]))
        .expect("makes sense");
        let urls = |event| {
            let made = outbox.deliveries(event, Timestamp::UNIX_EPOCH, &json!({"id": 1}));
            made.into_iter().map(|d| d.url).collect::<Vec<_>>()
        };
        assert_eq!(urls(Event::RecordingSealed), ["https://all.example/hook"]);
        assert_eq!(urls(Event::RenderReady).len(), 2);
        let body = &outbox.deliveries(Event::RenderReady, Timestamp::UNIX_EPOCH, &json!({"id": 1}))[0].body;
        let body: serde_json::Value = serde_json::from_str(body).expect("JSON");
        assert_eq!(
            body,
            json!({"type": "render.ready", "timestamp": "1970-01-01T00:00:00Z", "data": {"id": 1}})
        );
    }

    #[test]
    fn nonsense_is_refused_with_its_reason() {
        for (entry, reason) in [
            (json!({"url": "ftp://x/", "secret": "a secret that is long"}), "http"),
            (json!({"url": "http://x/"}), "no secret"),
            (
                json!({"url": "http://x/", "secret": "a", "secret_file": "b"}),
                "not both",
            ),
            (json!({"url": "http://x/", "secret_file": "/none/such"}), "/none/such"),
            (json!({"url": "http://x/", "secret": "short"}), "signed"),
            (
                json!({"url": "http://x/", "secret": "a secret that is long", "events": ["recordin.*"]}),
                "recordin.*",
            ),
        ] {
            let Err(error) = outbox(json!([entry])) else {
                panic!("{entry} was taken")
            };
            assert!(error.to_string().contains(reason), "{error}");
        }
    }
}
