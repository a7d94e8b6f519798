//! Writing one segment, so that every byte handed over stays as it is.

use std::{
    collections::BTreeMap,
    io::{self, Seek, SeekFrom, Write},
    mem,
};

use mcap::{WriteOptions, records::MessageHeader};

use super::{SegmentSummary, Topic, TrackChannel, event::RoomMessage};
use crate::{
    ErrorKind,
    time::{Arrival, WallTime},
};

/// A chunk is closed once it holds this many bytes, even if nobody flushes: what a reader must hold at a time.
const CHUNK_BYTES: u64 = 1024 * 1024;

/// MCAP's name for who lays out the channels.
pub(super) const PROFILE: &str = "greffier";

pub(super) fn library() -> String {
    format!("greffier/{} {}", env!("CARGO_PKG_VERSION"), mcap::LIBRARY_IDENTIFIER)
}

/// A channel of the segment being written; cheap to copy, valid for its own [`SegmentWriter`] only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ChannelId(u16);

impl ChannelId {
    pub fn get(self) -> u16 {
        self.0
    }
}

/// Writes one MCAP segment to `W`, a file opened for appending or anything alike.
///
/// Messages gather in memory until [`flush`](Self::flush), which closes the chunk and hands it over whole, in one
/// piece and in order: `W` is never asked to seek, and a byte it has taken is never written again. So what `W` holds
/// after a flush is readable up to there, whatever happens next. Nothing is written on drop: a segment that is not
/// [finished](Self::finish) looks exactly as if the process had been killed.
///
/// How often to flush, and when to sync, is the caller's to decide.
pub struct SegmentWriter<W: Write> {
    /// `None` only while being dropped.
    mcap: Option<mcap::Writer<Tail<W>>>,
    /// The next sequence number of each channel, by channel id.
    sequences: Vec<u32>,
    /// Channel ids of the room's JSON topics, once used.
    room: BTreeMap<Topic, ChannelId>,
    json: Vec<u8>,
    unflushed: u64,
}

impl<W: Write> SegmentWriter<W> {
    /// Begins a segment; nothing reaches `inner` before the first flush.
    pub fn new(inner: W) -> Result<Self, WriteError> {
        let mcap = WriteOptions::new()
            .profile(PROFILE)
            .library(library())
            .compression(None)
            .chunk_size(Some(CHUNK_BYTES))
            .create(Tail::new(inner))?;
        let (sequences, room, json) = (Vec::new(), BTreeMap::new(), Vec::new());
        Ok(Self {
            mcap: Some(mcap),
            sequences,
            room,
            json,
            unflushed: 0,
        })
    }

    /// Adds the channel of a track's packets, or answers the one that is already there with the same content.
    pub fn add_rtp(&mut self, track: &TrackChannel) -> Result<ChannelId, WriteError> {
        self.add(&Topic::Rtp(track.track.clone()), &track.to_metadata())
    }

    /// The same for the track's sender reports.
    pub fn add_rtcp(&mut self, track: &TrackChannel) -> Result<ChannelId, WriteError> {
        self.add(&Topic::Rtcp(track.track.clone()), &track.to_metadata())
    }

    /// Appends a message: a packet as it was received. `sent` is the sender's wall clock, if it is known.
    ///
    /// This is the hot path: nothing of the channel is looked at, and `data` is copied once.
    pub fn write(
        &mut self,
        channel: ChannelId,
        arrival: Arrival,
        sent: Option<WallTime>,
        data: &[u8],
    ) -> Result<(), WriteError> {
        let sequence = self
            .sequences
            .get_mut(usize::from(channel.0))
            .ok_or(WriteError::UnknownChannel(channel.0))?;
        let header = MessageHeader {
            channel_id: channel.0,
            sequence: *sequence,
            log_time: arrival.as_nanos(),
            // MCAP wants the log time here if there is none.
            publish_time: sent.map_or(arrival.as_nanos(), WallTime::as_nanos),
        };
        open(&mut self.mcap).write_to_known_channel(&header, data)?;
        *sequence = sequence.wrapping_add(1);
        self.unflushed += data.len() as u64;
        Ok(())
    }

    /// Appends a JSON message to the room channel it belongs on.
    pub fn write_room<M: RoomMessage>(&mut self, arrival: Arrival, message: &M) -> Result<(), WriteError> {
        let channel = if let Some(channel) = self.room.get(&M::TOPIC) {
            *channel
        } else {
            let channel = self.add(&M::TOPIC, &BTreeMap::new())?;
            self.room.insert(M::TOPIC, channel);
            channel
        };
        let mut json = mem::take(&mut self.json);
        json.clear();
        serde_json::to_writer(&mut json, message)?;
        let result = self.write(channel, arrival, None, &json);
        self.json = json;
        result
    }

    /// Closes the chunk and hands everything over. After an error nothing is lost: what `W` did not take is kept, and
    /// the next flush goes on where this one stopped.
    pub fn flush(&mut self) -> Result<(), WriteError> {
        open(&mut self.mcap).flush()?;
        self.unflushed = 0;
        Ok(())
    }

    /// Payload bytes written since the last flush.
    pub fn unflushed_bytes(&self) -> u64 {
        self.unflushed
    }

    /// Flushes, writes the summary, and gives `W` back: the segment is complete.
    pub fn finish(mut self) -> Result<(W, SegmentSummary), WriteError> {
        let mut mcap = take(&mut self.mcap);
        let summary = mcap.finish()?;
        let summary = SegmentSummary::from_mcap(&summary).map_err(WriteError::Summary)?;
        Ok((mcap.into_inner().inner, summary))
    }

    fn add(&mut self, topic: &Topic, metadata: &BTreeMap<String, String>) -> Result<ChannelId, WriteError> {
        const NO_SCHEMA: u16 = 0;
        let id = open(&mut self.mcap).add_channel(NO_SCHEMA, &topic.to_string(), topic.encoding(), metadata)?;
        if self.sequences.len() <= usize::from(id) {
            self.sequences.resize(usize::from(id) + 1, 0);
        }
        Ok(ChannelId(id))
    }
}

fn open<W: Write>(mcap: &mut Option<mcap::Writer<Tail<W>>>) -> &mut mcap::Writer<Tail<W>> {
    mcap.as_mut().expect("taken only when the writer is consumed")
}

fn take<W: Write>(mcap: &mut Option<mcap::Writer<Tail<W>>>) -> mcap::Writer<Tail<W>> {
    mcap.take().expect("taken only when the writer is consumed")
}

impl<W: Write> Drop for SegmentWriter<W> {
    fn drop(&mut self) {
        // MCAP's own writer would write a summary now.
        if let Some(mcap) = self.mcap.take() {
            drop(mcap.into_inner());
        }
    }
}

/// What is not handed over yet. MCAP's writer goes back to fill in a chunk's header when the chunk is closed; here it
/// does so in memory, and only a flush lets bytes out.
struct Tail<W> {
    inner: W,
    pending: Vec<u8>,
    /// How many bytes `inner` has: where `pending` begins.
    base: u64,
    /// Where the next write goes, in `pending`.
    at: usize,
}

impl<W> Tail<W> {
    fn new(inner: W) -> Self {
        Self {
            inner,
            pending: Vec::new(),
            base: 0,
            at: 0,
        }
    }
}

impl<W: Write> Write for Tail<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let over = bytes.len().min(self.pending.len() - self.at);
        self.pending[self.at..self.at + over].copy_from_slice(&bytes[..over]);
        self.pending.extend_from_slice(&bytes[over..]);
        self.at += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut done = 0;
        let result = loop {
            if done == self.pending.len() {
                break Ok(());
            }
            match self.inner.write(&self.pending[done..]) {
                Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => done += written,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        self.pending.drain(..done);
        self.base += done as u64;
        self.at = self.pending.len();
        result.and_then(|()| self.inner.flush())
    }
}

impl<W: Write> Seek for Tail<W> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let end = self.base + self.pending.len() as u64;
        let target = match to {
            SeekFrom::Start(target) => Some(target),
            SeekFrom::Current(by) => (self.base + self.at as u64).checked_add_signed(by),
            SeekFrom::End(by) => end.checked_add_signed(by),
        };
        match target {
            Some(target) if (self.base..=end).contains(&target) => {
                self.at = usize::try_from(target - self.base).map_err(io::Error::other)?;
                Ok(target)
            }
            _ => Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "these bytes are handed over and stay as they are",
            )),
        }
    }
}

/// Why something could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    #[error("the journal's file could not be written")]
    Io(#[source] io::Error),
    #[error("channel {0} belongs to another segment")]
    UnknownChannel(u16),
    #[error("a segment holds no more than 65,535 channels")]
    TooManyChannels,
    #[error("the event cannot be written as JSON")]
    Json(#[from] serde_json::Error),
    #[error("the journal's container refused")]
    Container(#[source] mcap::McapError),
    #[error("the finished segment describes itself wrongly")]
    Summary(#[source] super::ReadError),
}

impl WriteError {
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Io(_) => ErrorKind::Io,
            Self::UnknownChannel(_) | Self::Json(_) => ErrorKind::Invalid,
            Self::TooManyChannels => ErrorKind::Conflict,
            Self::Container(_) | Self::Summary(_) => ErrorKind::Corrupt,
        }
    }
}

impl From<mcap::McapError> for WriteError {
    fn from(error: mcap::McapError) -> Self {
        match error {
            mcap::McapError::Io(error) => Self::Io(error),
            mcap::McapError::TooManyChannels => Self::TooManyChannels,
            error => Self::Container(error),
        }
    }
}
