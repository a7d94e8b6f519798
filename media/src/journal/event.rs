//! What the room's JSON channels carry. The time of each is the message's own log time ([`Arrival`]).

use std::{collections::BTreeMap, fmt};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{Encryption, Topic, TrackSource};
use crate::{
    codec::{Dims, MediaKind},
    ids::{ParticipantIdentity, ParticipantSid, RecordingId, RoomName, RoomSid, SegmentIndex, TrackSid},
    time::{Arrival, WallTime},
};

/// Something that happened in the room or to us, on `/room/events`.
///
/// Tagged by `type`, in `snake_case`. New variants may come, and fields may be added: readers take what they know, and
/// see [`Unknown`](Self::Unknown) for the rest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum RoomEvent {
    /// The first event of a recording.
    RecordingStarted {
        recording: RecordingId,
        room: RoomName,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        room_sid: Option<RoomSid>,
        /// Name and version of the program.
        agent: String,
    },
    /// From here on nothing of the room is kept.
    RecordingPaused {
        /// Who asked, if a person did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<String>,
    },
    RecordingResumed {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<String>,
    },
    RecordingStopped {
        reason: StopReason,
    },
    /// The last event of a recording: nothing follows it.
    RecordingSealed,

    /// We are in the room.
    Connected {
        room_sid: RoomSid,
        participant: ParticipantSid,
    },
    /// We are out of the room, and what we kept ends here for now.
    Disconnected {
        reason: String,
    },
    Reconnecting,
    Reconnected,
    /// We were not there, or could not keep up, and what was said meanwhile is missing.
    Gap {
        from: Arrival,
        to: Arrival,
        reason: GapCause,
    },
    /// Packets that reached us and were thrown away by us, since the last such event.
    PacketsLost {
        /// `None` if they cannot be told apart.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        track: Option<TrackSid>,
        packets: u64,
        reason: LossCause,
    },
    /// After a crash: the segment before this one ended in a torn chunk, and so much was dropped.
    TruncatedTailRecovered {
        segment: SegmentIndex,
        /// Bytes of the torn segment that are valid.
        valid_bytes: u64,
        /// Bytes after them that were not.
        lost_bytes: u64,
    },

    /// Everything known about the room at this moment. Each segment begins with one, so that it can be read alone.
    Snapshot {
        recording: RecordingId,
        segment: SegmentIndex,
        room: RoomInfo,
        paused: bool,
        participants: Vec<ParticipantInfo>,
    },

    ParticipantJoined {
        participant: ParticipantInfo,
    },
    ParticipantLeft {
        participant: ParticipantSid,
        identity: ParticipantIdentity,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    ParticipantNameChanged {
        participant: ParticipantSid,
        name: String,
    },
    ParticipantMetadataChanged {
        participant: ParticipantSid,
        metadata: String,
    },
    /// Only the attributes that changed; an empty value removes one.
    ParticipantAttributesChanged {
        participant: ParticipantSid,
        changed: BTreeMap<String, String>,
    },
    ParticipantPermissionsChanged {
        participant: ParticipantSid,
        permissions: Permissions,
    },

    TrackPublished {
        participant: ParticipantSid,
        track: TrackInfo,
    },
    TrackUnpublished {
        participant: ParticipantSid,
        track: TrackSid,
    },
    /// We receive it from here on.
    TrackSubscribed {
        participant: ParticipantSid,
        track: TrackSid,
        ssrc: u32,
        mime: String,
    },
    TrackUnsubscribed {
        participant: ParticipantSid,
        track: TrackSid,
    },
    /// We asked for a track and did not get it.
    TrackSubscriptionFailed {
        participant: ParticipantSid,
        track: TrackSid,
        error: String,
    },
    TrackMuted {
        participant: ParticipantSid,
        track: TrackSid,
    },
    TrackUnmuted {
        participant: ParticipantSid,
        track: TrackSid,
    },
    /// Another layer, or another size of the same: the next key frame has it.
    ResolutionChanged {
        track: TrackSid,
        dims: Dims,
    },

    /// Who is speaking now, loudest first; the list is complete.
    ActiveSpeakers {
        speakers: Vec<Speaker>,
    },
    ConnectionQuality {
        participant: ParticipantSid,
        quality: Quality,
    },
    RoomMetadataChanged {
        metadata: String,
    },

    /// Written by a later version, or by somebody else.
    #[serde(other)]
    Unknown,
}

/// Why a recording ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StopReason {
    /// Somebody asked.
    Requested,
    /// Nobody was left for as long as the rule says.
    RoomEmpty,
    /// The server closed the room.
    RoomClosed,
    MaxDuration,
    DiskFull,
    /// The server put us out.
    Removed,
    Shutdown,
    /// After a crash, and the room was gone when we came back.
    Recovered,
    Failed,
    #[serde(other)]
    Unknown,
}

/// Why we have nothing for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum GapCause {
    /// The connection to the server was lost.
    Connection,
    /// Our process was not running. Arrivals before and after it are by clocks that were set apart from each other, so
    /// this is the first event a restarted process writes.
    Restart,
    /// The server was not running.
    Server,
    /// The disk was too slow, or full.
    Storage,
    #[serde(other)]
    Unknown,
}

/// Why we threw packets away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LossCause {
    /// The queue to the writer was full.
    QueueFull,
    /// The kernel dropped them before we read the socket.
    SocketBuffer,
    #[serde(other)]
    Unknown,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomInfo {
    pub name: RoomName,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sid: Option<RoomSid>,
    #[serde(default)]
    pub metadata: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParticipantInfo {
    pub sid: ParticipantSid,
    pub identity: ParticipantIdentity,
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub kind: ParticipantKind,
    #[serde(default)]
    pub metadata: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    #[serde(default)]
    pub permissions: Permissions,
    /// By the server's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joined_at: Option<WallTime>,
    #[serde(default)]
    pub tracks: Vec<TrackInfo>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ParticipantKind {
    #[default]
    Standard,
    Ingress,
    Egress,
    Sip,
    Agent,
    #[serde(other)]
    Unknown,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "four independent grants, as the token lists them"
)]
pub struct Permissions {
    pub can_publish: bool,
    pub can_subscribe: bool,
    pub can_publish_data: bool,
    pub hidden: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackInfo {
    pub sid: TrackSid,
    #[serde(default)]
    pub name: String,
    pub kind: MediaKind,
    #[serde(default)]
    pub source: TrackSource,
    #[serde(default)]
    pub mime: String,
    #[serde(default)]
    pub muted: bool,
    /// What the publisher declared; what arrives may be smaller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dims: Option<Dims>,
    #[serde(default)]
    pub simulcast: bool,
    /// We receive it.
    #[serde(default)]
    pub subscribed: bool,
    #[serde(default)]
    pub encryption: Encryption,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Speaker {
    pub participant: ParticipantSid,
    /// 0 (silent) to 1 (as loud as can be), as the server measures it.
    pub level: f32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Quality {
    Excellent,
    Good,
    Poor,
    Lost,
    #[serde(other)]
    Unknown,
}

/// A message people wrote, on `/room/chat`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatMessage {
    pub id: String,
    /// `None` if the server wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<ParticipantIdentity>,
    /// When it was sent, by the sender's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<WallTime>,
    pub text: String,
    /// It replaces the message with the same id.
    #[serde(default)]
    pub edited: bool,
    #[serde(default)]
    pub deleted: bool,
}

/// A data packet, on `/room/data`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataMessage {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<ParticipantIdentity>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    pub reliable: bool,
    /// Base64 in the file.
    #[serde(serialize_with = "to_base64", deserialize_with = "from_base64")]
    pub payload: Vec<u8>,
}

impl fmt::Debug for DataMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataMessage")
            .field("from", &self.from)
            .field("topic", &self.topic)
            .field("reliable", &self.reliable)
            .field("payload", &format_args!("{} bytes", self.payload.len()))
            .finish()
    }
}

/// A text stream, once it is complete, on `/room/data`. It has `stream`, a data packet has not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamMessage {
    /// The stream's id.
    pub stream: String,
    pub from: ParticipantIdentity,
    pub topic: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<WallTime>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    pub text: String,
    /// The sender left before the end.
    #[serde(default)]
    pub incomplete: bool,
}

/// What somebody said, as text, on `/room/transcript`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TranscriptSegment {
    /// A later segment with the same id replaces this one.
    pub id: String,
    pub participant: ParticipantIdentity,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub track: Option<TrackSid>,
    /// The span of speech, by our clock.
    pub from: Arrival,
    pub to: Arrival,
    /// BCP 47; empty if not known.
    #[serde(default)]
    pub language: String,
    pub text: String,
    /// False while the engine may still change its mind.
    #[serde(rename = "final")]
    pub is_final: bool,
}

/// What a JSON channel of the room carries.
pub trait RoomMessage: Serialize {
    /// The channel it belongs on.
    const TOPIC: Topic;
}

impl RoomMessage for RoomEvent {
    const TOPIC: Topic = Topic::Events;
}

impl RoomMessage for ChatMessage {
    const TOPIC: Topic = Topic::Chat;
}

impl RoomMessage for DataMessage {
    const TOPIC: Topic = Topic::Data;
}

impl RoomMessage for StreamMessage {
    const TOPIC: Topic = Topic::Data;
}

impl RoomMessage for TranscriptSegment {
    const TOPIC: Topic = Topic::Transcript;
}

fn to_base64<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&STANDARD.encode(bytes))
}

fn from_base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(deserializer)?;
    STANDARD.decode(text).map_err(de::Error::custom)
}

#[cfg(test)]
mod tests;
