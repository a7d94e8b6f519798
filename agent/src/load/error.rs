//! Why a load test could not be run, or not to its end.

use greffier_store::ErrorKind;

use crate::livekit::LiveKitError;
use crate::synthetic::SyntheticError;

/// Why a load test could not be run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    #[error("{origin}: {message}")]
    Scenario { origin: String, message: String },
    #[error("there is no scenario `{name}`: {source} (templates: {templates})")]
    NoScenario {
        name: String,
        source: std::io::Error,
        templates: String,
    },
    #[error(
        "{0} is not this machine; a load test may bring a server down, so say that it is yours (--i-own-this-server)"
    )]
    NotOurs(String),
    #[error("no token: {0}")]
    Token(String),
    #[error("{path}: {message}")]
    Recording { path: String, message: String },
    #[error("{path} is not a report of a load test: {message}")]
    Report { path: String, message: String },
    #[error("a process of the test cannot be started: {0}")]
    Start(std::io::Error),
    #[error("a process of the test ended early: {0}")]
    Worker(String),
    #[error("{machine}: {message}")]
    Machine { machine: String, message: String },
    #[error(
        "{rooms} rooms cannot be shared by {machines} machines: a room stays on one machine; give as many rooms at least"
    )]
    TooFewRooms { rooms: u32, machines: usize },
    #[error(
        "{0} and {1} do not have the same clips or recording, so what they send could not be compared; copy the folder of \
         clips, or the recording, from one to the other"
    )]
    OtherMedia(String, String),
    #[error("it was stopped before anybody had joined")]
    Stopped,
    #[error(transparent)]
    LiveKit(#[from] LiveKitError),
    #[error(transparent)]
    Synthetic(#[from] SyntheticError),
}

impl LoadError {
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Scenario { .. }
            | Self::Token(_)
            | Self::Recording { .. }
            | Self::Report { .. }
            | Self::TooFewRooms { .. } => ErrorKind::Invalid,
            Self::NoScenario { .. } => ErrorKind::NotFound,
            Self::NotOurs(_) | Self::OtherMedia(..) | Self::Stopped => ErrorKind::Conflict,
            Self::Start(_) | Self::Worker(_) | Self::Machine { .. } => ErrorKind::Internal,
            Self::LiveKit(error) => error.kind(),
            Self::Synthetic(error) => error.kind(),
        }
    }

    /// One word for counting failures of a kind.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Token(_) => "token",
            Self::LiveKit(_) => "server_api",
            Self::Synthetic(error) => error.word(),
            _ => "other",
        }
    }
}
