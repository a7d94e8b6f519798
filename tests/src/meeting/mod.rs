//! Meetings of real participants: the plan, the running meeting, and the truth about it afterwards.

mod plan;
mod running;
mod truth;

pub use plan::{Camera, Codec, Microphone, Picture, Plan, PlanError, Screen, ScreenSound, Script, Sound, Step, Track};
pub use running::Meeting;
pub use truth::{LATE_PART, LATE_S, Moment, PeerTruth, Take, Truth};
