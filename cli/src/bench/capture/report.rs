//! What a measurement of capturing says.

use std::time::Duration;

use greffier_agent::load::process::Usage;
use serde::{Deserialize, Serialize};

use super::super::bot::{BotEnd, BotSample};
use super::super::floor::Floor;
use super::super::journal::Found;
use super::{Snapshot, per_second};
use crate::show;

/// One process over the measured time.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Cost {
    pub packets_per_second: f64,
    pub megabits_per_second: f64,
    /// Of one core.
    pub cpu_percent: f64,
    pub cpu_micros_per_packet: f64,
    pub rss_mebibytes: f64,
    pub rss_kibibytes_per_track: f64,
    /// Datagrams its sockets dropped.
    pub socket_drops: u64,
}

/// How a process's resident memory went, by one look a second.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Memory {
    /// MiB at each second of the measured time.
    pub mebibytes: Vec<f64>,
    /// By a straight line through all looks after the first minute: KiB in each minute. `None` if there were too few.
    pub kibibytes_a_minute: Option<f64>,
}

impl Memory {
    /// Whoever starts takes what it needs; after that memory should stay as it is.
    const SETTLED_AFTER: usize = 60;
    /// Looks that make a line.
    const ENOUGH: usize = 30;

    fn highest(&self) -> f64 {
        self.mebibytes.iter().copied().fold(0.0, f64::max)
    }

    fn last(&self) -> f64 {
        self.mebibytes.last().copied().unwrap_or_default()
    }

    pub(super) fn new(mebibytes: Vec<f64>) -> Self {
        let settled = mebibytes.get(Self::SETTLED_AFTER..).unwrap_or_default();
        let kibibytes_a_minute = (settled.len() >= Self::ENOUGH).then(|| slope(settled) * 60.0 * 1024.0);
        Self {
            mebibytes,
            kibibytes_a_minute,
        }
    }
}

/// Of the line of least squares through values that stand one step apart.
fn slope(values: &[f64]) -> f64 {
    let count = values.len() as f64;
    let (mean_at, mean) = ((count - 1.0) / 2.0, values.iter().sum::<f64>() / count);
    let (mut covariance, mut variance) = (0.0, 0.0);
    for (n, value) in values.iter().enumerate() {
        let from_mean = n as f64 - mean_at;
        covariance += from_mean * (value - mean);
        variance += from_mean * from_mean;
    }
    covariance / variance.max(f64::EPSILON)
}

/// What one measurement says. Rates are over the measured time, losses over the whole run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    pub rooms: u32,
    pub publishers_per_room: u32,
    pub tracks: u32,
    pub seconds: f64,
    pub bot: Cost,
    pub bot_memory: Memory,
    pub server: Option<Cost>,
    pub publishers: Cost,
    /// Frames that the publishers left out because they were late.
    pub frames_skipped: u64,
    pub journal: Found,
    /// Packets that reached the bot and were dropped by it.
    pub dropped_by_bot: u64,
    /// Age of a batch's oldest packet when it was flushed: milliseconds, and of 1 how many flushes took no longer.
    pub flush_ms: Vec<(f64, f64)>,
    pub floor: Floor,
    /// The bot's cost of a packet over the physical limit's.
    pub bot_over_floor: f64,
    /// The bot's CPU time over the server's.
    pub bot_over_server: Option<f64>,
    /// Processors of the machine, and the share of all of them that was busy with anything.
    pub cores: usize,
    pub machine_percent: f64,
    pub profile: &'static str,
}

/// What was measured beside the snapshots.
pub(super) struct Measured {
    pub rooms: u32,
    pub publishers: u32,
    pub tracks: u32,
    pub journal: Found,
    pub floor: Floor,
    pub memory: Memory,
}

impl Cost {
    fn new(before: Usage, after: Usage, over: Duration, packets: u64, bytes: u64, tracks: u32) -> Self {
        let cpu = after.cpu.saturating_sub(before.cpu).as_secs_f64();
        Self {
            packets_per_second: per_second(packets, over),
            megabits_per_second: per_second(bytes * 8, over) / 1e6,
            cpu_percent: cpu / over.as_secs_f64() * 100.0,
            cpu_micros_per_packet: cpu * 1e6 / packets.max(1) as f64,
            rss_mebibytes: after.rss as f64 / f64::from(1 << 20),
            rss_kibibytes_per_track: after.rss as f64 / 1024.0 / f64::from(tracks.max(1)),
            socket_drops: after.socket_drops.saturating_sub(before.socket_drops),
        }
    }
}

impl Report {
    pub(super) fn new(before: &Snapshot, after: &Snapshot, end: &BotEnd, measured: Measured) -> Self {
        let Measured {
            rooms,
            publishers,
            tracks,
            journal,
            floor,
            memory,
        } = measured;
        let over = after.at - before.at;
        let (packets, bytes) = (
            after.bot.packets - before.bot.packets,
            after.bot.bytes - before.bot.bytes,
        );
        let bot = Cost::new(before.bot_usage, after.bot_usage, over, packets, bytes, tracks);
        let sent = after.publishers.packets - before.publishers.packets;
        let sent_bytes = after.publishers.bytes - before.publishers.bytes;
        // Through the server goes what is sent to it and what it sends.
        let server = before
            .server_usage
            .zip(after.server_usage)
            .map(|(before, after)| Cost::new(before, after, over, sent + packets, sent_bytes + bytes, tracks));
        let bot_over_server = server
            .as_ref()
            .map(|server| bot.cpu_percent / server.cpu_percent.max(f64::EPSILON));
        Self {
            rooms,
            publishers_per_room: publishers,
            tracks,
            seconds: over.as_secs_f64(),
            publishers: Cost::new(
                before.publishers_usage,
                after.publishers_usage,
                over,
                sent,
                sent_bytes,
                tracks,
            ),
            frames_skipped: after.publishers.skipped,
            journal,
            dropped_by_bot: end.last.dropped,
            flush_ms: flushes(&before.bot, &after.bot),
            bot_over_floor: bot.cpu_micros_per_packet / floor.micros_per_packet.max(f64::EPSILON),
            bot_over_server,
            floor,
            bot,
            bot_memory: memory,
            server,
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            machine_percent: after.machine.busy_since(before.machine) * 100.0,
            profile: if cfg!(debug_assertions) { "debug" } else { "release" },
        }
    }

    pub(super) fn lost(&self) -> u64 {
        self.journal.lost + self.dropped_by_bot
    }

    /// The smallest bound that so many of 1 flushes kept.
    fn flush_within(&self, share: f64) -> String {
        let bound = self.flush_ms.iter().find(|(_, kept)| *kept >= share);
        bound.map_or("more than a minute".to_owned(), |(ms, _)| format!("≤ {ms:.0} ms"))
    }

    pub(super) fn print(&self) {
        let mut table = show::table(&[
            "",
            "packets/s",
            "Mbit/s",
            "CPU %",
            "µs/packet",
            "RSS MiB",
            "KiB/track",
            "drops",
        ]);
        let mut row = |name: &str, cost: &Cost| {
            table.add_row([
                name.to_owned(),
                format!("{:.0}", cost.packets_per_second),
                format!("{:.1}", cost.megabits_per_second),
                format!("{:.1}", cost.cpu_percent),
                format!("{:.1}", cost.cpu_micros_per_packet),
                format!("{:.0}", cost.rss_mebibytes),
                format!("{:.0}", cost.rss_kibibytes_per_track),
                cost.socket_drops.to_string(),
            ]);
        };
        row("Greffier's recorder", &self.bot);
        if let Some(server) = &self.server {
            row("livekit-server (in + out)", server);
        }
        row("publishers", &self.publishers);
        table.add_row([
            "physical limit".to_owned(),
            String::new(),
            String::new(),
            String::new(),
            format!("{:.1}", self.floor.micros_per_packet),
            String::new(),
            String::new(),
            self.floor.lost.to_string(),
        ]);
        show::line(format_args!(
            "{} rooms x {} publishers, {} tracks, {:.1} s, {} build",
            self.rooms, self.publishers_per_room, self.tracks, self.seconds, self.profile
        ));
        show::line(table);
        show::line(format_args!(
            "recorder over physical limit: {:.2} x (receive, decrypt, append; same sizes, rate and sockets)",
            self.bot_over_floor
        ));
        if let Some(ratio) = self.bot_over_server {
            show::line(format_args!("recorder's CPU over the server's: {ratio:.2}"));
        }
        if let Some(growth) = self.bot_memory.kibibytes_a_minute {
            let (highest, last) = (self.bot_memory.highest(), self.bot_memory.last());
            show::line(format_args!(
                "recorder's memory after the first minute: {growth:+.0} KiB a minute, highest {highest:.1} MiB, at the end {last:.1} MiB"
            ));
        }
        let Found {
            streams,
            packets,
            lost,
            late,
            duplicates,
            ..
        } = self.journal;
        show::line(format_args!(
            "journal: {packets} packets in {streams} streams, {lost} lost, {late} late, {duplicates} twice; the recorder \
             dropped {}",
            self.dropped_by_bot
        ));
        show::line(format_args!(
            "flushed: half {}, 99 % {}, all {}",
            self.flush_within(0.5),
            self.flush_within(0.99),
            self.flush_within(1.0)
        ));
        show::line(format_args!(
            "machine: {:.0} % of {} processors busy; publishers left out {} frames for being late",
            self.machine_percent, self.cores, self.frames_skipped
        ));
    }
}

/// The flushes between two samples: bound in milliseconds, share of 1 that kept it.
fn flushes(before: &BotSample, after: &BotSample) -> Vec<(f64, f64)> {
    let earlier = |bound: f64| {
        before
            .flushes
            .iter()
            .find(|(b, _)| (b - bound).abs() < 1e-9)
            .map_or(0, |(_, n)| *n)
    };
    let counts: Vec<_> = after
        .flushes
        .iter()
        .map(|(bound, count)| (*bound, count - earlier(*bound)))
        .collect();
    let all = counts.iter().map(|(_, count)| *count).max().unwrap_or(0).max(1);
    counts
        .into_iter()
        .map(|(bound, count)| (bound * 1e3, count as f64 / all as f64))
        .collect()
}

/// What held, and what did not.
pub(super) fn say_limit(reports: &[Report], to_the_side: bool) {
    let held = reports.iter().rfind(|report| report.lost() == 0);
    let broke = reports.last().filter(|report| report.lost() > 0);
    let held_rooms = held.map_or(0, |report| report.rooms);
    let text = match broke {
        None => format!(
            "{held_rooms} rooms were held; nothing was lost in {} steps",
            reports.len()
        ),
        Some(report) => {
            let who = if report.bot.socket_drops + report.dropped_by_bot > 0 {
                "the recorder did not keep up"
            } else if report.server.as_ref().is_some_and(|server| server.socket_drops > 0) {
                "the server's sockets overflowed first"
            } else if report.frames_skipped > 0 {
                "the publishers were late, so this machine is too small to tell"
            } else {
                "packets were lost on their way through the server"
            };
            let (lost, rooms, busy) = (report.lost(), report.rooms, report.machine_percent);
            format!("{held_rooms} rooms were held; {rooms} lost {lost} packets: {who} (machine {busy:.0} % busy)")
        }
    };
    if to_the_side {
        show::note(text);
    } else {
        show::line(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_grows_after_the_first_minute_is_told() {
        let starts = (0..60).map(f64::from);
        let flat = Memory::new(starts.clone().chain(std::iter::repeat_n(60.0, 60)).collect());
        assert!(flat.kibibytes_a_minute.is_some_and(|growth| growth.abs() < 1e-6));
        let grows = Memory::new(starts.chain((0..60).map(|n| 60.0 + f64::from(n) / 1024.0)).collect());
        assert!(
            grows
                .kibibytes_a_minute
                .is_some_and(|growth| (growth - 60.0).abs() < 1e-6)
        );
        assert_eq!(Memory::new(vec![1.0; 80]).kibibytes_a_minute, None);
    }
}
