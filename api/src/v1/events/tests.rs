//! Streams, the whole way through the router.

use std::time::Duration;

use axum::{
    body::Body,
    http::{Method, header},
};
use futures_util::StreamExt as _;
use livekit_api::access_token::VideoGrants;
use serde_json::json;
use tower::ServiceExt as _;

use crate::{
    testing::{Api, FakeLiveKit, LIVEKIT_SECRET, livekit_token, request},
    v1::{
        accounts::tests::{Person, admin, member},
        rooms::tests::{comes, room},
    },
};

/// Nothing takes as long as this, unless it never comes.
const LONG: std::time::Duration = std::time::Duration::from_secs(20);

/// Reads a stream until it has told something of this kind, or has ended.
async fn told(body: &mut axum::body::BodyDataStream, kind: &str) -> Option<String> {
    let wanted = format!("event: {kind}\n");
    while let Some(part) = tokio::time::timeout(LONG, body.next())
        .await
        .expect("something is told")
    {
        let text = String::from_utf8(part.unwrap().to_vec()).unwrap();
        if text.starts_with(&wanted) {
            return Some(text);
        }
    }
    None
}

async fn listen(api: &Api, person: &Person) -> axum::body::BodyDataStream {
    let asked = request(Method::GET, "/api/events", &person.token)
        .body(Body::empty())
        .unwrap();
    let response = api.router.clone().oneshot(asked).await.unwrap();
    assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
    response.into_body().into_data_stream()
}

#[tokio::test]
async fn people_are_told_what_concerns_them_until_they_log_out() {
    let api = Api::new().await;
    let ada = admin(&api).await;
    let (bea, cy) = (member(&api, &ada, "bea").await, member(&api, &ada, "cy").await);
    let mut of_bea = listen(&api, &bea).await;
    let mut of_cy = listen(&api, &cy).await;
    room(&api, &ada, "first", &["bea@example.org"], json!({})).await;
    room(&api, &ada, "second", &["cy@example.org"], json!({})).await;
    let heard = told(&mut of_bea, "notification").await.unwrap();
    assert!(heard.contains("\"first\"") && heard.contains("\"invited\""), "{heard}");
    let heard = told(&mut of_cy, "notification").await.unwrap();
    assert!(heard.contains("\"second\""), "what is for others is not told: {heard}");
    // Their log-in ends, so does the stream, with the next thing that happens.
    assert!(
        api.post("/api/auth/logout-all", &bea.token, &json!({}))
            .await
            .status
            .is_success()
    );
    room(&api, &ada, "third", &["cy@example.org"], json!({})).await;
    assert_eq!(told(&mut of_bea, "notification").await, None);
    assert!(told(&mut of_cy, "notification").await.unwrap().contains("\"third\""));
}

#[tokio::test]
async fn streams_are_for_those_who_say_who_they_are_and_not_without_number() {
    let api = Api::with(|config| config.limits.event_streams = 1).await;
    assert_eq!(api.get("/api/events", "").await.problem().0, 401);
    let ada = admin(&api).await;
    let first = listen(&api, &ada).await;
    assert_eq!(
        api.get("/api/events", &ada.token).await.problem(),
        (429, "too_many_streams".into())
    );
    drop(first);
    drop(listen(&api, &ada).await);
}

#[tokio::test]
async fn nobody_takes_all_streams() {
    let api = Api::with(|config| config.limits.event_streams_per_caller = 2).await;
    let ada = admin(&api).await;
    let bea = member(&api, &ada, "bea").await;
    let first = listen(&api, &ada).await;
    let _second = listen(&api, &ada).await;
    assert_eq!(
        api.get("/api/events", &ada.token).await.problem(),
        (429, "too_many_streams".into())
    );
    drop(listen(&api, &bea).await);
    drop(first);
    drop(listen(&api, &ada).await);
}

#[tokio::test]
async fn a_stream_ends_with_the_key_the_token_and_the_stay() {
    let (livekit, address) = FakeLiveKit::start().await;
    let api = Api::beside(address, |_| {}).await;
    let ada = admin(&api).await;
    let body = json!({"name": "ci", "scopes": ["rooms:read"]});
    let key = api.post("/api/keys", &ada.token, &body).await.json();
    let as_caller = |token: &str| Person {
        id: String::new(),
        token: token.to_owned(),
        cookie: String::new(),
    };
    room(&api, &ada, "demo", &[], json!({})).await;
    let grants = VideoGrants {
        room_join: true,
        room: "demo".into(),
        ..VideoGrants::default()
    };
    let guest = livekit_token(LIVEKIT_SECRET, Duration::from_hours(1), grants);
    let mut of_key = listen(&api, &as_caller(key["key"].as_str().unwrap())).await;
    let mut of_guest = listen(&api, &as_caller(&guest)).await;
    for who in [ada.id.as_str(), "ana"] {
        livekit.comes("demo", who);
        comes(&api, "demo", who).await;
    }
    let lock = async |verb: &str| {
        let path = format!("/api/livekit/rooms/demo/{verb}");
        assert_eq!(api.post(&path, &ada.token, &json!({})).await.status, 204);
    };
    lock("lock").await;
    assert!(told(&mut of_key, "room.changed").await.is_some());
    assert!(told(&mut of_guest, "room.changed").await.is_some());
    let path = format!("/api/keys/{}", key["id"].as_str().unwrap());
    assert_eq!(
        api.call(Method::DELETE, &path, &ada.token, &json!({})).await.status,
        204
    );
    lock("participants/ana/remove").await;
    lock("unlock").await;
    assert_eq!(told(&mut of_key, "room.changed").await, None, "the key was revoked");
    assert_eq!(told(&mut of_guest, "room.changed").await, None, "the guest was put out");
}
