//! What a peer wrote down of the tracks it received (`tests/peer/listen.py`): decoded sound and shrunken pictures with
//! their time of arrival. Measured by the same analyser as files; the time line is wall time.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::analyse::audio::{Audio, RATE};
use crate::analyse::video::{GRID_BYTES, Picture, Video};

/// Sound arrives in 10 ms pieces, a little early or late; only beyond this, in seconds, has the stream really paused. What
/// lies within is the scheduling of two busy processes.
const JITTER_S: f64 = 0.080;

/// One record of the file.
struct Record {
    at: f64,
    size: (u32, u32),
    payload: Vec<u8>,
}

/// The sound in a file of received sound; on the time line of arrival.
pub fn sound(file: &Path) -> Result<Audio> {
    let mut samples: Vec<i16> = Vec::new();
    let mut begins = None;
    for record in records(file)? {
        let record = record?;
        let piece = record
            .payload
            .as_chunks()
            .0
            .iter()
            .map(|&pair| i16::from_le_bytes(pair));
        let rate = f64::from(RATE);
        // A piece is there when its last sample is.
        let at = record.at - piece.len() as f64 / rate;
        let begins = *begins.get_or_insert(at);
        let gap = at - begins - samples.len() as f64 / rate;
        if gap > JITTER_S {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a pause in samples"
            )]
            samples.resize(samples.len() + (gap * rate) as usize, 0);
        }
        samples.extend(piece);
    }
    Ok(Audio::measure(&samples, begins.unwrap_or(0.0)))
}

/// The pictures in a file of received pictures; on the time line of arrival.
pub fn pictures(file: &Path) -> Result<Video> {
    let pictures = records(file)?.map(|record| {
        let Record { at, size, payload } = record?;
        ensure!(payload.len() == GRID_BYTES, "a picture of {} bytes", payload.len());
        Ok(Picture::read(at, size, &payload))
    });
    Ok(Video::measure(pictures.collect::<Result<_>>()?))
}

/// The records of a file, after its line of JSON. A record cut off by a killed peer ends it.
fn records(file: &Path) -> Result<impl Iterator<Item = Result<Record>>> {
    let opened = std::fs::File::open(file).with_context(|| format!("cannot open {}", file.display()))?;
    let mut input = BufReader::new(opened);
    input.skip_until(b'\n')?;
    Ok(std::iter::from_fn(move || read_record(&mut input).transpose()))
}

fn read_record(input: &mut impl Read) -> Result<Option<Record>> {
    let mut head = [0; 16];
    if !fill(input, &mut head)? {
        return Ok(None);
    }
    let [t @ .., w0, w1, h0, h1, l0, l1, l2, l3] = head;
    let length = usize::try_from(u32::from_le_bytes([l0, l1, l2, l3]))?;
    ensure!(length < 1 << 24, "a record of {length} bytes");
    let mut payload = vec![0; length];
    if !fill(input, &mut payload)? {
        return Ok(None);
    }
    let size = (
        u32::from(u16::from_le_bytes([w0, w1])),
        u32::from(u16::from_le_bytes([h0, h1])),
    );
    Ok(Some(Record {
        at: u64::from_le_bytes(t) as f64 / 1e9,
        size,
        payload,
    }))
}

/// Reads exactly so much; `false` if the file ends before.
fn fill(input: &mut impl Read, buffer: &mut [u8]) -> Result<bool> {
    match input.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error).context("cannot read what was received"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(records: &[(u64, u16, u16, Vec<u8>)]) -> std::path::PathBuf {
        let mut bytes = b"{\"from\":\"ana\"}\n".to_vec();
        for (at, width, height, payload) in records {
            bytes.extend(at.to_le_bytes());
            bytes.extend(width.to_le_bytes());
            bytes.extend(height.to_le_bytes());
            bytes.extend(u32::try_from(payload.len()).expect("short").to_le_bytes());
            bytes.extend(payload);
        }
        let folder = crate::folder::Folder::of_test().expect("a folder");
        let file = folder.join("received");
        std::fs::write(&file, bytes).expect("written");
        file
    }

    #[test]
    fn sound_with_a_pause_keeps_its_time_line() {
        let piece = |ms: u64| (1_000_000_000_000 + ms * 1_000_000, 0, 0, vec![0; 320]);
        // Ten pieces, half a second of nothing, ten pieces.
        let pieces: Vec<_> = (1..=10).chain(61..=70).map(|n| piece(n * 10)).collect();
        let audio = sound(&written(&pieces)).expect("readable");
        assert!((audio.begins - 1000.0).abs() < 1e-6, "{}", audio.begins);
        assert!((audio.ends - 1000.7).abs() < 1e-3, "{}", audio.ends);
    }

    #[test]
    fn a_file_cut_off_ends_at_the_last_whole_record() {
        let file = written(&[
            (5_000_000_000, 320, 180, vec![0; GRID_BYTES]),
            (6_000_000_000, 320, 180, vec![0; GRID_BYTES]),
        ]);
        let bytes = std::fs::read(&file).expect("readable");
        std::fs::write(&file, &bytes[..bytes.len() - 1]).expect("written");
        let video = pictures(&file).expect("readable");
        assert_eq!(video.pictures.len(), 1);
        assert_eq!(video.pictures[0].size, (320, 180));
        assert!((video.pictures[0].at - 5.0).abs() < 1e-9);
    }
}
