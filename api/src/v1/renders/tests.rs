use axum::http::header;
use serde_json::json;

use crate::testing::{ADMIN, Api, READER, WRITER};

#[tokio::test]
async fn renders_are_ordered_seen_and_cancelled() {
    let api = Api::new().await;
    let id = api.sealed("demo").await.id;
    let path = format!("/api/recordings/{id}/renders");
    let ordered = api
        .post(&path, WRITER, &json!({"kind": "composite", "layout": "grid"}))
        .await;
    assert_eq!(ordered.status, 202, "{}", ordered.text());
    let render = ordered.json();
    assert_eq!(render["state"], "queued");
    assert_eq!(render["request"]["fps"], 30);
    let at = ordered.header(header::LOCATION).to_owned();
    assert_eq!(api.get(&at, READER).await.json()["id"], render["id"]);
    let listed = api.get(&path, READER).await.json();
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(1));
    let cancelled = api.post(&format!("{at}/cancel"), WRITER, &json!({})).await.json();
    assert_eq!(cancelled["state"], "cancelled");
    let again = api.post(&format!("{at}/cancel"), WRITER, &json!({})).await;
    assert_eq!(again.problem(), (409, "render_ended".to_owned()));
    let events = api.get(&format!("{at}/events"), READER).await;
    assert_eq!(events.header(header::CONTENT_TYPE), "text/event-stream");
    assert!(events.text().starts_with("event: end\ndata: {"), "{}", events.text());
}

#[tokio::test]
async fn nonsense_is_refused_with_the_field() {
    let api = Api::new().await;
    let id = api.sealed("demo").await.id;
    let path = format!("/api/recordings/{id}/renders");
    for (body, pointer) in [
        (json!({"kind": "composite", "fps": 0}), "/fps"),
        (json!({"kind": "composite", "width": 63}), "/width"),
        (json!({"kind": "gif"}), ""),
        (json!({}), ""),
    ] {
        let answer = api.post(&path, ADMIN, &body).await;
        assert_eq!(answer.problem(), (422, "invalid".to_owned()), "{body}");
        let found = answer.json()["errors"][0]["pointer"].clone();
        assert!(
            found.as_str().is_some_and(|found| found.starts_with(pointer)),
            "{body}: {found}"
        );
    }
    let open = api.requested("other").await.id;
    let answer = api
        .post(
            &format!("/api/recordings/{open}/renders"),
            ADMIN,
            &json!({"kind": "tracks"}),
        )
        .await;
    assert_eq!(answer.problem(), (409, "recording_not_sealed".to_owned()));
    let answer = api.get("/api/renders/rnd_00000000000000000000000000", ADMIN).await;
    assert_eq!(answer.problem(), (404, "render_not_found".to_owned()));
}
