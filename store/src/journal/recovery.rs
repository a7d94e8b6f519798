//! Segments on the disk: what is there, what each holds, and sealing those that were torn.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufReader, Read, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

use greffier_media::{
    ids::{RecordingId, SegmentIndex},
    journal::{Damage, SegmentReader, Tail, recover},
};
use sha2::{Digest as _, Sha256};

use super::{JournalError, SegmentFacts, Torn, facts::ReadCounter};
use crate::disk::{self, DiskError};

/// Chunks are followed by many small records.
const READ_BUFFER_BYTES: usize = 256 * 1024;

/// A journal's segments, by number. Other files are no concern of ours.
pub(crate) fn segments_in(dir: &Path) -> Result<Vec<(SegmentIndex, PathBuf)>, DiskError> {
    let mut segments: Vec<_> = disk::list_dir(dir)?
        .into_iter()
        .filter_map(|(name, path)| Some((disk::segment_of_file_name(&name)?, path)))
        .collect();
    segments.sort();
    Ok(segments)
}

/// A segment, read from its start to where it is sound.
#[derive(Debug)]
pub(crate) struct Inspection {
    /// Of what is sound. `sha256` is that of the whole file, and there only if the file is finished.
    pub(crate) facts: SegmentFacts,
    pub(crate) tail: Tail,
    /// Bytes of the file.
    pub(crate) len: u64,
}

impl Inspection {
    /// What is wrong in its middle, if something is: not just a missing end.
    pub(crate) fn damage(&self) -> Option<&Damage> {
        match &self.tail {
            Tail::Corrupt { damage, .. } => Some(damage),
            Tail::Complete | Tail::Truncated { .. } => None,
        }
    }
}

/// Reads a segment; changes nothing.
pub(crate) fn inspect_segment(path: &Path, index: SegmentIndex) -> Result<Inspection, JournalError> {
    let file = File::open(path).map_err(DiskError::during("open", path))?;
    let reading = DiskError::during("read", path);
    let mut hashing = Hashing {
        file: &file,
        hash: Sha256::new(),
    };
    let mut counter = ReadCounter::default();
    let buffered = BufReader::with_capacity(READ_BUFFER_BYTES, &mut hashing);
    let (tail, valid_bytes) = read_to_end(buffered, &mut counter).map_err(reading)?;
    let len = file.metadata().map_err(DiskError::during("look at", path))?.len();
    let mut facts = counter.facts(index, valid_bytes);
    if tail == Tail::Complete {
        facts.sha256 = Some(disk::hex(&hashing.hash.finalize()));
    }
    Ok(Inspection { facts, tail, len })
}

fn read_to_end(input: impl Read, counter: &mut ReadCounter) -> io::Result<(Tail, u64)> {
    let mut reader = SegmentReader::new(input);
    while let Some(chunk) = reader.next_chunk()? {
        for message in chunk.messages() {
            counter.read(&message);
        }
    }
    let tail = reader.tail().cloned();
    let tail = tail.ok_or_else(|| io::Error::other("a reader that yields no more chunks knows why"))?;
    Ok((tail, reader.valid_bytes()))
}

/// Makes a finished segment of one in any state, and answers what it holds. Blocks on the disk.
///
/// The sound beginning stays as it is, byte for byte, in the same file; what follows it is cut off, and the summary it
/// lacks is written in its place. So it needs hardly any room on the disk, and a crash in the middle leaves a torn
/// segment with the same sound beginning. A chunk that is merely cut short is dropped; if the bytes after the sound ones
/// are anything else, they are kept in `lost_and_found` first.
pub(crate) fn seal_segment(
    path: &Path,
    recording: RecordingId,
    index: SegmentIndex,
    lost_and_found: &Path,
) -> Result<SegmentFacts, JournalError> {
    let before = inspect_segment(path, index)?;
    if before.tail == Tail::Complete {
        disk::sync_file(path)?;
        return Ok(before.facts);
    }
    let torn = Torn {
        valid_bytes: before.facts.bytes,
        lost_bytes: before.len.saturating_sub(before.facts.bytes),
    };
    if before.damage().is_some() {
        keep_tail(path, before.facts.bytes, recording, index, lost_and_found)?;
    }
    mend(path)?;
    let after = inspect_segment(path, index)?;
    if after.tail != Tail::Complete {
        return Err(JournalError::NotMended { path: path.to_owned() });
    }
    let mut facts = after.facts;
    facts.torn = Some(torn);
    Ok(facts)
}

/// Copies what follows the sound bytes, durably, to a name nothing there has yet.
fn keep_tail(
    path: &Path,
    valid_bytes: u64,
    recording: RecordingId,
    index: SegmentIndex,
    lost_and_found: &Path,
) -> Result<(), JournalError> {
    disk::create_dir(lost_and_found)?;
    let name = format!("{recording}-{}-from-{valid_bytes}", disk::segment_file_name(index));
    let copy = lost_and_found.join(format!("{name}.new"));
    let copying = |source: io::Error| DiskError::during("copy the damaged end of", path)(source);
    let mut file = File::open(path).map_err(copying)?;
    file.seek(SeekFrom::Start(valid_bytes)).map_err(copying)?;
    let mut to = File::create(&copy).map_err(copying)?;
    io::copy(&mut file, &mut to).map_err(copying)?;
    to.sync_all().map_err(copying)?;
    disk::move_aside(&copy, lost_and_found, &name)?;
    Ok(())
}

fn mend(path: &Path) -> Result<(), JournalError> {
    let mending = |source: io::Error| DiskError::during("mend", path)(source);
    let mut file = OpenOptions::new().read(true).write(true).open(path).map_err(mending)?;
    let recovery = recover(BufReader::with_capacity(READ_BUFFER_BYTES, &file)).map_err(mending)?;
    file.set_len(recovery.valid_bytes).map_err(mending)?;
    file.seek(SeekFrom::Start(recovery.valid_bytes)).map_err(mending)?;
    file.write_all(&recovery.ending).map_err(mending)?;
    file.sync_all().map_err(mending)?;
    Ok(())
}

/// Hashes all that is read through it.
struct Hashing<'a> {
    file: &'a File,
    hash: Sha256,
}

impl Read for Hashing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.hash.update(&buffer[..read]);
        Ok(read)
    }
}
