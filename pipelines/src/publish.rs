//! A result appears under its name when it is complete and looked at, not before.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

/// How the names of files in the making begin.
const PART: &str = ".part-";

/// A file in the making, gone when dropped.
pub(crate) struct Draft {
    folder: PathBuf,
    name: String,
    path: PathBuf,
}

impl Draft {
    /// For a result called `name` in `folder`. The draft keeps the name's ending, by which some tools go.
    pub fn new(folder: &Path, name: &str) -> Self {
        Self {
            folder: folder.to_owned(),
            name: name.to_owned(),
            path: folder.join(format!("{PART}{name}")),
        }
    }

    /// Where to write it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Makes it last, then gives it its name, in place of an older one.
    pub fn publish(self) -> io::Result<PathBuf> {
        let target = self.folder.join(&self.name);
        File::open(&self.path)?.sync_all()?;
        std::fs::rename(&self.path, &target)?;
        File::open(&self.folder)?.sync_all()?;
        Ok(target)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(path = %self.path.display(), %error, "a temporary file could not be removed");
            }
            _ => {}
        }
    }
}

/// Removes what a process that died was making.
pub(crate) fn remove_drafts(folder: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().starts_with(PART.as_bytes()) {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draft_appears_only_when_published() {
        let folder = tempfile::tempdir().unwrap();
        let names = || {
            let names = std::fs::read_dir(&folder)
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap());
            names.collect::<Vec<_>>()
        };
        let draft = Draft::new(folder.path(), "ana.webm");
        std::fs::write(draft.path(), "1").unwrap();
        assert_eq!(names(), [".part-ana.webm"]);
        drop(draft);
        assert!(names().is_empty());
        let draft = Draft::new(folder.path(), "ana.webm");
        std::fs::write(draft.path(), "2").unwrap();
        draft.publish().unwrap();
        std::fs::write(folder.path().join(".part-ben.webm"), "of a process that died").unwrap();
        remove_drafts(folder.path()).unwrap();
        assert_eq!(names(), ["ana.webm"]);
    }
}
