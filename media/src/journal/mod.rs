//! The journal: what every channel and message of a recording's MCAP segments means, and how segments are written, read
//! and mended. `docs/design/journal.md` says it in prose.

pub mod channel;
pub mod event;

pub use channel::{Channel, ChannelError, Encryption, PayloadType, Topic, TrackChannel, TrackSource};
pub use event::{ChatMessage, DataMessage, RoomEvent, StreamMessage, TranscriptSegment};
