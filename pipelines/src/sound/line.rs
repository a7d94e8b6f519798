//! One unbroken line of Opus packets: what was received, and fillers where nothing was.
//!
//! Players count samples: Chromium plays packets one after the other whatever their timestamps say, and Ogg has no
//! timestamps but a count. So a hole is filled with packets that are valid Opus and need no encoder:
//!
//! - A packet that is a TOC byte alone is a frame "lost or not sent" (RFC 6716 §3.2.1, case 0): decoders conceal
//!   it, or make comfort noise. That is what the sender means where it stopped sending for lack of speech (DTX), and the
//!   best there is for a packet lost.
//! - `F8 FF FE` is 20 ms of digital silence in CELT, with shorter variants: for mutes and absences.

use std::time::Duration;

use bytes::Bytes;
use greffier_media::{
    depacketize::opus_packet_duration,
    time::{ClockRate, Position},
};

/// Samples a second: the granularity of everything in Opus.
pub(crate) const RATE: u32 = ClockRate::OPUS.hz();

/// A line may be this far from where its packets belong before it is put right, in samples (10 ms): far below what
/// anybody hears against the picture, far above the noise of clocks.
const MAX_SLIP: u64 = 480;
/// And this far (30 ms) if putting it right now would cut into speech.
const MAX_LATE_SLIP: u64 = 3 * MAX_SLIP;
/// A packet this short carries next to nothing: 3.2 kbit/s.
const QUIET_LEN: usize = 8;

/// An encoder that goes quiet sends a packet of at most so many bytes, and then none.
const DTX_LEN: usize = 2;
/// It sends one every 400 ms; what takes longer is no pause in speech.
const MAX_COMFORT: u64 = RATE as u64;
/// Decoders conceal a loss well for so long (60 ms); silence is better than what they make of more.
const MAX_CONCEALED: u64 = 2880;

/// Silence, longest first: samples, and the CELT packet (mono, full band) that holds it.
const SILENCE: [(u64, [u8; 3]); 4] = [
    (960, [0xF8, 0xFF, 0xFE]),
    (480, [0xF0, 0xFF, 0xFE]),
    (240, [0xE8, 0xFF, 0xFE]),
    (120, [0xE0, 0xFF, 0xFE]),
];

/// The first bits of a TOC byte: mode, bandwidth, frame size and channels, without the number of frames.
const ONE_FRAME: u8 = !3;

/// A packet of the line. They follow each other without a hole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Packet {
    /// Samples before it, from the line's start.
    pub start: u64,
    /// How long it lasts, in samples.
    pub samples: u64,
    pub data: Bytes,
}

impl Packet {
    pub fn end(&self) -> u64 {
        self.start + self.samples
    }
}

/// Makes the line. It starts at zero and goes on to where its last packet ends, or it is [filled](Self::fill) to.
#[derive(Debug, Default)]
pub(crate) struct Line {
    at: u64,
    last: Option<Last>,
}

#[derive(Debug, Clone, Copy)]
struct Last {
    /// TOC byte of a packet of one frame like its frames.
    toc: u8,
    /// Up to where such packets, with nothing in them, may stand for what does not come.
    until: u64,
}

impl Line {
    /// Where it ends, in samples.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// Adds a packet that belongs at `wanted`, filling up to there. One that would be too late is left out.
    pub fn push(&mut self, wanted: u64, data: Bytes, mut out: impl FnMut(Packet)) {
        let Ok(duration) = opus_packet_duration(&data) else {
            return;
        };
        if let Some(&toc) = data.first() {
            let late = self.at.saturating_sub(wanted);
            let is_quiet = data.len() <= QUIET_LEN;
            if late > MAX_LATE_SLIP || (late > MAX_SLIP && is_quiet) {
                return;
            }
            if wanted.saturating_sub(self.at) > MAX_SLIP {
                self.fill(wanted, &mut out);
            }
            let most = if data.len() <= DTX_LEN {
                MAX_COMFORT
            } else {
                MAX_CONCEALED
            };
            self.emit(samples(duration), data, &mut out);
            self.last = Some(Last {
                toc: toc & ONE_FRAME,
                until: self.at + most,
            });
        }
    }

    /// Fills up to `end`, to within the shortest packet.
    pub fn fill(&mut self, end: u64, mut out: impl FnMut(Packet)) {
        self.conceal(end, &mut out);
        for (samples, packet) in &SILENCE {
            while self.at + samples <= end {
                self.emit(*samples, Bytes::from_static(packet), &mut out);
            }
        }
    }

    /// Nothing comes before `end`: fills most of the way, by whole packets of 20 ms, so that others need not wait.
    pub fn advance(&mut self, end: u64, mut out: impl FnMut(Packet)) {
        self.conceal(end, &mut out);
        let (samples, packet) = &SILENCE[0];
        while self.at + samples <= end {
            self.emit(*samples, Bytes::from_static(packet), &mut out);
        }
    }

    fn conceal(&mut self, end: u64, out: &mut impl FnMut(Packet)) {
        let Some(Last { toc, until }) = self.last else { return };
        let like_last = Bytes::copy_from_slice(&[toc]);
        let samples = opus_packet_duration(&like_last).map_or(0, samples);
        while samples > 0 && self.at + samples <= end.min(until) {
            self.emit(samples, like_last.clone(), out);
        }
    }

    fn emit(&mut self, samples: u64, data: Bytes, out: &mut impl FnMut(Packet)) {
        out(Packet {
            start: self.at,
            samples,
            data,
        });
        self.at += samples;
    }
}

fn samples(duration: Duration) -> u64 {
    ClockRate::OPUS.ticks(duration)
}

/// Samples from zero to `position`, to the nearest.
pub(crate) fn samples_at(position: Position) -> u64 {
    let half_sample = u64::from(500_000_000 / RATE);
    ClockRate::OPUS.ticks(Duration::from_nanos(position.as_nanos().saturating_add(half_sample)))
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    /// 20 ms of speech in SILK, as good as any.
    const SPEECH: &[u8] = &[0b0000_1000, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
    const DTX: &[u8] = &[0b0000_1000];

    /// Runs packets (wanted ms, data) and answers (start ms ×10, first byte, length) of all that came out.
    fn run(input: &[(u64, &'static [u8])]) -> Vec<(u64, u8, usize)> {
        let mut line = Line::default();
        let mut out = Vec::new();
        for (wanted, data) in input {
            line.push(wanted * 48, Bytes::from_static(data), |packet| out.push(packet));
        }
        out.into_iter()
            .map(|packet| (packet.start * 10 / 48, packet.data[0], packet.data.len()))
            .collect()
    }

    #[test]
    fn what_fits_passes_unchanged() {
        assert_eq!(
            run(&[(0, SPEECH), (20, SPEECH), (41, SPEECH)]),
            [(0, 8, 12), (200, 8, 12), (400, 8, 12)]
        );
    }

    #[test]
    fn a_late_start_is_silence() {
        let out = run(&[(45, SPEECH)]);
        assert_eq!(out, [(0, 0xF8, 3), (200, 0xF8, 3), (400, 0xE8, 3), (450, 8, 12)]);
    }

    #[test]
    fn a_lost_packet_is_concealed() {
        assert_eq!(
            run(&[(0, SPEECH), (40, SPEECH)]),
            [(0, 8, 12), (200, 8, 1), (400, 8, 12)]
        );
    }

    #[test]
    fn of_a_long_loss_only_the_beginning_is_concealed() {
        let out = run(&[(0, SPEECH), (200, SPEECH)]);
        let lengths: Vec<_> = out.iter().map(|(_, _, len)| *len).collect();
        assert_eq!(lengths, [12, 1, 1, 1, 3, 3, 3, 3, 3, 3, 12]);
    }

    #[test]
    fn a_pause_in_speech_is_comfort_noise_and_a_mute_is_silence() {
        let out = run(&[(0, SPEECH), (20, DTX), (420, SPEECH)]);
        assert_eq!(out.len(), 22);
        assert!(out[1..21].iter().all(|(_, toc, len)| (*toc, *len) == (8, 1)), "{out:?}");
        let muted = run(&[(0, DTX), (5000, SPEECH)]);
        assert_eq!(muted.iter().filter(|(_, _, len)| *len == 1).count(), 1 + 50);
        assert_eq!(muted.last(), Some(&(50_000, 8, 12)));
    }

    #[test]
    fn a_line_that_is_late_leaves_out_something_quiet() {
        // The line is 15 ms late: speech stays, the quiet packet goes.
        let mut line = Line::default();
        let mut lengths = Vec::new();
        line.push(0, Bytes::from_static(SPEECH), |packet| lengths.push(packet.data.len()));
        for (wanted, data) in [(5, SPEECH), (25, DTX), (45, SPEECH)] {
            line.push(wanted * 48, Bytes::from_static(data), |packet| {
                lengths.push(packet.data.len());
            });
        }
        assert_eq!(lengths, [12, 12, 12]);
        assert_eq!(line.at(), 60 * 48);
    }

    #[test]
    fn filling_bit_by_bit_comes_to_the_same() {
        let run = |steps: &[u64]| {
            let (mut line, mut out) = (Line::default(), Vec::new());
            line.push(0, Bytes::from_static(DTX), |packet| out.push(packet));
            for end in steps {
                line.advance(end * 48, |packet| out.push(packet));
            }
            line.push(5000 * 48, Bytes::from_static(SPEECH), |packet| out.push(packet));
            out
        };
        assert_eq!(run(&[30, 65, 500, 1500, 1501, 4990]), run(&[]));
    }

    #[test]
    fn garbage_is_left_out() {
        assert_eq!(run(&[(0, &[]), (0, &[0xFB, 0])]), []);
    }

    #[test]
    fn positions_to_samples() {
        assert_eq!(samples_at(Position::from_millis(20)), 960);
        assert_eq!(samples_at(Position::from_nanos(10_416)), 0);
        assert_eq!(samples_at(Position::from_nanos(10_500)), 1);
    }

    proptest! {
        /// Whatever comes when: no hole, no overlap, every packet is valid Opus and as long as it says, and nothing is
        /// further from its place than may be.
        #[test]
        fn a_line_has_no_holes(steps in vec((0_u64..400, 0_usize..3), 1..60)) {
            let (mut line, mut wanted, mut out) = (Line::default(), 0_u64, Vec::new());
            for (step, kind) in steps {
                wanted += step * 12;
                let data: &[u8] = [SPEECH, DTX, &[0xFC, 1, 2, 3, 4, 5, 6, 7, 8, 9]][kind];
                let before = out.len();
                line.push(wanted, Bytes::copy_from_slice(data), |packet| out.push(packet));
                if out.len() > before {
                    let placed = out.last().map_or(0, |packet| packet.start);
                    prop_assert!(placed.abs_diff(wanted) <= MAX_LATE_SLIP, "{placed} for {wanted}");
                }
            }
            line.fill(wanted + 1000, |packet| out.push(packet));
            let mut at = 0;
            for packet in &out {
                prop_assert_eq!(packet.start, at);
                prop_assert_eq!(samples(opus_packet_duration(&packet.data).unwrap()), packet.samples);
                at = packet.end();
            }
            prop_assert_eq!(at, line.at());
        }
    }
}
