//! The pages, as people use them: real browsers against the real server.

use std::process::Command;
use std::time::Duration;

use greffier_tests::browser::packages;
use greffier_tests::folder::repository;
use greffier_tests::process::Speaker;
use greffier_tests::{Deadline, Missing, Stage, need};
use serde_json::json;

/// The whole story, on a busy machine.
const STORY_WITHIN: Duration = Duration::from_mins(9);
/// Wrong passwords that an address may try in a minute: more than the story's pages spend on asking who is there.
const FAILURES: u32 = 12;

#[test]
fn an_administrator_a_colleague_and_a_guest_meet_and_watch_what_was_recorded() {
    let Some(mut stage) = need(Stage::start(|greffier| {
        greffier.set("api.limits.failures_per_minute", FAILURES)
    })) else {
        return;
    };
    let Some(chromium) = need(Missing::tool("chromium").map_err(Into::into)) else {
        return;
    };
    let Some(packages) = need(packages()) else { return };
    let link = stage.greffier.setup_link().expect("it is printed on the first start");
    let shots = stage.greffier.folder().sub("screenshots").expect("a folder");
    let mut node = Command::new(
        need(Missing::tool("node").map_err(Into::into))
            .expect("node")
            .get_program(),
    );
    node.arg(repository().join("tests/browser/application.mjs"))
        .arg(packages)
        .arg(chromium.get_program())
        .arg(stage.greffier.url())
        .arg(link)
        .arg(shots.path());
    let mut story = Speaker::start("application", &node, stage.greffier.folder().path()).expect("it starts");
    let deadline = Deadline::within(STORY_WITHIN);
    let done = story
        .wait("its wish for a restart", 0, deadline, |fact| fact["do"] == "restart")
        .and_then(|_| {
            stage.greffier.crash()?;
            stage.greffier.restart()?;
            story.tell(&json!({ "done": "restart" }))
        })
        .and_then(|()| story.wait("the end of the story", 0, deadline, |fact| fact["step"] == "done"));
    for fact in story.said().all() {
        println!("{fact}");
    }
    done.expect("everything goes as people expect");
    stage.greffier.expect_healthy();
}

#[test]
fn accounts_rooms_and_invitations_survive_a_kill() {
    let Some(mut stage) = need(Stage::start(|greffier| greffier)) else {
        return;
    };
    let link = stage.greffier.setup_link().expect("it is printed on the first start");
    let nobody = stage.greffier.nobody();
    let camille = nobody.known_by(&nobody.set_up(&link).expect(201));
    let again = nobody.set_up(&link);
    assert!(
        (400..500).contains(&again.status),
        "the link works once: {}",
        again.text()
    );

    let room = json!({ "title": "Board", "call_type": "video", "participants": [] });
    let made = camille.post("/api/livekit/rooms", &room).expect(201).json();
    let path = format!("/api/livekit/rooms/{}", made["name"].as_str().expect("a name"));
    let invitations = format!("{path}/invitations");
    camille.post(&invitations, &json!({ "guest": true })).expect(201);

    let look = || ["/api/me", "/api/users", &path, &invitations].map(|path| camille.get(path).expect(200).json());
    let before = look();
    assert_eq!(before[0]["email"], "camille@example.org");
    assert_eq!(before[2]["title"], "Board");
    assert_eq!(before[3]["items"].as_array().map(Vec::len), Some(1), "{}", before[3]);
    stage.greffier.crash().expect("killed");
    stage.greffier.restart().expect("it starts again");
    assert_eq!(look(), before);
    stage.greffier.expect_healthy();
}
