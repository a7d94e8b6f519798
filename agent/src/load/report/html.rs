//! A report as one page: no script, nothing fetched, readable in the dark.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::chart::{Line, bars, lines};
use super::junit::escape;
use super::{Agreement, LoadReport, Outcome};
use crate::load::measure::{Flow, Packets, Received, Replayed, Tick};

const STYLE: &str = "
:root{color-scheme:light dark;--line:#8883;--soft:#888}
body{font:15px/1.5 system-ui,sans-serif;max-width:1120px;margin:2rem auto;padding:0 1rem}
h1{margin-bottom:.2rem}h2{margin-top:2.2rem;border-bottom:1px solid var(--line)}
.verdict{font-size:1.1rem;padding:.8rem 1rem;border-left:6px solid;border-radius:4px;background:#8881}
.passed{border-color:#2a9d5c}.failed{border-color:#d1495b}.cut_short,.tester_behind{border-color:#e9a23b}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{text-align:right;padding:.25rem .6rem;border-bottom:1px solid var(--line)}
th:first-child,td:first-child{text-align:left}th{font-weight:600}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(480px,1fr));gap:1rem}
figure{margin:0}figcaption{font-weight:600}small,.soft{color:var(--soft);font-weight:400}
svg{width:100%;height:auto}svg line{stroke:var(--line)}svg path{fill:none;stroke-width:1.6}
svg text{font-size:11px;fill:var(--soft)}svg .x{text-anchor:middle}svg .y{text-anchor:end}
.legend{margin:.1rem 0 0;color:var(--soft)}.legend span{margin-right:1rem}
.legend i{display:inline-block;width:.8em;height:.8em;border-radius:2px;margin-right:.35em}
@media(max-width:560px){.charts{grid-template-columns:1fr}}
";

const BLUE: &str = "#3b7dd8";
const ORANGE: &str = "#e07a2f";
const GREEN: &str = "#2a9d5c";
const RED: &str = "#d1495b";

pub(super) fn page(report: &LoadReport) -> String {
    let name = escape(&report.scenario.name);
    let class = match report.verdict.outcome {
        Outcome::Passed => "passed",
        Outcome::Failed => "failed",
        Outcome::CutShort => "cut_short",
        Outcome::TesterBehind => "tester_behind",
    };
    let scenario = &report.scenario;
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><title>Load test {name}</title><style>{STYLE}</style></head><body>\
         <h1>Load test {name}</h1><p class=\"verdict {class}\">{}</p>\
         <p class=\"soft\">{} &middot; {} rooms, {} participants, {} s, seed {} &middot; {} &middot; Greffier {}</p>",
        escape(&report.verdict.sentence),
        escape(&scenario.description),
        scenario.rooms.get(),
        scenario.participants_in_all(),
        report.seconds,
        scenario.seed,
        report.started,
        escape(&report.version),
    );
    page += &thresholds(report);
    page += &quality(report);
    page += &losses(report);
    page += &over_time(report);
    page += &distributions(report);
    let rooms: BTreeMap<u32, String> = report
        .rooms
        .keys()
        .map(|room| (*room, format!("room {room}")))
        .collect();
    page += &groups("Rooms", report.rooms.iter().map(|(room, of)| (rooms[room].clone(), of)));
    page += &group_charts(report, &rooms, |tick| &tick.rooms);
    let codecs: BTreeMap<String, String> = report.codecs.keys().map(|name| (name.clone(), name.clone())).collect();
    page += &groups("Codecs", report.codecs.iter().map(|(codec, of)| (codec.clone(), of)));
    page += &group_charts(report, &codecs, |tick| &tick.codecs);
    page += &against_the_original(report);
    page += &server(report);
    page += &machines(report);
    page += &events(report);
    page + "</body></html>"
}

fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let cells = |tag: &str, cells: &mut dyn Iterator<Item = String>| {
        cells.fold(String::new(), |row, cell| row + &format!("<{tag}>{cell}</{tag}>"))
    };
    let head = cells("th", &mut header.iter().map(|cell| escape(cell)));
    let body = rows.iter().fold(String::new(), |body, row| {
        body + &format!("<tr>{}</tr>", cells("td", &mut row.iter().map(|cell| escape(cell))))
    });
    format!("<table><tr>{head}</tr>{body}</table>")
}

fn ms(value: Option<f64>) -> String {
    value.map_or("–".to_owned(), |ms| {
        if ms < 10.0 {
            format!("{ms:.1} ms")
        } else {
            format!("{ms:.0} ms")
        }
    })
}

fn percent(share: f64) -> String {
    format!("{:.3} %", share * 100.0)
}

fn thresholds(report: &LoadReport) -> String {
    if report.thresholds.is_empty() {
        return String::new();
    }
    let row = |judged: &super::Judged| {
        let value = judged.value.clone().unwrap_or("nothing was measured".to_owned());
        let word = if judged.passed { "held" } else { "NOT HELD" };
        vec![
            judged.name.clone(),
            value,
            format!("≤ {}", judged.limit),
            word.to_owned(),
        ]
    };
    let rows: Vec<_> = report.thresholds.iter().map(row).collect();
    format!("<h2>Thresholds</h2>{}", table(&["", "measured", "limit", ""], &rows))
}

fn quality(report: &LoadReport) -> String {
    let names = [
        ("join", "Join"),
        ("first_audio", "First sound"),
        ("first_video", "First decodable picture"),
        ("audio_latency", "Latency of sound"),
        ("video_latency", "Latency of pictures"),
        ("jitter", "Jitter"),
        ("round_trip", "Round trip"),
        ("freeze", "Length of freezes"),
    ];
    let row = |(key, name): &(&str, &str)| {
        let summary = report.summary.get(*key).copied().unwrap_or_default();
        let quantiles = [
            summary.p50_ms,
            summary.p90_ms,
            summary.p95_ms,
            summary.p99_ms,
            summary.max_ms,
        ]
        .map(ms);
        [vec![(*name).to_owned(), summary.count.to_string()], quantiles.to_vec()].concat()
    };
    let rows: Vec<_> = names.iter().map(row).collect();
    format!(
        "<h2>Times</h2>{}",
        table(&["", "values", "50 %", "90 %", "95 %", "99 %", "most"], &rows)
    )
}

fn losses(report: &LoadReport) -> String {
    let row = |name: &str, packets: &Packets| {
        vec![
            name.to_owned(),
            packets.expected.to_string(),
            packets.received.to_string(),
            packets.repaired.to_string(),
            format!("{} ({})", packets.lost, percent(packets.loss())),
            packets.lost_by_impairment.to_string(),
            packets.lost_by_server.to_string(),
            packets.lost_by_tester.to_string(),
        ]
    };
    let rows = [
        row("Sound", &report.received.audio),
        row("Pictures", &report.received.video),
    ];
    let header = [
        "",
        "expected",
        "received",
        "repaired",
        "lost",
        "by impairment",
        "by server",
        "by tester",
    ];
    let pictures = &report.received.pictures;
    let of_watched = |seconds: f64| percent(seconds / pictures.watched.max(f64::EPSILON));
    let (sent, tester) = (&report.sent, &report.tester);
    let tester = format!(
        "at most {:.0} % of a core, {:.0} MiB, {:.0} ms late in sending, {:.0} ms in its event loop; {} datagrams dropped by its \
         sockets; machine at most {:.0} % busy; {} process(es)",
        tester.cpu_percent,
        tester.rss_mebibytes,
        tester.send_lag_ms,
        tester.loop_lag_ms,
        tester.socket_drops,
        tester.machine_percent,
        report.workers
    );
    let facts = [
        (
            "Packets sent",
            format!("{} ({} lost on purpose)", sent.packets, sent.lost_by_impairment),
        ),
        (
            "Frames received",
            format!("{} ({} key frames)", pictures.frames, pictures.key_frames),
        ),
        (
            "Freezes",
            format!(
                "{} ({} of the time watched)",
                pictures.freezes,
                of_watched(pictures.frozen)
            ),
        ),
        (
            "Nothing ever came",
            format!(
                "{} tracks: {} never heard, {} never seen, {} never subscribed",
                report.received.missing(),
                report.received.never_heard,
                report.received.never_seen,
                report.received.not_subscribed
            ),
        ),
        (
            "Layer received",
            format!(
                "{} as asked for, {} smaller, {} larger",
                of_watched(pictures.layer_as_asked),
                of_watched(pictures.layer_smaller),
                of_watched(pictures.layer_larger)
            ),
        ),
        ("Tester", tester),
    ];
    let facts: Vec<Vec<String>> = facts
        .into_iter()
        .map(|(name, fact)| vec![name.to_owned(), fact])
        .collect();
    format!(
        "<h2>Packets and pictures</h2>{}{}",
        table(&header, &rows),
        table(&["", ""], &facts)
    )
}

fn line<'a>(report: &LoadReport, name: &'a str, colour: &'a str, pick: impl Fn(&Tick) -> Option<f64>) -> Line<'a> {
    let points = report
        .ticks
        .iter()
        .map(|tick| (f64::from(tick.second), pick(tick)))
        .collect();
    Line { name, colour, points }
}

fn over_time(report: &LoadReport) -> String {
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
fn group_charts<K: Ord + Clone>(
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

fn distributions(report: &LoadReport) -> String {
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

fn groups<'a>(title: &str, groups: impl Iterator<Item = (String, &'a Received)>) -> String {
    let row = |(name, received): (String, &Received)| {
        let packets = received.packets();
        let pictures = &received.pictures;
        vec![
            name,
            received.tracks.to_string(),
            packets.received.to_string(),
            format!("{:.1}", packets.bytes as f64 / 1e6),
            format!("{} ({})", packets.lost, percent(packets.loss())),
            pictures.freezes.to_string(),
            percent(pictures.frozen / pictures.watched.max(f64::EPSILON)),
            received.missing().to_string(),
        ]
    };
    let rows: Vec<_> = groups.map(row).collect();
    let header = ["", "tracks", "packets", "MB", "lost", "freezes", "frozen", "never came"];
    format!("<h2>{title}</h2>{}", table(&header, &rows))
}

/// A replay beside what was recorded.
fn against_the_original(report: &LoadReport) -> String {
    if report.replayed.is_empty() {
        return String::new();
    }
    let row = |(who, of): (&String, &Replayed)| {
        vec![
            who.clone(),
            of.listeners.to_string(),
            format!("{:.0} kbit/s", of.kbits(&of.original)),
            format!("{:.0} kbit/s", of.kbits(&of.replayed)),
            percent(of.bitrate_apart()),
            format!("{} ({:.1} s)", of.original.turns, of.original.speech),
            format!("{} ({:.1} s)", of.replayed.turns, of.replayed.speech),
            format!("{:.1} kB", of.repeated as f64 / 1e3),
        ]
    };
    let rows: Vec<_> = report.replayed.iter().map(row).collect();
    let header = [
        "",
        "listeners",
        "original",
        "replayed",
        "apart",
        "turns, original",
        "turns, replayed",
        "repeated",
    ];
    format!(
        "<h2>Against the original</h2>{}<p class=\"soft\">The same stretches of time, over all listeners. Repeated key \
         frames, which new subscribers ask for, are left out of the bit rate.</p>",
        table(&header, &rows)
    )
}

fn server(report: &LoadReport) -> String {
    if report.agreement.is_empty() {
        return String::new();
    }
    let row = |agreement: &Agreement| {
        vec![
            agreement.name.replace('_', " "),
            format!("{:.0}", agreement.server),
            format!("{:.0}", agreement.ours),
            percent(agreement.apart),
            agreement.not_judged.clone().unwrap_or_default(),
        ]
    };
    let rows: Vec<_> = report.agreement.iter().map(row).collect();
    format!(
        "<h2>The server's own count</h2>{}",
        table(&["", "server", "ours", "apart", ""], &rows)
    )
}

fn machines(report: &LoadReport) -> String {
    if report.machines.is_empty() {
        return String::new();
    }
    let row = |machine: &super::MachineReport| {
        let tester = &machine.tester;
        vec![
            machine.name.clone(),
            machine.sent.to_string(),
            format!("{} of {}", machine.received, machine.expected),
            format!("{:+.1} ± {:.1} ms", machine.clock_offset_ms, machine.clock_error_ms),
            format!("{:.0} %", tester.cpu_percent),
            format!("{:.0} MiB", tester.rss_mebibytes),
            ms(Some(tester.send_lag_ms.max(tester.loop_lag_ms))),
            machine.failure.clone().unwrap_or_default(),
        ]
    };
    let rows: Vec<_> = report.machines.iter().map(row).collect();
    let header = ["", "sent", "received", "clock", "CPU", "memory", "late", ""];
    format!("<h2>Machines</h2>{}", table(&header, &rows))
}

fn events(report: &LoadReport) -> String {
    let events: Vec<_> = report
        .events
        .iter()
        .map(|(name, count)| vec![name.replace('_', " "), count.to_string()])
        .collect();
    let mut section = format!("<h2>Events</h2>{}", table(&["", "count"], &events));
    let error = |(kind, count): (&String, &u64)| {
        let words = report.first_errors.get(kind).cloned().unwrap_or_default();
        vec![kind.replace('_', " "), count.to_string(), words]
    };
    let errors: Vec<_> = report.errors.iter().map(error).collect();
    if !errors.is_empty() {
        // Writing to a string cannot fail.
        let _ = write!(
            section,
            "<h2>Errors</h2>{}",
            table(&["", "count", "the first"], &errors)
        );
    }
    section
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::tests::report;
    use super::*;

    #[test]
    fn the_page_stands_alone_and_escapes_what_it_is_given() {
        let mut report = report(Duration::from_millis(5), 10);
        report.scenario.name = "<script>alert(1)</script>".to_owned();
        report.first_errors.insert("connect".into(), "<b>no</b>".into());
        report.errors.insert("connect".into(), 1);
        let page = page(&report);
        assert!(!page.contains("<script") && !page.contains("<b>no"));
        assert!(
            !page.contains("src=") && !page.contains("href=") && !page.contains("url("),
            "nothing is fetched"
        );
        assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
        assert!(page.contains("lost after repair"));
    }

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
