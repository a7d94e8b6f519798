//! What everybody may know.

use serde_json::json;

use crate::{testing::Api, v1::accounts::tests::admin};

#[tokio::test]
async fn pages_learn_what_they_need() {
    let api = Api::with(|config| config.livekit_public_url = Some("wss://media.example.org".parse().unwrap())).await;
    let config = api.get("/api/config", "").await.json();
    assert_eq!(config["livekit_url"], "wss://media.example.org");
    assert_eq!(config["login"], json!({"own": true, "foreign": false}));
    assert_eq!(
        (&config["default_language"], &config["set_up"]),
        (&json!("en"), &json!(false))
    );
    assert_eq!(config["features"]["waiting_room"], false);
    let ada = admin(&api).await;
    let chosen = json!({"default_language": "fr", "waiting_room": true});
    let path = "/api/admin/settings";
    assert_eq!(
        api.call(axum::http::Method::PATCH, path, &ada.token, &chosen)
            .await
            .status,
        200
    );
    let config = api.get("/api/config", "").await.json();
    assert_eq!(
        (&config["default_language"], &config["set_up"]),
        (&json!("fr"), &json!(true))
    );
    assert_eq!(config["features"]["waiting_room"], true);
    let page = api.get("/", "").await;
    let policy = page.header(axum::http::header::CONTENT_SECURITY_POLICY);
    assert!(policy.contains("wss://media.example.org"), "{policy}");
}
