//! Rooms, the whole way through the router.

use axum::http::Method;
use greffier_media::time::Clock as _;
use greffier_store::{ledger::AuditFilter, meetings::ObservedParticipant};
use livekit_api::access_token::TokenVerifier;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::{
    testing::{ADMIN, Api, FakeLiveKit, LIVEKIT_KEY, LIVEKIT_SECRET, READER},
    v1::accounts::tests::{Person, admin, member},
};

const ROOMS: &str = "/api/livekit/rooms";

pub(crate) async fn room(api: &Api, owner: &Person, name: &str, participants: &[&str], options: Value) -> Value {
    let body = json!({
        "name": name, "title": format!("The room {name}"), "call_type": "video",
        "participants": participants, "options": options,
    });
    let made = api.post(ROOMS, &owner.token, &body).await;
    assert_eq!(made.status, 201, "{}", made.text());
    made.json()
}

/// Somebody comes into a room, as the server tells it.
pub(crate) async fn comes(api: &Api, room: &str, identity: &str) {
    let participant = ObservedParticipant {
        sid: format!("PA_{identity}"),
        identity: identity.into(),
        name: identity.into(),
        joined: api.services.clock.now(),
    };
    let calls = api.services.store.calls();
    calls
        .participant_joined(room, &format!("RM_{room}"), &participant)
        .await
        .unwrap();
}

fn grants(answer: &Value) -> livekit_api::access_token::Claims {
    let verifier = TokenVerifier::with_api_key(LIVEKIT_KEY, LIVEKIT_SECRET);
    verifier.verify(answer["token"].as_str().unwrap()).unwrap()
}

#[tokio::test]
async fn a_room_is_made_found_changed_and_ended() {
    let api = Api::new().await;
    let ada = admin(&api).await;
    let (bea, cy) = (member(&api, &ada, "bea").await, member(&api, &ada, "cy").await);
    let made = room(&api, &bea, "demo", &["cy@example.org"], json!({"recording": "never"})).await;
    assert_eq!(
        (made["role"].as_str(), made["state"].as_str()),
        (Some("owner"), Some("idle"))
    );
    assert_eq!(made["options"]["recording"], "never");
    assert_eq!(made["members"][1]["user"]["name"], "cy");
    let again = json!({"name": "demo", "title": "x", "call_type": "audio"});
    assert_eq!(
        api.post(ROOMS, &cy.token, &again).await.problem(),
        (409, "room_name_taken".into())
    );
    let told = api.get("/api/notifications", &cy.token).await.json();
    assert_eq!(
        (told["items"][0]["kind"].as_str(), told["items"][0]["room"].as_str()),
        (Some("invited"), Some("demo"))
    );

    let patch = async |token: &str, body: Value| api.call(Method::PATCH, &format!("{ROOMS}/demo"), token, &body).await;
    let body = json!({"title": "Élan", "scheduled_for": "2027-01-01T10:00:00Z", "options": {"locked": true}});
    assert_eq!(patch(&cy.token, body.clone()).await.problem().0, 403, "a member");
    let changed = patch(&bea.token, body).await.json();
    assert_eq!(
        (changed["title"].as_str(), changed["options"]["locked"].as_bool()),
        (Some("Élan"), Some(true))
    );
    assert_eq!(changed["options"]["recording"], "never", "what is left out stays");
    assert_eq!(
        patch(&bea.token, json!({"scheduled_for": null}))
            .await
            .json()
            .get("scheduled_for"),
        None
    );

    assert_eq!(
        api.get(&format!("{ROOMS}?q=ÉLAN"), &cy.token).await.json()["items"][0]["name"],
        "demo"
    );
    // The server of this test cannot be reached; the room has ended all the same.
    let ended = api
        .call(Method::DELETE, &format!("{ROOMS}/demo"), &bea.token, &json!({}))
        .await;
    assert_eq!(ended.problem(), (503, "livekit_unreachable".into()));
    assert_eq!(
        api.get(&format!("{ROOMS}/demo"), &cy.token).await.json()["state"],
        "ended"
    );
    let late = api.post(&format!("{ROOMS}/demo/join"), &cy.token, &json!({})).await;
    assert_eq!(late.problem(), (409, "room_ended".into()));
}

#[tokio::test]
async fn strangers_are_refused_everywhere() {
    let api = Api::with(|config| config.limits.failures_per_minute = 0).await;
    let ada = admin(&api).await;
    let (bea, eve) = (member(&api, &ada, "bea").await, member(&api, &ada, "eve").await);
    room(&api, &bea, "demo", &[], json!({})).await;
    let invitation = api
        .post(
            &format!("{ROOMS}/demo/invitations"),
            &bea.token,
            &json!({"guest": true}),
        )
        .await
        .json();
    let id = invitation["id"].as_str().unwrap();
    for (method, path, body) in [
        (Method::GET, "demo".to_owned(), json!({})),
        (Method::PATCH, "demo".into(), json!({"title": "mine"})),
        (Method::DELETE, "demo".into(), json!({})),
        (Method::POST, "demo/join".into(), json!({})),
        (Method::POST, "demo/leave".into(), json!({})),
        (Method::GET, "demo/invitations".into(), json!({})),
        (Method::POST, "demo/invitations".into(), json!({})),
        (Method::DELETE, format!("demo/invitations/{id}"), json!({})),
        (Method::GET, "demo/waiting".into(), json!({})),
        (Method::POST, "demo/waiting/admit-all".into(), json!({})),
        (Method::POST, "demo/participants/x/mute".into(), json!({})),
        (Method::POST, "demo/participants/x/remove".into(), json!({})),
        (Method::POST, "demo/participants/x/promote".into(), json!({})),
        (Method::POST, "demo/participants/x/demote".into(), json!({})),
        (Method::POST, "demo/participants/x/lower-hand".into(), json!({})),
        (Method::POST, "demo/lower-hands".into(), json!({})),
        (Method::POST, "demo/lock".into(), json!({})),
        (Method::POST, "demo/unlock".into(), json!({})),
        (Method::POST, "demo/recording/start".into(), json!({})),
        (Method::POST, "demo/recording/pause".into(), json!({})),
        (Method::POST, "demo/recording/resume".into(), json!({})),
        (Method::POST, "demo/recording/stop".into(), json!({})),
        (Method::GET, "demo/recordings".into(), json!({})),
        (Method::GET, "demo/chat".into(), json!({})),
        (Method::GET, "demo/removed".into(), json!({})),
        (Method::DELETE, "demo/removed/x".into(), json!({})),
        (
            Method::PUT,
            format!("demo/members/{}", eve.id),
            json!({"role": "moderator"}),
        ),
        (Method::DELETE, format!("demo/members/{}", bea.id), json!({})),
        (Method::POST, "demo/chat".into(), json!({"id": "1", "text": "x"})),
        (Method::POST, "demo/quality".into(), json!({"samples": []})),
    ] {
        let path = format!("{ROOMS}/{path}");
        let by_eve = api.call(method.clone(), &path, &eve.token, &body).await;
        assert_eq!(by_eve.problem(), (403, "forbidden".into()), "{method} {path}");
        let by_nobody = api.call(method.clone(), &path, "", &body).await;
        assert_eq!(by_nobody.problem().0, 401, "{method} {path}");
        let by_forged = api.call(method.clone(), &path, "forged", &body).await;
        assert_eq!(by_forged.problem().0, 401, "{method} {path}");
        // Whether there is such a room is nobody's business.
        let elsewhere = api
            .call(method.clone(), &path.replacen("demo", "other", 1), &eve.token, &body)
            .await;
        assert!(matches!(elsewhere.problem().0, 403 | 404), "{method} {path}");
    }
    let token = api
        .post("/api/livekit/token", &eve.token, &json!({"room": "demo"}))
        .await;
    assert_eq!(token.problem(), (403, "forbidden".into()));
    assert_eq!(api.get(ROOMS, &eve.token).await.json()["items"], json!([]));
    assert_eq!(api.get(ROOMS, READER).await.problem(), (403, "forbidden".into()));
}

#[tokio::test]
async fn tokens_allow_what_the_role_does() {
    let api = Api::new().await;
    let ada = admin(&api).await;
    let (bea, cy) = (member(&api, &ada, "bea").await, member(&api, &ada, "cy").await);
    room(&api, &bea, "demo", &[&cy.id], json!({"listeners_only": true})).await;
    let token = async |who: &str, body: Value| api.post("/api/livekit/token", who, &body).await;
    let owner = token(&bea.token, json!({"room": "demo"})).await.json();
    assert_eq!(
        (owner["identity"].as_str(), owner["grants"]["can_publish"].as_bool()),
        (Some(bea.id.as_str()), Some(true))
    );
    let claims = grants(&owner);
    assert!(claims.video.room_join && !claims.video.room_admin && claims.video.room == "demo");
    let listener = token(&cy.token, json!({"room": "demo", "ttl_seconds": 60}))
        .await
        .json();
    assert_eq!(listener["grants"]["can_publish"], false);
    let asked_to_listen = token(&bea.token, json!({"room": "demo", "listener": true}))
        .await
        .json();
    assert_eq!(asked_to_listen["grants"]["can_publish"], false);
    let other = token(&cy.token, json!({"room": "demo", "identity": "bea"})).await;
    assert_eq!(other.problem(), (403, "forbidden".into()), "for somebody else");
    let machine = token(ADMIN, json!({"room": "unmade", "identity": "robot", "name": "Robot"}))
        .await
        .json();
    assert_eq!(
        (grants(&machine).sub.as_str(), grants(&machine).name.as_str()),
        ("robot", "Robot")
    );
    assert_eq!(
        token(ADMIN, json!({"room": "unmade"})).await.problem(),
        (422, "invalid".into())
    );
    assert_eq!(token(&cy.token, json!({"room": "unmade"})).await.problem().0, 403);
    assert_eq!(
        token(&bea.token, json!({"room": "demo", "ttl_seconds": 1}))
            .await
            .problem()
            .0,
        422
    );
}

#[tokio::test]
async fn locked_and_full_rooms_take_nobody_else() {
    let api = Api::new().await;
    let ada = admin(&api).await;
    let (bea, cy) = (member(&api, &ada, "bea").await, member(&api, &ada, "cy").await);
    room(&api, &bea, "demo", &[&cy.id], json!({"max_participants": 1})).await;
    let join = async |who: &Person| api.post(&format!("{ROOMS}/demo/join"), &who.token, &json!({})).await;
    assert_eq!(join(&cy).await.json()["status"], "admitted");
    comes(&api, "demo", &cy.id).await;
    assert_eq!(join(&bea).await.problem(), (409, "room_full".into()));
    assert_eq!(join(&cy).await.json()["status"], "admitted", "whoever is in comes back");
    assert_eq!(
        api.post(&format!("{ROOMS}/demo/lock"), &bea.token, &json!({}))
            .await
            .status,
        204
    );
    assert_eq!(join(&cy).await.json()["status"], "admitted");
    let shown = api.get(&format!("{ROOMS}/demo"), &cy.token).await.json();
    assert_eq!(
        (
            shown["state"].as_str(),
            shown["participants_now"][0]["identity"].as_str()
        ),
        (Some("live"), Some(cy.id.as_str()))
    );
    room(&api, &bea, "closed", &[&cy.id], json!({"locked": true})).await;
    let refused = api.post(&format!("{ROOMS}/closed/join"), &cy.token, &json!({})).await;
    assert_eq!(refused.problem(), (409, "room_locked".into()));
    assert_eq!(
        api.post(&format!("{ROOMS}/closed/join"), &bea.token, &json!({}))
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn creating_is_done_once_for_a_key() {
    let api = Api::new().await;
    let ada = admin(&api).await;
    let send = async |body: &Value| {
        let asked = crate::testing::request(Method::POST, ROOMS, &ada.token)
            .header("content-type", "application/json")
            .header("idempotency-key", "k1");
        api.send(asked.body(axum::body::Body::from(body.to_string())).unwrap())
            .await
    };
    let body = json!({"title": "Once", "call_type": "video"});
    let first = send(&body).await;
    assert_eq!(first.status, 201);
    let second = send(&body).await;
    assert_eq!(
        (second.status.as_u16(), second.json()["name"].clone()),
        (201, first.json()["name"].clone())
    );
    let other = send(&json!({"title": "Twice", "call_type": "video"})).await;
    assert_eq!(other.problem(), (422, "idempotency_key_reused".into()));
    assert_eq!(
        api.get(ROOMS, &ada.token).await.json()["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn chat_and_quality_belong_to_those_who_are_in() {
    let api = Api::new().await;
    let ada = admin(&api).await;
    let (bea, cy) = (member(&api, &ada, "bea").await, member(&api, &ada, "cy").await);
    room(&api, &bea, "demo", &[&cy.id], json!({})).await;
    let write = async |who: &Person, id: &str| {
        api.post(
            &format!("{ROOMS}/demo/chat"),
            &who.token,
            &json!({"id": id, "text": "hello"}),
        )
        .await
    };
    assert_eq!(write(&bea, "1").await.problem(), (409, "room_not_live".into()));
    comes(&api, "demo", &bea.id).await;
    assert_eq!(write(&bea, "1").await.status, 204);
    assert_eq!(write(&bea, "1").await.status, 204);
    assert_eq!(
        write(&cy, "2").await.problem(),
        (409, "room_not_live".into()),
        "not there"
    );
    let shown = api.get(&format!("{ROOMS}/demo/chat"), &cy.token).await.json();
    assert_eq!(
        (
            shown["items"].as_array().unwrap().len(),
            shown["items"][0]["text"].as_str()
        ),
        (1, Some("hello"))
    );
    let sample = json!({"direction": "receive", "kind": "video", "packets": 90, "packets_lost": 10, "jitter_ms": 4.5});
    let sent = api
        .post(
            &format!("{ROOMS}/demo/quality"),
            &bea.token,
            &json!({"samples": [sample]}),
        )
        .await;
    assert_eq!(sent.status, 204, "{}", sent.text());
    let calls = api.get("/api/calls", &cy.token).await.json();
    assert_eq!(
        calls["items"][0]["participants"][0]["quality"]["packets_lost_percent"],
        10.0
    );
    let path = format!("/api/calls/{}", calls["items"][0]["id"].as_str().unwrap());
    assert_eq!(api.get(&path, &cy.token).await.json()["room"], "demo");
    let eve = member(&api, &ada, "eve").await;
    assert_eq!(api.get(&path, &eve.token).await.problem().0, 403);
    let days = api.get("/api/statistics", &bea.token).await.json();
    assert_eq!(
        (
            days["days"][0]["calls"].as_u64(),
            days["days"][0]["participants"].as_u64()
        ),
        (Some(1), Some(1))
    );
    assert_eq!(api.get("/api/statistics", &eve.token).await.json()["days"], json!([]));
    assert_eq!(
        api.get("/api/statistics?from=2026-01-01&to=2025-01-01", &bea.token)
            .await
            .problem()
            .0,
        422
    );
}

#[tokio::test]
async fn nonsense_is_pointed_at() {
    let api = Api::new().await;
    let ada = admin(&api).await;
    for (body, pointer) in [
        (json!({"title": "", "call_type": "video"}), "/title"),
        (json!({"title": "x", "call_type": "hologram"}), "/call_type"),
        (
            json!({"title": "x", "call_type": "video", "participants": ["nobody@example.org"]}),
            "/participants/0",
        ),
        (
            json!({"title": "x", "call_type": "video", "duration_minutes": 0}),
            "/duration_minutes",
        ),
        (
            json!({"title": "x", "call_type": "video", "options": {"max_participants": 0}}),
            "/options/max_participants",
        ),
        (
            json!({"title": "x", "call_type": "video", "options": [null, null]}),
            "/options",
        ),
        (
            json!({"title": "x", "call_type": "video", "options": {"max_participants": 100_001}}),
            "/options/max_participants",
        ),
        (
            json!({"title": "x", "call_type": "video", "scheduled_for": "tomorrow"}),
            "/scheduled_for",
        ),
        (json!({"title": "x".repeat(201), "call_type": "video"}), "/title"),
        (json!({"title": "x", "call_type": "video", "name": ""}), "/name"),
    ] {
        let refused = api.post(ROOMS, &ada.token, &body).await;
        assert_eq!(refused.problem(), (422, "invalid".into()), "{body}");
        assert_eq!(refused.json()["errors"][0]["pointer"], pointer, "{body}");
    }
    for name in ["..%2F..%2Fetc%2Fpasswd", "%F0%9F%92%A5", &"x".repeat(5000), "%00"] {
        let answer = api.get(&format!("{ROOMS}/{name}"), &ada.token).await;
        assert!(answer.status.is_client_error(), "{name}: {}", answer.status);
    }
    let made = room(&api, &ada, "a b/🎉", &[], json!({})).await;
    assert_eq!(made["name"], "a b/🎉");
    assert_eq!(
        api.get(&format!("{ROOMS}/a%20b%2F%F0%9F%8E%89"), &ada.token)
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn everybody_s_messages_are_kept_whatever_they_are_called() {
    let api = Api::new().await;
    let ada = admin(&api).await;
    room(&api, &ada, "demo", &[], json!({})).await;
    let identity = "x".repeat(1024);
    let asked = json!({"room": "demo", "identity": identity});
    let robot = api.post("/api/livekit/token", ADMIN, &asked).await.json();
    let robot = robot["token"].as_str().unwrap();
    comes(&api, "demo", &identity).await;
    for id in ["1", "2", "1"] {
        let body = json!({"id": id, "text": id});
        assert_eq!(api.post(&format!("{ROOMS}/demo/chat"), robot, &body).await.status, 204);
    }
    let kept = api.get(&format!("{ROOMS}/demo/chat"), &ada.token).await.json();
    assert_eq!(kept["items"].as_array().unwrap().len(), 2);
    let long = json!({"id": "x".repeat(101), "text": "x"});
    let refused = api.post(&format!("{ROOMS}/demo/chat"), robot, &long).await;
    assert_eq!(refused.json()["errors"][0]["pointer"], "/id");
}

#[tokio::test]
async fn a_token_says_what_it_is_asked_to() {
    let api = Api::new().await;
    let ask = async |metadata: Value| {
        let body = json!({"room": "demo", "identity": "robot", "metadata": metadata});
        api.post("/api/livekit/token", ADMIN, &body).await
    };
    for metadata in [json!({"avatar": "a.png"}), json!("{\"avatar\": \"a.png\"}")] {
        let claims = grants(&ask(metadata).await.json());
        let said: Value = serde_json::from_str(&claims.metadata).unwrap();
        assert_eq!(said, json!({"avatar": "a.png", "role": "member"}));
    }
    for (metadata, pointer) in [
        (json!({"role": "owner"}), "/metadata/role"),
        (json!({"x": "y".repeat(4096)}), "/metadata"),
        (json!("plain text"), "/metadata"),
        (json!([1]), "/metadata"),
    ] {
        let refused = ask(metadata.clone()).await;
        assert_eq!(refused.problem(), (422, "invalid".into()), "{metadata}");
        assert_eq!(refused.json()["errors"][0]["pointer"], pointer);
    }
}

#[tokio::test]
async fn the_server_says_who_is_there_and_how_many_it_takes() {
    let (livekit, address) = FakeLiveKit::start().await;
    let api = Api::beside(address, |_| {}).await;
    let ada = admin(&api).await;
    let bea = member(&api, &ada, "bea").await;
    room(&api, &bea, "demo", &[], json!({"max_participants": 5})).await;
    let join = api.post(&format!("{ROOMS}/demo/join"), &bea.token, &json!({})).await;
    assert_eq!(join.status, 200);
    assert_eq!(livekit.asked(), ["CreateRoom demo 5"]);
    comes(&api, "demo", "bob").await;
    livekit.comes("demo", &bea.id);
    let shown = api.get(&format!("{ROOMS}/demo"), &bea.token).await.json();
    assert_eq!(
        (
            shown["participants_now_from"].as_str(),
            shown["participants_now"].as_array().unwrap().len(),
            shown["participants_now"][0]["identity"].as_str(),
            shown["participants_before"][0]["identity"].as_str(),
        ),
        (Some("livekit"), 1, Some(bea.id.as_str()), Some("bob")),
        "nobody has told that one came and one went"
    );
    assert_eq!(
        api.post(&format!("{ROOMS}/demo/leave"), &bea.token, &json!({}))
            .await
            .status,
        204
    );
    let call = shown["call"]["id"].as_str().unwrap();
    let events = api.get(&format!("/api/calls/{call}/events"), &bea.token).await.json();
    let kinds: Vec<_> = events["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["kind"].clone())
        .collect();
    assert_eq!(kinds, ["join", "leave"]);
}

#[tokio::test]
async fn rooms_are_found_by_what_they_are() {
    let api = Api::new().await;
    let ada = admin(&api).await;
    let bea = member(&api, &ada, "bea").await;
    room(&api, &ada, "one", &[&bea.id], json!({})).await;
    let planned = json!({"name": "two", "title": "x", "call_type": "audio", "scheduled_for": "2030-05-01T23:00:00Z"});
    assert_eq!(api.post(ROOMS, &bea.token, &planned).await.status, 201);
    let find = async |query: &str| {
        let found = api.get(&format!("{ROOMS}?{query}"), &bea.token).await;
        assert_eq!(found.status, 200, "{query}: {}", found.text());
        let found = found.json();
        let names: Vec<_> = found["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|room| room["name"].as_str().unwrap().to_owned())
            .collect();
        names.join(" ")
    };
    assert_eq!(find("").await, "two one");
    assert_eq!(find("call_type=audio").await, "two");
    assert_eq!(find(&format!("owner={}", ada.id)).await, "one");
    assert_eq!(find(&format!("member={}", ada.id)).await, "one");
    assert_eq!(find("from=2030-05-01&to=2030-05-01").await, "two");
    assert_eq!(find("to=2030-04-30").await, "one");
    for wrong in ["from=tomorrow", "owner=ada", "call_type=hologram"] {
        assert_eq!(
            api.get(&format!("{ROOMS}?{wrong}"), &bea.token).await.problem().0,
            422,
            "{wrong}"
        );
    }
}

#[tokio::test]
async fn a_change_is_done_and_written_down_though_nobody_waits_for_it() {
    let api = Api::new().await;
    let ada = admin(&api).await;
    let body = json!({"name": "demo", "title": "Hung up", "call_type": "video"});
    let asked = || {
        crate::testing::request(Method::POST, ROOMS, &ada.token)
            .header("content-type", "application/json")
            .header("idempotency-key", "k1")
            .body(axum::body::Body::from(body.to_string()))
            .unwrap()
    };
    {
        let mut answer = std::pin::pin!(api.router.clone().oneshot(asked()));
        // It is begun, and then whoever asked hangs up.
        assert!(futures_util::poll!(answer.as_mut()).is_pending());
    }
    let created = AuditFilter {
        action: Some("create_room".into()),
        ..AuditFilter::default()
    };
    let written = async || {
        api.services
            .store
            .ledger()
            .list(&created, None, 10)
            .await
            .unwrap()
            .0
            .len()
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), async {
        while written().await == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("it is written down");
    assert_eq!(api.get(&format!("{ROOMS}/demo"), &ada.token).await.status, 200);
    let again = api.send(asked()).await;
    assert_eq!(again.status, 201, "it is under way no more: {}", again.text());
}

#[tokio::test]
async fn a_token_that_is_to_be_kept_is_made_though_nobody_waits_for_it() {
    let api = Api::new().await;
    let ada = admin(&api).await;
    // Whoever asked hangs up at once, or a little later.
    for polls in 1..16 {
        let asked = || {
            crate::testing::request(Method::POST, "/api/livekit/token", &ada.token)
                .header("content-type", "application/json")
                .header("idempotency-key", format!("k{polls}"))
                .body(axum::body::Body::from(json!({"room": "demo"}).to_string()))
                .unwrap()
        };
        {
            let mut answer = std::pin::pin!(api.router.clone().oneshot(asked()));
            for _ in 0..polls {
                if futures_util::poll!(answer.as_mut()).is_ready() {
                    break;
                }
                tokio::time::sleep(std::time::Duration::from_micros(100)).await;
            }
        }
        let kept = tokio::time::timeout(std::time::Duration::from_secs(20), async {
            loop {
                let again = api.send(asked()).await;
                if again.status != 409 {
                    return again;
                }
                tokio::task::yield_now().await;
            }
        });
        let kept = kept.await.expect("it is under way no more");
        assert_eq!(kept.status, 200, "{}", kept.text());
    }
}
