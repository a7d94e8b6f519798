//! Calls, the whole way through the router.

use serde_json::json;

use crate::{
    testing::{ADMIN, Api, READER},
    v1::{accounts::tests::admin, rooms::tests::comes},
};

#[tokio::test]
async fn calls_in_rooms_that_nobody_made_are_for_administrators() {
    let api = Api::new().await;
    let ada = admin(&api).await;
    comes(&api, "adhoc", "somebody").await;
    for token in [ada.token.as_str(), ADMIN] {
        let calls = api.get("/api/calls", token).await.json();
        assert_eq!(calls["items"][0]["room"], "adhoc");
        let rooms = api.get("/api/admin/rooms", token).await.json();
        assert_eq!(rooms["items"][0]["participants"][0]["identity"], "somebody");
    }
    assert_eq!(api.get("/api/calls", READER).await.problem().0, 403);
    assert_eq!(api.get("/api/calls?room=other", ADMIN).await.json()["items"], json!([]));
    assert_eq!(api.get("/api/calls/call_x", ADMIN).await.problem().0, 404);
}
