//! One stream's Opus packets, decoded and in their places.

use bytes::Bytes;

use super::{Layout, Line, Mixer, Packet, SoundError};
use crate::container::OPUS_PRE_SKIP;

/// The longest packet: 120 ms at 48 kHz (RFC 6716 §3.2.5).
const LONGEST: usize = 5760;
/// After so many packets of silence in a row, a decoder has nothing left to fade out.
const FADE: u32 = 5;

/// Decodes a stream. Losses are concealed, pauses in speech are comfort noise, and everything else is silence.
pub(crate) struct Voice {
    decoder: opus::Decoder,
    layout: Layout,
    line: Line,
    /// Where the line begins.
    origin: Option<i64>,
    /// Packets of silence so far, in a row.
    silent: u32,
    pcm: Vec<f32>,
}

impl Voice {
    pub fn new(layout: Layout) -> Result<Self, SoundError> {
        Ok(Self {
            decoder: opus::Decoder::new(layout.rate, layout.opus())?,
            layout,
            line: Line::default(),
            origin: None,
            silent: 0,
            pcm: vec![0.0; LONGEST * usize::from(layout.channels)],
        })
    }

    /// Takes a packet that belongs at `at`, in samples at 48 kHz from the mix's zero.
    pub fn push(&mut self, at: i64, data: Bytes, mixer: &mut Mixer) {
        let origin = *self.origin.get_or_insert(at);
        let wanted = u64::try_from(at - origin).unwrap_or(0);
        let Self {
            decoder,
            layout,
            line,
            silent,
            pcm,
            ..
        } = self;
        line.push(wanted, data, |packet| {
            *silent = if is_silence(&packet) { *silent + 1 } else { 0 };
            if *silent > FADE {
                return;
            }
            // A packet that libopus refuses is silence, as a lost one would be.
            let Ok(samples) = decoder.decode_float(&packet.data, pcm, false) else {
                return;
            };
            let start = origin + i64::try_from(packet.start).unwrap_or(i64::MAX) - i64::from(OPUS_PRE_SKIP);
            let start = start.div_euclid(layout.divisor().into());
            mixer.add(start, &pcm[..samples * usize::from(layout.channels)]);
        });
    }
}

/// One of the line's own fillers.
fn is_silence(packet: &Packet) -> bool {
    packet.data.len() == 3 && packet.data.ends_with(&[0xFF, 0xFE])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A second of a tone in packets of 20 ms.
    fn tone() -> Vec<Bytes> {
        let mut encoder = opus::Encoder::new(48_000, opus::Channels::Mono, opus::Application::Audio).unwrap();
        let sample = |n: usize| (n as f32 * 440.0 * std::f32::consts::TAU / 48_000.0).sin() * 0.5;
        let frame = |index: usize| (0..960).map(|n| sample(index * 960 + n)).collect::<Vec<_>>();
        (0..50)
            .map(|index| encoder.encode_vec_float(&frame(index), 1500).unwrap().into())
            .collect()
    }

    fn level(sound: &[f32]) -> f32 {
        (sound.iter().map(|sample| sample * sample).sum::<f32>() / sound.len() as f32).sqrt()
    }

    #[test]
    fn a_voice_stands_where_it_was_spoken() {
        for rate in [8_000, 16_000, 24_000, 48_000] {
            let layout = Layout { rate, channels: 1 };
            let (mut mixer, mut voice) = (Mixer::new(layout), Voice::new(layout).unwrap());
            for (index, packet) in (0..).zip(tone()) {
                voice.push(24_000 + 960 * index, packet, &mut mixer);
            }
            let sound = mixer.take((rate * 2).into());
            let ms = |from: usize, to: usize| &sound[from * rate as usize / 1000..to * rate as usize / 1000];
            assert!(level(ms(0, 490)) < 0.001, "{rate} Hz: silence before");
            assert!(level(ms(520, 1490)) > 0.3, "{rate} Hz: the tone");
            assert!(level(ms(1510, 2000)) < 0.001, "{rate} Hz: silence after");
            let first = sound.iter().position(|sample| sample.abs() > 0.1).unwrap();
            let late = first as f64 / f64::from(rate) - 0.5;
            assert!(late.abs() < 0.004, "{rate} Hz: late by {late} s");
        }
    }
}
