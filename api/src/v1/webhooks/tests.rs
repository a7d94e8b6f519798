use std::time::Duration;

use axum::{
    body::Body,
    http::{Method, header},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use livekit_api::access_token::AccessToken;
use proptest::{collection::vec, prelude::*, sample::Index};
use sha2::{Digest as _, Sha256};

use crate::testing::{Answer, Api, LIVEKIT_KEY, LIVEKIT_SECRET, request};

const BODY: &str = r#"{"event":"room_started","room":{"sid":"RM_x","name":"demo","somethingNew":{"a":[1]}},"id":"EV_1","createdAt":"1700000000","later":true}"#;

fn signed(body: &str, secret: &str, ttl: Duration) -> String {
    let hash = STANDARD.encode(Sha256::digest(body));
    AccessToken::with_api_key(LIVEKIT_KEY, secret)
        .with_ttl(ttl)
        .with_sha256(&hash)
        .to_jwt()
        .unwrap()
}

async fn post(api: &Api, token: Option<&str>, body: impl Into<Body>) -> Answer {
    let mut asked =
        request(Method::POST, "/webhooks/livekit", "").header(header::CONTENT_TYPE, "application/webhook+json");
    if let Some(token) = token {
        asked = asked.header(header::AUTHORIZATION, token);
    }
    api.send(asked.body(body.into()).unwrap()).await
}

/// Tells what the server would.
pub(crate) async fn webhook(api: &Api, body: &str) -> Answer {
    let token = signed(body, LIVEKIT_SECRET, Duration::from_mins(5));
    post(api, Some(&token), body.to_owned()).await
}

#[tokio::test]
async fn the_server_s_own_are_taken_however_often() {
    let api = Api::new().await;
    let token = signed(BODY, LIVEKIT_SECRET, Duration::from_mins(5));
    for _ in 0..300 {
        assert_eq!(post(&api, Some(&token), BODY).await.status, 204);
    }
}

#[tokio::test]
async fn all_others_are_refused() {
    let api = Api::new().await;
    let good = signed(BODY, LIVEKIT_SECRET, Duration::from_mins(5));
    let forged = signed(BODY, "another secret", Duration::from_mins(5));
    let hashless = AccessToken::with_api_key(LIVEKIT_KEY, LIVEKIT_SECRET).to_jwt().unwrap();
    for (token, body) in [
        (None, BODY.to_owned()),
        (Some(""), BODY.to_owned()),
        (Some("nonsense"), BODY.to_owned()),
        (Some(forged.as_str()), BODY.to_owned()),
        (Some(hashless.as_str()), BODY.to_owned()),
        (Some(good.as_str()), BODY.replace("demo", "board")),
        (Some(good.as_str()), format!("{BODY} ")),
        (Some(good.as_str()), String::new()),
    ] {
        let answer = post(&api, token, body.clone()).await;
        assert_eq!(
            answer.problem(),
            (401, "webhook_unsigned".to_owned()),
            "{token:?} {body}"
        );
    }
    assert_eq!(post(&api, Some(&good), vec![0xff_u8, 0xfe]).await.problem().0, 401);
    assert_eq!(post(&api, Some(&good), vec![b' '; 2 << 20]).await.problem().0, 413);
}

#[tokio::test]
async fn signed_nonsense_is_called_so() {
    let api = Api::new().await;
    for body in ["", "[]", "{", "{\"room\": 5}"] {
        let token = signed(body, LIVEKIT_SECRET, Duration::from_mins(5));
        assert_eq!(
            post(&api, Some(&token), body).await.problem(),
            (422, "invalid".to_owned()),
            "{body}"
        );
    }
}

/// Whoever holds the secret may be of another version, or mistaken.
#[test]
fn whatever_is_signed_is_taken_or_called_nonsense() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let api = runtime.block_on(Api::new());
    let edits = vec(
        (
            any::<Index>(),
            prop_oneof![
                any::<char>(),
                "[\\[\\]{}\":,0-9nu-]".prop_map(|text| text.chars().next().unwrap_or(' '))
            ],
        ),
        0..8,
    );
    let config = ProptestConfig {
        cases: 300,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    proptest!(config, |(edits in edits, cut in any::<Index>(), is_cut: bool)| {
        let mut text: Vec<char> = BODY.chars().collect();
        for (at, character) in edits {
            let at = at.index(text.len());
            text[at] = character;
        }
        if is_cut {
            text.truncate(cut.index(text.len()));
        }
        let text: String = text.into_iter().collect();
        let status = runtime.block_on(webhook(&api, &text)).status.as_u16();
        prop_assert!(matches!(status, 204 | 422), "{}: {}", status, text);
    });
}
