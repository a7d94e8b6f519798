//! How well media arrived, as each participant's own client measured it: sums, so that a long call takes no more room
//! than a short one.

use std::collections::HashMap;

use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _, QuerySelect as _,
};
use serde::{Deserialize, Serialize};

use super::{Calls, MeetingError, entity::call_quality};
use crate::{
    CallId, DatabaseError,
    database::column::{Row, from_time, storable, to_name},
};

/// Which way media went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    Send,
    Receive,
}

/// Which media.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QualityKind {
    Audio,
    Video,
}

/// What a client measured since it last said so.
#[derive(Debug, Clone, PartialEq)]
pub struct QualitySample {
    pub direction: Direction,
    pub kind: QualityKind,
    pub packets: u32,
    pub packets_lost: u32,
    pub jitter_ms: Option<f64>,
    pub rtt_ms: Option<f64>,
    pub bitrate_kbps: Option<f64>,
    /// Of the picture, in pixels.
    pub width: u32,
    pub height: u32,
}

/// What a client measured in all of a call, one way, of one kind of media.
#[derive(Debug, Clone, PartialEq)]
pub struct Quality {
    pub direction: Direction,
    pub kind: QualityKind,
    pub samples: u64,
    pub packets: u64,
    pub packets_lost: u64,
    /// Mean and highest.
    pub jitter_ms: Option<(f64, f64)>,
    /// Mean and highest.
    pub rtt_ms: Option<(f64, f64)>,
    pub mean_bitrate_kbps: Option<f64>,
    /// Of the largest picture, in pixels.
    pub width: u32,
    pub height: u32,
}

impl Quality {
    /// Of the packets that were sent, in percent.
    pub fn loss_percent(&self) -> Option<f64> {
        let all = self.packets + self.packets_lost;
        (all > 0).then(|| 100.0 * self.packets_lost as f64 / all as f64)
    }
}

impl Calls<'_> {
    /// Adds what a participant's client measured.
    pub async fn add_quality(
        &self,
        call: CallId,
        identity: &str,
        samples: &[QualitySample],
    ) -> Result<(), MeetingError> {
        let now = from_time(self.0.now());
        let transaction = self.0.database.begin().await?;
        for sample in samples {
            let key = (
                call.to_string(),
                storable(identity),
                to_name(&sample.direction),
                to_name(&sample.kind),
            );
            let known = call_quality::Entity::find_by_id(key.clone())
                .lock_exclusive()
                .one(&transaction)
                .await?;
            let is_new = known.is_none();
            let mut model = known.unwrap_or_else(|| empty(key));
            add(&mut model, sample, now);
            if is_new {
                let model: call_quality::ActiveModel = model.into();
                call_quality::Entity::insert(model)
                    .exec_without_returning(&transaction)
                    .await?;
            } else {
                let model = call_quality::ActiveModel::from(model).reset_all();
                model.update(&transaction).await?;
            }
        }
        transaction.commit().await?;
        Ok(())
    }
}

fn empty((call_id, identity, direction, kind): (String, String, String, String)) -> call_quality::Model {
    call_quality::Model {
        call_id,
        identity,
        direction,
        kind,
        samples: 0,
        packets: 0,
        packets_lost: 0,
        jitter_samples: 0,
        jitter_us: 0,
        jitter_max_us: 0,
        rtt_samples: 0,
        rtt_us: 0,
        rtt_max_us: 0,
        bitrate_samples: 0,
        bitrate_bps: 0,
        width: 0,
        height: 0,
        updated_ns: 0,
    }
}

fn add(model: &mut call_quality::Model, sample: &QualitySample, now: i64) {
    model.samples += 1;
    model.packets += i64::from(sample.packets);
    model.packets_lost += i64::from(sample.packets_lost);
    if let Some(us) = sample.jitter_ms.map(thousandths) {
        model.jitter_samples += 1;
        model.jitter_us += us;
        model.jitter_max_us = model.jitter_max_us.max(us);
    }
    if let Some(us) = sample.rtt_ms.map(thousandths) {
        model.rtt_samples += 1;
        model.rtt_us += us;
        model.rtt_max_us = model.rtt_max_us.max(us);
    }
    if let Some(bps) = sample.bitrate_kbps.map(thousandths) {
        model.bitrate_samples += 1;
        model.bitrate_bps += bps;
    }
    model.width = model.width.max(i64::from(sample.width));
    model.height = model.height.max(i64::from(sample.height));
    model.updated_ns = now;
}

/// What a client says is bounded, so that no sum of it overflows: an hour of jitter, 1 Tbit/s.
#[expect(clippy::cast_possible_truncation, reason = "bounded, and a cast saturates")]
fn thousandths(value: f64) -> i64 {
    if value.is_finite() {
        (value.clamp(0.0, 1e9) * 1000.0) as i64
    } else {
        0
    }
}

/// By call and identity.
pub(super) async fn of_calls(
    connection: &impl ConnectionTrait,
    calls: impl Iterator<Item = String>,
) -> Result<HashMap<(String, String), Vec<Quality>>, DatabaseError> {
    let models = call_quality::Entity::find()
        .filter(call_quality::Column::CallId.is_in(calls))
        .all(connection)
        .await?;
    let mut measured: HashMap<_, Vec<_>> = HashMap::new();
    for model in models {
        let quality = Quality::from_model(&model)?;
        measured
            .entry((model.call_id, model.identity))
            .or_default()
            .push(quality);
    }
    Ok(measured)
}

impl Quality {
    fn from_model(model: &call_quality::Model) -> Result<Self, DatabaseError> {
        let row = Row::new("call_quality", &model.identity);
        let mean = |sum: i64, samples: i64| (samples > 0).then(|| sum as f64 / samples as f64 / 1000.0);
        let both = |sum, samples, highest: i64| mean(sum, samples).map(|mean| (mean, highest as f64 / 1000.0));
        Ok(Self {
            direction: row.name("direction", &model.direction)?,
            kind: row.name("kind", &model.kind)?,
            samples: row.count("samples", model.samples)?,
            packets: row.count("packets", model.packets)?,
            packets_lost: row.count("packets_lost", model.packets_lost)?,
            jitter_ms: both(model.jitter_us, model.jitter_samples, model.jitter_max_us),
            rtt_ms: both(model.rtt_us, model.rtt_samples, model.rtt_max_us),
            mean_bitrate_kbps: mean(model.bitrate_bps, model.bitrate_samples),
            width: row.small("width", model.width)?,
            height: row.small("height", model.height)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_no_sense_adds_nothing() {
        for (value, expected) in [
            (f64::NAN, 0),
            (f64::INFINITY, 0),
            (-5.0, 0),
            (1.5, 1500),
            (1e300, 1_000_000_000_000),
        ] {
            assert_eq!(thousandths(value), expected, "{value}");
        }
    }
}
