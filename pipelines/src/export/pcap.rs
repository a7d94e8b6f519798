//! What Wireshark reads: each packet in UDP and IP, at the time it arrived, to the nanosecond.
//!
//! Addresses are made up: `10.1.0.n` is the n-th participant, `10.0.0.1` is us, and each stream has a port pair of its own.
//! Before a stream's first packet stands its announcement ([SAP](https://www.rfc-editor.org/rfc/rfc2974), with
//! [SDP](https://www.rfc-editor.org/rfc/rfc8866) in it), so that Wireshark knows what is RTP, and of which codec.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, BufReader, BufWriter, Read as _, Write as _},
    path::Path,
};

use greffier_media::{
    ids::ParticipantIdentity,
    journal::{Message, Topic, TrackChannel},
    time::Arrival,
};

use super::{Exported, Exporter};
use crate::publish::Draft;

/// Microseconds would do for the old magic number; this one says nanoseconds.
const MAGIC: u32 = 0xA1B2_3C4D;
/// Packets begin with their IP header.
const LINKTYPE_RAW: u32 = 101;
/// No packet is cut off.
const SNAPLEN: u32 = 0x0004_0000;
const IPV4_HEADER: usize = 20;
const UDP_HEADER: usize = 8;
const US: [u8; 4] = [10, 0, 0, 1];
/// Where announcements go (RFC 2974 §3).
const SAP: ([u8; 4], u16) = ([224, 2, 127, 254], 9875);
/// Port of the first stream's RTP; its RTCP is one higher.
const FIRST_PORT: u16 = 10_000;
/// So many streams have ports of their own; after that they are used again.
const STREAMS: usize = 25_000;

pub(super) struct Pcap {
    draft: Draft,
    out: BufWriter<File>,
    streams: HashMap<TrackChannel, usize>,
    people: HashMap<ParticipantIdentity, usize>,
    packets: u64,
}

impl Pcap {
    pub fn create(folder: &Path) -> io::Result<Self> {
        let draft = Draft::new(folder, "recording.pcap");
        let mut out = BufWriter::new(File::create(draft.path())?);
        for word in [MAGIC, 2 | 4 << 16, 0, 0, SNAPLEN, LINKTYPE_RAW] {
            out.write_all(&word.to_le_bytes())?;
        }
        Ok(Self {
            draft,
            out,
            streams: HashMap::new(),
            people: HashMap::new(),
            packets: 0,
        })
    }

    fn put(&mut self, at: Arrival, from: ([u8; 4], u16), to: ([u8; 4], u16), payload: &[u8]) -> io::Result<()> {
        let udp = UDP_HEADER + payload.len();
        let Ok(total) = u16::try_from(IPV4_HEADER + udp) else {
            // Nothing that came over UDP is so long.
            return Ok(());
        };
        let (seconds, nanos) = (at.as_nanos() / 1_000_000_000, at.as_nanos() % 1_000_000_000);
        for word in [seconds, nanos, total.into(), total.into()] {
            self.out
                .write_all(&u32::try_from(word).unwrap_or(u32::MAX).to_le_bytes())?;
        }
        self.out.write_all(&ipv4(total, from.0, to.0))?;
        let udp = u16::try_from(udp).unwrap_or(u16::MAX);
        // No checksum: IPv4 allows it, and there was no such packet.
        for field in [from.1, to.1, udp, 0] {
            self.out.write_all(&field.to_be_bytes())?;
        }
        self.packets += 1;
        self.out.write_all(payload)
    }
}

impl Exporter for Pcap {
    fn message(&mut self, message: &Message) -> io::Result<()> {
        let Some(track) = &message.channel.track else {
            return Ok(());
        };
        let count = self.people.len();
        let person = *self.people.entry(track.identity.clone()).or_insert(count);
        let address = address(person);
        let port = |stream: usize| FIRST_PORT + u16::try_from(stream % STREAMS * 2).unwrap_or(0);
        let stream = if let Some(known) = self.streams.get(track) {
            *known
        } else {
            let stream = self.streams.len();
            self.streams.insert(track.clone(), stream);
            let announcement = announcement(track, address, port(stream), stream);
            self.put(message.arrival, (address, SAP.1), SAP, &announcement)?;
            stream
        };
        let is_rtcp = matches!(message.channel.topic, Topic::Rtcp(_));
        let port = port(stream) + u16::from(is_rtcp);
        self.put(message.arrival, (address, port), (US, port), &message.data)
    }

    fn finish(mut self: Box<Self>) -> io::Result<Vec<Exported>> {
        self.out.flush()?;
        if self.packets == 0 {
            return Ok(Vec::new());
        }
        Ok(vec![Exported {
            draft: self.draft,
            media_type: "application/vnd.tcpdump.pcap",
            messages: self.packets,
            track: None,
        }])
    }

    fn count(&self) -> fn(&Path) -> io::Result<u64> {
        |path| {
            let mut file = BufReader::new(File::open(path)?);
            file.read_exact(&mut [0; 24])?;
            let mut count = 0;
            let mut header = [0; 16];
            while file.read(&mut header[..1])? == 1 {
                file.read_exact(&mut header[1..])?;
                let length = u32::from_le_bytes([header[8], header[9], header[10], header[11]]);
                if io::copy(&mut file.by_ref().take(length.into()), &mut io::sink())? != u64::from(length) {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                count += 1;
            }
            Ok(count)
        }
    }
}

fn address(person: usize) -> [u8; 4] {
    let [.., high, low] = (person + 1).to_be_bytes();
    [10, 1, high, low]
}

/// An IPv4 header (RFC 791 §3.1) of UDP.
fn ipv4(total: u16, from: [u8; 4], to: [u8; 4]) -> [u8; IPV4_HEADER] {
    let [high, low] = total.to_be_bytes();
    let mut header = [0x45, 0, high, low, 0, 0, 0, 0, 64, 17, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    header[12..16].copy_from_slice(&from);
    header[16..].copy_from_slice(&to);
    let sum: u32 = header
        .chunks_exact(2)
        .map(|word| u32::from(word[0]) << 8 | u32::from(word[1]))
        .sum();
    let folded = (sum & 0xFFFF) + (sum >> 16);
    let folded = (folded & 0xFFFF) + (folded >> 16);
    let checksum = !u16::try_from(folded).unwrap_or(u16::MAX);
    header[10..12].copy_from_slice(&checksum.to_be_bytes());
    header
}

/// What a stream is, for whoever listens on the announcements' port.
fn announcement(track: &TrackChannel, from: [u8; 4], port: u16, stream: usize) -> Vec<u8> {
    let [_, _, high, low] = from;
    // The hash of a SAP message: any number, another for each.
    let hash = u16::try_from(stream & 0xFFFF).unwrap_or(0);
    let mut message = vec![0x20, 0];
    message.extend(hash.to_be_bytes());
    message.extend(from);
    message.extend(b"application/sdp\0");
    let [us @ .., last] = US;
    let us = format!("{}.{}.{}.{last}", us[0], us[1], us[2]);
    let media = match track.kind {
        greffier_media::codec::MediaKind::Audio => "audio",
        greffier_media::codec::MediaKind::Video => "video",
    };
    let rate = track.clock_rate.hz();
    let numbers: Vec<_> = track
        .payload_types
        .iter()
        .map(|known| known.number.to_string())
        .collect();
    let mut sdp = format!(
        "v=0\r\no=- {stream} 1 IN IP4 10.1.{high}.{low}\r\ns={}\r\nt=0 0\r\nm={media} {port} RTP/AVP {}\r\nc=IN IP4 {us}\r\n",
        line(&format!("{} {}", track.identity, track.source.as_str())),
        numbers.join(" "),
    );
    for known in &track.payload_types {
        let name = known.mime.split_once('/').map_or(&*known.mime, |(_, name)| name);
        let channels = if track.channels > 1 {
            format!("/{}", track.channels)
        } else {
            String::new()
        };
        let rtpmap = format!("a=rtpmap:{} {}/{rate}{channels}\r\n", known.number, line(name));
        sdp.push_str(&rtpmap);
    }
    message.extend(sdp.into_bytes());
    message
}

/// Text that cannot end its line.
fn line(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_s_checksum_is_right() {
        // A header whose words, the checksum included, add up to ones is sound (RFC 1071 §1).
        let header = ipv4(1200, [10, 1, 0, 1], US);
        let sum: u32 = header
            .chunks_exact(2)
            .map(|word| u32::from(word[0]) << 8 | u32::from(word[1]))
            .sum();
        assert_eq!((sum & 0xFFFF) + (sum >> 16), 0xFFFF);
    }
}
