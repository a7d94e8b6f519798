//! The summary at a finished segment's end: what is where, so that a part can be read without the rest.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use bytes::Bytes;
use mcap::{
    MAGIC,
    records::{ChunkIndex, Record, op},
};

use super::{
    Channel, ChannelError, Chunk, Damage,
    chunk::{Channels, RECORD_HEADER_LEN, record_at},
};
use crate::{ErrorKind, time::Arrival};

/// What may stand in a summary, before its footer.
const SUMMARY_RECORDS: [u8; 4] = [op::CHANNEL, op::STATISTICS, op::CHUNK_INDEX, op::SUMMARY_OFFSET];

/// A footer's body: where the summary and its offsets begin, and the summary's checksum.
const FOOTER_BODY_LEN: usize = 8 + 8 + 4;
const FOOTER_LEN: usize = RECORD_HEADER_LEN + FOOTER_BODY_LEN;
const CHECKSUM_LEN: usize = 4;

/// What is in a segment, and where.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SegmentSummary {
    channels: Channels,
    messages: BTreeMap<u16, u64>,
    chunks: Vec<ChunkInfo>,
}

/// Where one chunk is, and what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkInfo {
    /// Where the bytes to read begin in the segment.
    pub offset: u64,
    /// How many bytes to read.
    pub length: u64,
    /// Arrival of its first message.
    pub start: Arrival,
    /// Arrival of its last message, inclusive.
    pub end: Arrival,
    channels: Vec<u16>,
}

/// What reading a summary from a file's last bytes came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SummaryRead {
    Done(SegmentSummary),
    /// The summary is longer: read from this offset to the end, and ask again.
    NeedFrom(u64),
}

impl SegmentSummary {
    /// How much of a file's end to read at first: enough for most.
    pub const FIRST_READ: u64 = 64 * 1024;

    /// Reads the summary from the last bytes of a segment that is `file_len` bytes long. So a segment on a disk, behind
    /// HTTP ranges or in an object store is opened by one or two small reads.
    pub fn read(last: &[u8], file_len: u64) -> Result<SummaryRead, ReadError> {
        let footer_at = last
            .len()
            .checked_sub(FOOTER_LEN + MAGIC.len())
            .ok_or(ReadError::Unfinished)?;
        let first = file_len.checked_sub(last.len() as u64).ok_or(ReadError::Unfinished)?;
        let (footer, magic) = last[footer_at..].split_at(FOOTER_LEN);
        let Some((op::FOOTER, body)) = record_at(footer, 0) else {
            return Err(ReadError::Unfinished);
        };
        if magic != MAGIC || body.len() != FOOTER_BODY_LEN {
            return Err(ReadError::Unfinished);
        }
        let start = footer[body].first_chunk().map_or(0, |start| u64::from_le_bytes(*start));
        if start == 0 || start > first + footer_at as u64 {
            return Err(Damage::Summary.into());
        }
        let Some(start) = start.checked_sub(first) else {
            return Ok(SummaryRead::NeedFrom(start));
        };
        let start = usize::try_from(start).map_err(|_| Damage::Summary)?;
        check_summary(&last[start..footer_at + FOOTER_LEN])?;
        Self::parse(&last[start..footer_at]).map(SummaryRead::Done)
    }

    /// The chunks with messages that arrived in `range`, on channels that `wanted` accepts, in file order. Their other
    /// messages come along.
    pub fn chunks<'a>(
        &'a self,
        range: Range<Arrival>,
        wanted: impl Fn(&Channel) -> bool + 'a,
    ) -> impl Iterator<Item = &'a ChunkInfo> + 'a {
        self.chunks.iter().filter(move |chunk| {
            chunk.start < range.end
                && chunk.end >= range.start
                && chunk
                    .channels
                    .iter()
                    .filter_map(|id| self.channels.get(id))
                    .any(|channel| wanted(channel))
        })
    }

    /// All chunks, in file order.
    pub fn all_chunks(&self) -> &[ChunkInfo] {
        &self.chunks
    }

    /// Takes apart the bytes that a [`ChunkInfo`] of this summary points at, verified like everything else.
    pub fn decode(&self, info: &ChunkInfo, bytes: &Bytes) -> Result<Chunk, ReadError> {
        let mut channels = self.channels.clone();
        match record_at(bytes, 0) {
            Some((op::CHUNK, body)) if body.end == bytes.len() => {
                Ok(Chunk::parse(info.offset, &bytes.slice(body), &mut channels)?)
            }
            _ => Err(Damage::ChunkHeader.into()),
        }
    }

    pub fn channels(&self) -> impl Iterator<Item = &Arc<Channel>> {
        self.channels.values()
    }

    /// Messages on one channel.
    pub fn messages_on(&self, channel: &Channel) -> u64 {
        self.messages.get(&channel.id).copied().unwrap_or(0)
    }

    pub(super) fn counts(&self) -> &BTreeMap<u16, u64> {
        &self.messages
    }

    /// Messages on all channels.
    pub fn messages(&self) -> u64 {
        self.messages.values().sum()
    }

    /// Arrivals of the first and the last message; `None` if there is none.
    pub fn span(&self) -> Option<(Arrival, Arrival)> {
        let with_messages = || self.chunks.iter().filter(|chunk| !chunk.channels.is_empty());
        Some((
            with_messages().map(|chunk| chunk.start).min()?, //
            with_messages().map(|chunk| chunk.end).max()?,
        ))
    }

    /// Adds a chunk that was just read or written, and the message indexes after it.
    pub(super) fn add(&mut self, chunk: &Chunk, channels: &Channels) {
        let (start, end) = chunk.span().unwrap_or_default();
        let mut ids = Vec::new();
        for (id, count) in chunk.counts() {
            *self.messages.entry(id).or_default() += count;
            ids.push(id);
        }
        self.channels
            .extend(channels.iter().map(|(id, channel)| (*id, channel.clone())));
        self.chunks.push(ChunkInfo {
            offset: chunk.offset,
            length: chunk.length,
            start,
            end,
            channels: ids,
        });
    }

    pub(super) fn from_mcap(summary: &mcap::Summary) -> Result<Self, ReadError> {
        let mut ours = Self::default();
        for channel in summary.channels.values() {
            let channel = Channel::from_record(mcap::records::Channel {
                id: channel.id,
                schema_id: channel.schema.as_ref().map_or(0, |schema| schema.id),
                topic: channel.topic.clone(),
                message_encoding: channel.message_encoding.clone(),
                metadata: channel.metadata.clone(),
            })?;
            ours.channels.insert(channel.id, Arc::new(channel));
        }
        ours.chunks = summary.chunk_indexes.iter().map(ChunkInfo::from_mcap).collect();
        if let Some(statistics) = &summary.stats {
            ours.messages.clone_from(&statistics.channel_message_counts);
        }
        Ok(ours)
    }

    fn parse(mut records: &[u8]) -> Result<Self, ReadError> {
        let mut summary = Self::default();
        while !records.is_empty() {
            let (opcode, body) = record_at(records, 0).ok_or(Damage::Summary)?;
            if !SUMMARY_RECORDS.contains(&opcode) {
                return Err(Damage::UnexpectedRecord(opcode).into());
            }
            match mcap::parse_record(opcode, &records[body.clone()]).map_err(|_| Damage::Summary)? {
                Record::Channel(channel) => {
                    let channel = Channel::from_record(channel)?;
                    summary.channels.insert(channel.id, Arc::new(channel));
                }
                Record::ChunkIndex(index) => summary.chunks.push(ChunkInfo::from_mcap(&index)),
                Record::Statistics(statistics) => summary.messages = statistics.channel_message_counts,
                _ => {}
            }
            records = &records[body.end..];
        }
        Ok(summary)
    }
}

impl ChunkInfo {
    fn from_mcap(index: &ChunkIndex) -> Self {
        Self {
            offset: index.chunk_start_offset,
            length: index.chunk_length,
            start: Arrival::from_nanos(index.message_start_time),
            end: Arrival::from_nanos(index.message_end_time),
            channels: index.message_index_offsets.keys().copied().collect(),
        }
    }
}

/// Checks all from the end of the data on: `Ok(false)` if it is not all there.
pub(super) fn check_end(end: &[u8], data_checksum: u32) -> Result<bool, Damage> {
    let Some((op::DATA_END, body)) = record_at(end, 0) else {
        return Ok(false);
    };
    let summary_at = body.end;
    if end[body] != data_checksum.to_le_bytes() {
        return Err(Damage::DataChecksum);
    }
    let mut at = summary_at;
    loop {
        let Some((opcode, body)) = record_at(end, at) else {
            return Ok(false);
        };
        at = body.end;
        match opcode {
            op::FOOTER if body.len() == FOOTER_BODY_LEN => break,
            _ if SUMMARY_RECORDS.contains(&opcode) => {}
            _ => return Err(Damage::UnexpectedRecord(opcode)),
        }
    }
    check_summary(&end[summary_at..at])?;
    let magic = &end[at..];
    match magic.len().cmp(&MAGIC.len()) {
        _ if !MAGIC.starts_with(&magic[..magic.len().min(MAGIC.len())]) => Err(Damage::Summary),
        std::cmp::Ordering::Less => Ok(false),
        std::cmp::Ordering::Equal => Ok(true),
        std::cmp::Ordering::Greater => Err(Damage::TrailingBytes),
    }
}

/// The summary, footer included, carries a checksum of itself, but for that checksum.
fn check_summary(summary_and_footer: &[u8]) -> Result<(), Damage> {
    match summary_and_footer.split_last_chunk::<CHECKSUM_LEN>() {
        Some((covered, checksum)) if crc32fast::hash(covered).to_le_bytes() == *checksum => Ok(()),
        _ => Err(Damage::Summary),
    }
}

/// Why a part of a segment cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// It may be in the middle of being written, or torn: read it from its start.
    #[error("the segment has no summary")]
    Unfinished,
    #[error("the segment is damaged")]
    Damaged(#[from] Damage),
    #[error("a channel of the segment cannot be read")]
    Channel(#[from] ChannelError),
}

impl ReadError {
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Unfinished => ErrorKind::Conflict,
            Self::Damaged(_) | Self::Channel(_) => ErrorKind::Corrupt,
        }
    }
}
