//! Administration, the whole way through the router.

use axum::http::Method;
use serde_json::json;

use crate::{
    testing::{ADMIN, Api, READER},
    v1::{
        accounts::tests::{admin, member},
        rooms::tests::room,
    },
};

#[tokio::test]
async fn administration_is_for_administrators() {
    let api = Api::new().await;
    let ada = admin(&api).await;
    let bea = member(&api, &ada, "bea").await;
    for path in ["overview", "rooms", "jobs", "storage", "audit", "settings"] {
        let path = format!("/api/admin/{path}");
        for token in [ada.token.as_str(), ADMIN] {
            assert_eq!(api.get(&path, token).await.status, 200, "{path}");
        }
        for token in [bea.token.as_str(), READER] {
            assert_eq!(
                api.get(&path, token).await.problem(),
                (403, "forbidden".into()),
                "{path}"
            );
        }
        assert_eq!(api.get(&path, "").await.problem().0, 401, "{path}");
    }
    let overview = api.get("/api/admin/overview", &ada.token).await.json();
    assert_eq!(
        (overview["users"].as_u64(), overview["livekit_reachable"].as_bool()),
        (Some(2), Some(false))
    );
}

#[tokio::test]
async fn changes_are_written_down() {
    let api = Api::new().await;
    let ada = admin(&api).await;
    room(&api, &ada, "demo", &[], json!({})).await;
    let lines = api.get("/api/admin/audit?q=create_room", &ada.token).await.json();
    let line = &lines["items"][0];
    assert_eq!(
        (line["actor"].as_str(), line["outcome"].as_str()),
        (Some(ada.id.as_str()), Some("ok"))
    );
    assert_eq!(line["address"], "192.0.2.1");
    let all = api.get("/api/admin/audit", &ada.token).await.text();
    assert!(!all.contains("correct horse"), "{all}");
}

#[tokio::test]
async fn settings_are_chosen_one_by_one() {
    let api = Api::new().await;
    let ada = admin(&api).await;
    let patch = async |body| api.call(Method::PATCH, "/api/admin/settings", &ada.token, &body).await;
    assert_eq!(
        patch(json!({"organisation": "Example"})).await.json()["organisation"],
        "Example"
    );
    let changed = patch(json!({"default_language": "fr", "waiting_room": true}))
        .await
        .json();
    assert_eq!(
        (changed["organisation"].as_str(), changed["default_language"].as_str()),
        (Some("Example"), Some("fr"))
    );
    assert_eq!(
        patch(json!({"default_language": "xx"})).await.json()["errors"][0]["pointer"],
        "/default_language"
    );
    assert_eq!(patch(json!({"made_up": 1})).await.problem().0, 422);
    // A room that says nothing of it is as the settings have it.
    let room = room(&api, &ada, "demo", &[], json!({})).await;
    assert_eq!(room["options"]["waiting_room"], true);
}
