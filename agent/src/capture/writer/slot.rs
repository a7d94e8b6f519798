//! One recording, as the writer sees it.

use std::collections::HashMap;
use std::mem;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::Duration;

use greffier_media::codec::{Codec, Dims, MediaKind};
use greffier_media::depacketize::announced_dims;
use greffier_media::ids::{RecordingId, TrackSid};
use greffier_media::journal::event::RoomEvent;
use greffier_media::journal::{Encryption, TrackChannel};
use greffier_media::time::{Arrival, Clock, NtpTime, WallTime};
use greffier_store::ErrorKind;
use greffier_store::journal::{JournalError, JournalWriter, NewSegment, TrackHandle, UnsealedSegment};
use libwebrtc::raw::RtpPacket;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use super::{ERRANDS, Errand, Note, What};
use crate::capture::metric;
use crate::capture::queue::{Entry, Queue, StreamKey};
use crate::capture::room::Room;

/// A new segment that found no room is tried again after this long; the old one goes on meanwhile.
const BEGIN_RETRY: Duration = Duration::from_secs(1);
/// How often a recording's rows learn what its journal holds by now.
const FACTS_EVERY: Duration = Duration::from_secs(5);

/// A recording as the writer sees it.
pub(super) struct Slot {
    pub recording: RecordingId,
    queue: Arc<Queue>,
    room: Arc<Mutex<Room>>,
    pub writer: JournalWriter,
    tracks: HashMap<StreamKey, Track>,
    notes: mpsc::Sender<Note>,
    spare: Vec<Entry>,
    scratch: Vec<u8>,
    health: Health,
    /// The arrival of the oldest packet that is not flushed.
    oldest: Option<Arrival>,
    next: Next,
    facts_due: Arrival,
    pub closing: Option<Closing>,
}

/// How a journal's disk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Health {
    Well,
    /// It is full, and what comes is kept until it is not.
    Full {
        told: bool,
    },
    /// It has failed, and what comes is dropped and counted.
    Failed,
}

/// The segment after this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// Not to be made before.
    NotBefore(Arrival),
    /// Its file is being made.
    Coming,
}

/// A journal that is to end once everything is in it.
pub(super) struct Closing {
    pub done: oneshot::Sender<UnsealedSegment>,
    pub given_up_at: Arrival,
}

struct Track {
    handle: TrackHandle,
    sid: TrackSid,
    clock_rate: u32,
    size: PictureSize,
    /// The last sender report: NTP time and RTP timestamp.
    report: Option<(u64, u32)>,
}

/// The size of a video track's pictures, as key frames announce it.
#[derive(Clone, Copy)]
struct PictureSize {
    /// `None` where nothing can be read: sound, encrypted video.
    codec: Option<Codec>,
    current: Option<Dims>,
    /// Of the picture that is coming in, by its RTP timestamp: each spatial layer announces its own size.
    coming: Option<(u32, Dims)>,
}

impl Slot {
    pub fn new(writer: JournalWriter, queue: Arc<Queue>, room: Arc<Mutex<Room>>, notes: mpsc::Sender<Note>) -> Self {
        Self {
            recording: writer.recording(),
            queue,
            room,
            writer,
            tracks: HashMap::new(),
            notes,
            spare: Vec::new(),
            scratch: Vec::new(),
            health: Health::Well,
            oldest: None,
            next: Next::NotBefore(Arrival::ZERO),
            facts_due: Arrival::ZERO,
            closing: None,
        }
    }

    pub fn work(&mut self, clock: &dyn Clock, errands: &SyncSender<Errand>) {
        if self.health == Health::Failed {
            // Its owner has been told, and ends it.
            self.discard();
            return;
        }
        match self.write(clock, errands) {
            Ok(()) if self.health == Health::Well => {}
            Ok(()) => {
                tracing::info!(recording = %self.recording, "the disk has room again, and nothing of the journal is missing");
                self.health = Health::Well;
            }
            Err(error) => self.fail(error),
        }
    }

    fn write(&mut self, clock: &dyn Clock, errands: &SyncSender<Errand>) -> Result<(), JournalError> {
        if self.health != Health::Well {
            // What waits longest goes first; until there is room for it the queue keeps the rest.
            self.writer.flush()?;
        }
        self.drain()?;
        if self.closing.is_some() {
            self.writer.flush()?;
        }
        self.tick(clock, errands)
    }

    fn fail(&mut self, error: JournalError) {
        let recording = self.recording;
        if error.kind() != ErrorKind::DiskFull {
            tracing::error!(%recording, %error, "the journal cannot go on");
            self.health = Health::Failed;
            // A full mailbox holds segments that its owner will take, and then find the journal failed as it closes.
            let _ = self.notes.try_send(Note::Failed(error));
            return;
        }
        if self.health == Health::Well {
            tracing::error!(%recording, %error, "the disk is full: what comes is kept in memory as long as there is room");
            self.health = Health::Full { told: false };
        }
        if self.health == (Health::Full { told: false }) && self.notes.try_send(Note::Failed(error)).is_ok() {
            self.health = Health::Full { told: true };
        }
    }

    /// Whether it is to be closed, and everything is in it that will be.
    pub fn is_complete(&self, now: Arrival) -> bool {
        let Some(closing) = &self.closing else {
            return false;
        };
        let is_written = !matches!(self.health, Health::Full { .. }) || now >= closing.given_up_at;
        is_written && self.next != Next::Coming
    }

    /// Drops everything that waits.
    pub fn discard(&mut self) {
        let entries = self.queue.take(mem::take(&mut self.spare));
        let packets = entries.iter().filter(|e| matches!(e, Entry::Packet(..))).count() as u64;
        let others = entries.len() as u64 - packets;
        if !entries.is_empty() {
            tracing::error!(recording = %self.recording, packets, others, "dropped: the journal cannot take them");
        }
        metrics::counter!(metric::PACKETS_LOST).increment(packets);
        metrics::counter!(metric::MESSAGES_LOST).increment(others);
        self.recycle(entries);
    }

    /// Appends everything that waits. What the journal does not take stays in the queue.
    fn drain(&mut self) -> Result<(), JournalError> {
        let mut entries = self.queue.take(mem::take(&mut self.spare));
        let (mut packets, mut bytes) = (0, 0);
        let mut failed = None;
        for (at, entry) in entries.iter().enumerate() {
            if let Err(error) = self.append(entry) {
                failed = Some((at, error));
                break;
            }
            if let Entry::Packet(_, arrival, packet) = entry {
                self.oldest.get_or_insert(*arrival);
                packets += 1;
                bytes += packet.payload.len() as u64;
            }
        }
        if packets > 0 {
            metrics::counter!(metric::PACKETS).increment(packets);
            metrics::counter!(metric::BYTES).increment(bytes);
        }
        let outcome = match failed {
            None => Ok(()),
            Some((at, error)) => {
                self.queue.put_back(entries.drain(at..));
                Err(error)
            }
        };
        self.recycle(entries);
        outcome
    }

    fn recycle(&mut self, mut entries: Vec<Entry>) {
        entries.clear();
        // A burst need not be paid for for hours.
        entries.shrink_to(4096);
        self.spare = entries;
    }

    fn append(&mut self, entry: &Entry) -> Result<(), JournalError> {
        match entry {
            Entry::Stream(key, channel) => {
                let clock_rate = channel.clock_rate.hz();
                let handle = self.writer.add_track(channel.as_ref().clone());
                let size = PictureSize::of(channel);
                self.tracks.insert(
                    *key,
                    Track {
                        handle,
                        sid: channel.track.clone(),
                        clock_rate,
                        size,
                        report: None,
                    },
                );
                Ok(())
            }
            Entry::Packet(key, arrival, packet) => {
                let Some(track) = self.tracks.get_mut(key) else {
                    return Ok(());
                };
                let before = track.size;
                if let Some(dims) = track.size.changed_by(packet) {
                    let event = RoomEvent::ResolutionChanged {
                        track: track.sid.clone(),
                        dims,
                    };
                    // If the packet does not go in it comes again, and need not be told of twice.
                    if let Err(error) = self.writer.append_message(*arrival, &event) {
                        track.size = before;
                        return Err(error);
                    }
                }
                self.scratch.clear();
                packet.write_to(&mut self.scratch);
                let sent = track.sent(packet.header.timestamp);
                self.writer.append_rtp(track.handle, *arrival, sent, &self.scratch)
            }
            Entry::Report(key, arrival, report) => {
                let Some(track) = self.tracks.get_mut(key) else {
                    return Ok(());
                };
                track.report = Some((report.ntp_time, report.rtp_time));
                self.writer.append_rtcp(track.handle, *arrival, &report.to_bytes())
            }
            Entry::Event(arrival, event) => self.writer.append_message(*arrival, event.as_ref()),
            Entry::Chat(arrival, chat) => self.writer.append_message(*arrival, chat.as_ref()),
            Entry::Data(arrival, data) => self.writer.append_message(*arrival, data.as_ref()),
            Entry::Text(arrival, text) => self.writer.append_message(*arrival, text.as_ref()),
        }
    }

    fn tick(&mut self, clock: &dyn Clock, errands: &SyncSender<Errand>) -> Result<(), JournalError> {
        let tick = self.writer.tick(clock.now())?;
        if self.writer.progress().unflushed == 0 {
            self.note_flush(clock.now());
        }
        if let Some(handle) = tick.sync {
            // One that is not taken goes back by being dropped, and the next round tries again.
            self.send(errands, What::Sync(handle, self.notes.clone()));
        }
        let now = clock.now();
        let may_begin = matches!(self.next, Next::NotBefore(at) if now >= at) && self.closing.is_none();
        if tick.rotate && may_begin && self.send(errands, What::MakeFile(self.writer.next_segment()?)) {
            self.next = Next::Coming;
        }
        if now >= self.facts_due {
            self.facts_due = now.saturating_add(FACTS_EVERY);
            // What the owner has no time for, it learns when the segment is sealed.
            let _ = self.notes.try_send(Note::Facts(self.writer.facts()));
        }
        Ok(())
    }

    fn note_flush(&mut self, now: Arrival) {
        if let Some(oldest) = self.oldest.take() {
            metrics::histogram!(metric::FLUSH_SECONDS).record(now.saturating_since(oldest).as_secs_f64());
        }
    }

    /// Sends somebody to the disk. Whether that could be done.
    fn send(&self, errands: &SyncSender<Errand>, what: What) -> bool {
        let errand = Errand {
            recording: self.recording,
            what,
        };
        match errands.try_send(errand) {
            Ok(()) => true,
            Err(TrySendError::Full(_)) => {
                tracing::warn!("more than {ERRANDS} wait for the disk");
                false
            }
            Err(TrySendError::Disconnected(_)) => {
                tracing::error!("nobody syncs journals any more");
                false
            }
        }
    }

    /// The next segment's file is there: goes on in it.
    pub fn begin(
        &mut self,
        made: Result<Option<NewSegment>, JournalError>,
        now: Arrival,
        errands: &SyncSender<Errand>,
    ) {
        self.next = Next::NotBefore(now.saturating_add(BEGIN_RETRY));
        let begun = match made {
            Ok(None) => return,
            Ok(Some(new)) if self.closing.is_some() || self.health != Health::Well => {
                // Nobody may take it for a segment, so the journal does not end before it is gone.
                if self.send(errands, What::RemoveFile(new)) {
                    self.next = Next::Coming;
                }
                return;
            }
            Ok(Some(new)) => self.writer.begin(new, now, |index| self.room.lock().snapshot(index)),
            Err(error) => Err(error),
        };
        match begun {
            Ok(ended) => {
                // Beginning flushes the old one.
                self.note_flush(now);
                self.next = Next::NotBefore(Arrival::ZERO);
                if let Err(error) = self.notes.try_send(Note::Segment(Box::new(ended))) {
                    // Dropped, it is sealed by the next start; the packets in it are safe.
                    tracing::warn!(recording = %self.recording, %error, "a segment waits for the next start to be sealed");
                }
            }
            Err(error) if error.kind() == ErrorKind::DiskFull => {
                tracing::warn!(recording = %self.recording, %error, "no room for a new segment: the old one goes on");
            }
            Err(error) => self.fail(error),
        }
    }
}

impl PictureSize {
    fn of(channel: &TrackChannel) -> Self {
        let readable = channel.kind == MediaKind::Video && channel.encryption == Encryption::None;
        let codec = if readable {
            Codec::from_mime(&channel.mime)
        } else {
            None
        };
        Self {
            codec,
            current: None,
            coming: None,
        }
    }

    /// The new size, once the picture that announced it is in.
    fn changed_by(&mut self, packet: &RtpPacket) -> Option<Dims> {
        let codec = self.codec?;
        let timestamp = packet.header.timestamp;
        let complete = self.coming.take_if(|(of, _)| *of != timestamp);
        if let Some(dims) = announced_dims(codec, &packet.payload)
            && self.coming.is_none_or(|(_, known)| dims.width > known.width)
        {
            self.coming = Some((timestamp, dims));
        }
        let (_, dims) = complete?;
        (self.current.replace(dims) != Some(dims)).then_some(dims)
    }
}

impl Track {
    /// The sender's wall clock at an RTP timestamp, by its last report.
    fn sent(&self, timestamp: u32) -> Option<WallTime> {
        let (ntp, rtp) = self.report?;
        let wall = NtpTime(ntp).to_wall()?;
        let ticks = timestamp.wrapping_sub(rtp).cast_signed();
        let nanos = u64::from(ticks.unsigned_abs()) * 1_000_000_000 / u64::from(self.clock_rate.max(1));
        let distance = Duration::from_nanos(nanos);
        Some(if ticks < 0 {
            wall.saturating_sub(distance)
        } else {
            wall.saturating_add(distance)
        })
    }
}
