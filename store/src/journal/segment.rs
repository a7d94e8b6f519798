//! The segment that is being written, and what becomes of it.

use std::{any::Any, path::PathBuf, sync::Arc, time::Duration};

use greffier_media::{
    ids::{RecordingId, SegmentIndex},
    journal::{ChannelId, ChatMessage, RoomEvent, RoomMessage, SegmentWriter, TrackChannel, WriteError},
    time::{Arrival, WallTime},
};
use sha2::Digest as _;

use super::{
    Journal, JournalError, SegmentFacts,
    facts::{Counter, StreamIndex},
    file::{SegmentFile, Shared},
    recovery,
};
use crate::{
    claims::ClaimGuard,
    disk::{self, DiskError},
};

/// What may wait in memory when nobody calls [`tick`](super::JournalWriter::tick), in bytes: then appending flushes by
/// itself, and if that fails, so does appending.
const MAX_UNFLUSHED_BYTES: u64 = 4 << 20;

/// The segment being written.
pub(super) struct Segment {
    pub index: SegmentIndex,
    pub writer: SegmentWriter<SegmentFile>,
    pub shared: Arc<Shared>,
    pub counter: Counter,
    /// When it has lasted long enough.
    pub ends: Arrival,
    pub channels: usize,
    /// Since when something waits in memory: at the latest tick before it came, so rather too early than too late.
    pub unflushed_since: Option<Arrival>,
    /// Since when something is not known to be on the disk, nor in the hands of a [`SyncHandle`].
    pub unsynced_since: Option<Arrival>,
    pub reported_events: usize,
}

impl std::fmt::Debug for Segment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Segment")
            .field("index", &self.index)
            .field("path", &self.shared.path())
            .field("bytes", &self.bytes())
            .finish_non_exhaustive()
    }
}

impl Segment {
    /// Puts the snapshot into the new file, flushed. If that fails, the file is gone.
    pub fn begin(
        file: SegmentFile,
        index: SegmentIndex,
        now: Arrival,
        length: Duration,
        snapshot: impl FnOnce(SegmentIndex) -> RoomEvent,
    ) -> Result<Self, JournalError> {
        let path = file.shared().path().to_owned();
        let begin = || {
            let shared = Arc::clone(file.shared());
            let mut segment = Self {
                index,
                writer: SegmentWriter::new(file).map_err(|error| JournalError::of_write(error, &path))?,
                shared,
                counter: Counter::default(),
                ends: now.saturating_add(length),
                channels: 0,
                unflushed_since: Some(now),
                unsynced_since: Some(now),
                reported_events: 0,
            };
            segment.write_room(now, &snapshot(index))?;
            segment.flush()?;
            Ok(segment)
        };
        begin().inspect_err(|_| {
            // Without it the next attempt, or recovery, would find a segment that holds nothing.
            let _ = disk::remove_file(&path);
        })
    }

    pub fn add_rtp(&mut self, track: &TrackChannel) -> Result<(ChannelId, StreamIndex), JournalError> {
        let channel = self.writer.add_rtp(track);
        let channel = channel.map_err(|error| JournalError::of_write(error, self.shared.path()))?;
        self.channels += 1;
        Ok((channel, self.counter.add_stream(track.clone())))
    }

    pub fn add_rtcp(&mut self, track: &TrackChannel) -> Result<ChannelId, JournalError> {
        let channel = self.writer.add_rtcp(track);
        let channel = channel.map_err(|error| JournalError::of_write(error, self.shared.path()))?;
        self.channels += 1;
        Ok(channel)
    }

    /// Before anything is appended: what waits in memory is bounded.
    pub fn make_room(&mut self, now: Arrival) -> Result<(), JournalError> {
        if self.writer.unflushed_bytes() >= MAX_UNFLUSHED_BYTES {
            self.flush()?;
        }
        self.unflushed_since.get_or_insert(now);
        self.unsynced_since.get_or_insert(now);
        Ok(())
    }

    pub fn write(
        &mut self,
        channel: ChannelId,
        arrival: Arrival,
        sent: Option<WallTime>,
        data: &[u8],
    ) -> Result<(), JournalError> {
        let written = self.writer.write(channel, arrival, sent, data);
        written.map_err(|error| JournalError::of_write(error, self.shared.path()))?;
        self.counter.message(arrival);
        Ok(())
    }

    pub fn write_room<M: RoomMessage + 'static>(&mut self, arrival: Arrival, message: &M) -> Result<(), JournalError> {
        let written = self.writer.write_room(arrival, message);
        written.map_err(|error| JournalError::of_write(error, self.shared.path()))?;
        self.counter.message(arrival);
        if let Some(event) = (message as &dyn Any).downcast_ref::<RoomEvent>() {
            self.counter.event(arrival, event);
        } else if let Some(chat) = (message as &dyn Any).downcast_ref::<ChatMessage>() {
            self.counter.chat(arrival, chat);
        }
        Ok(())
    }

    pub fn flush(&mut self) -> Result<(), JournalError> {
        let flushed = self.writer.flush();
        flushed.map_err(|error| JournalError::of_write(error, self.shared.path()))?;
        self.unflushed_since = None;
        Ok(())
    }

    /// Bytes of the file, once all is flushed; headers apart.
    pub fn bytes(&self) -> u64 {
        self.shared.written() + self.writer.unflushed_bytes()
    }

    pub fn finish(self, journal: &Journal, write_error: Option<JournalError>) -> UnsealedSegment {
        UnsealedSegment {
            recording: journal.recording,
            lost_and_found: journal.lost_and_found.clone(),
            index: self.index,
            writer: self.writer,
            write_error,
            shared: self.shared,
            counter: self.counter,
            _claim: Arc::clone(&journal.claim),
        }
    }
}

/// A segment that gets no further messages, and has yet to be brought to the disk.
#[must_use = "an unsealed segment is found and sealed at the next start only"]
pub struct UnsealedSegment {
    recording: RecordingId,
    lost_and_found: PathBuf,
    index: SegmentIndex,
    writer: SegmentWriter<SegmentFile>,
    write_error: Option<JournalError>,
    shared: Arc<Shared>,
    counter: Counter,
    /// Nobody else may write before it is sealed.
    _claim: Arc<ClaimGuard<RecordingId>>,
}

impl std::fmt::Debug for UnsealedSegment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UnsealedSegment")
            .field("index", &self.index)
            .field("path", &self.shared.path())
            .field("write_error", &self.write_error)
            .finish_non_exhaustive()
    }
}

impl UnsealedSegment {
    pub fn index(&self) -> SegmentIndex {
        self.index
    }

    /// Why the last messages could not be written, if so.
    pub fn write_error(&self) -> Option<&JournalError> {
        self.write_error.as_ref()
    }

    /// Writes its end, blocks until the disk has all of it, and answers what it holds, for its row. After an error, recovery
    /// at the next start seals it.
    pub fn seal(self) -> Result<SegmentFacts, JournalError> {
        match self.writer.finish() {
            Ok((file, _)) => {
                self.shared.sync()?;
                let mut facts = self.counter.facts(self.index, self.shared.written(), 0);
                facts.sha256 = Some(disk::hex(&file.into_hash().finalize()));
                Ok(facts)
            }
            Err(error) => {
                tracing::warn!(recording = %self.recording, segment = %self.index, %error, "the end of a segment is mended");
                recovery::seal_segment(self.shared.path(), self.recording, self.index, &self.lost_and_found)
            }
        }
    }
}

impl JournalError {
    pub(super) fn of_write(error: WriteError, path: &std::path::Path) -> Self {
        match error {
            WriteError::Io(source) => DiskError::during("write", path)(source).into(),
            error => Self::Write {
                path: path.to_owned(),
                source: error,
            },
        }
    }
}
