//! `greffier load`: what it measures is what was there, and what went wrong is put down to whom it belongs to.

#![expect(clippy::float_cmp, reason = "counts are whole numbers, in JSON too")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use greffier_tests::greffier::{State, program, text_of};
use greffier_tests::process::Service;
use greffier_tests::stage::wait_for;
use greffier_tests::{Browser, Deadline, Folder, Server, Stage, need};
use serde_json::Value;

/// Loss that is asked for is found within a fifth of it: some 9,000 packets are drawn, of which 3 % are 270 ± 16.
const LOSS: f64 = 0.03;
const LOSS_OFF: f64 = 0.006;
/// So much is added by the pacer (up to 5 ms), the server and two busy cores, at the median.
const DELAY_MS: f64 = 80.0;
const DELAY_OFF_MS: f64 = 25.0;
/// A share of the lost packets may be put down to another than who lost them: a hole that is given up together with its
/// neighbour, on a machine that is late.
const ATTRIBUTED: f64 = 0.97;
/// LiveKit takes a layer up after the first estimate of the bandwidth.
const LAYER_AS_ASKED: f64 = 0.7;

/// One run of the program.
struct Ran {
    output: Output,
    report: PathBuf,
}

impl Ran {
    fn code(&self) -> Option<i32> {
        self.output.status.code()
    }

    fn said(&self) -> String {
        text_of(&self.output)
    }

    #[track_caller]
    fn report(&self) -> Value {
        let text = std::fs::read_to_string(&self.report).unwrap_or_else(|error| panic!("{error}: {}", self.said()));
        serde_json::from_str(&text).expect("JSON")
    }

    /// It measured what it was to measure. A debug build on a busy machine may say that it was late.
    #[track_caller]
    fn expect_measured(&self) -> &Self {
        assert!(matches!(self.code(), Some(0 | 5)), "{}", self.said());
        self
    }

    /// It ended with this code; a failure shows what it said.
    #[track_caller]
    fn expect(&self, code: i32) -> &Self {
        assert_eq!(self.code(), Some(code), "{}", self.said());
        self
    }
}

fn command(server: &Server, wrapped: &[&str], folder: &Folder) -> Result<Command> {
    let program = program()?;
    let mut command = match wrapped {
        [] => Command::new(&program),
        [first, rest @ ..] => {
            let mut command = Command::new(first);
            command.args(rest).arg(&program);
            command
        }
    };
    command
        .current_dir(folder.path())
        .env("LIVEKIT_URL", server.url())
        .env("LIVEKIT_API_KEY", server.api_key())
        .env("LIVEKIT_API_SECRET", server.api_secret())
        .stdin(Stdio::null());
    Ok(command)
}

/// Runs a scenario, or a template, to its end.
fn run(server: &Server, scenario: &str, arguments: &[&str]) -> Result<Ran> {
    run_wrapped(server, &[], scenario, arguments)
}

fn run_wrapped(server: &Server, wrapped: &[&str], scenario: &str, arguments: &[&str]) -> Result<Ran> {
    let folder = server.folder();
    let report = folder.join(format!(
        "{}.json",
        Path::new(scenario).file_stem().unwrap_or_default().display()
    ));
    let mut command = command(server, wrapped, folder)?;
    command
        .args(["load", "run", scenario, "--json"])
        .arg(&report)
        .args(arguments);
    let output = command.output().context("cannot run greffier")?;
    Ok(Ran { output, report })
}

/// Writes a scenario into the test's folder.
fn scenario(folder: &Folder, name: &str, text: &str) -> String {
    let path = folder.join(format!("{name}.yaml"));
    std::fs::write(&path, format!("name: {name}\n{text}")).expect("written");
    path.display().to_string()
}

/// A server without figures of its own: nothing is waited for at the end.
fn plain_server() -> Result<Server> {
    let without = |config: &mut Value| {
        config.as_object_mut().map(|config| config.remove("prometheus"));
    };
    Server::setup().configure(without).start()
}

fn number(value: &Value, path: &str) -> f64 {
    let found = value.pointer(path).and_then(Value::as_f64);
    found.unwrap_or_else(|| panic!("no {path} in {value}"))
}

/// Of a threshold: whether it held.
fn held(report: &Value, name: &str) -> bool {
    let judged = report["thresholds"].as_array().expect("a list");
    let judged = judged.iter().find(|judged| judged["name"] == name);
    judged.unwrap_or_else(|| panic!("{name} was not judged"))["passed"] == true
}

/// Every key of a report with the kind of its value; keys that are names or numbers of something are `*`.
fn shape(value: &Value, path: &str, into: &mut BTreeMap<String, &'static str>) {
    const NAMED: [&str; 6] = [
        "/rooms",
        "/codecs",
        "/replayed",
        "/ticks/*/rooms",
        "/ticks/*/codecs",
        "/server/*/values",
    ];
    // What happened to happen.
    const OPEN: [&str; 4] = ["/events", "/errors", "/first_errors", "/verdict/tester_behind"];
    let kind = match value {
        Value::Object(_) => "object",
        Value::Array(_) => "list",
        Value::String(_) => "text",
        Value::Number(_) | Value::Null => "number",
        Value::Bool(_) => "bool",
    };
    into.entry(path.to_owned()).or_insert(kind);
    match value {
        Value::Object(keys) if !OPEN.contains(&path) => {
            for (key, value) in keys {
                let key = if NAMED.contains(&path) { "*" } else { key };
                shape(value, &format!("{path}/{key}"), into);
            }
        }
        Value::Array(items) if !OPEN.contains(&path) => {
            for item in items {
                shape(item, &format!("{path}/*"), into);
            }
        }
        _ => {}
    }
}

const SHAPE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/load-report.shape");

#[test]
fn a_meeting_is_measured_and_the_server_counts_the_same() {
    // Room for fewer than come, if the test did not make room for them.
    let small = |config: &mut Value| config["room"]["max_participants"] = 3.into();
    let Some(server) = need(Server::setup().configure(small).start()) else {
        return;
    };
    let page = server.folder().join("report.html");
    let arguments = [
        "--rooms",
        "2",
        "--duration",
        "15s",
        "--html",
        &page.display().to_string(),
    ];
    let ran = run(&server, "meeting-6", &arguments).expect("it runs");
    let report = ran.report();
    // Six publish a microphone and a camera in up to three layers, and each receives the five others'; when a track ends the
    // server sends blank frames of its own for 200 ms.
    for (name, streams) in [("packets_in", 2.0 * 6.0 * 4.0), ("packets_out", 2.0 * 6.0 * 5.0 * 2.0)] {
        let counted = report["agreement"].as_array().expect("a list");
        let counted = counted.iter().find(|counted| counted["name"] == name);
        let counted = counted.unwrap_or_else(|| panic!("{name}: {}", ran.said()));
        let (ours, servers) = (number(counted, "/ours"), number(counted, "/server"));
        println!("{name}: {ours} and {servers}");
        let apart = (servers - ours).abs();
        assert!(apart <= ours * 0.01 + streams * 16.0, "{name}: {ours} and {servers}");
    }
    assert_eq!(report["events"]["joins"], 12, "{}", ran.said());
    assert_eq!(number(&report, "/received/not_subscribed"), 0.0, "{}", ran.said());
    assert_eq!(number(&report, "/received/never_seen"), 0.0, "{}", ran.said());
    // Each of six hears and sees five.
    assert_eq!(
        number(&report, "/received/tracks"),
        2.0 * 6.0 * 5.0 * 2.0,
        "{}",
        ran.said()
    );
    ran.expect_measured();

    let mut keys = BTreeMap::new();
    shape(&report, "", &mut keys);
    let lines: Vec<String> = keys.iter().map(|(path, kind)| format!("{path} {kind}")).collect();
    let text = lines.join("\n") + "\n";
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(SHAPE, &text).expect("written");
    }
    let known = std::fs::read_to_string(SHAPE).expect("the shape");
    assert_eq!(
        text, known,
        "the report has another shape: a new format? (UPDATE=1 rewrites {SHAPE})"
    );
    let page = std::fs::read_to_string(page).expect("the page");
    for section in [
        "Thresholds",
        "Rooms",
        "Codecs",
        "The server's own count",
        "The server&#39;s CPU",
    ] {
        assert!(page.contains(section), "no {section}");
    }
}

#[test]
fn a_bad_network_is_found_as_it_was_asked_for_and_put_down_to_nobody_else() {
    let Some(server) = need(plain_server()) else { return };
    for direction in ["uplink", "downlink"] {
        let text = format!(
            "duration: 20s\nrooms: 4\nramp: 1s\nseed: 5\nparticipants:\n  - role: person\n    count: 2\n    \
             camera: {{resolution: 360p, simulcast: false}}\n    microphone: {{dtx: false}}\n    {direction}: {{loss: 3%, delay: 80ms}}\n"
        );
        let ran = run(&server, &scenario(server.folder(), direction, &text), &[]).expect("it runs");
        let report = ran.expect_measured().report();
        let packets = |key: &str| {
            number(&report, &format!("/received/audio/{key}")) + number(&report, &format!("/received/video/{key}"))
        };
        let loss = packets("lost") / packets("expected");
        println!("{direction}: {:.2} % of {} packets", loss * 100.0, packets("expected"));
        assert!((loss - LOSS).abs() <= LOSS_OFF, "{loss}\n{}", ran.said());
        let impaired = packets("lost_by_impairment") / packets("lost");
        assert!(impaired >= ATTRIBUTED, "{impaired} of the losses\n{}", ran.said());
        assert_eq!(packets("lost_by_tester"), 0.0, "{}", ran.said());
        let upstream = packets("lost_upstream");
        assert_eq!(upstream > 0.0, direction == "uplink", "{upstream}");
        for kind in ["audio", "video"] {
            let latency = number(&report, &format!("/summary/{kind}_latency/p50_ms"));
            println!("{direction}: {kind} {latency:.1} ms");
            let late = latency - DELAY_MS;
            assert!(
                (-1.0..=DELAY_OFF_MS).contains(&late),
                "{kind}: {latency} ms\n{}",
                ran.said()
            );
        }
    }
}

#[test]
fn a_tester_that_is_starved_says_so_first() {
    let Some(server) = need(plain_server()) else { return };
    let mut hogs = Vec::new();
    for n in 0..8 {
        // It ends by itself, should nobody end it.
        let mut hog = Command::new("sh");
        hog.args(["-c", "ulimit -t 60; while :; do :; done"]);
        hogs.push(
            Service::start(&format!("hog-{n}"), hog, &server.folder().join(format!("hog-{n}.log"))).expect("it starts"),
        );
    }
    let arguments = ["--duration", "12s"];
    let ran = run_wrapped(&server, &["nice", "-n", "15"], "meeting-6", &arguments).expect("it runs");
    drop(hogs);
    ran.expect(5);
    let first = String::from_utf8_lossy(&ran.output.stdout);
    let first = first.lines().next().unwrap_or_default();
    assert!(first.starts_with("The tester was the bottleneck"), "{}", ran.said());
    assert_eq!(ran.report()["verdict"]["outcome"], "tester_behind");
}

#[test]
fn a_recorded_meeting_plays_and_is_replayed_as_it_was() {
    let Some(stage) = need(Stage::start(|greffier| greffier.records("load-talk-*"))) else {
        return;
    };
    let Some(mut browser) = need(Browser::launch()) else {
        return;
    };
    let text = "duration: 16s\nramp: 1s\nseed: 3\nparticipants:\n  - role: person\n    count: 3\n    \
                camera: {resolution: 360p, simulcast: false}\n    microphone: {}\n\
                conversation: {turn: 2s, pause: 700ms, overlap: 0%}\n";
    let talk = scenario(stage.server.folder(), "talk", text);
    run(&stage.server, &talk, &[]).expect("it runs").expect(0);
    let room = wait_for("the recording", Duration::from_secs(20), || {
        let list = stage.greffier.get("/api/recordings")?.expect(200).json();
        let found = list["items"].as_array().into_iter().flatten();
        let mut rooms = found.filter_map(|recording| recording["room"].as_str());
        Ok(rooms.find(|room| room.starts_with("load-talk-")).map(str::to_owned))
    })
    .expect("recorded");
    let recording = stage
        .greffier
        .wait_for_state(&room, State::Sealed, Duration::from_mins(1))
        .expect("sealed");

    let copies = stage.copies(&recording).expect("copies");
    assert_eq!(copies.names(), ["person-0.webm", "person-1.webm", "person-2.webm"]);
    for name in copies.names() {
        let file = stage.greffier.fetch(&copies.files, name).expect("fetched");
        let playback = browser.play(&file, 2.0, &[8.0, 3.0]).expect("Chromium answers");
        playback.expect_plays();
        assert_eq!((playback.width, playback.height), (640, 360), "{name}");
    }

    let text = format!("duration: 1m\nrooms: 3\nrecording: {}\n", recording.id);
    let again = scenario(stage.server.folder(), "again", &text);
    let json = stage.server.folder().join("again.json");
    let output = stage
        .greffier
        .run(["load", "run", &again, "--json", &json.display().to_string()])
        .expect("it runs");
    let ran = Ran { output, report: json };
    let report = ran.report();
    println!("{}", ran.said());
    let replayed = report["replayed"].as_object().expect("people");
    assert_eq!(replayed.len(), 6, "three voices, three cameras: {replayed:?}");
    for (who, replayed) in replayed {
        // Two others in each of three rooms.
        assert_eq!(replayed["listeners"], 6, "{who}: {replayed}");
    }
    assert!(
        held(&report, "replay_bitrate_apart") && held(&report, "replay_turns_apart"),
        "{}",
        ran.said()
    );
    assert!(
        replayed["person-0 microphone"]["original"]["turns"].as_u64() > Some(0),
        "somebody spoke"
    );
    ran.expect(0);
}

#[test]
fn every_codec_is_seen() {
    let Some(server) = need(plain_server()) else { return };
    let text = "duration: 14s\nramp: 1s\nparticipants:\n  - {role: h264, count: 2, camera: {codec: h264}}\n  \
                - {role: vp8, count: 1, camera: {codec: vp8}}\n  - {role: vp9, count: 1, camera: {codec: vp9, resolution: 360p}}\n  \
                - {role: av1, count: 1, camera: {codec: av1, resolution: 360p}}\nthresholds: {missing: 0%, frozen: 5%}\n";
    let ran = run(&server, &scenario(server.folder(), "codecs", text), &[]).expect("it runs");
    let report = ran.report();
    for (codec, tracks) in [
        ("video/H264", 8.0),
        ("video/VP8", 4.0),
        ("video/VP9", 4.0),
        ("video/AV1", 4.0),
    ] {
        let of = &report["codecs"][codec];
        assert_eq!(number(of, "/tracks"), tracks, "{codec}\n{}", ran.said());
        let watched = number(of, "/pictures/watched");
        let each_second = number(of, "/pictures/frames") / watched;
        assert!(
            each_second > 15.0,
            "{codec}: {each_second} pictures a second\n{}",
            ran.said()
        );
        assert_eq!(number(of, "/never_seen"), 0.0, "{codec}\n{}", ran.said());
        let as_asked = number(of, "/pictures/layer_as_asked") / watched;
        assert!(
            as_asked >= LAYER_AS_ASKED,
            "{codec}: {as_asked} in the layer asked for\n{}",
            ran.said()
        );
    }
    ran.expect(0);
}

#[test]
fn what_cannot_be_is_told_with_its_line_and_what_was_measured_is_kept() {
    let Some(mut server) = need(plain_server()) else { return };
    let folder = server.folder().clone();
    let good = "duration: 40s\nparticipants:\n  - role: person\n    count: 2\n    microphone: {}\n";
    let wrong = [
        (
            "unknown",
            good.replace("count: 2", "count: 2\n    colour: red"),
            "line 6",
            "colour",
        ),
        ("impossible", good.replace("count: 2", "count: 0"), "line 5", "count"),
        (
            "loss",
            good.replace("microphone: {}", "uplink: {loss: 130%}"),
            "line 6",
            "130%",
        ),
        (
            "clip",
            good.replace("microphone: {}", "camera: {clip: /no/such.mp4}"),
            "line 6",
            "/no/such.mp4",
        ),
        (
            "twice",
            format!("{good}  - role: person\n    count: 1\n"),
            "line 7",
            "person",
        ),
        (
            "recording",
            format!("{good}recording: rec_01NONE\n"),
            "line 7",
            "rec_01NONE",
        ),
    ];
    for (name, text, line, word) in wrong {
        let ran = run(&server, &scenario(&folder, name, &text), &[]).expect("it runs");
        let said = ran.expect(1).said();
        assert!(said.contains(line) && said.contains(word), "{name}: {said}");
    }
    let good = scenario(&folder, "good", good);
    let too_many = run(&server, &good, &["--rooms", "10000", "--duration", "500ms"]).expect("it runs");
    assert!(
        too_many.expect(1).said().contains("a second is the least"),
        "{}",
        too_many.said()
    );
    run(&server, &good, &["--rooms", "none"]).expect("it runs").expect(2);
    let nowhere = format!("ws://127.0.0.1:{}", server.ports().silent());
    let unreachable = run(&server, &good, &["--server-url", &nowhere]).expect("it runs");
    assert!(
        unreachable.expect(1).said().contains(&nowhere),
        "{}",
        unreachable.said()
    );
    let refused = run(
        &server,
        &good,
        &["--api-secret", "another secret of thirty-two characters"],
    )
    .expect("it runs");
    assert!(
        refused.expect(1).said().contains("the API key and secret"),
        "{}",
        refused.said()
    );
    let elsewhere = run(&server, &good, &["--server-url", "ws://192.0.2.1:7880"]).expect("it runs");
    assert!(
        elsewhere.expect(1).said().contains("--i-own-this-server"),
        "{}",
        elsewhere.said()
    );

    let report = folder.join("killed.json");
    let mut running = command(&server, &[], &folder).expect("a command");
    running.args(["load", "run", &good, "--json"]).arg(&report);
    let child = running
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    Deadline::within(Duration::from_secs(8)).wait();
    server.crash().expect("killed");
    let output = child.wait_with_output().expect("it ends");
    let ran = Ran { output, report };
    ran.expect(4);
    let report = ran.report();
    assert!(number(&report, "/received/audio/received") > 100.0, "{}", ran.said());
    let why = report["verdict"]["cut_short"].as_str().unwrap_or_default();
    assert!(why.contains("does not answer"), "{}", ran.said());
    assert!(number(&report, "/seconds") < 35.0, "it did not wait for the end");
}
