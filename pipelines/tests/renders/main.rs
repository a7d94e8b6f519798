//! Renders of recordings that are known to the frame, judged by what is in them.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "tests choose their numbers"
)]
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "what is around the tests may do what tests may: tell what it found, and panic"
)]

mod audio;
mod composites;
mod copies;
mod exports;
mod job;
mod speed;
mod tape;
