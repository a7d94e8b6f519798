//! What a machine may lack: a server, a browser, a codec, a right. Under `CI=true` a lack is a failure; elsewhere the test
//! that needs it says so by name and passes over.

use std::path::PathBuf;
use std::process::Command;

/// Something that is not on this machine, and how to get it.
#[derive(Debug, thiserror::Error)]
#[error("missing: {what} ({remedy})")]
pub struct Missing {
    what: String,
    remedy: String,
}

impl Missing {
    /// `what` is not here; `remedy` gets it.
    pub fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            remedy: remedy.into(),
        }
    }

    /// A command by this name, if it is on PATH.
    pub fn tool(name: &str) -> Result<Command, Missing> {
        match find_on_path(name) {
            Some(path) => Ok(Command::new(path)),
            None => Err(Missing::new(name, "scripts/install/debian.sh test")),
        }
    }
}

fn find_on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

/// Gives what a test needs, or `None` where this machine lacks it and the test is to be passed over; its name and the lack
/// go to stderr. Panics under `CI=true`, where a missing part is a failure, and on any other error.
///
/// ```no_run
/// # use greffier_tests::{Server, need};
/// # fn test() {
/// let Some(server) = need(Server::start()) else { return };
/// # }
/// ```
pub fn need<T>(result: anyhow::Result<T>) -> Option<T> {
    need_where(is_ci(), result)
}

#[expect(clippy::print_stderr, reason = "a test that is passed over must say so")]
fn need_where<T>(a_lack_fails: bool, result: anyhow::Result<T>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) if error.downcast_ref::<Missing>().is_some() && !a_lack_fails => {
            eprintln!("SKIPPED {}: {error:#}", test_name());
            None
        }
        Err(error) => panic!("{error:?}"),
    }
}

/// Whether a lack must fail.
fn is_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| !matches!(value.as_str(), "" | "0" | "false"))
}

/// The running test's name: libtest gives it to the thread.
pub(crate) fn test_name() -> String {
    std::thread::current().name().unwrap_or("main").to_owned()
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    fn lack() -> anyhow::Result<()> {
        Missing::tool("a-tool-that-nobody-has")
            .map(|_| ())
            .context("while looking for it")
    }

    #[test]
    fn a_lack_passes_over_a_test() {
        assert_eq!(need_where(false, lack()), None);
        assert_eq!(need_where(false, Ok(3)), Some(3));
    }

    #[test]
    #[should_panic(expected = "a-tool-that-nobody-has")]
    fn a_lack_fails_in_ci() {
        need_where(true, lack());
    }

    #[test]
    #[should_panic(expected = "another reason")]
    fn any_other_error_fails_everywhere() {
        need_where::<()>(false, Err(anyhow::anyhow!("another reason")));
    }
}
