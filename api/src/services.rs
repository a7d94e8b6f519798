//! What the API works with, made once and shared by all requests.

use std::{collections::HashMap, ops::Deref, sync::Arc};

use axum::body::Bytes;
use greffier_agent::{
    auto::Hints, clock::SystemClock, livekit::LiveKit, load::HelperConfig, recorder::Recorder, renders::Renders,
    supervisor::Supervisor, webhook::Outbox,
};
use greffier_media::time::{Arrival, Clock as _};
use greffier_store::{
    MeetingError, Memo, RoomId, SessionId, Store, accounts::User, ledger::NewAudit, meetings::RoomFilter,
};
use jsonwebtoken::errors::Error as JwtError;
use metrics_exporter_prometheus::PrometheusHandle;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use url::Url;

use crate::{
    ApiConfig, Principal,
    access::Relation,
    auth::{
        AccessTokens, ForeignError, ForeignTokens, Keys, KeysError, Links, LiveKitGrants, LiveKitTokens, LiveSessions,
        SecretError, Secrets, Shown,
    },
    bus::Bus,
    config::Scope,
    layers::{Limits, Policy, metric},
    loadtests::Running,
    problem::{ApiError, ApiResult},
    push::Pusher,
};

/// Everything below the API, made by whoever starts the process.
#[derive(Clone)]
pub struct Services {
    pub store: Store,
    pub recorder: Recorder,
    pub renders: Renders,
    /// Where webhooks of the `LiveKit` server are passed on to.
    pub hints: Hints,
    pub livekit: LiveKit,
    pub outbox: Outbox,
    pub clock: SystemClock,
    pub supervisor: Supervisor,
    /// What is done for load tests of other machines.
    pub load: HelperConfig,
    /// What `/metrics` shows; without it, `/metrics` is not there.
    pub metrics: Option<PrometheusHandle>,
}

/// Why the API cannot be set up so.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    #[error(transparent)]
    Keys(#[from] KeysError),
    #[error(transparent)]
    Foreign(#[from] ForeignError),
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error("`{0}` in `{1}` is not an origin such as `https://app.example.org`")]
    Origin(String, &'static str),
    #[error("nothing can be pushed: {0}")]
    Push(#[from] reqwest::Error),
    #[error("`default_language` must be `en` or `fr`")]
    Language,
}

/// The state of the router. Clones share everything.
#[derive(Clone)]
pub(crate) struct App(Arc<Shared>);

pub(crate) struct Shared {
    pub services: Services,
    pub config: ApiConfig,
    pub keys: Keys,
    pub livekit_tokens: LiveKitTokens,
    pub foreign: ForeignTokens,
    pub access_tokens: AccessTokens,
    pub sessions: LiveSessions,
    pub links: Links,
    pub limits: Limits,
    pub policy: Policy,
    /// What happens, for whoever listens now.
    pub bus: Bus,
    pub pusher: Pusher,
    pub load_tests: Running,
    /// One permit for each event stream that may be open.
    pub streams: Arc<Semaphore>,
    /// How many of them each caller has open.
    pub streams_of: Arc<Mutex<HashMap<String, usize>>>,
    /// When the process began to answer.
    pub started: Arrival,
    /// What was written into the audit log a moment ago.
    pub audited: crate::layers::Audited,
    /// How many changes may be under way.
    pub changes: crate::layers::Changes,
    /// Lists of rooms as they went out: which, from where on, how many.
    pub room_pages: Memo<(RoomFilter, Option<RoomId>, u64), Bytes>,
}

impl Deref for App {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

/// Bytes of lists of rooms that are remembered.
const ROOM_PAGES: u64 = 16 << 20;

/// Languages that pages and messages are in.
pub(crate) const LANGUAGES: [&str; 2] = ["en", "fr"];

impl App {
    pub(crate) fn new(config: ApiConfig, services: Services) -> Result<Self, SetupError> {
        check_origins(&config.cors_origins, "cors_origins")?;
        check_origins(&config.embed_origins, "embed_origins")?;
        if !LANGUAGES.contains(&config.default_language.as_str()) {
            return Err(SetupError::Language);
        }
        let secrets = Secrets::load(&services.store.data().root().join("api.key"))?;
        let livekit = services.livekit.config();
        let media = config.livekit_public_url.as_ref().unwrap_or(&livekit.url);
        Ok(Self(Arc::new(Shared {
            keys: Keys::new(&config.keys)?,
            livekit_tokens: LiveKitTokens::new(livekit),
            foreign: ForeignTokens::new(&config.foreign)?,
            access_tokens: AccessTokens::new(&secrets.derive("access tokens")),
            sessions: LiveSessions::default(),
            links: Links::new(&secrets.derive("links"), config.link_lifetime),
            limits: Limits::new(&config.limits, services.clock),
            policy: Policy::new(&config, media),
            bus: Bus::default(),
            load_tests: Running::default(),
            pusher: Pusher::new(config.push.clone())?,
            streams: Arc::new(Semaphore::new(config.limits.event_streams.min(Semaphore::MAX_PERMITS))),
            streams_of: Arc::default(),
            started: services.clock.now(),
            audited: crate::layers::Audited::default(),
            changes: crate::layers::Changes::default(),
            room_pages: Memo::weighed(Arc::new(services.clock), 512, ROOM_PAGES, |page| page.len() as u64),
            config,
            services,
        })))
    }

    pub(crate) fn now(&self) -> Arrival {
        self.services.clock.now()
    }

    /// What administrators have chosen.
    pub(crate) async fn setting(&self, name: &str) -> ApiResult<Option<serde_json::Value>> {
        Ok(self.store().settings().all().await?.remove(name))
    }

    pub(crate) fn uptime(&self) -> std::time::Duration {
        self.now().saturating_since(self.started)
    }

    pub(crate) fn store(&self) -> &Store {
        &self.services.store
    }

    /// Where browsers connect to for media.
    pub(crate) fn livekit_url(&self) -> String {
        match &self.config.livekit_public_url {
            Some(url) => url.as_str().trim_end_matches('/').to_owned(),
            None => self.services.livekit.websocket_url().trim_end_matches('/').to_owned(),
        }
    }

    /// The right to keep an event stream open: for so many altogether, and for so many of one caller.
    pub(crate) fn stream_permit(&self, caller: &Principal) -> ApiResult<StreamPermit> {
        let too_many = || ApiError::too_many("too_many_streams", 10);
        let permit = Arc::clone(&self.streams).try_acquire_owned().map_err(|_| too_many())?;
        let most = self.config.limits.event_streams_per_caller;
        StreamPermit::new(permit, &self.streams_of, caller.name(), most).ok_or_else(too_many)
    }

    /// An access token for a log-in, and for how many seconds it is good.
    pub(crate) fn access_token(&self, user: &User, session: SessionId) -> ApiResult<(String, u64)> {
        let token = self
            .access_tokens
            .mint(user.id, session, self.now())
            .map_err(|error: JwtError| {
                tracing::error!(%error, "an access token cannot be signed");
                ApiError::internal()
            })?;
        Ok((token, crate::auth::TOKEN_LIFETIME))
    }

    /// Who holds this key or token; `None` if it is none that counts.
    pub(crate) async fn authenticate(&self, token: &str) -> ApiResult<Option<Principal>> {
        if let Some(principal) = self.keys.find(token) {
            return Ok(Some(principal));
        }
        // Boxed: it is as large as asking another server takes.
        Box::pin(self.look_up(token)).await
    }

    async fn look_up(&self, token: &str) -> ApiResult<Option<Principal>> {
        if token.starts_with("gk_") {
            return self.api_key(token).await;
        }
        let issuer = issuer_of(token);
        if AccessTokens::is_ours(issuer.as_deref()) {
            return self.log_in_of(token).await;
        }
        if self.livekit_tokens.is_ours(issuer.as_deref()) {
            return Ok(self.livekit_tokens.verify(token));
        }
        let Some(issuer) = issuer else { return Ok(None) };
        let Some(vouched) = self.foreign.verify(&issuer, token, self.now()).await else {
            return Ok(None);
        };
        let users = self.store().users();
        let user = users
            .foreign(
                &vouched.foreign,
                vouched.email.as_deref(),
                &vouched.name,
                vouched.role,
                vouched.trust_email,
            )
            .await?;
        Ok(user.disabled.is_none().then(|| Principal::User {
            user: Arc::new(user),
            session: None,
        }))
    }

    async fn log_in_of(&self, token: &str) -> ApiResult<Option<Principal>> {
        let Some((user_id, session)) = self.access_tokens.verify(token) else {
            return Ok(None);
        };
        let now = self.now();
        let user = match self.sessions.get(session, now) {
            Some(user) => user,
            None => match self.store().sessions().alive(session).await? {
                Some(user) => {
                    let user = Arc::new(user);
                    self.sessions.put(session, &user, now);
                    user
                }
                None => return Ok(None),
            },
        };
        Ok((user.id == user_id).then_some(Principal::User {
            user,
            session: Some(session),
        }))
    }

    async fn api_key(&self, shown: &str) -> ApiResult<Option<Principal>> {
        let Some(key) = self.store().api_keys().find(shown).await? else {
            return Ok(None);
        };
        let user = match key.user {
            Some(id) => {
                let user = self.store().users().get(id).await?;
                if user.disabled.is_some() {
                    return Ok(None);
                }
                Some(Arc::new(user))
            }
            None => None,
        };
        Ok(Some(Principal::Key {
            name: key.id.to_string(),
            scopes: key.scopes.iter().filter_map(|scope| Scope::from_name(scope)).collect(),
            user,
        }))
    }

    /// Whether what the caller showed is good still: their log-in goes on, or their key or token is neither revoked nor too
    /// old, and no moderator has put them out.
    pub(crate) async fn goes_on(&self, caller: &Principal, shown: &Shown) -> bool {
        let Principal::User {
            session: Some(session), ..
        } = caller
        else {
            if let Principal::LiveKit(LiveKitGrants { room: Some(room), .. }) = caller
                && let Ok(Relation::PutOut) = self.relation(caller, room, None).await
            {
                return false;
            }
            return match self.authenticate(&shown.0).await {
                Ok(now) => now.is_some_and(|now| now.name() == caller.name()),
                // It is not known, so it is as it was.
                Err(_) => true,
            };
        };
        let now = self.now();
        if self.sessions.get(*session, now).is_some() {
            return true;
        }
        match self.store().sessions().alive(*session).await {
            Ok(Some(user)) => {
                self.sessions.put(*session, &Arc::new(user), now);
                true
            }
            Ok(None) => false,
            // It is not known, so it is as it was.
            Err(_) => true,
        }
    }

    /// What the caller is to a room; `at` is when it is about, if it is about a time.
    pub(crate) async fn relation(&self, caller: &Principal, room: &str, at: Option<Arrival>) -> ApiResult<Relation> {
        if let Principal::LiveKit(grants) = caller
            && grants.room.as_deref() == Some(room)
            && self.store().calls().is_kept_out(room, &grants.identity).await?
        {
            return Ok(Relation::PutOut);
        }
        let Some(user) = caller.user() else {
            return Ok(Relation::Stranger);
        };
        match self.store().rooms().get(room, Some(user.id)).await {
            Ok(room) => {
                if let Some(role) = room.role {
                    return Ok(Relation::Belongs(role));
                }
            }
            // Rooms that were never made here have calls and recordings all the same.
            Err(MeetingError::NoRoom(_)) => {}
            Err(error) => return Err(error.into()),
        }
        let at = at.unwrap_or_else(|| self.now());
        let was_there = self.store().calls().was_in_room(room, user.id, at).await?;
        Ok(if was_there {
            Relation::WasThere
        } else {
            Relation::Stranger
        })
    }

    /// Writes into the audit log. A line that cannot be written is in the log; what it is about has happened.
    pub(crate) async fn audit(&self, line: NewAudit) {
        if let Err(error) = self.store().ledger().record(&line).await {
            tracing::error!(%error, actor = line.actor, action = line.action, "the audit log cannot be written");
        }
    }
}

/// `iss` of a token, true or not.
fn issuer_of(token: &str) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Issued {
        iss: String,
    }
    let issued: Issued = jsonwebtoken::dangerous::insecure_decode_claims(token).ok()?;
    Some(issued.iss)
}

/// One of the event streams that may be open.
pub(crate) struct StreamPermit {
    _permit: OwnedSemaphorePermit,
    open: Arc<Mutex<HashMap<String, usize>>>,
    caller: String,
}

impl StreamPermit {
    /// `most` zero: no limit of their own.
    fn new(
        permit: OwnedSemaphorePermit,
        open: &Arc<Mutex<HashMap<String, usize>>>,
        caller: String,
        most: usize,
    ) -> Option<Self> {
        let mut counted = open.lock();
        let theirs = counted.get(&caller).copied().unwrap_or_default();
        if most > 0 && theirs >= most {
            return None;
        }
        counted.insert(caller.clone(), theirs + 1);
        drop(counted);
        metrics::gauge!(metric::EVENT_STREAMS).increment(1.0);
        Some(Self {
            _permit: permit,
            open: Arc::clone(open),
            caller,
        })
    }
}

impl Drop for StreamPermit {
    fn drop(&mut self) {
        let mut counted = self.open.lock();
        if let Some(theirs) = counted.get_mut(&self.caller) {
            *theirs -= 1;
            if *theirs == 0 {
                counted.remove(&self.caller);
            }
        }
        drop(counted);
        metrics::gauge!(metric::EVENT_STREAMS).decrement(1.0);
    }
}

/// Origins end up in headers: scheme, host, port, and nothing else.
fn check_origins(origins: &[String], field: &'static str) -> Result<(), SetupError> {
    for origin in origins {
        let same = Url::parse(origin)
            .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.origin().ascii_serialization() == *origin);
        if !same {
            return Err(SetupError::Origin(origin.clone(), field));
        }
    }
    Ok(())
}
