//! What a recording's journal holds, as rows. All of it follows from the segments, each of which brings its own facts;
//! so what a crash took from the rows comes back with the files.

mod put;

use std::collections::BTreeMap;

use greffier_media::{
    codec::MediaKind,
    ids::{ParticipantIdentity, ParticipantSid, RecordingId, SegmentIndex, TrackSid},
    journal::TrackSource,
    time::Arrival,
};
use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _,
    sea_query::{Expr, ExprTrait as _},
};

pub(crate) use self::put::{Totals, add_event, put_totals, record_segment};
use super::{
    RecordingError, Recordings,
    entity::{events, participants, segment_tracks, segments, tracks},
};
use crate::{
    DatabaseError,
    database::column::Row,
    journal::{SegmentFacts, TimelineEvent, Torn},
};

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
    /// If it was mended after a crash: what was lost.
    pub torn: Option<Torn>,
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

impl Segment {
    pub(crate) fn from_model(model: segments::Model) -> Result<Self, DatabaseError> {
        let key = format!("{} {}", model.recording_id, model.idx);
        let row = Row::new("segments", &key);
        let first = row.time_opt("first_arrival_ns", model.first_arrival_ns)?;
        let last = row.time_opt("last_arrival_ns", model.last_arrival_ns)?;
        let torn_at = model.torn_at.map(|bytes| row.count("torn_at", bytes)).transpose()?;
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
            torn: torn_at.zip(torn_bytes).map(|(valid_bytes, lost_bytes)| Torn {
                valid_bytes,
                lost_bytes,
            }),
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
