//! Every codec, and everything that people do in meetings: come late, mute, leave and come back, share, follow each other.

use greffier_tests::{Browser, Camera, Codec, MediaFile, Microphone, Plan, Screen, ScreenSound, Source, Stage, need};

/// How long somebody stays who comes and goes, in seconds. Sound and picture are placed by the sender's reports, the first of
/// which a publisher's libwebrtc sends after five seconds, and LiveKit passes on within three more; whoever is gone by then
/// is placed by when packets arrived, some 50 ms apart.
const STAY_S: f64 = 9.0;

/// Camera and microphone in one codec for as long as the plan lasts.
fn publishes(codec: Codec) -> impl FnOnce(greffier_tests::Script) -> greffier_tests::Script {
    move |p| {
        p.at(0.5)
            .join()
            .publish(Camera::codec(codec))
            .publish(Microphone::opus())
            .at(11.5)
            .leave()
    }
}

#[test]
fn every_codec_is_copied_into_a_file_that_plays() {
    let Some(stage) = need(Stage::start(|greffier| greffier)) else {
        return;
    };
    let Some(mut browser) = need(Browser::launch()) else {
        return;
    };
    let meeting = Plan::new("codecs")
        .peer("vera", publishes(Codec::Vp9))
        .peer("hanna", publishes(Codec::H264))
        .peer("arvid", publishes(Codec::Av1));
    let Some(truth) = need(meeting.run(&stage.server)) else {
        return;
    };
    let recording = stage.sealed("codecs").expect("sealed");
    let copies = stage.copies(&recording).expect("copies");
    assert_eq!(copies.names(), ["arvid.webm", "hanna.mp4", "vera.webm"]);
    for (identity, file, codec) in [
        ("vera", "vera.webm", "vp9"),
        ("hanna", "hanna.mp4", "h264"),
        ("arvid", "arvid.webm", "av1"),
    ] {
        let copy = copies.of(file, truth.peer(identity)).expect("a file");
        println!("{}", copy.verdict);
        copy.expect_perfect();
        let facts = MediaFile::new(&copy.path).facts().expect("ffprobe reads it");
        assert_eq!(facts.stream("video").expect("pictures").codec, codec);
        assert_eq!(facts.stream("audio").expect("sound").codec, "opus");
        let (origin, _) = copy.verdict.origin.expect("a beginning");
        let ends = copy.verdict.ends;
        browser
            .play(&copy.path, 2.0, &[ends - 2.0, 4.0])
            .expect("Chromium answers")
            .expect_plays()
            .expect_seeks_show(origin)
            .expect_duration(ends);
    }
}

#[test]
fn latecomers_mutes_and_returns_are_where_they_were() {
    let Some(stage) = need(Stage::start(|greffier| greffier)) else {
        return;
    };
    let truth = Plan::new("busy")
        .peer("ana", |p| {
            p.at(0.5)
                .join()
                .publish(Camera::vp8())
                .publish(Microphone::opus())
                .at(5.5)
                .mute(Source::Microphone)
                .at(8.5)
                .unmute(Source::Microphone)
                .at(10.5)
                .mute(Source::Camera)
                .at(13.5)
                .unmute(Source::Camera)
                .at(9.5 + 2.0 * STAY_S)
                .leave()
        })
        .peer("ben", |p| {
            p.at(4.5)
                .join()
                .publish(Camera::vp8())
                .publish(Microphone::opus())
                .at(4.5 + STAY_S)
                .leave()
                .at(7.5 + STAY_S)
                .join()
                .publish(Camera::vp8())
                .publish(Microphone::opus())
                .at(7.5 + 2.0 * STAY_S)
                .leave()
        })
        .run(&stage.server)
        .expect("a meeting");
    let recording = stage.sealed("busy").expect("sealed");
    let copies = stage.copies(&recording).expect("copies");
    assert_eq!(
        copies.names(),
        ["ana.webm", "ben.webm"],
        "who comes back goes on in the same file"
    );
    for identity in ["ana", "ben"] {
        let copy = copies
            .of(&format!("{identity}.webm"), truth.peer(identity))
            .expect("a file");
        println!("{}", copy.verdict);
        copy.expect_perfect();
    }
}

#[test]
fn a_screen_share_is_a_file_of_its_own() {
    let Some(stage) = need(Stage::start(|greffier| greffier)) else {
        return;
    };
    let truth = Plan::new("shared")
        .peer("ana", |p| {
            p.at(0.5)
                .join()
                .publish(Camera::vp8())
                .publish(Microphone::opus())
                .at(3.5)
                .publish(Screen::vp8())
                .publish(ScreenSound::opus())
                .at(9.5)
                .unpublish(Source::ScreenShare)
                .unpublish(Source::ScreenShareAudio)
                .at(12.5)
                .leave()
        })
        .peer("ben", |p| {
            // Without DTX, so that sound is sent until the end, and the file lasts as long.
            p.at(0.5).join().publish(Microphone::opus().dtx(false)).at(12.5).leave()
        })
        .run(&stage.server)
        .expect("a meeting");
    let recording = stage.sealed("shared").expect("sealed");
    let copies = stage.copies(&recording).expect("copies");
    assert_eq!(copies.names(), ["ana.screen-1.webm", "ana.webm", "ben.ogg"]);
    for (identity, file) in [("ana", "ana.webm"), ("ana", "ana.screen-1.webm"), ("ben", "ben.ogg")] {
        let copy = copies.of(file, truth.peer(identity)).expect("a file");
        println!("{}", copy.verdict);
        copy.expect_perfect();
    }
}

#[test]
fn three_who_follow_each_other_keep_to_themselves() {
    let Some(stage) = need(Stage::start(|greffier| greffier)) else {
        return;
    };
    // Each leaves before the next comes, so that the server hands all three to the bot on the same m-lines; a listener
    // keeps the room open.
    let visit = |from: f64| {
        move |p: greffier_tests::Script| {
            p.at(from)
                .join()
                .publish(Camera::vp8())
                .publish(Microphone::opus())
                .at(from + STAY_S)
                .leave()
        }
    };
    let truth = Plan::new("relay")
        .peer("ana", visit(1.5))
        .peer("ben", visit(2.5 + STAY_S))
        .peer("cyd", visit(3.5 + 2.0 * STAY_S))
        .peer("host", |p| p.at(0.5).join().at(4.5 + 3.0 * STAY_S).leave())
        .run(&stage.server)
        .expect("a meeting");
    let recording = stage.sealed("relay").expect("sealed");
    let copies = stage.copies(&recording).expect("copies");
    assert_eq!(copies.names(), ["ana.webm", "ben.webm", "cyd.webm"]);
    for identity in ["ana", "ben", "cyd"] {
        let copy = copies
            .of(&format!("{identity}.webm"), truth.peer(identity))
            .expect("a file");
        println!("{}", copy.verdict);
        copy.verdict.expect_nobody_else();
        copy.expect_perfect();
    }
}

#[test]
fn what_is_written_is_kept() {
    let Some(stage) = need(Stage::start(|greffier| greffier)) else {
        return;
    };
    Plan::new("written")
        .peer("ana", |p| {
            p.at(0.5)
                .join()
                .publish(Microphone::opus())
                .at(3.5)
                .chat("good morning ☕")
                .data("topic", "a data packet")
                .at(5.5)
                .leave()
        })
        .run(&stage.server)
        .expect("a meeting");
    let recording = stage.sealed("written").expect("sealed");
    let timeline = stage
        .greffier
        .get(&format!("/api/recordings/{}/timeline", recording.id))
        .expect("an answer")
        .expect(200)
        .json();
    let chat = timeline["chat"].as_array().expect("a list");
    assert_eq!(chat.len(), 1, "{timeline}");
    assert_eq!(chat[0]["text"], "good morning ☕");
    assert_eq!(chat[0]["identity"], "ana");
}
