//! LiveKit's words into the journal's.

use greffier_media::codec::{Dims, MediaKind};
use greffier_media::ids::{ParticipantIdentity, ParticipantSid, RoomSid, TrackSid};
use greffier_media::journal::event::{ParticipantInfo, ParticipantKind, Permissions, Quality, TrackInfo};
use greffier_media::journal::{Encryption, TrackSource};
use greffier_media::time::WallTime;
use livekit::e2ee::EncryptionType;
use livekit::prelude::{self as lk, RemoteParticipant, RemoteTrackPublication};

/// The server's ids are opaque to us, but bounded: one that breaks the bounds names nothing we could keep.
pub(crate) fn participant_sid(sid: &lk::ParticipantSid) -> Option<ParticipantSid> {
    kept(ParticipantSid::new(sid.as_str()), "participant sid")
}

pub(crate) fn track_sid(sid: &lk::TrackSid) -> Option<TrackSid> {
    kept(TrackSid::new(sid.as_str()), "track sid")
}

pub(crate) fn room_sid(sid: &lk::RoomSid) -> Option<RoomSid> {
    kept(RoomSid::new(sid.as_str()), "room sid")
}

pub(crate) fn identity(identity: &lk::ParticipantIdentity) -> Option<ParticipantIdentity> {
    kept(ParticipantIdentity::new(identity.as_str()), "participant identity")
}

fn kept<T, E: std::fmt::Display>(id: Result<T, E>, what: &'static str) -> Option<T> {
    id.inspect_err(|error| tracing::warn!(what, %error, "the server sent an id that cannot be kept"))
        .ok()
}

pub(crate) fn participant(found: &RemoteParticipant) -> Option<ParticipantInfo> {
    let permission = found.permission();
    Some(ParticipantInfo {
        sid: participant_sid(&found.sid())?,
        identity: identity(&found.identity())?,
        name: found.name(),
        kind: participant_kind(found.kind()),
        metadata: found.metadata(),
        attributes: found.attributes().into_iter().collect(),
        permissions: permission.as_ref().map(permissions).unwrap_or_default(),
        joined_at: u64::try_from(found.joined_at())
            .ok()
            .filter(|ms| *ms > 0)
            .map(WallTime::from_millis),
        tracks: found.track_publications().values().filter_map(track).collect(),
    })
}

pub(crate) fn permissions(found: &livekit_protocol::ParticipantPermission) -> Permissions {
    Permissions {
        can_publish: found.can_publish,
        can_subscribe: found.can_subscribe,
        can_publish_data: found.can_publish_data,
        hidden: found.hidden,
    }
}

fn participant_kind(kind: livekit::ParticipantKind) -> ParticipantKind {
    match kind {
        livekit::ParticipantKind::Standard => ParticipantKind::Standard,
        livekit::ParticipantKind::Ingress => ParticipantKind::Ingress,
        livekit::ParticipantKind::Egress => ParticipantKind::Egress,
        livekit::ParticipantKind::Sip => ParticipantKind::Sip,
        livekit::ParticipantKind::Agent => ParticipantKind::Agent,
        _ => ParticipantKind::Unknown,
    }
}

pub(crate) fn track(found: &RemoteTrackPublication) -> Option<TrackInfo> {
    let dims = found.dimension();
    Some(TrackInfo {
        sid: track_sid(&found.sid())?,
        name: found.name(),
        kind: kind(found.kind()),
        source: source(found.source()),
        mime: found.mime_type(),
        muted: found.is_muted(),
        dims: (dims.0 > 0 && dims.1 > 0).then(|| Dims::new(dims.0, dims.1)),
        simulcast: found.simulcasted(),
        encryption: encryption(found.encryption_type()),
        subscribed: found.is_subscribed(),
    })
}

pub(crate) fn kind(kind: lk::TrackKind) -> MediaKind {
    match kind {
        lk::TrackKind::Audio => MediaKind::Audio,
        lk::TrackKind::Video => MediaKind::Video,
    }
}

pub(crate) fn source(source: lk::TrackSource) -> TrackSource {
    match source {
        lk::TrackSource::Camera => TrackSource::Camera,
        lk::TrackSource::Microphone => TrackSource::Microphone,
        lk::TrackSource::Screenshare => TrackSource::ScreenShare,
        lk::TrackSource::ScreenshareAudio => TrackSource::ScreenShareAudio,
        lk::TrackSource::Unknown => TrackSource::Unknown,
    }
}

pub(crate) fn encryption(found: EncryptionType) -> Encryption {
    match found {
        EncryptionType::None => Encryption::None,
        EncryptionType::Gcm => Encryption::Gcm,
        EncryptionType::Custom => Encryption::Custom,
    }
}

pub(crate) fn quality(found: livekit::participant::ConnectionQuality) -> Quality {
    use livekit::participant::ConnectionQuality;
    match found {
        ConnectionQuality::Excellent => Quality::Excellent,
        ConnectionQuality::Good => Quality::Good,
        ConnectionQuality::Poor => Quality::Poor,
        ConnectionQuality::Lost => Quality::Lost,
    }
}

/// The name of an enum's variant as words: `RoomDeleted` is "room deleted".
pub(crate) fn words(variant: &impl std::fmt::Debug) -> String {
    let mut words = String::new();
    for letter in format!("{variant:?}").chars() {
        if letter.is_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.extend(letter.to_lowercase());
    }
    words
}

#[cfg(test)]
mod tests {
    #[test]
    fn variants_read_as_words() {
        #[derive(Debug)]
        enum Reason {
            RoomDeleted,
        }
        assert_eq!(super::words(&Reason::RoomDeleted), "room deleted");
    }
}
