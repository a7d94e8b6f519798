//! Copies: per participant, per screen share.

use std::path::PathBuf;

use anyhow::Result;
use greffier_media::{codec::Codec, render::TracksRequest};
use greffier_pipelines::{Control, copy, source::Recording};
use greffier_tests::{Folder, judge, need};

use crate::tape::{Publication, Tape, Written, origin};

/// Copies a tape, and answers where the files are.
fn copy_all(tape: &Written, folder: &Folder, request: &TracksRequest) -> Result<(copy::Copied, PathBuf)> {
    let output = folder.sub("output")?.path().to_owned();
    let recording = Recording::survey(tape.segments.clone(), &Control::detached())?;
    let copied = copy::copy(&recording, request, &output, &Control::detached())?;
    Ok((copied, output))
}

#[test]
fn two_people_talk() {
    let Some(()) = need(two_people(Codec::Vp8)) else { return };
}

fn two_people(codec: Codec) -> Result<()> {
    let folder = Folder::of_test()?;
    let mut tape = Tape::new();
    let ana = tape.join(0.0, "Ana", 0);
    let ben = tape.join(1.0, "Ben", 1);
    tape.publish(&ana, &Publication::camera(codec, 0.5, 12.5))?;
    tape.publish(&ana, &Publication::microphone(0.5, 12.5))?;
    tape.publish(&ben, &Publication::camera(codec, 3.5, 10.5))?;
    tape.publish(&ben, &Publication::microphone(3.5, 10.5))?;
    tape.stop(13.0);
    let tape = tape.write(folder.path(), 3)?;
    let (copied, output) = copy_all(&tape, &folder, &TracksRequest::default())?;
    println!("{copied:#?}");
    assert_eq!(copied.failed, []);
    assert_eq!(copied.skipped, []);
    for (file, end) in copied.files.iter().zip([12.5, 10.5]) {
        let verdict = judge(output.join(&file.name))?.against(tape.truth(file.identity.as_str()));
        println!("{verdict}");
        verdict
            .expect_all_beeps()
            .expect_all_flashes()
            .expect_in_step()
            .expect_no_freeze()
            .expect_nobody_else()
            .expect_quiet_gaps()
            .expect_clean_decoding()
            .expect_duration(end)
            .expect_origin(origin(), 0.060);
    }
    Ok(())
}
