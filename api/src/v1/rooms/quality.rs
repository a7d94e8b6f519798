//! `POST /api/livekit/rooms/{room_name}/quality`

use axum::{extract::State, http::StatusCode};
use garde::Validate;
use greffier_store::meetings::{Direction, QualityKind, QualitySample};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{find, live_call_of};
use crate::{
    Principal,
    access::Operation,
    extract::{Body, Id, objects},
    problem::ApiResult,
    services::App,
};

#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum DirectionName {
    Send,
    Receive,
}

#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum MediaName {
    Audio,
    Video,
}

/// What a client counted of one track since it last said so.
#[derive(Debug, Deserialize, ToSchema)]
struct Sample {
    direction: DirectionName,
    kind: MediaName,
    #[schema(value_type = u64, maximum = 4_294_967_295_u64)]
    packets: u32,
    #[schema(value_type = u64, maximum = 4_294_967_295_u64)]
    packets_lost: u32,
    #[serde(default)]
    jitter_ms: Option<f64>,
    #[serde(default)]
    rtt_ms: Option<f64>,
    #[serde(default)]
    bitrate_kbps: Option<f64>,
    #[serde(default)]
    #[schema(value_type = u64, maximum = 4_294_967_295_u64)]
    width: u32,
    #[serde(default)]
    #[schema(value_type = u64, maximum = 4_294_967_295_u64)]
    height: u32,
}

/// What a client counted.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[garde(allow_unvalidated)]
#[schema(example = json!({"samples": [{
    "direction": "receive", "kind": "video", "packets": 1200, "packets_lost": 3, "jitter_ms": 4.5, "rtt_ms": 38.0,
    "bitrate_kbps": 900.0, "width": 1280, "height": 720,
}]}))]
pub(super) struct AddQuality {
    #[garde(length(max = 200))]
    #[serde(deserialize_with = "objects")]
    #[schema(max_items = 200)]
    samples: Vec<Sample>,
}

/// Tell how well media arrives, each ten seconds; it is summed up for the call's history.
#[utoipa::path(
    post, path = "/api/livekit/rooms/{room_name}/quality", tag = "rooms", operation_id = "add_quality",
    params(("room_name" = String, Path, description = "The room")),
    request_body = AddQuality,
    responses(
        (status = 204, description = "It is added"),
        (status = 404, description = "There is no such room", body = crate::problem::Problem),
        (status = 409, description = "The caller is in no call there", body = crate::problem::Problem),
    )
)]
pub(super) async fn add(
    State(app): State<App>,
    caller: Principal,
    Id(name): Id<String>,
    Body(measured): Body<AddQuality>,
) -> ApiResult<StatusCode> {
    find(&app, &caller, Operation::SeeRoom, &name).await?;
    let (call, identity, _) = live_call_of(&app, &caller, &name).await?;
    let samples: Vec<_> = measured.samples.into_iter().map(QualitySample::from).collect();
    app.store().calls().add_quality(call, &identity, &samples).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl From<Sample> for QualitySample {
    fn from(sample: Sample) -> Self {
        Self {
            direction: match sample.direction {
                DirectionName::Send => Direction::Send,
                DirectionName::Receive => Direction::Receive,
            },
            kind: match sample.kind {
                MediaName::Audio => QualityKind::Audio,
                MediaName::Video => QualityKind::Video,
            },
            packets: sample.packets,
            packets_lost: sample.packets_lost,
            jitter_ms: sample.jitter_ms,
            rtt_ms: sample.rtt_ms,
            bitrate_kbps: sample.bitrate_kbps,
            width: sample.width,
            height: sample.height,
        }
    }
}
