//! API keys, the whole way through the router.

use axum::http::Method;
use serde_json::json;

use crate::{
    testing::Api,
    v1::accounts::tests::{admin, member},
};

#[tokio::test]
async fn a_key_may_what_its_scopes_and_its_owner_may() {
    let api = Api::new().await;
    let ada = admin(&api).await;
    let bea = member(&api, &ada, "bea").await;
    let made = api
        .post(
            "/api/keys",
            &bea.token,
            &json!({"name": "ci", "scopes": ["rooms:read", "admin"]}),
        )
        .await;
    assert_eq!(made.status, 201, "{}", made.text());
    let made = made.json();
    let key = made["key"].as_str().unwrap();
    assert!(key.starts_with("gk_"));
    assert_eq!(api.get("/api/livekit/rooms", key).await.status, 200);
    // Her key is no administrator, whatever it says; and keys make no keys.
    assert_eq!(api.get("/api/users", key).await.problem().0, 403);
    assert_eq!(
        api.post("/api/keys", key, &json!({"name": "x", "scopes": ["tokens"]}))
            .await
            .problem()
            .0,
        403
    );
    let listed = api.get("/api/keys", &bea.token).await.json();
    assert_eq!(
        (listed["items"].as_array().unwrap().len(), listed["items"][0].get("key")),
        (1, None)
    );
    assert_eq!(
        api.get("/api/keys", &ada.token).await.json()["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let path = format!("/api/keys/{}", made["id"].as_str().unwrap());
    let cy = member(&api, &ada, "cy").await;
    let delete = async |token: &str| api.call(Method::DELETE, &path, token, &json!({})).await;
    assert_eq!(delete(&cy.token).await.problem(), (404, "key_not_found".into()));
    assert_eq!(delete(&bea.token).await.status, 204);
    assert_eq!(
        api.get("/api/livekit/rooms", key).await.problem(),
        (401, "invalid_token".into())
    );
}

#[tokio::test]
async fn scopes_that_nobody_knows_are_pointed_at() {
    let api = Api::new().await;
    let ada = admin(&api).await;
    let refused = api
        .post(
            "/api/keys",
            &ada.token,
            &json!({"name": "x", "scopes": ["tokens", "all"]}),
        )
        .await;
    assert_eq!(refused.problem(), (422, "invalid".into()));
    assert_eq!(refused.json()["errors"][0]["pointer"], "/scopes/1");
    let none = api
        .post("/api/keys", &ada.token, &json!({"name": "x", "scopes": []}))
        .await;
    assert_eq!(none.json()["errors"][0]["pointer"], "/scopes");
}
