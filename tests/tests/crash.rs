//! Killed at random moments, Greffier goes on with the same recording; so it does when the LiveKit server comes back.

use std::time::Duration;

use greffier_tests::greffier::State;
use greffier_tests::pattern::BEEP_S;
use greffier_tests::process::now;
use greffier_tests::stage::wait_for;
use greffier_tests::{Camera, Deadline, Greffier, Microphone, Plan, Stage, Wall, need};

/// Times that it is killed; `E2E_KILLS=20` for the long way.
fn kills() -> u32 {
    let asked = std::env::var("E2E_KILLS").ok().and_then(|text| text.parse().ok());
    asked.unwrap_or(8)
}

/// So much, in seconds, may be missing besides the time it was away: what the product promises.
const LOST_S: f64 = 0.200;
/// From the start of a new process until packets of everybody are stored again: connecting takes 0.3 s, a debug build on a
/// busy machine a few times that.
const BACK_WITHIN_S: f64 = 4.0;
/// Between media coming in and the next kill, the first of which is so in the meeting's first second or two: LiveKit's list of
/// rooms counts nobody in the room for five.
const ALIVE_S: std::ops::Range<f64> = 0.2..2.2;

/// Numbers between 0 and 1 that look random and are the same for the same seed (`SplitMix64`).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// From when to when nothing was stored.
type Outage = (Wall, Wall);

#[test]
fn a_killed_greffier_goes_on_with_the_same_recording() {
    let Some(mut stage) = need(Stage::start(|greffier| greffier.empty_timeout(5))) else {
        return;
    };
    // Time enough for all kills, each with its way back; the meeting ends when they are over.
    let longest = f64::from(kills()) * (ALIVE_S.end + BACK_WITHIN_S) + 12.5;
    let script = move |p: greffier_tests::Script| {
        p.at(0.5)
            .join()
            .publish(Camera::vp8())
            .publish(Microphone::opus())
            .at(longest.ceil() + 0.5)
            .leave()
    };
    let meeting = Plan::new("crashes")
        .peer("ana", script)
        .peer("ben", script)
        .start(&stage.server)
        .expect("a meeting");
    let first = stage
        .greffier
        .wait_for_state("crashes", State::Capturing, Duration::from_secs(15))
        .expect("it captures");
    stores_media(&stage.greffier, &first.id, 0);

    let seed = std::env::var("E2E_SEED").ok().and_then(|text| text.parse().ok());
    let seed = seed.unwrap_or_else(|| now().0.to_bits());
    println!("E2E_SEED={seed}");
    let mut chance = Chance(seed);
    let mut outages: Vec<Outage> = Vec::new();
    let mut kills_at = Vec::new();
    for kill in 0..kills() {
        let alive = ALIVE_S.start + chance.next() * (ALIVE_S.end - ALIVE_S.start);
        Deadline::within(Duration::from_secs_f64(alive)).wait();
        let segments = segments(&stage.greffier, &first.id).len();
        let killed = now();
        kills_at.push(killed);
        stage.greffier.crash().expect("killed");
        stage.greffier.restart().expect("it starts again");
        let all = stage.greffier.recordings("crashes").expect("a list");
        assert_eq!(all.len(), 1, "another recording was begun");
        assert_eq!(all[0].id, first.id);
        stores_media(&stage.greffier, &first.id, segments);
        let back = now();
        let away = back.since(killed);
        println!("kill {kill}: away for {away:.2} s");
        assert!(away <= BACK_WITHIN_S, "it took {away:.2} s to come back");
        outages.push((killed.plus(-LOST_S), back));
    }
    stage.greffier.expect_healthy();
    let truth = meeting.finish().expect("the meeting ends");
    let sealed = stage.sealed("crashes").expect("sealed");
    assert_eq!(sealed.id, first.id);
    let lost = losses(&stage.greffier, &first.id, &kills_at);
    println!("lost by each kill, in seconds: {lost:.3?}");
    assert!(lost.iter().all(|lost| *lost <= LOST_S), "{lost:.3?} s were lost");

    let copies = stage.copies(&sealed).expect("copies");
    for identity in ["ana", "ben"] {
        let copy = copies
            .of(&format!("{identity}.webm"), truth.peer(identity))
            .expect("a file");
        println!("{}", copy.verdict);
        copy.verdict.expect_nobody_else();
        let beeps = copy.verdict.beeps.as_ref().expect("sound");
        let flashes = copy.verdict.flashes.as_ref().expect("pictures");
        // A beep that an outage cuts into may be missing; a flash also until the next key frame, which is asked for at once.
        for (what, missing) in [("beep", &beeps.missing), ("flash", &flashes.missing)] {
            for &second in missing {
                let excused = outages
                    .iter()
                    .any(|(from, to)| from.0 - BEEP_S[1] <= second as f64 && second as f64 <= to.0);
                assert!(
                    excused,
                    "the {what} of {second} is missing without an outage\n{outages:?}"
                );
            }
        }
        assert!(!beeps.found.is_empty() && !flashes.found.is_empty());
        copy.expect_end();
    }
    stage.greffier.stop().expect("it ends");
    stage.greffier.expect_check_clean();
    stage.greffier.expect_no_panic();
}

/// What was lost by each kill, in seconds: what had come until then was stored but for what may be lost, and the journal says to
/// when it reaches before each gap. Two people send a picture every 50 ms and sound every 20, so something comes all the time.
#[track_caller]
fn losses(greffier: &Greffier, id: &str, kills_at: &[Wall]) -> Vec<f64> {
    let stored_to = restarts(greffier, id);
    assert_eq!(stored_to.len(), kills_at.len(), "a gap for each kill: {stored_to:?}");
    let pairs = kills_at.iter().zip(stored_to);
    pairs.map(|(killed, stored_to)| killed.since(stored_to)).collect()
}

/// The last that was stored before each restart. A journal's messages are JSON in an uncompressed file, so they can be found
/// without knowing more of it.
fn restarts(greffier: &Greffier, id: &str) -> Vec<Wall> {
    const GAP: &[u8] = br#"{"type":"gap","#;
    let folder = greffier.data().join("recordings").join(id);
    let mut found = Vec::new();
    for index in 0..segments(greffier, id).len() {
        let bytes = std::fs::read(folder.join(format!("journal-{index:05}.mcap"))).expect("a segment");
        for at in 0..bytes.len() {
            if !bytes[at..].starts_with(GAP) {
                continue;
            }
            let mut values = serde_json::Deserializer::from_slice(&bytes[at..]).into_iter::<serde_json::Value>();
            let gap = values.next().expect("an event").expect("JSON");
            if gap["reason"] == "restart" {
                found.push(Wall(gap["from"].as_u64().expect("nanoseconds") as f64 / 1e9));
            }
        }
    }
    found
}

/// Waits until segments after the first so many hold media.
#[track_caller]
fn stores_media(greffier: &Greffier, id: &str, after: usize) {
    wait_for("new media", Duration::from_secs_f64(3.0 * BACK_WITHIN_S), || {
        let new: u64 = segments(greffier, id).iter().skip(after).sum();
        Ok((new >= MEDIA_BYTES).then_some(()))
    })
    .expect("it goes on");
}

/// So many bytes of a new segment are more than the description of the room that it begins with: media.
const MEDIA_BYTES: u64 = 40_000;

/// Sizes of the segments of a recording's journal, in their order.
fn segments(greffier: &Greffier, id: &str) -> Vec<u64> {
    let folder = greffier.data().join("recordings").join(id);
    let mut segments: Vec<_> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let name = entry.file_name().to_string_lossy().into_owned();
            name.starts_with("journal-").then(|| (name, entry.metadata()))
        })
        .collect();
    segments.sort_by(|a, b| a.0.cmp(&b.0));
    segments
        .into_iter()
        .map(|(_, facts)| facts.map_or(0, |facts| facts.len()))
        .collect()
}

#[test]
fn a_recording_whose_bot_was_on_its_way_is_tried_again() {
    let Some(mut stage) = need(Stage::start(|greffier| greffier.set("recording.rules", "[]"))) else {
        return;
    };
    let mut meeting = Plan::new("asked")
        .peer("ana", |p| {
            p.at(0.5)
                .join()
                .publish(Camera::vp8())
                .publish(Microphone::opus())
                .at(20.5)
                .leave()
        })
        .start(&stage.server)
        .expect("a meeting");
    meeting
        .wait_for("ana", "its entry", Duration::from_secs(15), |fact| {
            fact["event"] == "joined"
        })
        .expect("it joins");
    let asked = stage.greffier.record("asked").expect("it is on its way");
    stage.greffier.crash().expect("killed");
    println!("killed while {:?}", asked.state);
    stage.greffier.restart().expect("it starts again");
    let again = stage
        .greffier
        .wait_for_state("asked", State::Capturing, Duration::from_secs(15))
        .expect("it captures");
    assert_eq!(again.id, asked.id, "whoever asked was told this one");
    stores_media(&stage.greffier, &asked.id, 0);
    let path = format!("/api/recordings/{}/stop", asked.id);
    stage
        .greffier
        .post(&path, &serde_json::json!({}))
        .expect("an answer")
        .expect(200);
    stage.sealed("asked").expect("sealed");
    stage.greffier.expect_check_clean();
}

#[test]
fn a_recording_goes_on_when_the_livekit_server_comes_back() {
    let Some(mut stage) = need(Stage::start(|greffier| greffier.empty_timeout(10))) else {
        return;
    };
    let script = |p: greffier_tests::Script| {
        p.at(0.5)
            .join()
            .publish(Camera::vp8())
            .publish(Microphone::opus())
            .at(8.5)
            .leave()
    };
    let meeting = Plan::new("returns")
        .peer("ana", script)
        .start(&stage.server)
        .expect("a meeting");
    let first = stage
        .greffier
        .wait_for_state("returns", State::Capturing, Duration::from_secs(15))
        .expect("it captures");
    meeting.wait_until(6.5);
    stage.server.crash().expect("killed");
    drop(meeting);
    stage.server.restart().expect("it starts again");

    // The same people meet again in the same room.
    let truth = Plan::new("returns")
        .peer("ana", script)
        .run(&stage.server)
        .expect("a meeting");
    let sealed = stage.sealed("returns").expect("sealed");
    assert_eq!(sealed.id, first.id, "it goes on");
    let copies = stage.copies(&sealed).expect("copies");
    assert_eq!(copies.names(), ["ana.webm"]);
    let copy = copies.of("ana.webm", truth.peer("ana")).expect("a file");
    println!("{}", copy.verdict);
    // What came before the crash is in it too, and is nobody else's.
    copy.verdict.expect_nobody_else();
    let before = copy.verdict.beeps.as_ref().expect("sound").stray.len();
    assert!(before >= 3, "what came before the crash is missing");
    stage.greffier.expect_check_clean();
}
