//! Sound: mixed and each alone, in every format.

use anyhow::Result;
use greffier_media::{
    codec::Codec,
    render::{AudioFormat, AudioRequest, RenderRequest},
};
use greffier_tests::{MediaFile, judge, need};

use crate::{
    job::{Made, make},
    tape::{Publication, Tape, origin},
};

/// Where a beep is found may be off by this, in seconds, encoders and networks of the tape included.
const ORIGIN_S: f64 = 0.060;

/// Ana throughout, Ben for a while, and a camera that nobody needs.
fn talk() -> Result<Tape> {
    let mut tape = Tape::new();
    let ana = tape.join(0.0, "Ana", 0);
    tape.publish(&ana, &Publication::microphone(0.5, 8.5).then(12.5, 17.5, (0, 0)))?;
    tape.publish(&ana, &Publication::camera(Codec::Vp8, 0.5, 17.5))?;
    let ben = tape.join(3.0, "Ben", 1);
    tape.publish(&ben, &Publication::microphone(4.5, 14.5))?;
    tape.leave(15.0, &ben);
    tape.stop(18.0);
    Ok(tape)
}

fn audio(request: AudioRequest) -> Result<Made> {
    make(talk()?, RenderRequest::Audio(request))
}

#[test]
fn everybody_is_in_the_mix() {
    need((|| -> Result<()> {
        for (format, channels, sample_rate) in [
            (AudioFormat::Ogg, 2, 48_000),
            (AudioFormat::Mp3, 2, 48_000),
            (AudioFormat::Mp3, 1, 24_000),
            (AudioFormat::Wav, 2, 48_000),
            (AudioFormat::Wav, 1, 16_000),
        ] {
            println!("{format:?} {channels} {sample_rate}");
            let made = audio(AudioRequest {
                format,
                channels,
                sample_rate,
                ..AudioRequest::default()
            })?;
            let found = judge(made.path())?;
            let (ana, ben) = (made.tape.truth("ana"), made.tape.truth("ben"));
            let facts = MediaFile::new(made.path()).facts()?;
            // Players count from here: before it stand what MP3's encoder and decoder put first.
            let start = facts.start;
            for (one, other) in [(ana, ben), (ben, ana)] {
                let verdict = found.among(one, &[other]);
                println!("{verdict}");
                verdict
                    .expect_all_beeps()
                    .expect_quiet_gaps()
                    .expect_nobody_else()
                    .expect_clean_decoding()
                    .expect_duration(start + 18.0)
                    .expect_origin(origin().plus(-start), ORIGIN_S);
            }
            assert_eq!(facts.streams.len(), 1, "sound alone");
        }
        Ok(())
    })());
}

#[test]
fn each_alone() {
    need((|| -> Result<()> {
        let made = audio(AudioRequest {
            format: AudioFormat::Wav,
            separate: true,
            ..AudioRequest::default()
        })?;
        let names: Vec<_> = made.files.iter().map(|file| &*file.name).collect();
        assert_eq!(names, ["ana.wav", "ben.wav"]);
        for (path, who) in made.paths().iter().zip(["ana", "ben"]) {
            let verdict = judge(path)?.against(made.tape.truth(who));
            verdict
                .expect_all_beeps()
                .expect_nobody_else()
                .expect_quiet_gaps()
                .expect_duration(18.0)
                .expect_origin(origin(), ORIGIN_S);
        }
        assert_eq!(made.files[1].probe["identity"], "ben");
        Ok(())
    })());
}

#[test]
fn a_part_of_one() {
    need((|| -> Result<()> {
        let tape = talk()?;
        let ana = tape.truth("ana").identity.clone();
        let request = AudioRequest {
            participants: vec![greffier_media::ids::ParticipantIdentity::new(&ana)?],
            from_ms: Some(2_000),
            to_ms: Some(8_000),
            ..AudioRequest::default()
        };
        let made = make(tape, RenderRequest::Audio(request))?;
        let found = judge(made.path())?;
        let beeps: Vec<_> = found
            .audio
            .iter()
            .flat_map(|audio| audio.beeps_of(0))
            .map(|beep| beep.at.round() as i64)
            .collect();
        assert_eq!(beeps, [0, 1, 2, 3, 4, 5], "those of the seconds 2 to 7");
        let verdict = found.against(made.tape.truth("ana"));
        verdict
            .expect_nobody_else()
            .expect_duration(6.0)
            .expect_origin(origin().plus(2.0), ORIGIN_S);
        Ok(())
    })());
}
