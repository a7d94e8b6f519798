//! Peers meet on a plan, and what each hears and sees of the others is what the others did.

use std::collections::BTreeSet;
use std::time::Duration;

use greffier_tests::meeting::Moment;
use greffier_tests::{Camera, Codec, Microphone, Missing, Plan, Screen, Server, Source, Truth, need};

/// What a listener receives comes through two jitter buffers, one for sound and one for pictures, which are in step only
/// roughly: this is no measure of a recorder, only of peers that mix nothing up. In seconds.
const LIP_SYNC_S: f64 = 0.200;

#[track_caller]
fn expect_kept_time(truth: &Truth) {
    for peer in truth.peers() {
        peer.expect_kept_time();
    }
}

#[test]
fn two_peers_hear_and_see_each_other() {
    let Some(server) = need(Server::start()) else { return };
    let truth = Plan::new("demo")
        .peer("ana", |p| {
            p.listens()
                .join()
                .publish(Camera::vp8())
                .publish(Microphone::opus())
                .at(9.5)
                .leave()
        })
        .peer("ben", |p| {
            p.listens()
                .join()
                .publish(Camera::vp8())
                .publish(Microphone::opus())
                .at(9.5)
                .leave()
        })
        .run(&server)
        .expect("a meeting");
    expect_kept_time(&truth);
    for (listener, speaker) in [("ana", "ben"), ("ben", "ana")] {
        let verdict = truth
            .peer(listener)
            .heard(speaker)
            .expect("heard")
            .against(truth.peer(speaker));
        verdict
            .expect_all_beeps()
            .expect_all_flashes()
            .expect_in_step_within(LIP_SYNC_S)
            .expect_no_freeze()
            .expect_nobody_else();
        assert!(verdict.beeps.as_ref().expect("sound").expected.len() >= 5, "{verdict}");
        println!("{verdict}");
    }
}

#[test]
fn every_codec_is_really_encoded_and_seen() {
    let Some(server) = need(Server::start()) else { return };
    let codecs = [
        ("vp8", Codec::Vp8),
        ("vp9", Codec::Vp9),
        ("h264", Codec::H264),
        ("av1", Codec::Av1),
    ];
    let plan = codecs.iter().fold(Plan::new("codecs"), |plan, (name, codec)| {
        plan.peer(name, |p| p.join().publish(Camera::codec(*codec)).at(7.5).leave())
    });
    let Some(truth) = need(plan.peer("ben", |p| p.listens().join().at(7.5).leave()).run(&server)) else {
        return;
    };
    expect_kept_time(&truth);
    for (name, codec) in codecs {
        let peer = truth.peer(name);
        let mime = peer.takes[0].mime.as_deref().unwrap_or_default().to_lowercase();
        assert_eq!(mime, format!("video/{codec:?}").to_lowercase());
        truth
            .peer("ben")
            .heard(name)
            .expect("seen")
            .against(peer)
            .expect_all_flashes()
            .expect_no_freeze();
    }
}

#[test]
fn a_codec_that_nobody_encodes_is_missing_and_not_replaced() {
    let Some(server) = need(Server::start()) else { return };
    let error = Plan::new("h265")
        .peer("ana", |p| p.join().publish(Camera::codec(Codec::H265)).at(6.5).leave())
        .peer("ben", |p| p.listens().join().at(6.5).leave())
        .run(&server)
        .expect_err("no encoder");
    assert!(
        error
            .downcast_ref::<Missing>()
            .is_some_and(|missing| missing.to_string().contains("H265")),
        "{error:#}"
    );
}

#[test]
fn simulcast_sends_several_sizes() {
    let Some(server) = need(Server::start()) else { return };
    let truth = Plan::new("simulcast")
        .peer("ana", |p| {
            p.join()
                .publish(Camera::vp8().size(640, 360).fps(15).simulcast())
                .at(7.5)
                .leave()
        })
        .peer("ben", |p| p.listens().join().at(7.5).leave())
        .run(&server)
        .expect("a meeting");
    let ana = truth.peer("ana");
    assert_eq!(ana.takes[0].layers.len(), 2, "{:?}", ana.takes[0].layers);
    let seen = truth.peer("ben").heard("ana").expect("seen");
    let largest = seen.video.as_ref().expect("pictures").sizes().last().copied();
    assert_eq!(
        largest.map(|(_, size)| size),
        Some((640, 360)),
        "the server gives the best layer"
    );
    seen.against(ana).expect_all_flashes().expect_nobody_else();
}

#[test]
fn a_meeting_with_mutes_shares_and_returns_is_heard_as_it_was() {
    let Some(server) = need(Server::start()) else { return };
    let truth = Plan::new("a long name, with spaces / slashes \u{1f399}")
        .peer("ana", |p| {
            p.join()
                .publish(Microphone::opus())
                .publish(Camera::vp8().fps(15))
                .at(3.5)
                .mute(Source::Microphone)
                .at(6.5)
                .unmute(Source::Microphone)
                .unpublish(Source::Camera)
                .publish(Screen::vp8())
                .metadata("ana's metadata")
                .attribute("hand", "raised")
                .name("Ana")
                .at(12.5)
                .unpublish(Source::ScreenShare)
                .leave()
                .at(13.5)
                .join()
                .publish(Microphone::opus().dtx(false).red(true))
                .at(18.5)
                .leave()
        })
        .peer("ben", |p| {
            p.listens()
                .join()
                .at(2.5)
                .chat("good morning")
                .text("greffier.test", "a text stream")
                .data("greffier.test", "a data packet")
                .at(18.5)
                .leave()
        })
        .peer("cyd", |p| p.listens().join().at(20.5).leave())
        .run(&server)
        .expect("a meeting");
    expect_kept_time(&truth);
    let (ana, ben, cyd) = (truth.peer("ana"), truth.peer("ben"), truth.peer("cyd"));

    // The truth itself: three seconds muted, two takes of the microphone.
    let start = truth.start.nearest_second();
    let first = ana.takes_of(Source::Microphone).next().expect("a first take");
    let muted: Vec<i64> = first
        .moments
        .iter()
        .filter(|moment| moment.muted)
        .map(|moment| moment.second)
        .collect();
    assert_eq!(muted, [start + 4, start + 5, start + 6]);
    assert_eq!(ana.takes_of(Source::Microphone).count(), 2);
    assert_eq!((first.live().len(), first.mutes.len()), (2, 1));

    // What ben heard of both takes: everything that was live, nothing that was muted.
    let takes = ben.heard_each("ana", Source::Microphone).expect("heard");
    assert_eq!(takes.len(), 2);
    for (n, take) in takes.iter().enumerate() {
        take.against(&ana.only_take(n)).expect_all_beeps().expect_nobody_else();
    }
    let shares = ben.heard_each("ana", Source::ScreenShare).expect("seen");
    assert_eq!(shares.len(), 1);
    // Flashes of seven to twelve, of which the first ones come before a subscription has to be there.
    let verdict = shares[0].against(ana);
    verdict.expect_all_flashes().expect_nobody_else();
    assert!(
        verdict.flashes.as_ref().expect("pictures").found.len() >= 4,
        "{verdict}"
    );

    // What was written arrived. Each text is a stream of its own; which one is read to its end first is nobody's promise.
    let texts = |event| {
        let facts = cyd.facts_of(event);
        facts.filter_map(|fact| fact["text"].as_str()).collect::<BTreeSet<_>>()
    };
    assert_eq!(cyd.facts_of("received_text").count(), 2);
    assert_eq!(texts("received_text"), ["a text stream", "good morning"].into());
    assert_eq!(texts("received_data"), ["a data packet"].into());
    assert_eq!(ben.facts_of("heard_mute").count(), 1);
    assert_eq!(
        cyd.facts_of("saw_leave").filter(|fact| fact["from"] == "ana").count(),
        2
    );
}

#[test]
fn a_killed_peer_falls_silent_and_the_truth_ends_there() {
    let Some(server) = need(Server::start()) else { return };
    let mut meeting = Plan::new("killed")
        .peer("ana", |p| p.join().publish(Microphone::opus()).at(20.5).leave())
        .peer("ben", |p| p.listens().join().at(6.5).leave())
        .start(&server)
        .expect("a meeting");
    let in_time = Duration::from_secs(20);
    meeting
        .wait_for("ana", "its fourth beep", in_time, |fact| {
            fact["event"] == "beep" && fact["second"].as_i64().is_some_and(|s| s >= 0)
        })
        .expect("a beep");
    meeting.wait_until(4.5);
    meeting.kill("ana").expect("it can be killed");
    let truth = meeting.finish().expect("the others go on");
    let ana = truth.peer("ana");
    let take = ana.takes.first().expect("a take");
    assert!(take.last.since(truth.start) < 5.0, "{take:?}");
    assert!(!take.moments.is_empty() && !take.moments.iter().any(Moment::is_late));
    truth
        .peer("ben")
        .heard("ana")
        .expect("heard")
        .against(ana)
        .expect_all_beeps();
}

#[test]
fn a_peer_that_reconnects_is_heard_again() {
    let Some(server) = need(Server::start()) else { return };
    let truth = Plan::new("reconnects")
        .peer("ana", |p| {
            p.join().publish(Microphone::opus()).at(3.5).resume().at(8.5).leave()
        })
        .peer("ben", |p| p.listens().join().at(8.5).leave())
        .run(&server)
        .expect("a meeting");
    assert_eq!(truth.peer("ana").facts_of("reconnected").count(), 1);
    // Media goes on while the signal connection is away.
    truth
        .peer("ben")
        .heard("ana")
        .expect("heard")
        .against(truth.peer("ana"))
        .expect_all_beeps();
}
