//! Who has the data directory.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read as _, Seek as _, Write as _},
    path::{Path, PathBuf},
    process,
};

use crate::ErrorKind;

/// The exclusive right to write a data directory, held until it is dropped or the process ends, however it ends.
///
/// The lock is the kernel's (`flock`); the file's content only tells people who has it. The file stays: removing it
/// would let a second process lock a new file while a third still waits on the old.
#[derive(Debug)]
pub(crate) struct DataLock {
    file: File,
}

impl Drop for DataLock {
    fn drop(&mut self) {
        // Closing the file is not enough: between its birth and its program a child of this process has it open as well.
        if let Err(error) = self.file.unlock() {
            tracing::warn!(%error, "the lock of the data directory is given back when the process ends");
        }
    }
}

impl DataLock {
    /// Takes the lock at `path`, or says who has it.
    pub(crate) fn acquire(path: &Path) -> Result<Self, LockError> {
        let failed = |source| LockError::Io {
            path: path.to_owned(),
            source,
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(LockError::Held {
                    path: path.to_owned(),
                    pid: holder(&mut file),
                });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        write_holder(&mut file).map_err(failed)?;
        Ok(Self { file })
    }

    /// Whether some process has the lock at `path` now.
    pub(crate) fn is_held(path: &Path) -> Result<bool, LockError> {
        let failed = |source| LockError::Io {
            path: path.to_owned(),
            source,
        };
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(failed(error)),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }
}

/// Why the data directory cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    #[error(
        "the data directory is in use by process {}: {} is locked; stop that process, or choose another `data_dir`",
        pid.map_or_else(|| "(unknown)".to_owned(), |pid| pid.to_string()),
        path.display()
    )]
    Held {
        path: PathBuf,
        /// Who has it, if the file says.
        pid: Option<u32>,
    },
    #[error("cannot lock {}", path.display())]
    Io { path: PathBuf, source: io::Error },
}

impl LockError {
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Held { .. } => ErrorKind::Conflict,
            Self::Io { source, .. } => super::kind_of_io(source),
        }
    }
}

fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn write_holder(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", process::id())
}

#[cfg(test)]
mod tests {
    use std::{
        process::Command,
        sync::atomic::{AtomicBool, Ordering::Relaxed},
        thread,
    };

    use super::*;

    #[test]
    fn the_second_is_told_who_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        assert!(!DataLock::is_held(&path).unwrap());
        let first = DataLock::acquire(&path).unwrap();
        assert!(DataLock::is_held(&path).unwrap());
        match DataLock::acquire(&path) {
            Err(error @ LockError::Held { .. }) => {
                assert!(error.to_string().contains(&process::id().to_string()), "{error}");
                assert_eq!(error.kind(), ErrorKind::Conflict);
            }
            other => panic!("{other:?}"),
        }
        drop(first);
        assert!(!DataLock::is_held(&path).unwrap());
        DataLock::acquire(&path).unwrap();
    }

    #[test]
    fn a_child_that_begins_keeps_no_lock() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Relaxed) {
                    assert!(Command::new("true").status().unwrap().success());
                }
            });
            let refused = (0..1000).filter(|_| DataLock::acquire(&path).is_err()).count();
            is_over.store(true, Relaxed);
            assert_eq!(refused, 0);
        });
    }
}
