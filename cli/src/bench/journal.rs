//! What the journals of a bench hold, and what they lack.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::BufReader;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use greffier_media::journal::{SegmentReader, Topic};
use greffier_media::rtp::{RtpPacket, SequenceExtender};
use greffier_media::time::Arrival;
use serde::{Deserialize, Serialize};

/// A packet that comes so long after one with a higher number is late: whoever listens live has gone on without it.
const LATE: Duration = Duration::from_millis(300);

/// What was found, over all streams.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    pub streams: u64,
    pub packets: u64,
    /// Whole RTP packets.
    pub bytes: u64,
    /// Sequence numbers that are in no journal, between the first and the last of their stream.
    pub lost: u64,
    pub late: u64,
    /// Twice in the journal.
    pub duplicates: u64,
}

#[derive(Default)]
struct Stream {
    sequences: SequenceExtender,
    seen: Vec<u64>,
    newest: u64,
    newest_at: Option<Arrival>,
    late: u64,
    bytes: u64,
}

impl Stream {
    fn packet(&mut self, arrival: Arrival, sequence: u16, bytes: usize) {
        let sequence = self.sequences.extend(sequence);
        if sequence > self.newest {
            (self.newest, self.newest_at) = (sequence, Some(arrival));
        } else if self.newest_at.is_some_and(|at| arrival.saturating_since(at) > LATE) {
            self.late += 1;
        }
        self.seen.push(sequence);
        self.bytes += bytes as u64;
    }

    fn add_to(mut self, found: &mut Found) {
        self.seen.sort_unstable();
        let all = self.seen.len() as u64;
        self.seen.dedup();
        let distinct = self.seen.len() as u64;
        if let [first, .., last] = self.seen[..] {
            found.lost += last - first + 1 - distinct;
        }
        found.streams += 1;
        found.packets += distinct;
        found.duplicates += all - distinct;
        found.late += self.late;
        found.bytes += self.bytes;
    }
}

/// Reads all segments of the recordings in these folders.
pub fn read(recordings: &[impl AsRef<Path>]) -> anyhow::Result<Found> {
    let mut found = Found::default();
    for recording in recordings {
        let mut streams: HashMap<(String, u32), Stream> = HashMap::new();
        let mut segments: Vec<_> = fs::read_dir(recording)?.collect::<Result<_, _>>()?;
        segments.sort_by_key(fs::DirEntry::file_name);
        for segment in segments.iter().map(fs::DirEntry::path) {
            if segment.extension().is_some_and(|extension| extension == "mcap") {
                read_segment(&segment, &mut streams)
                    .with_context(|| format!("{} cannot be read", segment.display()))?;
            }
        }
        for stream in streams.into_values() {
            stream.add_to(&mut found);
        }
    }
    Ok(found)
}

fn read_segment(path: &Path, streams: &mut HashMap<(String, u32), Stream>) -> anyhow::Result<()> {
    for message in SegmentReader::new(BufReader::new(File::open(path)?)).messages() {
        let message = message?;
        let Topic::Rtp(track) = &message.channel.topic else {
            continue;
        };
        let packet = RtpPacket::parse(&message.data)?;
        let key = (track.to_string(), packet.ssrc());
        streams
            .entry(key)
            .or_default()
            .packet(message.arrival, packet.sequence(), message.data.len());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_lateness_and_copies_are_told_apart() {
        let mut stream = Stream::default();
        let at = |n: u64| Arrival::from_millis(1_000 + n);
        for (sequence, ms) in [
            (65_534, 0),
            (65_535, 10),
            (1, 20),
            (0, 30),
            (3, 40),
            (3, 50),
            (5, 60),
            (4, 500),
        ] {
            stream.packet(at(ms), sequence, 100);
        }
        let mut found = Found::default();
        stream.add_to(&mut found);
        // 2 never came; 0 came a little after 1, and 4 much after 5.
        let expected = Found {
            streams: 1,
            packets: 7,
            bytes: 800,
            lost: 1,
            late: 1,
            duplicates: 1,
        };
        assert_eq!(found, expected);
    }
}
