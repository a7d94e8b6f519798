//! One chunk of a segment: what was written between two flushes. A chunk is taken whole and verified, or not at all.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use bytes::Bytes;
use mcap::records::{ChunkHeader, MessageHeader, MessageIndex, MessageIndexEntry, Record, op};

use super::{Channel, ChannelError};
use crate::{
    ErrorKind,
    time::{Arrival, WallTime},
};

/// Opcode and length, before every record.
pub(super) const RECORD_HEADER_LEN: usize = 1 + 8;

/// A chunk record without its records: its own header, times, sizes, checksum, and the empty name of no compression.
const CHUNK_OVERHEAD: u64 = RECORD_HEADER_LEN as u64 + 8 + 8 + 8 + 4 + 4 + 8;

/// The channels a reader knows so far, by the file's numbers.
pub(super) type Channels = BTreeMap<u16, Arc<Channel>>;

/// One message of a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub channel: Arc<Channel>,
    /// Counts the messages of its channel in its segment from 0.
    pub sequence: u32,
    pub arrival: Arrival,
    /// The sender's wall clock, if it was known when the message was written.
    pub sent: Option<WallTime>,
    /// A slice of the chunk: cheap to clone, and it keeps the whole chunk alive.
    pub data: Bytes,
}

/// The messages of one verified chunk.
#[derive(Debug, Clone)]
pub struct Chunk {
    /// Where its record begins in the segment.
    pub offset: u64,
    /// Bytes of its record; its message indexes follow it.
    pub length: u64,
    messages: Vec<Entry>,
    data: Bytes,
    indexes: BTreeMap<u16, Vec<MessageIndexEntry>>,
}

#[derive(Debug, Clone)]
struct Entry {
    channel: Arc<Channel>,
    header: MessageHeader,
    data: Range<usize>,
}

impl Chunk {
    /// Its messages, in the order they were written: by arrival, but for what waited in a queue.
    pub fn messages(&self) -> impl ExactSizeIterator<Item = Message> + '_ {
        self.messages.iter().map(|entry| Message {
            channel: entry.channel.clone(),
            sequence: entry.header.sequence,
            arrival: Arrival::from_nanos(entry.header.log_time),
            sent: (entry.header.publish_time != entry.header.log_time)
                .then(|| WallTime::from_nanos(entry.header.publish_time)),
            data: self.data.slice(entry.data.clone()),
        })
    }

    /// Arrivals of its first and last message; `None` if it has none.
    pub fn span(&self) -> Option<(Arrival, Arrival)> {
        let times = || {
            self.messages
                .iter()
                .map(|entry| Arrival::from_nanos(entry.header.log_time))
        };
        Some((times().min()?, times().max()?))
    }

    /// The message index records that follow the chunk, as they must be, byte for byte.
    pub(super) fn index_records(&self) -> impl Iterator<Item = (u16, Vec<u8>)> + '_ {
        self.indexes.iter().map(|(&channel_id, entries)| {
            let index = MessageIndex {
                channel_id,
                records: entries.clone(),
            };
            (channel_id, super::recovery::record(op::MESSAGE_INDEX, &index))
        })
    }

    /// How many messages each channel has in it.
    pub(super) fn counts(&self) -> impl Iterator<Item = (u16, u64)> + '_ {
        self.indexes
            .iter()
            .map(|(channel, entries)| (*channel, entries.len() as u64))
    }

    /// Bytes of the records in it.
    pub(super) fn records_len(&self) -> u64 {
        self.data.len() as u64
    }

    /// Takes a chunk record's body apart and verifies all of it: each field of the header against the contents, the
    /// contents against their checksum. Channels it declares are added to `channels` if all is well.
    pub(super) fn parse(offset: u64, body: &Bytes, channels: &mut Channels) -> Result<Self, Damage> {
        let (header, records) = match mcap::parse_record(op::CHUNK, body) {
            Ok(Record::Chunk { header, data }) => (header, body.slice_ref(&data)),
            _ => return Err(Damage::ChunkHeader),
        };
        if !header.compression.is_empty() {
            return Err(Damage::Compression);
        }
        if header.uncompressed_crc != crc32fast::hash(&records) {
            return Err(Damage::Checksum);
        }
        let mut chunk = Self {
            offset,
            length: (RECORD_HEADER_LEN + body.len()) as u64,
            messages: Vec::new(),
            data: records.clone(),
            indexes: BTreeMap::new(),
        };
        let mut declared = Channels::new();
        let mut at = 0;
        while at < records.len() {
            let (opcode, range) = record_at(&records, at).ok_or(Damage::Record)?;
            if !matches!(opcode, op::CHANNEL | op::MESSAGE) {
                return Err(Damage::UnexpectedRecord(opcode));
            }
            match mcap::parse_record(opcode, &records[range.clone()]).map_err(|_| Damage::Record)? {
                Record::Channel(channel) => {
                    let found = Channel::from_record(channel)?;
                    match declared.get(&found.id).or_else(|| channels.get(&found.id)) {
                        Some(known) if **known != found => return Err(Damage::ConflictingChannel(found.id)),
                        Some(_) => {}
                        None => drop(declared.insert(found.id, Arc::new(found))),
                    }
                }
                Record::Message { header, data } => {
                    let id = header.channel_id;
                    let known = declared.get(&id).or_else(|| channels.get(&id));
                    let channel = known.ok_or(Damage::UnknownChannel(id))?.clone();
                    let entry = MessageIndexEntry {
                        log_time: header.log_time,
                        offset: at as u64,
                    };
                    chunk.indexes.entry(id).or_default().push(entry);
                    let data = range.end - data.len()..range.end;
                    chunk.messages.push(Entry { channel, header, data });
                }
                _ => return Err(Damage::UnexpectedRecord(opcode)),
            }
            at = range.end;
        }
        chunk.check_header(&header, records.len() as u64)?;
        channels.extend(declared);
        Ok(chunk)
    }

    /// The checksum covers the contents only; the header repeats what follows from them.
    fn check_header(&self, header: &ChunkHeader, records_len: u64) -> Result<(), Damage> {
        let (start, end) = self.span().unwrap_or_default();
        let consistent = self.length == CHUNK_OVERHEAD + records_len
            && header.uncompressed_size == records_len
            && header.compressed_size == records_len
            && header.message_start_time == start.as_nanos()
            && header.message_end_time == end.as_nanos();
        if consistent { Ok(()) } else { Err(Damage::ChunkHeader) }
    }
}

/// The record at `at`: its opcode and where its body is. `None` if it does not end within `bytes`.
pub(super) fn record_at(bytes: &[u8], at: usize) -> Option<(u8, Range<usize>)> {
    let (&opcode, rest) = bytes.get(at..)?.split_first()?;
    let (length, rest) = rest.split_first_chunk::<8>()?;
    let length = usize::try_from(u64::from_le_bytes(*length))
        .ok()
        .filter(|length| *length <= rest.len())?;
    let start = at + RECORD_HEADER_LEN;
    Some((opcode, start..start + length))
}

/// What is wrong with bytes that should be a segment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    #[error("the file does not begin as an MCAP file does")]
    Magic,
    #[error("a record of kind {0:#04x} stands where none may")]
    UnexpectedRecord(u8),
    #[error("a record claims {0} bytes")]
    RecordLength(u64),
    #[error("a chunk's header does not fit its contents")]
    ChunkHeader,
    #[error("a chunk is compressed, which journals never are")]
    Compression,
    #[error("a chunk's checksum does not match its contents")]
    Checksum,
    #[error("a record inside a chunk cannot be read")]
    Record,
    #[error("a message names channel {0}, which does not exist")]
    UnknownChannel(u16),
    #[error("channel {0} is declared twice, differently")]
    ConflictingChannel(u16),
    #[error("a channel's description cannot be read")]
    Channel(#[from] ChannelError),
    #[error("a message index does not fit the chunk before it")]
    MessageIndex,
    #[error("the checksum of the whole data does not match")]
    DataChecksum,
    #[error("the summary cannot be read")]
    Summary,
    #[error("bytes follow the end of the file's format")]
    TrailingBytes,
}

impl Damage {
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::Corrupt
    }
}
