//! File operations that are on the disk when they return.
//!
//! A new name is durable only once its folder is synced, as a file's bytes are only once the file is
//! ([`fsync(2)`](https://man7.org/linux/man-pages/man2/fsync.2.html)). Everything here is idempotent: a crash in the
//! middle is mended by doing it again.

use std::{
    fmt::Write as _,
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    panic,
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};

use super::DiskError;

/// Runs file work off the async threads. It runs to its end even if the caller goes away.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(payload) => panic::resume_unwind(payload),
            Err(error) => unreachable!("nobody aborts this task: {error}"),
        },
    }
}

pub(crate) fn sync_dir(path: &Path) -> Result<(), DiskError> {
    File::open(path)
        .and_then(|dir| dir.sync_all())
        .map_err(DiskError::during("sync the folder", path))
}

pub(crate) fn sync_file(path: &Path) -> Result<(), DiskError> {
    File::open(path)
        .and_then(|file| file.sync_all())
        .map_err(DiskError::during("sync", path))
}

fn sync_parent(path: &Path) -> Result<(), DiskError> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => sync_dir(parent),
        _ => sync_dir(Path::new(".")),
    }
}

/// Makes a folder and those above it, where they are missing.
pub(crate) fn create_dir(path: &Path) -> Result<(), DiskError> {
    match (create_dir_below(path), path.parent()) {
        (Err(error), Some(parent))
            if error.source.kind() == io::ErrorKind::NotFound && !parent.as_os_str().is_empty() =>
        {
            create_dir(parent)?;
            create_dir_below(path)
        }
        (result, _) => result,
    }
}

/// Makes a folder in one that is there.
pub(crate) fn create_dir_below(path: &Path) -> Result<(), DiskError> {
    match fs::create_dir(path) {
        Ok(()) => sync_parent(path),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(DiskError::during("make the folder", path)(error)),
    }
}

/// Writes a small file whole: whoever reads it finds the old content or the new.
pub(crate) fn write_file(path: &Path, content: &[u8]) -> Result<(), DiskError> {
    write_whole(path, content, 0o666)
}

/// The same for what nobody but its owner may read.
pub(crate) fn write_private_file(path: &Path, content: &[u8]) -> Result<(), DiskError> {
    write_whole(path, content, 0o600)
}

fn write_whole(path: &Path, content: &[u8], mode: u32) -> Result<(), DiskError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let new = PathBuf::from(name);
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(&new)
        .and_then(|mut file| {
            file.write_all(content)?;
            file.sync_all()
        })
        .map_err(DiskError::during("write", &new))?;
    rename(&new, path)
}

/// Gives a file another name on the same file system, replacing what had it.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<(), DiskError> {
    fs::rename(from, to).map_err(DiskError::during("rename", from))?;
    sync_parent(to)?;
    if from.parent() == to.parent() {
        Ok(())
    } else {
        sync_parent(from)
    }
}

/// Removes a file. One that is gone already is fine.
pub(crate) fn remove_file(path: &Path) -> Result<(), DiskError> {
    match fs::remove_file(path) {
        Ok(()) => sync_parent(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(DiskError::during("remove", path)(error)),
    }
}

/// Removes a folder and all in it. One that is gone already is fine.
pub(crate) fn remove_dir_all(path: &Path) -> Result<(), DiskError> {
    match fs::remove_dir_all(path) {
        Ok(()) => sync_parent(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(DiskError::during("remove the folder", path)(error)),
    }
}

/// What is in a folder, by name, sorted; nothing if there is no such folder. Names that are not UTF-8 are shown
/// lossily: none of ours is.
pub(crate) fn list_dir(path: &Path) -> Result<Vec<(String, PathBuf)>, DiskError> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(DiskError::during("list", path)(error)),
    };
    let mut listed = entries
        .map(|entry| entry.map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path())))
        .collect::<io::Result<Vec<_>>>()
        .map_err(DiskError::during("list", path))?;
    listed.sort();
    Ok(listed)
}

/// A file's length in bytes; `None` if there is no such file.
pub(crate) fn file_len(path: &Path) -> Result<Option<u64>, DiskError> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(metadata.is_file().then_some(metadata.len())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(DiskError::during("look at", path)(error)),
    }
}

/// Moves a file or folder into `folder`, under a name nothing there has yet. Answers where it is now.
pub(crate) fn move_aside(path: &Path, folder: &Path, name: &str) -> Result<PathBuf, DiskError> {
    create_dir(folder)?;
    let mut number = 0_u32;
    loop {
        let to = match number {
            0 => folder.join(name),
            number => folder.join(format!("{name}.{number}")),
        };
        if to.symlink_metadata().is_err() {
            rename(path, &to)?;
            return Ok(to);
        }
        number += 1;
    }
}

/// Length and SHA-256 of a file, in lower-case hexadecimal.
pub(crate) fn sha256_of(path: &Path) -> Result<(u64, String), DiskError> {
    let mut file = File::open(path).map_err(DiskError::during("open", path))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 256 * 1024];
    let mut len = 0;
    loop {
        let read = match file.read(&mut buffer) {
            Ok(0) => return Ok((len, hex(&hash.finalize()))),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(DiskError::during("read", path)(error)),
        };
        hash.update(&buffer[..read]);
        len += read as u64;
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_made_once_with_those_above() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("a/b/c");
        create_dir(&deep).unwrap();
        create_dir(&deep).unwrap();
        assert!(deep.is_dir());
        fs::write(deep.join("file"), "").unwrap();
        let error = create_dir(&deep.join("file")).unwrap_err();
        assert_eq!(error.source.kind(), io::ErrorKind::AlreadyExists);
    }

    #[test]
    fn nothing_is_overwritten_when_moved_aside() {
        let dir = tempfile::tempdir().unwrap();
        let aside = dir.path().join("lost+found");
        for content in ["one", "two", "three"] {
            let path = dir.path().join("x");
            fs::write(&path, content).unwrap();
            move_aside(&path, &aside, "x").unwrap();
        }
        let kept: Vec<_> = list_dir(&aside)
            .unwrap()
            .into_iter()
            .map(|(name, path)| (name, fs::read_to_string(path).unwrap()))
            .collect();
        let expected = [("x", "one"), ("x.1", "two"), ("x.2", "three")];
        assert_eq!(kept, expected.map(|(name, content)| (name.into(), content.into())));
    }

    #[test]
    fn removing_twice_is_fine() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("f");
        write_file(&file, b"x").unwrap();
        remove_file(&file).unwrap();
        remove_file(&file).unwrap();
        create_dir(&dir.path().join("d/e")).unwrap();
        remove_dir_all(&dir.path().join("d")).unwrap();
        remove_dir_all(&dir.path().join("d")).unwrap();
        assert_eq!(list_dir(dir.path()).unwrap(), []);
        assert_eq!(list_dir(&dir.path().join("gone")).unwrap(), []);
    }

    #[test]
    fn hashes_like_everybody() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("f");
        fs::write(&file, "abc").unwrap();
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256_of(&file).unwrap(), (3, abc.to_owned()));
        assert_eq!(file_len(&file).unwrap(), Some(3));
        assert_eq!(file_len(dir.path()).unwrap(), None);
    }
}
