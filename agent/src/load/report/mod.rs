//! The result of a load test, in a form that is kept and compared.

mod chart;
mod compare;
mod cost;
mod html;
mod judge;
mod junit;
mod machines;

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use compare::{Change, Comparison, Significance, compare};
pub use cost::Cost;
pub use machines::MachineReport;

use super::LoadError;
use super::measure::{Events, Measured, Received, Replayed, SentTotals, Summary, TesterHealth, Tick, TimesOf};
use super::scenario::Scenario;

/// What the JSON is a version of.
pub const FORMAT: u32 = 1;

/// The result. Its JSON keeps its shape within one `format`; distributions are whole (`HdrHistogram` V2, base64), so
/// that results can be merged and compared.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LoadReport {
    pub format: u32,
    /// Of Greffier.
    pub version: String,
    pub scenario: Scenario,
    pub started: Timestamp,
    pub seconds: u32,
    /// Processes that played.
    pub workers: usize,
    /// Other machines that played, if any did.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub machines: Vec<MachineReport>,
    pub verdict: Verdict,
    pub thresholds: Vec<Judged>,
    /// In a few numbers; `times` has the whole.
    pub summary: BTreeMap<String, Summary>,
    pub received: Received,
    pub sent: SentTotals,
    /// Our counts beside the server's, if it tells them.
    pub agreement: Vec<Agreement>,
    /// Where a recording was played: what came of it beside the original, by person and source.
    pub replayed: BTreeMap<String, Replayed>,
    pub rooms: BTreeMap<u32, Received>,
    pub codecs: BTreeMap<String, Received>,
    pub events: Events,
    pub errors: Events,
    pub first_errors: BTreeMap<String, String>,
    /// The tester at its worst.
    pub tester: TesterHealth,
    /// If the scenario names the server's metrics.
    pub server: Vec<ServerSample>,
    pub times: TimesOf,
    pub ticks: Vec<Tick>,
}

/// The server's own figures at one moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ServerSample {
    /// Since the start.
    pub second: u32,
    pub values: BTreeMap<String, f64>,
}

/// A count of ours beside the server's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Agreement {
    pub name: String,
    pub server: f64,
    pub ours: f64,
    /// As a share of ours.
    pub apart: f64,
    /// Why the difference says nothing; otherwise it is judged as a threshold is.
    pub not_judged: Option<String>,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    pub outcome: Outcome,
    /// In one sentence: what a report begins with.
    pub sentence: String,
    /// Why the tester, and not the server, may be what was measured. Empty if it kept up.
    pub tester_behind: Vec<String>,
    /// Why it did not run to its end.
    pub cut_short: Option<String>,
}

/// What came of it, in a word. Each has an exit code of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Passed,
    /// A threshold did not hold.
    Failed,
    /// It did not run to its end; what was measured is kept.
    CutShort,
    /// The tester did not keep up: nothing is proven.
    TesterBehind,
}

impl Outcome {
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Passed => 0,
            Self::Failed => 3,
            Self::CutShort => 4,
            Self::TesterBehind => 5,
        }
    }
}

/// One threshold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    pub name: String,
    pub limit: String,
    /// `None` if nothing was measured, which is a failure too.
    pub value: Option<String>,
    pub passed: bool,
}

impl LoadReport {
    pub(super) fn new(
        scenario: Scenario,
        started: Timestamp,
        workers: usize,
        measured: Measured,
        ticks: Vec<Tick>,
        server: Vec<ServerSample>,
        cut_short: Option<String>,
    ) -> Self {
        let received = measured.received();
        let agreement = judge::agreement(&server, &measured, &received, cut_short.is_some());
        let thresholds = judge::thresholds(&scenario, &measured, &received, &agreement);
        let tester_behind = judge::tester_behind(&scenario, &measured, &received, &ticks);
        let verdict = Verdict::new(&thresholds, tester_behind, cut_short, &received);
        let tester = judge::worst(&ticks);
        Self {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            scenario,
            started,
            seconds: ticks.last().map_or(0, |tick| tick.second),
            workers,
            machines: Vec::new(),
            verdict,
            thresholds,
            summary: summary(&measured.times),
            received,
            sent: measured.sent,
            agreement,
            replayed: measured.replayed,
            rooms: measured.rooms,
            codecs: measured.codecs,
            events: measured.events,
            errors: measured.errors,
            first_errors: measured.first_errors,
            tester,
            server,
            times: measured.times,
            ticks,
        }
    }

    /// # Errors
    /// When the file cannot be read, or is something else.
    pub fn load(path: &Path) -> Result<Self, LoadError> {
        let wrong = |message: String| LoadError::Report {
            path: path.display().to_string(),
            message,
        };
        let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
        let report: Self = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        if report.format == FORMAT {
            Ok(report)
        } else {
            Err(wrong(format!(
                "it has format {}, this version reads {FORMAT}",
                report.format
            )))
        }
    }

    /// For a page: one file, nothing fetched.
    pub fn html(&self) -> String {
        html::page(self)
    }

    /// For a build server: one case for each threshold, one for the tester.
    pub fn junit(&self) -> String {
        junit::suite(self)
    }
}

fn summary(times: &TimesOf) -> BTreeMap<String, Summary> {
    [
        ("join", &times.join),
        ("first_audio", &times.first_audio),
        ("first_video", &times.first_video),
        ("audio_latency", &times.audio_latency),
        ("video_latency", &times.video_latency),
        ("freeze", &times.freeze),
        ("round_trip", &times.round_trip),
        ("jitter", &times.jitter),
    ]
    .map(|(name, times)| (name.to_owned(), times.summary()))
    .into()
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use super::*;
    use crate::load::measure::{Packets, Times};

    /// A report of a test in which packets took `latency` on average.
    pub(crate) fn report(latency: Duration, lost: u64) -> LoadReport {
        let scenario = Scenario::load("meeting-6").expect("a template");
        let mut measured = Measured::default();
        let mut ticks = Vec::new();
        for second in 1..=30u32 {
            let mut audio_latency = Times::default();
            for n in 0..50u32 {
                audio_latency.record(latency + Duration::from_micros(u64::from((second * 37 + n * 13) % 400)));
            }
            measured.times.audio_latency.merge(&audio_latency);
            measured.times.video_latency.merge(&audio_latency);
            measured
                .times
                .join
                .record(Duration::from_millis(100 + u64::from(second)));
            measured.times.first_video.record(Duration::from_millis(300));
            let tick = Tick {
                second,
                participants: 6,
                received: 1000,
                audio_latency,
                ..Tick::default()
            };
            ticks.push(tick);
        }
        let packets = Packets {
            expected: 30_000,
            received: 30_000 - lost,
            lost,
            lost_by_server: lost,
            ..Packets::default()
        };
        let mut room = Received {
            tracks: 30,
            audio: packets,
            ..Received::default()
        };
        room.pictures.watched = 100.0;
        measured.rooms.insert(0, room.clone());
        measured.codecs.insert("audio/opus".into(), room);
        measured.events.insert("joins_tried".into(), 6);
        LoadReport::new(scenario, Timestamp::UNIX_EPOCH, 1, measured, ticks, Vec::new(), None)
    }

    #[test]
    fn thresholds_decide_and_the_first_sentence_says_so() {
        let good = report(Duration::from_millis(5), 0);
        assert_eq!(good.verdict.outcome, Outcome::Passed, "{:?}", good.thresholds);
        let bad = report(Duration::from_millis(5), 3_000);
        assert_eq!(bad.verdict.outcome, Outcome::Failed);
        assert!(bad.verdict.sentence.contains("loss"), "{}", bad.verdict.sentence);
    }

    #[test]
    fn the_json_reads_back_and_keeps_its_shape() {
        let report = report(Duration::from_millis(5), 3);
        let value = serde_json::to_value(&report).expect("json");
        let keys: Vec<&str> = value
            .as_object()
            .expect("an object")
            .keys()
            .map(String::as_str)
            .collect();
        assert_eq!(
            keys,
            [
                "agreement",
                "codecs",
                "errors",
                "events",
                "first_errors",
                "format",
                "received",
                "replayed",
                "rooms",
                "scenario",
                "seconds",
                "sent",
                "server",
                "started",
                "summary",
                "tester",
                "thresholds",
                "ticks",
                "times",
                "verdict",
                "version",
                "workers"
            ]
        );
        let again: LoadReport = serde_json::from_value(value).expect("reads back");
        assert_eq!(again.times, report.times);
        assert_eq!(again.verdict, report.verdict);
    }
}
