//! How a running render is watched, and stopped.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU16, Ordering},
};

use greffier_media::time::Position;
use serde::{Deserialize, Serialize};

/// Says that a render should stop. Clones share one flag; it is looked at many times a second.
#[derive(Debug, Clone, Default)]
pub struct CancelFlag(Arc<AtomicBool>);

impl CancelFlag {
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// What a render is busy with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Stage {
    /// Looking through the journal once, for what there is and when.
    Surveying,
    /// Making the files.
    Rendering,
    /// Looking at the files as a player would.
    Checking,
}

/// How far a render is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Of the whole, 0 to 1000; never decreasing.
    pub permille: u16,
    pub stage: Stage,
}

/// The caller's side of a render: it hears of progress and may cancel.
pub struct Control<'a> {
    cancel: CancelFlag,
    report: Box<dyn Fn(Progress) + Send + Sync + 'a>,
    last: AtomicU16,
}

/// The render was told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the render was cancelled")]
pub struct Cancelled;

impl<'a> Control<'a> {
    /// `report` is called at most a thousand times, on the thread that renders.
    pub fn new(cancel: CancelFlag, report: impl Fn(Progress) + Send + Sync + 'a) -> Self {
        Self {
            cancel,
            report: Box::new(report),
            last: AtomicU16::new(0),
        }
    }

    /// Nobody watches, nobody cancels.
    pub fn detached() -> Self {
        Self::new(CancelFlag::default(), |_| ())
    }

    pub(crate) fn check(&self) -> Result<(), Cancelled> {
        if self.cancel.is_cancelled() {
            Err(Cancelled)
        } else {
            Ok(())
        }
    }

    /// `done` of `whole` of this stage; reports if that is news. Also the place to be cancelled at.
    pub(crate) fn progress(&self, stage: Stage, done: u64, whole: u64) -> Result<(), Cancelled> {
        self.check()?;
        let (from, to) = match stage {
            Stage::Surveying => (0, 100),
            Stage::Rendering => (100, 950),
            Stage::Checking => (950, 1000),
        };
        let part = u128::from(done.min(whole)) * (to - from) / u128::from(whole.max(1));
        let permille = u16::try_from(from + part).unwrap_or(1000);
        if self.last.fetch_max(permille, Ordering::Relaxed) < permille {
            (self.report)(Progress { permille, stage });
        }
        Ok(())
    }

    pub(crate) fn rendered(&self, at: Position, end: Position) -> Result<(), Cancelled> {
        self.progress(Stage::Rendering, at.as_nanos(), end.as_nanos())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn progress_never_goes_back_and_repeats_nothing() {
        let heard = Mutex::new(Vec::new());
        let control = Control::new(CancelFlag::default(), |progress| {
            heard.lock().unwrap().push(progress.permille);
        });
        for (stage, done) in [
            (Stage::Surveying, 50),
            (Stage::Surveying, 50),
            (Stage::Surveying, 20),
            (Stage::Rendering, 0),
            (Stage::Rendering, 50),
            (Stage::Checking, 100),
            (Stage::Checking, 900),
        ] {
            control.progress(stage, done, 100).unwrap();
        }
        drop(control);
        assert_eq!(heard.into_inner().unwrap(), [50, 100, 525, 1000]);
    }

    #[test]
    fn a_cancelled_render_hears_of_it() {
        let cancel = CancelFlag::default();
        let control = Control::new(cancel.clone(), |_| ());
        assert_eq!(control.check(), Ok(()));
        cancel.cancel();
        assert_eq!(control.progress(Stage::Rendering, 1, 2), Err(Cancelled));
    }
}
