//! The one table of what kinds of failures mean over HTTP.

use axum::http::StatusCode;
use greffier_store::ErrorKind;
use tracing::Level;

/// What a kind of failure means to whoever asked, and to the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Meaning {
    pub status: StatusCode,
    /// Unless the failure has a word of its own.
    pub code: &'static str,
    /// In seconds: when trying again may help.
    pub retry_after: Option<u64>,
    pub level: Level,
    /// What is told instead of the failure's own words, which may name what is nobody's business.
    pub instead: Option<&'static str>,
}

const fn theirs(status: StatusCode, code: &'static str) -> Meaning {
    Meaning {
        status,
        code,
        retry_after: None,
        level: Level::DEBUG,
        instead: None,
    }
}

const OURS: Meaning = Meaning {
    status: StatusCode::INTERNAL_SERVER_ERROR,
    code: "internal",
    retry_after: None,
    level: Level::ERROR,
    instead: Some("something failed here; the server's log says what, beside this request's id"),
};

pub(super) fn meaning(kind: ErrorKind) -> Meaning {
    match kind {
        ErrorKind::NotFound => theirs(StatusCode::NOT_FOUND, "not_found"),
        ErrorKind::Conflict => theirs(StatusCode::CONFLICT, "conflict"),
        ErrorKind::Invalid => theirs(StatusCode::UNPROCESSABLE_ENTITY, "invalid"),
        ErrorKind::Unsupported => theirs(StatusCode::UNPROCESSABLE_ENTITY, "unsupported"),
        ErrorKind::Unavailable => Meaning {
            status: StatusCode::SERVICE_UNAVAILABLE,
            code: "unavailable",
            retry_after: Some(2),
            level: Level::WARN,
            instead: Some("something this needs cannot be reached now; try again"),
        },
        ErrorKind::DiskFull => Meaning {
            status: StatusCode::INSUFFICIENT_STORAGE,
            code: "disk_full",
            retry_after: None,
            level: Level::ERROR,
            instead: Some("there is not enough room on the server's disk"),
        },
        ErrorKind::DataLoss => Meaning {
            code: "data_loss",
            instead: Some("what was kept of this is damaged or gone; `greffier check` says more"),
            ..OURS
        },
        _ => OURS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_of_ours_are_logged_and_not_shown() {
        for kind in [
            ErrorKind::NotFound,
            ErrorKind::Conflict,
            ErrorKind::Invalid,
            ErrorKind::Unsupported,
            ErrorKind::Unavailable,
            ErrorKind::DiskFull,
            ErrorKind::DataLoss,
            ErrorKind::Internal,
        ] {
            let meaning = meaning(kind);
            assert_eq!(meaning.instead.is_some(), meaning.status.is_server_error(), "{kind:?}");
            assert_eq!(
                meaning.level <= Level::WARN,
                meaning.status.is_server_error(),
                "{kind:?}"
            );
        }
    }
}
