//! Where a test keeps what it leaves behind: logs, ground truth, recordings, screenshots.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use anyhow::{Context, Result};

use crate::missing::test_name;
use crate::process::lock;

/// `target/e2e/<suite>/<test>`, emptied when the test first asks for it and kept when it ends, so that a failure can be
/// looked at.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// The running test's own folder.
    pub fn of_test() -> Result<Self> {
        static EMPTIED: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
        let program = std::env::current_exe().context("this program has no path")?;
        // `harness-0a1b2c3d4e5f6071` → `harness`.
        let suite = program.file_stem().unwrap_or_default().to_string_lossy();
        let suite = suite.rsplit_once('-').map_or(suite.as_ref(), |(name, _)| name);
        let path = repository()
            .join("target/e2e")
            .join(suite)
            .join(test_name().replace("::", "."));
        if lock(&EMPTIED).insert(path.clone()) {
            match std::fs::remove_dir_all(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(error).with_context(|| format!("cannot empty {}", path.display()));
                }
                _ => {}
            }
        }
        Self::at(path)
    }

    /// A folder inside this one.
    pub fn sub(&self, name: &str) -> Result<Self> {
        Self::at(self.0.join(name))
    }

    fn at(path: PathBuf) -> Result<Self> {
        std::fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(path))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A path inside it.
    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.join(name)
    }
}

/// The top of the source tree.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("this package lies in the repository")
}

/// Where things built on demand are kept between runs: `.cache` at the top, or `$GREFFIER_CACHE`.
pub fn cache() -> PathBuf {
    std::env::var_os("GREFFIER_CACHE").map_or_else(|| repository().join(".cache"), PathBuf::from)
}

/// A room's or a person's name as a file name: hostile names must not lead out of the folder.
pub(crate) fn file_name(name: &str) -> String {
    name.chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' })
        .take(60)
        .collect()
}
