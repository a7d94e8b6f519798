//! What everything else stands on: people meet, nobody asks, and when they have left the recording is complete.

use std::time::Duration;

use greffier_tests::greffier::{Recording, State};
use greffier_tests::stage::{SEALED_WITHIN_S, wait_for};
use greffier_tests::{Browser, Camera, Meeting, Microphone, Plan, Stage, Truth, Wall, need};
use serde_json::json;

/// How long people talk, in seconds; `E2E_SECONDS=60` for the long way.
fn seconds() -> f64 {
    let asked = std::env::var("E2E_SECONDS")
        .ok()
        .and_then(|text| text.parse::<u32>().ok());
    f64::from(asked.unwrap_or(12))
}

/// Two people with camera and microphone; the second comes two seconds later and leaves two seconds earlier.
fn two_people(room: &str, seconds: f64) -> Plan {
    Plan::new(room)
        .peer("ana", |p| {
            p.at(0.5)
                .join()
                .publish(Camera::vp8())
                .publish(Microphone::opus())
                .at(seconds + 0.5)
                .leave()
        })
        .peer("ben", |p| {
            p.at(2.5)
                .join()
                .publish(Camera::vp8())
                .publish(Microphone::opus())
                .at(seconds - 1.5)
                .leave()
        })
}

/// When a peer had left.
#[track_caller]
fn left(truth: &Truth, identity: &str) -> Wall {
    let fact = truth.peer(identity).facts_of("left").last().cloned().expect("it left");
    Wall(fact["wall"].as_f64().expect("a time"))
}

#[test]
fn the_recording_is_complete_when_everybody_has_left() {
    let Some(stage) = need(Stage::start(|greffier| greffier)) else {
        return;
    };
    let Some(mut browser) = need(Browser::launch()) else {
        return;
    };
    let truth = two_people("demo", seconds()).run(&stage.server).expect("a meeting");

    let recording = stage.sealed("demo").expect("sealed");
    stage.expect_sealed_in_time(&recording, left(&truth, "ana"));
    assert_eq!(recording.stop_reason.as_deref(), Some("room_empty"));
    assert_eq!(recording.lost_packets, 0, "{}", recording.view);

    let copies = stage.copies(&recording).expect("copies");
    assert_eq!(copies.names(), ["ana.webm", "ben.webm"]);
    for identity in ["ana", "ben"] {
        let copy = copies
            .of(&format!("{identity}.webm"), truth.peer(identity))
            .expect("a file");
        println!("{}", copy.verdict);
        copy.expect_perfect();
        let (origin, _) = copy.verdict.origin.expect("a beginning");
        let ends = copy.verdict.ends;
        browser
            .play(&copy.path, 2.0, &[ends - 2.0, ends / 2.0, 4.0])
            .expect("Chromium answers")
            .expect_plays()
            .expect_seeks_show(origin)
            .expect_duration(ends);
    }
    stage.greffier.expect_check_clean();
}

#[test]
fn a_closed_room_is_sealed_at_once() {
    let Some(stage) = need(Stage::start(|greffier| greffier.empty_timeout(30))) else {
        return;
    };
    let meeting = two_people("closed", 20.0).start(&stage.server).expect("a meeting");
    capturing(&stage, "closed");
    meeting.wait_until(6.5);
    let closed = greffier_tests::process::now();
    stage
        .tell_livekit("RoomService/DeleteRoom", "closed", &json!({ "room": "closed" }))
        .expect("closed");
    let recording = stage.sealed("closed").expect("sealed");
    let after = recording.ended().since(closed);
    assert!(
        after <= SEALED_WITHIN_S,
        "sealed {after:.2} s after the room was closed"
    );
    assert_eq!(recording.stop_reason.as_deref(), Some("room_closed"));
    let copies = stage.copies(&recording).expect("copies");
    assert_eq!(copies.names(), ["ana.webm", "ben.webm"]);
}

#[test]
fn what_is_said_while_paused_is_kept_nowhere() {
    let Some(stage) = need(Stage::start(|greffier| greffier)) else {
        return;
    };
    let meeting = two_people("paused", 14.0).start(&stage.server).expect("a meeting");
    let recording = capturing(&stage, "paused");
    let tell = |what: &str| {
        let path = format!("/api/recordings/{}/{what}", recording.id);
        stage
            .greffier
            .post(&path, &json!({}))
            .expect("an answer")
            .expect(200)
            .json()
    };
    meeting.wait_until(5.5);
    assert_eq!(tell("pause")["paused"], true);
    let paused = greffier_tests::process::now();
    meeting.wait_until(9.5);
    let resumed = greffier_tests::process::now();
    assert_eq!(tell("resume")["paused"], false);
    let truth = meeting.finish().expect("the meeting ends");

    let recording = stage.sealed("paused").expect("sealed");
    let copies = stage.copies(&recording).expect("copies");
    for identity in ["ana", "ben"] {
        let copy = copies
            .of(&format!("{identity}.webm"), truth.peer(identity))
            .expect("a file");
        copy.verdict.expect_nobody_else().expect_clean_decoding();
        let seen = greffier_tests::judge(&copy.path).expect("readable");
        let pictures = seen.video.expect("pictures").pictures;
        // What has no time code is a picture from before the first one.
        let shown: Vec<(f64, Wall)> = pictures
            .iter()
            .filter_map(|picture| Some((picture.at, picture.code?.captured)))
            .collect();
        let during = shown
            .iter()
            .filter(|(_, at)| at.since(paused) > 0.0 && at.since(resumed) < 0.0)
            .count();
        assert_eq!(during, 0, "pictures of the pause are in {identity}'s file");
        let after = shown.iter().filter(|(_, at)| at.since(resumed) > 0.0).count();
        assert!(
            after > 0 && after < shown.len(),
            "before and after are in {identity}'s file"
        );
        // The pause is cut out: the file is that much shorter than the time it tells of.
        let ((begins, first), (ends, last)) = (shown[0], shown[shown.len() - 1]);
        let (told, lasts) = (last.since(first), ends - begins);
        let cut = resumed.since(paused);
        assert!(
            (told - lasts - cut).abs() < 0.5,
            "{cut:.3} s were cut out of {told:.3} s, {lasts:.3} s are left"
        );
    }
}

#[test]
fn a_recording_that_somebody_asks_for_begins_at_once() {
    /// From the request to the first packet: what the product promises.
    const FIRST_PACKET_S: f64 = 0.5;
    let Some(stage) = need(Stage::start(|greffier| greffier.set("recording.rules", "[]"))) else {
        return;
    };
    let mut meeting = two_people("asked", 12.0).start(&stage.server).expect("a meeting");
    joined(&mut meeting, "ana");
    joined(&mut meeting, "ben");
    meeting.wait_until(4.5);
    assert!(
        stage.greffier.recordings("asked").expect("a list").is_empty(),
        "no rule asks for it"
    );

    let asked = greffier_tests::process::now();
    let recording = stage.greffier.record("asked").expect("it begins");
    let again = stage.greffier.record("asked").expect("it runs already");
    assert_eq!(again.id, recording.id, "one bot a room, however many ask");
    meeting.wait_until(9.5);
    let path = format!("/api/recordings/{}/stop", recording.id);
    stage.greffier.post(&path, &json!({})).expect("an answer").expect(200);
    let sealed = stage.sealed("asked").expect("sealed");
    assert_eq!(sealed.stop_reason.as_deref(), Some("requested"));
    let truth = meeting.finish().expect("the meeting ends");

    let copies = stage.copies(&sealed).expect("copies");
    let copy = copies.of("ana.webm", truth.peer("ana")).expect("a file");
    println!("{}", copy.verdict);
    let audio = greffier_tests::judge(&copy.path)
        .expect("readable")
        .audio
        .expect("sound");
    let begins = copy.verdict.wall(audio.begins).expect("a beginning");
    let after = begins.since(asked);
    println!("first packet {:.0} ms after the request", after * 1000.0);
    assert!(
        after <= FIRST_PACKET_S,
        "the first packet came {after:.3} s after the request"
    );
}

#[test]
fn the_command_line_does_what_it_says() {
    let Some(stage) = need(Stage::start(|greffier| greffier.set("recording.rules", "[]"))) else {
        return;
    };
    // Ana's picture is scalable, in one stream.
    let mut meeting = Plan::new("told")
        .peer("ana", |p| {
            p.at(0.5)
                .join()
                .publish(Camera::vp9().size(640, 360).svc("L3T3_KEY"))
                .publish(Microphone::opus())
                .at(20.5)
                .leave()
        })
        .peer("ben", |p| p.at(0.5).join().publish(Microphone::opus()).at(20.5).leave())
        .start(&stage.server)
        .expect("a meeting");
    joined(&mut meeting, "ana");
    joined(&mut meeting, "ben");
    let told = |arguments: &[&str]| {
        let output = stage.greffier.run(arguments).expect("it can be called");
        let text = greffier_tests::greffier::text_of(&output);
        println!("{}: {text}", arguments.join(" "));
        (
            output.status.code(),
            serde_json::from_slice(&output.stdout).unwrap_or(json!(null)),
            text,
        )
    };
    let done = |arguments: &[&str]| -> serde_json::Value {
        let (code, answer, text) = told(arguments);
        assert_eq!(code, Some(0), "{text}");
        answer
    };
    let record = ["record", "told", "--detach", "--json"];
    let how = [
        "--max-duration=1",
        "--layers=330x200",
        "--exclude=identity=ben,kind=audio",
    ];
    let recording = done(&[&record[..], &how].concat());
    let id = recording["id"].as_str().expect("an id");
    assert_eq!(recording["request"]["limits"]["max_duration_ms"], 60_000);
    meeting.wait_until(14.5);
    assert_eq!(done(&["recordings", "pause", id, "--json"])["paused"], true);
    assert_eq!(done(&["recordings", "resume", id, "--json"])["paused"], false);
    meeting.wait_until(17.5);
    assert_eq!(done(&["recordings", "stop", id, "--json"])["id"], id);
    let sealed = stage.sealed("told").expect("sealed");
    assert_eq!(sealed.stop_reason.as_deref(), Some("requested"));
    stage.copies(&sealed).expect("copies");

    let folder = stage.greffier.folder().join("fetched").display().to_string();
    let fetched = done(&["recordings", "download", id, "-o", &folder, "--json"]);
    let names: Vec<_> = fetched
        .as_array()
        .expect("a list")
        .iter()
        .map(|file| file["name"].as_str())
        .collect();
    assert_eq!(names, [Some("ana.webm")], "ben is left out");
    let path = fetched[0]["path"].as_str().expect("where it is");
    let seen = greffier_tests::judge(std::path::Path::new(path)).expect("readable");
    let sizes: Vec<_> = seen
        .video
        .as_ref()
        .expect("pictures")
        .sizes()
        .into_iter()
        .map(|(_, size)| size)
        .collect();
    println!("{sizes:?}");
    // The encoder leaves out the smallest of three layers, so that those it has are twice as large as declared: that shows
    // within seconds, and holds after a pause.
    let last = sizes.last().expect("a size");
    assert!(last.0 <= 330 && last.1 <= 200, "not within the limit: {sizes:?}");

    let exported = done(&["export", id, "-o", &folder, "--json"]);
    let file = exported["files"][0].as_str().expect("a file");
    assert!(std::fs::metadata(file).expect("it is there").len() > 10_000);
    let rendered = done(&["render", id, "--kind=audio", "-o", &folder, "--json"]);
    assert_eq!(rendered["render"]["state"], "ready");
    assert!(
        rendered["fetched"][0]["bytes"]
            .as_u64()
            .is_some_and(|bytes| bytes > 1_000)
    );
    let token = done(&["token", "told", "zoe", "--json"]);
    assert_eq!(token["token"].as_str().expect("a token").split('.').count(), 3);

    // What cannot be is told by the exit code.
    assert_eq!(told(&["record", "nowhere", "--detach"]).0, Some(1));
    assert_eq!(told(&["record", "told", "--layers=large"]).0, Some(2));
    drop(meeting);
}

#[test]
fn a_composite_shows_and_mixes_everybody() {
    let Some(stage) = need(Stage::start(|greffier| greffier)) else {
        return;
    };
    let truth = two_people("film", 12.0).run(&stage.server).expect("a meeting");
    let recording = stage.sealed("film").expect("sealed");
    let request =
        json!({ "kind": "composite", "layout": "grid", "width": 640, "height": 360, "fps": 20, "labels": false });
    let render = stage
        .greffier
        .render(&recording.id, &request, Duration::from_mins(2))
        .expect("a composite");
    let name = render["files"][0]["name"].as_str().expect("a file").to_owned();
    let files = stage.greffier.files(&recording.id).expect("files");
    let path = stage.greffier.fetch(&files, &name).expect("the file");
    let seen = greffier_tests::MediaFile::new(&path).observe().expect("readable");
    let (ana, ben) = (truth.peer("ana"), truth.peer("ben"));
    for (peer, other) in [(ana, ben), (ben, ana)] {
        let verdict = seen.among(peer, &[other]);
        println!("{verdict}");
        verdict.expect_all_beeps().expect_clean_decoding();
    }
}

/// Waits until the only recording of a room captures.
#[track_caller]
fn capturing(stage: &Stage, room: &str) -> Recording {
    stage
        .greffier
        .wait_for_state(room, State::Capturing, Duration::from_secs(15))
        .expect("it captures")
}

/// Waits until a peer is in the room.
#[track_caller]
fn joined(meeting: &mut Meeting, identity: &str) {
    meeting
        .wait_for(identity, "its entry", Duration::from_secs(15), |fact| {
            fact["event"] == "joined"
        })
        .expect("it joins");
}

#[test]
fn a_missed_webhook_loses_no_meeting() {
    // A server that tells nobody: only comparing the rooms with the rules can find this one.
    let Some(server) = need(greffier_tests::Server::start()) else {
        return;
    };
    let meeting = two_people("untold", 16.0).start(&server).expect("a meeting");
    meeting.wait_until(3.5);
    let Some(greffier) = need(
        greffier_tests::Greffier::setup(&server)
            .records("*")
            .empty_timeout(2)
            .start(),
    ) else {
        return;
    };
    let found = wait_for("the recording", Duration::from_secs(10), || {
        Ok(greffier
            .recordings("untold")?
            .into_iter()
            .find(|one| one.state == State::Capturing))
    });
    found.expect("it is found when Greffier starts");
    let truth = meeting.finish().expect("the meeting ends");
    let sealed = greffier
        .wait_for_state("untold", State::Sealed, Duration::from_secs(20))
        .expect("sealed");
    assert!(truth.start.since(sealed.started()) < 0.0, "it begins when it was found");
}
