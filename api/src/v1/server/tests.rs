use axum::{
    body::Body,
    http::{Method, header},
};

use crate::testing::{ADMIN, Api, READER, request};

#[tokio::test]
async fn health_and_readiness_say_what_is() {
    let api = Api::new().await;
    assert_eq!(api.get("/healthz", "").await.json()["status"], "ok");
    let ready = api.get("/readyz", "").await;
    assert_eq!(ready.status, 200);
    let body = ready.json();
    assert_eq!(
        (&body["database"], &body["livekit"]),
        (&"ok".into(), &"failing".into()),
        "nothing listens there"
    );
    api.services.store.close().await.unwrap();
    assert_eq!(api.get("/readyz", "").await.status, 503);
}

#[tokio::test]
async fn metrics_are_not_for_everybody() {
    let api = Api::new().await;
    assert_eq!(api.get("/metrics", "").await.problem().0, 401);
    assert_eq!(api.get("/metrics", READER).await.problem().0, 403);
    assert_eq!(
        api.get("/metrics", ADMIN).await.problem().0,
        404,
        "none are collected here"
    );
}

#[tokio::test]
async fn the_description_and_its_page_are_there() {
    let api = Api::new().await;
    assert_eq!(api.get("/api/openapi.json", "").await.json()["openapi"], "3.1.0");
    let page = api.get("/docs/", "").await;
    assert!(page.text().contains("swagger-ui"), "{}", page.text());
    assert!(
        !page.text().contains("https://"),
        "everything is served from here: {}",
        page.text()
    );
    assert!(
        page.header(header::CONTENT_SECURITY_POLICY)
            .contains("script-src 'self'")
    );
}

#[tokio::test]
async fn what_is_not_there_is_a_problem_or_the_page() {
    let api = Api::new().await;
    assert_eq!(api.get("/api/nothing", "").await.problem().0, 404);
    assert_eq!(api.get("/assets/gone.js", "").await.problem().0, 404);
    let answer = api
        .send(request(Method::PUT, "/api/recordings", "").body(Body::empty()).unwrap())
        .await;
    assert_eq!(answer.problem().0, 405);
    for page in ["/", "/r/demo", "/recordings/rec_1"] {
        let answer = api.get(page, "").await;
        assert!(answer.header(header::CONTENT_TYPE).starts_with("text/html"), "{page}");
        assert!(
            answer
                .header(header::CONTENT_SECURITY_POLICY)
                .contains("frame-ancestors 'none'")
        );
        assert_eq!(answer.header(header::X_CONTENT_TYPE_OPTIONS), "nosniff");
    }
}

#[tokio::test]
async fn a_page_that_is_known_keeps_its_policy() {
    let api = Api::new().await;
    let etag = api.get("/", "").await.header(header::ETAG).to_owned();
    let again = request(Method::GET, "/", "").header(header::IF_NONE_MATCH, etag);
    let answer = api.send(again.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.status, 304);
    // Browsers take over what a 304 says: the policy of an answer without a type would lock the page up.
    assert_eq!(answer.header(header::CONTENT_SECURITY_POLICY), "");
}

#[tokio::test]
async fn other_sites_are_let_in_if_they_are_named() {
    let api = Api::with(|config| {
        config.cors_origins = vec!["https://app.example.org".into()];
        config.embed_origins = vec!["https://intranet.example.org".into()];
    })
    .await;
    for (origin, allowed) in [("https://app.example.org", true), ("https://evil.example.org", false)] {
        let asked = request(Method::OPTIONS, "/api/recordings", "")
            .header(header::ORIGIN, origin)
            .header(header::ACCESS_CONTROL_REQUEST_METHOD, "POST");
        let answer = api.send(asked.body(Body::empty()).unwrap()).await;
        assert_eq!(
            !answer.header(header::ACCESS_CONTROL_ALLOW_ORIGIN).is_empty(),
            allowed,
            "{origin}"
        );
    }
    let embedded = api.get("/embed/demo", "").await;
    assert!(
        embedded
            .header(header::CONTENT_SECURITY_POLICY)
            .contains("frame-ancestors 'self' https://intranet.example.org")
    );
}

#[tokio::test]
async fn every_answer_has_its_request_s_id() {
    let api = Api::new().await;
    let asked = request(Method::GET, "/healthz", "").header("x-request-id", "abc-1");
    assert_eq!(
        api.send(asked.body(Body::empty()).unwrap())
            .await
            .header("x-request-id"),
        "abc-1"
    );
    assert_eq!(api.get("/api/recordings", "").await.header("x-request-id").len(), 32);
}
