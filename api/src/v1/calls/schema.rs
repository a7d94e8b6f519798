//! How calls look.

use greffier_agent::view::timestamp;
use greffier_store::meetings::{Call, CallParticipant, Quality};
use serde::Serialize;
use utoipa::ToSchema;

/// A call: one session of a room.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "call_01J8Z6J9W2T4X5Y6Z7A8B9C0D1", "room": "team-monday", "title": "Team on Monday",
    "started_at": "2026-01-31T09:00:02Z", "ended_at": "2026-01-31T09:31:40Z",
    "participants": [{
        "identity": "usr_01J8Z6J9W2T4X5Y6Z7A8B9C0D1", "name": "Ana",
        "intervals": [{"joined_at": "2026-01-31T09:00:03Z", "left_at": "2026-01-31T09:31:38Z"}],
    }],
}))]
pub(super) struct CallView {
    pub id: String,
    /// The room's name.
    pub room: String,
    /// The room's title, if it was made here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    #[schema(format = DateTime)]
    pub started_at: String,
    /// Without it, it goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub ended_at: Option<String>,
    pub participants: Vec<CallParticipantView>,
    /// Recordings that were made meanwhile; lists leave it out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recordings: Option<Vec<String>>,
}

/// Somebody who was in a call.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CallParticipantView {
    identity: String,
    name: String,
    intervals: Vec<IntervalView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quality: Option<QualityView>,
}

/// From when to when.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct IntervalView {
    #[schema(format = DateTime)]
    joined_at: String,
    /// Without it, they are still there.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    left_at: Option<String>,
}

/// How well media arrived at somebody, as their own client measured it, over the whole call.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct QualityView {
    #[serde(skip_serializing_if = "Option::is_none")]
    packets_lost_percent: Option<f64>,
    /// Mean.
    #[serde(skip_serializing_if = "Option::is_none")]
    jitter_ms: Option<f64>,
    /// Mean.
    #[serde(skip_serializing_if = "Option::is_none")]
    rtt_ms: Option<f64>,
    /// Mean, of one track.
    #[serde(skip_serializing_if = "Option::is_none")]
    bitrate_kbps: Option<f64>,
    /// Of the largest picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    width: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    height: Option<u32>,
}

impl From<&Call> for CallView {
    fn from(call: &Call) -> Self {
        Self {
            id: call.id.to_string(),
            room: call.room_name.clone(),
            title: call.title.clone(),
            started_at: timestamp(call.started).to_string(),
            ended_at: call.ended.map(|at| timestamp(at).to_string()),
            participants: call.participants.iter().map(CallParticipantView::from).collect(),
            recordings: None,
        }
    }
}

impl From<&CallParticipant> for CallParticipantView {
    fn from(participant: &CallParticipant) -> Self {
        let interval = |stay: &greffier_store::meetings::Stay| IntervalView {
            joined_at: timestamp(stay.joined).to_string(),
            left_at: stay.left.map(|at| timestamp(at).to_string()),
        };
        Self {
            identity: participant.identity.clone(),
            name: participant.name.clone(),
            intervals: participant.stays.iter().map(interval).collect(),
            quality: QualityView::of(&participant.quality),
        }
    }
}

impl QualityView {
    /// Of all media together; what was measured longer counts more.
    fn of(measured: &[Quality]) -> Option<Self> {
        if measured.is_empty() {
            return None;
        }
        let mean = |value: fn(&Quality) -> Option<f64>| {
            let known = || {
                measured
                    .iter()
                    .filter_map(|one| Some((value(one)?, one.samples as f64)))
            };
            let weight: f64 = known().map(|(_, weight)| weight).sum();
            (weight > 0.0).then(|| known().map(|(value, weight)| value * weight).sum::<f64>() / weight)
        };
        let packets: u64 = measured.iter().map(|one| one.packets).sum();
        let lost: u64 = measured.iter().map(|one| one.packets_lost).sum();
        let largest = measured
            .iter()
            .max_by_key(|one| one.height)
            .filter(|one| one.height > 0);
        let rounded = |value: f64| (value * 100.0).round() / 100.0;
        Some(Self {
            packets_lost_percent: (packets + lost > 0).then(|| rounded(100.0 * lost as f64 / (packets + lost) as f64)),
            jitter_ms: mean(|one| one.jitter_ms.map(|(mean, _)| mean)).map(rounded),
            rtt_ms: mean(|one| one.rtt_ms.map(|(mean, _)| mean)).map(rounded),
            bitrate_kbps: mean(|one| one.mean_bitrate_kbps).map(rounded),
            width: largest.map(|one| one.width),
            height: largest.map(|one| one.height),
        })
    }
}
