//! What renders cost, beside ffmpeg.

use std::time::Instant;

use anyhow::{Context as _, Result};
use greffier_media::{
    codec::Codec,
    render::{RenderRequest, TracksRequest},
    time::{Arrival, Clock},
};
use greffier_pipelines::{Job, bench};
use greffier_tests::{Folder, need};

use crate::tape::{Publication, Tape, recording};

struct Stopwatch(Instant);

impl Stopwatch {
    #[expect(clippy::disallowed_methods, reason = "what things cost is measured in real time")]
    fn start() -> Self {
        Self(Instant::now())
    }
}

impl Clock for Stopwatch {
    fn now(&self) -> Arrival {
        Arrival::from_nanos(self.0.elapsed().as_nanos() as u64)
    }
}

/// Two people of a size, for so many seconds.
fn measure(size: (usize, usize), kbps: u32, seconds: f64) -> Result<Vec<bench::RenderBench>> {
    let folder = Folder::of_test()?;
    let mut tape = Tape::new();
    for (name, peer) in [("Ana", 0), ("Ben", 1)] {
        let person = tape.join(0.0, name, peer);
        let camera = Publication::camera(Codec::Vp8, 0.5, seconds - 0.5).size(size.0, size.1);
        tape.publish(
            &person,
            &Publication {
                fps: 30,
                kbps,
                ..camera
            },
        )?;
        tape.publish(&person, &Publication::microphone(0.5, seconds - 0.5))?;
    }
    tape.stop(seconds);
    let tape = tape.write(folder.path(), 1)?;
    let job = Job {
        recording: recording(),
        segments: tape.segments,
        request: RenderRequest::Tracks(TracksRequest::default()),
        folder: folder.path().join("output"),
    };
    std::fs::create_dir_all(&job.folder)?;
    let measured = bench::renders(&job, &Stopwatch::start())?;
    println!("{}", serde_json::to_string_pretty(&measured)?);
    Ok(measured)
}

#[test]
fn both_sides_of_a_bench_do_their_work() {
    need((|| -> Result<()> {
        let measured = measure((320, 180), 300, 6.0)?;
        let kinds: Vec<_> = measured.iter().map(|bench| &*bench.kind).collect();
        assert_eq!(kinds, ["copy", "composite"]);
        for bench in measured {
            let ffmpeg = bench.ffmpeg.context("ffmpeg")?;
            for speed in [bench.ours, ffmpeg] {
                assert!((5.9..6.1).contains(&speed.media_s), "{speed:?}");
                assert!(speed.wall_s > 0.0 && speed.cpu_s > 0.0, "{speed:?}");
                assert!(
                    (speed.times_real_time * speed.wall_s - speed.media_s).abs() < 1e-6,
                    "{speed:?}"
                );
            }
        }
        Ok(())
    })());
}

#[test]
#[ignore = "measures: run it alone, on a machine that does nothing else"]
fn two_people_at_full_size() {
    need((|| -> Result<()> {
        let measured = measure((1280, 720), 1500, 14.0)?;
        let composite = measured
            .iter()
            .find(|bench| bench.kind == "composite")
            .context("a composite")?;
        assert!(composite.ours.times_real_time > 2.0, "{composite:?}");
        Ok(())
    })());
}
