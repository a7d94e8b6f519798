//! What a recording's journal holds, as rows. All of it follows from the segments, each of which brings its own facts;
//! so what a crash took from the rows comes back with the files.

use std::collections::BTreeMap;

use greffier_media::{
    codec::MediaKind,
    ids::{ParticipantIdentity, ParticipantSid, RecordingId, SegmentIndex, TrackSid},
    journal::TrackSource,
    time::Arrival,
};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait as _, Condition, ConnectionTrait, DatabaseTransaction, EntityTrait as _, FromQueryResult,
    QueryFilter as _, QueryOrder as _, QuerySelect as _,
    sea_query::{Expr, ExprTrait as _, Func, OnConflict},
};

use super::{
    RecordingError, Recordings,
    entity::{events, participants, recordings, segment_tracks, segments, tracks},
    lifecycle::lock_row,
};
use crate::{
    DatabaseError,
    database::column::{Row, from_count, from_time, storable, to_json, to_name},
    journal::{SegmentFacts, TimelineEvent, TrackFacts},
};

/// Rows of one statement: databases bound the number of values in it.
const ROWS_PER_INSERT: usize = 500;

/// One segment of a recording's journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    pub index: SegmentIndex,
    /// It gets no more messages, and is on the disk as it will stay.
    pub sealed: bool,
    pub bytes: u64,
    /// In lower-case hexadecimal, once it is sealed.
    pub sha256: Option<String>,
    pub messages: u64,
    pub packets: u64,
    pub lost_packets: u64,
    /// Arrivals of its first and last message.
    pub span: Option<(Arrival, Arrival)>,
    /// Bytes at its end that were dropped after a crash.
    pub torn_bytes: Option<u64>,
    /// The data directory has it.
    pub on_disk: bool,
    /// Since when the object store has it.
    pub uploaded: Option<Arrival>,
}

/// One track of a recording, over all segments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Track {
    pub sid: TrackSid,
    pub name: String,
    pub participant: ParticipantSid,
    pub identity: ParticipantIdentity,
    pub participant_name: String,
    pub source: TrackSource,
    pub kind: MediaKind,
    pub mime: String,
    pub ssrcs: Vec<u32>,
    pub packets: u64,
    pub lost_packets: u64,
    pub bytes: u64,
    /// Arrivals of its first and last packet.
    pub first: Arrival,
    pub last: Arrival,
}

/// Somebody who was there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Participant {
    pub identity: ParticipantIdentity,
    /// The last they had.
    pub name: String,
}

/// Where a page of the timeline ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventCursor {
    pub(crate) at_ns: i64,
    pub(crate) source: i64,
    pub(crate) seq: i64,
}

impl std::fmt::Display for EventCursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.at_ns, self.source, self.seq)
    }
}

impl std::str::FromStr for EventCursor {
    type Err = RecordingError;

    fn from_str(text: &str) -> Result<Self, RecordingError> {
        let bad = || RecordingError::Invalid {
            field: "cursor",
            rule: "one that a page before gave",
        };
        let mut numbers = text.splitn(3, '.').map(|number| number.parse().map_err(|_| bad()));
        let mut next = || numbers.next().unwrap_or_else(|| Err(bad()));
        Ok(Self {
            at_ns: next()?,
            source: next()?,
            seq: next()?,
        })
    }
}

/// Where an entry of the timeline comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum TimelineSource {
    /// Nothing but the rows has it.
    Rows,
    Segment(SegmentIndex),
}

impl TimelineSource {
    fn column(self) -> i64 {
        match self {
            Self::Rows => -1,
            Self::Segment(index) => i64::from(index.0),
        }
    }
}

impl Recordings<'_> {
    /// Brings the rows in line with what a segment holds: while it is being written, and when it is sealed. What is
    /// sealed stays so: facts from before come too late and are left out.
    pub async fn record_segment(&self, id: RecordingId, facts: &SegmentFacts) -> Result<(), RecordingError> {
        let transaction = self.0.database.begin().await?;
        record_segment(&transaction, id, facts).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// The journal's segments, in order.
    pub async fn segments(&self, id: RecordingId) -> Result<Vec<Segment>, RecordingError> {
        self.get(id).await?;
        Ok(all_segments(self.0.database.read(), id).await?)
    }

    /// Tracks of which at least one packet was kept, in the order they began.
    pub async fn tracks(&self, id: RecordingId) -> Result<Vec<Track>, RecordingError> {
        self.get(id).await?;
        let connection = self.0.database.read();
        let mut parts: BTreeMap<String, Vec<segment_tracks::Model>> = BTreeMap::new();
        for part in segment_tracks::Entity::find()
            .filter(segment_tracks::Column::RecordingId.eq(id.to_string()))
            .order_by_asc(segment_tracks::Column::Idx)
            .all(connection)
            .await?
        {
            parts.entry(part.track_sid.clone()).or_default().push(part);
        }
        let described = tracks::Entity::find()
            .filter(tracks::Column::RecordingId.eq(id.to_string()))
            .all(connection)
            .await?;
        let mut tracks = Vec::with_capacity(described.len());
        for model in described {
            let parts = parts.remove(&model.track_sid).unwrap_or_default();
            tracks.extend(Track::from_models(&model, &parts)?);
        }
        tracks.sort_by(|a, b| (a.first, &a.sid).cmp(&(b.first, &b.sid)));
        Ok(tracks)
    }

    /// Who was there.
    pub async fn participants(&self, id: RecordingId) -> Result<Vec<Participant>, RecordingError> {
        self.get(id).await?;
        let models = participants::Entity::find()
            .filter(participants::Column::RecordingId.eq(id.to_string()))
            .order_by_asc(participants::Column::Identity)
            .all(self.0.database.read())
            .await?;
        let participants = models.into_iter().map(|model| {
            let row = Row::new("participants", &model.recording_id);
            let identity = row.parse("identity", &model.identity)?;
            Ok::<_, DatabaseError>(Participant {
                identity,
                name: model.name,
            })
        });
        Ok(participants.collect::<Result<_, _>>()?)
    }

    /// The timeline in order, up to `limit` entries after `after`, of these `kinds` or of all if there is none; and
    /// where the next page begins, if there is more.
    pub async fn events(
        &self,
        id: RecordingId,
        kinds: &[&str],
        after: Option<EventCursor>,
        limit: u64,
    ) -> Result<(Vec<TimelineEvent>, Option<EventCursor>), RecordingError> {
        use events::Column;
        self.get(id).await?;
        let mut wanted = Condition::all().add(Column::RecordingId.eq(id.to_string()));
        if !kinds.is_empty() {
            wanted = wanted.add(Column::Kind.is_in(kinds.iter().copied()));
        }
        if let Some(after) = after {
            wanted = wanted.add(
                Expr::tuple([
                    Expr::col(Column::AtNs),
                    Expr::col(Column::Source),
                    Expr::col(Column::Seq),
                ])
                .gt(Expr::tuple([
                    Expr::value(after.at_ns),
                    Expr::value(after.source),
                    Expr::value(after.seq),
                ])),
            );
        }
        let mut models = events::Entity::find()
            .filter(wanted)
            .order_by_asc(Column::AtNs)
            .order_by_asc(Column::Source)
            .order_by_asc(Column::Seq)
            .limit(limit.saturating_add(1))
            .all(self.0.database.read())
            .await?;
        let more = models.len() as u64 > limit;
        models.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        let next = models.last().filter(|_| more).map(|last| EventCursor {
            at_ns: last.at_ns,
            source: last.source,
            seq: last.seq,
        });
        let events = models.into_iter().map(|model| {
            let row = Row::new("events", &model.recording_id);
            Ok::<_, DatabaseError>(TimelineEvent {
                at: row.time("at_ns", model.at_ns)?,
                data: row.json("data", &model.data)?,
                kind: model.kind,
            })
        });
        Ok((events.collect::<Result<_, _>>()?, next))
    }
}

/// A recording's segments as rows, in order.
pub(crate) async fn segment_models(
    connection: &impl ConnectionTrait,
    id: RecordingId,
) -> Result<Vec<segments::Model>, DatabaseError> {
    Ok(segments::Entity::find()
        .filter(segments::Column::RecordingId.eq(id.to_string()))
        .order_by_asc(segments::Column::Idx)
        .all(connection)
        .await?)
}

/// A recording's segments, in order.
pub(crate) async fn all_segments(
    connection: &impl ConnectionTrait,
    id: RecordingId,
) -> Result<Vec<Segment>, DatabaseError> {
    let models = segment_models(connection, id).await?;
    models.into_iter().map(Segment::from_model).collect()
}

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
    let torn_bytes = facts
        .torn_bytes
        .map(from_count)
        .or(known.as_ref().and_then(|known| known.torn_bytes));
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

impl Segment {
    pub(crate) fn from_model(model: segments::Model) -> Result<Self, DatabaseError> {
        let key = format!("{} {}", model.recording_id, model.idx);
        let row = Row::new("segments", &key);
        let first = row.time_opt("first_arrival_ns", model.first_arrival_ns)?;
        let last = row.time_opt("last_arrival_ns", model.last_arrival_ns)?;
        let torn_bytes = model
            .torn_bytes
            .map(|bytes| row.count("torn_bytes", bytes))
            .transpose()?;
        Ok(Self {
            index: SegmentIndex(row.small("idx", model.idx)?),
            sealed: model.sealed,
            bytes: row.count("bytes", model.bytes)?,
            messages: row.count("messages", model.messages)?,
            packets: row.count("packets", model.packets)?,
            lost_packets: row.count("lost_packets", model.lost_packets)?,
            span: first.zip(last),
            torn_bytes,
            on_disk: model.on_disk,
            uploaded: row.time_opt("uploaded_ns", model.uploaded_ns)?,
            sha256: model.sha256,
        })
    }
}

impl Track {
    /// `None` if no segment has anything of it.
    fn from_models(model: &tracks::Model, parts: &[segment_tracks::Model]) -> Result<Option<Self>, DatabaseError> {
        let key = format!("{} {}", model.recording_id, model.track_sid);
        let row = Row::new("tracks", &key);
        let first = parts.iter().map(|part| part.first_arrival_ns).min();
        let last = parts.iter().map(|part| part.last_arrival_ns).max();
        let Some((first, last)) = first.zip(last) else {
            return Ok(None);
        };
        let mut ssrcs = Vec::new();
        for part in parts {
            for ssrc in row.json::<Vec<u32>>("ssrcs", &part.ssrcs)? {
                if !ssrcs.contains(&ssrc) {
                    ssrcs.push(ssrc);
                }
            }
        }
        Ok(Some(Self {
            sid: row.parse("track_sid", &model.track_sid)?,
            name: model.name.clone(),
            participant: row.parse("participant_sid", &model.participant_sid)?,
            identity: row.parse("participant_identity", &model.participant_identity)?,
            participant_name: model.participant_name.clone(),
            source: row.name("source", &model.source)?,
            kind: row.name("kind", &model.kind)?,
            mime: model.mime.clone(),
            ssrcs,
            packets: row.count("packets", parts.iter().map(|part| part.packets).sum())?,
            lost_packets: row.count("lost_packets", parts.iter().map(|part| part.lost_packets).sum())?,
            bytes: row.count("bytes", parts.iter().map(|part| part.bytes).sum())?,
            first: row.time("first_arrival_ns", first)?,
            last: row.time("last_arrival_ns", last)?,
        }))
    }
}
