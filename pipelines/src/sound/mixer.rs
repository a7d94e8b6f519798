//! Many voices into one.

use std::collections::VecDeque;

use opus::{Channels, SoftClip};

use super::RATE;

/// How sound is held: interleaved floats of full scale 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Samples a second: a divisor of 48,000 that libopus decodes to.
    pub rate: u32,
    /// 1 or 2.
    pub channels: u8,
}

impl Layout {
    /// What video files get.
    pub const STEREO: Self = Self {
        rate: RATE,
        channels: 2,
    };

    pub fn opus(self) -> Channels {
        if self.channels == 1 {
            Channels::Mono
        } else {
            Channels::Stereo
        }
    }

    /// Samples at 48 kHz for each of ours.
    pub fn divisor(self) -> u32 {
        RATE / self.rate
    }
}

/// Adds sounds up, each in its place, and hands out what is complete. What comes for a place already handed out is too
/// late. Full scale is never exceeded: loud moments are bent, not cut.
pub(crate) struct Mixer {
    channels: usize,
    /// Samples of each channel handed out so far.
    done: u64,
    pending: VecDeque<f32>,
    clip: SoftClip,
}

impl Mixer {
    pub fn new(layout: Layout) -> Self {
        Self {
            channels: layout.channels.into(),
            done: 0,
            pending: VecDeque::new(),
            clip: SoftClip::new(layout.opus()),
        }
    }

    /// Adds a sound whose first sample stands at `at`; what of it stands before the beginning is left out.
    pub fn add(&mut self, at: i64, sound: &[f32]) {
        let late = i64::try_from(self.done).unwrap_or(i64::MAX).saturating_sub(at);
        let (skip, lead) = if late > 0 { (late, 0) } else { (0, -late) };
        let count = |samples: i64| {
            usize::try_from(samples)
                .unwrap_or(usize::MAX)
                .saturating_mul(self.channels)
        };
        let (skip, lead) = (count(skip), count(lead));
        let Some(sound) = sound.get(skip..).filter(|sound| !sound.is_empty()) else {
            return;
        };
        if self.pending.len() < lead + sound.len() {
            self.pending.resize(lead + sound.len(), 0.0);
        }
        for (sum, sample) in self.pending.range_mut(lead..lead + sound.len()).zip(sound) {
            *sum += sample;
        }
    }

    /// What was added up to `until`, in samples from the beginning, as far as it was not taken before.
    pub fn take(&mut self, until: u64) -> Vec<f32> {
        let count = usize::try_from(until.saturating_sub(self.done)).unwrap_or(0) * self.channels;
        self.done = self.done.max(until);
        let there = self.pending.len().min(count);
        let mut sound: Vec<f32> = self.pending.drain(..there).collect();
        sound.resize(count, 0.0);
        self.clip.apply(&mut sound);
        sound
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MONO: Layout = Layout {
        rate: RATE,
        channels: 1,
    };

    #[test]
    fn sounds_add_up_in_their_places() {
        let mut mixer = Mixer::new(MONO);
        mixer.add(2, &[0.25, 0.25]);
        mixer.add(-1, &[0.5, 0.5]);
        mixer.add(3, &[0.25, 0.25]);
        assert_eq!(mixer.take(4), [0.5, 0.0, 0.25, 0.5]);
        mixer.add(2, &[0.1, 0.1, 0.25]);
        assert_eq!(mixer.take(6), [0.5, 0.0], "what is late is left out");
        assert!(mixer.take(3).is_empty());
    }

    #[test]
    fn too_much_is_bent() {
        let mut mixer = Mixer::new(Layout::STEREO);
        let wave: Vec<f32> = (0..960).map(|n: u16| (f32::from(n / 2) * 0.05).sin() * 0.8).collect();
        mixer.add(0, &wave);
        mixer.add(0, &wave);
        let sum = mixer.take(480);
        assert_eq!(sum.len(), 960);
        assert!(sum.iter().all(|sample| sample.abs() <= 1.0));
        assert!(sum.iter().any(|sample| sample.abs() > 0.9));
    }
}
