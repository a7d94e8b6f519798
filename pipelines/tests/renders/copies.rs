//! Copies: per participant, per screen share.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use greffier_media::{
    codec::Codec,
    journal::{Encryption, RoomEvent, TrackSource, event::GapCause},
    render::{TracksRequest, Zero},
};
use greffier_pipelines::{
    Container, Control,
    copy::{self, Copied, CopiedFile, SkipReason, Subject},
    source::Recording,
};
use greffier_tests::{Browser, Folder, MediaFile, Observation, Verdict, judge, need};

use crate::tape::{Publication, START, Tape, Written, arrival, origin};

/// A recording's second 0 is the tape's, but for what encoder and network take: 60 ms at most on these tapes.
const ORIGIN_S: f64 = 0.060;

struct Copies {
    copied: Copied,
    folder: PathBuf,
    tape: Written,
}

/// Writes a tape in so many segments and copies it.
fn copies(tape: Tape, segments: u32) -> Result<Copies> {
    copies_as(tape, segments, &TracksRequest::default())
}

fn copies_as(tape: Tape, segments: u32, request: &TracksRequest) -> Result<Copies> {
    let folder = Folder::of_test()?;
    let tape = tape.write(folder.path(), segments)?;
    copy_into(&folder, tape, request)
}

fn copy_into(folder: &Folder, tape: Written, request: &TracksRequest) -> Result<Copies> {
    let output = folder.sub("output")?.path().to_owned();
    let recording = Recording::survey(tape.segments.clone(), &Control::detached())?;
    let copied = copy::copy(&recording, request, &output, &Control::detached())?;
    assert_eq!(copied.failed, [], "every file comes to be");
    let mut names: Vec<_> = std::fs::read_dir(&output)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<Result<_>>()?;
    names.sort();
    let mut expected: Vec<_> = copied.files.iter().map(|file| file.name.clone()).collect();
    expected.sort();
    assert_eq!(names, expected, "nothing else is left behind");
    Ok(Copies {
        copied,
        folder: output,
        tape,
    })
}

impl Copies {
    fn names(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.copied.files.iter().map(|file| &*file.name).collect();
        names.sort_unstable();
        names
    }

    #[track_caller]
    fn file(&self, name: &str) -> &CopiedFile {
        self.copied
            .files
            .iter()
            .find(|file| file.name == name)
            .unwrap_or_else(|| panic!("{:?}", self.names()))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Judges a file against what its participant did.
    fn verdict(&self, name: &str) -> Result<Verdict> {
        let verdict = judge(self.path(name))?.against(self.tape.truth(self.file(name).identity.as_str()));
        println!("{verdict}");
        Ok(verdict)
    }
}

/// What holds for every copy of somebody who lost nothing.
#[track_caller]
fn expect_perfect(verdict: &Verdict, end: f64) {
    verdict
        .expect_all_beeps()
        .expect_all_flashes()
        .expect_in_step()
        .expect_no_freeze()
        .expect_nobody_else()
        .expect_quiet_gaps()
        .expect_clean_decoding()
        .expect_duration(end)
        .expect_origin(origin(), ORIGIN_S);
}

/// It plays in Chromium, and each place that is sought shows the picture of that moment.
fn expect_plays(browser: &mut Browser, file: &Path, end: f64, seeks: &[f64]) -> Result<()> {
    let playback = browser
        .play(file, 1.0, seeks)
        .with_context(|| format!("{}", file.display()))?;
    playback.expect_plays().expect_duration(end);
    if playback.width > 0 {
        playback.expect_seeks_show(greffier_tests::Wall(origin().0 - 0.030));
    }
    Ok(())
}

/// Ana from the beginning, muting camera and microphone for a while and changing layers; Ben later, leaving earlier.
fn a_meeting(codec: Codec, ending: &str) -> Result<()> {
    let mut tape = Tape::new();
    let ana = tape.join(0.0, "Ana", 0);
    let camera = Publication::camera(codec, 0.5, 5.5)
        .then(5.5, 9.5, (160, 90))
        .then(13.5, 18.5, (320, 180));
    tape.publish(&ana, &camera)?;
    tape.publish(&ana, &Publication::microphone(0.5, 8.5).then(12.5, 18.5, (0, 0)))?;
    let ben = tape.join(1.0, "Ben", 1);
    tape.publish(&ben, &Publication::camera(codec, 4.5, 14.5))?;
    tape.publish(&ben, &Publication::microphone(4.5, 14.5))?;
    tape.leave(15.0, &ben);
    tape.stop(19.0);
    let copies = copies(tape, 3)?;
    let (ana, ben) = (format!("ana.{ending}"), format!("ben.{ending}"));
    assert_eq!(copies.names(), [&*ana, &*ben]);
    expect_perfect(&copies.verdict(&ana)?, 18.5);
    expect_perfect(&copies.verdict(&ben)?, 14.5);
    let sizes: Vec<_> = judge(copies.path(&ana))?
        .video
        .context("pictures")?
        .sizes()
        .iter()
        .map(|(_, size)| *size)
        .collect();
    assert_eq!(
        sizes,
        [(320, 180), (160, 90), (320, 180)],
        "every change of layer is there"
    );
    let mut browser = Browser::launch()?;
    // In the mute, the last picture stands.
    expect_plays(&mut browser, &copies.path(&ana), 18.5, &[7.3, 1.0, 14.2, 16.8])?;
    expect_plays(&mut browser, &copies.path(&ben), 14.5, &[12.0, 5.2, 9.9])?;
    Ok(())
}

#[test]
fn a_meeting_in_vp8() {
    need(a_meeting(Codec::Vp8, "webm"));
}

#[test]
fn a_meeting_in_vp9() {
    need(a_meeting(Codec::Vp9, "webm"));
}

#[test]
fn a_meeting_in_av1() {
    need(a_meeting(Codec::Av1, "webm"));
}

#[test]
fn a_meeting_in_h264() {
    need(a_meeting(Codec::H264, "mp4"));
}

#[test]
fn who_comes_back_is_in_one_file() {
    need((|| -> Result<()> {
        let mut tape = Tape::new();
        let ana = tape.join(0.0, "Ana", 0);
        tape.publish(&ana, &Publication::camera(Codec::Vp8, 0.5, 6.5))?;
        tape.publish(&ana, &Publication::microphone(0.5, 6.5))?;
        tape.leave(7.0, &ana);
        // The camera only, then the microphone too.
        let ana = tape.join(9.0, "Ana", 0);
        tape.publish(&ana, &Publication::camera(Codec::Vp8, 9.5, 17.5).size(160, 90))?;
        tape.publish(&ana, &Publication::microphone(11.5, 17.5))?;
        tape.stop(18.0);
        let copies = copies(tape, 2)?;
        assert_eq!(copies.names(), ["ana.webm"]);
        expect_perfect(&copies.verdict("ana.webm")?, 17.5);
        assert_eq!(copies.file("ana.webm").tracks.len(), 4);
        let mut browser = Browser::launch()?;
        expect_plays(&mut browser, &copies.path("ana.webm"), 17.5, &[2.2, 16.6])?;
        let absent = browser.play(&copies.path("ana.webm"), 0.5, &[8.0])?;
        let held = absent.seeks[0].code.context("a picture")?.captured.since(origin());
        assert!(
            (6.4..6.5).contains(&held),
            "the last picture stands, not that of {held:.3} s"
        );
        Ok(())
    })());
}

#[test]
fn another_codec_after_a_rejoin_is_another_track_of_the_same_file() {
    need((|| -> Result<()> {
        let mut tape = Tape::new();
        let ana = tape.join(0.0, "Ana", 0);
        tape.publish(&ana, &Publication::camera(Codec::Vp8, 0.5, 5.5))?;
        tape.publish(&ana, &Publication::microphone(0.5, 5.5))?;
        tape.leave(6.0, &ana);
        let ana = tape.join(7.0, "Ana", 0);
        tape.publish(&ana, &Publication::camera(Codec::H264, 7.5, 13.5))?;
        tape.publish(&ana, &Publication::microphone(7.5, 13.5))?;
        tape.stop(14.0);
        let copies = copies(tape, 1)?;
        assert_eq!(copies.names(), ["ana.mkv"]);
        let file = || MediaFile::new(copies.path("ana.mkv"));
        let seconds = |observation: &Observation| -> Vec<i64> {
            let video = observation.video.as_ref().expect("pictures");
            video
                .flashes
                .iter()
                .filter_map(|flash| Some(flash.captured?.nearest_second() - START))
                .collect()
        };
        let (first, second) = (file().video_stream(0).observe()?, file().video_stream(1).observe()?);
        assert_eq!(seconds(&first), [1, 2, 3, 4, 5]);
        assert_eq!(seconds(&second), [8, 9, 10, 11, 12, 13]);
        let codecs: Vec<_> = file().facts()?.streams.into_iter().map(|stream| stream.codec).collect();
        assert_eq!(codecs, ["vp8", "h264", "opus"]);
        // Sound is one track, and both pictures are in step with it.
        for (stream, seconds) in [(0, 1..6), (1, 8..14)] {
            let verdict = file().video_stream(stream).observe()?.against(copies.tape.truth("ana"));
            verdict
                .expect_all_beeps()
                .expect_in_step()
                .expect_clean_decoding()
                .expect_nobody_else();
            assert!(verdict.lag.len() >= seconds.count() - 1, "{verdict}");
        }
        Ok(())
    })());
}

#[test]
fn lost_packets_shift_nothing() {
    need((|| -> Result<()> {
        let mut tape = Tape::new();
        let ana = tape.join(0.0, "Ana", 0);
        // One packet of a picture in the middle of the 7th second, and the next key frame a second later.
        let camera = Publication {
            key_every: 20,
            ..Publication::camera(Codec::Vp8, 0.5, 16.5)
        };
        tape.publish(&ana, &camera.losing(|packet| packet == 150))?;
        // Of sound, single packets and, between the 10th and 11th second, a fifth of a second.
        let lost = |packet: u64| packet % 50 == 30 || (485..495).contains(&packet);
        tape.publish(&ana, &Publication::microphone(0.5, 16.5).losing(lost))?;
        tape.stop(17.0);
        let copies = copies(tape, 1)?;
        let verdict = copies.verdict("ana.webm")?;
        verdict
            .expect_in_step()
            .expect_clean_decoding()
            .expect_nobody_else()
            .expect_duration(16.5);
        let missing = &verdict.flashes.as_ref().context("pictures")?.missing;
        assert!(missing.len() <= 1, "a second without pictures at most: {missing:?}");
        verdict.expect_all_beeps().expect_quiet_gaps();
        Ok(())
    })());
}

#[test]
fn each_screen_share_is_a_file_with_its_sound() {
    need((|| -> Result<()> {
        let mut tape = Tape::new();
        let ana = tape.join(0.0, "Ana", 0);
        tape.publish(&ana, &Publication::microphone(0.5, 18.5))?;
        tape.publish(&ana, &Publication::screen(Codec::Vp8, 2.5, 8.5))?;
        tape.publish(&ana, &Publication::screen_sound(2.5, 8.5))?;
        tape.publish(&ana, &Publication::screen(Codec::H264, 11.5, 17.5))?;
        // Only a screen.
        let ben = tape.join(0.0, "Ben", 1);
        tape.publish(&ben, &Publication::screen(Codec::Vp9, 6.5, 16.5))?;
        tape.stop(19.0);
        let copies = copies(tape, 2)?;
        assert_eq!(
            copies.names(),
            ["ana.ogg", "ana.screen-1.webm", "ana.screen-2.mp4", "ben.screen-1.webm"]
        );
        let mut browser = Browser::launch()?;
        for (name, end, seeks) in [
            ("ana.screen-1.webm", 8.5, [3.2, 7.8]),
            ("ana.screen-2.mp4", 17.5, [16.2, 12.4]),
            ("ben.screen-1.webm", 16.5, [7.4, 15.0]),
        ] {
            assert_eq!(copies.file(name).subject, Subject::ScreenShare);
            let mut truth = copies.tape.truth(copies.file(name).identity.as_str()).clone();
            if copies.file(name).identity.as_str() == "ana" {
                truth = truth.only_take(usize::from(name.contains("-2")));
            }
            let verdict = judge(copies.path(name))?.against(&truth);
            println!("{verdict}");
            verdict
                .expect_all_flashes()
                .expect_no_freeze()
                .expect_nobody_else()
                .expect_clean_decoding()
                .expect_duration(end)
                .expect_origin(origin(), ORIGIN_S);
            if name == "ana.screen-1.webm" {
                verdict.expect_all_beeps().expect_in_step().expect_quiet_gaps();
            }
            expect_plays(&mut browser, &copies.path(name), end, &seeks)?;
        }
        let voice = copies.verdict("ana.ogg")?;
        voice
            .expect_all_beeps()
            .expect_quiet_gaps()
            .expect_clean_decoding()
            .expect_duration(18.5)
            .expect_origin(origin(), ORIGIN_S);
        expect_plays(&mut browser, &copies.path("ana.ogg"), 18.5, &[12.0])
    })());
}

#[test]
fn a_pause_is_cut_out() {
    need((|| -> Result<()> {
        let mut tape = Tape::new();
        let ana = tape.join(0.0, "Ana", 0);
        // After a pause a recorder asks for a key frame: this camera sends them often.
        tape.publish(
            &ana,
            &Publication {
                key_every: 10,
                ..Publication::camera(Codec::Vp8, 0.5, 20.5)
            },
        )?;
        tape.publish(&ana, &Publication::microphone(0.5, 20.5))?;
        tape.event(6.5, RoomEvent::RecordingPaused { by: None });
        tape.cut(6.5, 12.5);
        tape.event(12.5, RoomEvent::RecordingResumed { by: None });
        tape.stop(21.0);
        let copies = copies(tape, 2)?;
        let observation = judge(copies.path("ana.webm"))?;
        let verdict = observation.against(copies.tape.truth("ana"));
        verdict
            .expect_nobody_else()
            .expect_clean_decoding()
            .expect_duration(14.5);
        let video = observation.video.context("pictures")?;
        let captured: Vec<_> = video
            .pictures
            .iter()
            .filter_map(|p| Some((p.at, p.code?.captured.since(origin()))))
            .collect();
        for (at, captured) in &captured {
            let expected = if *captured < 9.0 { *captured } else { captured - 6.0 };
            assert!(
                (at - expected).abs() < 0.2,
                "the picture of {captured:.3} s is shown at {at:.3} s"
            );
        }
        assert!(
            captured.iter().all(|(_, captured)| !(6.6..12.0).contains(captured)),
            "nothing of the pause"
        );
        assert!(captured.iter().any(|(_, captured)| (5.5..6.5).contains(captured)));
        assert!(captured.iter().any(|(_, captured)| (12.5..13.5).contains(captured)));
        let beeps = &observation.audio.context("sound")?.beeps;
        let seconds: Vec<_> = beeps.iter().map(|beep| beep.at.round() as i64).collect();
        assert_eq!(
            seconds,
            [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14],
            "6 s of 20 are cut out"
        );
        Ok(())
    })());
}

#[test]
fn our_own_absence_is_silence_and_a_held_picture() {
    need((|| -> Result<()> {
        let mut tape = Tape::new();
        let mut ana = tape.join(0.0, "Ana", 0);
        tape.publish(&ana, &Publication::camera(Codec::Vp8, 0.5, 6.5))?;
        tape.publish(&ana, &Publication::microphone(0.5, 6.5))?;
        // We were away: the same track comes back with other numbers.
        let (from, to) = (arrival(6.6), arrival(9.4));
        tape.event(
            9.4,
            RoomEvent::Gap {
                from,
                to,
                reason: GapCause::Restart,
            },
        );
        ana.network += 0.010;
        tape.publish(&ana, &Publication::camera(Codec::Vp8, 9.5, 16.5))?;
        tape.publish(&ana, &Publication::microphone(9.5, 16.5))?;
        tape.stop(17.0);
        let copies = copies(tape, 2)?;
        assert_eq!(copies.names(), ["ana.webm"]);
        expect_perfect(&copies.verdict("ana.webm")?, 16.5);
        Ok(())
    })());
}

#[test]
fn what_cannot_be_shown_is_named_and_the_rest_is_there() {
    need((|| -> Result<()> {
        let mut tape = Tape::new();
        let ana = tape.join(0.0, "Ana", 0);
        tape.publish(&ana, &Publication::camera(Codec::Vp8, 0.5, 8.5))?;
        let secret = Publication {
            encryption: Encryption::Gcm,
            ..Publication::microphone(0.5, 8.5)
        };
        tape.publish(&ana, &secret)?;
        let ben = tape.join(0.0, "Ben", 1);
        tape.publish(&ben, &Publication::microphone(0.5, 8.5))?;
        let foreign = Publication {
            mime: Some("video/H265"),
            ..Publication::camera(Codec::Vp8, 0.5, 8.5)
        };
        tape.publish(&ben, &foreign)?;
        // A camera whose key frame is lost.
        let cleo = tape.join(0.0, "Cleo", 2);
        tape.publish(
            &cleo,
            &Publication::camera(Codec::Vp8, 0.5, 8.5).losing(|packet| packet == 0),
        )?;
        tape.stop(9.0);
        let copies = copies(tape, 1)?;
        assert_eq!(copies.names(), ["ana.webm", "ben.ogg"]);
        let skipped: Vec<_> = copies
            .copied
            .skipped
            .iter()
            .map(|skipped| (skipped.identity.as_str(), skipped.source, &skipped.reason))
            .collect();
        assert_eq!(
            skipped,
            [
                ("ana", TrackSource::Microphone, &SkipReason::Encrypted),
                (
                    "ben",
                    TrackSource::Camera,
                    &SkipReason::Codec {
                        mime: "video/H265".into()
                    }
                ),
                ("cleo", TrackSource::Camera, &SkipReason::NoFrames),
            ]
        );
        copies.verdict("ana.webm")?.expect_all_flashes();
        copies.verdict("ben.ogg")?.expect_all_beeps();
        Ok(())
    })());
}

#[test]
fn first_media_is_zero_if_asked() {
    need((|| -> Result<()> {
        let mut tape = Tape::new();
        let ana = tape.join(0.0, "Ana", 0);
        tape.publish(&ana, &Publication::camera(Codec::Vp8, 3.5, 12.5))?;
        tape.publish(&ana, &Publication::microphone(3.5, 12.5))?;
        let ben = tape.join(0.0, "Ben", 1);
        tape.publish(&ben, &Publication::microphone(1.5, 5.5))?;
        tape.stop(13.0);
        let identity = ana.identity.clone();
        let request = TracksRequest {
            participants: vec![identity],
            zero: Zero::FirstMedia,
        };
        let copies = copies_as(tape, 1, &request)?;
        assert_eq!(copies.names(), ["ana.webm"], "nobody else was asked for");
        let file = copies.file("ana.webm");
        assert!(
            (3_500_000_000..3_560_000_000).contains(&file.zero_ns),
            "{}",
            file.zero_ns
        );
        let verdict = copies.verdict("ana.webm")?;
        verdict
            .expect_all_beeps()
            .expect_all_flashes()
            .expect_in_step()
            .expect_duration(9.0);
        verdict.expect_origin(origin().plus(3.5), ORIGIN_S);
        expect_plays(&mut Browser::launch()?, &copies.path("ana.webm"), 9.0, &[])
    })());
}

#[test]
fn sound_that_comes_late_and_a_track_of_a_moment() {
    need((|| -> Result<()> {
        let mut tape = Tape::new();
        let ana = tape.join(0.0, "Ana", 0);
        tape.publish(&ana, &Publication::microphone(65.5, 75.5))?;
        tape.publish(
            &ana,
            &Publication {
                fps: 4,
                ..Publication::camera(Codec::Vp8, 0.5, 75.5)
            }
            .size(80, 44),
        )?;
        let ben = tape.join(0.0, "Ben", 1);
        tape.publish(&ben, &Publication::camera(Codec::Vp8, 4.5, 4.6))?;
        let cleo = tape.join(0.0, "Cleo", 2);
        tape.publish(&cleo, &Publication::microphone(4.5, 4.6))?;
        tape.stop(76.0);
        let copies = copies(tape, 3)?;
        assert_eq!(copies.names(), ["ana.webm", "ben.webm", "cleo.ogg"]);
        let ana = copies.verdict("ana.webm")?;
        ana.expect_all_beeps()
            .expect_quiet_gaps()
            .expect_clean_decoding()
            .expect_duration(75.5)
            .expect_origin(origin(), ORIGIN_S);
        let mut browser = Browser::launch()?;
        expect_plays(&mut browser, &copies.path("ana.webm"), 75.5, &[])?;
        for (name, end) in [("ben.webm", 4.6), ("cleo.ogg", 4.6)] {
            copies.verdict(name)?.expect_duration(end).expect_clean_decoding();
            expect_plays(&mut browser, &copies.path(name), end, &[])?;
        }
        Ok(())
    })());
}

#[test]
fn a_recording_of_nobody_has_no_files() {
    need((|| -> Result<()> {
        let mut tape = Tape::new();
        tape.join(0.0, "Ana", 0);
        tape.stop(60.0);
        let copies = copies(tape, 2)?;
        assert_eq!(copies.copied, Copied::default());
        Ok(())
    })());
}

#[test]
fn names_cannot_lead_out_of_the_folder() {
    need((|| -> Result<()> {
        let mut tape = Tape::new();
        for (name, peer) in [
            ("../../Evil", 0),
            ("/etc/passwd", 1),
            ("🎉", 2),
            ("ÉLODIE \"x\" <b>", 3),
        ] {
            let person = tape.join(0.0, name, peer);
            tape.publish(&person, &Publication::microphone(0.5, 2.5))?;
        }
        tape.stop(3.0);
        let copies = copies(tape, 1)?;
        assert_eq!(
            copies.names(),
            ["etc-passwd.ogg", "evil.ogg", "lodie-x-b.ogg", "participant.ogg"]
        );
        Ok(())
    })());
}

#[test]
fn a_torn_segment_is_read_to_where_it_is_sound() {
    need((|| -> Result<()> {
        let folder = Folder::of_test()?;
        let mut tape = Tape::new();
        let ana = tape.join(0.0, "Ana", 0);
        tape.publish(&ana, &Publication::camera(Codec::Vp8, 0.5, 16.5))?;
        tape.publish(&ana, &Publication::microphone(0.5, 16.5))?;
        tape.stop(17.0);
        let tape = tape.write(folder.path(), 2)?;
        let last = tape.segments.last().context("a segment")?;
        let bytes = std::fs::read(last)?;
        std::fs::write(last, &bytes[..bytes.len() / 2])?;
        let recording = Recording::survey(tape.segments.clone(), &Control::detached())?;
        assert_eq!(recording.damage.len(), 1);
        assert_eq!(recording.damage[0].segment, 1);
        let copies = copy_into(&folder, tape, &TracksRequest::default())?;
        let verdict = copies.verdict("ana.webm")?;
        verdict.expect_in_step().expect_clean_decoding().expect_nobody_else();
        let found = verdict.flashes.as_ref().context("pictures")?.found.len();
        assert!((11..=13).contains(&found), "{verdict}");
        Ok(())
    })());
}

#[test]
fn tags_say_whose_and_when() {
    need((|| -> Result<()> {
        let mut tape = Tape::new();
        for (name, peer, codec) in [
            ("Ana", 0, Some(Codec::Vp8)),
            ("Ben", 1, Some(Codec::H264)),
            ("Cleo", 2, None),
        ] {
            let person = tape.join(0.0, name, peer);
            tape.publish(&person, &Publication::microphone(0.5, 2.5))?;
            if let Some(codec) = codec {
                tape.publish(&person, &Publication::camera(codec, 0.5, 2.5))?;
            }
        }
        tape.stop(3.0);
        let copies = copies(tape, 1)?;
        for (name, artist) in [("ana.webm", "Ana"), ("ben.mp4", "Ben"), ("cleo.ogg", "Cleo")] {
            let output = std::process::Command::new("ffprobe")
                .args(["-v", "error", "-show_entries", "format_tags:stream_tags", "-of", "json"])
                .arg(copies.path(name))
                .output()?;
            let found: serde_json::Value = serde_json::from_slice(&output.stdout)?;
            let text = found.to_string();
            for expected in [
                format!("{artist} – démo"),
                format!("\"{artist}\""),
                crate::tape::recording().to_string(),
                "2026-11-23T".to_owned(),
            ] {
                assert!(text.contains(&expected), "{name} lacks {expected}: {found:#}");
            }
        }
        assert_eq!(copies.file("ana.webm").facts.container, Container::WebM);
        Ok(())
    })());
}

#[test]
fn twenty_five_people() {
    need((|| -> Result<()> {
        let mut tape = Tape::new();
        for number in 0..25 {
            let person = tape.join(
                0.1 * f64::from(number),
                &format!("Guest {number:02}"),
                number as usize % 8,
            );
            tape.publish(&person, &Publication::camera(Codec::Vp8, 0.5, 8.5).size(160, 90))?;
            tape.publish(&person, &Publication::microphone(0.5, 8.5))?;
        }
        tape.stop(9.0);
        let copies = copies(tape, 2)?;
        assert_eq!(copies.names().len(), 25);
        for name in ["guest-00.webm", "guest-13.webm", "guest-24.webm"] {
            expect_perfect(&copies.verdict(name)?, 8.5);
        }
        Ok(())
    })());
}
