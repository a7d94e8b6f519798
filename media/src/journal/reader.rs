//! Reading a segment from its start, in whatever state it is.

use std::{
    collections::VecDeque,
    io::{self, Read},
    sync::Arc,
};

use bytes::Bytes;
use mcap::{MAGIC, records::op};

use super::{
    Channel, Chunk, Damage, Message,
    chunk::{Channels, RECORD_HEADER_LEN},
    summary,
};

/// No record of ours comes near it: chunks close at 1 MiB, and end one message later.
const MAX_RECORD_LEN: u64 = 256 * 1024 * 1024;

/// Room made for a record before it is there; chunks of busy rooms come near it.
const USUAL_RECORD_LEN: u64 = 1024 * 1024;

/// How a segment ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tail {
    /// It was finished; its summary is there, and the checksum of the whole holds.
    Complete,
    /// It ends too early, as it does while it is written and after a crash. All before `valid_bytes` is whole.
    Truncated { valid_bytes: u64 },
    /// At `valid_bytes` begins something that cannot be. All before is whole; nothing after was looked at.
    Corrupt { valid_bytes: u64, damage: Damage },
}

/// Reads a segment chunk by chunk, from a file or a slice, with memory for one chunk.
///
/// It yields exactly the whole, unaltered chunks before the first damage, then stops; [`tail`](Self::tail) says where
/// and why. It is strict: a segment is a header, chunks each followed by their message indexes, and a summary; every
/// byte of a chunk and its indexes is verified before its messages are shown.
///
/// Errors are those of `R` alone; damaged bytes are not an error but a [`Tail`].
pub struct SegmentReader<R> {
    input: R,
    /// What has been read and found sound, in bytes.
    offset: u64,
    crc: crc32fast::Hasher,
    channels: Channels,
    /// Message indexes that must follow the last chunk, with their channels, in order.
    expected: VecDeque<(u16, Vec<u8>)>,
    began: bool,
    tail: Option<Tail>,
}

impl<R: Read> SegmentReader<R> {
    /// Reads nothing yet. A file is best wrapped in a [`BufReader`](std::io::BufReader): between chunks stand small records.
    pub fn new(input: R) -> Self {
        Self {
            input,
            offset: 0,
            crc: crc32fast::Hasher::new(),
            channels: Channels::new(),
            expected: VecDeque::new(),
            began: false,
            tail: None,
        }
    }

    /// The next chunk; `None` at the end, whose nature [`tail`](Self::tail) then tells.
    pub fn next_chunk(&mut self) -> io::Result<Option<Chunk>> {
        while self.tail.is_none() {
            match self.step() {
                Ok(Some(chunk)) => return Ok(Some(chunk)),
                Ok(None) => {}
                Err(Stop::Io(error)) => return Err(error),
                Err(Stop::Tail(tail)) => self.tail = Some(tail),
            }
        }
        Ok(None)
    }

    /// All messages, chunk by chunk.
    pub fn messages(self) -> Messages<R> {
        Messages {
            reader: self,
            queue: VecDeque::new(),
        }
    }

    /// How the segment ends; `None` before it has been read to its end.
    pub fn tail(&self) -> Option<&Tail> {
        self.tail.as_ref()
    }

    /// The channels seen so far.
    pub fn channels(&self) -> impl Iterator<Item = &Arc<Channel>> {
        self.channels.values()
    }

    /// How many bytes from the start are sound, so far.
    pub fn valid_bytes(&self) -> u64 {
        self.offset
    }

    /// Message indexes the last chunk should have and has not (yet).
    pub(super) fn missing_indexes(&self) -> &VecDeque<(u16, Vec<u8>)> {
        &self.expected
    }

    /// How it ended, after the last chunk.
    pub(super) fn ended(&self) -> Tail {
        self.tail
            .clone()
            .expect("a reader that yields no more chunks knows why")
    }

    pub(super) fn channel_map(&self) -> &Channels {
        &self.channels
    }

    /// The checksum of all that is sound.
    pub(super) fn checksum(&self) -> &crc32fast::Hasher {
        &self.crc
    }

    /// One record further.
    fn step(&mut self) -> Result<Option<Chunk>, Stop> {
        if !self.began {
            let (magic, header) = self.read_beginning()?;
            self.accept(&magic);
            self.accept(&header);
            self.began = true;
        }
        let head: [u8; RECORD_HEADER_LEN] = self
            .read(RECORD_HEADER_LEN as u64)?
            .try_into()
            .expect("as long as asked");
        let (opcode, length) = split_head(head);
        match opcode {
            op::CHUNK if self.expected.is_empty() => {
                let body = self.read_body(length)?;
                let chunk =
                    Chunk::parse(self.offset, &body, &mut self.channels).map_err(|damage| self.corrupt(damage))?;
                self.accept(&head);
                self.accept(&body);
                self.expected = chunk.index_records().collect();
                Ok(Some(chunk))
            }
            op::MESSAGE_INDEX if !self.expected.is_empty() => {
                let body = self.read_body(length)?;
                let expected = self
                    .expected
                    .front()
                    .map(|(_, record)| record.as_slice())
                    .unwrap_or_default();
                if expected.split_at_checked(RECORD_HEADER_LEN) != Some((&head, &body)) {
                    return Err(self.corrupt(Damage::MessageIndex));
                }
                self.accept(&head);
                self.accept(&body);
                self.expected.pop_front();
                Ok(None)
            }
            op::DATA_END if self.expected.is_empty() => Err(self.read_end(head)),
            _ => Err(self.corrupt(Damage::UnexpectedRecord(opcode))),
        }
    }

    fn read_beginning(&mut self) -> Result<(Bytes, Bytes), Stop> {
        let magic = self.read(MAGIC.len() as u64)?;
        if magic != MAGIC {
            return Err(self.corrupt(Damage::Magic));
        }
        let head: [u8; RECORD_HEADER_LEN] = self
            .read(RECORD_HEADER_LEN as u64)?
            .try_into()
            .expect("as long as asked");
        let (opcode, length) = split_head(head);
        if opcode != op::HEADER {
            return Err(self.corrupt(Damage::UnexpectedRecord(opcode)));
        }
        let body = self.read_body(length)?;
        Ok((magic.into(), [head.as_slice(), &body].concat().into()))
    }

    /// From the end of the data on, all is small: read it whole.
    fn read_end(&mut self, head: [u8; RECORD_HEADER_LEN]) -> Stop {
        let mut end = head.to_vec();
        if let Err(error) = self.input.by_ref().take(MAX_RECORD_LEN).read_to_end(&mut end) {
            return Stop::Io(error);
        }
        let data_checksum = self.crc.clone().finalize();
        Stop::Tail(match summary::check_end(&end, data_checksum) {
            Ok(true) => {
                self.offset += end.len() as u64;
                Tail::Complete
            }
            Ok(false) => Tail::Truncated {
                valid_bytes: self.offset,
            },
            Err(damage) => Tail::Corrupt {
                valid_bytes: self.offset,
                damage,
            },
        })
    }

    fn read_body(&mut self, length: u64) -> Result<Bytes, Stop> {
        if length > MAX_RECORD_LEN {
            return Err(self.corrupt(Damage::RecordLength(length)));
        }
        self.read(length).map(Bytes::from)
    }

    /// Exactly so many bytes. Memory grows with what is there, not with what a damaged length claims.
    fn read(&mut self, length: u64) -> Result<Vec<u8>, Stop> {
        let mut bytes = Vec::with_capacity(usize::try_from(length.min(USUAL_RECORD_LEN)).unwrap_or_default());
        self.input
            .by_ref()
            .take(length)
            .read_to_end(&mut bytes)
            .map_err(Stop::Io)?;
        if bytes.len() as u64 == length {
            Ok(bytes)
        } else {
            Err(Stop::Tail(Tail::Truncated {
                valid_bytes: self.offset,
            }))
        }
    }

    fn accept(&mut self, bytes: &[u8]) {
        self.crc.update(bytes);
        self.offset += bytes.len() as u64;
    }

    fn corrupt(&self, damage: Damage) -> Stop {
        Stop::Tail(Tail::Corrupt {
            valid_bytes: self.offset,
            damage,
        })
    }
}

enum Stop {
    Io(io::Error),
    Tail(Tail),
}

fn split_head(head: [u8; RECORD_HEADER_LEN]) -> (u8, u64) {
    let [opcode, length @ ..] = head;
    (opcode, u64::from_le_bytes(length))
}

/// The messages of a segment, in file order.
pub struct Messages<R> {
    reader: SegmentReader<R>,
    queue: VecDeque<Message>,
}

impl<R> Messages<R> {
    /// The reader, to ask about its [tail](SegmentReader::tail).
    pub fn reader(&self) -> &SegmentReader<R> {
        &self.reader
    }
}

impl<R: Read> Iterator for Messages<R> {
    type Item = io::Result<Message>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(message) = self.queue.pop_front() {
                return Some(Ok(message));
            }
            match self.reader.next_chunk() {
                Ok(Some(chunk)) => self.queue.extend(chunk.messages()),
                Ok(None) => return None,
                Err(error) => return Some(Err(error)),
            }
        }
    }
}
