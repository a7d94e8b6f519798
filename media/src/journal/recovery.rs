//! Mending a torn segment: its sound beginning stays as it is, byte for byte, and gets the end it lacks.

use std::{
    collections::BTreeMap,
    io::{self, Cursor, Read},
};

use binrw::{BinWrite, BinWriterExt as _};
use mcap::{
    MAGIC,
    records::{self, ChunkIndex, DataEnd, Footer, Statistics, SummaryOffset, op},
};

use super::{
    SegmentReader, SegmentSummary, Tail,
    chunk::{Channels, Chunk, RECORD_HEADER_LEN},
    writer::{PROFILE, library},
};

/// What a segment holds, and how to make a finished one of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// How it ended.
    pub tail: Tail,
    /// How many bytes from its start to keep.
    pub valid_bytes: u64,
    /// What to put after them: the kept bytes with these make a finished segment. Empty if it is one already.
    pub ending: Vec<u8>,
    /// What the finished segment holds.
    pub summary: SegmentSummary,
}

/// Reads a segment to where it is sound, and makes the ending for it. Needs memory for one chunk and the summary.
pub fn recover(input: impl Read) -> io::Result<Recovery> {
    let mut reader = SegmentReader::new(input);
    let mut index = Index::default();
    while let Some(chunk) = reader.next_chunk()? {
        index.add(&chunk, reader.channel_map());
    }
    let tail = reader.ended();
    let ending = match tail {
        Tail::Complete => Vec::new(),
        Tail::Truncated { .. } | Tail::Corrupt { .. } => index.ending(&reader),
    };
    Ok(Recovery {
        tail,
        valid_bytes: reader.valid_bytes(),
        ending,
        summary: index.summary,
    })
}

/// The index of a segment, built anew from what was read.
#[derive(Default)]
struct Index {
    summary: SegmentSummary,
    records: Vec<ChunkIndex>,
}

impl Index {
    fn add(&mut self, chunk: &Chunk, channels: &Channels) {
        self.summary.add(chunk, channels);
        let (start, end) = chunk.span().unwrap_or_default();
        let indexes_at = chunk.offset + chunk.length;
        let mut at = indexes_at;
        let mut offsets = BTreeMap::new();
        for (channel, record) in chunk.index_records() {
            offsets.insert(channel, at);
            at += record.len() as u64;
        }
        self.records.push(ChunkIndex {
            message_start_time: start.as_nanos(),
            message_end_time: end.as_nanos(),
            chunk_start_offset: chunk.offset,
            chunk_length: chunk.length,
            message_index_offsets: offsets,
            message_index_length: at - indexes_at,
            compression: String::new(),
            compressed_size: chunk.records_len(),
            uncompressed_size: chunk.records_len(),
        });
    }

    /// Everything after the sound bytes: the message indexes the last chunk lacks, the end of the data, the summary.
    fn ending<R: Read>(&self, reader: &SegmentReader<R>) -> Vec<u8> {
        let mut ending = Vec::new();
        if reader.valid_bytes() == 0 {
            ending.extend_from_slice(MAGIC);
            let header = records::Header {
                profile: PROFILE.to_owned(),
                library: library(),
            };
            ending.extend(record(op::HEADER, &header));
        }
        for (_, index) in reader.missing_indexes() {
            ending.extend_from_slice(index);
        }
        let mut checksum = reader.checksum().clone();
        checksum.update(&ending);
        ending.extend(record(
            op::DATA_END,
            &DataEnd {
                data_section_crc: checksum.finalize(),
            },
        ));
        let summary_at = reader.valid_bytes() + ending.len() as u64;
        ending.extend(self.summary_section(reader.channel_map(), summary_at));
        ending
    }

    /// The summary section and what follows it, for a summary that begins at `start` in the file.
    fn summary_section(&self, channels: &Channels, start: u64) -> Vec<u8> {
        let mut section = Vec::new();
        let mut offsets = Vec::new();
        let mut group = |opcode, records: Vec<u8>| {
            if !records.is_empty() {
                let group_start = start + section.len() as u64;
                let group_length = records.len() as u64;
                offsets.push(SummaryOffset {
                    group_opcode: opcode,
                    group_start,
                    group_length,
                });
                section.extend(records);
            }
        };
        let statistics = self.statistics(channels.len());
        group(
            op::CHANNEL,
            channels
                .values()
                .flat_map(|channel| record(op::CHANNEL, &channel.record))
                .collect(),
        );
        group(op::STATISTICS, record(op::STATISTICS, &statistics));
        group(
            op::CHUNK_INDEX,
            self.records
                .iter()
                .flat_map(|index| record(op::CHUNK_INDEX, index))
                .collect(),
        );
        let summary_offset_start = start + section.len() as u64;
        section.extend(offsets.iter().flat_map(|offset| record(op::SUMMARY_OFFSET, offset)));
        let footer = Footer {
            summary_start: start,
            summary_offset_start,
            summary_crc: 0,
        };
        section.extend(record(op::FOOTER, &footer));
        // The checksum is the footer's last field and covers all before itself.
        section.truncate(section.len() - size_of::<u32>());
        section.extend(crc32fast::hash(&section).to_le_bytes());
        section.extend_from_slice(MAGIC);
        section
    }

    fn statistics(&self, channels: usize) -> Statistics {
        let (start, end) = self.summary.span().unwrap_or_default();
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        Statistics {
            message_count: self.summary.messages(),
            schema_count: 0,
            channel_count: count(channels),
            attachment_count: 0,
            metadata_count: 0,
            chunk_count: count(self.records.len()),
            message_start_time: start.as_nanos(),
            message_end_time: end.as_nanos(),
            channel_message_counts: self.summary.counts().clone(),
        }
    }
}

/// A whole record: opcode, length, body.
pub(super) fn record(opcode: u8, body: &impl for<'a> BinWrite<Args<'a> = ()>) -> Vec<u8> {
    let mut bytes = vec![opcode; RECORD_HEADER_LEN];
    let mut cursor = Cursor::new(&mut bytes);
    cursor.set_position(RECORD_HEADER_LEN as u64);
    cursor.write_le(body).expect("memory takes every write");
    let length = (bytes.len() - RECORD_HEADER_LEN) as u64;
    bytes[1..RECORD_HEADER_LEN].copy_from_slice(&length.to_le_bytes());
    bytes
}
