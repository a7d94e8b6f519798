//! Renders: files made of a recording's journal.
mod container;
mod control;
pub mod copy;
mod engine;
mod error;
pub mod probe;
mod publish;
mod sound;
pub mod source;

pub use container::Container;
pub use control::{CancelFlag, Cancelled, Control, Progress, Stage};
pub use engine::{EngineError, init};
pub use error::{ErrorKind, RenderError};
