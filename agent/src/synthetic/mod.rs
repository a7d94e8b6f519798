//! Synthetic participants: real participants through the LiveKit SDK that publish media encoded beforehand.
//!
//! ```text
//! clip (ffmpeg, once) ─▶ RTP payloads, shared by all ─▶ pacer (one thread) ─▶ outlet per track ─▶ LocalRtp ─▶ server
//! server ─▶ reception per subscribed track: order, key frames, freezes, latency ─▶ tally of its room
//! ```
//!
//! Nothing is encoded or decoded while they run: a participant costs what its packets cost.

pub mod clip;
mod error;
pub mod impair;
mod outlet;
mod pacer;
pub mod participant;
pub mod reception;
pub mod recorded;
pub mod upstream;

pub use error::SyntheticError;
pub use outlet::{AudioFeed, Sent, VideoFeed};
pub use pacer::{Pace, PaceId, Pacer};
