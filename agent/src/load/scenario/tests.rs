use super::*;

#[test]
fn every_template_reads_and_says_what_it_is() {
    for (name, _) in Scenario::templates() {
        let scenario = Scenario::load(name).expect(name);
        assert_eq!(scenario.name, name);
        assert!(!scenario.description.is_empty());
        let again = serde_json::to_string(&scenario).expect("json");
        assert_eq!(serde_json::from_str::<Scenario>(&again).expect("reads back"), scenario);
    }
}

const GOOD: &str = "name: x\nduration: 10s\nparticipants:\n  - role: a\n    count: 2\n    microphone: {}\n";

#[test]
fn mistakes_are_told_with_their_line() {
    for (text, line, word) in [
        (GOOD.replace("count: 2", "count: 0"), 5, "count"),
        (GOOD.replace("count: 2", "count: 2\n    colour: red"), 6, "colour"),
        (GOOD.replace("10s", "soon"), 2, "soon"),
        (GOOD.replace("10s", "10s\nramp: 1m"), 3, "ramp"),
        (GOOD.replace("microphone: {}", "uplink: {loss: 130%}"), 6, "130%"),
        (
            GOOD.replace("microphone: {}", "camera: {clip: /no/such/clip.mp4}"),
            6,
            "clip.mp4",
        ),
        (GOOD.replace("microphone: {}", "camera: {codec: h266}"), 6, "h266"),
        (
            format!("{GOOD}  - role: b\n    count: 1\n    screen:\n      codec: opus\n"),
            10,
            "opus",
        ),
        (format!("{GOOD}  - count: 1\n    role: a\n"), 8, "already"),
        (
            format!("{GOOD}  - {{role: b, count: 1, camera: {{codec: vp9, simulcast: true}}}}\n"),
            7,
            "SVC",
        ),
        (format!("{GOOD}recording: rec_none\n"), 7, "rec_none"),
        (format!("{GOOD}tokens: {{list: /no/such/list}}\n"), 7, "list"),
    ] {
        let error = Scenario::parse(&text, "test.yaml").expect_err(&text).to_string();
        assert!(error.contains("test.yaml") && error.contains(word), "{error}");
        assert!(error.contains(&format!("line {line}")), "line {line} of: {error}");
    }
    Scenario::parse(GOOD, "test.yaml").expect("good");
}

#[test]
fn what_is_changed_afterwards_is_checked_too() {
    let mut scenario = Scenario::parse(GOOD, "test.yaml").expect("good");
    scenario.rooms = Count::new(10_000).expect("a count");
    scenario.participants[0].count = Count::new(3).expect("a count");
    let error = scenario.checked().expect_err("too many").to_string();
    assert!(error.contains("30000"), "{error}");
}

#[test]
fn a_recording_is_found_by_its_id() {
    let recordings = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(recordings.path().join("rec_1")).expect("a folder");
    let text = "name: x\nduration: 10s\nrecording: rec_1\n";
    let scenario = Scenario::parse_beside(text, "test", Some(recordings.path())).expect("found");
    assert_eq!(scenario.recording, Some(recordings.path().join("rec_1")));
    assert!(
        Scenario::parse(text, "test").is_err(),
        "without the folder there is none"
    );
}

#[test]
fn codecs_that_are_taken_for_svc_are_sent_in_one_layer() {
    let layers = |codec: &str| {
        let text = GOOD.replace("microphone: {}", &format!("camera: {{codec: {codec}}}"));
        let scenario = Scenario::parse(&text, "test").expect(codec);
        scenario.videos()[0].layers.len()
    };
    assert_eq!(["vp8", "h264", "vp9", "av1"].map(layers), [3, 3, 1, 1]);
}

#[test]
fn what_is_no_template_and_no_file_is_told_with_the_templates() {
    let error = Scenario::load("no-such-thing").expect_err("nothing").to_string();
    assert!(error.contains("meeting-6"), "{error}");
}
