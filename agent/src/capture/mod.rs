//! Capture: what is heard and seen in a room, on its way to the journal. Nothing is decoded.

mod describe;
mod messages;
pub mod metric;
pub(crate) mod queue;
pub(crate) mod room;
pub(crate) mod session;
mod tap;
pub(crate) mod writer;

pub use session::JoinError;
