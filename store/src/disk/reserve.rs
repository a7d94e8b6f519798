//! Room that is kept so that recordings can be ended well when the disk is full.
//!
//! A full disk takes neither what is still in memory, nor the end of a journal, nor the row that says why it ended. So a file of
//! some size lies in the data directory as long as there is room, and goes when there is none.

use std::{fs::OpenOptions, io, path::Path};

use fs4::FileExt as _;

use super::{DiskError, DiskSpace, remove_file};

/// The ends of some hundred recordings: what a recording has in memory when the disk turns out to be full is a tenth of a
/// second's media as a rule.
pub(crate) const RESERVE_BYTES: u64 = 16 << 20;
/// The reserve is made when so much is free beyond the floor, so that it is not what fills the disk, and does not take the room
/// it has just given.
const WANTED_FREE_BYTES: u64 = 2 * RESERVE_BYTES;

/// Makes the reserve unless it is there, or there is too little room. Whether it is there now.
pub(crate) fn keep(path: &Path, space: DiskSpace) -> Result<bool, DiskError> {
    match path.metadata() {
        Ok(facts) if facts.len() == RESERVE_BYTES => return Ok(true),
        Ok(_) => remove_file(path)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(DiskError::during("look at", path)(error)),
    }
    if space.available < space.floor.saturating_add(WANTED_FREE_BYTES) {
        return Ok(false);
    }
    let mut options = OpenOptions::new();
    let file = options
        .write(true)
        .create_new(true)
        .open(path)
        .map_err(DiskError::during("make", path))?;
    file.allocate(RESERVE_BYTES)
        .map_err(DiskError::during("set room aside in", path))
        .inspect_err(|_| drop(remove_file(path)))?;
    Ok(true)
}

/// Gives the room back.
pub(crate) fn release(path: &Path) -> Result<(), DiskError> {
    remove_file(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_kept_while_there_is_some_and_given_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("reserve");
        let space = |available| DiskSpace {
            total: 1 << 40,
            available,
            floor: 1 << 20,
        };
        assert!(!keep(&path, space(WANTED_FREE_BYTES)).unwrap() && !path.try_exists().unwrap());
        for _ in 0..2 {
            assert!(keep(&path, space(1 << 30)).unwrap());
            assert_eq!(path.metadata().unwrap().len(), RESERVE_BYTES);
        }
        for _ in 0..2 {
            release(&path).unwrap();
            assert!(!path.try_exists().unwrap());
        }
    }
}
