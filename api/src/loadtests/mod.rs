//! Load tests that are started over HTTP, one at a time; and parts in other machines' tests.

mod helper;
mod run;

use std::{io, sync::Arc};

use greffier_agent::{
    load::{LimitStep, LoadOptions, Machine, Progress, Scenario},
    supervisor::TaskKind,
};
use greffier_store::{LoadTestId, loadtests::LoadTest as Row};
use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::run::Run;
use crate::{
    problem::{ApiError, ApiResult},
    services::App,
};

/// What plays here now, if anything does: a test of ours, or a part in another machine's.
#[derive(Clone, Default)]
pub(crate) struct Running(Arc<Mutex<Option<Player>>>);

enum Player {
    /// It is being started, or is another machine's.
    Anonymous,
    Test(Test),
}

#[derive(Clone)]
struct Test {
    id: LoadTestId,
    stop: CancellationToken,
    seen: watch::Receiver<Seen>,
}

/// The right to play: one test at a time. Dropping it lets the next one.
pub(crate) struct Place(Running);

/// What is known of a test that runs. Its sender goes once the test's row says how it ended.
#[derive(Clone)]
pub(crate) struct Seen {
    pub progress: Progress,
    /// Of a search for the limit: the steps that have ended.
    pub steps: Arc<Vec<Step>>,
}

/// A step of a search for the limit.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Step {
    rooms: u32,
    participants: u64,
    tracks: u64,
    held: bool,
    sentence: String,
}

/// What is asked of a test, beside its scenario.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub workers: usize,
    pub i_own_this_server: bool,
    pub find_limit: bool,
    pub machines: Vec<Machine>,
}

/// What is kept of a test, as files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    Page,
    Result,
    Junit,
}

impl Kept {
    fn file(self) -> &'static str {
        match self {
            Self::Page => "report.html",
            Self::Result => "result.json",
            Self::Junit => "junit.xml",
        }
    }
}

impl From<&LimitStep> for Step {
    fn from(step: &LimitStep) -> Self {
        Self {
            rooms: step.rooms,
            participants: step.participants,
            tracks: step.tracks,
            held: step.outcome == greffier_agent::load::report::Outcome::Passed,
            sentence: step.sentence.clone(),
        }
    }
}

impl Running {
    fn of(&self, id: LoadTestId) -> Option<Test> {
        match &*self.0.lock() {
            Some(Player::Test(test)) if test.id == id => Some(test.clone()),
            _ => None,
        }
    }

    /// What is known of a test; `None` if it does not run.
    pub(crate) fn seen(&self, id: LoadTestId) -> Option<watch::Receiver<Seen>> {
        self.of(id).map(|test| test.seen)
    }

    /// Asks a test to end in order; whether it runs.
    pub(crate) fn stop(&self, id: LoadTestId) -> bool {
        self.of(id).map(|test| test.stop.cancel()).is_some()
    }

    /// Takes the place, so that nobody else begins meanwhile.
    fn take(&self) -> ApiResult<Place> {
        let mut place = self.0.lock();
        if place.is_some() {
            let detail = "a load test is running; one at a time, or each spoils the other's figures";
            return Err(ApiError::new(
                axum::http::StatusCode::CONFLICT,
                "load_test_running",
                detail,
            ));
        }
        *place = Some(Player::Anonymous);
        Ok(Place(self.clone()))
    }
}

impl Place {
    fn give(&self, test: Test) {
        *self.0.0.lock() = Some(Player::Test(test));
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        *self.0.0.lock() = None;
    }
}

impl App {
    /// Says of tests that the process before did not finish that they were stopped.
    pub(crate) fn settle_load_tests(&self) {
        let app = self.clone();
        self.services
            .supervisor
            .spawn(TaskKind::Housekeeping, "load-tests", |_| async move {
                app.store().load_tests().settle().await.map(drop)
            });
    }

    /// Starts a test against the server we belong to.
    pub(crate) async fn start_load_test(&self, scenario: Scenario, order: Order, by: &str) -> ApiResult<Row> {
        let place = self.load_tests.take()?;
        let described = serde_json::to_value(&scenario).map_err(|error| {
            tracing::error!(%error, "the scenario cannot be written");
            ApiError::internal()
        })?;
        let root = self.store().data().root();
        let options = LoadOptions {
            server: self.services.livekit.config().clone(),
            has_key: true,
            workers: order.workers,
            program: std::env::current_exe().map_err(|error| failed(&error))?,
            clips: root.join("clips"),
            i_own_this_server: order.i_own_this_server,
            machines: order.machines,
        };
        options.check(&scenario).await?;
        let row = self.store().load_tests().create(&described, by).await?;
        let row = self.store().load_tests().start(row.id).await?;
        let stop = CancellationToken::new();
        let (tell, seen) = watch::channel(Seen {
            progress: Progress::Preparing,
            steps: Arc::default(),
        });
        place.give(Test {
            id: row.id,
            stop: stop.clone(),
            seen,
        });
        let run = Run {
            id: row.id,
            scenario,
            options,
            find_limit: order.find_limit,
            stop,
            tell,
        };
        let app = self.clone();
        self.services
            .supervisor
            .spawn(TaskKind::Participant, "load-test-result", move |_| async move {
                run.through(&app, place).await
            });
        Ok(row)
    }

    /// What was kept of a test.
    pub(crate) async fn load_test_file(&self, id: LoadTestId, kept: Kept) -> ApiResult<String> {
        let row = self.store().load_tests().get(id).await?;
        let missing = || {
            ApiError::new(
                axum::http::StatusCode::NOT_FOUND,
                "no_report",
                "this test has no report",
            )
        };
        let page = row.end.report.ok_or_else(missing)?;
        let path = self.store().data().root().join(page).with_file_name(kept.file());
        match tokio::fs::read_to_string(path).await {
            Ok(text) => Ok(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(missing()),
            Err(error) => Err(failed(&error)),
        }
    }
}

fn failed(error: &io::Error) -> ApiError {
    tracing::error!(%error, "load tests cannot be run or read");
    ApiError::internal()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_that_start_at_once_do_not_both_play() {
        let running = Running::default();
        let place = running.take().expect("the first");
        assert!(running.take().is_err(), "the second");
        drop(place);
        assert!(running.take().is_ok());
    }
}
