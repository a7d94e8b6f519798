//! The room as one picture: judged tile by tile, by what is seen in each.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use greffier_media::{
    codec::Codec,
    journal::RoomEvent,
    layout::LayoutKind,
    render::{CompositeRequest, RenderRequest, VideoFormat},
};
use greffier_tests::{Browser, MediaFile, Observation, Source, need};

use crate::{
    job::{Made, make},
    tape::{Publication, Tape, origin},
};

/// A recording's second 0 is the tape's, but for what encoder and network take, and half a picture.
const ORIGIN_S: f64 = 0.060;

/// On 1280x720: two tiles side by side.
const LEFT: [u32; 4] = [8, 124, 628, 470];
const RIGHT: [u32; 4] = [644, 124, 628, 470];
/// And one large with one beside it.
const MAIN: [u32; 4] = [0, 0, 1008, 720];
const BESIDE: [u32; 4] = [1016, 288, 256, 144];
/// A picture of 16:9 in the large one.
const SCREEN: [u32; 4] = [0, 76, 1008, 566];

/// Nothing is written on the pictures: it would hide their time codes.
fn composite(layout: LayoutKind, format: VideoFormat) -> CompositeRequest {
    CompositeRequest {
        layout,
        format,
        labels: false,
        ..CompositeRequest::default()
    }
}

fn film(tape: Tape, request: CompositeRequest) -> Result<Made> {
    make(tape, RenderRequest::Composite(request))
}

fn tile(path: &Path, [x, y, width, height]: [u32; 4]) -> Result<Observation> {
    MediaFile::new(path).region(x, y, width, height).observe()
}

/// Seconds after the tape's zero at which pictures of this peer and source are seen, by their time codes.
fn seen(observation: &Observation, peer: usize, source: Source) -> Vec<f64> {
    let pictures = observation.video.iter().flat_map(|video| &video.pictures);
    let shows = |code: greffier_tests::pattern::TimeCode| code.peer == peer && code.source == source;
    pictures
        .filter(|picture| picture.code.is_some_and(shows))
        .map(|picture| picture.at)
        .collect()
}

/// Whose flashes are seen, second by second.
fn flashes(observation: &Observation) -> Vec<(i64, usize)> {
    let flashes = observation.video.iter().flat_map(|video| &video.flashes);
    flashes.map(|flash| (flash.at.round() as i64, flash.peer)).collect()
}

#[test]
fn a_grid_in_mp4() {
    need((|| -> Result<()> {
        let mut tape = Tape::new();
        let (ana, ben) = (tape.join(0.0, "Ana", 0), tape.join(0.0, "Ben", 1));
        // Ana's camera is off for a while, and changes layers; Ben's comes late.
        let camera = Publication::camera(Codec::Vp8, 0.5, 8.5).size(320, 240);
        tape.publish(&ana, &camera.then(12.5, 15.5, (320, 240)).then(15.5, 18.5, (160, 120)))?;
        tape.publish(&ana, &Publication::microphone(0.5, 18.5))?;
        tape.publish(&ben, &Publication::camera(Codec::H264, 5.5, 18.5).size(320, 240))?;
        tape.publish(&ben, &Publication::microphone(4.5, 10.5).then(14.5, 18.5, (0, 0)))?;
        tape.stop(19.0);
        let made = film(tape, composite(LayoutKind::Grid, VideoFormat::Mp4))?;
        let probe = &made.files[0].probe;
        assert_eq!(
            (&*made.files[0].name, &*made.files[0].media_type),
            ("composite-grid.mp4", "video/mp4")
        );
        assert_eq!(
            (&probe["width"], &probe["height"], &probe["layout"]),
            (&1280.into(), &720.into(), &"grid".into())
        );
        let (ana, ben) = (made.tape.truth("ana"), made.tape.truth("ben"));
        for (area, one, other) in [(LEFT, ana, ben), (RIGHT, ben, ana)] {
            let found = tile(&made.path(), area)?;
            let verdict = found.among(one, &[other]);
            println!("{verdict}");
            verdict
                .expect_all_beeps()
                .expect_all_flashes()
                .expect_in_step()
                .expect_no_freeze()
                .expect_nobody_else()
                .expect_quiet_gaps()
                .expect_clean_decoding()
                .expect_duration(19.0)
                .expect_origin(origin(), ORIGIN_S);
            let own = one.pattern.peer;
            assert!(
                flashes(&found).iter().all(|(_, peer)| *peer == own),
                "one tile, one person: {:?}",
                flashes(&found)
            );
        }
        let muted = seen(&tile(&made.path(), LEFT)?, 0, Source::Camera);
        assert!(
            muted.iter().all(|at| !(8.7..12.4).contains(at)),
            "a camera that is off is not seen"
        );
        let facts = MediaFile::new(made.path()).facts()?;
        let codecs: Vec<_> = facts.streams.iter().map(|stream| &*stream.codec).collect();
        assert_eq!(codecs, ["h264", "aac"]);
        let playback = Browser::launch()?.play(&made.path(), 1.0, &[14.0, 3.0])?;
        playback.expect_plays().expect_duration(19.0);
        Ok(())
    })());
}

#[test]
fn who_speaks_is_large_in_webm() {
    need((|| -> Result<()> {
        let mut tape = Tape::new();
        let (ana, ben) = (tape.join(0.0, "Ana", 0), tape.join(0.0, "Ben", 1));
        for person in [&ana, &ben] {
            tape.publish(person, &Publication::camera(Codec::Vp8, 0.5, 16.5).size(336, 240))?;
            tape.publish(person, &Publication::microphone(0.5, 16.5))?;
        }
        tape.speaks(1.0, &ana);
        // The turn passes after 1.5 s; a cough of Ana's takes it from nobody.
        tape.speaks(7.0, &ben);
        tape.speaks(12.0, &ana);
        tape.speaks(12.8, &ben);
        tape.stop(17.0);
        let made = film(tape, composite(LayoutKind::Speaker, VideoFormat::Webm))?;
        let main = tile(&made.path(), MAIN)?;
        let (of_ana, of_ben) = (seen(&main, 0, Source::Camera), seen(&main, 1, Source::Camera));
        let span = |times: &[f64]| {
            (
                times.first().copied().unwrap_or(0.0),
                times.last().copied().unwrap_or(0.0),
            )
        };
        let ((from, to), (then, end)) = (span(&of_ana), span(&of_ben));
        assert!(
            from < 0.8 && (8.3..8.6).contains(&to),
            "Ana from {from:.2} to {to:.2} s"
        );
        assert!(
            (8.4..8.7).contains(&then) && end > 16.3,
            "Ben from {then:.2} to {end:.2} s"
        );
        let beside = flashes(&tile(&made.path(), BESIDE)?);
        assert!(!beside.is_empty());
        for (second, peer) in beside {
            assert_eq!(
                peer,
                usize::from(second <= 8),
                "beside is who does not speak, at {second} s"
            );
        }
        let (ana, ben) = (made.tape.truth("ana"), made.tape.truth("ben"));
        for (one, other) in [(ana, ben), (ben, ana)] {
            let verdict = main.among(one, &[other]);
            println!("{verdict}");
            verdict
                .expect_all_beeps()
                .expect_in_step()
                .expect_nobody_else()
                .expect_clean_decoding()
                .expect_duration(17.0);
        }
        let facts = MediaFile::new(made.path()).facts()?;
        let codecs: Vec<_> = facts.streams.iter().map(|stream| &*stream.codec).collect();
        assert_eq!(codecs, ["vp8", "opus"]);
        let playback = Browser::launch()?.play(&made.path(), 1.0, &[12.0, 3.0])?;
        playback.expect_plays().expect_duration(17.0);
        Ok(())
    })());
}

#[test]
fn a_shared_screen_is_large_while_it_is_shared() {
    need((|| -> Result<()> {
        let mut tape = Tape::new();
        let (ana, ben) = (tape.join(0.0, "Ana", 0), tape.join(0.0, "Ben", 1));
        for person in [&ana, &ben] {
            tape.publish(person, &Publication::camera(Codec::Vp8, 0.5, 15.5).size(320, 240))?;
            tape.publish(person, &Publication::microphone(0.5, 15.5))?;
        }
        tape.publish(&ana, &Publication::screen(Codec::Vp9, 4.5, 11.5))?;
        tape.publish(&ana, &Publication::screen_sound(4.5, 11.5))?;
        tape.stop(16.0);
        let made = film(tape, composite(LayoutKind::Screen, VideoFormat::Mp4))?;
        let screen = tile(&made.path(), SCREEN)?;
        let shared = seen(&screen, 0, Source::ScreenShare);
        let (from, to) = (shared.first().context("a screen")?, shared.last().context("a screen")?);
        assert!(
            (4.4..4.8).contains(from) && (11.3..11.7).contains(to),
            "from {from:.2} to {to:.2} s"
        );
        let during: Vec<_> = flashes(&screen)
            .into_iter()
            .filter(|(second, _)| (5..=11).contains(second))
            .collect();
        assert_eq!(
            during,
            (5..=11).map(|second| (second, 0)).collect::<Vec<_>>(),
            "all flashes of the screen"
        );
        for (area, peer) in [(LEFT, 0), (RIGHT, 1)] {
            let seconds: Vec<_> = flashes(&tile(&made.path(), area)?)
                .into_iter()
                .filter(|(_, of)| *of == peer)
                .map(|(second, _)| second)
                .collect();
            for second in [1, 2, 3, 4, 13, 14, 15] {
                assert!(
                    seconds.contains(&second),
                    "before and after there is a grid: {seconds:?} of peer {peer}"
                );
            }
        }
        Ok(())
    })());
}

#[test]
fn a_part_with_a_pause_in_it() {
    need((|| -> Result<()> {
        let mut tape = Tape::new();
        let ana = tape.join(0.0, "Ana", 0);
        let camera = Publication {
            key_every: 10,
            ..Publication::camera(Codec::Vp8, 0.5, 24.5)
        };
        tape.publish(&ana, &camera)?;
        tape.publish(&ana, &Publication::microphone(0.5, 24.5))?;
        tape.event(8.5, RoomEvent::RecordingPaused { by: None });
        tape.cut(8.5, 14.5);
        tape.event(14.5, RoomEvent::RecordingResumed { by: None });
        tape.stop(25.0);
        let request = CompositeRequest {
            width: 640,
            height: 360,
            fps: 25,
            from_ms: Some(3_250),
            to_ms: Some(13_250),
            ..composite(LayoutKind::Grid, VideoFormat::Mp4)
        };
        let made = film(tape, request)?;
        let found = MediaFile::new(made.path()).observe()?;
        let video = found.video.as_ref().context("pictures")?;
        assert!(
            (249..=251).contains(&video.pictures.len()),
            "10 s at 25 a second: {}",
            video.pictures.len()
        );
        assert!(video.pictures[0].code.is_some(), "the first picture is there at once");
        let captured = video
            .pictures
            .iter()
            .filter_map(|picture| Some((picture.at, picture.code?.captured.since(origin()))));
        for (at, captured) in captured {
            let shown = if captured < 11.0 { captured } else { captured - 6.0 } - 3.25;
            assert!(
                (at - shown).abs() < 0.2,
                "the picture of {captured:.3} s is shown at {at:.3} s"
            );
            assert!(!(8.6..14.4).contains(&captured), "nothing of the pause");
        }
        let beeps: Vec<_> = found
            .audio
            .iter()
            .flat_map(|audio| audio.beeps_of(0))
            .map(|beep| (beep.at + 3.25).round() as i64)
            .collect();
        assert_eq!(
            beeps,
            [4, 5, 6, 7, 8, 9, 10, 11, 12, 13],
            "6 s are cut out between 8 and 9"
        );
        let verdict = found.against(made.tape.truth("ana"));
        verdict
            .expect_duration(10.0)
            .expect_clean_decoding()
            .expect_nobody_else();
        Ok(())
    })());
}

#[test]
fn every_codec_with_losses_at_any_rate() {
    need((|| -> Result<()> {
        let mut tape = Tape::new();
        let codecs = [Codec::Vp8, Codec::Vp9, Codec::Av1, Codec::H264];
        for (peer, codec) in codecs.into_iter().enumerate() {
            let person = tape.join(0.0, &format!("Guest {peer}"), peer);
            let camera = Publication::camera(codec, 0.5, 6.5).then(6.5, 12.5, (160, 90));
            tape.publish(&person, &camera)?;
            let lost = |packet: u64| packet % 50 == 30;
            tape.publish(&person, &Publication::microphone(0.5, 12.5).losing(lost))?;
        }
        tape.stop(13.0);
        let made = film(
            tape,
            CompositeRequest {
                fps: 24,
                ..composite(LayoutKind::Grid, VideoFormat::Mp4)
            },
        )?;
        let corners = [
            [18, 8, 618, 348],
            [644, 8, 618, 348],
            [18, 364, 618, 348],
            [644, 364, 618, 348],
        ];
        let truths: Vec<_> = (0..4).map(|peer| made.tape.truth(&format!("guest {peer}"))).collect();
        for (peer, area) in corners.into_iter().enumerate() {
            let found = tile(&made.path(), area)?;
            let others: Vec<_> = truths
                .iter()
                .copied()
                .filter(|other| other.pattern.peer != peer)
                .collect();
            let verdict = found.among(truths[peer], &others);
            println!("{}: {verdict}", codecs[peer]);
            verdict
                .expect_all_beeps()
                .expect_all_flashes()
                .expect_in_step()
                .expect_no_freeze()
                .expect_clean_decoding();
            assert!(
                flashes(&found).iter().all(|(_, of)| *of == peer),
                "one tile, one person"
            );
        }
        Ok(())
    })());
}

/// Luma of a part of the picture at a moment.
fn luma(path: &Path, at: f64, [x, y, width, height]: [u32; 4]) -> Result<Vec<u8>> {
    let output = std::process::Command::new("ffmpeg")
        .args(["-v", "error", "-ss", &at.to_string(), "-i"])
        .arg(path)
        .args([
            "-frames:v",
            "1",
            "-vf",
            &format!("crop={width}:{height}:{x}:{y}"),
            "-f",
            "rawvideo",
            "-pix_fmt",
            "gray",
            "-",
        ])
        .output()?;
    ensure!(
        output.stdout.len() == (width * height) as usize,
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(output.stdout)
}

#[test]
fn names_are_on_the_tiles() {
    need((|| -> Result<()> {
        let tape = || -> Result<Tape> {
            let mut tape = Tape::new();
            let ana = tape.join(0.0, "Ana", 0);
            tape.publish(&ana, &Publication::camera(Codec::Vp8, 0.5, 3.5).size(320, 240))?;
            let ben = tape.join(0.0, &"Ben 🎉 בן ".repeat(10), 1);
            tape.publish(&ben, &Publication::microphone(0.5, 3.5))?;
            tape.stop(4.0);
            Ok(tape)
        };
        // The lower left corners, where names are: of the tile without a camera, and of Ana's picture.
        let corners = [
            [RIGHT[0] + 8, RIGHT[1] + RIGHT[3] - 40, 400, 32],
            [LEFT[0] + 8, LEFT[1] + LEFT[3] - 36, 40, 24],
        ];
        let look = |labels: bool| -> Result<[Vec<u8>; 2]> {
            let request = CompositeRequest {
                labels,
                ..composite(LayoutKind::Grid, VideoFormat::Mp4)
            };
            let path = film(tape()?, request)?.path();
            Ok([luma(&path, 2.5, corners[0])?, luma(&path, 2.5, corners[1])?])
        };
        let ([plain, picture], [named, over_picture]) = (look(false)?, look(true)?);
        let white = |pixels: &[u8]| pixels.iter().filter(|sample| **sample > 180).count();
        assert_eq!(white(&plain), 0);
        assert!(white(&named) > 200, "{} white pixels of a long name", white(&named));
        assert!(picture != over_picture, "the name stands on the picture, too");
        Ok(())
    })());
}
