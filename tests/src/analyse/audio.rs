//! Beeps in sound: which tone, when, how loud, how long; and what is left between them.

use std::f64::consts::TAU;

use crate::pattern::{BEEP_S, TONES_HZ};

/// Samples a second that the analyser works on: more than twice the highest tone.
pub const RATE: u32 = 16_000;
/// Samples in one millisecond, the analyser's step.
const STEP: usize = RATE as usize / 1000;
/// Length of the window over which a tone's level is measured, in ms: the shortest whose first zero (100 Hz, for a Hann
/// window of two such halves) lies inside the distance between neighbouring tones.
const WINDOW_MS: usize = 20;
/// Levels below this (of full scale; −46 dB) are no beep: 34 dB under a beep as played, above what codecs leave behind.
const FLOOR: f64 = 0.005;
/// A tone weaker than this part of the strongest one at that moment is that one's side lobe in the window (−31 dB) or its
/// distortion, not a beep: peers mixed together differ by far less than 20 dB.
const SIDE_LOBE: f64 = 0.1;
/// A burst in which the tone holds less than this part of the sound's power is noise that happens to touch the tone: eight
/// peers mixed hold 12 % each, white noise puts 1 % into the window's bandwidth (75 of 8,000 Hz).
const TONAL: f64 = 0.06;
/// Bursts shorter or longer than this, in seconds, are no beep: half the shortest and well over the longest.
const LENGTH_S: std::ops::Range<f64> = BEEP_S[0] / 2.0..BEEP_S[1] * 1.5;
/// A pause shorter than this inside a burst does not end it, in ms: one lost packet of 20 ms with its concealment.
const BRIDGE_MS: usize = 30;
/// Around each beep this much, in seconds, does not count as the silence between: pre-echo, ringing and the window.
pub const GUARD_S: f64 = 0.060;
/// What is quieter than this is nothing at all, in dB of full scale: one bit of 16 is −96.
const SILENCE_DB: f64 = -100.0;

/// One burst of one peer's tone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Beep {
    /// Index of the tone in [`TONES_HZ`].
    pub peer: usize,
    /// When it begins (half level), in seconds on the recording's own time line.
    pub at: f64,
    /// How long it lasts, in seconds.
    pub length: f64,
    /// Its level in dB of full scale (a sine at full scale has −3 dB RMS; this is the RMS).
    pub level_db: f64,
}

impl Beep {
    /// Whether its length is that of a long beep rather than a short one.
    pub fn is_long(&self) -> bool {
        self.length > f64::midpoint(BEEP_S[0], BEEP_S[1])
    }

    /// Whether it has the length of a beep at all, rather than of a click or of a sound that does not stop.
    pub fn is_whole(&self) -> bool {
        LENGTH_S.contains(&self.length)
    }
}

/// What is in the sound of a recording.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Audio {
    /// Bursts of any peer's tone, by time.
    pub beeps: Vec<Beep>,
    /// Where the sound begins and ends, in seconds on the recording's time line.
    pub begins: f64,
    pub ends: f64,
    /// The loudest 20 ms between beeps, in dB of full scale (RMS), and when; −120 for digital silence.
    pub loudest_gap_db: f64,
    pub loudest_gap_at: f64,
    /// Stretches without any sample, as (from, to) in seconds: the container's time stamps leave them out.
    pub holes: Vec<(f64, f64)>,
    /// Place and level (seconds, dB of full scale) of each window between beeps that is not silent.
    pub noises: Vec<(f64, f64)>,
}

impl Audio {
    /// Measures mono samples at [`RATE`], the first of which stands at `begins` seconds.
    pub fn measure(samples: &[i16], begins: f64) -> Self {
        let beeps = beeps(samples, begins);
        let noises: Vec<_> = gaps(samples, begins, &beeps)
            .filter(|(_, level)| *level > SILENCE_DB)
            .collect();
        let loudest = noises.iter().max_by(|a, b| a.1.total_cmp(&b.1));
        let (loudest_gap_at, loudest_gap_db) = loudest.copied().unwrap_or((begins, decibels(0.0)));
        let ends = begins + samples.len() as f64 / f64::from(RATE);
        Self {
            beeps,
            begins,
            ends,
            loudest_gap_db,
            loudest_gap_at,
            holes: Vec::new(),
            noises,
        }
    }

    /// The whole beeps of one peer.
    pub fn beeps_of(&self, peer: usize) -> impl Iterator<Item = &Beep> {
        self.beeps
            .iter()
            .filter(move |beep| beep.peer == peer && beep.is_whole())
    }
}

/// Root mean square to dB of full scale, −120 for nothing.
fn decibels(rms: f64) -> f64 {
    20.0 * rms.max(1e-6).log10()
}

/// Mean power of some samples, of full scale.
fn power(samples: &[i16]) -> f64 {
    samples
        .iter()
        .map(|&sample| (f64::from(sample) / 32_768.0).powi(2))
        .sum::<f64>()
        / samples.len() as f64
}

fn beeps(samples: &[i16], begins: f64) -> Vec<Beep> {
    let envelopes: Vec<Vec<f64>> = TONES_HZ.iter().map(|&tone| envelope(samples, tone)).collect();
    let powers: Vec<f64> = samples.chunks(STEP).map(power).collect();
    let mut found = Vec::new();
    for (peer, own) in envelopes.iter().enumerate() {
        for (from, to) in bursts(own, FLOOR) {
            let peak = own[from..to].iter().copied().fold(0.0, f64::max);
            let strongest = envelopes
                .iter()
                .flat_map(|other| &other[from..to])
                .copied()
                .fold(0.0, f64::max);
            let of_tone: f64 = own[from..to].iter().map(|level| level * level / 2.0).sum();
            let of_all: f64 = powers[from..to].iter().sum();
            if peak < strongest * SIDE_LOBE || of_tone < of_all * TONAL {
                continue;
            }
            let (at, until) = half_level(own, from, to, peak);
            found.push(Beep {
                peer,
                at: begins + at / 1000.0,
                length: (until - at) / 1000.0,
                level_db: decibels(peak / std::f64::consts::SQRT_2),
            });
        }
    }
    found.sort_by(|a, b| a.at.total_cmp(&b.at));
    found
}

/// Amplitude of `tone` around each millisecond: the sound turned down by the tone's frequency, smoothed by a Hann window.
fn envelope(samples: &[i16], tone: f64) -> Vec<f64> {
    let turn = TAU * tone / f64::from(RATE);
    // One complex sum a millisecond first: the window then has few taps.
    let steps: Vec<(f64, f64)> = samples
        .chunks(STEP)
        .enumerate()
        .map(|(step, chunk)| {
            let phase = (turn * (step * STEP) as f64).rem_euclid(TAU);
            chunk.iter().enumerate().fold((0.0, 0.0), |(re, im), (i, &sample)| {
                let (sin, cos) = (phase + turn * i as f64).sin_cos();
                let value = f64::from(sample) / 32_768.0;
                (re + value * cos, im - value * sin)
            })
        })
        .collect();
    let window: Vec<f64> = (0..WINDOW_MS)
        .map(|i| 0.5 - 0.5 * (TAU * (i as f64 + 0.5) / WINDOW_MS as f64).cos())
        .collect();
    let gain = 2.0 / (window.iter().sum::<f64>() * STEP as f64);
    (0..steps.len())
        .map(|step| {
            let (re, im) = window.iter().enumerate().fold((0.0, 0.0), |(re, im), (i, weight)| {
                match (step + i).checked_sub(WINDOW_MS / 2).and_then(|at| steps.get(at)) {
                    Some((a, b)) => (re + weight * a, im + weight * b),
                    None => (re, im),
                }
            });
            gain * re.hypot(im)
        })
        .collect()
}

/// Stretches (in steps, end exclusive) where `levels` stays above `floor`, pauses shorter than [`BRIDGE_MS`] included.
fn bursts(levels: &[f64], floor: f64) -> Vec<(usize, usize)> {
    let mut found: Vec<(usize, usize)> = Vec::new();
    for (step, _) in levels.iter().enumerate().filter(|&(_, &level)| level > floor) {
        match found.last_mut() {
            Some((_, end)) if step < *end + BRIDGE_MS => *end = step + 1,
            _ => found.push((step, step + 1)),
        }
    }
    found
}

/// Where the burst first rises through half of `peak` and last falls through it, in steps, between steps by interpolation.
/// A symmetric window leaves these two points where the edges are.
fn half_level(levels: &[f64], from: usize, to: usize, peak: f64) -> (f64, f64) {
    let half = peak / 2.0;
    // Step `i` is the window centred between samples, i.e. at time `i` ms: see `envelope`, where half the window lies before.
    let up = (from..to).find(|&i| levels[i] >= half).unwrap_or(from);
    let down = (from..to).rfind(|&i| levels[i] >= half).unwrap_or(to - 1);
    let rise = match up.checked_sub(1).map(|before| levels[before]) {
        Some(before) => up as f64 - (levels[up] - half) / (levels[up] - before).max(1e-12),
        None => up as f64,
    };
    let fall = match levels.get(down + 1) {
        Some(&after) => down as f64 + (levels[down] - half) / (levels[down] - after).max(1e-12),
        None => down as f64,
    };
    (rise, fall)
}

/// The windows between beeps: when each is, and its level.
fn gaps(samples: &[i16], begins: f64, beeps: &[Beep]) -> impl Iterator<Item = (f64, f64)> {
    let window = STEP * WINDOW_MS;
    samples
        .chunks_exact(window)
        .enumerate()
        .map(move |(i, chunk)| (begins + (i * window) as f64 / f64::from(RATE), chunk))
        .filter(|(at, _)| {
            let until = at + WINDOW_MS as f64 / 1000.0;
            !beeps
                .iter()
                .any(|beep| *at < beep.at + beep.length + GUARD_S && until > beep.at - GUARD_S)
        })
        .map(|(at, chunk)| (at, decibels(power(chunk).sqrt())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pattern::{Pattern, RAMP_S, beep_length};

    /// Onsets are found this exactly in clean sound, in seconds: half the step.
    const PRECISION_S: f64 = 0.0005;

    /// `seconds` of the given peers together, from a whole second on.
    fn sound(peers: &[usize], seconds: i64) -> Vec<i16> {
        (0..seconds * i64::from(RATE))
            .map(|i| {
                let (second, offset) = (i / i64::from(RATE), (i % i64::from(RATE)) as f64 / f64::from(RATE));
                let sum: f64 = peers.iter().map(|&peer| Pattern { peer }.sample(second, offset)).sum();
                #[expect(clippy::cast_possible_truncation, reason = "clamped to the sample's range")]
                let sample = (sum * 32_767.0).clamp(-32_768.0, 32_767.0) as i16;
                sample
            })
            .collect()
    }

    #[test]
    fn finds_every_beep_of_every_peer_where_it_is() {
        for peer in 0..TONES_HZ.len() {
            let audio = Audio::measure(&sound(&[peer], 12), 100.0);
            assert_eq!(audio.beeps.len(), 12, "peer {peer}: {:?}", audio.beeps);
            for (second, beep) in (0..).zip(&audio.beeps) {
                assert_eq!(beep.peer, peer);
                // The half level is half a ramp after the beginning.
                let at = 100.0 + second as f64 + RAMP_S / 2.0;
                assert!(
                    (beep.at - at).abs() < PRECISION_S,
                    "peer {peer}: {} instead of {at}",
                    beep.at
                );
                assert!(
                    (beep.length - (beep_length(second) - RAMP_S)).abs() < 2.0 * PRECISION_S,
                    "{beep:?}"
                );
                assert!((beep.level_db + 15.0).abs() < 0.5, "{beep:?}");
            }
            assert!(audio.loudest_gap_db < -100.0, "{}", audio.loudest_gap_db);
        }
    }

    #[test]
    fn tells_mixed_peers_apart() {
        let audio = Audio::measure(&sound(&[0, 1, 2, 5], 6), 0.0);
        for peer in 0..TONES_HZ.len() {
            let expected = if [0, 1, 2, 5].contains(&peer) { 6 } else { 0 };
            assert_eq!(audio.beeps_of(peer).count(), expected, "peer {peer}: {:?}", audio.beeps);
        }
    }

    #[test]
    fn noise_and_silence_have_no_beeps() {
        assert!(Audio::measure(&vec![0; RATE as usize * 3], 0.0).beeps.is_empty());
        // White noise from a fixed generator (xorshift), −30 dB.
        let mut state = 0x2545_F491_4F6C_DD1D_u64;
        let noise: Vec<i16> = (0..RATE * 3)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                i16::try_from(state % 3200).expect("below 3200") - 1600
            })
            .collect();
        let audio = Audio::measure(&noise, 0.0);
        assert_eq!(audio.beeps.len(), 0);
        assert!(
            (-32.0..-28.0).contains(&audio.loudest_gap_db),
            "{}",
            audio.loudest_gap_db
        );
    }

    #[test]
    fn a_tone_that_does_not_stop_is_no_beep() {
        let tone: Vec<i16> = (0..RATE * 2)
            .map(|i| {
                #[expect(clippy::cast_possible_truncation, reason = "a fourth part of a sample's range")]
                let sample = ((TAU * 440.0 * f64::from(i) / f64::from(RATE)).sin() * 8000.0) as i16;
                sample
            })
            .collect();
        assert_eq!(Audio::measure(&tone, 0.0).beeps_of(0).count(), 0);
    }
}
