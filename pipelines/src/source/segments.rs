//! The messages of all segments, one after the other, and the word on those that are damaged.

use std::{collections::VecDeque, fs::File, io::BufReader, path::PathBuf};

use greffier_media::journal::{Message, SegmentReader, Tail};

use super::{Damage, SourceError};

/// Bytes read from a segment at a time: some twenty chunks and their indexes.
const READ_AHEAD: usize = 256 * 1024;

/// What comes out.
pub(crate) enum Item {
    /// What follows is of this segment: its channels are numbered anew.
    Segment,
    Message(Message),
}

/// Reads segments in order with memory for one chunk.
pub(crate) struct Segments<'a> {
    paths: &'a [PathBuf],
    /// How many of them were opened.
    opened: usize,
    reader: Option<SegmentReader<BufReader<File>>>,
    chunk: VecDeque<Message>,
    damage: Vec<Damage>,
    /// Bytes of the segments that are done.
    bytes: u64,
}

impl<'a> Segments<'a> {
    pub fn new(paths: &'a [PathBuf]) -> Self {
        Self {
            paths,
            opened: 0,
            reader: None,
            chunk: VecDeque::new(),
            damage: Vec::new(),
            bytes: 0,
        }
    }

    /// The next message, or the beginning of the next segment; `None` at the end of the last.
    pub fn next(&mut self) -> Result<Option<Item>, SourceError> {
        loop {
            if let Some(message) = self.chunk.pop_front() {
                return Ok(Some(Item::Message(message)));
            }
            let Some(reader) = &mut self.reader else {
                return self.open();
            };
            let segment = self.opened - 1;
            match reader
                .next_chunk()
                .map_err(|source| SourceError::Io { segment, source })?
            {
                Some(chunk) => self.chunk.extend(chunk.messages()),
                None => self.close(),
            }
        }
    }

    /// What could not be read, so far.
    pub fn into_damage(self) -> Vec<Damage> {
        self.damage
    }

    /// Bytes read so far.
    pub fn bytes(&self) -> u64 {
        self.bytes + self.reader.as_ref().map_or(0, SegmentReader::valid_bytes)
    }

    fn open(&mut self) -> Result<Option<Item>, SourceError> {
        let Some(path) = self.paths.get(self.opened) else {
            return Ok(None);
        };
        let segment = self.opened;
        let file = File::open(path).map_err(|source| SourceError::Io { segment, source })?;
        self.reader = Some(SegmentReader::new(BufReader::with_capacity(READ_AHEAD, file)));
        self.opened += 1;
        Ok(Some(Item::Segment))
    }

    fn close(&mut self) {
        let Some(reader) = self.reader.take() else { return };
        self.bytes += reader.valid_bytes();
        let (valid_bytes, reason) = match reader.tail() {
            None | Some(Tail::Complete) => return,
            Some(Tail::Truncated { valid_bytes }) => (*valid_bytes, "it ends too early".to_owned()),
            Some(Tail::Corrupt { valid_bytes, damage }) => (*valid_bytes, damage.to_string()),
        };
        let segment = self.opened - 1;
        tracing::warn!(
            segment,
            valid_bytes,
            reason,
            "a segment is damaged; what stands before is used"
        );
        self.damage.push(Damage {
            segment,
            valid_bytes,
            reason,
        });
    }
}

/// How large they are together, in bytes.
pub(super) fn size(paths: &[PathBuf]) -> Result<u64, SourceError> {
    let of = |(segment, path): (usize, &PathBuf)| {
        std::fs::metadata(path)
            .map(|meta| meta.len())
            .map_err(|source| SourceError::Io { segment, source })
    };
    paths.iter().enumerate().map(of).sum()
}
