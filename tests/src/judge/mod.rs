//! Compares what was found in a recording with what the peers did.
//!
//! ```no_run
//! # use greffier_tests::{PeerTruth, judge};
//! # fn test(ana: &PeerTruth) -> anyhow::Result<()> {
//! judge("ana.webm")?.against(ana).expect_all_beeps().expect_all_flashes().expect_in_step().expect_nobody_else();
//! # Ok(())
//! # }
//! ```

mod marks;
mod origin;
mod traces;

pub use marks::Marks;
pub use traces::{Foreign, Trait};

use std::fmt;
use std::path::PathBuf;

use anyhow::Result;

use crate::analyse::{Audio, Beep, Facts, Freeze, GUARD_S, MediaFile, Observation, Picture, Video};
use crate::meeting::{Moment, PeerTruth, Take};
use crate::pattern::{BEEP_S, FLASH_S, RAMP_S, Source, Wall};

/// Picture and sound may be this far apart, in seconds: what the product promises (a viewer notices lips from about 45 ms
/// ahead of, and 125 ms behind, the voice: ITU-R BT.1359).
pub const IN_STEP_S: f64 = 0.040;
/// A file's length may differ so much, in seconds, from what was captured: what the product promises.
pub const DURATION_S: f64 = 0.100;
/// A beep or flash belongs to a second if it lies within this of it, in seconds: far beyond any tolerance, so that a shift
/// shows as a shift, and far below the second between two.
const MATCH_S: f64 = 0.300;
/// From a publication on, so long nobody need have the media yet, in seconds: half a second until packets flow, and a
/// second in which LiveKit asks a publisher for a key frame only once.
pub const GRACE_S: f64 = 1.5;
/// What a peer hears live it hears late by its jitter buffer, which grows when the machine is busy: what was made in the last
/// so many seconds before the end of a track need not have come out of it yet.
const LIVE_TAIL_S: f64 = 0.600;
/// A recording must be this quiet between beeps, in dB of full scale: Opus and AAC leave less than −60 behind; concealment
/// of a lost packet next to a beep is excluded with the beep.
pub const QUIET_DB: f64 = -45.0;

/// Opens a file and finds what is in it.
pub fn judge(file: impl Into<PathBuf>) -> Result<Observation> {
    MediaFile::new(file).observe()
}

impl Observation {
    /// Compares it with what one peer did: its camera and microphone, or its screen share if that is what the pictures show.
    pub fn against(&self, peer: &PeerTruth) -> Verdict {
        self.among(peer, &[])
    }

    /// The same for a recording in which these others may be seen and heard too: a mix, a composite.
    pub fn among(&self, peer: &PeerTruth, others: &[&PeerTruth]) -> Verdict {
        Verdict::new(self, peer, others)
    }

    fn shows_a_screen(&self) -> bool {
        let pictures = self.video.iter().flat_map(|video| &video.pictures);
        let (mut screen, mut camera) = (0, 0);
        for source in pictures.filter_map(Picture::source) {
            if source == Source::ScreenShare {
                screen += 1;
            } else {
                camera += 1;
            }
        }
        screen > camera
    }
}

/// What the comparison found. The `expect_…` methods panic with all of it if it is not as it should be.
#[derive(Clone, Debug)]
pub struct Verdict {
    name: String,
    identity: String,
    is_live: bool,
    /// The wall time of the recording's second 0, and by how much single pictures or beeps disagree (from the 5th to the
    /// 95th percentile). None if there is too little to tell.
    pub origin: Option<(Wall, f64)>,
    /// None if the recording has no sound.
    pub beeps: Option<Marks>,
    /// None if the recording has no pictures.
    pub flashes: Option<Marks>,
    /// How much later than the picture the sound is, in seconds, for each second that has both.
    pub lag: Vec<(i64, f64)>,
    /// Freezes while the track was live.
    pub freezes: Vec<Freeze>,
    pub foreign: Vec<Foreign>,
    /// Level and place of the loudest moment between beeps.
    pub loudest_gap: Option<(f64, f64)>,
    /// Where the recording ends, in seconds.
    pub ends: f64,
    /// What ffmpeg complained of.
    pub complaints: Vec<String>,
    truth_is_worthless: bool,
}

impl Verdict {
    fn new(observation: &Observation, peer: &PeerTruth, others: &[&PeerTruth]) -> Self {
        let (video_source, audio_source) = if observation.shows_a_screen() {
            (Source::ScreenShare, Source::ScreenShareAudio)
        } else {
            (Source::Camera, Source::Microphone)
        };
        let sounds: Vec<&Take> = peer.takes_of(audio_source).collect();
        let shows: Vec<&Take> = peer.takes_of(video_source).collect();
        let ends = ends(observation);
        let origin = origin::by_codes(observation, peer, video_source)
            .or_else(|| origin::by_beeps(observation, peer.pattern.peer, &sounds))
            .or_else(|| origin::by_latency(observation, peer.pattern.peer));
        let tail = if observation.is_live { LIVE_TAIL_S } else { 0.0 };
        let beeps = observation.audio.as_ref().map(|audio| {
            let at = audio.beeps_of(peer.pattern.peer).map(beginning);
            marks::compare(at.collect(), origin, &sounds, (BEEP_S[1], tail))
        });
        let flashes = observation.video.as_ref().map(|video| {
            let own = video.flashes.iter().filter(|flash| {
                flash.peer == peer.pattern.peer && flash.source.is_none_or(|source| source == video_source)
            });
            marks::compare(own.map(|flash| flash.at).collect(), origin, &shows, (FLASH_S, tail))
        });
        let lag = beeps
            .as_ref()
            .map(|beeps| traces::lag(observation, beeps, peer))
            .unwrap_or_default();
        let moments: Vec<&Moment> = sounds.iter().chain(&shows).flat_map(|take| &take.moments).collect();
        let late = moments.iter().filter(|moment| moment.is_late()).count();
        Self {
            name: observation.name.clone(),
            identity: peer.identity.clone(),
            is_live: observation.is_live,
            origin,
            beeps,
            flashes,
            lag,
            freezes: traces::freezes(observation, origin, &shows, ends),
            foreign: traces::foreign(observation, peer, others, video_source),
            loudest_gap: observation
                .audio
                .as_ref()
                .map(|audio| loudest_gap(audio, origin, &sounds)),
            ends,
            complaints: observation.complaints.clone(),
            truth_is_worthless: late as f64 > moments.len() as f64 * crate::meeting::LATE_PART,
        }
    }

    /// The wall time of a place in the recording.
    pub fn wall(&self, at: f64) -> Option<Wall> {
        self.origin.map(|(origin, _)| origin.plus(at))
    }

    /// The middle one and the worst of the lags between picture and sound, in seconds (positive: sound late).
    pub fn median_and_worst_lag(&self) -> Option<(f64, f64)> {
        let mut lags: Vec<f64> = self.lag.iter().map(|&(_, lag)| lag).collect();
        let worst = lags.iter().copied().max_by(|a, b| a.abs().total_cmp(&b.abs()))?;
        Some((median(&mut lags)?, worst))
    }

    /// Every beep that was played while the track was live is there, and none that was played while it was muted.
    #[track_caller]
    pub fn expect_all_beeps(&self) -> &Self {
        self.expect_marks("beeps", self.beeps.as_ref())
    }

    /// Every flash that was shown while the track was live is there, and none that was shown while it was muted.
    #[track_caller]
    pub fn expect_all_flashes(&self) -> &Self {
        self.expect_marks("flashes", self.flashes.as_ref())
    }

    #[track_caller]
    fn expect_marks(&self, what: &str, marks: Option<&Marks>) -> &Self {
        let Some(marks) = marks else {
            self.fail(&format!("it has no {what}: no such stream"))
        };
        assert!(
            !self.truth_is_worthless,
            "the publisher could not keep time, so nothing can be said of the recorder; the machine is too busy\n{self}"
        );
        if marks.expected.is_empty() {
            self.fail(&format!(
                "no {what} were to be expected: the truth is empty, or too short"
            ));
        }
        if !marks.missing.is_empty() {
            self.fail(&format!("{what} are missing"));
        }
        if !marks.although_muted.is_empty() {
            self.fail(&format!("{what} of a muted track are there"));
        }
        if !marks.stray.is_empty() {
            self.fail(&format!("there are {what} that were never made"));
        }
        self
    }

    /// Sound and picture are never further apart than [`IN_STEP_S`].
    #[track_caller]
    pub fn expect_in_step(&self) -> &Self {
        self.expect_in_step_within(IN_STEP_S)
    }

    /// Sound and picture are never further apart than this many seconds.
    #[track_caller]
    pub fn expect_in_step_within(&self, tolerance: f64) -> &Self {
        match self.median_and_worst_lag() {
            None => self.fail("no second has both a beep and a flash"),
            Some((_, worst)) if worst.abs() > tolerance => {
                self.fail(&format!("sound and picture are up to {:.0} ms apart", worst * 1000.0))
            }
            Some(_) => self,
        }
    }

    /// No picture stands still for longer than half a second while the track is live.
    #[track_caller]
    pub fn expect_no_freeze(&self) -> &Self {
        if !self.freezes.is_empty() {
            self.fail("pictures stand still");
        }
        self
    }

    /// Nobody else is heard or seen.
    #[track_caller]
    pub fn expect_nobody_else(&self) -> &Self {
        if !self.foreign.is_empty() {
            self.fail("somebody else is in it");
        }
        self
    }

    /// Between beeps it is quiet.
    #[track_caller]
    pub fn expect_quiet_gaps(&self) -> &Self {
        if self.loudest_gap.is_some_and(|(level, _)| level > QUIET_DB) {
            self.fail("it is not quiet between beeps");
        }
        self
    }

    /// ffmpeg decoded everything without a complaint.
    #[track_caller]
    pub fn expect_clean_decoding(&self) -> &Self {
        if !self.complaints.is_empty() {
            self.fail("ffmpeg complains");
        }
        self
    }

    /// The recording is this long, in seconds, within [`DURATION_S`].
    #[track_caller]
    pub fn expect_duration(&self, seconds: f64) -> &Self {
        if (self.ends - seconds).abs() > DURATION_S {
            self.fail(&format!("it lasts {:.3} s instead of {seconds:.3} s", self.ends));
        }
        self
    }

    /// The recording's second 0 is this moment, within a tolerance in seconds.
    #[track_caller]
    pub fn expect_origin(&self, wall: Wall, tolerance: f64) -> &Self {
        match self.origin {
            None => self.fail("nothing tells when it begins"),
            Some((origin, _)) if origin.since(wall).abs() > tolerance => {
                self.fail(&format!("its second 0 is {origin} instead of {wall}"))
            }
            Some(_) => self,
        }
    }

    #[track_caller]
    fn fail(&self, why: &str) -> ! {
        panic!("{}: {why}\n{self}", self.name)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  {} against {}", self.name, self.identity)?;
        match self.origin {
            Some((origin, spread)) if self.is_live => {
                writeln!(
                    f,
                    "  {:.0} ms on its way (spread {:.0} ms)",
                    -origin.0 * 1000.0,
                    spread * 1000.0
                )?;
            }
            Some((origin, spread)) => writeln!(f, "  second 0 is {origin} (spread {:.1} ms)", spread * 1000.0)?,
            None => writeln!(f, "  nothing tells which second is which")?,
        }
        for (what, marks) in [("beeps", &self.beeps), ("flashes", &self.flashes)] {
            if let Some(marks) = marks {
                writeln!(
                    f,
                    "  {what}: {} of {} found",
                    marks.expected.len() - marks.missing.len(),
                    marks.expected.len()
                )?;
                for (why, seconds) in [
                    ("missing", &marks.missing),
                    ("although muted", &marks.although_muted),
                    ("handed over late", &marks.late),
                ] {
                    if !seconds.is_empty() {
                        writeln!(f, "    {why}: {seconds:?}")?;
                    }
                }
                if !marks.stray.is_empty() {
                    writeln!(f, "    never made, at: {:.3?}", marks.stray)?;
                }
            }
        }
        if let Some((median, worst)) = self.median_and_worst_lag() {
            writeln!(
                f,
                "  sound after picture: median {:.1} ms, worst {:.1} ms",
                median * 1000.0,
                worst * 1000.0
            )?;
        }
        for freeze in &self.freezes {
            writeln!(f, "  frozen from {:.3} to {:.3} s", freeze.from, freeze.to)?;
        }
        for foreign in self.foreign.iter().take(10) {
            writeln!(
                f,
                "  {:?} of peer {} at {:.3} s",
                foreign.what, foreign.peer, foreign.at
            )?;
        }
        if let Some((level, at)) = self.loudest_gap {
            writeln!(f, "  loudest between beeps: {level:.1} dB at {at:.3} s")?;
        }
        for complaint in self.complaints.iter().take(10) {
            writeln!(f, "  {complaint}")?;
        }
        Ok(())
    }
}

/// Where the recording ends: by the container, else by what was decoded.
fn ends(observation: &Observation) -> f64 {
    let by_container = observation.facts.as_ref().and_then(Facts::end);
    let by_sound = observation.audio.as_ref().map(|audio| audio.ends);
    let by_picture = observation.video.as_ref().and_then(Video::ends);
    by_container.unwrap_or_else(|| by_sound.into_iter().chain(by_picture).fold(0.0, f64::max))
}

/// Level and place of the loudest moment between beeps. What is left of a beep that the recording's beginning or an outage
/// cut into belongs to the beep.
fn loudest_gap(audio: &Audio, origin: Option<(Wall, f64)>, sounds: &[&Take]) -> (f64, f64) {
    let moments = || {
        sounds
            .iter()
            .flat_map(|take| &take.moments)
            .filter(|moment| !moment.muted)
    };
    let is_beep = |at: f64| {
        origin.is_some_and(|(origin, _)| {
            moments().any(|moment| {
                let since = origin.plus(at).0 - moment.second as f64;
                (-GUARD_S..BEEP_S[1] + GUARD_S).contains(&since)
            })
        })
    };
    let gaps = audio.noises.iter().filter(|(at, _)| !is_beep(*at));
    let loudest = gaps.max_by(|a, b| a.1.total_cmp(&b.1));
    loudest.map_or((f64::NEG_INFINITY, 0.0), |&(at, level)| (level, at))
}

/// When a beep really begins: it is found at half its rise.
fn beginning(beep: &Beep) -> f64 {
    beep.at - RAMP_S / 2.0
}

fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
