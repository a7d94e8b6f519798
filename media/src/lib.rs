//! What a recording *means*: ids, time, RTP, frames, the timeline, the journal, layout, and the state tables.
//!
//! **Sans-I/O.** No runtime, no files, no clock, no GStreamer: every function is `fn(state, input)`. Bytes, arrival
//! times and random numbers come in as values; packets, frames, gaps and events come out. So the same code runs live,
//! over a finished journal, and in a test that simulates an hour in a millisecond.
//!
//! The flow, in reading order:
//!
//! ```text
//! rtp bytes ─▶ rtp (parse, extend) ─▶ journal (one MCAP message each)            while capturing
//! journal ─▶ reorder ─▶ depacketize ─▶ Frame | Gap      (track: the three in one) while rendering or live
//!         ─▶ timeline: MediaTime ─▶ Position in the recording
//!         ─▶ layout: events ─▶ who is where at time t
//! rtp of many tracks ─▶ munge ─▶ one continuous stream                            for relays
//! ```
//!
//! # Errors and panics
//!
//! Whatever comes from outside (packets, files, ids, JSON) may be anything: it yields a typed error, never a panic.
//! Each module that can fail differently has its own error; each answers `kind()` ([`ErrorKind`]).

#![cfg_attr(
    test,
    expect(
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        clippy::cast_sign_loss,
        reason = "tests choose their numbers"
    )
)]

mod bits;
pub mod codec;
pub mod depacketize;
mod error;
pub mod frame;
pub mod ids;
pub mod journal;
pub mod layout;
pub mod lifecycle;
pub mod munge;
pub mod render;
pub mod reorder;
pub mod rtp;
pub mod survey;
pub mod time;
pub mod timeline;
pub mod track;

pub use error::ErrorKind;
