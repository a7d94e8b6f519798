//! Greffier's participants, and what runs them.

pub mod clock;
pub mod supervisor;
