//! A real Chromium plays files, refuses what is none, and meets the other peers.

use std::time::Duration;

use greffier_tests::generate::{Clip, FORMATS};
use greffier_tests::{Browser, Camera, Folder, Microphone, Participation, Plan, Server, Source, need};

/// Length of the clips in seconds; the end is far enough from the last seek.
const SECONDS: i64 = 8;

#[test]
fn chromium_plays_and_seeks_in_every_format() {
    let Some(mut browser) = need(Browser::launch()) else {
        return;
    };
    let folder = Folder::of_test().expect("a folder");
    let clip = Clip::new(1, SECONDS);
    for (index, format) in FORMATS.iter().enumerate() {
        let Some(file) = need(clip.write(folder.path(), &format!("clip{index}"), *format)) else {
            continue;
        };
        let playback = browser.play(&file, 1.0, &[5.25, 1.1, 6.5]).expect("it answers");
        playback.expect_plays().expect_duration(SECONDS as f64);
        assert_eq!(playback.seeks.len(), 3);
        assert!(!playback.ranges.is_empty(), "it asks for ranges: {playback:?}");
        assert!(playback.screenshot.is_file());
        if format.has_video {
            assert_eq!((playback.width, playback.height), (160, 90));
            playback.expect_seeks_show(clip.start());
        }
    }
}

#[test]
fn chromium_says_so_if_it_cannot_play() {
    let Some(mut browser) = need(Browser::launch()) else {
        return;
    };
    let file = Folder::of_test().expect("a folder").join("noise.webm");
    std::fs::write(&file, [0x1A; 4096]).expect("written");
    let playback = browser.play(&file, 1.0, &[]).expect("it answers");
    assert!(
        playback
            .error
            .as_deref()
            .is_some_and(|error| error.contains("media error")),
        "{playback:?}"
    );
}

#[test]
fn chromium_meets_a_peer() {
    let Some(server) = need(Server::start()) else { return };
    let Some(mut browser) = need(Browser::launch()) else {
        return;
    };
    browser
        .join(&server, "demo", "chromium", Participation::full())
        .expect("it joins");
    let meeting = Plan::new("demo")
        .peer("ana", |p| {
            p.listens()
                .join()
                .publish(Camera::vp8())
                .publish(Microphone::opus())
                .at(6.5)
                .leave()
        })
        .start(&server)
        .expect("a meeting");
    browser
        .wait_for("chromium", "ana's camera", |fact| {
            fact["event"] == "subscribed" && fact["source"] == "camera"
        })
        .expect("subscribed");
    meeting.wait_until(5.5);
    let inbound = browser.inbound("chromium").expect("statistics");
    browser.screenshot("chromium", "room.png").expect("a screenshot");

    let of = |source| {
        inbound
            .iter()
            .find(|track| track.source == source && track.from == "ana")
            .expect("a track")
    };
    let camera = of(Source::Camera);
    assert_eq!(
        (camera.width, camera.height, camera.codec.as_deref()),
        (320, 180, Some("video/VP8"))
    );
    // Four seconds at 20 pictures a second, less what a busy machine drops.
    assert!(camera.frames_decoded > 40, "{camera:?}");
    let microphone = of(Source::Microphone);
    assert!(microphone.packets > 0 && microphone.energy > 0.0, "{microphone:?}");

    // Ana saw the fake camera and heard the fake microphone; they are nobody's pattern.
    let truth = meeting.finish().expect("the meeting ends");
    let heard = truth.peer("ana").heard("chromium").expect("heard");
    let seen = heard.video.as_ref().map_or(0, |video| video.pictures.len());
    let statistics: Vec<_> = truth.peer("ana").facts_of("received").collect();
    assert!(seen > 10, "{seen} pictures: {statistics:#?}");
    assert!(heard.audio.as_ref().is_some_and(|audio| audio.loudest_gap_db > -60.0));
    browser.leave("chromium").expect("it leaves");
}

#[test]
fn two_pages_of_one_browser_meet_and_share_a_screen() {
    let Some(server) = need(Server::start()) else { return };
    let Some(mut browser) = need(Browser::launch()) else {
        return;
    };
    browser
        .join(&server, "demo", "watcher", Participation::watching())
        .expect("it joins");
    browser
        .join(&server, "demo", "presenter", Participation::full())
        .expect("it joins");
    browser.share("presenter").expect("it shares");
    browser
        .wait_for("watcher", "the screen share", |fact| {
            fact["event"] == "subscribed" && fact["source"] == "screen_share"
        })
        .expect("subscribed");
    // Statistics grow as pictures arrive; ask until they do, at most as long as a step may take.
    let deadline = greffier_tests::Deadline::within(Duration::from_secs(15));
    let decoded = loop {
        let inbound = browser.inbound("watcher").expect("statistics");
        let share = inbound
            .iter()
            .find(|track| track.source == Source::ScreenShare)
            .map_or(0, |t| t.frames_decoded);
        if share > 0 || deadline.has_passed() {
            break share;
        }
    };
    assert!(decoded > 0, "the shared screen is seen");
}
