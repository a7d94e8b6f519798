//! Tokens of another application, which vouches for its users: they are let in without logging in here.

use std::{fs, io, path::PathBuf, sync::Arc, time::Duration};

use greffier_media::time::Arrival;
use greffier_store::accounts::{Foreign, UserRole};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, jwk::JwkSet};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::sync::Mutex;
use url::Url;

/// One `[[api.foreign]]` entry: an application whose users are let in.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForeignConfig {
    /// `iss` of its tokens.
    pub issuer: String,
    /// `aud` of its tokens; without it, any.
    #[serde(default)]
    pub audience: Option<String>,
    /// What its tokens are signed with (HS256, HS384, HS512). At least 32 bytes.
    #[serde(default)]
    pub secret: Option<SecretString>,
    /// A file that holds `secret`.
    #[serde(default)]
    pub secret_file: Option<PathBuf>,
    /// Instead of a secret: where its public keys are
    /// ([RFC 7517](https://www.rfc-editor.org/rfc/rfc7517)). RSA, ECDSA and Ed25519.
    #[serde(default)]
    pub jwks_url: Option<Url>,
    /// The claim that says who it is.
    #[serde(default = "subject")]
    pub subject_claim: String,
    /// The claim that says what they are called.
    #[serde(default = "name")]
    pub name_claim: String,
    /// The claim that holds their e-mail address.
    #[serde(default = "email")]
    pub email_claim: String,
    /// The claim that says what they are: a text, or a list of texts. Without it, everybody is a member.
    #[serde(default)]
    pub role_claim: Option<String>,
    /// Values of `role_claim` that make an administrator.
    #[serde(default)]
    pub admin_values: Vec<String>,
    /// Somebody with an account here and the same e-mail address is the same person.
    #[serde(default)]
    pub trust_email: bool,
}

fn subject() -> String {
    "sub".to_owned()
}

fn name() -> String {
    "name".to_owned()
}

fn email() -> String {
    "email".to_owned()
}

/// Why another application cannot be configured so.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ForeignError {
    #[error("`{0}` needs one of `secret`, `secret_file` and `jwks_url`, and only one")]
    Sources(String),
    #[error("the secret of `{0}` is shorter than 32 bytes")]
    Short(String),
    #[error("two entries are for the issuer `{0}`")]
    Twice(String),
    #[error("`{0}` is the issuer of Greffier's own tokens, or empty")]
    Issuer(String),
    #[error("the file `{}` of `{issuer}` cannot be read", path.display())]
    File {
        issuer: String,
        path: PathBuf,
        source: io::Error,
    },
    #[error("keys cannot be fetched: {0}")]
    Client(#[from] reqwest::Error),
}

/// Who another application says it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Vouched {
    pub foreign: Foreign,
    pub name: String,
    pub email: Option<String>,
    pub role: UserRole,
    pub trust_email: bool,
}

/// Verifies tokens of other applications.
pub(crate) struct ForeignTokens {
    applications: Vec<Application>,
    http: reqwest::Client,
}

struct Application {
    config: ForeignConfig,
    keys: Keys,
}

enum Keys {
    Secret(DecodingKey),
    Public(Mutex<Published>),
}

/// An application's public keys, as of when they were fetched.
#[derive(Default)]
struct Published {
    keys: Arc<Option<JwkSet>>,
    fetched: Option<Arrival>,
}

/// Keys are fetched again after this …
const KEYS_FRESH: Duration = Duration::from_mins(10);
/// … and when a token names one that is not among them, but no more often than this.
const FETCH_AT_MOST_EVERY: Duration = Duration::from_secs(30);
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of a key set.
const KEYS_MOST: usize = 256 * 1024;

const SYMMETRIC: [Algorithm; 3] = [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512];
const ASYMMETRIC: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

impl ForeignTokens {
    pub(crate) fn new(configs: &[ForeignConfig]) -> Result<Self, ForeignError> {
        let mut applications: Vec<Application> = Vec::new();
        for config in configs {
            let issuer = config.issuer.clone();
            if issuer.is_empty() || issuer == "greffier" {
                return Err(ForeignError::Issuer(issuer));
            }
            if applications.iter().any(|other| other.config.issuer == issuer) {
                return Err(ForeignError::Twice(issuer));
            }
            let keys = match (secret(config)?, &config.jwks_url) {
                (Some(secret), None) if secret.expose_secret().len() < 32 => return Err(ForeignError::Short(issuer)),
                (Some(secret), None) => Keys::Secret(DecodingKey::from_secret(secret.expose_secret().as_bytes())),
                (None, Some(_)) => Keys::Public(Mutex::default()),
                _ => return Err(ForeignError::Sources(issuer)),
            };
            applications.push(Application {
                config: config.clone(),
                keys,
            });
        }
        let http = reqwest::Client::builder().timeout(FETCH_TIMEOUT).build()?;
        Ok(Self { applications, http })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.applications.is_empty()
    }

    /// Who a token of `issuer` is for; `None` if it is forged, too old, or for somebody else.
    pub(crate) async fn verify(&self, issuer: &str, token: &str, now: Arrival) -> Option<Vouched> {
        let application = self
            .applications
            .iter()
            .find(|application| application.config.issuer == issuer)?;
        let config = &application.config;
        let header = jsonwebtoken::decode_header(token).ok()?;
        let (key, allowed) = match &application.keys {
            Keys::Secret(key) => (key.clone(), &SYMMETRIC[..]),
            Keys::Public(published) => {
                let url = config.jwks_url.as_ref()?;
                let key = self.public_key(published, url, header.kid.as_deref(), now).await?;
                (key, &ASYMMETRIC[..])
            }
        };
        // The algorithm is the key's affair: a token cannot make a public key into a secret.
        if !allowed.contains(&header.alg) {
            return None;
        }
        let mut validation = Validation::new(header.alg);
        validation.set_issuer(&[issuer]);
        validation.validate_nbf = true;
        if let Some(audience) = &config.audience {
            validation.set_audience(&[audience]);
            // Without this, a token for nobody in particular would be for us.
            validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        } else {
            validation.validate_aud = false;
            validation.set_required_spec_claims(&["exp", "iss"]);
        }
        let decoded = jsonwebtoken::decode::<Map<String, Value>>(token, &key, &validation);
        let claims = decoded
            .map_err(|error| tracing::debug!(issuer, %error, "token refused"))
            .ok()?
            .claims;
        vouched(config, &claims)
    }

    async fn public_key(
        &self,
        published: &Mutex<Published>,
        url: &Url,
        kid: Option<&str>,
        now: Arrival,
    ) -> Option<DecodingKey> {
        let mut published = published.lock().await;
        let since = published.fetched.map(|at| now.saturating_since(at));
        let known = find(published.keys.as_ref().as_ref(), kid);
        let due = match since {
            None => true,
            Some(since) => since >= KEYS_FRESH || (known.is_none() && since >= FETCH_AT_MOST_EVERY),
        };
        if !due {
            return known;
        }
        published.fetched = Some(now);
        match self.fetch(url).await {
            Ok(keys) => published.keys = Arc::new(Some(keys)),
            Err(error) => tracing::warn!(%url, error, "public keys cannot be fetched; those known are used"),
        }
        find(published.keys.as_ref().as_ref(), kid)
    }

    async fn fetch(&self, url: &Url) -> Result<JwkSet, String> {
        let answer = self
            .http
            .get(url.clone())
            .send()
            .await
            .and_then(reqwest::Response::error_for_status);
        let answer = answer.map_err(|error| error.to_string())?;
        if answer.content_length().is_some_and(|bytes| bytes > KEYS_MOST as u64) {
            return Err("the set of keys is too large".to_owned());
        }
        let bytes = answer.bytes().await.map_err(|error| error.to_string())?;
        if bytes.len() > KEYS_MOST {
            return Err("the set of keys is too large".to_owned());
        }
        serde_json::from_slice(&bytes).map_err(|error| error.to_string())
    }
}

/// A token that names no key is for the only one.
fn find(keys: Option<&JwkSet>, kid: Option<&str>) -> Option<DecodingKey> {
    let keys = keys?;
    let jwk = match (kid, keys.keys.as_slice()) {
        (Some(kid), _) => keys.find(kid)?,
        (None, [only]) => only,
        (None, _) => return None,
    };
    DecodingKey::from_jwk(jwk).ok()
}

fn secret(config: &ForeignConfig) -> Result<Option<SecretString>, ForeignError> {
    match (&config.secret, &config.secret_file) {
        (Some(_), Some(_)) => Err(ForeignError::Sources(config.issuer.clone())),
        (Some(secret), None) => Ok(Some(secret.clone())),
        (None, Some(path)) => match fs::read_to_string(path) {
            Ok(text) => Ok(Some(text.trim_end_matches(['\r', '\n']).into())),
            Err(source) => Err(ForeignError::File {
                issuer: config.issuer.clone(),
                path: path.clone(),
                source,
            }),
        },
        (None, None) => Ok(None),
    }
}

fn vouched(config: &ForeignConfig, claims: &Map<String, Value>) -> Option<Vouched> {
    let text = |claim: &str| match claims.get(claim) {
        Some(Value::String(text)) if !text.trim().is_empty() => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    let subject = text(&config.subject_claim).filter(|subject| subject.len() <= 255)?;
    let email = text(&config.email_claim);
    let name = text(&config.name_claim)
        .or_else(|| email.clone())
        .unwrap_or_else(|| subject.clone());
    let roles = match config.role_claim.as_ref().and_then(|claim| claims.get(claim)) {
        Some(Value::String(role)) => vec![role.as_str()],
        Some(Value::Array(roles)) => roles.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let is_admin = roles
        .iter()
        .any(|role| config.admin_values.iter().any(|admin| admin == role));
    Some(Vouched {
        foreign: Foreign {
            issuer: config.issuer.clone(),
            subject,
        },
        name,
        email,
        role: if is_admin { UserRole::Admin } else { UserRole::Member },
        trust_email: config.trust_email,
    })
}

#[cfg(test)]
mod tests {
    use greffier_agent::clock::SystemClock;
    use greffier_media::time::Clock as _;
    use jsonwebtoken::{EncodingKey, Header};
    use serde_json::{from_value, json};

    use super::*;

    const SECRET: &str = "a secret that two applications share";

    fn tokens(change: &Value) -> ForeignTokens {
        let mut config = json!({
            "issuer": "https://app.example", "audience": "greffier", "secret": SECRET,
            "role_claim": "groups", "admin_values": ["staff"],
        });
        for (key, value) in change.as_object().unwrap() {
            config[key] = value.clone();
        }
        ForeignTokens::new(&[from_value(config).unwrap()]).unwrap()
    }

    fn sign(secret: &str, algorithm: Algorithm, change: &Value) -> String {
        let exp = SystemClock::start().now().as_millis() / 1000 + 60;
        let mut claims = json!({
            "iss": "https://app.example", "aud": "greffier", "sub": "42", "name": "Ána", "email": "ana@app.example",
            "exp": exp, "groups": ["users"],
        });
        for (key, value) in change.as_object().unwrap() {
            claims[key] = value.clone();
        }
        let key = EncodingKey::from_secret(secret.as_bytes());
        jsonwebtoken::encode(&Header::new(algorithm), &claims, &key).unwrap()
    }

    async fn verify(tokens: &ForeignTokens, token: &str) -> Option<Vouched> {
        tokens
            .verify("https://app.example", token, SystemClock::start().now())
            .await
    }

    #[tokio::test]
    async fn claims_are_mapped_as_configured() {
        let tokens = tokens(&json!({}));
        let ana = verify(&tokens, &sign(SECRET, Algorithm::HS256, &json!({})))
            .await
            .unwrap();
        assert_eq!(
            (ana.foreign.subject.as_str(), ana.name.as_str(), ana.role),
            ("42", "Ána", UserRole::Member)
        );
        let staff = sign(
            SECRET,
            Algorithm::HS512,
            &json!({"groups": ["users", "staff"], "sub": 7, "name": null}),
        );
        let staff = verify(&tokens, &staff).await.unwrap();
        assert_eq!((staff.foreign.subject.as_str(), staff.role), ("7", UserRole::Admin));
        assert_eq!(staff.name, "ana@app.example");
    }

    #[tokio::test]
    async fn what_is_not_its_is_refused() {
        let tokens = tokens(&json!({}));
        for (secret, change) in [
            ("another secret that is as long as it", json!({})),
            (SECRET, json!({"exp": 1})),
            (SECRET, json!({"exp": null})),
            (SECRET, json!({"nbf": 99_999_999_999_u64})),
            (SECRET, json!({"aud": "another"})),
            (SECRET, json!({"aud": null})),
            (SECRET, json!({"iss": "https://other.example"})),
            (SECRET, json!({"sub": null})),
            (SECRET, json!({"sub": ""})),
        ] {
            assert_eq!(
                verify(&tokens, &sign(secret, Algorithm::HS256, &change)).await,
                None,
                "{change}"
            );
        }
        let none = "eyJhbGciOiJub25lIn0.eyJpc3MiOiJodHRwczovL2FwcC5leGFtcGxlIiwic3ViIjoiNDIifQ.";
        assert_eq!(verify(&tokens, none).await, None);
    }

    /// A public key is no secret: whoever has it must not be able to sign with it.
    #[tokio::test]
    async fn public_keys_are_not_taken_for_secrets() {
        let tokens = tokens(&json!({"secret": null, "jwks_url": "http://127.0.0.1:9/keys"}));
        assert_eq!(verify(&tokens, &sign(SECRET, Algorithm::HS256, &json!({}))).await, None);
    }

    #[test]
    fn nonsense_is_refused() {
        let new = |change: Value| {
            let mut config = json!({"issuer": "https://app.example", "secret": SECRET});
            for (key, value) in change.as_object().unwrap() {
                config[key] = value.clone();
            }
            ForeignTokens::new(&[from_value(config).unwrap()]).err()
        };
        assert!(new(json!({})).is_none());
        assert!(matches!(new(json!({"secret": "short"})), Some(ForeignError::Short(_))));
        assert!(matches!(new(json!({"secret": null})), Some(ForeignError::Sources(_))));
        assert!(matches!(
            new(json!({"jwks_url": "https://x/"})),
            Some(ForeignError::Sources(_))
        ));
        assert!(matches!(
            new(json!({"issuer": "greffier"})),
            Some(ForeignError::Issuer(_))
        ));
    }
}
