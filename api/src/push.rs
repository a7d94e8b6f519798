//! Notifications to browsers that have no page open: Web Push ([RFC 8030](https://www.rfc-editor.org/rfc/rfc8030)),
//! encrypted for the browser ([RFC 8291](https://www.rfc-editor.org/rfc/rfc8291)) and signed by us
//! ([VAPID, RFC 8292](https://www.rfc-editor.org/rfc/rfc8292)).

use std::{convert::Infallible, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use greffier_agent::supervisor::TaskKind;
use greffier_store::{UserId, notices::PushSubscription};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{OnceCell, broadcast::error::RecvError};
use url::Url;
use web_push_native::{
    Auth,
    p256::{PublicKey, SecretKey, elliptic_curve::sec1::ToEncodedPoint as _, pkcs8::EncodePrivateKey as _},
};

use crate::{
    bus::Audience,
    problem::{ApiError, ApiResult},
    services::App,
};

/// The `[api.push]` section. Without it, nothing is pushed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PushConfig {
    /// Whom a push service may write to: `mailto:admin@example.org`, or an `https` address.
    pub contact: String,
    /// Hosts of push services. Browsers say where to push to, so this keeps them from sending us anywhere else; `*.` stands
    /// for any beginning.
    #[serde(default = "push_services")]
    pub hosts: Vec<String>,
}

fn push_services() -> Vec<String> {
    [
        "fcm.googleapis.com",
        "*.push.services.mozilla.com",
        "*.notify.windows.com",
        "*.push.apple.com",
    ]
    .map(str::to_owned)
    .into()
}

/// A push that the service could not hand on is given up after this.
const KEPT: Duration = Duration::from_hours(12);
const TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of a message before encryption, so that every service takes it.
const LARGEST: usize = 3000;

/// Our keys, made once for the installation.
pub(crate) struct Vapid {
    signing: EncodingKey,
    /// In base64url: what browsers subscribe with.
    public: String,
}

/// Pushes, if it is configured.
pub(crate) struct Pusher {
    config: Option<PushConfig>,
    http: reqwest::Client,
    vapid: OnceCell<Vapid>,
}

/// Why a push was not taken.
#[derive(Debug, thiserror::Error)]
enum PushError {
    #[error("the browser does not take pushes there any more")]
    Gone,
    #[error("the subscription makes no sense: {0}")]
    Subscription(&'static str),
    #[error("the message cannot be encrypted: {0}")]
    Encrypt(web_push_native::Error),
    #[error("the message cannot be signed")]
    Sign(#[from] jsonwebtoken::errors::Error),
    #[error("the push service answers {0}")]
    Refused(reqwest::StatusCode),
    #[error("the push service cannot be reached")]
    Unreachable(#[from] reqwest::Error),
}

impl Pusher {
    pub(crate) fn new(config: Option<PushConfig>) -> Result<Self, reqwest::Error> {
        // A push service has no business sending us elsewhere.
        let http = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self {
            config,
            http,
            vapid: OnceCell::new(),
        })
    }

    /// Where a browser wants to be pushed to, if that may be.
    fn endpoint(&self, text: &str) -> Option<Url> {
        let config = self.config.as_ref()?;
        let url = Url::parse(text).ok()?;
        let host = url.host_str()?;
        let is_listed = config.hosts.iter().any(|listed| match listed.strip_prefix("*.") {
            Some(end) => host.strip_suffix(end).is_some_and(|start| start.ends_with('.')),
            None => host == listed,
        });
        let is_safe = url.scheme() == "https" || (url.scheme() == "http" && host == "127.0.0.1");
        (is_listed && is_safe && url.username().is_empty() && url.password().is_none()).then_some(url)
    }

    async fn send(&self, vapid: &Vapid, to: &PushSubscription, message: &[u8], now: u64) -> Result<(), PushError> {
        let endpoint = self.endpoint(&to.endpoint).ok_or(PushError::Subscription("endpoint"))?;
        let (key, auth) = read_keys(to)?;
        let body = web_push_native::encrypt(message.to_vec(), &key, &auth).map_err(PushError::Encrypt)?;
        let contact = self.config.as_ref().map_or("", |config| config.contact.as_str());
        let claims = json!({
            "aud": endpoint.origin().ascii_serialization(), "exp": now + KEPT.as_secs(), "sub": contact,
        });
        let token = jsonwebtoken::encode(&Header::new(Algorithm::ES256), &claims, &vapid.signing)?;
        let answer = self
            .http
            .post(endpoint)
            .header("TTL", KEPT.as_secs())
            .header("Content-Encoding", "aes128gcm")
            .header("Content-Type", "application/octet-stream")
            .header("Authorization", format!("vapid t={token}, k={}", vapid.public))
            .body(body)
            .send()
            .await?;
        match answer.status().as_u16() {
            200..=299 => Ok(()),
            404 | 410 => Err(PushError::Gone),
            _ => Err(PushError::Refused(answer.status())),
        }
    }
}

fn read_keys(subscription: &PushSubscription) -> Result<(PublicKey, Auth), PushError> {
    let key = URL_SAFE_NO_PAD.decode(subscription.p256dh.trim_end_matches('=')).ok();
    let key = key.and_then(|key| PublicKey::from_sec1_bytes(&key).ok());
    let auth = URL_SAFE_NO_PAD.decode(subscription.auth.trim_end_matches('=')).ok();
    // The library takes exactly this many bytes.
    let auth = auth
        .filter(|auth| auth.len() == 16)
        .map(|auth| Auth::clone_from_slice(&auth));
    Ok((
        key.ok_or(PushError::Subscription("p256dh"))?,
        auth.ok_or(PushError::Subscription("auth"))?,
    ))
}

/// A scalar of the curve: almost every 32 bytes are one.
fn generate() -> Vec<u8> {
    loop {
        let bytes: [u8; 32] = rand::random();
        if SecretKey::from_slice(&bytes).is_ok() {
            return bytes.to_vec();
        }
    }
}

impl App {
    /// What browsers subscribe with; `None` if nothing is pushed.
    pub(crate) async fn push_public_key(&self) -> ApiResult<Option<String>> {
        if self.pusher.config.is_none() {
            return Ok(None);
        }
        Ok(Some(self.vapid().await?.public.clone()))
    }

    async fn vapid(&self) -> ApiResult<&Vapid> {
        let make = || async {
            let secret = self.store().settings().secret("vapid", generate).await?;
            let broken = |what| {
                tracing::error!(what, "the key for pushes cannot be used");
                ApiError::internal()
            };
            let secret = SecretKey::from_slice(&secret).map_err(|_| broken("secret"))?;
            let der = secret.to_pkcs8_der().map_err(|_| broken("form"))?;
            let public = secret.public_key().to_encoded_point(false);
            Ok::<_, ApiError>(Vapid {
                signing: EncodingKey::from_ec_der(der.as_bytes()),
                public: URL_SAFE_NO_PAD.encode(public.as_bytes()),
            })
        };
        self.pusher.vapid.get_or_try_init(make).await
    }

    /// Keeps a browser's subscription.
    pub(crate) async fn subscribe(&self, subscription: &PushSubscription) -> ApiResult<()> {
        if self.pusher.config.is_none() {
            let detail = "this server pushes nothing: its configuration has no `[api.push]`";
            return Err(ApiError::new(
                axum::http::StatusCode::CONFLICT,
                "push_not_configured",
                detail,
            ));
        }
        if self.pusher.endpoint(&subscription.endpoint).is_none() {
            return Err(ApiError::invalid_field(
                "/endpoint",
                "must be an address of a push service that is listed",
            ));
        }
        if let Err(PushError::Subscription(field)) = read_keys(subscription) {
            return Err(ApiError::invalid_field(
                format!("/keys/{field}"),
                "must be the browser's, in base64url",
            ));
        }
        Ok(self.store().notices().subscribe(subscription).await?)
    }

    /// Pushes what people are told, until the process ends.
    pub(crate) fn start_pushing(&self) {
        if self.pusher.config.is_none() {
            return;
        }
        let (app, mut events) = (self.clone(), self.bus.listen());
        self.services
            .supervisor
            .spawn(TaskKind::Housekeeping, "push", |token| async move {
                loop {
                    let received = tokio::select! {
                        () = token.cancelled() => return Ok::<(), Infallible>(()),
                        received = events.recv() => received,
                    };
                    match received {
                        Ok(event) if event.kind == "notification" => {
                            if let Audience::Users(users) = &event.audience {
                                app.push(users, &event.data).await;
                            }
                        }
                        Ok(_) => {}
                        Err(RecvError::Lagged(events)) => {
                            tracing::warn!(events, "pushes were left out: too many at once");
                        }
                        Err(RecvError::Closed) => return Ok(()),
                    }
                }
            });
    }

    async fn push(&self, users: &[UserId], data: &Value) {
        let message = data.to_string().into_bytes();
        let Ok(vapid) = self.vapid().await else { return };
        if message.len() > LARGEST {
            tracing::warn!(bytes = message.len(), "the notification is too long to be pushed");
            return;
        }
        for user in users {
            let notices = self.store().notices();
            let subscriptions = match notices.subscriptions(*user).await {
                Ok(subscriptions) => subscriptions,
                Err(error) => {
                    tracing::error!(%error, "whom to push to cannot be read");
                    continue;
                }
            };
            for subscription in subscriptions {
                let now = self.now().as_millis() / 1000;
                match self.pusher.send(vapid, &subscription, &message, now).await {
                    Ok(()) => {}
                    Err(PushError::Gone | PushError::Subscription(_)) => {
                        if let Err(error) = notices.unsubscribe(None, &subscription.endpoint).await {
                            tracing::error!(%error, "a subscription that is gone cannot be forgotten");
                        }
                    }
                    Err(error) => tracing::warn!(%error, user = %user, "not pushed"),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{net::SocketAddr, sync::Arc};

    use axum::{Router, body::Bytes, http::HeaderMap, routing::post};
    use jsonwebtoken::{DecodingKey, Validation};
    use parking_lot::Mutex;

    use super::*;

    fn pusher(hosts: &[&str]) -> Pusher {
        let hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
        Pusher::new(Some(PushConfig {
            contact: "mailto:a@example.org".into(),
            hosts,
        }))
        .unwrap()
    }

    #[test]
    fn pushes_go_to_push_services_only() {
        let pusher = pusher(&["fcm.googleapis.com", "*.push.apple.com"]);
        for (endpoint, allowed) in [
            ("https://fcm.googleapis.com/fcm/send/x", true),
            ("https://web.push.apple.com/x", true),
            ("http://fcm.googleapis.com/x", false),
            ("https://evilpush.apple.com/x", false),
            ("https://push.apple.com/x", false),
            ("https://fcm.googleapis.com.evil.example/x", false),
            ("https://fcm.googleapis.com@evil.example/x", false),
            ("https://a:b@fcm.googleapis.com/x", false),
            ("https://169.254.169.254/latest", false),
            ("http://127.0.0.1:8000/", false),
            ("file:///etc/passwd", false),
            ("", false),
        ] {
            assert_eq!(pusher.endpoint(endpoint).is_some(), allowed, "{endpoint}");
        }
    }

    /// The other side of RFC 8291 and 8292: a push service that checks who pushes, and a browser that reads it.
    #[tokio::test]
    async fn a_browser_can_read_what_is_pushed() {
        type Taken = Arc<Mutex<Option<(HeaderMap, Vec<u8>)>>>;
        let arrived = Taken::default();
        let kept = Arc::clone(&arrived);
        let take = move |headers: HeaderMap, body: Bytes| async move { *kept.lock() = Some((headers, body.to_vec())) };
        let listener = tokio::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))
            .await
            .unwrap();
        let address = listener.local_addr().unwrap();
        let service = axum::serve(listener, Router::new().route("/push", post(take))).into_future();

        let browser = SecretKey::from_slice(&generate()).unwrap();
        let auth = [5; 16];
        let to = PushSubscription {
            endpoint: format!("http://{address}/push"),
            user: "usr_01J8Z6J9W2T4X5Y6Z7A8B9C0D1".parse().unwrap(),
            p256dh: URL_SAFE_NO_PAD.encode(browser.public_key().to_encoded_point(false)),
            auth: URL_SAFE_NO_PAD.encode(auth),
        };
        let ours = SecretKey::from_slice(&generate()).unwrap();
        let point = ours.public_key().to_encoded_point(false);
        let vapid = Vapid {
            signing: EncodingKey::from_ec_der(ours.to_pkcs8_der().unwrap().as_bytes()),
            public: URL_SAFE_NO_PAD.encode(point.as_bytes()),
        };
        let pusher = pusher(&["127.0.0.1"]);
        let now = jsonwebtoken::get_current_timestamp();
        tokio::select! {
            sent = pusher.send(&vapid, &to, b"hello", now) => sent.unwrap(),
            _ = service => panic!("the service ended"),
        }
        let (shown, sealed) = arrived.lock().take().unwrap();
        let read = web_push_native::decrypt(sealed, &browser, &Auth::clone_from_slice(&auth)).unwrap();
        assert_eq!(read, b"hello");
        let authorization = shown["authorization"].to_str().unwrap();
        let token = authorization
            .strip_prefix("vapid t=")
            .unwrap()
            .split(',')
            .next()
            .unwrap();
        let coordinate = |bytes| URL_SAFE_NO_PAD.encode::<&[u8]>(bytes);
        let (x, y) = (
            coordinate(&point.as_bytes()[1..33]),
            coordinate(&point.as_bytes()[33..]),
        );
        let mut validation = Validation::new(Algorithm::ES256);
        validation.set_audience(&[format!("http://{address}")]);
        let key = DecodingKey::from_ec_components(&x, &y).unwrap();
        let claims = jsonwebtoken::decode::<Value>(token, &key, &validation).unwrap().claims;
        assert_eq!(claims["sub"], "mailto:a@example.org");
    }
}
