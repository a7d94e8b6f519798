//! The state tables of recordings and renders. States only go forward; whether a recording is paused is kept apart.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ErrorKind;

/// Where a recording is in its life.
///
/// ```text
/// Requested ─▶ Joining ─▶ Capturing ─▶ Sealing ─▶ Sealed
///     └───────────┴───────────────────────┴────▶ Failed(kind)
/// ```
///
/// Once something is captured it will be sealed, whatever happens; so `Capturing` leads to `Sealing` only. A process that
/// is restarted takes the recording up in the state it was in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RecordingState {
    /// Asked for; nobody is on the way yet.
    Requested,
    /// The bot is on its way into the room.
    Joining,
    /// The bot is in the room, or finds its way back into it; the journal grows.
    Capturing,
    /// The bot is out; the journal is being completed.
    Sealing,
    /// Complete: it can be played and rendered.
    Sealed,
    Failed(RecordingFailure),
}

/// Why there is no recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RecordingFailure {
    /// Stopped before it began.
    Cancelled,
    /// The room does not exist, and may not be made.
    NoRoom,
    /// The server would not let us in.
    Refused,
    /// The server could not be reached.
    Unreachable,
    /// The disk is full, or refuses.
    Storage,
    /// A fault of ours.
    Internal,
}

/// What happens to a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RecordingStep {
    /// A bot takes it on.
    Join,
    /// The bot is in the room.
    Capture,
    /// It is to end: asked for, or the room is empty, or time is up.
    Stop,
    /// The journal is complete.
    Seal,
    /// It cannot go on.
    Fail(RecordingFailure),
}

impl RecordingState {
    /// The state after `step`; a step the state does not allow changes nothing.
    pub fn advance(self, step: RecordingStep) -> Result<Self, StepRefused> {
        use RecordingStep as Step;
        let next = match (self, step) {
            (Self::Requested, Step::Join) => Self::Joining,
            (Self::Joining, Step::Capture) => Self::Capturing,
            (Self::Requested | Self::Joining, Step::Stop) => Self::Failed(RecordingFailure::Cancelled),
            (Self::Capturing, Step::Stop | Step::Fail(_)) => Self::Sealing,
            (Self::Sealing, Step::Seal) => Self::Sealed,
            (Self::Requested | Self::Joining | Self::Sealing, Step::Fail(failure)) => Self::Failed(failure),
            _ => {
                return Err(StepRefused {
                    state: self.name(),
                    step: step.name(),
                });
            }
        };
        Ok(next)
    }

    /// Nothing will happen to it any more.
    pub fn is_final(self) -> bool {
        self.rank() == 4
    }

    /// It may be paused and resumed.
    pub fn may_pause(self) -> bool {
        self == Self::Capturing
    }

    /// In `snake_case`, as the database and the API have it, without the failure.
    pub fn name(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Joining => "joining",
            Self::Capturing => "capturing",
            Self::Sealing => "sealing",
            Self::Sealed => "sealed",
            Self::Failed(_) => "failed",
        }
    }

    pub fn failure(self) -> Option<RecordingFailure> {
        if let Self::Failed(failure) = self {
            Some(failure)
        } else {
            None
        }
    }

    /// Puts [`name`](Self::name) and [`failure`](Self::failure) together again; `None` if they make no state.
    pub fn from_parts(name: &str, failure: Option<RecordingFailure>) -> Option<Self> {
        let failed = failure.map(Self::Failed);
        [
            Self::Requested,
            Self::Joining,
            Self::Capturing,
            Self::Sealing,
            Self::Sealed,
        ]
        .into_iter()
        .chain(failed)
        .find(|state| state.name() == name && state.failure() == failure)
    }

    /// How far along it is.
    fn rank(self) -> u8 {
        match self {
            Self::Requested => 0,
            Self::Joining => 1,
            Self::Capturing => 2,
            Self::Sealing => 3,
            Self::Sealed | Self::Failed(_) => 4,
        }
    }
}

impl RecordingStep {
    fn name(self) -> &'static str {
        match self {
            Self::Join => "join",
            Self::Capture => "capture",
            Self::Stop => "stop",
            Self::Seal => "seal",
            Self::Fail(_) => "fail",
        }
    }
}

/// Where a render is in its life.
///
/// ```text
/// Queued ─▶ Running ─▶ Ready
///    └─────────┴────▶ Failed(kind) | Cancelled
/// ```
///
/// A render whose process died is started again and stays `Running`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RenderState {
    Queued,
    Running,
    /// Its file is there, and was looked into.
    Ready,
    Cancelled,
    Failed(RenderFailure),
}

/// Why there is no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RenderFailure {
    /// The recording has nothing of what is asked for.
    NothingToRender,
    /// The recording is damaged, or part of it is gone.
    Input,
    /// It asks for what this version cannot make.
    Unsupported,
    /// The process died, again and again.
    Crashed,
    /// It took too long, or too much memory.
    Resources,
    /// The result could not be written or uploaded.
    Storage,
    /// A result was made, and is not what it should be.
    Verification,
    /// A fault of ours.
    Internal,
}

/// What happens to a render.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RenderStep {
    /// A process works on it; the first one, or another after it died.
    Start,
    /// The result is there and was verified.
    Finish,
    Cancel,
    Fail(RenderFailure),
}

impl RenderState {
    /// The state after `step`; a step the state does not allow changes nothing.
    pub fn advance(self, step: RenderStep) -> Result<Self, StepRefused> {
        use RenderStep as Step;
        let next = match (self, step) {
            (Self::Queued | Self::Running, Step::Start) => Self::Running,
            (Self::Running, Step::Finish) => Self::Ready,
            (Self::Queued | Self::Running, Step::Cancel) => Self::Cancelled,
            (Self::Queued | Self::Running, Step::Fail(failure)) => Self::Failed(failure),
            _ => {
                return Err(StepRefused {
                    state: self.name(),
                    step: step.name(),
                });
            }
        };
        Ok(next)
    }

    /// Nothing will happen to it any more.
    pub fn is_final(self) -> bool {
        self.rank() == 2
    }

    /// In `snake_case`, as the database and the API have it, without the failure.
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Ready => "ready",
            Self::Cancelled => "cancelled",
            Self::Failed(_) => "failed",
        }
    }

    pub fn failure(self) -> Option<RenderFailure> {
        if let Self::Failed(failure) = self {
            Some(failure)
        } else {
            None
        }
    }

    /// Puts [`name`](Self::name) and [`failure`](Self::failure) together again; `None` if they make no state.
    pub fn from_parts(name: &str, failure: Option<RenderFailure>) -> Option<Self> {
        let failed = failure.map(Self::Failed);
        [Self::Queued, Self::Running, Self::Ready, Self::Cancelled]
            .into_iter()
            .chain(failed)
            .find(|state| state.name() == name && state.failure() == failure)
    }

    /// How far along it is.
    fn rank(self) -> u8 {
        match self {
            Self::Queued => 0,
            Self::Running => 1,
            Self::Ready | Self::Cancelled | Self::Failed(_) => 2,
        }
    }
}

impl RenderStep {
    fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Finish => "finish",
            Self::Cancel => "cancel",
            Self::Fail(_) => "fail",
        }
    }
}

impl fmt::Display for RecordingState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for RenderState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A step that the state does not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("what is {state} cannot {step}")]
pub struct StepRefused {
    pub state: &'static str,
    pub step: &'static str,
}

impl StepRefused {
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::Conflict
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;

    const STEPS: [RecordingStep; 6] = [
        RecordingStep::Join,
        RecordingStep::Capture,
        RecordingStep::Stop,
        RecordingStep::Seal,
        RecordingStep::Fail(RecordingFailure::Refused),
        RecordingStep::Fail(RecordingFailure::Storage),
    ];
    const RENDER_STEPS: [RenderStep; 4] = [
        RenderStep::Start,
        RenderStep::Finish,
        RenderStep::Cancel,
        RenderStep::Fail(RenderFailure::Crashed),
    ];

    #[test]
    fn a_recording_that_goes_well() {
        let mut state = RecordingState::Requested;
        for (step, next) in STEPS[..4].iter().zip(["joining", "capturing", "sealing", "sealed"]) {
            state = state.advance(*step).unwrap();
            assert_eq!(state.name(), next);
        }
    }

    /// Rows: from. Columns: the steps. A dash: refused.
    #[test]
    fn the_whole_table() {
        let table = [
            ("requested", ["joining", "-", "failed", "-", "failed", "failed"]),
            ("joining", ["-", "capturing", "failed", "-", "failed", "failed"]),
            ("capturing", ["-", "-", "sealing", "-", "sealing", "sealing"]),
            ("sealing", ["-", "-", "-", "sealed", "failed", "failed"]),
            ("sealed", ["-"; 6]),
        ];
        for (from, row) in table {
            let from = RecordingState::from_parts(from, None).unwrap();
            let got = STEPS.map(|step| from.advance(step).map_or("-", RecordingState::name));
            assert_eq!(got, row, "{from}");
        }
        let failed = RecordingState::Failed(RecordingFailure::NoRoom);
        assert!(STEPS.iter().all(|step| failed.advance(*step).is_err()));
    }

    #[test]
    fn the_whole_table_of_renders() {
        let table = [
            ("queued", ["running", "-", "cancelled", "failed"]),
            ("running", ["running", "ready", "cancelled", "failed"]),
            ("ready", ["-"; 4]),
            ("cancelled", ["-"; 4]),
        ];
        for (from, row) in table {
            let from = RenderState::from_parts(from, None).unwrap();
            let got = RENDER_STEPS.map(|step| from.advance(step).map_or("-", RenderState::name));
            assert_eq!(got, row, "{from}");
        }
    }

    #[test]
    fn states_are_kept_as_name_and_failure() {
        let failed = RecordingState::Failed(RecordingFailure::Storage);
        assert_eq!(
            RecordingState::from_parts(failed.name(), failed.failure()),
            Some(failed)
        );
        assert_eq!(RecordingState::from_parts("failed", None), None);
        assert_eq!(
            RecordingState::from_parts("sealed", Some(RecordingFailure::Storage)),
            None
        );
        assert_eq!(RecordingState::from_parts("SEALED", None), None);
        assert_eq!(
            RenderState::from_parts("failed", Some(RenderFailure::Input))
                .unwrap()
                .failure(),
            Some(RenderFailure::Input)
        );
    }

    #[test]
    fn a_refusal_says_what_and_why() {
        let refused = RecordingState::Sealed.advance(RecordingStep::Join).unwrap_err();
        assert_eq!(refused.to_string(), "what is sealed cannot join");
        assert_eq!(refused.kind(), ErrorKind::Conflict);
    }

    proptest! {
        #[test]
        fn recordings_only_go_forward(steps in vec(select(&STEPS[..]), 0..40)) {
            let mut state = RecordingState::Requested;
            let mut captured = false;
            for step in steps {
                let next = state.advance(step).unwrap_or(state);
                prop_assert!(next == state || next.rank() > state.rank());
                prop_assert!(!state.is_final() || next == state);
                captured |= next == RecordingState::Capturing;
                let straight_to_failure = next.failure().is_some() && state == RecordingState::Capturing;
                prop_assert!(!(captured && straight_to_failure), "what was captured is sealed first");
                state = next;
            }
        }

        #[test]
        fn renders_only_go_forward(steps in vec(select(&RENDER_STEPS[..]), 0..40)) {
            let mut state = RenderState::Queued;
            for step in steps {
                let next = state.advance(step).unwrap_or(state);
                prop_assert!(next == state || next.rank() > state.rank());
                prop_assert!(!state.is_final() || next == state);
                state = next;
            }
        }
    }
}
