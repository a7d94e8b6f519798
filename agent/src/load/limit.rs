//! The largest load that holds: rooms are added until a threshold fails.

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::LoadError;
use super::report::{LoadReport, Outcome};
use super::run::{LoadOptions, LoadTest, Progress};
use super::scenario::{Count, Scenario, Thresholds};
use crate::supervisor::Supervisor;

/// One step of the search.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LimitStep {
    pub rooms: u32,
    pub participants: u64,
    pub outcome: Outcome,
    pub sentence: String,
    /// Most tracks that were subscribed at a time.
    pub tracks: u64,
    pub report: LoadReport,
}

/// What was found.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Limit {
    pub steps: Vec<LimitStep>,
    /// Rooms of the last step that held; `None` if the first did not.
    pub held: Option<u32>,
    /// Rooms of the smallest step that did not; `None` if none was found.
    pub failed: Option<u32>,
    /// Why there were not more; `None` if no step failed.
    pub limited_by: Option<Limiting>,
    /// The thresholds that were not held, or what the tester could not do, at the smallest step that failed.
    pub what: Vec<String>,
    /// The thresholds were ours, because the scenario has none.
    pub sensible_thresholds: bool,
}

/// What a search ran into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limiting {
    /// A threshold was not held: the server's limit.
    Server,
    /// The tester did not keep up: its limit, and the server's is higher.
    Tester,
    /// A test did not run to its end.
    CutShort,
}

impl Limiting {
    fn of(report: &LoadReport) -> Option<(Self, Vec<String>)> {
        let verdict = &report.verdict;
        match verdict.outcome {
            Outcome::Passed => None,
            Outcome::Failed => {
                let failed = report.thresholds.iter().filter(|judged| !judged.passed);
                Some((Self::Server, failed.map(|judged| judged.name.clone()).collect()))
            }
            Outcome::TesterBehind => Some((Self::Tester, verdict.tester_behind.clone())),
            Outcome::CutShort => Some((Self::CutShort, verdict.cut_short.iter().cloned().collect())),
        }
    }
}

/// The search is over when the two are this near, as a share of the smaller.
const NEAR: f64 = 0.15;
/// A search ends, whatever it has found.
const MOST_STEPS: usize = 16;

impl Limit {
    /// How many rooms to try next; `None` when enough is known.
    fn next(held: Option<u32>, failed: Option<u32>) -> Option<u32> {
        match (held, failed) {
            // Half as many again until it breaks.
            (Some(held), None) => Some(held + held.div_ceil(2)).filter(|rooms| *rooms <= Count::MAX),
            (Some(held), Some(failed)) => {
                let apart = failed - held;
                let near = apart <= 1 || f64::from(apart) <= NEAR * f64::from(held);
                (!near).then(|| u32::midpoint(held, failed))
            }
            (None, Some(failed)) => (failed > 1).then_some(failed / 2),
            (None, None) => None,
        }
    }
}

/// Runs the scenario with more and more rooms until it fails, then closes in; each step is told as it ends.
///
/// # Errors
/// When a test could not be run at all.
pub async fn find_limit(
    scenario: Scenario,
    options: &LoadOptions,
    supervisor: &Supervisor,
    told: mpsc::Sender<LimitStep>,
    progress: mpsc::Sender<Progress>,
    stop: CancellationToken,
) -> Result<Limit, LoadError> {
    let sensible_thresholds = scenario.thresholds == Thresholds::default();
    let scenario = Scenario {
        thresholds: if sensible_thresholds {
            Thresholds::sensible()
        } else {
            scenario.thresholds.clone()
        },
        ..scenario
    };
    let mut limit = Limit {
        steps: Vec::new(),
        held: None,
        failed: None,
        limited_by: None,
        what: Vec::new(),
        sensible_thresholds,
    };
    let mut rooms = scenario.rooms.get();
    while limit.steps.len() < MOST_STEPS && !stop.is_cancelled() {
        let Some(count) = Count::new(rooms) else { break };
        let larger = Scenario {
            rooms: count,
            ..scenario.clone()
        };
        // More than one machine plays: this far and no further.
        let Ok(larger) = larger.checked() else { break };
        let participants = larger.participants_in_all();
        let test = LoadTest::start(larger, options.clone(), supervisor).await?;
        let (stopper, mut seen) = (test.stopper(), test.progress());
        let result = test.result();
        tokio::pin!(result);
        let report = loop {
            tokio::select! {
                report = &mut result => break report?,
                changed = seen.changed() => {
                    if changed.is_ok() {
                        let now = seen.borrow_and_update().clone();
                        // Whoever watches is too slow, or gone: the next one tells the same.
                        drop(progress.try_send(now));
                    } else {
                        break result.await?;
                    }
                }
                () = stop.cancelled() => {
                    stopper.stop();
                    break result.await?;
                }
            }
        };
        let outcome = report.verdict.outcome;
        let done = LimitStep {
            rooms,
            participants,
            outcome,
            sentence: report.verdict.sentence.clone(),
            tracks: report.ticks.iter().map(|tick| tick.tracks).max().unwrap_or(0),
            report,
        };
        // As above.
        drop(told.send(done.clone()).await);
        limit.steps.push(done);
        if stop.is_cancelled() {
            break;
        }
        if outcome == Outcome::Passed {
            limit.held = limit.held.max(Some(rooms));
        } else if limit.failed.is_none_or(|failed| rooms < failed) {
            limit.failed = Some(rooms);
            let limiting = limit.steps.last().and_then(|step| Limiting::of(&step.report));
            if let Some((by, what)) = limiting {
                limit.limited_by = Some(by);
                limit.what = what;
            }
        }
        let Some(next) = Limit::next(limit.held, limit.failed) else {
            break;
        };
        rooms = next;
    }
    Ok(limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many rooms are held if the server carries `capacity`, and in how many steps that is found.
    fn search(first: u32, capacity: u32) -> (Option<u32>, Option<u32>, usize) {
        let (mut held, mut failed, mut rooms, mut steps) = (None, None, first, 0);
        loop {
            steps += 1;
            if rooms <= capacity {
                held = held.max(Some(rooms));
            } else {
                failed = Some(rooms);
            }
            match Limit::next(held, failed) {
                Some(next) => rooms = next,
                None => return (held, failed, steps),
            }
        }
    }

    #[test]
    fn the_limit_is_closed_in_on() {
        let (held, failed, steps) = search(1, 40);
        assert!(held.unwrap() <= 40 && failed.unwrap() > 40);
        assert!(f64::from(failed.unwrap() - held.unwrap()) <= NEAR * f64::from(held.unwrap()));
        assert!(steps <= MOST_STEPS, "{steps}");
        assert_eq!(search(8, 3).0, Some(3));
        assert_eq!(search(4, 0), (None, Some(1), 3));
    }
}
