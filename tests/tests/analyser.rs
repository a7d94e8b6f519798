//! The analyser, tested on recordings that are right or wrong in a known way: a judge who is never wrong about these may
//! judge the others.

use std::panic::{AssertUnwindSafe, catch_unwind};

use greffier_tests::generate::{Clip, EXACT, FORMATS, Fault};
use greffier_tests::judge::Trait;
use greffier_tests::{Folder, Verdict, judge, need};

/// Length of the clips: long enough for a mute, several faults and any five marks in a row.
const SECONDS: i64 = 12;

/// Writes the clip as WebM and judges it by its own truth.
fn verdict(clip: &Clip) -> Option<Verdict> {
    let folder = need(Folder::of_test())?;
    let file = need(clip.write_webm(folder.path(), "clip"))?;
    Some(need(judge(file))?.against(&clip.truth()))
}

/// Whether an expectation fails, and with what words.
fn refusal<'a>(expectation: impl FnOnce() -> &'a Verdict) -> Option<String> {
    let panic = catch_unwind(AssertUnwindSafe(expectation)).err()?;
    Some(panic.downcast_ref::<String>().cloned().unwrap_or_default())
}

#[track_caller]
fn assert_refused<'a>(words: &str, expectation: impl FnOnce() -> &'a Verdict) {
    let refusal = refusal(expectation).expect("it had to be refused");
    assert!(refusal.contains(words), "refused for another reason: {refusal}");
}

#[test]
fn a_perfect_recording_passes_in_every_format() {
    let folder = Folder::of_test().expect("a folder");
    let clip = Clip::new(2, SECONDS);
    for (index, format) in FORMATS.iter().enumerate() {
        let Some(file) = need(clip.write(folder.path(), &format!("clip{index}"), *format)) else {
            continue;
        };
        let verdict = judge(file).expect("it can be decoded").against(&clip.truth());
        verdict
            .expect_all_beeps()
            .expect_nobody_else()
            .expect_quiet_gaps()
            .expect_clean_decoding()
            .expect_duration(SECONDS as f64)
            // MP3 and AAC in MP4 begin with up to 1105 samples of the encoder's own delay that some readers keep.
            .expect_origin(clip.start(), 0.030);
        if format.has_video {
            verdict.expect_all_flashes().expect_no_freeze().expect_in_step();
        }
        println!("{}\n{verdict}", format.ending);
    }
}

#[test]
fn a_terrible_recording_fails_in_every_way() {
    let clip = Clip::new(0, SECONDS)
        .with(Fault::NoBeep(3))
        .with(Fault::NoFlash(4))
        .with(Fault::SoundLate(0.120))
        .with(Fault::Freeze(6.2, 7.4))
        .with(Fault::OtherTone(8, 5))
        .with(Fault::OtherPicture(9, 6))
        .with(Fault::Hum(-30.0));
    let Some(verdict) = verdict(&clip) else { return };
    assert_refused("beeps are missing", || verdict.expect_all_beeps());
    assert_refused("flashes are missing", || verdict.expect_all_flashes());
    assert_refused("apart", || verdict.expect_in_step());
    assert_refused("stand still", || verdict.expect_no_freeze());
    assert_refused("somebody else", || verdict.expect_nobody_else());
    assert_refused("not quiet", || verdict.expect_quiet_gaps());
    assert_refused("it lasts", || verdict.expect_duration(SECONDS as f64 + 0.5));
    assert_refused("second 0", || verdict.expect_origin(clip.start().plus(1.0), 0.5));
}

#[test]
fn exactly_what_is_missing_is_told() {
    let clip = Clip::new(1, SECONDS).with(Fault::NoBeep(5)).with(Fault::NoFlash(7));
    let Some(verdict) = verdict(&clip) else { return };
    let start = clip.start().nearest_second();
    assert_eq!(verdict.beeps.as_ref().expect("sound").missing, [start + 5]);
    assert_eq!(verdict.flashes.as_ref().expect("pictures").missing, [start + 7]);
    verdict.expect_in_step().expect_no_freeze().expect_nobody_else();
}

#[test]
fn a_shift_of_the_sound_is_measured() {
    for shift in [0.0, 0.025, 0.090] {
        let clip = Clip::new(3, SECONDS).with(Fault::SoundLate(shift));
        let folder = Folder::of_test().expect("a folder");
        let Some(file) = need(clip.write(folder.path(), "clip", EXACT)) else {
            return;
        };
        let verdict = judge(file).expect("it can be decoded").against(&clip.truth());
        let (median, worst) = verdict.median_and_worst_lag().expect("both are there");
        // The analyser's step is a millisecond; it interpolates to half of it.
        assert!((median - shift).abs() < 0.0005, "{median} instead of {shift}");
        assert!((worst - shift).abs() < 0.0005, "{worst} instead of {shift}");
    }
}

#[test]
fn a_beep_that_left_late_is_no_measure_of_the_shift() {
    let clip = Clip::new(3, SECONDS).with(Fault::SoundLate(0.050));
    let folder = Folder::of_test().expect("a folder");
    let Some(file) = need(clip.write(folder.path(), "clip", EXACT)) else {
        return;
    };
    let observation = judge(file).expect("it can be decoded");
    let mut truth = clip.truth();
    let last = clip.start().nearest_second() + SECONDS - 1;
    let sounds = truth.takes.iter_mut().filter(|take| take.source.is_audio());
    let beeps = sounds.flat_map(|take| &mut take.moments);
    (beeps.filter(|beep| beep.second != last)).for_each(|beep| beep.late = 0.050);
    let lag = observation.against(&truth).lag;
    assert_eq!(lag.iter().map(|&(second, _)| second).collect::<Vec<_>>(), [last]);
}

#[test]
fn a_muted_stretch_is_not_missed_but_must_be_silent() {
    let clip = Clip::new(4, SECONDS).muted(4, 8);
    let Some(verdict) = verdict(&clip) else { return };
    verdict.expect_all_beeps().expect_all_flashes().expect_in_step();
    let start = clip.start().nearest_second();
    let expected: Vec<i64> = (0..=4).chain(9..SECONDS).map(|second| start + second).collect();
    assert_eq!(verdict.beeps.as_ref().expect("sound").expected, expected);

    // The same truth, but a recording in which the muted stretch is heard.
    let folder = Folder::of_test().expect("a folder");
    let Some(file) = need(Clip::new(4, SECONDS).write_webm(folder.path(), "heard")) else {
        return;
    };
    let verdict = judge(file).expect("it can be decoded").against(&clip.truth());
    assert_refused("beeps of a muted track", || verdict.expect_all_beeps());
    assert_refused("flashes of a muted track", || verdict.expect_all_flashes());
}

#[test]
fn somebody_else_is_noticed_by_tone_colour_and_time_code() {
    let clip = Clip::new(0, SECONDS)
        .with(Fault::OtherTone(6, 3))
        .with(Fault::OtherPicture(8, 5));
    let Some(verdict) = verdict(&clip) else { return };
    let whose = |what| {
        verdict
            .foreign
            .iter()
            .filter(|f| f.what == what)
            .map(|f| f.peer)
            .collect::<Vec<_>>()
    };
    assert_eq!(whose(Trait::Tone), [3]);
    assert_eq!(whose(Trait::Colour), [5]);
    assert!(whose(Trait::TimeCode).len() >= 15 && whose(Trait::TimeCode).iter().all(|&peer| peer == 5));
}

#[test]
fn a_beep_that_nobody_made_is_noticed() {
    let clip = Clip::new(5, SECONDS).with(Fault::Stray(7));
    let Some(verdict) = verdict(&clip) else { return };
    assert_refused("never made", || verdict.expect_all_beeps());
    assert_refused("never made", || verdict.expect_all_flashes());
}

#[test]
fn another_peers_recording_is_refused_whole() {
    let folder = Folder::of_test().expect("a folder");
    let Some(file) = need(Clip::new(6, SECONDS).write_webm(folder.path(), "clip")) else {
        return;
    };
    let verdict = judge(file)
        .expect("it can be decoded")
        .against(&Clip::new(1, SECONDS).truth());
    assert_eq!(verdict.beeps.as_ref().expect("sound").missing.len(), 12);
    assert_refused("missing", || verdict.expect_all_beeps());
    assert_refused("somebody else", || verdict.expect_nobody_else());
    assert_refused("nothing tells", || verdict.expect_origin(Clip::new(1, 1).start(), 1.0));
}

#[test]
fn what_is_no_media_is_an_error() {
    let folder = Folder::of_test().expect("a folder");
    let file = folder.join("text.webm");
    std::fs::write(&file, "this is no media file").expect("written");
    let Some(error) = need(judge(&file).map_or_else(
        |error| {
            if error.downcast_ref::<greffier_tests::Missing>().is_some() {
                Err(error)
            } else {
                Ok(error)
            }
        },
        |_| panic!("it is no media"),
    )) else {
        return;
    };
    assert!(error.to_string().contains("refuses"), "{error}");
    assert!(judge(folder.join("absent.webm")).is_err());
}

#[test]
fn a_torn_file_is_judged_as_far_as_it_goes() {
    let folder = Folder::of_test().expect("a folder");
    let clip = Clip::new(7, SECONDS);
    let Some(file) = need(clip.write_webm(folder.path(), "clip")) else {
        return;
    };
    let bytes = std::fs::read(&file).expect("readable");
    let torn = folder.join("torn.webm");
    std::fs::write(&torn, &bytes[..bytes.len() / 2]).expect("written");
    let verdict = judge(torn)
        .expect("its first half can be decoded")
        .against(&clip.truth());
    let beeps = verdict.beeps.as_ref().expect("sound");
    let start = clip.start().nearest_second();
    assert!((4..=8).contains(&beeps.found.len()), "{verdict}");
    assert!(
        beeps
            .found
            .iter()
            .zip(start..)
            .all(|(&(found, _), second)| found == second),
        "{verdict}"
    );
}
