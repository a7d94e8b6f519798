//! Channels of a journal: their topics, and what the metadata of a track's channel says about the track.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    ErrorKind,
    codec::{Codec, MediaKind},
    ids::{IdError, ParticipantIdentity, ParticipantSid, TrackSid},
    time::ClockRate,
};

/// What a channel's messages are, and what they hold.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Topic {
    /// `/track/<sid>/rtp`: one RTP packet each, as received, after SRTP, retransmissions unwrapped.
    Rtp(TrackSid),
    /// `/track/<sid>/rtcp`: one RTCP sender report each, as received.
    Rtcp(TrackSid),
    /// `/room/events`: [`RoomEvent`](super::RoomEvent) as JSON.
    Events,
    /// `/room/chat`: [`ChatMessage`](super::ChatMessage) as JSON.
    Chat,
    /// `/room/data`: [`DataMessage`](super::DataMessage) or [`StreamMessage`](super::StreamMessage) as JSON.
    Data,
    /// `/room/transcript`: [`TranscriptSegment`](super::TranscriptSegment) as JSON.
    Transcript,
    /// Any other: written by a later version, or by somebody else. Readers pass it on or leave it.
    Other(Box<str>),
}

impl Topic {
    /// How the messages are encoded, as MCAP's `message_encoding`.
    pub fn encoding(&self) -> &'static str {
        match self {
            Self::Rtp(_) => "rtp",
            Self::Rtcp(_) => "rtcp",
            Self::Events | Self::Chat | Self::Data | Self::Transcript => "json",
            Self::Other(_) => "",
        }
    }

    /// The track it belongs to, if to one.
    pub fn track(&self) -> Option<&TrackSid> {
        match self {
            Self::Rtp(track) | Self::Rtcp(track) => Some(track),
            _ => None,
        }
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rtp(track) => write!(f, "/track/{track}/rtp"),
            Self::Rtcp(track) => write!(f, "/track/{track}/rtcp"),
            Self::Events => f.write_str("/room/events"),
            Self::Chat => f.write_str("/room/chat"),
            Self::Data => f.write_str("/room/data"),
            Self::Transcript => f.write_str("/room/transcript"),
            Self::Other(topic) => f.write_str(topic),
        }
    }
}

impl From<&str> for Topic {
    /// Every topic reads as something: what is not ours is [`Topic::Other`].
    fn from(text: &str) -> Self {
        match text {
            "/room/events" => Self::Events,
            "/room/chat" => Self::Chat,
            "/room/data" => Self::Data,
            "/room/transcript" => Self::Transcript,
            _ => Self::of_track(text).unwrap_or_else(|| Self::Other(text.into())),
        }
    }
}

impl Topic {
    fn of_track(text: &str) -> Option<Self> {
        let (track, of) = text.strip_prefix("/track/")?.split_once('/')?;
        let track = TrackSid::new(track).ok()?;
        match of {
            "rtp" => Some(Self::Rtp(track)),
            "rtcp" => Some(Self::Rtcp(track)),
            _ => None,
        }
    }
}

/// What a track shows, as its publisher declared it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TrackSource {
    Camera,
    Microphone,
    ScreenShare,
    ScreenShareAudio,
    #[default]
    #[serde(other)]
    Unknown,
}

impl TrackSource {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Camera => "camera",
            Self::Microphone => "microphone",
            Self::ScreenShare => "screen_share",
            Self::ScreenShareAudio => "screen_share_audio",
            Self::Unknown => "unknown",
        }
    }

    /// Anything else is [`Unknown`](Self::Unknown).
    pub fn from_name(name: &str) -> Self {
        [
            Self::Camera,
            Self::Microphone,
            Self::ScreenShare,
            Self::ScreenShareAudio,
        ]
        .into_iter()
        .find(|source| source.as_str() == name)
        .unwrap_or_default()
    }
}

/// Whether the payloads are ours to read: end-to-end encryption encrypts them before RTP.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Encryption {
    #[default]
    None,
    Gcm,
    Custom,
}

impl Encryption {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gcm => "gcm",
            Self::Custom => "custom",
        }
    }
}

/// One payload type of a track, and what it stands for: `111=audio/opus`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PayloadType {
    /// 7 bits.
    pub number: u8,
    /// `audio/red` and `video/rtx` are possible besides the track's own codec.
    pub mime: String,
}

/// A channel whose metadata describes a track: what its RTP means without anything else of the file.
///
/// If the codec or the SSRC changes (a republished, resubscribed or rejoined track), a further channel with the same
/// topic says so; so one channel is one continuous RTP stream.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TrackChannel {
    pub track: TrackSid,
    /// What the publisher called the track.
    pub track_name: String,
    pub participant: ParticipantSid,
    pub identity: ParticipantIdentity,
    /// What the participant is called, for people.
    pub participant_name: String,
    pub source: TrackSource,
    pub kind: MediaKind,
    /// As the server names it. A track that is published as `audio/red` may well arrive as plain Opus: the payload type of
    /// each packet tells.
    pub mime: String,
    pub clock_rate: ClockRate,
    /// Audio channels; 0 for video.
    pub channels: u8,
    /// The codec's SDP format parameters, `minptime=10;useinbandfec=1`; may be empty.
    pub fmtp: String,
    pub ssrc: u32,
    pub payload_types: Vec<PayloadType>,
    pub encryption: Encryption,
}

impl TrackChannel {
    /// The codec, if we have a depacketizer for it. RED is an envelope, and what is in it is Opus.
    pub fn codec(&self) -> Option<Codec> {
        if self.mime.eq_ignore_ascii_case("audio/red") {
            Some(Codec::Opus)
        } else {
            Codec::from_mime(&self.mime)
        }
    }

    /// What the payload type of a packet stands for.
    pub fn mime_of(&self, payload_type: u8) -> Option<&str> {
        self.payload_types
            .iter()
            .find(|known| known.number == payload_type)
            .map(|known| known.mime.as_str())
    }

    /// As MCAP channel metadata.
    pub fn to_metadata(&self) -> BTreeMap<String, String> {
        let payload_types: Vec<_> = self
            .payload_types
            .iter()
            .map(|known| format!("{}={}", known.number, known.mime))
            .collect();
        [
            (key::TRACK_NAME, self.track_name.clone()),
            (key::PARTICIPANT, self.participant.to_string()),
            (key::IDENTITY, self.identity.to_string()),
            (key::PARTICIPANT_NAME, self.participant_name.clone()),
            (key::SOURCE, self.source.as_str().to_owned()),
            (key::KIND, kind_name(self.kind).to_owned()),
            (key::MIME, self.mime.clone()),
            (key::CLOCK_RATE, self.clock_rate.hz().to_string()),
            (key::CHANNELS, self.channels.to_string()),
            (key::FMTP, self.fmtp.clone()),
            (key::SSRC, self.ssrc.to_string()),
            (key::PAYLOAD_TYPES, payload_types.join(",")),
            (key::ENCRYPTION, self.encryption.as_str().to_owned()),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into()
    }

    /// Reads what [`to_metadata`](Self::to_metadata) wrote; further keys are left alone.
    pub fn from_metadata(track: TrackSid, metadata: &BTreeMap<String, String>) -> Result<Self, ChannelError> {
        let get = |key: &'static str| {
            metadata
                .get(key)
                .map(String::as_str)
                .ok_or(ChannelError::MissingKey(key))
        };
        let number = |key: &'static str| get(key)?.parse().map_err(|_| ChannelError::BadValue(key));
        Ok(Self {
            track,
            track_name: get(key::TRACK_NAME)?.to_owned(),
            participant: id(key::PARTICIPANT, get(key::PARTICIPANT)?)?,
            identity: id(key::IDENTITY, get(key::IDENTITY)?)?,
            participant_name: get(key::PARTICIPANT_NAME)?.to_owned(),
            source: TrackSource::from_name(get(key::SOURCE)?),
            kind: match get(key::KIND)? {
                "audio" => MediaKind::Audio,
                "video" => MediaKind::Video,
                _ => return Err(ChannelError::BadValue(key::KIND)),
            },
            mime: get(key::MIME)?.to_owned(),
            clock_rate: ClockRate::new(number(key::CLOCK_RATE)?).ok_or(ChannelError::BadValue(key::CLOCK_RATE))?,
            channels: get(key::CHANNELS)?
                .parse()
                .map_err(|_| ChannelError::BadValue(key::CHANNELS))?,
            fmtp: get(key::FMTP)?.to_owned(),
            ssrc: number(key::SSRC)?,
            payload_types: parse_payload_types(get(key::PAYLOAD_TYPES)?)?,
            encryption: match get(key::ENCRYPTION)? {
                "none" => Encryption::None,
                "gcm" => Encryption::Gcm,
                "custom" => Encryption::Custom,
                _ => return Err(ChannelError::BadValue(key::ENCRYPTION)),
            },
        })
    }
}

/// Keys of a track channel's metadata.
mod key {
    pub(super) const TRACK_NAME: &str = "track_name";
    pub(super) const PARTICIPANT: &str = "participant_sid";
    pub(super) const IDENTITY: &str = "participant_identity";
    pub(super) const PARTICIPANT_NAME: &str = "participant_name";
    pub(super) const SOURCE: &str = "source";
    pub(super) const KIND: &str = "kind";
    pub(super) const MIME: &str = "mime";
    pub(super) const CLOCK_RATE: &str = "clock_rate";
    pub(super) const CHANNELS: &str = "channels";
    pub(super) const FMTP: &str = "fmtp";
    pub(super) const SSRC: &str = "ssrc";
    pub(super) const PAYLOAD_TYPES: &str = "payload_types";
    pub(super) const ENCRYPTION: &str = "encryption";
}

fn kind_name(kind: MediaKind) -> &'static str {
    match kind {
        MediaKind::Audio => "audio",
        MediaKind::Video => "video",
    }
}

fn id<T: FromStr<Err = IdError>>(key: &'static str, text: &str) -> Result<T, ChannelError> {
    text.parse().map_err(|source| ChannelError::Id { key, source })
}

fn parse_payload_types(text: &str) -> Result<Vec<PayloadType>, ChannelError> {
    let bad = || ChannelError::BadValue(key::PAYLOAD_TYPES);
    text.split(',')
        .filter(|entry| !entry.is_empty())
        .map(|entry| {
            let (number, mime) = entry.split_once('=').ok_or_else(bad)?;
            let number = number.parse().ok().filter(|number| *number < 128).ok_or_else(bad)?;
            Ok(PayloadType {
                number,
                mime: mime.to_owned(),
            })
        })
        .collect()
}

/// A channel of a journal, as a reader finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    /// The file's own number for it; another file may give it another.
    pub id: u16,
    pub topic: Topic,
    /// Present for [`Topic::Rtp`] and [`Topic::Rtcp`].
    pub track: Option<TrackChannel>,
    /// As it stands in the file.
    pub(super) record: mcap::records::Channel,
}

impl Channel {
    pub(super) fn from_record(record: mcap::records::Channel) -> Result<Self, ChannelError> {
        let topic = Topic::from(record.topic.as_str());
        let track = match topic.track() {
            Some(track) => Some(TrackChannel::from_metadata(track.clone(), &record.metadata)?),
            None => None,
        };
        Ok(Self {
            id: record.id,
            topic,
            track,
            record,
        })
    }
}

/// Why a channel is none of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChannelError {
    #[error("the channel's metadata lacks `{0}`")]
    MissingKey(&'static str),
    #[error("the channel's `{0}` makes no sense")]
    BadValue(&'static str),
    #[error("the channel's `{key}` is not an id")]
    Id { key: &'static str, source: IdError },
}

impl ChannelError {
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::Corrupt
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A microphone as a browser publishes it.
    pub(crate) fn microphone() -> TrackChannel {
        TrackChannel {
            track: TrackSid::new("TR_AMmic").unwrap(),
            track_name: String::new(),
            participant: ParticipantSid::new("PA_ana").unwrap(),
            identity: ParticipantIdentity::new("ana").unwrap(),
            participant_name: "Ana, from the « 3rd » floor = 🎉".into(),
            source: TrackSource::Microphone,
            kind: MediaKind::Audio,
            mime: "audio/opus".into(),
            clock_rate: ClockRate::OPUS,
            channels: 2,
            fmtp: "minptime=10;useinbandfec=1".into(),
            ssrc: 0xDEAD_BEEF,
            payload_types: vec![
                PayloadType {
                    number: 111,
                    mime: "audio/opus".into(),
                },
                PayloadType {
                    number: 63,
                    mime: "audio/red".into(),
                },
            ],
            encryption: Encryption::None,
        }
    }

    #[test]
    fn topics_read_back() {
        let track = TrackSid::new("TR_x-1").unwrap();
        for topic in [
            Topic::Rtp(track.clone()),
            Topic::Rtcp(track),
            Topic::Events,
            Topic::Chat,
            Topic::Data,
            Topic::Transcript,
        ] {
            assert_eq!(Topic::from(topic.to_string().as_str()), topic);
        }
    }

    #[test]
    fn foreign_topics_are_others() {
        for foreign in [
            "",
            "/",
            "/room/",
            "/track/",
            "/track/TR_x",
            "/track//rtp",
            "/track/TR_x/rtp/",
            "/track/../rtp",
            "/tf",
        ] {
            assert_eq!(Topic::from(foreign), Topic::Other(foreign.into()));
        }
    }

    #[test]
    fn a_track_survives_its_metadata() {
        let track = microphone();
        let metadata = track.to_metadata();
        assert_eq!(
            TrackChannel::from_metadata(track.track.clone(), &metadata),
            Ok(track.clone())
        );
        assert_eq!(track.codec(), Some(Codec::Opus));
        let red = TrackChannel {
            mime: "audio/RED".into(),
            ..track.clone()
        };
        assert_eq!(red.codec(), Some(Codec::Opus));
        assert_eq!(track.mime_of(63), Some("audio/red"));
        assert_eq!(track.mime_of(96), None);
    }

    #[test]
    fn every_key_is_needed_and_checked() {
        let track = microphone();
        let metadata = track.to_metadata();
        for key in metadata.keys() {
            let mut without = metadata.clone();
            without.remove(key);
            assert!(
                TrackChannel::from_metadata(track.track.clone(), &without).is_err(),
                "without {key}"
            );
        }
        for (key, value) in [
            ("clock_rate", "0"),
            ("clock_rate", "many"),
            ("ssrc", "-1"),
            ("payload_types", "111"),
            ("payload_types", "200=audio/opus"),
            ("kind", "smell"),
            ("encryption", "rot13"),
            ("participant_sid", "PA/../x"),
        ] {
            let mut with = metadata.clone();
            with.insert(key.into(), value.into());
            assert!(
                TrackChannel::from_metadata(track.track.clone(), &with).is_err(),
                "{key}={value}"
            );
        }
    }
}
