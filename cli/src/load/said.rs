//! A result on the terminal.

use comfy_table::CellAlignment;
use greffier_agent::load::measure::Summary;
use greffier_agent::load::{Limit, LimitStep, Limiting, LoadReport};

use crate::show;

const TIMES: [(&str, &str); 8] = [
    ("join", "join"),
    ("first_audio", "first sound"),
    ("first_video", "first picture"),
    ("audio_latency", "latency of sound"),
    ("video_latency", "latency of pictures"),
    ("jitter", "jitter"),
    ("round_trip", "round trip"),
    ("freeze", "freezes"),
];

pub fn report(report: &LoadReport) {
    show::line(&report.verdict.sentence);
    let mut table = show::table(&["", "values", "50 %", "95 %", "99 %", "most"]);
    for (key, name) in TIMES {
        let Some(Summary {
            count,
            p50_ms,
            p95_ms,
            p99_ms,
            max_ms,
            ..
        }) = report.summary.get(key)
        else {
            continue;
        };
        let ms = |value: &Option<f64>| value.map_or("–".to_owned(), |ms| format!("{ms:.1} ms"));
        table.add_row([
            name.to_owned(),
            count.to_string(),
            ms(p50_ms),
            ms(p95_ms),
            ms(p99_ms),
            ms(max_ms),
        ]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    show::line(table);
    let packets = report.received.packets();
    let pictures = &report.received.pictures;
    show::line(format_args!(
        "{} tracks: {} of {} packets, {} repaired, {} lost ({:.3} %): {} by impairment, {} by the server, {} by the tester",
        report.received.tracks,
        packets.received,
        packets.expected,
        packets.repaired,
        packets.lost,
        packets.loss() * 100.0,
        packets.lost_by_impairment,
        packets.lost_by_server,
        packets.lost_by_tester
    ));
    let received = &report.received;
    if received.missing() > 0 {
        show::line(format_args!(
            "nothing ever came of {} tracks: {} never heard, {} never seen, {} never subscribed",
            received.missing(),
            received.never_heard,
            received.never_seen,
            received.not_subscribed
        ));
    }
    show::line(format_args!(
        "{} frames, {} freezes ({:.1} s of {:.0} s watched); layer as asked {:.0} s, smaller {:.0} s, larger {:.0} s",
        pictures.frames,
        pictures.freezes,
        pictures.frozen,
        pictures.watched,
        pictures.layer_as_asked,
        pictures.layer_smaller,
        pictures.layer_larger
    ));
    for agreement in &report.agreement {
        show::line(format_args!(
            "{}: the server counts {:.0}, we {:.0}: {:.2} % apart{}",
            agreement.name,
            agreement.server,
            agreement.ours,
            agreement.apart * 100.0,
            agreement
                .not_judged
                .as_ref()
                .map_or(String::new(), |why| format!(" ({why})"))
        ));
    }
    for (who, replayed) in &report.replayed {
        show::line(format_args!(
            "against the original, {who}: {:.0} kbit/s for {:.0}, {} turns for {}, {:.1} s spoken for {:.1} s",
            replayed.kbits(&replayed.replayed),
            replayed.kbits(&replayed.original),
            replayed.replayed.turns,
            replayed.original.turns,
            replayed.replayed.speech,
            replayed.original.speech
        ));
    }
    show::line(format_args!(
        "tester: at most {:.0} % CPU, {:.0} MiB, {:.0} ms late",
        report.tester.cpu_percent,
        report.tester.rss_mebibytes,
        report.tester.send_lag_ms.max(report.tester.loop_lag_ms)
    ));
    if let Some(cost) = report.cost() {
        show::line(format_args!(
            "tester, for each of {:.0} tracks: {:.3} % CPU, {:.2} MiB",
            cost.tracks,
            cost.cpu_percent_per_track(),
            cost.rss_mebibytes_per_track()
        ));
    }
    for machine in &report.machines {
        show::line(machine.sentence());
    }
    for (kind, count) in &report.errors {
        let first = report.first_errors.get(kind).map_or("", String::as_str);
        show::line(format_args!("{count} x {kind}; the first: {first}"));
    }
    for judged in &report.thresholds {
        let value = judged.value.as_deref().unwrap_or("nothing was measured");
        let word = if judged.passed { "held" } else { "NOT HELD" };
        show::line(format_args!(
            "{word}: {} = {value}, at most {}",
            judged.name, judged.limit
        ));
    }
}

pub fn step(step: &LimitStep) {
    show::note(format_args!(
        "{} rooms, {} participants, {} tracks: {}",
        step.rooms, step.participants, step.tracks, step.sentence
    ));
}

pub fn limit(limit: &Limit) {
    let step_of = |rooms: u32| limit.steps.iter().rfind(|step| step.rooms == rooms);
    match limit.held.and_then(step_of) {
        Some(held) => show::line(format_args!(
            "held: {} rooms, {} participants, {} tracks",
            held.rooms, held.participants, held.tracks
        )),
        None => show::line("no step held"),
    }
    if let Some(failed) = limit.failed.and_then(step_of) {
        let what = limit.what.join("; ");
        let why = match limit.limited_by {
            Some(Limiting::Tester) => format!("the tester's limit, not the server's: {what}"),
            Some(Limiting::CutShort) => format!("not a limit, the test did not run to its end: {what}"),
            Some(Limiting::Server) | None => format!("the server's limit: {what}"),
        };
        show::line(format_args!("did not hold: {} rooms; {why}", failed.rooms));
        show::line(&failed.sentence);
    }
    if limit.sensible_thresholds {
        let judged = limit.steps.first().map_or(&[][..], |step| &step.report.thresholds);
        let limits: Vec<String> = judged.iter().map(|j| format!("{} ≤ {}", j.name, j.limit)).collect();
        show::line(format_args!(
            "the scenario has no thresholds; these were used: {}",
            limits.join(", ")
        ));
    }
}
