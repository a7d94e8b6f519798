//! A report as one page: no script, nothing fetched, readable in the dark.

mod charts;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::junit::escape;
use super::{Agreement, LoadReport, Outcome};
use crate::load::measure::{Packets, Received, Replayed};
use charts::{distributions, group_charts, over_time};

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
}
