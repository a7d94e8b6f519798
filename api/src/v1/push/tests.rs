//! Subscriptions, the whole way through the router.

use axum::http::Method;
use serde_json::json;

use crate::{PushConfig, testing::Api, v1::accounts::tests::admin};

const PATH: &str = "/api/push/subscriptions";
/// RFC 8291, appendix A.
const P256DH: &str = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
const AUTH: &str = "BTBZMqHH6r4Tts7J_aSIgg";

#[tokio::test]
async fn nothing_is_pushed_unless_it_is_configured() {
    let api = Api::new().await;
    let ada = admin(&api).await;
    assert!(api.get("/api/config", "").await.json().get("push_public_key").is_none());
    let body = json!({"endpoint": "https://fcm.googleapis.com/x", "keys": {"p256dh": P256DH, "auth": AUTH}});
    assert_eq!(
        api.post(PATH, &ada.token, &body).await.problem(),
        (409, "push_not_configured".into())
    );
}

#[tokio::test]
async fn subscriptions_make_sense_or_are_refused() {
    let hosts = vec!["fcm.googleapis.com".to_owned()];
    let push = PushConfig {
        contact: "mailto:admin@example.org".into(),
        hosts,
    };
    let api = Api::with(|config| config.push = Some(push)).await;
    let ada = admin(&api).await;
    let key = api.get("/api/config", "").await.json()["push_public_key"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(key.len(), 87, "a point of P-256 in base64url");
    let good = json!({
        "endpoint": "https://fcm.googleapis.com/x", "expirationTime": null, "keys": {"p256dh": P256DH, "auth": AUTH},
    });
    assert_eq!(api.post(PATH, &ada.token, &good).await.status, 204);
    let with = |pointer: &str, value: &str| {
        let mut body = good.clone();
        *body.pointer_mut(pointer).unwrap() = json!(value);
        body
    };
    for (pointer, value) in [
        ("/endpoint", "http://169.254.169.254/latest/meta-data"),
        ("/endpoint", "https://evil.example/"),
        ("/keys/p256dh", "AAAA"),
        ("/keys/auth", "AAAA"),
    ] {
        let answer = api.post(PATH, &ada.token, &with(pointer, value)).await;
        assert_eq!(answer.problem(), (422, "invalid".into()), "{pointer}");
        assert_eq!(answer.json()["errors"][0]["pointer"], pointer);
    }
    assert_eq!(api.post(PATH, "", &good).await.problem().0, 401);
    let gone = json!({"endpoint": "https://fcm.googleapis.com/x"});
    assert_eq!(api.call(Method::DELETE, PATH, &ada.token, &gone).await.status, 204);
}
