//! Load tests, as far as they can be asked for without a server to load.

use serde_json::json;

use crate::{
    testing::{ADMIN, Api, READER},
    v1::accounts::tests::{admin, member},
};

#[tokio::test]
async fn load_tests_are_for_administrators() {
    let api = Api::new().await;
    let ada = admin(&api).await;
    let bea = member(&api, &ada, "bea").await;
    let missing = "/api/loadtests/load_00000000000000000000000000";
    for path in [
        "/api/loadtests",
        missing,
        "/api/loadtests/worker",
        &format!("{missing}/report.html"),
        &format!("{missing}/result.json"),
        &format!("{missing}/junit.xml"),
        &format!("{missing}/events"),
    ] {
        for token in [bea.token.as_str(), READER] {
            assert_eq!(api.get(path, token).await.problem().0, 403, "{path}");
        }
        assert_eq!(api.get(path, "").await.problem().0, 401, "{path}");
    }
    assert_eq!(api.get("/api/loadtests", &ada.token).await.json()["items"], json!([]));
    assert_eq!(
        api.get(missing, ADMIN).await.problem(),
        (404, "load_test_not_found".into())
    );
}

#[tokio::test]
async fn scenarios_that_make_no_sense_are_refused() {
    let api = Api::new().await;
    for scenario in [
        "no-such-template",
        "groups: 5",
        "name: [",
        "/etc/passwd",
        "../../etc/passwd",
    ] {
        let answer = api.post("/api/loadtests", ADMIN, &json!({"scenario": scenario})).await;
        assert_eq!(answer.problem(), (422, "invalid".into()), "{scenario}");
        assert_eq!(answer.json()["errors"][0]["pointer"], "/scenario");
        assert!(!answer.text().contains("root:"), "no file is read");
    }
    let machine = json!({"url": "http://127.0.0.1:9", "api_key": "key-of-a-machine"});
    let two = json!({"scenario": "classroom", "machines": [machine, machine]});
    let answer = api.post("/api/loadtests", ADMIN, &two).await;
    assert_eq!(answer.problem(), (422, "invalid".into()), "one room, two machines");
    assert_eq!(answer.json()["errors"][0]["pointer"], "/machines");
    for _ in 0..2 {
        let answer = api
            .post("/api/loadtests", ADMIN, &json!({"scenario": "classroom"}))
            .await;
        assert_eq!(
            answer.problem(),
            (503, "livekit_unreachable".into()),
            "nothing listens there, and whoever failed is in nobody's way"
        );
    }
    assert_eq!(
        api.get("/api/loadtests", ADMIN).await.json()["items"],
        json!([]),
        "nothing was begun"
    );
}

#[tokio::test]
async fn parts_of_other_tests_are_played_over_a_web_socket_only() {
    let api = Api::new().await;
    let answer = api.get("/api/loadtests/worker", ADMIN).await;
    assert_eq!(answer.problem(), (426, "no_web_socket".into()));
}
