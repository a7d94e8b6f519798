//! Meetings of real participants: the plan, the running meeting, and the truth about it afterwards.

mod plan;
mod running;
mod track;
mod truth;

pub use plan::{Plan, PlanError, Script, Step};
pub use running::Meeting;
pub use track::{Camera, Codec, Microphone, Picture, Screen, ScreenSound, Sound, Track};
pub use truth::{LATE_PART, LATE_S, Moment, PeerTruth, Take, Truth};
