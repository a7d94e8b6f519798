//! Greffier's participants, and what runs them.

pub mod auto;
pub mod capture;
pub mod clock;
pub mod livekit;
pub mod load;
pub mod recorder;
pub mod renders;
pub mod supervisor;
pub mod synthetic;
pub mod upkeep;
pub mod view;
pub mod webhook;
