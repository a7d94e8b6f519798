//! What somebody asked to be recorded.

use std::time::Duration;

use greffier_media::{
    codec::{Dims, MediaKind},
    ids::ParticipantIdentity,
    journal::TrackSource,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What to record, of whom, and for how long. Kept with the recording, so that a restarted process goes on as asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RecordingRequest {
    /// Who asked: a person, an API key, a rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requested_by: Option<String>,
    /// The rule that started it; retention goes by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Tracks that match any of these are recorded; all are, if there is none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<TrackFilter>,
    /// Tracks that match any of these are not, whatever `include` says.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<TrackFilter>,
    pub layers: LayerPolicy,
    pub limits: Limits,
}

impl RecordingRequest {
    /// Whether a track is to be recorded.
    pub fn wants(&self, identity: &ParticipantIdentity, source: TrackSource, kind: MediaKind) -> bool {
        let any = |filters: &[TrackFilter]| filters.iter().any(|filter| filter.matches(identity, source, kind));
        (self.include.is_empty() || any(&self.include)) && !any(&self.exclude)
    }
}

/// Tracks for which all that is given holds. An empty one matches all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrackFilter {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<ParticipantIdentity>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<TrackSource>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<MediaKind>,
}

impl TrackFilter {
    pub fn matches(&self, identity: &ParticipantIdentity, source: TrackSource, kind: MediaKind) -> bool {
        self.identity.as_ref().is_none_or(|wanted| wanted == identity)
            && self.source.is_none_or(|wanted| wanted == source)
            && self.kind.is_none_or(|wanted| wanted == kind)
    }
}

/// Which of a video track's layers to ask the server for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LayerPolicy {
    /// The best there is.
    #[default]
    Top,
    /// The best that is no larger than this, so that a recorder need not force every camera to its maximum.
    AtMost(Dims),
}

/// When a recording ends by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// In milliseconds in JSON; `None`: never.
    #[serde(
        rename = "max_duration_ms",
        serialize_with = "to_millis",
        deserialize_with = "from_millis"
    )]
    pub max_duration: Option<Duration>,
    /// How long the room may be empty. In milliseconds in JSON; `None`: until the server closes it.
    #[serde(
        rename = "empty_timeout_ms",
        serialize_with = "to_millis",
        deserialize_with = "from_millis"
    )]
    pub empty_timeout: Option<Duration>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_duration: None,
            empty_timeout: Some(Duration::from_secs(30)),
        }
    }
}

#[expect(clippy::ref_option, reason = "serde gives a reference to the field")]
fn to_millis<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    duration
        .map(|duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
        .serialize(serializer)
}

fn from_millis<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    Ok(Option::<u64>::deserialize(deserializer)?.map(Duration::from_millis))
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json, to_value};

    use super::*;

    fn id(text: &str) -> ParticipantIdentity {
        ParticipantIdentity::new(text).unwrap()
    }

    #[test]
    fn without_filters_all_is_recorded() {
        let request = RecordingRequest::default();
        assert!(request.wants(&id("ana"), TrackSource::Camera, MediaKind::Video));
        assert!(request.wants(&id("ben"), TrackSource::Unknown, MediaKind::Audio));
    }

    #[test]
    fn exclusion_wins() {
        let audio_only_without_ben: RecordingRequest = from_value(json!({
            "include": [{"kind": "audio"}, {"identity": "ana", "source": "screen_share"}],
            "exclude": [{"identity": "ben"}],
        }))
        .unwrap();
        for (identity, source, kind, wanted) in [
            ("ana", TrackSource::Microphone, MediaKind::Audio, true),
            ("ana", TrackSource::Camera, MediaKind::Video, false),
            ("ana", TrackSource::ScreenShare, MediaKind::Video, true),
            ("cem", TrackSource::ScreenShare, MediaKind::Video, false),
            ("ben", TrackSource::Microphone, MediaKind::Audio, false),
        ] {
            assert_eq!(
                audio_only_without_ben.wants(&id(identity), source, kind),
                wanted,
                "{identity} {source:?}"
            );
        }
    }

    #[test]
    fn reads_back() {
        let request = RecordingRequest {
            requested_by: Some("key:backup".into()),
            rule: Some("all".into()),
            include: vec![TrackFilter {
                source: Some(TrackSource::Camera),
                ..TrackFilter::default()
            }],
            exclude: Vec::new(),
            layers: LayerPolicy::AtMost(Dims::new(1280, 720)),
            limits: Limits {
                max_duration: Some(Duration::from_hours(1)),
                empty_timeout: None,
            },
        };
        let value = to_value(&request).unwrap();
        let limits = json!({"max_duration_ms": 3_600_000, "empty_timeout_ms": null});
        assert_eq!(
            value["limits"], limits,
            "\"never\" is not the default, so it is written"
        );
        assert_eq!(from_value::<RecordingRequest>(value).unwrap(), request);
    }
}
