//! Failures of the crates below, with a word of their own where programs may want to tell them apart.

use std::{borrow::Cow, error::Error, fmt::Write as _};

use axum::http::StatusCode;
use greffier_agent::{livekit::LiveKitError, load::LoadError, recorder::RecorderError, renders::RendersError};
use greffier_media::{ids::IdError, render::RequestError};
use greffier_store::{
    AccountError, DatabaseError, DiskError, ErrorKind, FileError, JobError, LedgerError, LoadTestError, MeetingError,
    NoticeError, RecordingError, RenderError, SettingError,
};
use tracing::Level;

use super::{ApiError, FieldError, kinds::meaning};

/// What an invitation that is none is called: whoever shows many guesses.
pub(crate) const INVITATION: &str = "invitation_not_found";

/// A word of its own, and whether the failure's own words are for everybody even if it is a fault of ours.
type Word = Option<(&'static str, Words)>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Words {
    Shown,
    Kept,
}
use Words::{Kept, Shown};

impl ApiError {
    pub(crate) fn of(error: &(dyn Error + 'static), kind: ErrorKind) -> Self {
        Self::with_word(error, kind, None)
    }

    fn with_word(error: &(dyn Error + 'static), kind: ErrorKind, word: Word) -> Self {
        let meaning = meaning(kind);
        let (code, words) = word.unwrap_or((meaning.code, Kept));
        log(meaning.level, code, error);
        let detail: Cow<'static, str> = match meaning.instead {
            Some(instead) if words == Kept => instead.into(),
            _ => error.to_string().into(),
        };
        Self {
            retry_after: meaning.retry_after,
            ..Self::new(meaning.status, code, detail)
        }
    }
}

fn log(level: Level, code: &str, error: &(dyn Error + 'static)) {
    let mut chain = error.to_string();
    let mut source = error.source();
    while let Some(below) = source {
        // Writing to a string does not fail.
        let _ = write!(chain, ": {below}");
        source = below.source();
    }
    match level {
        Level::ERROR => tracing::error!(code, error = chain, "request failed"),
        Level::WARN => tracing::warn!(code, error = chain, "request failed"),
        _ => tracing::debug!(code, error = chain, "request refused"),
    }
}

impl From<RecordingError> for ApiError {
    fn from(error: RecordingError) -> Self {
        let word = match &error {
            RecordingError::NotFound(_) => Some(("recording_not_found", Shown)),
            RecordingError::AlreadyLive(_) => Some(("already_recording", Shown)),
            RecordingError::NotCapturing(..) => Some(("not_capturing", Shown)),
            RecordingError::NotEnded(..) => Some(("recording_not_ended", Shown)),
            RecordingError::Invalid { field, rule } => {
                return Self::invalid_field(format!("/{field}"), format!("must be {rule}"));
            }
            _ => None,
        };
        Self::with_word(&error, error.kind(), word)
    }
}

impl From<RecorderError> for ApiError {
    fn from(error: RecorderError) -> Self {
        let word = match error {
            RecorderError::Recording(error) => return error.into(),
            RecorderError::LiveKit(error) => return error.into(),
            RecorderError::NoRoom(_) => Some(("room_not_found", Shown)),
            RecorderError::Full(_) => Some(("too_many_recordings", Shown)),
            RecorderError::NotRunning(..) => Some(("not_capturing", Shown)),
            RecorderError::Elsewhere(_) => Some(("recorded_elsewhere", Shown)),
            RecorderError::Away(_) => Some(("recorder_away", Shown)),
            _ => None,
        };
        Self::with_word(&error, error.kind(), word)
    }
}

impl From<LiveKitError> for ApiError {
    fn from(error: LiveKitError) -> Self {
        let word = match &error {
            LiveKitError::Unreachable { .. } => Some(("livekit_unreachable", Kept)),
            LiveKitError::Refused { .. } => Some(("livekit_refused", Kept)),
            LiveKitError::NotFound { .. } => Some(("livekit_not_found", Shown)),
            _ => None,
        };
        Self::with_word(&error, error.kind(), word)
    }
}

impl From<RendersError> for ApiError {
    fn from(error: RendersError) -> Self {
        let word = match error {
            RendersError::Request(error) => return error.into(),
            RendersError::Recording(error) => return error.into(),
            RendersError::Render(error) => return error.into(),
            RendersError::NotSealed(_) => Some(("recording_not_sealed", Shown)),
            _ => None,
        };
        Self::with_word(&error, error.kind(), word)
    }
}

impl From<RenderError> for ApiError {
    fn from(error: RenderError) -> Self {
        let word = match &error {
            RenderError::NotFound(_) => Some(("render_not_found", Shown)),
            RenderError::StepRefused(_) => Some(("render_ended", Shown)),
            _ => None,
        };
        Self::with_word(&error, error.kind(), word)
    }
}

impl From<RequestError> for ApiError {
    fn from(error: RequestError) -> Self {
        Self::invalid(vec![FieldError {
            pointer: format!("/{}", error.field),
            detail: format!("must be {}", error.rule),
        }])
    }
}

impl From<FileError> for ApiError {
    fn from(error: FileError) -> Self {
        let word = match error {
            FileError::Recording(error) => return error.into(),
            FileError::Render(error) => return error.into(),
            FileError::NotFound(..) => Some(("file_not_found", Shown)),
            _ => None,
        };
        Self::with_word(&error, error.kind(), word)
    }
}

impl From<DatabaseError> for ApiError {
    fn from(error: DatabaseError) -> Self {
        Self::of(&error, error.kind())
    }
}

impl From<DiskError> for ApiError {
    fn from(error: DiskError) -> Self {
        Self::of(&error, error.kind())
    }
}

impl From<IdError> for ApiError {
    fn from(error: IdError) -> Self {
        Self::of(&error, error.kind().into())
    }
}

impl From<AccountError> for ApiError {
    fn from(error: AccountError) -> Self {
        let text = error.to_string();
        let word = match error {
            AccountError::Database(error) => return error.into(),
            AccountError::Invalid { field, rule } => {
                return Self::invalid_field(format!("/{field}"), format!("must be {rule}"));
            }
            // They are about who somebody is, not about what is there.
            AccountError::WrongPassword => return Self::new(StatusCode::UNAUTHORIZED, "wrong_password", text),
            AccountError::SessionEnded | AccountError::TokenReused => {
                return Self::new(StatusCode::UNAUTHORIZED, "session_ended", text);
            }
            AccountError::Disabled => return Self::new(StatusCode::FORBIDDEN, "account_disabled", text),
            AccountError::NotFound(_) => Some(("user_not_found", Shown)),
            AccountError::EmailTaken => Some(("email_taken", Shown)),
            AccountError::LastAdministrator => Some(("last_administrator", Shown)),
            AccountError::SetupToken => Some(("setup_done", Shown)),
            AccountError::Invitation | AccountError::NoInvitation(_) => Some(("invitation_not_found", Shown)),
            AccountError::NoKey(_) => Some(("key_not_found", Shown)),
            _ => None,
        };
        Self::with_word(&error, error.kind(), word)
    }
}

impl From<MeetingError> for ApiError {
    fn from(error: MeetingError) -> Self {
        let word = match error {
            MeetingError::Database(error) => return error.into(),
            MeetingError::Account(error) => return error.into(),
            MeetingError::Invalid { field, rule } => {
                return Self::invalid_field(format!("/{field}"), format!("must be {rule}"));
            }
            MeetingError::NoRoom(_) => Some(("room_not_found", Shown)),
            MeetingError::NameTaken(_) => Some(("room_name_taken", Shown)),
            MeetingError::RoomEnded => Some(("room_ended", Shown)),
            MeetingError::NoUser(_) => Some(("user_not_found", Shown)),
            MeetingError::Invitation => Some((INVITATION, Shown)),
            MeetingError::NoInvitation(_) => Some(("invitation_not_found", Shown)),
            MeetingError::NotWaiting(_) => Some(("not_waiting", Shown)),
            MeetingError::TooManyWait => Some(("too_many_wait", Shown)),
            MeetingError::NoCall(_) => Some(("call_not_found", Shown)),
            MeetingError::NotLive => Some(("room_not_live", Shown)),
            _ => None,
        };
        Self::with_word(&error, error.kind(), word)
    }
}

impl From<LoadTestError> for ApiError {
    fn from(error: LoadTestError) -> Self {
        let word = match &error {
            LoadTestError::NotFound(_) => Some(("load_test_not_found", Shown)),
            _ => None,
        };
        Self::with_word(&error, error.kind(), word)
    }
}

impl From<LoadError> for ApiError {
    fn from(error: LoadError) -> Self {
        let word = match error {
            LoadError::LiveKit(error) => return error.into(),
            LoadError::Scenario { .. } => return Self::invalid_field("/scenario", error.to_string()),
            LoadError::NotOurs(_) => Some(("server_not_ours", Shown)),
            LoadError::TooFewRooms { .. } => return Self::invalid_field("/machines", error.to_string()),
            _ => None,
        };
        Self::with_word(&error, error.kind(), word)
    }
}

impl From<JobError> for ApiError {
    fn from(error: JobError) -> Self {
        Self::of(&error, error.kind())
    }
}

impl From<LedgerError> for ApiError {
    fn from(error: LedgerError) -> Self {
        Self::of(&error, error.kind())
    }
}

impl From<NoticeError> for ApiError {
    fn from(error: NoticeError) -> Self {
        Self::of(&error, error.kind())
    }
}

impl From<SettingError> for ApiError {
    fn from(error: SettingError) -> Self {
        Self::of(&error, error.kind())
    }
}
