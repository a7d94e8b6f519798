//! One test, from its start to its row's end.

use std::{fs, path::PathBuf, pin::pin, sync::Arc};

use greffier_agent::load::{LoadError, LoadOptions, LoadReport, LoadTest, Scenario, find_limit};
use greffier_store::{
    LoadTestError, LoadTestId,
    loadtests::{LoadTestEnd, LoadTestState},
};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::{Kept, Place, Seen, Step};
use crate::services::App;

pub(super) struct Run {
    pub id: LoadTestId,
    pub scenario: Scenario,
    pub options: LoadOptions,
    pub find_limit: bool,
    pub stop: CancellationToken,
    pub tell: watch::Sender<Seen>,
}

/// A result, and what a search for the limit has found beside it.
struct Outcome {
    report: LoadReport,
    limit: Option<Value>,
}

impl Run {
    /// Runs it, keeps what it came to, and says so in its row.
    pub(super) async fn through(self, app: &App, place: Place) -> Result<(), LoadTestError> {
        let outcome = if self.find_limit {
            self.search(app).await
        } else {
            self.once(app).await
        };
        let folder = app.store().data().root().join("loadtests").join(self.id.to_string());
        let (state, end) = end(self.id, folder, outcome, self.stop.is_cancelled()).await;
        let finished = app.store().load_tests().finish(self.id, state, end).await;
        // In this order: whoever hears of the end, which the end of `tell` lets happen, finds the row as it stays, and may
        // start the next one.
        drop(place);
        finished.map(drop)
    }

    async fn once(&self, app: &App) -> Result<Outcome, LoadError> {
        let (scenario, options) = (self.scenario.clone(), self.options.clone());
        let test = LoadTest::start(scenario, options, &app.services.supervisor).await?;
        let (stopper, mut progress) = (test.stopper(), test.progress());
        let mut result = pin!(test.result());
        let mut told = false;
        let report = loop {
            tokio::select! {
                report = &mut result => break report?,
                Ok(()) = progress.changed() => {
                    let now = progress.borrow_and_update().clone();
                    self.tell.send_modify(|seen| seen.progress = now);
                }
                () = self.stop.cancelled(), if !told => {
                    told = true;
                    stopper.stop();
                }
            }
        };
        Ok(Outcome { report, limit: None })
    }

    async fn search(&self, app: &App) -> Result<Outcome, LoadError> {
        let (scenario, supervisor) = (self.scenario.clone(), &app.services.supervisor);
        let (told, mut steps) = mpsc::channel(4);
        let (progress, mut seen) = mpsc::channel(4);
        let search = find_limit(scenario, &self.options, supervisor, told, progress, self.stop.clone());
        let mut search = pin!(search);
        let mut found = loop {
            tokio::select! {
                found = &mut search => break found?,
                Some(now) = seen.recv() => self.tell.send_modify(|seen| seen.progress = now),
                Some(step) = steps.recv() => {
                    self.tell.send_modify(|seen| Arc::make_mut(&mut seen.steps).push(Step::from(&step)));
                }
            }
        };
        let steps: Vec<Step> = found.steps.iter().map(Step::from).collect();
        let limit = json!({ "held": found.held, "failed": found.failed, "steps": steps });
        // The report is about the last step that held, or the first that did not.
        let shown = found.held.or(found.failed);
        let shown = found
            .steps
            .iter()
            .rposition(|step| shown.is_none_or(|rooms| step.rooms == rooms));
        let step = shown.map(|n| found.steps.swap_remove(n)).ok_or(LoadError::Stopped)?;
        Ok(Outcome {
            report: step.report,
            limit: Some(limit),
        })
    }
}

/// What the row says in the end; the files are on the disk before the row names them.
async fn end(
    id: LoadTestId,
    folder: PathBuf,
    outcome: Result<Outcome, LoadError>,
    was_stopped: bool,
) -> (LoadTestState, LoadTestEnd) {
    let Outcome { report, limit } = match outcome {
        Ok(outcome) => outcome,
        Err(error) => {
            let state = if matches!(error, LoadError::Stopped) {
                LoadTestState::Stopped
            } else {
                LoadTestState::Failed
            };
            let end = LoadTestEnd {
                failure: Some(error.to_string()),
                ..LoadTestEnd::default()
            };
            return (state, end);
        }
    };
    let mut summary = summary(&report);
    if let (Some(limit), Some(summary)) = (limit, summary.as_object_mut()) {
        summary.insert("limit".to_owned(), limit);
    }
    let was_stopped = was_stopped || report.verdict.cut_short.is_some();
    let written = tokio::task::spawn_blocking(move || {
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(Kept::Result.file()), serde_json::to_string(&report)?)?;
        fs::write(folder.join(Kept::Junit.file()), report.junit())?;
        fs::write(folder.join(Kept::Page.file()), report.html())
    })
    .await;
    let failure = match written {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(format!("the report cannot be written: {error}")),
        Err(_) => Some("the report could not be made".to_owned()),
    };
    let state = if was_stopped {
        LoadTestState::Stopped
    } else {
        LoadTestState::Finished
    };
    let page = failure
        .is_none()
        .then(|| format!("loadtests/{id}/{}", Kept::Page.file()));
    (
        state,
        LoadTestEnd {
            report: page,
            summary: Some(summary),
            failure,
        },
    )
}

fn summary(report: &LoadReport) -> Value {
    json!({
        "seconds": report.seconds,
        "verdict": report.verdict,
        "thresholds": report.thresholds,
        "summary": report.summary,
        "machines": report.machines,
    })
}
