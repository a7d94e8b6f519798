//! What a remote description says about each media section, read by us.
//!
//! `rtc` keeps this to itself and tells of a track only at its first packet; the SDK wants tracks at
//! set-remote-description, and a section that is reused must become a new track at that moment (RFC 9429 §5.10).

use rtc::sdp::description::media::MediaDescription;
use rtc::sdp::description::session::SessionDescription;

use crate::rtp_transceiver::RtpTransceiverDirection;

/// A codec of a media section. `mime_type` is `kind/name` as in `a=rtpmap`, `clock_rate` in Hz.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Codec {
    pub payload_type: u8,
    pub mime_type: String,
    pub clock_rate: u32,
    /// 0 where the `a=rtpmap` names none (video).
    pub channels: u16,
    /// The parameters of `a=fmtp`, empty where there is none.
    pub sdp_fmtp_line: String,
    /// `a=rtcp-fb` values, such as `nack pli`.
    pub rtcp_feedback: Vec<String>,
}

impl Codec {
    pub(crate) fn is_rtx(&self) -> bool {
        self.mime_type.ends_with("/rtx")
    }

    /// The payload type this RTX codec repairs (RFC 4588 §8.6).
    pub(crate) fn apt(&self) -> Option<u8> {
        self.sdp_fmtp_line
            .split(';')
            .find_map(|p| p.trim().strip_prefix("apt=")?.parse().ok())
    }

    pub(crate) fn has_nack(&self) -> bool {
        self.rtcp_feedback.iter().any(|fb| fb == "nack")
    }
}

/// A header extension of a media section (RFC 8285 §5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderExtension {
    pub id: u8,
    pub uri: String,
}

/// One RTP media section of a description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Section {
    pub mid: String,
    pub video: bool,
    pub direction: RtpTransceiverDirection,
    pub codecs: Vec<Codec>,
    pub extensions: Vec<HeaderExtension>,
    /// Stream id and track id (RFC 8830), where the section sends.
    pub msid: Option<(String, String)>,
    /// SSRCs of media, retransmission excluded.
    pub ssrcs: Vec<u32>,
    /// Pairs of (media SSRC, its RTX SSRC), from FID groups (RFC 5576 §4.2).
    pub fid: Vec<(u32, u32)>,
}

impl Section {
    pub fn sends(&self) -> bool {
        matches!(
            self.direction,
            RtpTransceiverDirection::SendOnly | RtpTransceiverDirection::SendRecv
        )
    }
}

/// The RTP sections of a description, in order. Rejected ones (port 0 outside a bundle) count as inactive.
pub(crate) fn sections(description: &SessionDescription) -> Vec<Section> {
    description.media_descriptions.iter().filter_map(section).collect()
}

fn section(media: &MediaDescription) -> Option<Section> {
    let video = match media.media_name.media.as_str() {
        "audio" => false,
        "video" => true,
        _ => return None,
    };
    let value = |key: &str| {
        media
            .attributes
            .iter()
            .find(|a| a.key == key)
            .and_then(|a| a.value.clone())
    };
    let has = |key: &str| media.attributes.iter().any(|a| a.key == key);
    let direction = if media.media_name.port.value == 0 && !has("bundle-only") || has("inactive") {
        RtpTransceiverDirection::Inactive
    } else if has("sendonly") {
        RtpTransceiverDirection::SendOnly
    } else if has("recvonly") {
        RtpTransceiverDirection::RecvOnly
    } else {
        RtpTransceiverDirection::SendRecv
    };
    let mut found = Section {
        mid: value("mid")?,
        video,
        direction,
        codecs: codecs(media, if video { "video" } else { "audio" }),
        extensions: Vec::new(),
        msid: None,
        ssrcs: Vec::new(),
        fid: Vec::new(),
    };
    for attribute in &media.attributes {
        // The engine writes msid as part of the key; a parsed description has it in the value.
        let Some(text) = attribute.value.as_deref() else {
            continue;
        };
        match attribute.key.as_str() {
            "msid" => found.msid = msid(text).or(found.msid),
            "extmap" => found.extensions.extend(extension(text)),
            "ssrc-group" => found.fid.extend(fid(text)),
            "ssrc" => {
                let Some((ssrc, rest)) = text.split_once(' ') else {
                    continue;
                };
                let Ok(ssrc) = ssrc.parse() else { continue };
                if !found.ssrcs.contains(&ssrc) {
                    found.ssrcs.push(ssrc);
                }
                if found.msid.is_none() {
                    found.msid = rest.strip_prefix("msid:").and_then(msid);
                }
            }
            _ => {}
        }
    }
    found.ssrcs.retain(|ssrc| !found.fid.iter().any(|(_, rtx)| rtx == ssrc));
    Some(found)
}

fn codecs(media: &MediaDescription, kind: &str) -> Vec<Codec> {
    let of = |key: &'static str, pt: &str| {
        let pt = pt.to_owned();
        media
            .attributes
            .iter()
            .filter(move |a| a.key == key)
            .filter_map(move |a| {
                let (found, rest) = a.value.as_deref()?.split_once(' ')?;
                (found == pt || found == "*").then(|| rest.to_owned())
            })
    };
    let parse = |pt: &String| {
        let payload_type = pt.parse().ok()?;
        let map = of("rtpmap", pt).next()?;
        let mut parts = map.split('/');
        let (name, clock_rate) = (parts.next()?, parts.next()?.parse().ok()?);
        Some(Codec {
            payload_type,
            mime_type: format!("{kind}/{name}"),
            clock_rate,
            channels: parts.next().and_then(|c| c.parse().ok()).unwrap_or(0),
            sdp_fmtp_line: of("fmtp", pt).next().unwrap_or_default(),
            rtcp_feedback: of("rtcp-fb", pt).collect(),
        })
    };
    media.media_name.formats.iter().filter_map(parse).collect()
}

fn msid(text: &str) -> Option<(String, String)> {
    let (stream, track) = text.split_once(' ')?;
    (!stream.is_empty() && !track.is_empty()).then(|| (stream.to_owned(), track.to_owned()))
}

fn extension(text: &str) -> Option<HeaderExtension> {
    let mut parts = text.split_ascii_whitespace();
    let id = parts.next()?.split('/').next()?.parse().ok()?;
    Some(HeaderExtension {
        id,
        uri: parts.next()?.to_owned(),
    })
}

fn fid(text: &str) -> Option<(u32, u32)> {
    let (media, rtx) = text.strip_prefix("FID ")?.split_once(' ')?;
    Some((media.parse().ok()?, rtx.trim().parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session_description::parse_sdp;

    const ANSWER: &str = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1 2\r\n\
        m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\n\
        m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:1\r\na=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1\r\n\
        a=rtcp-fb:111 nack\r\na=extmap:4/sendonly urn:x\r\na=ssrc:7 cname:PA_1|TR_a\r\na=ssrc:7 msid:PA_1|TR_a TR_a\r\na=sendonly\r\n\
        m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\nc=IN IP4 0.0.0.0\r\na=mid:2\r\na=rtpmap:96 VP8/90000\r\na=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\n\
        a=rtcp-fb:96 nack\r\na=rtcp-fb:96 nack pli\r\na=ssrc-group:FID 8 9\r\na=ssrc:8 cname:c\r\na=ssrc:9 cname:c\r\na=msid:PA_1|TR_b TR_b\r\na=sendonly\r\n\
        m=video 0 UDP/TLS/RTP/SAVPF 0\r\nc=IN IP4 0.0.0.0\r\na=mid:3\r\n";

    #[test]
    fn sections_are_read() {
        let found = sections(&parse_sdp(ANSWER).expect("the description parses"));
        assert_eq!(found.len(), 3, "the data section is not an RTP section");
        let [audio, video, rejected] = &found[..] else {
            panic!("three sections")
        };
        assert_eq!((audio.mid.as_str(), audio.video, audio.sends()), ("1", false, true));
        assert_eq!(audio.msid, Some(("PA_1|TR_a".into(), "TR_a".into())));
        assert_eq!((audio.codecs[0].channels, audio.codecs[0].has_nack()), (2, true));
        assert_eq!(
            audio.extensions,
            [HeaderExtension {
                id: 4,
                uri: "urn:x".into()
            }]
        );
        assert_eq!(
            (video.ssrcs.as_slice(), video.fid.as_slice()),
            (&[8][..], &[(8, 9)][..])
        );
        assert_eq!((video.codecs[1].is_rtx(), video.codecs[1].apt()), (true, Some(96)));
        assert_eq!(video.codecs[0].rtcp_feedback, ["nack", "nack pli"]);
        assert_eq!(rejected.direction, RtpTransceiverDirection::Inactive);
    }
}
