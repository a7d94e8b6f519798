//! The result of a load test, in a form that is kept and compared.

mod chart;
mod compare;
mod cost;
mod html;
mod junit;
mod machines;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use compare::{Change, Comparison, Significance, compare};
pub use cost::Cost;
pub use machines::MachineReport;

use super::LoadError;
use super::measure::{Events, Measured, Received, Replayed, SentTotals, Summary, TesterHealth, Tick, TimesOf, apart};
use super::scenario::{Length, Scenario, Share};

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

/// How far our counts may be from the server's, and a replay from its original.
const COUNTS_APART: f64 = 0.01;
/// When a track ends, the server sends 200 ms of blank frames of its own: up to 10 packets of sound, 6 and more of pictures.
/// Of few packets, that is more than the counts may be apart.
const ADDED_AT_THE_END: f64 = 16.0;
const REPLAY_APART: f64 = 0.05;

/// A tester that is later than this does not send what it should.
const LATE_MS: f64 = 50.0;
/// In so many seconds of the test.
const LATE_SECONDS: usize = 2;
/// Every second is measured; of a test that is longer than this, one at least.
const MEASURED_WITHIN: Duration = Duration::from_secs(5);

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
        let agreement = agreement(&server, &measured, &received, cut_short.is_some());
        let mut thresholds = judge(&scenario, &measured, &received);
        thresholds.extend(agreement.iter().filter_map(judge_agreement));
        thresholds.extend(judge_replay(&measured));
        let mut tester_behind = tester_behind(&measured, &received, &ticks);
        if ticks.is_empty() && scenario.duration.get() >= MEASURED_WITHIN {
            tester_behind.push("it did not come to measure anything".to_owned());
        }
        let verdict = Verdict::new(&thresholds, tester_behind, cut_short, &received);
        let tester = worst(&ticks);
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

/// The difference between the server's first and last figure of a name.
fn server_total(server: &[ServerSample], name: &str) -> Option<f64> {
    let (first, last) = (server.first()?.values.get(name), server.last()?.values.get(name)?);
    Some(last - first.copied().unwrap_or_default())
}

/// What the server counted, beside what we did: each packet once, however often it was sent.
fn agreement(server: &[ServerSample], measured: &Measured, received: &Received, cut_short: bool) -> Vec<Agreement> {
    let packets = received.packets();
    // A camera is published in up to three layers, beside a microphone.
    let ours = [
        ("packets_in", measured.sent.packets, 4 * measured.event("joins")),
        ("packets_out", packets.expected - packets.lost_upstream, received.tracks),
    ];
    let others = server
        .first()
        .and_then(|first| first.values.get("participants"))
        .is_some_and(|there| *there > 0.0);
    let ours_joined: u64 = ["joins", "joins_failed", "reconnected"]
        .map(|event| measured.event(event))
        .into_iter()
        .sum();
    let others_joined = server_total(server, "joins").is_some_and(|joined| joined > ours_joined as f64);
    let not_judged = if cut_short {
        Some("the test was cut short")
    } else if others {
        Some("others were on the server")
    } else if others_joined {
        Some("others joined too, such as a bot that records")
    } else {
        None
    };
    let beside = |(name, ours, streams): (&str, u64, u64)| {
        let (server, ours) = (server_total(server, name)?, ours as f64);
        let are_few = ours * COUNTS_APART < streams as f64 * ADDED_AT_THE_END;
        Some(Agreement {
            name: name.to_owned(),
            server,
            ours,
            apart: apart(ours, server),
            not_judged: not_judged
                .or(are_few.then_some("too few packets: what the server adds when tracks end would decide"))
                .map(str::to_owned),
        })
    };
    ours.into_iter().filter_map(beside).collect()
}

fn judge_apart(name: String, apart: f64, most: f64) -> Judged {
    Judged {
        name,
        limit: format!("{}%", most * 100.0),
        value: Some(format!("{:.3}%", apart * 100.0)),
        passed: apart <= most,
    }
}

fn judge_agreement(agreement: &Agreement) -> Option<Judged> {
    let name = format!("{}_apart_from_server", agreement.name);
    agreement
        .not_judged
        .is_none()
        .then(|| judge_apart(name, agreement.apart, COUNTS_APART))
}

/// A replay is the load it is said to be: the bit rate of each track, and all turns together.
fn judge_replay(measured: &Measured) -> Vec<Judged> {
    if measured.replayed.is_empty() {
        return Vec::new();
    }
    let mut all = Replayed::default();
    measured.replayed.values().for_each(|replayed| all.add(replayed));
    let worst = measured.replayed.values().map(Replayed::bitrate_apart);
    vec![
        judge_apart(
            "replay_bitrate_apart".to_owned(),
            worst.fold(0.0, f64::max),
            REPLAY_APART,
        ),
        judge_apart("replay_turns_apart".to_owned(), all.turns_apart(), REPLAY_APART),
    ]
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

fn judge(scenario: &Scenario, measured: &Measured, received: &Received) -> Vec<Judged> {
    let limits = &scenario.thresholds;
    let times = &measured.times;
    let mut judged = Vec::new();
    let mut time = |name: &str, limit: Option<Length>, value: &super::measure::Times| {
        let Some(limit) = limit else { return };
        let value = value.quantile_ms(0.95);
        judged.push(Judged {
            name: name.to_owned(),
            limit: limit.to_string(),
            passed: value.is_some_and(|ms| ms <= limit.get().as_secs_f64() * 1e3),
            value: value.map(|ms| format!("{ms:.0}ms")),
        });
    };
    time("join_p95", limits.join_p95, &times.join);
    time("first_audio_p95", limits.first_audio_p95, &times.first_audio);
    time("first_video_p95", limits.first_video_p95, &times.first_video);
    time("audio_latency_p95", limits.audio_latency_p95, &times.audio_latency);
    time("video_latency_p95", limits.video_latency_p95, &times.video_latency);
    let mut share = |name: &str, limit: Option<Share>, part: f64, whole: f64| {
        let Some(limit) = limit else { return };
        let value = (whole > 0.0).then_some(part / whole);
        judged.push(Judged {
            name: name.to_owned(),
            limit: limit.to_string(),
            passed: value.is_some_and(|value| value <= limit.get()),
            value: value.map(|value| format!("{:.3}%", value * 100.0)),
        });
    };
    let packets = received.packets();
    let not_wanted = packets.lost - packets.lost_by_impairment;
    share("loss", limits.loss, not_wanted as f64, packets.expected as f64);
    share(
        "frozen",
        limits.frozen,
        received.pictures.frozen,
        received.pictures.watched,
    );
    share(
        "missing",
        limits.missing,
        received.missing() as f64,
        (received.tracks + received.not_subscribed) as f64,
    );
    let tried = measured.event("joins_tried");
    share(
        "failed_joins",
        limits.failed_joins,
        measured.event("joins_failed") as f64,
        tried as f64,
    );
    judged
}

fn worst(ticks: &[Tick]) -> TesterHealth {
    let mut worst = TesterHealth::default();
    for tick in ticks {
        let tester = &tick.tester;
        worst.cpu_percent = worst.cpu_percent.max(tester.cpu_percent);
        worst.rss_mebibytes = worst.rss_mebibytes.max(tester.rss_mebibytes);
        worst.socket_drops += tester.socket_drops;
        worst.send_lag_ms = worst.send_lag_ms.max(tester.send_lag_ms);
        worst.loop_lag_ms = worst.loop_lag_ms.max(tester.loop_lag_ms);
        worst.machine_percent = worst.machine_percent.max(tester.machine_percent);
    }
    worst
}

/// Signs that the tester did not do its part in time.
fn tester_behind(measured: &Measured, received: &Received, ticks: &[Tick]) -> Vec<String> {
    let mut signs = Vec::new();
    let drops: u64 = ticks.iter().map(|tick| tick.tester.socket_drops).sum();
    if drops > 0 {
        signs.push(format!("its sockets dropped {drops} datagrams"));
    }
    let lost = received.packets().lost_by_tester;
    if lost > 0 {
        signs.push(format!("{lost} of the lost packets were lost by the tester itself"));
    }
    if measured.sent.skipped > 0 {
        signs.push(format!(
            "it left out {} frames because it was late",
            measured.sent.skipped
        ));
    }
    let late = |lag: fn(&TesterHealth) -> f64| ticks.iter().filter(|tick| lag(&tick.tester) > LATE_MS).count();
    for (what, seconds) in [
        ("sent packets", late(|t| t.send_lag_ms)),
        ("served events", late(|t| t.loop_lag_ms)),
    ] {
        if seconds >= LATE_SECONDS {
            signs.push(format!("it {what} more than {LATE_MS} ms late in {seconds} seconds"));
        }
    }
    signs
}

impl Verdict {
    fn new(thresholds: &[Judged], tester_behind: Vec<String>, cut_short: Option<String>, received: &Received) -> Self {
        let failed: Vec<&str> = thresholds.iter().filter(|t| !t.passed).map(|t| &*t.name).collect();
        let packets = received.packets();
        let lost = format!("{} of {} packets lost", packets.lost, packets.expected);
        let (outcome, sentence) = if let Some(why) = &cut_short {
            (
                Outcome::CutShort,
                format!("The test did not run to its end: {why}. What was measured until then: {lost}."),
            )
        } else if !tester_behind.is_empty() {
            let signs = tester_behind.join("; ");
            (
                Outcome::TesterBehind,
                format!("The tester was the bottleneck, so this says little of the server: {signs}."),
            )
        } else if thresholds.is_empty() {
            (Outcome::Passed, format!("No threshold was asked for; {lost}."))
        } else if failed.is_empty() {
            (Outcome::Passed, format!("All thresholds held; {lost}."))
        } else {
            (Outcome::Failed, format!("Not held: {}; {lost}.", failed.join(", ")))
        };
        Self {
            outcome,
            sentence,
            tester_behind,
            cut_short,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
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
    fn what_an_impairment_lost_is_no_fault_of_the_server() {
        let mut measured = Measured::default();
        let packets = Packets {
            expected: 1000,
            received: 970,
            lost: 30,
            lost_by_impairment: 30,
            ..Packets::default()
        };
        measured.rooms.insert(
            0,
            Received {
                audio: packets,
                ..Received::default()
            },
        );
        let scenario = Scenario::load("meeting-6").expect("a template");
        let received = measured.received();
        let judged = judge(&scenario, &measured, &received);
        assert!(judged.iter().any(|t| t.name == "loss" && t.passed), "{judged:?}");
        assert!(
            judged.iter().any(|t| t.name == "join_p95" && !t.passed),
            "nothing measured is not passed"
        );
    }

    #[test]
    fn counts_that_are_apart_from_the_servers_fail_unless_others_were_there() {
        let measured = |packets: u64| {
            let mut measured = Measured::default();
            measured.sent.packets = packets;
            measured
        };
        let sample = |second, packets, participants| ServerSample {
            second,
            values: [
                ("packets_in".to_owned(), packets),
                ("participants".to_owned(), participants),
            ]
            .into(),
        };
        let told = |ours, there, cut_short| {
            let server = [sample(0, 500.0, there), sample(9, 100_500.0, 0.0)];
            let measured = measured(ours);
            agreement(&server, &measured, &measured.received(), cut_short)
        };
        let judged = |ours, there, cut_short| {
            let told = told(ours, there, cut_short);
            assert_eq!((told.len(), told[0].server), (1, 100_000.0));
            judge_agreement(&told[0]).map(|judged| judged.passed)
        };
        assert_eq!(judged(100_500, 0.0, false), Some(true));
        assert_eq!(judged(102_000, 0.0, false), Some(false));
        assert_eq!(judged(102_000, 3.0, false), None);
        assert_eq!(judged(102_000, 0.0, true), None);
        let few = |joins| {
            let server = [sample(0, 500.0, 0.0), sample(9, 100_500.0, 0.0)];
            let mut measured = measured(100_500);
            measured.events.insert("joins".into(), joins);
            let told = agreement(&server, &measured, &measured.received(), false);
            judge_agreement(&told[0]).is_none()
        };
        assert_eq!(
            (few(10), few(20)),
            (false, true),
            "a thousand packets and what is added to 80 streams"
        );

        let mut recorded = [sample(0, 500.0, 0.0), sample(9, 100_500.0, 0.0)];
        for (sample, joins) in recorded.iter_mut().zip([7.0, 10.0]) {
            sample.values.insert("joins".to_owned(), joins);
        }
        let mut measured = measured(99_900);
        for (joined, is_judged) in [(3, true), (2, false)] {
            measured.events.insert("joins".into(), joined);
            let told = agreement(&recorded, &measured, &measured.received(), false);
            assert_eq!(
                judge_agreement(&told[0]).is_some(),
                is_judged,
                "{joined} of 3 were ours"
            );
        }
        assert!(agreement(&[], &measured, &Received::default(), false).is_empty());
    }

    #[test]
    fn a_replay_that_is_not_its_original_fails() {
        let carried = |bytes, turns| crate::load::measure::Carried {
            bytes,
            speech: turns as f64,
            turns,
        };
        let judged = |bytes, turns| {
            let mut measured = Measured::default();
            let replayed = Replayed {
                listeners: 2,
                original: carried(1000, 40),
                replayed: carried(bytes, turns),
                ..Replayed::default()
            };
            measured.replayed.insert("ana microphone".into(), replayed);
            judge_replay(&measured).iter().map(|j| j.passed).collect::<Vec<_>>()
        };
        assert_eq!(judged(1040, 39), [true, true]);
        assert_eq!(judged(900, 39), [false, true]);
        assert_eq!(judged(1000, 30), [true, false]);
        assert!(judge_replay(&Measured::default()).is_empty());
    }

    #[test]
    fn what_never_came_counts() {
        let mut measured = Measured::default();
        let room = Received {
            tracks: 9,
            never_seen: 1,
            not_subscribed: 1,
            ..Received::default()
        };
        measured.rooms.insert(0, room);
        let scenario = Scenario::load("meeting-6").expect("a template");
        let judged = judge(&scenario, &measured, &measured.received());
        let missing = judged.iter().find(|t| t.name == "missing").expect("judged");
        assert_eq!((missing.passed, missing.value.as_deref()), (false, Some("20.000%")));
    }

    #[test]
    fn a_tester_that_was_late_says_so_first() {
        let mut one = report(Duration::from_millis(5), 0);
        for tick in &mut one.ticks {
            tick.tester.send_lag_ms = 200.0;
        }
        let measured = Measured::default();
        let signs = tester_behind(&measured, &one.received, &one.ticks);
        let verdict = Verdict::new(&one.thresholds, signs, None, &one.received);
        assert_eq!(verdict.outcome, Outcome::TesterBehind);
        assert!(verdict.sentence.starts_with("The tester was the bottleneck"));
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
