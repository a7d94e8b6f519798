use std::sync::atomic::Ordering;

use super::*;
use crate::clock::instant as origin;
use crate::synthetic::Sent;

const SECOND: Duration = Duration::from_secs(1);

fn state(kind: MediaKind) -> State {
    State::new(kind, Duration::from_millis(500), Arc::default())
}

/// Frames of two packets, 30 a second; packet `n` is of frame `n / 2`; every 60th frame is a key frame.
fn play(state: &mut State, start: Instant, packets: impl IntoIterator<Item = u32>) {
    for n in packets {
        let frame = n / 2;
        let meta = Meta {
            timestamp: frame * 3000,
            marker: n % 2 == 1,
            key: frame % 60 == 0 && n % 2 == 0,
            dims: Some(Dims::new(640, 360)),
            padding: false,
            arrival: start + SECOND * frame / 30,
        };
        state.packet(u16::try_from((65_500 + n) % 65_536).unwrap(), 1, meta, 100);
    }
}

#[test]
fn a_whole_stream_has_no_loss_and_no_freeze() {
    let mut state = state(MediaKind::Video);
    play(&mut state, origin(), 0..600);
    let counts = state.counts;
    assert_eq!((counts.expected, counts.received, counts.lost), (600, 600, 0));
    assert_eq!((counts.frames, counts.key_frames, counts.freezes), (300, 5, 0));
    assert_eq!(counts.dims, Some(Dims::new(640, 360)));
}

#[test]
fn what_comes_late_is_not_lost_and_what_never_comes_is() {
    let mut state = state(MediaKind::Video);
    // 20 comes after 25, which is repair; 101 never comes, so all until the key frame at 120 is undecodable.
    let late = (0..20).chain(21..26).chain([20]).chain(26..101).chain(102..600);
    play(&mut state, origin(), late);
    let counts = state.counts;
    assert_eq!((counts.received, counts.lost, counts.expected), (599, 1, 600));
    assert!(state.wants_key_frame);
    // Frames 50 to 59 fail for want of frame 50: a gap of a third of a second.
    assert_eq!((counts.frames, counts.freezes), (290, 0));
}

#[test]
fn a_picture_that_stands_still_for_long_is_a_freeze() {
    let mut state = state(MediaKind::Video);
    // Packet 41 is lost: frames 20 to 59 cannot be decoded.
    play(&mut state, origin(), (0..41).chain(42..240));
    assert_eq!(state.counts.freezes, 1);
    let gap = state.counts.frozen.as_secs_f64();
    assert!((gap - 41.0 / 30.0).abs() < 0.05, "{gap}");
}

#[test]
fn frames_before_the_first_key_frame_do_not_count() {
    let mut state = state(MediaKind::Video);
    let start = origin();
    play(&mut state, start, 20..240);
    assert_eq!(state.counts.first_frame, Some(start + SECOND * 2));
    assert_eq!(state.counts.frames, 60);
}

#[test]
fn a_picture_that_never_comes_is_frozen_from_the_beginning() {
    let start = origin();
    let mut state = state(MediaKind::Video);
    state.set_muted(false, start);
    state.end(start + SECOND * 10, true);
    assert!(state.counts.never);
    assert_eq!((state.counts.freezes, state.counts.frozen), (1, SECOND * 10));
    // A start takes its time; what comes within it is none.
    let mut quick = self::state(MediaKind::Video);
    quick.set_muted(false, start);
    play(&mut quick, start + SECOND, 0..600);
    quick.end(start + SECOND * 11, true);
    assert_eq!((quick.counts.never, quick.counts.freezes), (false, 0));
    // And what is out of sight is not waited for.
    let mut hidden = self::state(MediaKind::Video);
    hidden.set_muted(true, start);
    hidden.end(start + SECOND * 10, true);
    assert_eq!((hidden.counts.never, hidden.counts.freezes), (false, 0));
    let mut sound = self::state(MediaKind::Audio);
    sound.set_muted(false, start);
    sound.end(start + SECOND * 10, true);
    assert_eq!((sound.counts.never, sound.counts.freezes), (true, 0));
}

#[test]
fn what_is_older_than_the_first_was_never_missed() {
    let mut state = state(MediaKind::Video);
    let start = origin();
    // 30 is lost for good; 9 comes late, and was sent before what came first.
    play(&mut state, start, (10..30).chain(31..200).chain([9]));
    assert_eq!((state.counts.lost, state.counts.received), (1, 190));
}

#[test]
fn a_hole_at_the_end_is_lost_unless_it_is_as_young_as_a_repair() {
    let mut state = state(MediaKind::Video);
    let start = origin();
    play(&mut state, start, (0..20).chain(21..58).chain(59..60));
    // Packet 20 was missed at 0.35 s, packet 58 at 0.97 s.
    state.end(start + SECOND, true);
    assert_eq!((state.counts.lost, state.counts.received), (1, 58));
}

#[test]
fn a_loss_upstream_explains_a_hole_of_its_layer_and_no_other() {
    let sent = Arc::new(Sent::default());
    let layers = vec![Dims::new(1280, 720), Dims::new(640, 360)];
    let mut state = state(MediaKind::Video);
    state.upstream = Some(Upstream::new(Arc::clone(&sent), layers));
    let start = origin();
    play(&mut state, start, 0..100);
    // Of the layer that is not forwarded: no excuse for what is missing here.
    sent.lost[0].fetch_add(50, Ordering::Relaxed);
    play(&mut state, start, 101..200);
    assert_eq!((state.counts.lost, state.counts.lost_upstream), (1, 0));
    sent.lost[1].fetch_add(2, Ordering::Relaxed);
    play(&mut state, start, 203..400);
    assert_eq!((state.counts.lost, state.counts.lost_upstream), (4, 2));
    // Lost while nothing is forwarded, or long ago.
    state.set_muted(true, start + SECOND * 7);
    sent.lost[1].fetch_add(9, Ordering::Relaxed);
    state.set_muted(false, start + SECOND * 8);
    play(&mut state, start, (600..700).chain(701..900));
    assert_eq!(state.counts.lost_upstream, 2);
}

#[test]
fn turns_are_speech_after_a_pause() {
    let mut state = state(MediaKind::Audio);
    let start = origin();
    for n in 0..100u32 {
        let silent = (20..60).contains(&n);
        state.voice(start + Duration::from_millis(20) * n, if silent { 3 } else { 80 });
    }
    assert_eq!((state.counts.speech, state.counts.turns), (60, 2));
}
