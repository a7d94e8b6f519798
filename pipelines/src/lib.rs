//! Renders: files made of a recording's journal.
//!
//! [`render`] is what a render's child process does: it takes a [`Job`] and answers [`Rendered`] files, each looked at as a
//! player would. In reading order:
//!
//! ```text
//! job ─▶ source (survey, frames) ─┬▶ copy       ─▶ container ─┐
//!                                 ├▶ composite  ─▶ container ─┼▶ probe ─▶ publish
//!                                 ├▶ audio      ─▶ container ─┘
//!                                 └▶ export ────────────────────▶ publish
//! engine: GStreamer's codecs, driven by hand · sound: Opus lines, voices, the mix
//! ```
//! Why so: `docs/design/renders.md`.

mod audio;
pub mod bench;
mod composite;
mod container;
mod control;
pub mod copy;
mod engine;
mod error;
mod export;
mod job;
mod names;
pub mod probe;
mod publish;
mod sound;
pub mod source;

pub use container::Container;
pub use control::{CancelFlag, Cancelled, Control, Progress, Stage};
pub use engine::{EngineError, init};
pub use error::{ErrorKind, RenderError};
pub use job::{Job, Rendered, RenderedFile, render};
pub use sound::SoundError;
