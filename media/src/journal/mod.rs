//! The journal: what every channel and message of a recording's MCAP segments means, and how segments are written, read
//! and mended. `docs/design/journal.md` says it in prose.
//!
//! | to | use |
//! |---|---|
//! | write a segment | [`SegmentWriter`] |
//! | read one from its start, whatever state it is in | [`SegmentReader`] |
//! | read parts of a finished one | [`SegmentSummary`], then [`ChunkInfo`]s |
//! | mend a torn one | [`recover`] |

pub mod channel;
mod chunk;
pub mod event;
mod reader;
mod recovery;
mod summary;
mod writer;

pub use channel::{Channel, ChannelError, Encryption, PayloadType, Topic, TrackChannel, TrackSource};
pub use chunk::{Chunk, Damage, Message};
pub use event::{ChatMessage, DataMessage, RoomEvent, RoomMessage, StreamMessage, TranscriptSegment};
pub use reader::{SegmentReader, Tail};
pub use recovery::{Recovery, recover};
pub use summary::{ChunkInfo, ReadError, SegmentSummary, SummaryRead};
pub use writer::{ChannelId, SegmentWriter, WriteError};

#[cfg(test)]
mod tests;
