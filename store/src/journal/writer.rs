//! Appending to a recording's journal, segment after segment.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use greffier_media::{
    ids::{RecordingId, SegmentIndex},
    journal::{ChannelId, RoomEvent, RoomMessage, TrackChannel},
    time::{Arrival, WallTime},
};

use super::{
    JournalError, SegmentFacts, SyncHandle,
    facts::StreamIndex,
    file::SegmentFile,
    recovery,
    segment::{Segment, UnsealedSegment},
};
use crate::{claims::ClaimGuard, config::JournalConfig, disk};

/// A segment ends early when it has this many channels (MCAP has numbers for 65,535) …
const MAX_CHANNELS: usize = 60_000;
/// … or this many events for the timeline, which wait in memory until the segment's row has them.
const MAX_EVENTS: usize = 10_000;

/// The right to write one recording's journal. No two of them exist for the same recording in one process, and the
/// data directory's lock keeps other processes away.
#[derive(Debug)]
pub struct Journal {
    pub(crate) recording: RecordingId,
    pub(crate) dir: PathBuf,
    pub(crate) lost_and_found: PathBuf,
    pub(crate) settings: JournalConfig,
    pub(crate) claim: Arc<ClaimGuard<RecordingId>>,
}

impl Journal {
    /// Begins the segment after those that are there: number 0 for a new recording. Blocks on the disk.
    ///
    /// `snapshot` makes the segment's first event; see [`RoomEvent::Snapshot`].
    pub fn open(
        self,
        now: Arrival,
        snapshot: impl FnOnce(SegmentIndex) -> RoomEvent,
    ) -> Result<JournalWriter, JournalError> {
        disk::create_dir(&self.dir)?;
        let index = match recovery::segments_in(&self.dir)?.last() {
            Some((last, _)) => last.next().ok_or(JournalError::TooManySegments)?,
            None => SegmentIndex(0),
        };
        let file = SegmentFile::create(&self.dir.join(disk::segment_file_name(index)))?;
        let segment = Segment::begin(file, index, now, self.segment_length(index), snapshot)?;
        Ok(JournalWriter {
            journal: self,
            tracks: Vec::new(),
            segment,
            now,
        })
    }

    /// How long a segment may last. A recording's first is shorter by up to half, each by its own part: recordings that
    /// began together would else be sealed together, again and again.
    fn segment_length(&self, index: SegmentIndex) -> Duration {
        let whole = self.settings.segment;
        if index != SegmentIndex(0) {
            return whole;
        }
        let mut hasher = DefaultHasher::new();
        self.recording.hash(&mut hasher);
        let [part, ..] = hasher.finish().to_ne_bytes();
        whole.saturating_sub(whole / 2 * u32::from(part) / u32::from(u8::MAX))
    }
}

/// A track whose packets are appended; valid for its own [`JournalWriter`], over all its segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TrackHandle(usize);

/// Writes one recording's journal.
///
/// It is synchronous and has no thread: whoever owns it runs it where blocking is fine, and calls
/// [`tick`](Self::tick) at least every 50 ms. Dropping it is what a crash looks like: what was not flushed is lost, and
/// recovery does the rest. [`close`](Self::close) is the way to end.
#[derive(Debug)]
pub struct JournalWriter {
    journal: Journal,
    tracks: Vec<Track>,
    segment: Segment,
    /// As of the last tick: appending asks no clock.
    now: Arrival,
}

#[derive(Debug)]
struct Track {
    channel: TrackChannel,
    rtp: Option<(ChannelId, StreamIndex)>,
    rtcp: Option<ChannelId>,
}

/// The place of a segment that is to begin: for any thread, as making its file waits for the disk.
#[derive(Debug)]
pub struct NextSegment {
    index: SegmentIndex,
    path: PathBuf,
}

/// A file for the next segment, with nothing in it yet. Dropped, it is removed.
#[derive(Debug)]
#[must_use = "it is made for `JournalWriter::begin`"]
pub struct NewSegment {
    index: SegmentIndex,
    /// `None` once it is a segment's.
    file: Option<SegmentFile>,
}

impl NextSegment {
    /// Makes the file, and its name durable. Blocks on the disk.
    ///
    /// After an error there is no file, and it can be tried again.
    pub fn create(self) -> Result<NewSegment, JournalError> {
        Ok(NewSegment {
            index: self.index,
            file: Some(SegmentFile::create(&self.path)?),
        })
    }
}

impl Drop for NewSegment {
    fn drop(&mut self) {
        if let Some(file) = &self.file {
            // Recovery, which would find it otherwise, can do with a segment that holds nothing, too.
            let _ = disk::remove_file(file.shared().path());
        }
    }
}

/// What the owner of a writer has to do.
#[derive(Debug)]
#[must_use]
pub struct Tick {
    /// To be [synced](SyncHandle::sync) soon, here or on another thread.
    pub sync: Option<SyncHandle>,
    /// The segment is long or large enough: [`begin`](JournalWriter::begin) the next.
    pub rotate: bool,
}

/// How far a segment is, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    pub segment: SegmentIndex,
    /// Safe if the process dies.
    pub flushed: u64,
    /// Safe if the power fails.
    pub synced: u64,
    /// Of messages that are still in memory.
    pub unflushed: u64,
}

impl JournalWriter {
    pub fn recording(&self) -> RecordingId {
        self.journal.recording
    }

    /// Gets ready to append a track's packets. A track that changes its codec or SSRC is another one here.
    pub fn add_track(&mut self, channel: TrackChannel) -> TrackHandle {
        self.tracks.push(Track {
            channel,
            rtp: None,
            rtcp: None,
        });
        TrackHandle(self.tracks.len() - 1)
    }

    /// Appends an RTP packet as it was received. `sent` is the sender's wall clock, if it is known.
    pub fn append_rtp(
        &mut self,
        track: TrackHandle,
        arrival: Arrival,
        sent: Option<WallTime>,
        packet: &[u8],
    ) -> Result<(), JournalError> {
        self.segment.make_room(self.now)?;
        let track = self.tracks.get_mut(track.0).ok_or(JournalError::UnknownTrack)?;
        let (channel, stream) = match track.rtp {
            Some(known) => known,
            None => *track.rtp.insert(self.segment.add_rtp(&track.channel)?),
        };
        self.segment.write(channel, arrival, sent, packet)?;
        self.segment.counter.packet(stream, arrival, packet);
        Ok(())
    }

    /// Appends an RTCP sender report as it was received.
    pub fn append_rtcp(&mut self, track: TrackHandle, arrival: Arrival, report: &[u8]) -> Result<(), JournalError> {
        self.segment.make_room(self.now)?;
        let track = self.tracks.get_mut(track.0).ok_or(JournalError::UnknownTrack)?;
        let channel = match track.rtcp {
            Some(known) => known,
            None => *track.rtcp.insert(self.segment.add_rtcp(&track.channel)?),
        };
        self.segment.write(channel, arrival, None, report)
    }

    /// Appends an event, a chat or data message, or a transcript.
    pub fn append_message<M: RoomMessage + 'static>(
        &mut self,
        arrival: Arrival,
        message: &M,
    ) -> Result<(), JournalError> {
        self.segment.make_room(self.now)?;
        self.segment.write_room(arrival, message)
    }

    /// To be called at least every 50 ms: flushes when it is time, and says what else is due.
    ///
    /// After an error nothing is lost, and the next tick tries again; but as long as it lasts, a crash costs more than
    /// it should.
    pub fn tick(&mut self, now: Arrival) -> Result<Tick, JournalError> {
        self.now = self.now.max(now);
        let now = self.now;
        let JournalConfig { flush, sync, .. } = self.journal.settings;
        let segment = &mut self.segment;
        // What would be too old by the next tick goes now.
        let flush_after = flush.saturating_sub(MAX_TICK_INTERVAL);
        if segment
            .unflushed_since
            .is_some_and(|since| now.saturating_since(since) >= flush_after)
        {
            segment.flush()?;
        }
        // Early by what the flush before it and the sync itself take, so that the promise holds when it is done.
        let sync_after = sync.saturating_sub(2 * flush);
        let due = segment
            .unsynced_since
            .is_some_and(|since| now.saturating_since(since) >= sync_after);
        let handle = due.then(|| SyncHandle::new(&segment.shared)).flatten();
        if handle.is_some() {
            // What is still in memory waits for the next one.
            segment.unsynced_since = segment.unflushed_since;
        }
        Ok(Tick {
            sync: handle,
            rotate: self.is_rotation_due(),
        })
    }

    fn is_rotation_due(&self) -> bool {
        let settings = &self.journal.settings;
        self.now >= self.segment.ends
            || self.segment.bytes() >= settings.segment_bytes
            || self.segment.channels >= MAX_CHANNELS
            || self.segment.counter.events() >= MAX_EVENTS
    }

    /// Flushes now, whatever the time.
    pub fn flush(&mut self) -> Result<(), JournalError> {
        self.segment.flush()
    }

    /// Where the next segment will be.
    pub fn next_segment(&self) -> Result<NextSegment, JournalError> {
        let index = self.segment.index.next().ok_or(JournalError::TooManySegments)?;
        let path = self.journal.dir.join(disk::segment_file_name(index));
        Ok(NextSegment { index, path })
    }

    /// Begins the [next](Self::next_segment) segment, and hands back the one before it to be sealed, here or on another thread. It
    /// waits for the disk no more than appending does.
    ///
    /// After an error the writer goes on with the old segment, the new file is gone, and nothing is lost.
    pub fn begin(
        &mut self,
        mut new: NewSegment,
        now: Arrival,
        snapshot: impl FnOnce(SegmentIndex) -> RoomEvent,
    ) -> Result<UnsealedSegment, JournalError> {
        self.segment.flush()?;
        let file = new.file.take().filter(|_| Some(new.index) == self.segment.index.next());
        let file = file.ok_or(JournalError::UnknownSegment)?;
        let next = Segment::begin(file, new.index, now, self.journal.segment_length(new.index), snapshot)?;
        let old = std::mem::replace(&mut self.segment, next);
        for track in &mut self.tracks {
            (track.rtp, track.rtcp) = (None, None);
        }
        Ok(old.finish(&self.journal, None))
    }

    /// [Makes](NextSegment::create) and [begins](Self::begin) the next segment: for who may wait for the disk.
    pub fn rotate(
        &mut self,
        now: Arrival,
        snapshot: impl FnOnce(SegmentIndex) -> RoomEvent,
    ) -> Result<UnsealedSegment, JournalError> {
        self.segment.flush()?;
        let new = self.next_segment()?.create()?;
        self.begin(new, now, snapshot)
    }

    /// Ends the journal, and hands back its last segment to be sealed.
    ///
    /// If what is left in memory cannot be written, sealing tries once more; if it still cannot be, that much is missing from
    /// the segment, which is mended then.
    pub fn close(mut self) -> UnsealedSegment {
        let error = self.segment.flush().err();
        self.segment.finish(&self.journal, error)
    }

    pub fn progress(&self) -> Progress {
        Progress {
            segment: self.segment.index,
            flushed: self.segment.shared.written(),
            synced: self.segment.shared.synced(),
            unflushed: self.segment.writer.unflushed_bytes(),
        }
    }

    /// What the segment holds so far, for its row; of the timeline, what is new since the last call.
    ///
    /// A sealed segment brings its whole timeline again, so a call whose result gets lost does no harm.
    pub fn facts(&mut self) -> SegmentFacts {
        let segment = &mut self.segment;
        let facts = segment
            .counter
            .facts(segment.index, segment.shared.written(), segment.reported_events);
        segment.reported_events = segment.counter.events();
        facts
    }
}

/// How long the writer may go without a tick and still keep its promises.
pub const MAX_TICK_INTERVAL: Duration = Duration::from_millis(50);
