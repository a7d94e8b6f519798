//! What is asked about, and what is shown: one room with its people, calls and recordings, made anew after every change.

use std::{
    collections::HashMap,
    sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use axum::{
    body::{Body, to_bytes},
    http::{Method, StatusCode, header},
};
use greffier_agent::supervisor::TaskKind;
use greffier_media::{ids::RoomName, time::Clock as _};
use greffier_store::{
    UserId,
    accounts::{Foreign, NewApiKey, NewUser, NewUserInvitation, UserRole},
    meetings::{CallType, NewRoom, NewRoomInvitation, RoomOptions, RoomRole},
    renders::{Lane, NewRender},
};
use serde_json::{Value, from_value, json};
use tower::ServiceExt as _;

use super::{
    signed::{FOREIGN_SECRET, PUBLIC, ed25519, hs256, livekit, publish_keys},
    table::Row,
};
use crate::{
    auth::{AccessTokens, Links, Secrets, TOKEN_LIFETIME},
    config::Scope,
    openapi,
    testing::{Api, LIVEKIT_SECRET, request},
    v1::rooms::tests::comes,
};

/// What a caller shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    Nothing,
    /// The token that a guest came into the room with.
    Guest,
    /// The rest are people: an access token of their log-in.
    Stranger,
    Member,
    Moderator,
    Owner,
    Administrator,
    /// `LiveKit` tokens: `roomAdmin` of the room, `roomRecord` of no room.
    RoomAdmin,
    RoomRecord,
    /// Tokens of two other applications, by a shared secret and by published keys.
    ForeignSecret,
    ForeignPublic,
    KeyWith(Scope),
    /// A key with all scopes but this one and `admin`.
    KeyWithout(Scope),
    Bad(Bad),
}

/// What does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bad {
    SessionExpired,
    SessionForged,
    SessionEnded,
    LiveKitExpired,
    LiveKitForged,
    ForeignExpired,
    ForeignForged,
    /// Signed with published keys, as if they were a secret.
    PublicAsSecret,
    PublicExpired,
    KeyUnheardOf,
    KeyRevoked,
}

impl Shown {
    pub(super) const BAD: [Self; 11] = [
        Self::Bad(Bad::SessionExpired),
        Self::Bad(Bad::SessionForged),
        Self::Bad(Bad::SessionEnded),
        Self::Bad(Bad::LiveKitExpired),
        Self::Bad(Bad::LiveKitForged),
        Self::Bad(Bad::ForeignExpired),
        Self::Bad(Bad::ForeignForged),
        Self::Bad(Bad::PublicAsSecret),
        Self::Bad(Bad::PublicExpired),
        Self::Bad(Bad::KeyUnheardOf),
        Self::Bad(Bad::KeyRevoked),
    ];

    fn person(self) -> Option<usize> {
        const PEOPLE: [Shown; 5] = [
            Shown::Stranger,
            Shown::Member,
            Shown::Moderator,
            Shown::Owner,
            Shown::Administrator,
        ];
        PEOPLE.iter().position(|who| *who == self)
    }
}

/// What was answered.
pub(super) struct Refusal {
    pub status: StatusCode,
    pub content_type: String,
    pub text: String,
}

/// What a request can be about. Only what the operation asks for is made.
#[derive(Default)]
struct Things {
    room: String,
    /// `{id}` of the path, and the rest of its names.
    names: Vec<(&'static str, String)>,
    /// Secrets that open doors.
    secret: String,
    /// Log-ins of the five people.
    sessions: Vec<String>,
}

pub(super) struct World {
    api: Api,
    tokens: AccessTokens,
    links: Links,
    people: Vec<UserId>,
    keys: Vec<(Shown, String)>,
    revoked: String,
    ended: String,
    things: Option<(&'static str, Things)>,
    made: AtomicU32,
}

impl World {
    pub(super) async fn new() -> Self {
        let (public_url, publishing) = publish_keys().await;
        let api = Api::with(|config| {
            let limits = &mut config.limits;
            (limits.requests_per_second, limits.caller_requests_per_second) = (0, 0);
            limits.failures_per_minute = 0;
            config.foreign = from_value(json!([
                {"issuer": "https://secret.example", "secret": FOREIGN_SECRET},
                {"issuer": "https://public.example", "jwks_url": format!("http://{public_url}/keys")},
            ]))
            .unwrap();
        })
        .await;
        api.services
            .supervisor
            .spawn(TaskKind::Housekeeping, "another application", |_| publishing);
        let secrets = Secrets::load(&api.services.store.data().root().join("api.key")).unwrap();
        let tokens = AccessTokens::new(&secrets.derive("access tokens"));
        let links = Links::new(&secrets.derive("links"), Duration::from_hours(1));
        let store = &api.services.store;
        let mut people = Vec::new();
        for name in ["stranger", "member", "moderator", "owner", "admin"] {
            let new = NewUser {
                email: format!("{name}@example.org"),
                name: name.into(),
                role: if name == "admin" {
                    UserRole::Admin
                } else {
                    UserRole::Member
                },
                language: None,
                password: "correct horse battery".into(),
            };
            people.push(store.joining().create(&new).await.unwrap().id);
        }
        let mut keys = Vec::new();
        for scope in Scope::ALL {
            let others = Scope::ALL
                .into_iter()
                .filter(|other| *other != scope && *other != Scope::Admin);
            for (shown, scopes) in [
                (Shown::KeyWith(scope), vec![scope]),
                (Shown::KeyWithout(scope), others.collect()),
            ] {
                keys.push((shown, key(&api, &scopes).await.1));
            }
        }
        let (id, revoked) = key(&api, &[Scope::Admin]).await;
        store.api_keys().revoke(id).await.unwrap();
        let admin = people[4];
        let (session, _) = store.sessions().start(admin, "", "").await.unwrap();
        let ended = tokens.mint(admin, session.id, api.services.clock.now()).unwrap();
        store.sessions().end(session.id).await.unwrap();
        Self {
            api,
            tokens,
            links,
            people,
            keys,
            revoked,
            ended,
            things: None,
            made: AtomicU32::new(0),
        }
    }

    /// The status that a caller gets, and what they are told if it is a refusal.
    pub(super) async fn ask(&mut self, row: &Row, shown: &Shown) -> (StatusCode, String) {
        if self.things.as_ref().is_none_or(|(name, _)| *name != row.name) {
            self.things = Some((row.name, self.make(row.name).await));
        }
        let Some((_, things)) = &self.things else {
            unreachable!("just made")
        };
        let (method, route) = find(row.operation());
        let request = self.request(row.name, &method, &route, things, *shown);
        let response = self.api.router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let told = if status.is_success() {
            // It may be a stream without an end.
            String::new()
        } else {
            String::from_utf8_lossy(&to_bytes(response.into_body(), 1 << 20).await.unwrap()).into_owned()
        };
        // Whoever was let in may have changed something.
        if method != Method::GET && !matches!(status.as_u16(), 401 | 403) {
            self.things = None;
        }
        (status, told)
    }

    /// The statuses of the same request about a room that is there, and about one that is not; `None` if it is about none.
    pub(super) async fn ask_twice(&mut self, row: &Row, shown: Shown) -> Option<(StatusCode, StatusCode)> {
        if !find(row.operation()).1.contains("{room_name}") {
            return None;
        }
        let (there, _) = self.ask(row, &shown).await;
        let mut things = self.make(row.name).await;
        things.room = "nowhere".into();
        self.things = Some((row.name, things));
        let (nowhere, _) = self.ask(row, &shown).await;
        self.things = None;
        Some((there, nowhere))
    }

    /// What a good request for an operation has in its body.
    pub(super) async fn good_body(&mut self, name: &'static str) -> Option<Value> {
        self.things = Some((name, self.make(name).await));
        let Some((_, things)) = &self.things else {
            unreachable!("just made")
        };
        self.body(name, things, Shown::Administrator)
    }

    /// The answer to a request with this body.
    pub(super) async fn ask_with(&mut self, name: &'static str, shown: Shown, body: &Value) -> Refusal {
        let Some((_, things)) = self.things.as_ref().filter(|(of, _)| *of == name) else {
            unreachable!("`good_body` was asked for")
        };
        let (method, route) = find(name);
        let mut asked = self.request(name, &method, &route, things, shown);
        *asked.body_mut() = Body::from(body.to_string());
        let answer = self.api.send(asked).await;
        Refusal {
            status: answer.status,
            content_type: answer.header(header::CONTENT_TYPE).to_owned(),
            text: answer.text(),
        }
    }

    fn request(
        &self,
        name: &str,
        method: &Method,
        route: &str,
        things: &Things,
        shown: Shown,
    ) -> axum::http::Request<Body> {
        let mut path = route.replace("{room_name}", &things.room);
        for (field, value) in &things.names {
            path = path.replace(&format!("{{{field}}}"), value);
        }
        assert!(!path.contains('{'), "{name}: nothing is made for {path}");
        if name.starts_with("read_calendar") || name.ends_with("link") || name.starts_with("poll_waiting") {
            let field = if name.starts_with("poll") { "secret" } else { "key" };
            path = format!("{path}?{field}={}", things.secret);
        }
        let mut asked = request(method.clone(), &path, &self.token(things, shown));
        if name == "refresh_session" {
            asked = asked.header(header::COOKIE, format!("greffier_refresh={}", things.secret));
        }
        match self.body(name, things, shown) {
            Some(body) => asked
                .header(header::CONTENT_TYPE, "application/json")
                .body(Body::from(body.to_string()))
                .unwrap(),
            None => asked.body(Body::empty()).unwrap(),
        }
    }

    /// A body in which nothing is wrong.
    fn body(&self, name: &str, things: &Things, shown: Shown) -> Option<Value> {
        let n = self.made.fetch_add(1, Ordering::Relaxed);
        let room = &things.room;
        let is_key = matches!(shown, Shown::KeyWith(_) | Shown::KeyWithout(_));
        Some(match name {
            "set_room_role" => json!({"role": "speaker"}),
            "update_settings" => json!({"organisation": "Example"}),
            "create_user" => json!({"email": format!("{n}@example.org"), "name": "N", "role": "member",
                "password": "correct horse battery"}),
            "update_user" => json!({"name": "N"}),
            "invite_user" => json!({"role": "member"}),
            "start_load_test" => json!({"scenario": "classroom"}),
            // Somebody did it before: 409, to whoever asks.
            "set_up" => {
                json!({"token": "x", "email": "x@example.org", "name": "X", "password": "correct horse battery"})
            }
            "accept_user_invitation" => json!({"email": "member@example.org", "name": "X",
                "password": "correct horse battery"}),
            "log_in" => json!({"email": "member@example.org", "password": "correct horse battery"}),
            "livekit_webhook" => json!({"event": "room_started"}),
            "update_me" => json!({"language": "fr"}),
            "create_key" => json!({"name": "mine", "scopes": ["rooms:read"]}),
            "subscribe_push" => json!({"endpoint": "https://push.example.org/x",
                "keys": {"p256dh": "BAAA", "auth": "AAAA"}}),
            "unsubscribe_push" => json!({"endpoint": "https://push.example.org/x"}),
            "create_room" => json!({"title": "Another", "call_type": "video"}),
            "write_chat" => json!({"id": format!("m{n}"), "text": "Hello"}),
            "add_quality" => json!({"samples": []}),
            "update_room" => json!({"title": "Another"}),
            "join_room" | "mark_notifications_read" => json!({}),
            "join_room by invitation" => json!({"invitation": things.secret, "name": "Bob"}),
            // A key has no account, so it must say for whom.
            "livekit_token" if !is_key => json!({"room": room}),
            "livekit_token" | "livekit_token for somebody else" => json!({"room": room, "identity": "somebody"}),
            "create_invitation" => json!({"guest": true}),
            "start_recording" => json!({"room": room}),
            "order_render" => json!({"kind": "tracks"}),
            _ => return None,
        })
    }

    /// What the operation may be about, all of it there.
    async fn make(&self, name: &'static str) -> Things {
        let store = &self.api.services.store;
        let [stranger, member, moderator, owner, admin] = self.people[..] else {
            unreachable!("five people")
        };
        let n = self.made.fetch_add(1, Ordering::Relaxed);
        let room = format!("room{n}");
        let new = NewRoom {
            name: RoomName::new(&room).unwrap(),
            title: "A room".into(),
            call_type: CallType::Video,
            owner: Some(owner),
            members: vec![(member, RoomRole::Member), (moderator, RoomRole::Moderator)],
            options: RoomOptions::default(),
            locked: false,
            scheduled: Some(self.api.services.clock.now()),
            duration_minutes: None,
        };
        let made = store.rooms().create(&new).await.unwrap();
        let mut things = Things {
            room: room.clone(),
            ..Things::default()
        };
        for user in [stranger, member, moderator, owner, admin] {
            let (session, _) = store.sessions().start(user, "", "").await.unwrap();
            let token = self.tokens.mint(user, session.id, self.api.services.clock.now());
            things.sessions.push(token.unwrap());
        }
        let (_, route) = find(name.split(' ').next().unwrap_or_default());
        let by_recording = route.starts_with("/api/recordings/{id}") || route.starts_with("/api/renders/");
        if by_recording {
            let recording = self.api.sealed(&room).await.id;
            let render = NewRender {
                recording,
                lane: Lane::Encode,
                kind: "audio".into(),
                request: json!({"kind": "audio"}),
                max_attempts: 1,
            };
            let render = store.renders().create(&render).await.unwrap();
            let of = if name.contains("another") {
                self.api.sealed("elsewhere").await.id
            } else {
                recording
            };
            things.secret = self.links.sign(of, self.api.services.clock.now());
            things.names = vec![
                ("id", recording.to_string()),
                ("render", render.id.to_string()),
                ("number", "0".into()),
                ("name", "ana.ogg".into()),
            ];
        } else if route.contains("{room_name}") || matches!(name, "get_call" | "list_call_events") {
            comes(&self.api, &room, "guest_1").await;
            for user in [member, moderator, owner] {
                comes(&self.api, &room, &user.to_string()).await;
            }
        }
        self.open_doors(name, made.id, &mut things).await;
        things
    }

    /// What the rest of the operations are about.
    async fn open_doors(&self, name: &str, room: greffier_store::RoomId, things: &mut Things) {
        let store = &self.api.services.store;
        let [_, member, _, owner, admin] = self.people[..] else {
            unreachable!("five people")
        };
        let n = self.made.fetch_add(1, Ordering::Relaxed);
        let first_word = name.split(' ').next().unwrap_or_default();
        match first_word {
            "get_call" | "list_call_events" => {
                let call = store.calls().live(&things.room).await.unwrap();
                things.names = vec![("id", call.to_string())];
            }
            "set_room_role" | "remove_member" => things.names = vec![("user_id", member.to_string())],
            "update_user" | "delete_user" => {
                let foreign = Foreign {
                    issuer: "https://other.example".into(),
                    subject: n.to_string(),
                };
                let users = store.users();
                let user = users
                    .foreign(&foreign, None, "Vic", UserRole::Member, false)
                    .await
                    .unwrap();
                things.names = vec![("id", user.id.to_string())];
            }
            "withdraw_user_invitation" | "get_user_invitation" | "accept_user_invitation" => {
                let new = NewUserInvitation {
                    email: None,
                    name: None,
                    role: UserRole::Member,
                    lifetime: Duration::from_hours(1),
                    by: admin,
                };
                let (invitation, token) = store.joining().invite(&new).await.unwrap();
                let shown = match name {
                    "withdraw_user_invitation" => invitation.id.to_string(),
                    "get_user_invitation made up" => "made-up".into(),
                    _ => token,
                };
                things.names = vec![("token", shown)];
            }
            "get_invitation" | "join_room" | "revoke_invitation" => {
                let new = NewRoomInvitation {
                    guest: true,
                    lifetime: None,
                    max_uses: None,
                    by: Some(owner),
                };
                let made = store.room_invitations().create(&things.room, &new).await.unwrap();
                things.secret.clone_from(&made.1);
                let token = if name.ends_with("made up") {
                    "made-up".into()
                } else {
                    made.1
                };
                things.names = vec![("token", token), ("id", made.0.id.to_string())];
            }
            "poll_waiting" | "admit" | "deny" => {
                let door = store.waiting_room();
                let (waiting, secret, _) = door.ask(room, "guest_2", "Bob", None).await.unwrap();
                things.names = vec![("waiting_id", waiting.id.to_string())];
                things.secret = if name.contains("else") {
                    "made-up".into()
                } else {
                    secret
                };
            }
            "revoke_key" => {
                let new = NewApiKey {
                    name: "theirs".into(),
                    scopes: vec!["rooms:read".into()],
                    user: Some(member),
                    expires: None,
                };
                let (key, _) = store.api_keys().create(&new).await.unwrap();
                things.names = vec![("id", key.id.to_string())];
            }
            "get_load_test"
            | "follow_load_test"
            | "read_load_test_report"
            | "read_load_test_result"
            | "read_load_test_junit"
            | "stop_load_test" => {
                let test = store.load_tests().create(&json!({}), "admin").await.unwrap();
                things.names = vec![("id", test.id.to_string())];
            }
            "refresh_session" => things.secret = store.sessions().start(member, "", "").await.unwrap().1,
            "read_calendar" if name == "read_calendar" => {
                things.secret = store.notices().calendar_key(member).await.unwrap();
            }
            "read_calendar" => things.secret = "made-up".into(),
            _ => {
                if things.names.is_empty() {
                    things.names = vec![("identity", "guest_1".into())];
                }
            }
        }
    }

    /// What stands behind `Bearer`.
    fn token(&self, things: &Things, shown: Shown) -> String {
        if let Some(person) = shown.person() {
            return things.sessions[person].clone();
        }
        let now = self.api.services.clock.now();
        let seconds = now.as_millis() / 1000;
        let (good, over) = (seconds + 60, seconds - 3600);
        let foreign = |issuer: &str, exp: u64| json!({"iss": format!("https://{issuer}.example"), "sub": issuer, "name": "Zoe", "exp": exp});
        let guest = json!({"roomJoin": true, "room": things.room, "canPublish": true});
        let record = json!({"roomRecord": true});
        match shown {
            Shown::Guest => livekit(LIVEKIT_SECRET, "guest_1", good, &guest),
            Shown::RoomAdmin => {
                let grants = json!({"roomAdmin": true, "room": things.room});
                livekit(LIVEKIT_SECRET, "ana", good, &grants)
            }
            Shown::RoomRecord => livekit(LIVEKIT_SECRET, "ana", good, &record),
            Shown::ForeignSecret => hs256(FOREIGN_SECRET, &foreign("secret", good)),
            Shown::ForeignPublic => ed25519(&foreign("public", good)),
            Shown::KeyWith(_) | Shown::KeyWithout(_) => {
                let found = self.keys.iter().find(|(of, _)| *of == shown);
                found.map(|(_, key)| key.clone()).unwrap()
            }
            Shown::Bad(bad) => match bad {
                Bad::SessionExpired => {
                    // Leeway included.
                    let then = now.saturating_sub(Duration::from_secs(TOKEN_LIFETIME + 60));
                    let (user, session) = self.tokens.verify(&things.sessions[4]).unwrap();
                    self.tokens.mint(user, session, then).unwrap()
                }
                Bad::SessionForged => {
                    let forger = AccessTokens::new(&[7; 64]);
                    let (user, session) = self.tokens.verify(&things.sessions[4]).unwrap();
                    forger.mint(user, session, now).unwrap()
                }
                Bad::SessionEnded => self.ended.clone(),
                Bad::LiveKitExpired => livekit(LIVEKIT_SECRET, "ana", over, &record),
                Bad::LiveKitForged => livekit("another secret that is long enough", "ana", good, &record),
                Bad::ForeignExpired => hs256(FOREIGN_SECRET, &foreign("secret", over)),
                Bad::ForeignForged => hs256("another secret that is long enough", &foreign("secret", good)),
                Bad::PublicAsSecret => hs256(PUBLIC, &foreign("public", good)),
                Bad::PublicExpired => ed25519(&foreign("public", over)),
                Bad::KeyUnheardOf => "gk_01J8Z6J9W2T4X5Y6Z7A8B9C0D1_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".into(),
                Bad::KeyRevoked => self.revoked.clone(),
            },
            _ => String::new(),
        }
    }
}

async fn key(api: &Api, scopes: &[Scope]) -> (greffier_store::ApiKeyId, String) {
    let new = NewApiKey {
        name: "of the operator".into(),
        scopes: scopes.iter().map(|scope| scope.name().to_owned()).collect(),
        user: None,
        expires: None,
    };
    let (key, shown) = api.services.store.api_keys().create(&new).await.unwrap();
    (key.id, shown)
}

/// Where an operation is.
fn find(operation: &str) -> (Method, String) {
    static PLACES: LazyLock<HashMap<String, (Method, String)>> = LazyLock::new(|| {
        let mut places = HashMap::new();
        for (path, item) in openapi::document().paths.paths {
            for (method, operation) in [
                (Method::GET, item.get),
                (Method::POST, item.post),
                (Method::PATCH, item.patch),
                (Method::PUT, item.put),
                (Method::DELETE, item.delete),
            ] {
                if let Some(id) = operation.and_then(|operation| operation.operation_id) {
                    places.insert(id, (method, path.clone()));
                }
            }
        }
        places
    });
    let place = PLACES.get(operation);
    place.unwrap_or_else(|| panic!("there is no {operation}")).clone()
}
