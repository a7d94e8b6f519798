//! Python programs of the tests, each with its pinned packages in a virtual environment of its own, installed on demand.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::folder::repository;
use crate::installed::{installed, run};
use crate::missing::Missing;

/// The Python of `.cache/<name>`, with the packages of `tests/<folder>/requirements.txt`.
pub fn python(name: &str, folder: &str) -> Result<PathBuf> {
    let list = repository().join("tests").join(folder).join("requirements.txt");
    let stamp = std::fs::read_to_string(&list).with_context(|| format!("cannot read {}", list.display()))?;
    let venv = installed(name, &stamp, |folder| {
        run(Missing::tool("python3")?.args(["-m", "venv"]).arg(folder))?;
        let pip = [
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-input",
            "-r",
        ];
        run(Command::new(folder.join("bin/python")).args(pip).arg(&list))
    })?;
    Ok(venv.join("bin/python"))
}

/// The folder of the programs from `PyPI` that tests call, installed by the script that everybody uses.
pub fn tools() -> Result<PathBuf> {
    let script = repository().join("scripts/install/test_tools.sh");
    let output = Command::new("bash").arg(script).output().context("cannot run bash")?;
    let folder = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(Missing::new(why, "scripts/install/test_tools.sh").into());
    }
    ensure!(folder.is_dir(), "{} is no folder", folder.display());
    Ok(folder)
}
