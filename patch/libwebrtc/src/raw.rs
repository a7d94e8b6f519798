//! RTP in and out: what this crate has and the C++ library has not.
//!
//! A remote track hands out every packet as it came off SRTP, with retransmissions unwrapped (RFC 4588) and duplicates
//! dropped, in order of arrival. A local track takes packets that somebody has already encoded. Nothing is decoded.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use bytes::{BufMut, Bytes, BytesMut};
use thiserror::Error;

pub use crate::driver::{Settings, configure};
pub use crate::engine::local::{LocalRtp, OutgoingPacket, Written};
pub use crate::engine::sdp::{Codec, HeaderExtension};
pub use rtc::rtp::header::Header as RtpHeader;

use crate::audio_track::RtcAudioTrack;
use crate::engine::remote::RemoteTrack;
use crate::media_stream_track::MediaStreamTrack;
use crate::video_track::RtcVideoTrack;

/// How many peer connections this process has in memory, closed ones among them: one or two for each room it is in. Who
/// leaves a room gives theirs back, once nothing of the room is held any more.
pub fn peer_connections() -> usize {
    crate::driver::Peer::existing()
}

/// One received RTP packet.
#[derive(Debug, Clone)]
pub struct RtpPacket {
    /// When the kernel received it, on this process's monotonic clock.
    pub arrival: Instant,
    pub header: RtpHeader,
    /// Without padding.
    pub payload: Bytes,
    /// It came as a retransmission; `header` is the original's.
    pub repaired: bool,
}

impl RtpPacket {
    /// The packet's bytes (RFC 3550 §5.1), appended to `out`. A fixed header, its extensions, the payload; no padding.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        use rtc::shared::marshal::{Marshal, MarshalSize};
        let start = out.len();
        out.resize(start + self.header.marshal_size(), 0);
        // A header that was parsed can be written: the buffer has exactly the size it asks for.
        if self.header.marshal_to(&mut out[start..]).is_err() {
            out.truncate(start);
            return;
        }
        out.extend_from_slice(&self.payload);
    }

    /// The packet's bytes in a buffer of their own.
    pub fn to_bytes(&self) -> Bytes {
        let mut out = Vec::with_capacity(self.payload.len() + 32);
        self.write_to(&mut out);
        out.into()
    }
}

/// A sender report (RFC 3550 §6.4.1): the sender's wall clock at one RTP timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SenderReport {
    /// When it arrived, on this process's monotonic clock.
    pub arrival: Instant,
    pub ssrc: u32,
    /// 64-bit NTP timestamp: seconds since 1900 in 32.32 fixed point.
    pub ntp_time: u64,
    pub rtp_time: u32,
    pub packet_count: u32,
    pub octet_count: u32,
}

impl SenderReport {
    /// The report as an RTCP packet without report blocks (28 bytes).
    pub fn to_bytes(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(28);
        out.put_slice(&[0x80, 200, 0, 6]);
        out.put_u32(self.ssrc);
        out.put_u64(self.ntp_time);
        out.put_u32(self.rtp_time);
        out.put_u32(self.packet_count);
        out.put_u32(self.octet_count);
        out.freeze()
    }
}

/// Takes what a remote track receives.
///
/// Called on a media thread that serves many rooms: hand the packet over and return. Anything slow (a lock that disk I/O
/// holds, a file, a full channel that is waited for) delays every room of that thread until the kernel drops packets.
pub trait RtpSink: Send {
    fn packet(&mut self, packet: RtpPacket);
    fn sender_report(&mut self, report: SenderReport);
    /// No more packets of this track will come: its `m=` section went to another track, ended, or the connection closed.
    fn ended(&mut self) {}
}

/// Counters of one received stream, as RFC 3550 §6.4.1 defines them.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct InboundCounters {
    pub ssrc: u32,
    /// Distinct packets, repaired ones included.
    pub packets: u64,
    /// RTP payload bytes.
    pub bytes: u64,
    /// Packets that came as retransmissions.
    pub repaired: u64,
    /// Retransmissions and copies of packets that were there already.
    pub duplicates: u64,
    /// Expected minus received, so far. A packet still under repair counts.
    pub lost: i64,
    /// Packets given up on after the last request, or too old to ask for.
    pub unrepaired: u64,
    /// Packets that did not come in twice the time that an answer to a request takes, and those given up before.
    pub overdue: u64,
    /// Those of them that came after all.
    pub came_overdue: u64,
    /// Sequence numbers requested again (the sum over all NACKs).
    pub nacked: u64,
    pub nacks: u32,
    pub plis: u32,
    /// Interarrival jitter in seconds.
    pub jitter: f64,
    /// Dropped because no sink took them in time.
    pub overflowed: u64,
}

/// Why RTP could not be sent, or why something that the C++ library does is refused here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RawError {
    /// The SDK asked for end-to-end encryption of this sender; sending would put media on the wire in clear.
    #[error("end-to-end encryption is not built: nothing is sent, so that no media leaves in clear")]
    EncryptionNotBuilt,
    /// The SDK asked for packet trailers on this sender.
    #[error("packet trailers are not built: publish without frame metadata")]
    PacketTrailerNotBuilt,
    /// There is no such simulcast layer on this track.
    #[error("the track has {layers} layers, there is no layer {layer}")]
    NoSuchLayer { layer: usize, layers: usize },
    /// The payload is too large for one packet.
    #[error("payload of {size} bytes does not fit one packet of at most {max}")]
    TooLarge { size: usize, max: usize },
    /// The codec of the frame is not the one this track was published with.
    #[error("the frame's codec is not the one that was negotiated")]
    WrongCodec,
}

/// What the raw interface adds to a remote track.
pub trait RemoteTrackExt {
    /// Sends everything received from now on, and what has been kept since the track appeared (up to a bound), to `sink`. `None`
    /// detaches it; packets are then dropped and counted.
    fn set_rtp_sink(&self, sink: Option<Box<dyn RtpSink>>);
    /// Asks the sender for a key frame (PLI, RFC 4585 §6.3.1). Requests within 200 ms of one another are sent once.
    fn request_key_frame(&self);
    /// The codecs negotiated for this track: a packet's payload type says which one it carries.
    fn codecs(&self) -> Vec<Codec>;
    /// The header extensions negotiated for this track.
    fn header_extensions(&self) -> Vec<HeaderExtension>;
    /// Counters of the track's streams; one entry per SSRC that has been announced.
    fn counters(&self) -> Vec<InboundCounters>;
}

macro_rules! remote_track_ext {
    ($($ty:ty),+) => { $(
        impl RemoteTrackExt for $ty {
            fn set_rtp_sink(&self, sink: Option<Box<dyn RtpSink>>) {
                if let Some(track) = self.remote() { track.set_sink(sink) }
            }
            fn request_key_frame(&self) {
                if let Some(track) = self.remote() { track.request_key_frame() }
            }
            fn codecs(&self) -> Vec<Codec> {
                self.remote().map(RemoteTrack::codecs).unwrap_or_default()
            }
            fn header_extensions(&self) -> Vec<HeaderExtension> {
                self.remote().map(RemoteTrack::header_extensions).unwrap_or_default()
            }
            fn counters(&self) -> Vec<InboundCounters> {
                self.remote().map(RemoteTrack::counters).unwrap_or_default()
            }
        }
    )+ };
}

remote_track_ext!(RtcVideoTrack, RtcAudioTrack, MediaStreamTrack);

/// Told when a receiver of a local track wants a key frame: the index of the layer asked for.
pub type OnKeyFrameRequest = Arc<dyn Fn(usize) + Send + Sync>;

/// The RTP input of a local track; `None` for a remote one.
pub trait LocalTrackExt {
    fn rtp(&self) -> Option<LocalRtp>;
}

impl LocalTrackExt for RtcVideoTrack {
    fn rtp(&self) -> Option<LocalRtp> {
        self.local().cloned().map(LocalRtp::new)
    }
}

impl LocalTrackExt for RtcAudioTrack {
    fn rtp(&self) -> Option<LocalRtp> {
        self.local().cloned().map(LocalRtp::new)
    }
}

impl fmt::Display for SenderReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "sender report ssrc {} rtp {} ntp {:#018x}",
            self.ssrc, self.rtp_time, self.ntp_time
        )
    }
}

#[cfg(test)]
mod tests {
    use rtc::rtp::Packet;
    use rtc::shared::marshal::Unmarshal;

    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "an instant; its value does not matter")]
    fn a_packet_is_written_as_it_was_but_for_padding() {
        // One-byte extensions with three bytes between them that mean nothing, and four bytes of padding.
        let received: &[u8] = &[
            0xb0, 0xe0, 0x12, 0x34, 0, 0, 0, 9, 0, 0, 0, 7, 0xbe, 0xde, 0, 2, 0, 0, 0x10, b'4', 0x20, b'h', 0, 0, b'm',
            b'e', 0, 0, 0, 4,
        ];
        let Packet { mut header, payload } = Packet::unmarshal(&mut &received[..]).expect("a packet");
        assert_eq!((header.padding, header.extensions_padding), (true, 4));
        (header.padding, header.extensions_padding) = (false, 0);
        let packet = RtpPacket {
            arrival: Instant::now(),
            header,
            payload,
            repaired: false,
        };
        let written = packet.to_bytes();
        let again = Packet::unmarshal(&mut &written[..]).expect("a packet");
        assert_eq!(again.payload, &b"me"[..]);
        assert_eq!(again.header.get_extension(1).as_deref(), Some(&b"4"[..]));
        assert_eq!(again.header.get_extension(2).as_deref(), Some(&b"h"[..]));
        assert_eq!(written.len(), 12 + 4 + 4 + 2);
    }
}
