//! The charts of a report: what went how, second by second.

use std::collections::BTreeMap;

use super::super::LoadReport;
use super::super::chart::{Line, bars, lines};
use crate::load::measure::{Flow, Tick};

const BLUE: &str = "#3b7dd8";
const ORANGE: &str = "#e07a2f";
const GREEN: &str = "#2a9d5c";
const RED: &str = "#d1495b";

fn line<'a>(report: &LoadReport, name: &'a str, colour: &'a str, pick: impl Fn(&Tick) -> Option<f64>) -> Line<'a> {
    let points = report
        .ticks
        .iter()
        .map(|tick| (f64::from(tick.second), pick(tick)))
        .collect();
    Line { name, colour, points }
}

pub(super) fn over_time(report: &LoadReport) -> String {
    let line = |name, colour, pick: fn(&Tick) -> Option<f64>| line(report, name, colour, pick);
    let last = f64::from(report.seconds);
    let mut charts = vec![
        lines(
            "Participants and tracks",
            "",
            last,
            &[
                line("participants", BLUE, |t| Some(t.participants as f64)),
                line("subscribed tracks", GREEN, |t| Some(t.tracks as f64)),
            ],
        ),
        lines(
            "Traffic",
            "packets/s",
            last,
            &[
                line("received", BLUE, |t| Some(t.received as f64)),
                line("sent", GREEN, |t| Some(t.sent as f64)),
                line("lost after repair", RED, |t| Some(t.lost as f64)),
            ],
        ),
        lines(
            "Latency of sound",
            "ms",
            last,
            &[
                line("95 %", ORANGE, |t| t.audio_latency.quantile_ms(0.95)),
                line("median", BLUE, |t| t.audio_latency.quantile_ms(0.5)),
            ],
        ),
        lines(
            "Latency of pictures",
            "ms",
            last,
            &[
                line("95 %", ORANGE, |t| t.video_latency.quantile_ms(0.95)),
                line("median", BLUE, |t| t.video_latency.quantile_ms(0.5)),
            ],
        ),
        lines(
            "Loss and freezes",
            "a second",
            last,
            &[
                line("packets lost", RED, |t| Some(t.lost as f64)),
                line("freezes", ORANGE, |t| Some(t.freezes as f64)),
            ],
        ),
        lines(
            "The tester",
            "%",
            last,
            &[
                line("its CPU, of one core", BLUE, |t| Some(t.tester.cpu_percent)),
                line("all processors, busy with anything", GREEN, |t| {
                    Some(t.tester.machine_percent)
                }),
            ],
        ),
    ];
    charts.extend(server_charts(report));
    format!("<h2>Over time</h2><div class=\"charts\">{}</div>", charts.concat())
}

/// The server's counters as rates, on the same axis.
fn server_charts(report: &LoadReport) -> Vec<String> {
    let rate = |name: &str, factor: f64| -> Vec<(f64, Option<f64>)> {
        let pairs = report.server.windows(2);
        pairs
            .map(|pair| {
                let (before, after) = (pair[0].values.get(name), pair[1].values.get(name));
                let seconds = f64::from(pair[1].second.saturating_sub(pair[0].second)).max(1.0);
                let rate = before
                    .zip(after)
                    .map(|(before, after)| (after - before) * factor / seconds);
                (f64::from(pair[1].second), rate)
            })
            .collect()
    };
    let value = |name: &str, factor: f64| -> Vec<(f64, Option<f64>)> {
        let samples = report.server.iter();
        samples
            .map(|sample| {
                let value = sample.values.get(name).map(|value| value * factor);
                (f64::from(sample.second), value)
            })
            .collect()
    };
    if report.server.len() < 2 {
        return Vec::new();
    }
    let last = f64::from(report.seconds);
    let line = |name, colour, points| Line { name, colour, points };
    vec![
        lines(
            "The server's packets",
            "packets/s",
            last,
            &[
                line("in", GREEN, rate("packets_in", 1.0)),
                line("out", BLUE, rate("packets_out", 1.0)),
                line("sent again", RED, rate("retransmitted", 1.0)),
            ],
        ),
        lines(
            "The server's CPU",
            "% of one core",
            last,
            &[line("CPU", ORANGE, rate("cpu_seconds", 100.0))],
        ),
        lines(
            "The server's memory",
            "MiB",
            last,
            &[line("resident", BLUE, value("memory_bytes", 1.0 / f64::from(1 << 20)))],
        ),
        lines(
            "What the server was asked for again",
            "a second",
            last,
            &[
                line("packets (NACK)", RED, rate("nacks", 1.0)),
                line("key frames (PLI)", ORANGE, rate("plis", 1.0)),
            ],
        ),
    ]
}

/// Lines of one chart are told apart up to so many.
const COLOURS: [&str; 8] = [BLUE, ORANGE, GREEN, RED, "#8e6cc9", "#2aa5b8", "#b8923a", "#c561a0"];

/// Three charts over the seconds for each of some groups: those that fared worst, if they are too many for one chart.
pub(super) fn group_charts<K: Ord + Clone>(
    report: &LoadReport,
    names: &BTreeMap<K, String>,
    flows: impl Fn(&Tick) -> &BTreeMap<K, Flow>,
) -> String {
    let mut sums: BTreeMap<&K, Flow> = names.keys().map(|key| (key, Flow::default())).collect();
    for tick in &report.ticks {
        for (key, flow) in flows(tick) {
            if let Some(sum) = sums.get_mut(key) {
                sum.add(flow);
            }
        }
    }
    let mut shown: Vec<(&K, Flow)> = sums.into_iter().collect();
    let all = shown.len();
    if all > COLOURS.len() {
        shown.sort_by_key(|(_, sum)| std::cmp::Reverse((sum.freezes, sum.lost)));
        shown.truncate(COLOURS.len());
        shown.sort_by(|a, b| a.0.cmp(b.0));
    }
    let last = f64::from(report.seconds);
    let chart = |title: &str, unit: &str, pick: fn(&Flow) -> f64| {
        let drawn: Vec<Line<'_>> = shown
            .iter()
            .zip(COLOURS)
            .map(|((key, _), colour)| {
                let points = report.ticks.iter().map(|tick| {
                    let value = flows(tick).get(*key).map(pick);
                    (f64::from(tick.second), value)
                });
                Line {
                    name: names.get(*key).map_or("", String::as_str),
                    colour,
                    points: points.collect(),
                }
            })
            .collect();
        lines(title, unit, last, &drawn)
    };
    let charts = [
        chart("Received", "kbit/s", |flow| flow.bytes as f64 * 8e-3),
        chart("Lost after repair", "packets/s", |flow| flow.lost as f64),
        chart("Freezes", "a second", |flow| flow.freezes as f64),
    ];
    let note = if all > COLOURS.len() {
        format!(
            "<p class=\"soft\">The {} of {all} with the most freezes and losses.</p>",
            COLOURS.len()
        )
    } else {
        String::new()
    };
    format!("{note}<div class=\"charts\">{}</div>", charts.concat())
}

pub(super) fn distributions(report: &LoadReport) -> String {
    let times = &report.times;
    let charts = [
        ("Join", &times.join, GREEN),
        ("First decodable picture", &times.first_video, GREEN),
        ("Latency of sound", &times.audio_latency, BLUE),
        ("Latency of pictures", &times.video_latency, BLUE),
    ];
    let drawn = charts.map(|(title, times, colour)| bars(title, "ms", &times.bars(), colour));
    format!("<h2>Distributions</h2><div class=\"charts\">{}</div>", drawn.concat())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::super::tests::report;
    use super::*;

    #[test]
    fn of_many_rooms_the_worst_are_drawn() {
        let mut report = report(Duration::from_millis(5), 0);
        let names: BTreeMap<u32, String> = (0..30).map(|room| (room, format!("room {room}"))).collect();
        for tick in &mut report.ticks {
            let flow = |room: u32| Flow::from([100, u64::from(room), 1000, 0]);
            tick.rooms = (0..30).map(|room| (room, flow(room))).collect();
        }
        let charts = group_charts(&report, &names, |tick| &tick.rooms);
        assert!(charts.contains("The 8 of 30") && charts.contains(">room 29<") && !charts.contains(">room 21<"));
        let few: BTreeMap<u32, String> = names.into_iter().take(3).collect();
        assert_eq!(
            group_charts(&report, &few, |tick| &tick.rooms).matches("<path").count(),
            9
        );
    }
}
