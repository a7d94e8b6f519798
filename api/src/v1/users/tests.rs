//! People, the whole way through the router.

use axum::http::Method;
use serde_json::json;

use crate::{
    testing::{Api, READER},
    v1::accounts::tests::{admin, member},
};

#[tokio::test]
async fn invitations_are_for_one_person() {
    let api = Api::new().await;
    let ada = admin(&api).await;
    let asked = json!({"email": "bea@example.org", "name": "Bea", "role": "member"});
    let made = api.post("/api/users/invitations", &ada.token, &asked).await.json();
    let token = made["token"].as_str().unwrap();
    assert!(made["url"].as_str().unwrap().ends_with(&format!("/accept/{token}")));
    let path = format!("/api/users/invitations/{token}");
    let shown = api.get(&path, "").await.json();
    assert_eq!(
        (shown["email"].as_str(), shown.get("token")),
        (Some("bea@example.org"), None)
    );
    let body = json!({"name": "Bea", "email": "bea@example.org", "password": "correct horse battery"});
    assert_eq!(api.post(&format!("{path}/accept"), "", &body).await.status, 201);
    assert_eq!(
        api.post(&format!("{path}/accept"), "", &body).await.problem(),
        (404, "invitation_not_found".into())
    );
    assert_eq!(api.get(&path, "").await.problem().0, 404);
}

#[tokio::test]
async fn administration_of_people_is_for_administrators() {
    let api = Api::new().await;
    let ada = admin(&api).await;
    let bea = member(&api, &ada, "bea").await;
    for token in [bea.token.as_str(), READER] {
        assert_eq!(api.get("/api/users", token).await.problem(), (403, "forbidden".into()));
        let refused = api
            .post("/api/users/invitations", token, &json!({"role": "admin"}))
            .await;
        assert_eq!(refused.problem(), (403, "forbidden".into()));
    }
    assert_eq!(api.get("/api/users", "").await.problem().0, 401);
    let found = api.get("/api/users?q=BEA", &ada.token).await.json();
    assert_eq!(
        (
            found["items"].as_array().unwrap().len(),
            found["items"][0]["id"].as_str()
        ),
        (1, Some(bea.id.as_str()))
    );
    let first = api.get("/api/users?limit=1", &ada.token).await.json();
    let cursor = first["next_cursor"].as_str().unwrap().replace(' ', "%20");
    let second = api
        .get(&format!("/api/users?limit=1&cursor={cursor}"), &ada.token)
        .await
        .json();
    assert_eq!(
        (second["items"][0]["name"].as_str(), second.get("next_cursor")),
        (Some("bea"), None)
    );
    let new = json!({"email": "cy@example.org", "name": "Cy", "role": "member", "password": "correct horse battery"});
    assert_eq!(api.post("/api/users", &ada.token, &new).await.status, 201);
    assert_eq!(
        api.post("/api/users", &ada.token, &new).await.problem(),
        (409, "email_taken".into())
    );
    let gone = api
        .call(
            Method::DELETE,
            &format!("/api/users/{}", bea.id),
            &ada.token,
            &json!({}),
        )
        .await;
    assert_eq!(gone.status, 204);
    assert_eq!(api.get("/api/me", &bea.token).await.problem().0, 401);
}
