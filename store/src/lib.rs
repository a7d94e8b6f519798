//! Truth on disk.

pub mod accounts;
pub mod check;
mod claims;
pub mod config;
#[cfg(test)]
mod crash_tests;
mod database;
mod disk;
mod error;
pub mod files;
mod ids;
pub mod jobs;
pub mod journal;
pub mod ledger;
pub mod loadtests;
pub mod meetings;
mod memo;
pub mod notices;
pub mod objects;
pub mod recordings;
mod recovery;
pub mod renders;
pub mod settings;
mod store;
#[cfg(test)]
mod testing;
mod tokens;
pub mod webhooks;

pub use accounts::AccountError;
pub use check::CheckError;
pub use config::{ConfigError, JournalConfig, ObjectsConfig, RetentionConfig, RetentionRule, StoreConfig, Verify};
pub use database::{DatabaseError, Version};
pub use disk::{DataDir, DiskError, DiskSpace, LockError, SpaceFloor};
pub use error::{Error, ErrorKind};
pub use files::FileError;
pub use ids::{
    ApiKeyId, AuditId, CallEventId, CallId, DeliveryId, LeaseToken, LoadTestId, NodeId, NotificationId, RoomId,
    RoomInvitationId, SessionId, StoreIdError, UserId, UserInvitationId, WaitingId,
};
pub use jobs::JobError;
pub use journal::JournalError;
pub use ledger::LedgerError;
pub use loadtests::LoadTestError;
pub use meetings::MeetingError;
pub use memo::Memo;
pub use notices::NoticeError;
pub use objects::ObjectError;
pub use recordings::RecordingError;
pub use recovery::{Interrupted, Recovered, RecoveryFailure};
pub use renders::RenderError;
pub use settings::SettingError;
pub use store::{OpenError, Store};
pub use webhooks::DeliveryError;
