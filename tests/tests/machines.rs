//! Load tests over several machines: two Greffiers play, a third party runs the test; here all are on this machine.

use std::path::Path;
use std::process::Output;
use std::time::Duration;

use greffier_tests::greffier::{Answer, Greffier, text_of};
use greffier_tests::stage::wait_for;
use greffier_tests::{Server, need};
use reqwest::Method;
use serde_json::{Value, json};

const KEY: &str = "key-of-a-machine-that-plays";
/// Sound only: two cores carry the server, both machines and whoever watches.
const SCENARIO: &str = "name: talk\nrooms: 2\nduration: 8s\nramp: 1s\nparticipants:\n  - {role: person, count: 2, microphone: \
                        {dtx: false}}\n";
/// Clips are made on the first run, by ffmpeg, on a busy machine.
const READY_WITHIN: Duration = Duration::from_mins(1);

/// A Greffier that plays for others.
fn machine(server: &Server, number: u16, allowed: bool) -> Greffier {
    Greffier::setup(server)
        .number(number)
        .set("load.worker", allowed)
        .set(
            "api.keys",
            format!(r#"[{{name="tester",key="{KEY}",scopes=["admin"]}}]"#),
        )
        .start()
        .expect("a machine")
}

fn write_scenario(machine: &Greffier, name: &str, text: &str) -> String {
    let path = machine.folder().join(name);
    std::fs::write(&path, text).expect("a scenario");
    path.display().to_string()
}

fn arguments(scenario: &str, machines: &[&Greffier], json: &Path) -> Vec<String> {
    let mut arguments: Vec<String> = ["load", "run", scenario, "--machine-key", KEY]
        .map(str::to_owned)
        .into();
    for machine in machines {
        arguments.extend(["--machine".to_owned(), machine.url().to_owned()]);
    }
    arguments.extend(["--json".to_owned(), json.display().to_string()]);
    arguments
}

fn report(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).expect("a result")).expect("JSON")
}

#[track_caller]
fn expect_code(output: &Output, code: i32) {
    assert_eq!(output.status.code(), Some(code), "{}", text_of(output));
}

fn sum(machines: &[Value], field: &str) -> u64 {
    machines
        .iter()
        .map(|machine| machine[field].as_u64().expect(field))
        .sum()
}

#[test]
fn two_machines_play_one_test_and_a_lost_one_leaves_a_partial_result() {
    let Some(server) = need(Server::start()) else { return };
    let (one, mut two) = (machine(&server, 0, true), machine(&server, 1, true));
    let json = one.folder().join("whole.json");
    let scenario = write_scenario(&one, "talk.yaml", SCENARIO);

    let output = one.run(arguments(&scenario, &[&one, &two], &json)).expect("it runs");
    let whole = report(&json);
    let machines = whole["machines"].as_array().expect("machines");
    assert_eq!(machines.len(), 2, "{}", text_of(&output));
    // Two people in each of two rooms: one track each, 50 packets a second.
    let (received, expected) = (sum(machines, "received"), sum(machines, "expected"));
    assert_eq!(whole["received"]["audio"]["received"], received, "{machines:?}");
    assert_eq!(whole["received"]["audio"]["expected"], expected);
    assert_eq!(whole["sent"]["packets"], sum(machines, "sent"));
    for machine in machines {
        let received = machine["received"].as_u64().expect("a count");
        assert!((400..=850).contains(&received), "a half of it: {machine}");
        assert!(
            machine["clock_error_ms"].as_f64().expect("an error") < 50.0,
            "{machine}"
        );
        assert!(
            machine["clock_offset_ms"].as_f64().expect("an offset").abs() < 50.0,
            "one clock: {machine}"
        );
        assert!(
            machine["tester"]["rss_mebibytes"].as_f64().expect("memory") > 1.0,
            "{machine}"
        );
    }
    assert_eq!(whole["rooms"].as_object().expect("rooms").len(), 2);
    // Each second is told once, with everybody in it.
    let ticks = whole["ticks"].as_array().expect("ticks");
    let seconds: Vec<u64> = ticks.iter().filter_map(|tick| tick["second"].as_u64()).collect();
    assert!(seconds.is_sorted_by(|a, b| a < b), "{seconds:?}");
    assert!(ticks.iter().any(|tick| tick["participants"] == 4), "{ticks:?}");
    // 5 is a tester that this machine was too busy for: it says so, and the counts are as they are.
    assert!(matches!(output.status.code(), Some(0 | 5)), "{}", text_of(&output));

    // The other machine dies in the middle.
    let long = write_scenario(&one, "long.yaml", &SCENARIO.replace("8s", "60s"));
    let json = one.folder().join("partial.json");
    let arguments = arguments(&long, &[&one, &two], &json);
    let output = std::thread::scope(|scope| {
        let running = scope.spawn(|| one.run(arguments).expect("it runs"));
        wait_for("all four to be in their rooms", READY_WITHIN, || {
            let text = reqwest::blocking::get(server.metrics_url())?.text()?;
            let line = text.lines().find(|line| line.starts_with("livekit_participant_total"));
            Ok(line.filter(|line| line.ends_with(" 4")).map(|_| ()))
        })
        .expect("they join");
        two.crash().expect("it dies");
        running.join().expect("its end")
    });
    expect_code(&output, 4);
    let partial = report(&json);
    let cut_short = partial["verdict"]["cut_short"].as_str().expect("a reason");
    let name = two.url().trim_start_matches("http://");
    assert!(cut_short.starts_with(name), "{cut_short}");
    assert!(
        partial["seconds"].as_u64().expect("seconds") < 50,
        "the others were sent home"
    );
    let machines = partial["machines"].as_array().expect("machines");
    assert!(
        sum(&machines[..1], "received") > 0,
        "what the other measured is kept: {machines:?}"
    );
    assert!(machines[1]["failure"].is_string(), "{machines:?}");
}

#[test]
fn machines_play_only_what_they_may() {
    let Some(server) = need(Server::start()) else { return };
    let (one, closed) = (machine(&server, 0, true), machine(&server, 1, false));
    let json = one.folder().join("none.json");
    let scenario = write_scenario(&one, "talk.yaml", SCENARIO);

    let output = one.run(arguments(&scenario, &[&one, &closed], &json)).expect("it runs");
    expect_code(&output, 1);
    assert!(
        text_of(&output).contains("worker = true"),
        "it says what to do: {}",
        text_of(&output)
    );

    let output = one
        .run(arguments(&scenario, &[&one, &one, &one], &json))
        .expect("it runs");
    expect_code(&output, 1);
    assert!(
        text_of(&output).contains("2 rooms cannot be shared by 3 machines"),
        "{}",
        text_of(&output)
    );

    let mut wrong = arguments(&scenario, &[&one], &json);
    wrong[4] = "another-key-altogether".to_owned();
    let output = one.run(wrong).expect("it runs");
    expect_code(&output, 1);
    assert!(text_of(&output).contains("401"), "{}", text_of(&output));
    assert!(!json.is_file(), "nothing was played");
}

#[test]
fn tests_over_http_are_kept_whole_and_start_one_at_a_time() {
    let Some(server) = need(Server::start()) else { return };
    let mut one = machine(&server, 0, true);
    let order = json!({ "scenario": SCENARIO.replace("8s", "4s"), "machines": [] });
    // Both at once: one begins.
    let mut answers = std::thread::scope(|scope| {
        let post = || {
            let request = one
                .request(Method::POST, "/api/loadtests")
                .bearer_auth(KEY)
                .json(&order);
            Answer::of(request).expect("an answer")
        };
        let others = [scope.spawn(post), scope.spawn(post)];
        others.map(|other| other.join().expect("an answer"))
    });
    answers.sort_by_key(|answer| answer.status);
    let [begun, refused] = answers;
    let id = begun.expect(201).json()["id"].as_str().expect("an id").to_owned();
    refused.expect_problem(409);

    // The stream ends with the test as it stays.
    let following = one
        .request(Method::GET, &format!("/api/loadtests/{id}/events"))
        .bearer_auth(KEY)
        .timeout(READY_WITHIN);
    let events = Answer::of(following).expect("events").expect(200).text();
    let end = events.rsplit("event: end").next().expect("an end");
    assert!(end.contains(r#""state":"finished""#), "{events}");
    assert!(
        events.contains("event: tick") && events.contains(r#""audio_latency":{"p50":"#),
        "{events}"
    );

    let file = |name: &str| {
        Answer::of(
            one.request(Method::GET, &format!("/api/loadtests/{id}/{name}"))
                .bearer_auth(KEY),
        )
        .map(|answer: Answer| answer.expect(200))
    };
    let result = file("result.json").expect("a result");
    assert_eq!(result.json()["scenario"]["name"], "talk");
    assert!(
        file("junit.xml")
            .expect("JUnit")
            .text()
            .contains("<testsuite name=\"load talk\"")
    );
    assert!(
        file("report.html")
            .expect("a page")
            .text()
            .starts_with("<!doctype html>")
    );

    // What is kept is compared by its id, with a file or with another.
    let path = one.folder().join("result.json");
    std::fs::write(&path, &result.body).expect("a file");
    let file = path.display().to_string();
    let server_of = ["--server", one.url(), "--api-key", KEY];
    let compared = one
        .run(["load", "compare", &id, &file].into_iter().chain(server_of))
        .expect("it runs");
    expect_code(&compared, 0);
    assert!(text_of(&compared).contains("join, median"), "{}", text_of(&compared));
    one.expect_healthy();
}
