//! Statistics, from what was counted.

use std::sync::Arc;
use std::time::Instant;

use rtc::peer_connection::transport::RTCIceCandidateType;
use rtc::statistics::StatsSelector;
use rtc::statistics::report::RTCStatsReportEntry;
use rtc::statistics::stats::ice_candidate::RTCIceCandidateStats;
use rtc::statistics::stats::ice_candidate_pair::RTCIceCandidatePairStats;
use rtc::statistics::stats::transport::RTCTransportStats;

use super::Engine;
use super::remote::RemoteTrack;
use super::sdp::Codec;
use super::sender::SenderInner;
use crate::peer_connection::{IceConnectionState, PeerConnectionState};
use crate::raw::InboundCounters;
use crate::stats::{
    CandidatePairStats, CodecStats, DataChannelStats, DtlsTransportState, IceCandidateType, IceTransportState,
    InboundRtpStats, LocalCandidateStats, OutboundRtpStats, PeerConnectionStats, RemoteCandidateStats,
    RemoteInboundRtpStats, RtcStats, TransportStats, dictionaries,
};

const TRANSPORT: &str = "T01";

/// Identity and time of the entries of one report.
struct Report {
    timestamp: i64,
    entries: Vec<RtcStats>,
}

impl Report {
    fn head(&self, id: impl Into<String>) -> dictionaries::RtcStats {
        dictionaries::RtcStats {
            id: id.into(),
            timestamp: self.timestamp,
        }
    }

    /// The id of the codec's entry, which is added at its first use.
    fn codec(&mut self, codec: &Codec) -> String {
        let id = format!("C{}_{}", codec.payload_type, codec.mime_type.replace('/', "_"));
        let known = |entry: &RtcStats| matches!(entry, RtcStats::Codec(c) if c.rtc.id == id);
        if !self.entries.iter().any(known) {
            let entry = CodecStats {
                rtc: self.head(&id),
                codec: dictionaries::CodecStats {
                    payload_type: codec.payload_type.into(),
                    transport_id: TRANSPORT.into(),
                    mime_type: codec.mime_type.clone(),
                    clock_rate: codec.clock_rate,
                    channels: codec.channels.into(),
                    sdp_fmtp_line: codec.sdp_fmtp_line.clone(),
                },
            };
            self.entries.push(RtcStats::Codec(entry));
        }
        id
    }
}

impl Engine {
    fn report(&self, now: Instant) -> Report {
        let micros = self.rtp.lock().wall().unix(now).as_micros();
        Report {
            timestamp: i64::try_from(micros).unwrap_or(i64::MAX),
            entries: Vec::new(),
        }
    }

    /// Everything there is to say of the connection.
    pub fn stats(&mut self, now: Instant) -> Vec<RtcStats> {
        let mut report = self.report(now);
        let pc = dictionaries::PeerConnectionStats {
            data_channels_opened: self.channels_opened,
            data_channels_closed: self.channels_closed,
        };
        report.entries.push(RtcStats::PeerConnection(PeerConnectionStats {
            rtc: report.head("P"),
            pc,
        }));
        self.transport_stats(now, &mut report);
        self.channel_stats(&mut report);
        for transceiver in self.transceivers() {
            if let Some(received) = transceiver.receiver.current() {
                self.inbound_stats(&mut report, &received.track, transceiver.mid().as_deref());
            }
            self.outbound_stats(&mut report, &transceiver.sender, transceiver.mid().as_deref());
        }
        report.entries
    }

    pub fn receiver_stats(&mut self, now: Instant, track: &Arc<RemoteTrack>) -> Vec<RtcStats> {
        let mut report = self.report(now);
        let mid = self.transceivers.iter().find_map(|t| {
            t.receiver
                .current()
                .filter(|received| Arc::ptr_eq(&received.track, track))
                .and_then(|_| t.mid())
        });
        self.inbound_stats(&mut report, track, mid.as_deref());
        report.entries
    }

    pub fn sender_stats(&mut self, now: Instant, sender: &Arc<SenderInner>) -> Vec<RtcStats> {
        let mut report = self.report(now);
        let mid = self
            .transceivers
            .iter()
            .find(|t| Arc::ptr_eq(&t.sender, sender))
            .and_then(|t| t.mid());
        self.outbound_stats(&mut report, sender, mid.as_deref());
        report.entries
    }

    fn inbound_stats(&self, report: &mut Report, track: &RemoteTrack, mid: Option<&str>) {
        let codec_id = track
            .codecs()
            .iter()
            .find(|c| !c.is_rtx())
            .map(|codec| report.codec(codec))
            .unwrap_or_default();
        for counters in self.inbound_counters(&track.ssrcs()) {
            let InboundCounters {
                ssrc,
                packets,
                bytes,
                repaired,
                lost,
                jitter,
                nacks,
                plis,
                duplicates,
                ..
            } = counters;
            let entry = InboundRtpStats {
                rtc: report.head(format!("I{ssrc}")),
                stream: stream(ssrc, track.is_video(), codec_id.clone()),
                received: dictionaries::ReceivedRtpStreamStats {
                    packets_received: packets,
                    packets_lost: lost,
                    jitter,
                },
                inbound: dictionaries::InboundRtpStreamStats {
                    track_identifier: track.id().to_owned(),
                    mid: mid.unwrap_or_default().to_owned(),
                    bytes_received: bytes,
                    nack_count: nacks,
                    pli_count: plis,
                    packets_discarded: duplicates,
                    retransmitted_packets_received: repaired,
                    ..dictionaries::InboundRtpStreamStats::default()
                },
            };
            report.entries.push(RtcStats::InboundRtp(entry));
        }
    }

    fn outbound_stats(&self, report: &mut Report, sender: &SenderInner, mid: Option<&str>) {
        let Some(track) = sender.track() else { return };
        let video = matches!(track, crate::media_stream_track::MediaStreamTrack::Video(_));
        let codec_id = sender.codec().map(|codec| report.codec(&codec)).unwrap_or_default();
        for layer in sender.layer_list() {
            let Some((_, counters)) = self.rtp.lock().outbound_counters(layer.ssrc) else {
                continue;
            };
            let (id, remote_id) = (format!("O{}", layer.ssrc), format!("R{}", layer.ssrc));
            let outbound = OutboundRtpStats {
                rtc: report.head(&id),
                stream: stream(layer.ssrc, video, codec_id.clone()),
                sent: dictionaries::SentRtpStreamStats {
                    packets_sent: counters.packets,
                    bytes_sent: counters.bytes,
                },
                outbound: dictionaries::OutboundRtpStreamStats {
                    mid: mid.unwrap_or_default().to_owned(),
                    rid: layer.parameters.rid.clone(),
                    remote_id: remote_id.clone(),
                    retransmitted_packets_sent: counters.repaired_packets,
                    retransmitted_bytes_sent: counters.repaired_bytes,
                    rtx_ssrc: layer.rtx.unwrap_or_default(),
                    nack_count: counters.nacks,
                    pli_count: counters.plis,
                    active: layer.parameters.active,
                    ..dictionaries::OutboundRtpStreamStats::default()
                },
            };
            report.entries.push(RtcStats::OutboundRtp(outbound));
            let remote = RemoteInboundRtpStats {
                rtc: report.head(remote_id),
                stream: stream(layer.ssrc, video, codec_id.clone()),
                received: dictionaries::ReceivedRtpStreamStats {
                    packets_received: counters.packets.saturating_sub(counters.remote_lost.into()),
                    packets_lost: counters.remote_lost.into(),
                    jitter: counters.remote_jitter,
                },
                remote_inbound: dictionaries::RemoteInboundRtpStreamStats {
                    local_id: id,
                    round_trip_time: counters.round_trip.unwrap_or_default(),
                    total_round_trip_time: counters.round_trip_total,
                    fraction_lost: f64::from(counters.remote_fraction_lost) / 256.0,
                    round_trip_time_measurements: counters.round_trips,
                },
            };
            report.entries.push(RtcStats::RemoteInboundRtp(remote));
        }
    }

    fn channel_stats(&self, report: &mut Report) {
        for channel in self.channels.values() {
            let counters = *channel.counters.lock();
            let dc = dictionaries::DataChannelStats {
                label: channel.label.clone(),
                protocol: channel.protocol.clone(),
                data_channel_identifier: channel.stream_id(),
                state: Some(channel.state()),
                messages_sent: counters.messages_sent,
                bytes_sent: counters.bytes_sent,
                messages_received: counters.messages_received,
                bytes_received: counters.bytes_received,
            };
            let rtc = report.head(format!("D{}", channel.id));
            report.entries.push(RtcStats::DataChannel(DataChannelStats { rtc, dc }));
        }
    }

    fn transport_stats(&mut self, now: Instant, report: &mut Report) {
        let (connection, ice) = (self.connection, self.ice);
        let found = self.rtc.get_stats(now, StatsSelector::None);
        for entry in found.iter() {
            let entry = match entry {
                RTCStatsReportEntry::Transport(t) => RtcStats::Transport(transport(report, t, connection, ice)),
                RTCStatsReportEntry::IceCandidatePair(p) => RtcStats::CandidatePair(pair(report, p)),
                RTCStatsReportEntry::LocalCandidate(c) => RtcStats::LocalCandidate(LocalCandidateStats {
                    rtc: report.head(&c.stats.id),
                    local_candidate: candidate(c),
                }),
                RTCStatsReportEntry::RemoteCandidate(c) => RtcStats::RemoteCandidate(RemoteCandidateStats {
                    rtc: report.head(&c.stats.id),
                    remote_candidate: candidate(c),
                }),
                _ => continue,
            };
            report.entries.push(entry);
        }
    }
}

fn stream(ssrc: u32, video: bool, codec_id: String) -> dictionaries::RtpStreamStats {
    let kind = if video { "video" } else { "audio" };
    dictionaries::RtpStreamStats {
        ssrc,
        kind: kind.into(),
        transport_id: TRANSPORT.into(),
        codec_id,
    }
}

fn transport(
    report: &Report,
    found: &RTCTransportStats,
    connection: PeerConnectionState,
    ice: IceConnectionState,
) -> TransportStats {
    let dtls_state = match connection {
        PeerConnectionState::New => DtlsTransportState::New,
        PeerConnectionState::Connecting => DtlsTransportState::Connecting,
        PeerConnectionState::Connected | PeerConnectionState::Disconnected => DtlsTransportState::Connected,
        PeerConnectionState::Failed => DtlsTransportState::Failed,
        PeerConnectionState::Closed => DtlsTransportState::Closed,
    };
    let ice_state = match ice {
        IceConnectionState::New | IceConnectionState::Max => IceTransportState::New,
        IceConnectionState::Checking => IceTransportState::Checking,
        IceConnectionState::Connected => IceTransportState::Connected,
        IceConnectionState::Completed => IceTransportState::Completed,
        IceConnectionState::Failed => IceTransportState::Failed,
        IceConnectionState::Disconnected => IceTransportState::Disconnected,
        IceConnectionState::Closed => IceTransportState::Closed,
    };
    TransportStats {
        rtc: report.head(TRANSPORT),
        transport: dictionaries::TransportStats {
            packets_sent: found.packets_sent,
            packets_received: found.packets_received,
            bytes_sent: found.bytes_sent,
            bytes_received: found.bytes_received,
            ice_local_username_fragment: found.ice_local_username_fragment.clone(),
            dtls_state: Some(dtls_state),
            ice_state: Some(ice_state),
            selected_candidate_pair_id: found.selected_candidate_pair_id.clone(),
            local_certificate_id: found.local_certificate_id.clone(),
            remote_certificate_id: found.remote_certificate_id.clone(),
            tls_version: found.tls_version.clone(),
            dtls_cipher: found.dtls_cipher.clone(),
            srtp_cipher: found.srtp_cipher.clone(),
            selected_candidate_pair_changes: found.selected_candidate_pair_changes,
            ..dictionaries::TransportStats::default()
        },
    }
}

fn pair(report: &Report, found: &RTCIceCandidatePairStats) -> CandidatePairStats {
    CandidatePairStats {
        rtc: report.head(&found.stats.id),
        candidate_pair: dictionaries::CandidatePairStats {
            transport_id: TRANSPORT.into(),
            local_candidate_id: found.local_candidate_id.clone(),
            remote_candidate_id: found.remote_candidate_id.clone(),
            nominated: found.nominated,
            packets_sent: found.packets_sent,
            packets_received: found.packets_received,
            bytes_sent: found.bytes_sent,
            bytes_received: found.bytes_received,
            total_round_trip_time: found.total_round_trip_time,
            current_round_trip_time: found.current_round_trip_time,
            requests_received: found.requests_received,
            requests_sent: found.requests_sent,
            responses_received: found.responses_received,
            responses_sent: found.responses_sent,
            ..dictionaries::CandidatePairStats::default()
        },
    }
}

fn candidate(found: &RTCIceCandidateStats) -> dictionaries::IceCandidateStats {
    let candidate_type = match found.candidate_type {
        RTCIceCandidateType::Host => Some(IceCandidateType::Host),
        RTCIceCandidateType::Srflx => Some(IceCandidateType::Srflx),
        RTCIceCandidateType::Prflx => Some(IceCandidateType::Prflx),
        RTCIceCandidateType::Relay => Some(IceCandidateType::Relay),
        _ => None,
    };
    dictionaries::IceCandidateStats {
        transport_id: TRANSPORT.into(),
        address: found.address.clone().unwrap_or_default(),
        port: found.port.into(),
        protocol: found.protocol.clone(),
        candidate_type,
        foundation: found.foundation.clone(),
        url: found.url.clone(),
        ..dictionaries::IceCandidateStats::default()
    }
}
