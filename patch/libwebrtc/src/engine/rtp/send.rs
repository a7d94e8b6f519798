//! Sending of one RTP stream: history for retransmission, sender reports, what the receiver says of it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes, BytesMut};
use rtc::interceptor::StreamInfo;
use rtc::rtcp::reception_report::ReceptionReport;
use rtc::rtcp::sender_report::SenderReport;
use rtc::rtp;

use super::WallClock;

/// What can still be sent again. One second of a 5 Mbit/s stream, or twenty seconds of audio.
const HISTORY: usize = 512;
/// The same packet is sent again at most this often: requests for it may cross with the repair.
const REPAIR_EVERY: Duration = Duration::from_millis(20);

const URI_MID: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";
const URI_RID: &str = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id";
const URI_REPAIRED_RID: &str = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id";
const URI_ABS_CAPTURE_TIME: &str = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time";

/// Counters of one sent stream.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct OutboundCounters {
    pub packets: u64,
    pub bytes: u64,
    pub repaired_packets: u64,
    pub repaired_bytes: u64,
    pub nacks: u32,
    pub plis: u32,
    /// From the last report block of the receiver.
    pub remote_lost: u32,
    /// Of 256.
    pub remote_fraction_lost: u8,
    /// Seconds.
    pub remote_jitter: f64,
    /// Seconds, where a report allowed it to be measured.
    pub round_trip: Option<f64>,
    pub round_trip_total: f64,
    pub round_trips: u64,
}

/// Where a stream stands on the sender's clock: what its next sender report says.
#[derive(Debug, Clone, Copy)]
struct Reference {
    timestamp: u32,
    captured: Instant,
}

/// One stream of a local track.
pub(crate) struct OutboundStream {
    info: StreamInfo,
    mid: Bytes,
    rid: Bytes,
    ids: ExtensionIds,
    history: VecDeque<(rtp::Packet, Option<Instant>)>,
    repair_sequence: u16,
    reference: Option<Reference>,
    sent_since_report: bool,
    counters: OutboundCounters,
}

#[derive(Default, Clone, Copy)]
struct ExtensionIds {
    mid: Option<u8>,
    rid: Option<u8>,
    repaired_rid: Option<u8>,
    abs_capture_time: Option<u8>,
}

impl ExtensionIds {
    fn of(info: &StreamInfo) -> Self {
        let id = |uri: &str| {
            let found = info.rtp_header_extensions.iter().find(|e| e.uri == uri)?;
            u8::try_from(found.id).ok().filter(|id| *id > 0)
        };
        Self {
            mid: id(URI_MID),
            rid: id(URI_RID),
            repaired_rid: id(URI_REPAIRED_RID),
            abs_capture_time: id(URI_ABS_CAPTURE_TIME),
        }
    }
}

impl OutboundStream {
    /// `rid` is empty for a stream that is its track's only one.
    pub fn new(info: StreamInfo, mid: &str, rid: &str) -> Self {
        Self {
            ids: ExtensionIds::of(&info),
            info,
            mid: Bytes::copy_from_slice(mid.as_bytes()),
            rid: Bytes::copy_from_slice(rid.as_bytes()),
            history: VecDeque::new(),
            repair_sequence: rand::random(),
            reference: None,
            sent_since_report: false,
            counters: OutboundCounters::default(),
        }
    }

    pub fn payload_type(&self) -> u8 {
        self.info.payload_type
    }

    /// Completes a packet for the wire and remembers it. `captured` is when its media was captured, on our clock.
    pub fn prepare(&mut self, packet: &mut rtp::Packet, captured: Instant, ntp_captured: Option<u64>) {
        packet.header.payload_type = self.info.payload_type;
        packet.header.ssrc = self.info.ssrc;
        if let Some(id) = self.ids.mid {
            set_extension(packet, id, self.mid.clone());
        }
        if let Some(id) = self.ids.rid.filter(|_| !self.rid.is_empty()) {
            set_extension(packet, id, self.rid.clone());
        }
        if let (Some(id), Some(ntp)) = (self.ids.abs_capture_time, ntp_captured) {
            set_extension(packet, id, Bytes::copy_from_slice(&ntp.to_be_bytes()));
        }
        self.counters.packets += 1;
        self.counters.bytes += packet.payload.len() as u64;
        self.sent_since_report = true;
        self.reference = Some(Reference {
            timestamp: packet.header.timestamp,
            captured,
        });
        if self.info.ssrc_rtx.is_some() || self.wants_nack() {
            if self.history.len() == HISTORY {
                self.history.pop_front();
            }
            self.history.push_back((packet.clone(), None));
        }
    }

    fn wants_nack(&self) -> bool {
        self.info
            .rtcp_feedback
            .iter()
            .any(|fb| fb.typ == "nack" && fb.parameter.is_empty())
    }

    /// The packet to send for a requested sequence number: on the RTX stream (RFC 4588 §4) where there is one.
    pub fn repair(&mut self, now: Instant, sequence: u16) -> Option<rtp::Packet> {
        let (packet, repaired_at) = self
            .history
            .iter_mut()
            .rev()
            .find(|(packet, _)| packet.header.sequence_number == sequence)?;
        if repaired_at.is_some_and(|at| now.saturating_duration_since(at) < REPAIR_EVERY) {
            return None;
        }
        *repaired_at = Some(now);
        let mut repair = packet.clone();
        if let (Some(ssrc), Some(payload_type)) = (self.info.ssrc_rtx, self.info.payload_type_rtx) {
            repair.header.ssrc = ssrc;
            repair.header.payload_type = payload_type;
            repair.header.sequence_number = self.repair_sequence;
            self.repair_sequence = self.repair_sequence.wrapping_add(1);
            let mut payload = BytesMut::with_capacity(2 + packet.payload.len());
            payload.put_u16(sequence);
            payload.extend_from_slice(&packet.payload);
            repair.payload = payload.freeze();
            if let Some(id) = self.ids.rid.filter(|_| !self.rid.is_empty()) {
                repair.header.extensions.retain(|e| e.id != id);
            }
            if let Some(id) = self.ids.repaired_rid.filter(|_| !self.rid.is_empty()) {
                set_extension(&mut repair, id, self.rid.clone());
            }
        }
        self.counters.repaired_packets += 1;
        self.counters.repaired_bytes += repair.payload.len() as u64;
        Some(repair)
    }

    pub fn on_nack(&mut self) {
        self.counters.nacks += 1;
    }

    pub fn on_key_frame_request(&mut self) {
        self.counters.plis += 1;
    }

    /// The receiver's report block about this stream, arrived at `now`.
    pub fn on_report(&mut self, now: Instant, wall: &WallClock, block: &ReceptionReport) {
        self.counters.remote_lost = block.total_lost;
        self.counters.remote_fraction_lost = block.fraction_lost;
        self.counters.remote_jitter = f64::from(block.jitter) / f64::from(self.info.clock_rate.max(1));
        if block.last_sender_report != 0 {
            // RFC 3550 §6.4.1: A - LSR - DLSR, in units of 1/65536 s.
            let arrived = (wall.ntp(now) >> 16) as u32;
            let round_trip = arrived.wrapping_sub(block.last_sender_report).wrapping_sub(block.delay);
            if round_trip < 60 << 16 {
                let seconds = f64::from(round_trip) / 65536.0;
                self.counters.round_trip = Some(seconds);
                self.counters.round_trip_total += seconds;
                self.counters.round_trips += 1;
            }
        }
    }

    /// The sender report for `now`, if anything was sent since the last one.
    pub fn report(&mut self, now: Instant, wall: &WallClock) -> Option<SenderReport> {
        if !std::mem::take(&mut self.sent_since_report) {
            return None;
        }
        let reference = self.reference?;
        // Negative where media is written ahead of its capture time.
        let since = now.saturating_duration_since(reference.captured).as_secs_f64()
            - reference.captured.saturating_duration_since(now).as_secs_f64();
        let ticks = (since * f64::from(self.info.clock_rate)).round() as i64;
        Some(SenderReport {
            ssrc: self.info.ssrc,
            ntp_time: wall.ntp(now),
            rtp_time: reference.timestamp.wrapping_add(ticks as u32),
            packet_count: self.counters.packets as u32,
            octet_count: self.counters.bytes as u32,
            reports: Vec::new(),
            profile_extensions: Bytes::new(),
        })
    }

    pub fn counters(&self) -> OutboundCounters {
        self.counters
    }
}

fn set_extension(packet: &mut rtp::Packet, id: u8, value: Bytes) {
    // Refused only for values that fit no extension form, which none of ours is.
    if let Err(error) = packet.header.set_extension(id, value) {
        log::debug!("header extension {id} left out: {error}");
    }
    // The core counts on it when it adds an extension of its own, and does not keep it right where one is replaced.
    let written = packet.header.get_extension_payload_len();
    packet.header.extensions_padding = written.next_multiple_of(4) - written;
}

#[cfg(test)]
mod tests {
    use super::*;
    use rtc::interceptor::{RTCPFeedback, RTPHeaderExtension};
    use rtc::shared::marshal::{Marshal as _, MarshalSize as _};

    fn info() -> StreamInfo {
        StreamInfo {
            ssrc: 1,
            ssrc_rtx: Some(2),
            payload_type: 96,
            payload_type_rtx: Some(97),
            clock_rate: 90_000,
            rtcp_feedback: vec![RTCPFeedback {
                typ: "nack".into(),
                parameter: String::new(),
            }],
            rtp_header_extensions: vec![
                RTPHeaderExtension {
                    uri: URI_MID.into(),
                    id: 1,
                },
                RTPHeaderExtension {
                    uri: URI_RID.into(),
                    id: 2,
                },
                RTPHeaderExtension {
                    uri: URI_REPAIRED_RID.into(),
                    id: 3,
                },
            ],
            ..StreamInfo::default()
        }
    }

    fn packet(sequence: u16, timestamp: u32) -> rtp::Packet {
        rtp::Packet {
            header: rtp::Header {
                version: 2,
                sequence_number: sequence,
                timestamp,
                ..Default::default()
            },
            payload: Bytes::from_static(b"media"),
        }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "an origin for instants; its value does not matter"
    )]
    fn origin() -> Instant {
        Instant::now()
    }

    #[test]
    fn a_repair_is_the_original_behind_its_sequence_number() {
        let (mut stream, now) = (OutboundStream::new(info(), "4", "h"), origin());
        let mut sent = packet(7, 100);
        stream.prepare(&mut sent, now, None);
        assert_eq!((sent.header.ssrc, sent.header.payload_type), (1, 96));
        assert_eq!(sent.header.get_extension(2).as_deref(), Some(&b"h"[..]));
        let repair = stream.repair(now, 7).expect("it is in the history");
        assert_eq!(
            (repair.header.ssrc, repair.header.payload_type, repair.header.timestamp),
            (2, 97, 100)
        );
        assert_eq!(&repair.payload[..], b"\x00\x07media");
        let written = repair.marshal().expect("what is announced is written");
        assert_eq!(written.len(), repair.marshal_size());
        assert_eq!(repair.header.get_extension(3).as_deref(), Some(&b"h"[..]));
        assert_eq!(
            repair.header.get_extension(2),
            None,
            "the RTX stream names its stream as repaired"
        );
        assert!(
            stream.repair(now + Duration::from_millis(5), 7).is_none(),
            "two crossing requests, one repair"
        );
        assert!(stream.repair(now + Duration::from_millis(30), 7).is_some());
        assert!(stream.repair(now, 8).is_none(), "never sent");
    }

    #[test]
    fn what_is_announced_is_written_whatever_extensions_follow() {
        let mut info = info();
        info.rtp_header_extensions.push(RTPHeaderExtension {
            uri: URI_ABS_CAPTURE_TIME.into(),
            id: 4,
        });
        let now = origin();
        for (rid, stamp) in [("h", Some(1)), ("h", None), ("", Some(1)), ("", None)] {
            let mut stream = OutboundStream::new(info.clone(), "4", rid);
            let mut sent = packet(7, 100);
            stream.prepare(&mut sent, now, stamp);
            // As the core does it with the number that transport-wide feedback is about.
            let number = Bytes::from_static(&[0, 9]);
            sent.header.set_extension(5, number).expect("a free id");
            let written = sent.marshal().expect("written");
            assert_eq!(written.len(), sent.marshal_size(), "rid {rid:?}, stamp {stamp:?}");
            assert!(written.ends_with(b"media"), "rid {rid:?}, stamp {stamp:?}");
        }
    }

    #[test]
    fn reports_stand_on_the_capture_clock() {
        let (mut stream, now) = (OutboundStream::new(info(), "4", ""), origin());
        let wall = WallClock::new(now, Duration::from_secs(1_000));
        assert!(stream.report(now, &wall).is_none());
        stream.prepare(&mut packet(1, 9_000), now, None);
        let report = stream
            .report(now + Duration::from_millis(500), &wall)
            .expect("something was sent");
        assert_eq!(
            (report.rtp_time, report.packet_count, report.octet_count),
            (9_000 + 45_000, 1, 5)
        );
        assert_eq!(report.ntp_time >> 32, 2_208_988_800 + 1_000);
        assert!(
            stream.report(now + Duration::from_secs(1), &wall).is_none(),
            "silent streams are not reported"
        );
    }

    #[test]
    fn round_trips_are_measured_from_report_blocks() {
        let (mut stream, now) = (OutboundStream::new(info(), "4", ""), origin());
        let wall = WallClock::new(now, Duration::from_secs(1_000));
        let lsr = (wall.ntp(now) >> 16) as u32;
        let block = ReceptionReport {
            last_sender_report: lsr,
            delay: 65_536 / 10,
            ..Default::default()
        };
        stream.on_report(now + Duration::from_millis(150), &wall, &block);
        let measured = stream.counters().round_trip.expect("measured");
        assert!((measured - 0.050).abs() < 0.001, "{measured}");
    }
}
