//! The end-to-end harness: a real LiveKit server, real participants on a plan, a real browser, a network that loses
//! packets, and an analyser that judges what came out by its content.

#![expect(clippy::missing_panics_doc, reason = "expectations panic: that is what they are for")]

pub mod analyse;
pub mod browser;
pub mod folder;
pub mod generate;
pub mod greffier;
mod installed;
pub mod judge;
pub mod meeting;
pub mod missing;
pub mod network;
pub mod pattern;
pub mod ports;
pub mod process;
pub mod python;
mod reception;
pub mod server;
pub mod stage;

pub use analyse::{MediaFile, Observation};
pub use browser::{Browser, Participation, Playback};
pub use folder::Folder;
pub use greffier::Greffier;
pub use judge::{Verdict, judge};
pub use meeting::{
    Camera, Codec, Meeting, Microphone, PeerTruth, Plan, Screen, ScreenSound, Script, Step, Take, Track, Truth,
};
pub use missing::{Missing, need};
pub use network::{Direction, Network};
pub use pattern::{Pattern, Source, Wall};
pub use process::Deadline;
pub use python::tools;
pub use server::{Server, Udp};
pub use stage::Stage;
