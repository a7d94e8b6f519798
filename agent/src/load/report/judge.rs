//! What a load test's figures mean: whether thresholds held, whether our counts agree with the server's, whether it was the
//! tester that was measured.

use std::time::Duration;

use super::{Agreement, Judged, Outcome, ServerSample, Verdict};
use crate::load::measure::{Measured, Received, Replayed, TesterHealth, Tick, Times, apart};
use crate::load::scenario::{Length, Scenario, Share};

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

/// The difference between the server's first and last figure of a name.
fn server_total(server: &[ServerSample], name: &str) -> Option<f64> {
    let (first, last) = (server.first()?.values.get(name), server.last()?.values.get(name)?);
    Some(last - first.copied().unwrap_or_default())
}

/// What the server counted, beside what we did: each packet once, however often it was sent.
pub(super) fn agreement(
    server: &[ServerSample],
    measured: &Measured,
    received: &Received,
    cut_short: bool,
) -> Vec<Agreement> {
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

/// Everything that has to hold: what the scenario asks for, and that the counts are to be believed.
pub(super) fn thresholds(
    scenario: &Scenario,
    measured: &Measured,
    received: &Received,
    agreement: &[Agreement],
) -> Vec<Judged> {
    let mut judged = asked_for(scenario, measured, received);
    judged.extend(agreement.iter().filter_map(judge_agreement));
    judged.extend(judge_replay(measured));
    judged
}

fn asked_for(scenario: &Scenario, measured: &Measured, received: &Received) -> Vec<Judged> {
    let limits = &scenario.thresholds;
    let times = &measured.times;
    let mut judged = Vec::new();
    let mut time = |name: &str, limit: Option<Length>, value: &Times| {
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

pub(super) fn worst(ticks: &[Tick]) -> TesterHealth {
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
pub(super) fn tester_behind(
    scenario: &Scenario,
    measured: &Measured,
    received: &Received,
    ticks: &[Tick],
) -> Vec<String> {
    let mut signs = Vec::new();
    if ticks.is_empty() && scenario.duration.get() >= MEASURED_WITHIN {
        signs.push("it did not come to measure anything".to_owned());
    }
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
    pub(super) fn new(
        thresholds: &[Judged],
        tester_behind: Vec<String>,
        cut_short: Option<String>,
        received: &Received,
    ) -> Self {
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
mod tests {
    use super::*;
    use crate::load::measure::{Carried, Packets};
    use crate::load::report::tests::report;

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
        let judged = asked_for(&scenario, &measured, &received);
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
        let carried = |bytes, turns| Carried {
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
        let judged = asked_for(&scenario, &measured, &measured.received());
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
        let signs = tester_behind(&one.scenario, &measured, &one.received, &one.ticks);
        let verdict = Verdict::new(&one.thresholds, signs, None, &one.received);
        assert_eq!(verdict.outcome, Outcome::TesterBehind);
        assert!(verdict.sentence.starts_with("The tester was the bottleneck"));
    }

    #[test]
    fn a_tester_that_measured_nothing_says_so() {
        let one = report(Duration::from_millis(5), 0);
        let signs = tester_behind(&one.scenario, &Measured::default(), &one.received, &[]);
        assert_eq!(signs, ["it did not come to measure anything"]);
    }
}
