//! Bringing the rows in line with what a segment holds.

use greffier_media::ids::RecordingId;
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait as _, ConnectionTrait, DatabaseTransaction, EntityTrait as _, FromQueryResult, QueryFilter as _,
    QuerySelect as _,
    sea_query::{Expr, ExprTrait as _, Func, OnConflict},
};

use super::super::{
    RecordingError,
    entity::{events, participants, recordings, segment_tracks, segments, tracks},
    lifecycle::lock_row,
};
use super::TimelineSource;
use crate::{
    DatabaseError,
    database::column::{Row, from_count, from_time, storable, to_json, to_name},
    journal::{SegmentFacts, TimelineEvent, TrackFacts},
};

/// Rows of one statement: databases bound the number of values in it.
const ROWS_PER_INSERT: usize = 500;

/// Adds an entry to the timeline, after those of the same source.
pub(crate) async fn add_event(
    transaction: &DatabaseTransaction,
    id: RecordingId,
    source: TimelineSource,
    event: &TimelineEvent,
) -> Result<(), DatabaseError> {
    let numbered = recordings::Entity::update_many()
        .col_expr(
            recordings::Column::NextEvent,
            Expr::col(recordings::Column::NextEvent).add(1),
        )
        .filter(recordings::Column::Id.eq(id.to_string()))
        .exec_with_returning(transaction)
        .await?;
    let seq = numbered.first().map_or(0, |model| model.next_event - 1);
    events::Entity::insert(event_model(id, source, seq, event))
        .exec_without_returning(transaction)
        .await?;
    Ok(())
}

fn event_model(id: RecordingId, source: TimelineSource, seq: i64, event: &TimelineEvent) -> events::ActiveModel {
    events::ActiveModel {
        recording_id: Set(id.to_string()),
        source: Set(source.column()),
        seq: Set(seq),
        at_ns: Set(from_time(event.at)),
        kind: Set(event.kind.clone()),
        data: Set(to_json(&event.data)),
    }
}

/// See [`Recordings::record_segment`].
pub(crate) async fn record_segment(
    transaction: &DatabaseTransaction,
    id: RecordingId,
    facts: &SegmentFacts,
) -> Result<(), RecordingError> {
    lock_row(transaction, id).await?;
    let key = (id.to_string(), i64::from(facts.segment.0));
    let known = segments::Entity::find_by_id(key).one(transaction).await?;
    if known.as_ref().is_some_and(|known| known.sealed) && !facts.is_sealed() {
        return Ok(());
    }
    put_segment(transaction, id, facts, known).await?;
    put_tracks(transaction, id, facts).await?;
    put_participants(transaction, id, facts).await?;
    put_events(transaction, id, facts).await?;
    put_totals(transaction, id).await?;
    Ok(())
}

async fn put_segment(
    transaction: &DatabaseTransaction,
    id: RecordingId,
    facts: &SegmentFacts,
    known: Option<segments::Model>,
) -> Result<(), DatabaseError> {
    use segments::Column;
    let torn = facts
        .torn
        .map(|torn| (from_count(torn.valid_bytes), from_count(torn.lost_bytes)));
    let known_torn = known.as_ref().and_then(|known| known.torn_at.zip(known.torn_bytes));
    let (torn_at, torn_bytes) = torn.or(known_torn).unzip();
    let model = segments::ActiveModel {
        recording_id: Set(id.to_string()),
        idx: Set(i64::from(facts.segment.0)),
        sealed: Set(facts.is_sealed()),
        bytes: Set(from_count(facts.bytes)),
        sha256: Set(facts.sha256.clone()),
        messages: Set(from_count(facts.messages)),
        packets: Set(from_count(facts.packets())),
        lost_packets: Set(from_count(facts.lost_packets())),
        first_arrival_ns: Set(facts.span.map(|(first, _)| from_time(first))),
        last_arrival_ns: Set(facts.span.map(|(_, last)| from_time(last))),
        torn_at: Set(torn_at),
        torn_bytes: Set(torn_bytes),
        on_disk: Set(true),
        uploaded_ns: Set(known.and_then(|known| known.uploaded_ns)),
    };
    let replace = OnConflict::columns([Column::RecordingId, Column::Idx])
        .update_columns([
            Column::Sealed,
            Column::Bytes,
            Column::Sha256,
            Column::Messages,
            Column::Packets,
            Column::LostPackets,
            Column::FirstArrivalNs,
            Column::LastArrivalNs,
            Column::TornAt,
            Column::TornBytes,
        ])
        .to_owned();
    segments::Entity::insert(model)
        .on_conflict(replace)
        .exec_without_returning(transaction)
        .await?;
    Ok(())
}

async fn put_tracks(
    transaction: &DatabaseTransaction,
    id: RecordingId,
    facts: &SegmentFacts,
) -> Result<(), DatabaseError> {
    use tracks::Column;
    let index = i64::from(facts.segment.0);
    // After a crash there may be fewer than the writer last said.
    segment_tracks::Entity::delete_many()
        .filter(segment_tracks::Column::RecordingId.eq(id.to_string()))
        .filter(segment_tracks::Column::Idx.eq(index))
        .exec(transaction)
        .await?;
    for chunk in facts.tracks.chunks(ROWS_PER_INSERT) {
        let replace = OnConflict::columns([Column::RecordingId, Column::TrackSid])
            .update_columns([
                Column::Name,
                Column::ParticipantSid,
                Column::ParticipantIdentity,
                Column::ParticipantName,
                Column::Source,
                Column::Kind,
                Column::Mime,
            ])
            .to_owned();
        tracks::Entity::insert_many(chunk.iter().map(|facts| track_model(id, facts)))
            .on_conflict(replace)
            .exec_without_returning(transaction)
            .await?;
        segment_tracks::Entity::insert_many(chunk.iter().map(|facts| segment_tracks::ActiveModel {
            recording_id: Set(id.to_string()),
            idx: Set(index),
            track_sid: Set(facts.track.track.to_string()),
            ssrcs: Set(to_json(&facts.ssrcs)),
            packets: Set(from_count(facts.packets)),
            lost_packets: Set(from_count(facts.lost_packets)),
            bytes: Set(from_count(facts.bytes)),
            first_arrival_ns: Set(from_time(facts.first)),
            last_arrival_ns: Set(from_time(facts.last)),
        }))
        .exec_without_returning(transaction)
        .await?;
    }
    Ok(())
}

fn track_model(id: RecordingId, facts: &TrackFacts) -> tracks::ActiveModel {
    let track = &facts.track;
    tracks::ActiveModel {
        recording_id: Set(id.to_string()),
        track_sid: Set(track.track.to_string()),
        name: Set(storable(&track.track_name)),
        participant_sid: Set(track.participant.to_string()),
        participant_identity: Set(track.identity.to_string()),
        participant_name: Set(storable(&track.participant_name)),
        source: Set(to_name(&track.source)),
        kind: Set(to_name(&track.kind)),
        mime: Set(storable(&track.mime)),
    }
}

async fn put_participants(
    transaction: &DatabaseTransaction,
    id: RecordingId,
    facts: &SegmentFacts,
) -> Result<(), DatabaseError> {
    use participants::Column;
    let people: Vec<_> = facts.participants.iter().collect();
    for chunk in people.chunks(ROWS_PER_INSERT) {
        let replace = OnConflict::columns([Column::RecordingId, Column::Identity])
            .update_columns([Column::Name, Column::SearchText])
            .to_owned();
        let models = chunk.iter().map(|(identity, name)| participants::ActiveModel {
            recording_id: Set(id.to_string()),
            identity: Set(identity.to_string()),
            name: Set(storable(name)),
            search_text: Set(storable(&format!("{identity}\n{name}")).to_lowercase()),
        });
        participants::Entity::insert_many(models)
            .on_conflict(replace)
            .exec_without_returning(transaction)
            .await?;
    }
    Ok(())
}

async fn put_events(
    transaction: &DatabaseTransaction,
    id: RecordingId,
    facts: &SegmentFacts,
) -> Result<(), DatabaseError> {
    use events::Column;
    let source = TimelineSource::Segment(facts.segment);
    if facts.is_sealed() {
        // A sealed segment brings all; after a crash that may be less than the writer last said.
        events::Entity::delete_many()
            .filter(Column::RecordingId.eq(id.to_string()))
            .filter(Column::Source.eq(source.column()))
            .exec(transaction)
            .await?;
    }
    let numbered: Vec<_> = (from_count(facts.first_event as u64)..).zip(&facts.events).collect();
    for chunk in numbered.chunks(ROWS_PER_INSERT) {
        let keep = OnConflict::columns([Column::RecordingId, Column::Source, Column::Seq])
            .do_nothing()
            .to_owned();
        let models = chunk.iter().map(|(seq, event)| event_model(id, source, *seq, event));
        events::Entity::insert_many(models)
            .on_conflict(keep)
            .exec_without_returning(transaction)
            .await?;
    }
    Ok(())
}

/// A recording's totals are the sums of its segments'.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub(crate) struct Totals {
    pub(crate) bytes: i64,
    pub(crate) packets: i64,
    pub(crate) lost_packets: i64,
    pub(crate) first_arrival_ns: Option<i64>,
    pub(crate) last_arrival_ns: Option<i64>,
}

impl Totals {
    pub(crate) async fn of(connection: &impl ConnectionTrait, id: RecordingId) -> Result<Self, DatabaseError> {
        use segments::Column;
        // PostgreSQL's sum of integers is a decimal.
        let sum = |column: Column| {
            let sum = Expr::expr(Func::coalesce([column.sum(), Expr::value(0)]));
            sum.cast_as("BIGINT")
        };
        let totals = segments::Entity::find()
            .select_only()
            .column_as(sum(Column::Bytes), "bytes")
            .column_as(sum(Column::Packets), "packets")
            .column_as(sum(Column::LostPackets), "lost_packets")
            .column_as(Column::FirstArrivalNs.min(), "first_arrival_ns")
            .column_as(Column::LastArrivalNs.max(), "last_arrival_ns")
            .filter(Column::RecordingId.eq(id.to_string()))
            .into_model::<Self>()
            .one(connection)
            .await?;
        totals.ok_or_else(|| Row::new("segments", &id.to_string()).inconsistent("bytes", None))
    }
}

pub(crate) async fn put_totals(transaction: &DatabaseTransaction, id: RecordingId) -> Result<(), DatabaseError> {
    let totals = Totals::of(transaction, id).await?;
    let update = recordings::ActiveModel {
        bytes: Set(totals.bytes),
        packets: Set(totals.packets),
        lost_packets: Set(totals.lost_packets),
        first_arrival_ns: Set(totals.first_arrival_ns),
        last_arrival_ns: Set(totals.last_arrival_ns),
        ..Default::default()
    };
    recordings::Entity::update_many()
        .set(update)
        .filter(recordings::Column::Id.eq(id.to_string()))
        .exec(transaction)
        .await?;
    Ok(())
}
