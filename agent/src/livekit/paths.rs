//! How media gets to the LiveKit server.

use std::{fs, io, path::PathBuf};

use libwebrtc::raw::{self, Settings};
use serde::{Deserialize, Serialize};

/// The part of `[livekit]` that is about media; it holds for the whole process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Paths {
    /// Which ways are tried: `all` takes the most direct one that works, `relay` only the TURN servers that LiveKit names.
    pub ice: Ice,
    /// Certificates (PEM) that LiveKit's `turns:` servers may be certified by, beside public authorities: a private one's.
    pub turn_ca: Option<PathBuf>,
}

/// Which ways media may take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ice {
    #[default]
    All,
    Relay,
}

/// Why media cannot be set up as configured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PathsError {
    #[error("the file `{path}` that `turn_ca` names cannot be read")]
    Roots { path: PathBuf, source: io::Error },
}

impl Paths {
    /// Reads what the settings name.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn settings(&self) -> Result<Settings, PathsError> {
        let turn_roots = match &self.turn_ca {
            Some(path) => fs::read(path).map_err(|source| PathsError::Roots {
                path: path.clone(),
                source,
            })?,
            None => Vec::new(),
        };
        Ok(Settings {
            relay_only: self.ice == Ice::Relay,
            turn_roots,
            ..Settings::default()
        })
    }

    /// Makes them count for every room that is entered from now on.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn apply(&self) -> Result<(), PathsError> {
        raw::configure(self.settings()?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_are_what_an_operator_wrote() {
        assert!(!Paths::default().settings().unwrap().relay_only);
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ca.pem");
        fs::write(&file, "a certificate").unwrap();
        let paths = Paths {
            ice: Ice::Relay,
            turn_ca: Some(file.clone()),
        };
        let settings = paths.settings().unwrap();
        assert!(settings.relay_only);
        assert_eq!(settings.turn_roots, b"a certificate");
        fs::remove_file(file).unwrap();
        assert!(matches!(paths.settings(), Err(PathsError::Roots { .. })));
    }
}
