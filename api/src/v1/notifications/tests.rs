//! Notifications, the whole way through the router.

use serde_json::json;

use crate::{
    testing::{ADMIN, Api},
    v1::{
        accounts::tests::{admin, member},
        rooms::tests::room,
    },
};

#[tokio::test]
async fn each_reads_their_own() {
    let api = Api::new().await;
    let ada = admin(&api).await;
    let (bea, cy) = (member(&api, &ada, "bea").await, member(&api, &ada, "cy").await);
    room(&api, &bea, "one", &[&cy.id], json!({})).await;
    room(&api, &bea, "two", &[&cy.id], json!({})).await;
    let told = api.get("/api/notifications?limit=1", &cy.token).await.json();
    assert_eq!(
        (told["items"][0]["by"].as_str(), told["items"][0]["read"].as_bool()),
        (Some("bea"), Some(false))
    );
    assert!(told["next_cursor"].is_string());
    let ids = json!({"ids": [told["items"][0]["id"]]});
    assert_eq!(
        api.post("/api/notifications/read", &bea.token, &ids).await.json()["read"],
        0
    );
    assert_eq!(
        api.post("/api/notifications/read", &cy.token, &ids).await.json()["read"],
        1
    );
    assert_eq!(
        api.post("/api/notifications/read", &cy.token, &json!({})).await.json()["read"],
        1
    );
    assert_eq!(
        api.get("/api/notifications", ADMIN).await.problem().0,
        403,
        "machines are told nothing"
    );
}
