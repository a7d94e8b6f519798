//! Renders of recordings that are known to the frame, judged by what is in them.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "tests choose their numbers"
)]

mod copies;
mod tape;
