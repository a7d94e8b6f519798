//! What to do about a crash, at the next start. All of it may be interrupted by the next crash, and done again.

use greffier_media::{
    ids::{RecordingId, RenderId, SegmentIndex},
    time::Arrival,
};

use crate::{
    Error, Store, disk,
    journal::{self, JournalError, SegmentFacts, Torn},
    recordings::{Recording, RecordingError, record_segment, segment_models},
    store::Inner,
};

/// What was found after a start, and what was done about it.
#[derive(Debug)]
pub struct Recovered {
    /// Recordings that were under way. Their journals are whole again; whether they go on or end is the caller's choice.
    pub interrupted: Vec<Interrupted>,
    /// Recordings that were being deleted, and are gone now.
    pub deleted: Vec<RecordingId>,
    /// The same of renders.
    pub deleted_renders: Vec<RenderId>,
    /// Jobs that are queued again.
    pub reclaimed_jobs: u64,
    /// What could not be done now; the next start tries again, and nothing else waits for it.
    pub failures: Vec<RecoveryFailure>,
}

/// A recording that was under way when its process ended. All its segments are sealed.
#[derive(Debug, Clone, PartialEq)]
pub struct Interrupted {
    /// As it is now.
    pub recording: Recording,
    /// The number of the segment it would go on with.
    pub next_segment: SegmentIndex,
    /// The last that is known of it; `None` if nothing was ever kept.
    pub last_arrival: Option<Arrival>,
    /// If its last segment was torn: which, and what was lost.
    pub torn: Option<(SegmentIndex, Torn)>,
}

/// What could not be done.
#[derive(Debug)]
pub struct RecoveryFailure {
    /// `None` if it concerns no recording in particular.
    pub recording: Option<RecordingId>,
    pub error: Error,
}

impl Store {
    /// Mends what a crash left. To be called once after [`open`](Store::open), before anything else.
    ///
    /// Segments are sealed and counted, deletions finished, jobs queued again, half-made renders thrown away.
    pub async fn recover(&self) -> Result<Recovered, Error> {
        let work = self.inner.data.work();
        disk::blocking(move || disk::remove_dir_all(&work)).await?;
        let reclaimed_jobs = self.jobs().reclaim().await?;
        let mut recovered = Recovered {
            interrupted: Vec::new(),
            deleted: Vec::new(),
            deleted_renders: Vec::new(),
            reclaimed_jobs,
            failures: Vec::new(),
        };
        match self.recordings().finish_deletions().await {
            Ok(deleted) => recovered.deleted = deleted,
            Err(error) => recovered.fail(None, error),
        }
        match self.renders().finish_deletions().await {
            Ok(deleted) => recovered.deleted_renders = deleted,
            Err(error) => recovered.fail(None, error),
        }
        for recording in self.recordings().unfinished().await? {
            match self.interrupted(recording.id).await {
                Ok(interrupted) => recovered.interrupted.push(interrupted),
                Err(error) => recovered.fail(Some(recording.id), error),
            }
        }
        Ok(recovered)
    }

    /// Seals the segments of a recording that whoever wrote them left open. Answers what was sealed.
    ///
    /// # Errors
    /// When somebody still writes its journal, or disk or database fail; calling it again goes on.
    pub async fn seal_segments(&self, id: RecordingId) -> Result<Vec<SegmentFacts>, Error> {
        seal_open_segments(&self.inner, id).await
    }

    async fn interrupted(&self, id: RecordingId) -> Result<Interrupted, Error> {
        seal_open_segments(&self.inner, id).await?;
        let recording = self.recordings().get(id).await?;
        let segments = self.recordings().segments(id).await?;
        let last = segments.last();
        let next_segment = match last {
            Some(last) => last.index.next().ok_or(JournalError::TooManySegments)?,
            None => SegmentIndex(0),
        };
        Ok(Interrupted {
            next_segment,
            last_arrival: recording.span.map(|(_, last)| last),
            torn: last.and_then(|last| Some((last.index, last.torn?))),
            recording,
        })
    }
}

impl Recovered {
    fn fail(&mut self, recording: Option<RecordingId>, error: impl Into<Error>) {
        let error = error.into();
        tracing::error!(?recording, %error, "what a crash left could not be mended now");
        self.failures.push(RecoveryFailure { recording, error });
    }
}

/// Seals every segment of a recording that is not, whatever state its file is in, and brings the rows in line. Answers
/// what was sealed.
pub(crate) async fn seal_open_segments(inner: &Inner, id: RecordingId) -> Result<Vec<SegmentFacts>, Error> {
    let _claim = inner.live.claim(id).ok_or(JournalError::InUse(id))?;
    let dir = inner.data.recording(id);
    let files = disk::blocking(move || journal::segments_in(&dir)).await?;
    let rows = segment_models(inner.database.read(), id).await?;
    let mut sealed = Vec::new();
    for (index, path) in files {
        let known = rows.iter().find(|row| row.idx == i64::from(index.0));
        // If a sealed segment's file is not as it was, that is for `check` to say: sealing it again would hide it.
        if known.is_some_and(|row| row.sealed) {
            continue;
        }
        let lost_and_found = inner.data.lost_and_found();
        let facts = disk::blocking(move || journal::seal_segment(&path, id, index, &lost_and_found)).await?;
        if let Some(torn) = facts.torn {
            tracing::warn!(recording = %id, segment = %index, lost_bytes = torn.lost_bytes, "mended a torn segment");
        }
        put(inner, id, &facts).await?;
        sealed.push(facts);
    }
    Ok(sealed)
}

/// Rows of a segment.
pub(crate) async fn put(inner: &Inner, id: RecordingId, facts: &SegmentFacts) -> Result<(), RecordingError> {
    let transaction = inner.database.begin().await?;
    record_segment(&transaction, id, facts).await?;
    transaction.commit().await?;
    Ok(())
}
