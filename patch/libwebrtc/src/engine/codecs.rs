//! What we offer: codecs, feedback, header extensions. Nothing is decoded or encoded, so the list is what LiveKit forwards.

use rtc::peer_connection::configuration::media_engine::MediaEngine;
use rtc::rtp_transceiver::rtp_sender::{
    RTCPFeedback, RTCRtpCodec, RTCRtpCodecParameters, RTCRtpHeaderExtensionCapability, RtpCodecKind,
};
use rtc::shared::error::Result;

use super::sdp::Codec;
use crate::MediaType;
use crate::rtp_parameters::{RtpCapabilities, RtpCodecCapability, RtpHeaderExtensionCapability};
use crate::rtp_transceiver::RtpTransceiverDirection;

const VIDEO_FEEDBACK: &[(&str, &str)] = &[
    ("goog-remb", ""),
    ("transport-cc", ""),
    ("ccm", "fir"),
    ("nack", ""),
    ("nack", "pli"),
];
/// The engine's default answer has no NACK for Opus: without it, lost audio stays lost.
const AUDIO_FEEDBACK: &[(&str, &str)] = &[("transport-cc", ""), ("nack", "")];

/// No `audio/red`: with it in the list LiveKit negotiates RED for audio, and recovery by NACK is the better of the two here.
const OPUS: (u8, &str, &str) = (111, "audio/opus", "minptime=10;useinbandfec=1");

/// Payload type, MIME type, parameters. The RTX payload type is the next one.
const VIDEO: &[(u8, &str, &str)] = &[
    (96, "video/VP8", ""),
    (98, "video/VP9", "profile-id=0"),
    (100, "video/VP9", "profile-id=2"),
    (
        102,
        "video/H264",
        "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
    ),
    (
        104,
        "video/H264",
        "level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42e01f",
    ),
    (
        106,
        "video/H264",
        "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f",
    ),
    (
        108,
        "video/H264",
        "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=4d001f",
    ),
    (
        112,
        "video/H264",
        "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=640032",
    ),
    (45, "video/AV1", ""),
];

const MID: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";
const RID: &str = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id";
const REPAIRED_RID: &str = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id";
const AUDIO_LEVEL: &str = "urn:ietf:params:rtp-hdrext:ssrc-audio-level";
const VIDEO_ORIENTATION: &str = "urn:3gpp:video-orientation";
const ABS_SEND_TIME: &str = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time";
const ABS_CAPTURE_TIME: &str = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time";
const TRANSPORT_CC: &str = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";

const AUDIO_EXTENSIONS: &[&str] = &[MID, AUDIO_LEVEL, ABS_SEND_TIME, TRANSPORT_CC, ABS_CAPTURE_TIME];
const VIDEO_EXTENSIONS: &[&str] = &[
    MID,
    RID,
    REPAIRED_RID,
    VIDEO_ORIENTATION,
    ABS_SEND_TIME,
    TRANSPORT_CC,
    ABS_CAPTURE_TIME,
];

fn feedback(list: &[(&str, &str)]) -> Vec<RTCPFeedback> {
    list.iter()
        .map(|(typ, parameter)| RTCPFeedback {
            typ: (*typ).into(),
            parameter: (*parameter).into(),
        })
        .collect()
}

fn opus() -> RTCRtpCodecParameters {
    let (payload_type, mime_type, fmtp) = OPUS;
    let rtp_codec = RTCRtpCodec {
        mime_type: mime_type.into(),
        clock_rate: 48_000,
        channels: 2,
        sdp_fmtp_line: fmtp.into(),
        rtcp_feedback: feedback(AUDIO_FEEDBACK),
    };
    RTCRtpCodecParameters {
        rtp_codec,
        payload_type,
    }
}

fn video(&(payload_type, mime_type, fmtp): &(u8, &str, &str)) -> [RTCRtpCodecParameters; 2] {
    let codec = |mime_type: &str, sdp_fmtp_line: String, rtcp_feedback| RTCRtpCodec {
        mime_type: mime_type.into(),
        clock_rate: 90_000,
        channels: 0,
        sdp_fmtp_line,
        rtcp_feedback,
    };
    [
        RTCRtpCodecParameters {
            rtp_codec: codec(mime_type, fmtp.into(), feedback(VIDEO_FEEDBACK)),
            payload_type,
        },
        RTCRtpCodecParameters {
            rtp_codec: codec("video/rtx", format!("apt={payload_type}"), Vec::new()),
            payload_type: payload_type + 1,
        },
    ]
}

pub(super) fn media_engine() -> Result<MediaEngine> {
    let mut engine = MediaEngine::default();
    engine.register_codec(opus(), RtpCodecKind::Audio)?;
    for codec in VIDEO.iter().flat_map(video) {
        engine.register_codec(codec, RtpCodecKind::Video)?;
    }
    for (kind, extensions) in [
        (RtpCodecKind::Audio, AUDIO_EXTENSIONS),
        (RtpCodecKind::Video, VIDEO_EXTENSIONS),
    ] {
        for uri in extensions {
            engine.register_header_extension(RTCRtpHeaderExtensionCapability { uri: (*uri).into() }, kind, None)?;
        }
    }
    Ok(engine)
}

/// The codecs to send with, in order of preference: those asked for (all where none is), each with its RTX.
pub(super) fn preferred(is_video: bool, asked: &[RtpCodecCapability]) -> Vec<RTCRtpCodecParameters> {
    if !is_video {
        return vec![opus()];
    }
    let wanted = |(_, mime_type, fmtp): &&(u8, &str, &str)| {
        asked.is_empty()
            || asked.iter().any(|c| {
                c.mime_type.eq_ignore_ascii_case(mime_type) && c.sdp_fmtp_line.as_deref().unwrap_or("") == *fmtp
            })
    };
    let rank = |(_, mime_type, fmtp): &&(u8, &str, &str)| {
        asked
            .iter()
            .position(|c| c.mime_type.eq_ignore_ascii_case(mime_type) && c.sdp_fmtp_line.as_deref() == Some(*fmtp))
            .unwrap_or(usize::MAX)
    };
    let mut chosen: Vec<_> = VIDEO.iter().filter(wanted).collect();
    chosen.sort_by_key(rank);
    chosen.into_iter().flat_map(video).collect()
}

/// Of `codecs`, those that `negotiated` has too, each with its RTX; all of them before anything is negotiated. The core
/// would put any codec of the same name in the place of one that is not there, and so offer that one twice.
pub(super) fn known(codecs: Vec<RTCRtpCodecParameters>, negotiated: &[Codec]) -> Vec<RTCRtpCodecParameters> {
    if negotiated.is_empty() {
        return codecs;
    }
    let (media, repair): (Vec<_>, Vec<_>) = codecs.into_iter().partition(|c| repaired_by(c).is_none());
    let media = media
        .into_iter()
        .filter(|codec| negotiated.iter().any(|known| is_same(&codec.rtp_codec, known)));
    media
        .flat_map(|codec| {
            let repair = repair
                .iter()
                .find(|r| repaired_by(r) == Some(codec.payload_type))
                .cloned();
            [Some(codec), repair].into_iter().flatten()
        })
        .collect()
}

/// The payload type that an RTX codec repairs.
fn repaired_by(codec: &RTCRtpCodecParameters) -> Option<u8> {
    codec.rtp_codec.sdp_fmtp_line.strip_prefix("apt=")?.parse().ok()
}

/// Whether two descriptions are of one codec: the name, and the parameters that make a stream another one
/// ([RFC 6184](https://www.rfc-editor.org/rfc/rfc6184#section-8.2.2): of the profile and level, the profile).
fn is_same(ours: &RTCRtpCodec, theirs: &Codec) -> bool {
    let parameter = |fmtp: &str, name: &str| {
        let value = fmtp
            .split(';')
            .find_map(|p| p.trim().strip_prefix(name)?.strip_prefix('='));
        value.map(str::to_ascii_lowercase)
    };
    let same = |name: &str, default: &str, length: usize| {
        let [ours, theirs] = [&ours.sdp_fmtp_line, &theirs.sdp_fmtp_line].map(|fmtp| {
            let value = parameter(fmtp, name).unwrap_or_else(|| default.to_owned());
            value.chars().take(length).collect::<String>()
        });
        ours == theirs
    };
    ours.mime_type.eq_ignore_ascii_case(&theirs.mime_type)
        && match ours.mime_type.as_str() {
            "video/H264" => same("packetization-mode", "0", 1) && same("profile-level-id", "420010", 4),
            "video/VP9" => same("profile-id", "0", 1),
            _ => true,
        }
}

/// What `getCapabilities` answers: the codecs without their RTX, which goes with each of them.
pub(crate) fn capabilities(media_type: MediaType) -> RtpCapabilities {
    let capability = |clock_rate, channels, (_, mime_type, fmtp): &(u8, &str, &str)| RtpCodecCapability {
        channels,
        clock_rate: Some(clock_rate),
        mime_type: (*mime_type).into(),
        sdp_fmtp_line: Some((*fmtp).into()),
    };
    let (codecs, extensions) = match media_type {
        MediaType::Audio => (vec![capability(48_000, Some(2), &OPUS)], AUDIO_EXTENSIONS),
        MediaType::Video => (
            VIDEO.iter().map(|c| capability(90_000, None, c)).collect(),
            VIDEO_EXTENSIONS,
        ),
        MediaType::Data | MediaType::Unsupported => (Vec::new(), &[][..]),
    };
    let extension = |uri: &&str| RtpHeaderExtensionCapability {
        uri: (*uri).into(),
        direction: RtpTransceiverDirection::SendRecv,
    };
    RtpCapabilities {
        codecs,
        header_extensions: extensions.iter().map(extension).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preferences_keep_their_order_and_bring_their_repair() {
        let all = capabilities(MediaType::Video).codecs;
        let h264 = all
            .iter()
            .filter(|c| c.mime_type == "video/H264")
            .rev()
            .cloned()
            .collect::<Vec<_>>();
        let chosen = preferred(true, &h264);
        let types: Vec<u8> = chosen.iter().map(|c| c.payload_type).collect();
        assert_eq!(types, [112, 113, 108, 109, 106, 107, 104, 105, 102, 103]);
        assert_eq!(chosen[1].rtp_codec.sdp_fmtp_line, "apt=112");
        assert_eq!(preferred(true, &[]).len(), 2 * VIDEO.len());
    }

    #[test]
    fn what_the_other_side_does_not_know_is_left_out_with_its_repair() {
        let theirs = |mime_type: &str, payload_type, fmtp: &str| Codec {
            payload_type,
            mime_type: mime_type.into(),
            clock_rate: 90_000,
            channels: 0,
            sdp_fmtp_line: fmtp.into(),
            rtcp_feedback: Vec::new(),
        };
        // Another level of the same profile is the same codec; another mode is not.
        let negotiated = [
            theirs("video/VP8", 96, ""),
            theirs("video/H264", 102, "packetization-mode=1;profile-level-id=42E034"),
        ];
        let types = |codecs: Vec<RTCRtpCodecParameters>| codecs.iter().map(|c| c.payload_type).collect::<Vec<u8>>();
        assert_eq!(types(known(preferred(true, &[]), &negotiated)), [96, 97, 102, 103]);
        assert_eq!(known(preferred(true, &[]), &[]).len(), 2 * VIDEO.len());
        assert_eq!(types(known(vec![opus()], &[theirs("audio/opus", 111, "")])), [111]);
    }

    #[test]
    fn payload_types_are_dynamic_and_used_once() {
        let mut seen = std::collections::HashSet::from([OPUS.0]);
        for codec in VIDEO.iter().flat_map(video) {
            assert!(seen.insert(codec.payload_type), "{} twice", codec.payload_type);
            assert!((35..=65).contains(&codec.payload_type) || (96..=127).contains(&codec.payload_type));
        }
        media_engine().expect("all of it registers");
    }
}
