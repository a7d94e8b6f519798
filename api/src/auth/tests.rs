//! Who is let in, the whole way through the router.

use std::time::Duration;

use greffier_media::time::Clock as _;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, from_value, json};

use crate::{
    testing::Api,
    v1::accounts::tests::{admin, member},
};

const SECRET: &str = "a secret that two applications share";

fn foreign(api: &Api, claims: &Value) -> String {
    let exp = api
        .services
        .clock
        .now()
        .saturating_add(Duration::from_mins(1))
        .as_millis()
        / 1000;
    let mut all = json!({"iss": "https://app.example", "exp": exp, "name": "Ána"});
    for (key, value) in claims.as_object().unwrap() {
        all[key] = value.clone();
    }
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), &all, &key).unwrap()
}

#[tokio::test]
async fn users_of_another_application_appear_on_first_use() {
    let entry =
        json!({"issuer": "https://app.example", "secret": SECRET, "role_claim": "role", "admin_values": ["boss"]});
    let api = Api::with(|config| config.foreign = vec![from_value(entry).unwrap()]).await;
    let token = foreign(&api, &json!({"sub": "42", "email": "ana@app.example"}));
    let me = api.get("/api/me", &token).await;
    assert_eq!(me.status, 200, "{}", me.text());
    let me = me.json();
    assert_eq!(
        (me["name"].as_str(), me["role"].as_str()),
        (Some("Ána"), Some("member"))
    );
    let again = api
        .get("/api/me", &foreign(&api, &json!({"sub": "42", "name": "Anna"})))
        .await
        .json();
    assert_eq!(
        (&again["id"], again["name"].as_str()),
        (&me["id"], Some("Anna")),
        "the same, by another name"
    );
    let other = api.get("/api/me", &foreign(&api, &json!({"sub": "43"}))).await.json();
    assert_ne!(other["id"], me["id"]);
    let boss = foreign(&api, &json!({"sub": "1", "role": "boss"}));
    assert_eq!(api.get("/api/admin/overview", &boss).await.status, 200);
    assert_eq!(api.get("/api/admin/overview", &token).await.problem().0, 403);
    // Nobody else's tokens: another issuer, another secret, none.
    let elsewhere = foreign(&api, &json!({"sub": "42", "iss": "https://other.example"}));
    assert_eq!(
        api.get("/api/me", &elsewhere).await.problem(),
        (401, "invalid_token".into())
    );
    assert_eq!(api.get("/api/me", &format!("{token}x")).await.problem().0, 401);
}

#[tokio::test]
async fn an_access_token_ends_with_its_log_in() {
    let api = Api::new().await;
    let ada = admin(&api).await;
    let bea = member(&api, &ada, "bea").await;
    assert_eq!(api.get("/api/me", &bea.token).await.status, 200);
    assert!(
        api.post("/api/auth/logout-all", &bea.token, &json!({}))
            .await
            .status
            .is_success()
    );
    assert_eq!(
        api.get("/api/me", &bea.token).await.problem(),
        (401, "invalid_token".into())
    );
    assert_eq!(
        api.get("/api/me", &ada.token).await.status,
        200,
        "somebody else's goes on"
    );
    // Signed by us, for another purpose: a link's key is no token, and a token no link's key.
    let id = api.sealed("demo").await.id;
    let path = format!("/api/recordings/{id}/segments/0/file?key={}", ada.token);
    assert_eq!(api.get(&path, "").await.problem(), (401, "link_expired".into()));
}

#[tokio::test]
async fn who_is_disabled_is_out_at_once() {
    let api = Api::new().await;
    let ada = admin(&api).await;
    let bea = member(&api, &ada, "bea").await;
    let path = format!("/api/users/{}", bea.id);
    let disabled = api
        .call(axum::http::Method::PATCH, &path, &ada.token, &json!({"disabled": true}))
        .await;
    assert_eq!(disabled.status, 200, "{}", disabled.text());
    assert_eq!(api.get("/api/me", &bea.token).await.problem().0, 401);
}

#[tokio::test]
async fn recordings_are_for_whom_their_room_belongs_to() {
    let api = Api::new().await;
    let ada = admin(&api).await;
    let (bea, cy) = (member(&api, &ada, "bea").await, member(&api, &ada, "cy").await);
    crate::v1::rooms::tests::room(&api, &bea, "demo", &[], json!({})).await;
    let id = api.sealed("demo").await.id;
    api.sealed("other").await;
    let path = format!("/api/recordings/{id}");
    for (token, status, listed) in [(&ada.token, 200, 2), (&bea.token, 200, 1), (&cy.token, 403, 0)] {
        assert_eq!(api.get(&path, token).await.status, status);
        assert_eq!(api.get(&format!("{path}/timeline"), token).await.status, status);
        let list = api.get("/api/recordings", token).await.json();
        assert_eq!(list["items"].as_array().map(Vec::len), Some(listed));
    }
    // Each access is written down, and one that goes on is one access.
    for _ in 0..3 {
        api.get(&format!("{path}/segments/0/file"), &bea.token).await;
    }
    let lines = api.get("/api/admin/audit", &ada.token).await.json();
    let reads: Vec<_> = lines["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|line| line["action"] == "read_segment")
        .map(|line| (line["actor"].clone(), line["target"].clone(), line["outcome"].clone()))
        .collect();
    assert_eq!(reads, [(json!(bea.id), json!(id), json!("ok"))]);
    let refused = lines["items"]
        .as_array()
        .unwrap()
        .iter()
        .any(|line| line["outcome"] == "forbidden");
    assert!(refused, "so is what was refused");
}
