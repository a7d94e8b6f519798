//! What every synthetic participant shows and plays, so that any second of any recording tells who was captured when.
//!
//! - **Beep**: on each whole second of wall time, a burst of the peer's own tone. Its length (short or long) follows a
//!   sequence whose any [`MARK_BITS`] consecutive values occur once in [`MARK_PERIOD`] seconds, so that a file with sound
//!   alone tells which second is which.
//! - **Flash**: in the same instant the picture fills with the peer's own colour.
//! - **Time code**: the lowest third of every picture is a grid of black and white cells that spell the capture time, the
//!   peer and the source, with a checksum.
//!
//! The peers (`tests/peer`, Python) get these numbers from [`Pattern::settings`]; only the drawing is written twice.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A moment of wall time, in seconds since the Unix epoch. All processes of a test run on one machine, hence on one clock.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Wall(pub f64);

impl Wall {
    /// Seconds from `earlier` to `self`; negative if `self` came first.
    pub fn since(self, earlier: Wall) -> f64 {
        self.0 - earlier.0
    }

    /// The moment `seconds` later.
    #[must_use]
    pub fn plus(self, seconds: f64) -> Wall {
        Wall(self.0 + seconds)
    }

    /// The whole second nearest to this moment.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "seconds since 1970 fit an i64 for the next 10^11 years"
    )]
    pub fn nearest_second(self) -> i64 {
        self.0.round() as i64
    }
}

impl fmt::Display for Wall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The minute and the fraction are what one compares by eye; the date is the same throughout a test.
        write!(f, "…{:07.3}", self.0.rem_euclid(1000.0))
    }
}

/// Where a picture or a sound comes from, in LiveKit's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    Camera,
    Microphone,
    ScreenShare,
    ScreenShareAudio,
}

impl Source {
    /// Whether it is sound.
    pub fn is_audio(self) -> bool {
        matches!(self, Source::Microphone | Source::ScreenShareAudio)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Source::Camera => "camera",
            Source::Microphone => "microphone",
            Source::ScreenShare => "screen share",
            Source::ScreenShareAudio => "screen-share audio",
        })
    }
}

/// How many peers can be told apart in one meeting: the tones and colours below.
pub const PEERS: usize = 8;

/// One tone a peer, in Hz. Five semitones apart (ratio 1.335): at least 147 Hz between neighbours, more than the
/// analyser's 20 ms window needs (its first zero is 100 Hz away), and no tone is a small multiple of another, so that
/// a codec's harmonic distortion of one is never taken for another.
pub const TONES_HZ: [f64; PEERS] = [440.0, 587.3, 784.0, 1046.5, 1396.9, 1864.7, 2489.0, 3322.4];

/// One colour a peer, as red, green, blue. Far from each other and from the dark background even after a codec's chroma
/// subsampling and a conversion with the wrong matrix (each is > 95 from its nearest neighbour, a conversion moves < 40).
pub const COLOURS: [[u8; 3]; PEERS] = [
    [230, 30, 30],
    [30, 190, 30],
    [40, 60, 235],
    [230, 220, 30],
    [220, 40, 220],
    [30, 210, 220],
    [240, 125, 20],
    [235, 235, 235],
];

/// Length of a short and of a long beep, in seconds: long enough for a level that stands still in a 20 ms window, short
/// enough to leave most of each second silent, and 60 ms apart, far more than packet-loss concealment smears.
pub const BEEP_S: [f64; 2] = [0.080, 0.140];
/// Rise and fall of a beep, in seconds (raised cosine): no click for the codec to spread over the spectrum.
pub const RAMP_S: f64 = 0.005;
/// Amplitude of a beep, of full scale: −12 dB, so that eight peers in phase in one mix clip only a little.
pub const AMPLITUDE: f64 = 0.25;
/// How long a flash lasts, in seconds: two pictures at 15 or 20 a second, so one lost picture does not hide it.
pub const FLASH_S: f64 = 0.100;

/// Which seconds are long, one bit a second: every run of [`MARK_BITS`] values occurs once in a period (a test counts).
pub const MARKS: u32 = 0b101_0111_0110_0011_1110_0110_1001_0000;
/// Its period in seconds.
pub const MARK_PERIOD: i64 = 31;
/// So many consecutive bits occur at one place only.
pub const MARK_BITS: usize = 5;

/// Whether the beep of this second (since the Unix epoch) is a long one.
pub fn is_long(second: i64) -> bool {
    MARKS >> second.rem_euclid(MARK_PERIOD) & 1 == 1
}

/// Length of the beep of this second, in seconds.
pub fn beep_length(second: i64) -> f64 {
    BEEP_S[usize::from(is_long(second))]
}

/// Columns and rows of the time code's cells: 64 bits over the lowest third of the picture. At 160x90, the smallest
/// simulcast layer, a cell is still 10x7 pixels.
pub const CODE_COLUMNS: usize = 16;
pub const CODE_ROWS: usize = 4;
/// The part of the picture's height that the time code covers, from the bottom.
pub const CODE_HEIGHT: f64 = 1.0 / 3.0;

/// What one picture says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TimeCode {
    /// Which peer (index of [`TONES_HZ`] and [`COLOURS`]).
    pub peer: usize,
    /// Camera or screen share.
    pub source: Source,
    /// When the peer handed the picture to its encoder, in whole milliseconds.
    pub captured: Wall,
}

impl TimeCode {
    /// The 64 bits, most significant first: 42 of milliseconds since 1970 (good until 2109), 5 of peer, 1 of source, and
    /// the CRC-16/CCITT-FALSE of those 48. An all-black and an all-white picture fail the checksum.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "wall time is positive and far below 2^42 ms"
    )]
    pub fn bits(&self) -> u64 {
        let milliseconds = (self.captured.0 * 1000.0).round() as u64;
        let word = milliseconds << 6 | (self.peer as u64) << 1 | u64::from(self.source == Source::ScreenShare);
        word << 16 | u64::from(crc16(&word.to_be_bytes()[2..]))
    }

    /// Reads [`TimeCode::bits`] back; `None` if the checksum does not fit.
    pub fn from_bits(bits: u64) -> Option<Self> {
        let word = bits >> 16;
        if u64::from(crc16(&word.to_be_bytes()[2..])) != bits & 0xffff {
            return None;
        }
        let peer = usize::try_from(word >> 1 & 0x1f).ok().filter(|&peer| peer < PEERS)?;
        let source = if word & 1 == 1 {
            Source::ScreenShare
        } else {
            Source::Camera
        };
        Some(Self {
            peer,
            source,
            captured: Wall((word >> 6) as f64 / 1000.0),
        })
    }
}

/// CRC-16/CCITT-FALSE: polynomial 0x1021, initial value 0xFFFF.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xffff, |crc, &byte| {
        (0..8).fold(crc ^ u16::from(byte) << 8, |crc, _| {
            if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 }
        })
    })
}

/// One peer's pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// Index of its tone and colour.
    pub peer: usize,
}

impl Pattern {
    /// The peer's tone in Hz.
    pub fn tone(self) -> f64 {
        TONES_HZ[self.peer]
    }

    /// The peer's colour as red, green, blue.
    pub fn colour(self) -> [u8; 3] {
        COLOURS[self.peer]
    }

    /// The numbers a peer process draws and plays by.
    pub fn settings(self) -> serde_json::Value {
        serde_json::json!({
            "peer": self.peer,
            "tone_hz": self.tone(),
            "colour": self.colour(),
            "beep_s": BEEP_S,
            "ramp_s": RAMP_S,
            "amplitude": AMPLITUDE,
            "flash_s": FLASH_S,
            "marks": MARKS,
            "mark_period": MARK_PERIOD,
            "code_columns": CODE_COLUMNS,
            "code_rows": CODE_ROWS,
            "code_height": CODE_HEIGHT,
        })
    }

    /// The sample, in −1…1, that is `offset` seconds after the whole `second`.
    pub fn sample(self, second: i64, offset: f64) -> f64 {
        let length = beep_length(second);
        if !(0.0..length).contains(&offset) {
            return 0.0;
        }
        let edge = (offset.min(length - offset) / RAMP_S).min(1.0);
        let level = 0.5 - 0.5 * (std::f64::consts::PI * edge).cos();
        AMPLITUDE * level * (std::f64::consts::TAU * self.tone() * offset).sin()
    }

    /// Draws the picture of `source` captured at `captured`, as rows of red, green, blue. `flash` fills it with the colour.
    pub fn draw(self, source: Source, captured: Wall, flash: bool, width: usize, height: usize) -> Vec<u8> {
        let mut picture = vec![0; width * height * 3];
        let code_top = height - code_rows_height(height);
        let bits = TimeCode {
            peer: self.peer,
            source,
            captured,
        }
        .bits();
        for y in 0..height {
            for x in 0..width {
                let pixel = if y >= code_top {
                    let column = x * CODE_COLUMNS / width;
                    let row = (y - code_top) * CODE_ROWS / (height - code_top);
                    let bit = bits >> (CODE_COLUMNS * CODE_ROWS - 1 - (row * CODE_COLUMNS + column)) & 1;
                    [if bit == 1 { 235 } else { 16 }; 3]
                } else if flash {
                    self.colour()
                } else {
                    [background(x, y, captured); 3]
                };
                picture[(y * width + x) * 3..][..3].copy_from_slice(&pixel);
            }
        }
        picture
    }
}

/// Height in pixels of the time code's part of a picture of `height` pixels.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a part of a picture's height"
)]
fn code_rows_height(height: usize) -> usize {
    (height as f64 * CODE_HEIGHT).round() as usize
}

/// Brightness of the background: dark diagonal bands that move, so that an encoder has something to do and a picture
/// that stands still is one that was not renewed.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "brightness between 16 and 56"
)]
fn background(x: usize, y: usize, captured: Wall) -> u8 {
    let phase = (x + y) as f64 / 12.0 + captured.0.rem_euclid(60.0) * 6.0;
    (36.0 + 20.0 * phase.sin()) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_five_marks_tell_the_second() {
        let mut seen = std::collections::BTreeSet::new();
        for second in 0..MARK_PERIOD {
            let window: Vec<bool> = (0..5).map(|i| is_long(second + i)).collect();
            assert!(seen.insert(window), "second {second} looks like an earlier one");
        }
    }

    #[test]
    fn a_time_code_reads_back() {
        for peer in 0..PEERS {
            for source in [Source::Camera, Source::ScreenShare] {
                let code = TimeCode {
                    peer,
                    source,
                    captured: Wall(1_795_410_284.321),
                };
                assert_eq!(TimeCode::from_bits(code.bits()), Some(code));
            }
        }
    }

    #[test]
    fn black_white_and_damaged_codes_are_refused() {
        assert_eq!(TimeCode::from_bits(0), None);
        assert_eq!(TimeCode::from_bits(u64::MAX), None);
        let bits = TimeCode {
            peer: 3,
            source: Source::Camera,
            captured: Wall(1_795_410_284.321),
        }
        .bits();
        for flipped in 0..64 {
            assert_eq!(TimeCode::from_bits(bits ^ 1 << flipped), None, "bit {flipped}");
        }
    }

    #[test]
    fn colours_and_tones_are_apart() {
        for (i, a) in COLOURS.iter().enumerate() {
            for (j, b) in COLOURS.iter().enumerate().skip(i + 1) {
                let distance = a
                    .iter()
                    .zip(b)
                    .map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2))
                    .sum::<f64>()
                    .sqrt();
                assert!(distance > 95.0, "colours {i} and {j} are {distance:.0} apart");
            }
        }
        for (i, a) in TONES_HZ.iter().enumerate() {
            for b in &TONES_HZ[i + 1..] {
                assert!(b - a > 140.0);
                for multiple in [2.0, 3.0] {
                    assert!((a * multiple - b).abs() > 60.0, "{b} Hz is near a harmonic of {a} Hz");
                }
            }
        }
    }
}
