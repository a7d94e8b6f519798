//! RTP and RTCP of one peer connection, as the one interceptor of ours in the engine's chain.
//!
//! On the way in it takes every packet: RTX is unwrapped, copies are dropped, gaps are asked for, receiver reports name
//! the streams that were heard, and what is left goes to the tracks. Nothing travels on to the engine's own endpoint,
//! which would look each packet's track up again. On the way out it completes packets, repairs and reports.

mod interceptor;
pub(crate) mod receive;
mod repair;
pub(crate) mod send;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rtc::interceptor::{AttributedPacket, Packet, TaggedPacket};
use rtc::rtcp::goodbye::Goodbye;
use rtc::rtcp::packet::Packet as RtcpPacket;
use rtc::rtcp::payload_feedbacks::full_intra_request::FullIntraRequest;
use rtc::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc::rtcp::receiver_report::ReceiverReport;
use rtc::rtcp::reception_report::ReceptionReport;
use rtc::rtcp::sender_report::SenderReport as RtcpSenderReport;
use rtc::rtcp::transport_feedbacks::transport_layer_nack::{
    NackPair, TransportLayerNack, nack_pairs_from_sequence_numbers,
};
use rtc::rtp;
use rtc::shared::TransportContext;

pub(crate) use self::interceptor::RtpInterceptor;
use self::receive::{InboundStream, Verdict};
use self::send::{OutboundCounters, OutboundStream};
use super::remote::RemoteTrack;
use super::sdp::Section;
use crate::raw::{InboundCounters, RtpPacket, SenderReport};

const REPORT_EVERY: Duration = Duration::from_secs(1);
/// RFC 3550 §6.4.1: the count of report blocks has five bits.
const BLOCKS_PER_REPORT: usize = 31;
/// Bytes of a compound, so that a datagram fits any path with what SRTP and the tunnels on it add.
const MAX_COMPOUND: usize = 1100;
/// Pairs of four bytes, one such request being smaller than a compound may be.
const PAIRS_PER_NACK: usize = 250;
/// Packets that arrive before the description that names their SSRC.
const EARLY_PACKETS: usize = 256;

/// Maps our monotonic clock to wall time, once: sender reports never jump with the system's clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WallClock {
    anchor: Instant,
    since_epoch: Duration,
}

impl WallClock {
    /// `since_epoch` is the Unix time at `anchor`.
    pub fn new(anchor: Instant, since_epoch: Duration) -> Self {
        Self { anchor, since_epoch }
    }

    /// The Unix time of an instant.
    pub fn unix(&self, at: Instant) -> Duration {
        (self.since_epoch + at.saturating_duration_since(self.anchor))
            .saturating_sub(self.anchor.saturating_duration_since(at))
    }

    /// The NTP timestamp (RFC 3550 §4) of an instant: 32.32 fixed point, seconds since 1900.
    pub fn ntp(&self, at: Instant) -> u64 {
        const UNIX_TO_NTP: u64 = 2_208_988_800;
        let unix = self.unix(at);
        let fraction = (u64::from(unix.subsec_nanos()) << 32) / 1_000_000_000;
        ((unix.as_secs() + UNIX_TO_NTP) << 32) | fraction
    }
}

/// Something for a track, to be handed over once the engine's lock is free.
pub(crate) enum Delivery {
    Packet(Arc<RemoteTrack>, RtpPacket),
    Report(Arc<RemoteTrack>, SenderReport),
    Ended(Arc<RemoteTrack>),
    /// The receiver of this SSRC wants a key frame.
    KeyFrameRequest(u32),
}

struct RepairOf {
    ssrc: u32,
    /// RTX payload type to the one it repairs (RFC 4588 §8.6).
    payload_types: Vec<(u8, u8)>,
}

/// The state behind the interceptor, shared with the engine that owns the chain.
pub(crate) struct RtpState {
    wall: WallClock,
    local_ssrc: u32,
    inbound: HashMap<u32, InboundStream>,
    repairs: HashMap<u32, RepairOf>,
    outbound: HashMap<u32, OutboundStream>,
    /// What the engine must know of a sender before its streams are bound: SSRC to (mid, rid).
    announced: HashMap<u32, (String, String)>,
    early: VecDeque<(Instant, rtp::Packet)>,
    deliveries: Vec<Delivery>,
    next_report: Option<Instant>,
    unknown: u64,
}

pub(crate) type SharedRtp = Arc<Mutex<RtpState>>;

impl RtpState {
    pub fn new(wall: WallClock) -> Self {
        Self {
            wall,
            local_ssrc: rand::random(),
            inbound: HashMap::new(),
            repairs: HashMap::new(),
            outbound: HashMap::new(),
            announced: HashMap::new(),
            early: VecDeque::new(),
            deliveries: Vec::new(),
            next_report: None,
            unknown: 0,
        }
    }

    pub fn wall(&self) -> &WallClock {
        &self.wall
    }

    pub fn take_deliveries(&mut self, into: &mut Vec<Delivery>) {
        into.append(&mut self.deliveries);
    }

    /// Points a section's SSRCs at its track. SSRCs that were the track's and are not in the section any more are gone.
    pub fn assign(&mut self, track: &Arc<RemoteTrack>, section: &Section) {
        self.forget_streams(|ssrc, stream| Arc::ptr_eq(&stream.track, track) && !section.ssrcs.contains(&ssrc));
        let codec = section.codecs.iter().find(|c| !c.is_rtx());
        let (clock_rate, nack) = codec.map_or((90_000, false), |c| (c.clock_rate, c.has_nack()));
        for &ssrc in &section.ssrcs {
            match self.inbound.get_mut(&ssrc) {
                Some(stream) if Arc::ptr_eq(&stream.track, track) => stream.renegotiated(clock_rate, nack),
                _ => {
                    self.inbound
                        .insert(ssrc, InboundStream::new(Arc::clone(track), ssrc, clock_rate, nack));
                }
            }
        }
        let payload_types: Vec<(u8, u8)> = section
            .codecs
            .iter()
            .filter(|c| c.is_rtx())
            .filter_map(|c| Some((c.payload_type, c.apt()?)))
            .collect();
        for &(ssrc, rtx) in &section.fid {
            self.repairs.insert(
                rtx,
                RepairOf {
                    ssrc,
                    payload_types: payload_types.clone(),
                },
            );
        }
        self.replay_early();
    }

    /// Ends a track: its streams are unbound, so that nothing of it is reported or asked for again.
    pub fn release(&mut self, track: &Arc<RemoteTrack>) {
        self.forget_streams(|_, stream| Arc::ptr_eq(&stream.track, track));
        self.deliveries.push(Delivery::Ended(Arc::clone(track)));
    }

    /// Forgets everything but what is to be told yet.
    pub fn let_go(&mut self) {
        self.inbound = HashMap::new();
        self.repairs = HashMap::new();
        self.outbound = HashMap::new();
        self.announced = HashMap::new();
        self.early = VecDeque::new();
    }

    fn forget_streams(&mut self, gone: impl Fn(u32, &InboundStream) -> bool) {
        self.inbound.retain(|ssrc, stream| !gone(*ssrc, stream));
        self.repairs.retain(|_, repair| self.inbound.contains_key(&repair.ssrc));
    }

    fn replay_early(&mut self) {
        for (arrival, packet) in std::mem::take(&mut self.early) {
            self.on_rtp(arrival, packet);
        }
    }

    fn on_rtp(&mut self, now: Instant, packet: rtp::Packet) {
        let ssrc = packet.header.ssrc;
        if let Some(stream) = self.inbound.get_mut(&ssrc) {
            receive(stream, &mut self.deliveries, now, packet, false);
        } else if let Some(repair) = self.repairs.get(&ssrc) {
            if let Some((stream, packet)) = self.inbound.get_mut(&repair.ssrc).zip(unwrap_rtx(repair, packet)) {
                receive(stream, &mut self.deliveries, now, packet, true);
            }
        } else {
            if self.early.len() == EARLY_PACKETS {
                self.early.pop_front();
                self.unknown += 1;
            }
            self.early.push_back((now, packet));
        }
        self.arm_reports(now);
    }

    fn arm_reports(&mut self, now: Instant) {
        self.next_report.get_or_insert(now + REPORT_EVERY);
    }

    fn on_rtcp(&mut self, now: Instant, packets: &[Box<dyn RtcpPacket>], out: &mut VecDeque<TaggedPacket>) {
        for packet in packets {
            let any = packet.as_any();
            if let Some(report) = any.downcast_ref::<RtcpSenderReport>() {
                self.on_sender_report(now, report);
                self.on_report_blocks(now, &report.reports);
            } else if let Some(report) = any.downcast_ref::<ReceiverReport>() {
                self.on_report_blocks(now, &report.reports);
            } else if let Some(nack) = any.downcast_ref::<TransportLayerNack>() {
                self.on_nack(now, nack, out);
            } else if let Some(pli) = any.downcast_ref::<PictureLossIndication>() {
                self.on_key_frame_request(pli.media_ssrc);
            } else if let Some(fir) = any.downcast_ref::<FullIntraRequest>() {
                fir.fir.iter().for_each(|entry| self.on_key_frame_request(entry.ssrc));
            } else if let Some(bye) = any.downcast_ref::<Goodbye>() {
                log::debug!("goodbye of {:?}: the tracks end with the description", bye.sources);
            }
        }
    }

    fn on_sender_report(&mut self, now: Instant, report: &RtcpSenderReport) {
        let Some(stream) = self.inbound.get_mut(&report.ssrc) else {
            return;
        };
        let report = SenderReport {
            arrival: now,
            ssrc: report.ssrc,
            ntp_time: report.ntp_time,
            rtp_time: report.rtp_time,
            packet_count: report.packet_count,
            octet_count: report.octet_count,
        };
        stream.sender_report(&report);
        self.deliveries
            .push(Delivery::Report(Arc::clone(&stream.track), report));
    }

    fn on_report_blocks(&mut self, now: Instant, blocks: &[ReceptionReport]) {
        for block in blocks {
            if let Some(stream) = self.outbound.get_mut(&block.ssrc) {
                stream.on_report(now, &self.wall, block);
            }
        }
    }

    fn on_nack(&mut self, now: Instant, nack: &TransportLayerNack, out: &mut VecDeque<TaggedPacket>) {
        let Some(stream) = self.outbound.get_mut(&nack.media_ssrc) else {
            return;
        };
        stream.on_nack();
        for sequence in nack.nacks.iter().flat_map(NackPair::packet_list) {
            if let Some(repair) = stream.repair(now, sequence) {
                out.push_back(tagged(now, Packet::Rtp(repair)));
            }
        }
    }

    fn on_key_frame_request(&mut self, ssrc: u32) {
        if let Some(stream) = self.outbound.get_mut(&ssrc) {
            stream.on_key_frame_request();
            self.deliveries.push(Delivery::KeyFrameRequest(ssrc));
        }
    }

    /// The PLI to send for each of these streams, where one is due.
    pub fn key_frame_requests(&mut self, now: Instant, ssrcs: &[u32]) -> Vec<Box<dyn RtcpPacket>> {
        let mut requests: Vec<Box<dyn RtcpPacket>> = Vec::new();
        for &ssrc in ssrcs {
            if self.inbound.get_mut(&ssrc).is_some_and(|stream| stream.take_pli(now)) {
                requests.push(Box::new(PictureLossIndication {
                    sender_ssrc: self.local_ssrc,
                    media_ssrc: ssrc,
                }));
            }
        }
        requests
    }

    /// Tells the section and layer of a local SSRC before the engine binds it.
    pub fn announce(&mut self, ssrc: u32, mid: &str, rid: &str) {
        self.announced.insert(ssrc, (mid.to_owned(), rid.to_owned()));
    }

    /// Forgets a local stream that will not be sent again.
    pub fn retract(&mut self, ssrc: u32) {
        self.announced.remove(&ssrc);
        self.outbound.remove(&ssrc);
    }

    /// How much is kept: received streams, their repairs, sent streams, announced ones.
    #[cfg(test)]
    pub fn sizes(&self) -> [usize; 4] {
        [
            self.inbound.len(),
            self.repairs.len(),
            self.outbound.len(),
            self.announced.len(),
        ]
    }

    /// As if no description had named a stream.
    #[cfg(test)]
    pub fn forget_assignments(&mut self) {
        self.inbound.clear();
        self.repairs.clear();
    }

    /// Completes a packet of a local stream; `None` while the stream is not negotiated.
    pub fn prepare(
        &mut self,
        now: Instant,
        ssrc: u32,
        mut packet: rtp::Packet,
        captured: Instant,
        stamp_capture: bool,
    ) -> Option<rtp::Packet> {
        let ntp = stamp_capture.then(|| self.wall.ntp(captured));
        self.outbound.get_mut(&ssrc)?.prepare(&mut packet, captured, ntp);
        self.arm_reports(now);
        Some(packet)
    }

    pub fn inbound_counters(&self, ssrcs: &[u32]) -> Vec<InboundCounters> {
        ssrcs
            .iter()
            .filter_map(|ssrc| self.inbound.get(ssrc))
            .map(InboundStream::counters)
            .collect()
    }

    pub fn outbound_counters(&self, ssrc: u32) -> Option<(u8, OutboundCounters)> {
        self.outbound
            .get(&ssrc)
            .map(|stream| (stream.payload_type(), stream.counters()))
    }

    fn due(&self) -> Option<Instant> {
        let requests = self.inbound.values().filter_map(InboundStream::next_request).min();
        [self.next_report, requests].into_iter().flatten().min()
    }

    fn timeout(&mut self, now: Instant, out: &mut VecDeque<TaggedPacket>) {
        let mut packets: Vec<Box<dyn RtcpPacket>> = Vec::new();
        for (&ssrc, stream) in &mut self.inbound {
            let missing = nack_pairs_from_sequence_numbers(&stream.requests(now));
            for nacks in missing.chunks(PAIRS_PER_NACK) {
                packets.push(Box::new(TransportLayerNack {
                    sender_ssrc: self.local_ssrc,
                    media_ssrc: ssrc,
                    nacks: nacks.to_vec(),
                }));
            }
        }
        if self.next_report.is_some_and(|at| at <= now) {
            self.next_report = Some(now + REPORT_EVERY);
            self.reports(now, &mut packets);
        }
        out.extend(compounds(packets).map(|compound| tagged(now, Packet::Rtcp(compound))));
    }

    fn reports(&mut self, now: Instant, packets: &mut Vec<Box<dyn RtcpPacket>>) {
        for stream in self.outbound.values_mut() {
            if let Some(report) = stream.report(now, &self.wall) {
                packets.push(Box::new(report));
            }
        }
        let blocks: Vec<ReceptionReport> = self
            .inbound
            .values_mut()
            .filter_map(|stream| stream.report(now))
            .collect();
        for blocks in blocks.chunks(BLOCKS_PER_REPORT) {
            packets.push(Box::new(ReceiverReport {
                ssrc: self.local_ssrc,
                reports: blocks.to_vec(),
                ..ReceiverReport::default()
            }));
        }
    }
}

/// Packets put together into compounds, each small enough for a datagram.
fn compounds(packets: Vec<Box<dyn RtcpPacket>>) -> impl Iterator<Item = Vec<Box<dyn RtcpPacket>>> {
    let mut packets = packets.into_iter().peekable();
    std::iter::from_fn(move || {
        let mut compound = vec![packets.next()?];
        let mut len = compound[0].marshal_size();
        while let Some(next) = packets.next_if(|next| len + next.marshal_size() <= MAX_COMPOUND) {
            len += next.marshal_size();
            compound.push(next);
        }
        Some(compound)
    })
}

fn tagged(now: Instant, packet: Packet) -> TaggedPacket {
    TaggedPacket {
        now,
        transport: TransportContext::default(),
        message: AttributedPacket::new(packet),
    }
}

fn receive(
    stream: &mut InboundStream,
    deliveries: &mut Vec<Delivery>,
    now: Instant,
    packet: rtp::Packet,
    repaired: bool,
) {
    let rtp::Packet { mut header, payload } = packet;
    // The payload comes without its padding, so the header must not promise any; and the core counts the bytes between
    // extensions as if they would be written again, which they are not.
    (header.padding, header.extensions_padding) = (false, 0);
    if stream.receive(now, header.sequence_number, header.timestamp, payload.len(), repaired) == Verdict::Deliver {
        let packet = RtpPacket {
            arrival: now,
            header,
            payload,
            repaired,
        };
        deliveries.push(Delivery::Packet(Arc::clone(&stream.track), packet));
    }
}

/// RFC 4588 §4: the original's sequence number comes first, the rest is its payload. A probe of padding has none.
fn unwrap_rtx(repair: &RepairOf, mut packet: rtp::Packet) -> Option<rtp::Packet> {
    let original = packet.payload.get(..2)?;
    let sequence = u16::from_be_bytes([original[0], original[1]]);
    let (_, payload_type) = repair
        .payload_types
        .iter()
        .find(|(rtx, _)| *rtx == packet.header.payload_type)?;
    packet.header.ssrc = repair.ssrc;
    packet.header.payload_type = *payload_type;
    packet.header.sequence_number = sequence;
    packet.payload = packet.payload.slice(2..);
    Some(packet)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compounds_fit_a_datagram_and_leave_nothing_out() {
        let nack = |pairs| -> Box<dyn RtcpPacket> {
            Box::new(TransportLayerNack {
                nacks: vec![NackPair::default(); pairs],
                ..TransportLayerNack::default()
            })
        };
        let compounds: Vec<_> = compounds((0..40).map(|n| nack(1 + n * 6)).collect()).collect();
        assert_eq!(compounds.iter().map(Vec::len).sum::<usize>(), 40);
        assert!(compounds.len() > 10);
        for compound in &compounds {
            let len: usize = compound.iter().map(|packet| packet.marshal_size()).sum();
            assert!(len <= MAX_COMPOUND, "{len}");
        }
        assert_eq!(super::compounds(Vec::new()).count(), 0);
    }
}
