//! MP3: LAME's frames, one after the other, behind one that says how many there are and what to leave out.
//!
//! The format knows neither its length nor that encoders put samples before the first. A first frame of silence says so in
//! its payload: `Info` with counts, then what LAME adds. Everybody reads it; without it, all is late by some 25 ms.

use std::{
    fs::File,
    io::{BufWriter, Seek as _, SeekFrom, Write as _},
    path::Path,
    time::Duration,
};

use gstreamer as gst;

use super::file::{FileError, to_i16};
use crate::{
    engine::{EngineError, Stage, buffer},
    sound::{Layout, SoundError},
};

/// Samples that LAME puts before the first. Decoders add 529 of their own, which players know.
const DELAY: u64 = 576;

/// Where the two channels of stereo are heard.
const FRONT_LEFT_AND_RIGHT: u64 = 3;

pub(super) struct Mp3File {
    out: BufWriter<File>,
    stage: Stage,
    layout: Layout,
    /// Samples of each channel that went in.
    taken: u64,
    /// The first frame's header, once it is there; its frame is where the counts go.
    header: Option<Header>,
    frames_bytes: u64,
}

/// What the four bytes at the beginning of each frame say (ISO/IEC 11172-3 §2.4.1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Header {
    bytes: [u8; 4],
    /// Of the frame.
    len: usize,
    /// Samples of each channel in it.
    samples: u64,
    /// Bytes between the header and where `Info` goes.
    side: usize,
}

impl Mp3File {
    pub fn create(path: &Path, layout: Layout) -> Result<Self, FileError> {
        let caps = gst::Caps::builder("audio/x-raw")
            .field("format", "S16LE")
            .field("layout", "interleaved")
            .field("rate", i32::try_from(layout.rate).unwrap_or(i32::MAX))
            .field("channels", i32::from(layout.channels))
            .field_if(
                "channel-mask",
                gst::Bitmask::new(FRONT_LEFT_AND_RIGHT),
                layout.channels == 2,
            )
            .build();
        // What each rate's table has, for each channel.
        let kbps = match layout.rate {
            8_000 => 24,
            16_000 | 24_000 => 40,
            _ => 64,
        } * u32::from(layout.channels);
        let properties = [("target", "bitrate"), ("cbr", "true"), ("bitrate", &*kbps.to_string())];
        let stage = Stage::new("lamemp3enc", &properties, &caps).map_err(SoundError::from)?;
        Ok(Self {
            out: BufWriter::new(File::create(path)?),
            stage,
            layout,
            taken: 0,
            header: None,
            frames_bytes: 0,
        })
    }

    pub fn push(&mut self, sound: &[f32]) -> Result<(), FileError> {
        if sound.is_empty() {
            return Ok(());
        }
        self.taken += (sound.len() / usize::from(self.layout.channels)) as u64;
        let bytes: Vec<u8> = sound.iter().flat_map(|sample| to_i16(*sample).to_le_bytes()).collect();
        let input = buffer(bytes.into(), Duration::ZERO, None, true);
        self.stage.push(input).map_err(SoundError::from)?;
        self.write_frames()
    }

    pub fn finish(mut self) -> Result<(), FileError> {
        self.stage.finish().map_err(SoundError::from)?;
        self.write_frames()?;
        if let Some(header) = self.header {
            let info = header.info(self.frames_bytes, self.taken);
            self.out.seek(SeekFrom::Start(0))?;
            self.out.write_all(&info)?;
        }
        self.out.flush()?;
        Ok(())
    }

    fn write_frames(&mut self) -> Result<(), FileError> {
        while let Some((frames, _)) = self.stage.take() {
            let output = || SoundError::from(EngineError::Output { what: "a frame of MP3" });
            let frames = frames.map_readable().map_err(|_| output())?;
            if self.header.is_none() {
                let header = Header::parse(&frames).ok_or_else(output)?;
                self.out.write_all(&vec![0; header.len])?;
                self.header = Some(header);
            }
            self.out.write_all(&frames)?;
            self.frames_bytes += frames.len() as u64;
        }
        Ok(())
    }
}

impl Header {
    fn parse(frame: &[u8]) -> Option<Self> {
        const MPEG1: [u32; 15] = [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];
        const MPEG2: [u32; 15] = [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];
        const RATES: [u32; 3] = [44_100, 48_000, 32_000];
        let bytes: [u8; 4] = frame.get(..4)?.try_into().ok()?;
        // Sync, then layer III.
        if bytes[0] != 0xFF || bytes[1] & 0xE6 != 0xE2 {
            return None;
        }
        let (is_mpeg1, halvings) = match bytes[1] >> 3 & 3 {
            3 => (true, 0),
            2 => (false, 1),
            0 => (false, 2),
            _ => return None,
        };
        let kbps = *(if is_mpeg1 { MPEG1 } else { MPEG2 }).get(usize::from(bytes[2] >> 4))?;
        let rate = RATES.get(usize::from(bytes[2] >> 2 & 3))? >> halvings;
        let samples: u32 = if is_mpeg1 { 1152 } else { 576 };
        // At our rates frames need no padding: their length is a whole number.
        let len = usize::try_from(samples / 8 * kbps * 1000 / rate).ok()?;
        let is_mono = bytes[3] >> 6 == 3;
        let side = match (is_mpeg1, is_mono) {
            (true, false) => 32,
            (true, true) | (false, false) => 17,
            (false, true) => 9,
        };
        Some(Self {
            bytes: [bytes[0], bytes[1], bytes[2] & !2, bytes[3]],
            len,
            samples: samples.into(),
            side,
        })
    }

    /// The first frame, for a file of so many bytes of frames that hold so many samples of each channel.
    fn info(self, frames_bytes: u64, samples: u64) -> Vec<u8> {
        let frames = frames_bytes / self.len as u64;
        let padding = (frames * self.samples).saturating_sub(DELAY + samples);
        let mut frame = self.bytes.to_vec();
        frame.resize(4 + self.side, 0);
        frame.extend(b"Info");
        // Which fields follow: the number of frames, and of bytes.
        frame.extend(3_u32.to_be_bytes());
        let number = |number: u64| u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes();
        frame.extend(number(frames));
        frame.extend(number(frames_bytes + self.len as u64));
        frame.extend(b"LAME3.100");
        // Constant bit rate; no low-pass, gains or flags told.
        frame.push(1);
        frame.extend([0; 11]);
        let delays = DELAY << 12 | padding.min(0xFFF);
        frame.extend(&u32::try_from(delays).unwrap_or(0).to_be_bytes()[1..]);
        frame.resize(self.len.max(frame.len()), 0);
        frame.truncate(self.len);
        frame
    }
}
