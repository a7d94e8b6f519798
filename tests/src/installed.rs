//! Things made on demand from a pinned list and kept in the cache: the peers' Python packages, the browser's Node packages.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::folder::cache;
use crate::missing::Missing;

/// Gives `.cache/<name>`, made by `make` if `stamp` (what it depends on) differs from that of the last time.
///
/// One process at a time makes it, the others wait. A failure is a [`Missing`]: the machine has no network, or no Python.
pub fn installed(name: &str, stamp: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let cache = cache();
    std::fs::create_dir_all(&cache).with_context(|| format!("cannot make {}", cache.display()))?;
    let folder = cache.join(name);
    let stamp_file = folder.join(".stamp");
    let is_made = || std::fs::read_to_string(&stamp_file).is_ok_and(|found| found == stamp);
    let lock = File::create(cache.join(format!("{name}.lock")))?;
    lock.lock().context("cannot wait for the one who installs")?;
    if !is_made() {
        match std::fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => std::fs::create_dir_all(&folder)?,
        }
        make(&folder).map_err(|why| Missing::new(format!("{name}: {why:#}"), "it is installed on demand"))?;
        std::fs::write(stamp_file, stamp)?;
    }
    Ok(folder)
}

/// Runs a step of an installation; its output is the error if it fails.
pub fn run(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("cannot run {program}"))?;
    anyhow::ensure!(
        output.status.success(),
        "{program} failed ({}): {}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
