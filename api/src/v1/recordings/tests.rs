use std::time::Duration;

use axum::http::{Method, header};
use insta::assert_json_snapshot;
use livekit_api::access_token::VideoGrants;
use serde_json::{Value, json};

use crate::testing::{ADMIN, Api, LIVEKIT_SECRET, READER, WRITER, livekit_token};

const HOUR: Duration = Duration::from_hours(1);

fn of_room(room: &str, room_record: bool, room_admin: bool) -> String {
    let grants = VideoGrants {
        room: room.into(),
        room_record,
        room_admin,
        ..VideoGrants::default()
    };
    livekit_token(LIVEKIT_SECRET, HOUR, grants)
}

#[tokio::test]
async fn one_recording_with_all_that_is_in_it() {
    let api = Api::new().await;
    let id = api.sealed("demo").await.id;
    let view = api.get(&format!("/api/recordings/{id}"), READER).await;
    assert_eq!(view.status, 200);
    let body = view.json();
    assert_eq!(body["state"], "sealed");
    assert_eq!(body["packets"], 100);
    assert_eq!(body["labels"]["team"], "blue");
    assert_eq!(view.header(header::CACHE_CONTROL), "no-store");

    let tracks = api.get(&format!("/api/recordings/{id}/tracks"), READER).await.json();
    assert_eq!(tracks["items"][0]["sid"], "TR_1");
    assert_eq!(tracks["items"][0]["kind"], "video");
    let people = api
        .get(&format!("/api/recordings/{id}/participants"), READER)
        .await
        .json();
    assert_eq!(people["items"][0], json!({"identity": "ana", "name": "Ána Müller"}));
    let segments = api.get(&format!("/api/recordings/{id}/segments"), READER).await.json();
    assert_eq!(segments["items"][0]["number"], 0);
    assert_eq!(segments["items"][0]["sealed"], true);
    let events = api
        .get(&format!("/api/recordings/{id}/events?limit=1"), READER)
        .await
        .json();
    assert_eq!(events["items"].as_array().map(Vec::len), Some(1));
    let cursor = events["next_cursor"].as_str().expect("there is more");
    let more = api
        .get(
            &format!("/api/recordings/{id}/events?limit=1000&after={cursor}"),
            READER,
        )
        .await
        .json();
    assert_ne!(more["items"][0], events["items"][0]);
}

#[tokio::test]
async fn lists_are_filtered_and_paged() {
    let api = Api::new().await;
    let mut ids = Vec::new();
    for room in ["a", "b", "a b"] {
        ids.push(api.sealed(room).await.id.to_string());
    }
    let rooms = |answer: Value| {
        let items = answer["items"].as_array().expect("a list").clone();
        items
            .iter()
            .map(|item| item["room"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    for (query, wanted) in [
        ("", vec!["a b", "b", "a"]),
        ("?room=a", vec!["a"]),
        ("?room=a%20b", vec!["a b"]),
        ("?state=sealed&state=failed", vec!["a b", "b", "a"]),
        ("?state=capturing", vec![]),
        ("?q=A%20B", vec!["a b"]),
        ("?q=m%C3%BCller", vec!["a b", "b", "a"]),
        ("?q=%25", vec![]),
        ("?label=team:blue&room=b", vec!["b"]),
        ("?label=team:red", vec![]),
        ("?until=2001-01-01T00:00:00Z", vec![]),
        ("?since=2001-01-01T00:00:00Z", vec!["a b", "b", "a"]),
    ] {
        let answer = api.get(&format!("/api/recordings{query}"), READER).await;
        assert_eq!(answer.status, 200, "{query}: {}", answer.text());
        assert_eq!(rooms(answer.json()), wanted, "{query}");
    }
    let first = api.get("/api/recordings?limit=2", READER).await.json();
    let cursor = first["next_cursor"].as_str().expect("there is more");
    let second = api
        .get(&format!("/api/recordings?limit=2&cursor={cursor}"), READER)
        .await
        .json();
    assert_eq!(rooms(second.clone()), ["a"]);
    assert_eq!(second["next_cursor"], Value::Null);
}

#[tokio::test]
async fn parameters_that_make_no_sense_are_pointed_at() {
    let api = Api::new().await;
    for (query, pointer) in [
        ("limit=0", "?limit"),
        ("limit=201", "?limit"),
        ("limit=x", "?limit"),
        ("limit=", "?limit"),
        ("cursor=x", "?cursor"),
        ("state=gone", "?state"),
        ("since=yesterday", "?since"),
        ("label=x", "?label"),
        ("room=%00", "?room"),
    ] {
        let answer = api.get(&format!("/api/recordings?{query}"), READER).await;
        assert_eq!(answer.problem(), (422, "invalid".to_owned()), "{query}");
        let found = answer.json()["errors"][0]["pointer"].as_str().unwrap().to_owned();
        assert!(found.starts_with(pointer), "{query}: {found}");
    }
}

#[tokio::test]
async fn problems_of_starting() {
    let api = Api::new().await;
    for (name, body) in [
        ("no_room", json!({})),
        ("room_of_another_type", json!({"room": 5})),
        ("unknown_field", json!({"room": "demo", "colour": "blue"})),
        (
            "bad_filter",
            json!({"room": "demo", "include": [{}, {"kind": "smell"}]}),
        ),
        ("too_long", json!({"room": "demo", "max_duration": 0})),
        ("nobody_answers", json!({"room": "demo"})),
        ("room_with_a_line_break", json!({"room": "a\nb"})),
    ] {
        let answer = api.post("/api/recordings", ADMIN, &body).await;
        answer.problem();
        assert_json_snapshot!(name, answer.json());
    }
}

#[tokio::test]
async fn hostile_names_come_to_nothing() {
    let api = Api::new().await;
    let huge = "x".repeat(1 << 20);
    let answer = api.post("/api/recordings", ADMIN, &json!({"room": huge})).await;
    assert_eq!(answer.problem(), (413, "body_too_large".to_owned()));
    let large = "😀".repeat(1000);
    let answer = api.post("/api/recordings", ADMIN, &json!({"room": large})).await;
    assert_eq!(answer.problem(), (422, "invalid".to_owned()));
    assert!(answer.body.len() < 2000, "what was sent is not sent back");
    for path in [
        "/api/recordings/..%2f..%2fetc%2fpasswd",
        "/api/recordings/rec_00000000000000000000000000%00",
        "/api/recordings/REC_01J8Z6J9W2T4X5Y6Z7A8B9C0D1",
        "/api/recordings/%F0%9F%98%80",
        "/api/recordings/%ff",
    ] {
        let (status, _) = api.get(path, ADMIN).await.problem();
        assert!(matches!(status, 404 | 400), "{path}: {status}");
    }
    let path = "/api/recordings/rec_00000000000000000000000000";
    assert_eq!(
        api.get(path, ADMIN).await.problem(),
        (404, "recording_not_found".to_owned())
    );
}

#[tokio::test]
async fn what_has_not_ended_is_not_deleted() {
    let api = Api::new().await;
    let id = api.requested("demo").await.id;
    let path = format!("/api/recordings/{id}");
    let answer = api.call(Method::DELETE, &path, ADMIN, &json!({})).await;
    assert_eq!(answer.problem(), (409, "recording_not_ended".to_owned()));
    let done = api.sealed("other").await.id;
    let path = format!("/api/recordings/{done}");
    let answer = api.call(Method::DELETE, &path, WRITER, &json!({})).await;
    assert_eq!(answer.status, 204);
    assert_eq!(api.get(&path, ADMIN).await.problem().0, 404);
}

#[tokio::test]
async fn what_nobody_runs_cannot_be_told() {
    let api = Api::new().await;
    let id = api.sealed("demo").await.id;
    for verb in ["stop", "pause", "resume"] {
        let answer = api
            .post(&format!("/api/recordings/{id}/{verb}"), ADMIN, &json!({}))
            .await;
        assert_eq!(answer.problem(), (409, "not_capturing".to_owned()), "{verb}");
    }
}

#[tokio::test]
async fn whoever_shows_nothing_or_something_wrong_is_not_let_in() {
    let api = Api::with(|config| config.limits.failures_per_minute = 0).await;
    let id = api.sealed("demo").await.id;
    let path = format!("/api/recordings/{id}");
    let expired = livekit_token(
        LIVEKIT_SECRET,
        Duration::ZERO,
        VideoGrants {
            room_record: true,
            ..VideoGrants::default()
        },
    );
    let forged = livekit_token(
        "another secret",
        HOUR,
        VideoGrants {
            room_record: true,
            ..VideoGrants::default()
        },
    );
    let unsigned = "eyJhbGciOiJub25lIn0.eyJpc3MiOiJkZXZrZXkiLCJ2aWRlbyI6eyJyb29tUmVjb3JkIjp0cnVlfX0.";
    for (token, code) in [
        ("", "unauthenticated"),
        ("nonsense", "invalid_token"),
        (forged.as_str(), "invalid_token"),
        (unsigned, "invalid_token"),
        (&ADMIN[1..], "invalid_token"),
    ] {
        let answer = api.get(&path, token).await;
        assert_eq!(answer.problem(), (401, code.to_owned()), "{token}");
        assert_eq!(answer.header(header::WWW_AUTHENTICATE), "Bearer");
    }
    // The library allows a minute for clocks that differ; what is older is refused.
    drop(expired);
    for (token, status) in [
        (of_room("demo", true, false), 200),
        (of_room("demo", false, true), 200),
        (of_room("", true, false), 200),
        (of_room("other", true, true), 403),
        (of_room("demo", false, false), 403),
    ] {
        assert_eq!(api.get(&path, &token).await.status, status);
    }
    assert_eq!(api.get(&path, WRITER).await.problem(), (403, "forbidden".to_owned()));
    let answer = api
        .call(Method::DELETE, &path, &of_room("demo", false, true), &json!({}))
        .await;
    assert_eq!(answer.problem(), (403, "forbidden".to_owned()));
}

#[tokio::test]
async fn a_livekit_token_sees_its_room_only() {
    let api = Api::new().await;
    api.sealed("demo").await;
    api.sealed("other").await;
    let rooms = |answer: Value| {
        answer["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|r| r["room"].clone())
            .collect::<Vec<_>>()
    };
    let token = of_room("demo", false, true);
    assert_eq!(rooms(api.get("/api/recordings", &token).await.json()), ["demo"]);
    assert_eq!(
        rooms(api.get("/api/recordings?room=other", &token).await.json()),
        Vec::<Value>::new()
    );
    assert_eq!(
        rooms(api.get("/api/recordings", &of_room("", true, false)).await.json()),
        ["other", "demo"]
    );
    assert_eq!(
        api.get("/api/recordings", &of_room("demo", false, false))
            .await
            .problem()
            .0,
        403
    );
}

#[tokio::test]
async fn too_many_wrong_keys_are_put_off() {
    let api = Api::with(|config| config.limits.failures_per_minute = 3).await;
    for _ in 0..3 {
        assert_eq!(api.get("/api/recordings", "nonsense").await.problem().0, 401);
    }
    assert_eq!(
        api.get("/api/recordings", READER).await.status,
        200,
        "a good key is let in all the same"
    );
    let answer = api.get("/api/recordings", "nonsense").await;
    assert_eq!(answer.problem(), (429, "too_many_failures".to_owned()));
    assert!(
        answer
            .header(header::RETRY_AFTER)
            .parse::<u64>()
            .is_ok_and(|seconds| (1..=60).contains(&seconds))
    );
}

#[tokio::test]
async fn a_timeline_says_who_was_there() {
    let api = Api::new().await;
    let id = api.sealed("demo").await.id;
    let timeline = api.get(&format!("/api/recordings/{id}/timeline"), READER).await;
    assert_eq!(timeline.status, 200, "{}", timeline.text());
    let timeline = timeline.json();
    assert_eq!(timeline["recording"]["id"], id.to_string());
    assert_eq!(timeline["duration_ms"], 99);
    assert_eq!(
        (&timeline["media"], &timeline["truncated"]),
        (&json!([]), &json!(false)),
        "nothing was rendered"
    );
    assert_eq!(
        api.get(&format!("/api/recordings/{id}/timeline"), WRITER)
            .await
            .problem()
            .0,
        403
    );
}
