//! Truth on disk.

pub mod check;
mod claims;
mod config;
#[cfg(test)]
mod crash_tests;
mod database;
mod disk;
mod error;
pub mod files;
mod ids;
pub mod jobs;
pub mod journal;
pub mod objects;
pub mod recordings;
mod recovery;
pub mod renders;
mod store;
#[cfg(test)]
mod testing;
pub mod webhooks;

pub use check::CheckError;
pub use config::{ConfigError, JournalConfig, ObjectsConfig, RetentionConfig, RetentionRule, StoreConfig, Verify};
pub use database::DatabaseError;
pub use disk::{DataDir, DiskError, DiskSpace, LockError, SpaceFloor};
pub use error::{Error, ErrorKind};
pub use files::FileError;
pub use ids::{DeliveryId, LeaseToken, NodeId, StoreIdError};
pub use jobs::JobError;
pub use journal::JournalError;
pub use objects::ObjectError;
pub use recordings::RecordingError;
pub use recovery::{Interrupted, Recovered, RecoveryFailure};
pub use renders::RenderError;
pub use store::{OpenError, Store};
pub use webhooks::DeliveryError;
