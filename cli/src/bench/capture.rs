//! `greffier bench capture`: rooms full of publishers, a recorder, and what it all costs.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clap::Args;
use greffier_agent::clock::instant as now;
use greffier_agent::load::process::{Process, Usage};
use greffier_agent::synthetic::clip::{AudioClip, Clips, Resolution, VideoSpec, default_cache};
use greffier_media::codec::Codec;
use serde::{Deserialize, Serialize};
use url::Url;

use super::bot::{BotConfig, BotEnd, BotSample};
use super::child::Child;
use super::floor::{self, Floor, Traffic};
use super::journal::{self, Found};
use super::publishers::{PublishersConfig, PublishersSample};
use super::server::Server;
use crate::show;

/// Record rooms full of synthetic participants, and show what each process pays for it: packets and Mbit/s, CPU time for
/// each packet, memory for each track, what was lost or late, how long packets waited for the disk; and beside it the
/// least it could cost, measured in the same run (receive, decrypt, append).
///
/// Without --server-url a LiveKit server is started for the bench and ended after it.
#[derive(Debug, Args)]
pub struct Capture {
    /// Rooms that are recorded at the same time.
    #[arg(long, default_value_t = 5)]
    rooms: u32,
    /// Participants that publish a camera and a microphone, in each room.
    #[arg(long, default_value_t = 2)]
    publishers: u32,
    /// How long to measure, once everything runs.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// vp8, vp9, h264 or av1.
    #[arg(long, default_value = "vp8", value_parser = codec)]
    codec: Codec,
    /// The cameras publish one layer instead of three.
    #[arg(long)]
    no_simulcast: bool,
    /// A LiveKit server that runs; its keys are `LIVEKIT_API_KEY` and `LIVEKIT_API_SECRET`.
    #[arg(long, env = "LIVEKIT_URL")]
    server_url: Option<Url>,
    #[arg(long, env = "LIVEKIT_API_KEY", hide_env_values = true)]
    api_key: Option<String>,
    #[arg(long, env = "LIVEKIT_API_SECRET", hide_env_values = true)]
    api_secret: Option<String>,
    /// The server to start, if it is not `livekit-server` on the PATH.
    #[arg(long)]
    server_program: Option<String>,
    /// Where journals are written while it lasts; a folder for temporary files otherwise. Its disk is what is measured.
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// Add rooms, step by step, until the first packet is lost.
    #[arg(long)]
    find_limit: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Everything settles before it is measured.
const WARM_UP: Duration = Duration::from_secs(4);
const ANSWERS_WITHIN: Duration = Duration::from_mins(2);
/// The physical limit is measured for so long in all, in an odd number of rounds of which the median counts: what else the
/// machine does can make one of them half as dear again.
const FLOOR_SECONDS: f64 = 15.0;
const FLOOR_ROUNDS: usize = 5;
/// Of a second, that a source of packets may be behind before the publishers are what is measured.
const MAX_STEPS: u32 = 12;

fn codec(text: &str) -> Result<Codec, String> {
    match text.to_ascii_lowercase().as_str() {
        "vp8" => Ok(Codec::Vp8),
        "vp9" => Ok(Codec::Vp9),
        "h264" => Ok(Codec::H264),
        "av1" => Ok(Codec::Av1),
        _ => Err("one of vp8, vp9, h264, av1".to_owned()),
    }
}

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

    fn new(mebibytes: Vec<f64>) -> Self {
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

impl Capture {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        ensure!(
            self.rooms > 0 && self.publishers > 0 && self.seconds > 0,
            "nothing is to be measured"
        );
        let clips = Clips::new(default_cache());
        let video = VideoSpec::camera(self.codec, Resolution::P720, !self.no_simulcast);
        show::note("making clips, if they are not there yet");
        let sizes = sizes(&clips, &video).await?;
        let server = self.server().await?;
        let mut reports = Vec::new();
        let mut rooms = self.rooms;
        loop {
            show::note(format_args!(
                "{rooms} rooms x {} publishers for {} s, after {} s to settle",
                self.publishers,
                self.seconds,
                WARM_UP.as_secs()
            ));
            let report = self.measure(&server, rooms, &video, &sizes).await?;
            let held = report.lost() == 0;
            if !self.json {
                report.print();
            }
            reports.push(report);
            if !self.find_limit || !held || reports.len() >= MAX_STEPS as usize {
                break;
            }
            rooms += (rooms / 4).max(1);
        }
        server.end().await?;
        if self.json {
            show::line(serde_json::to_string_pretty(&reports)?);
        }
        if self.find_limit {
            say_limit(&reports, self.json);
        }
        Ok(ExitCode::SUCCESS)
    }

    async fn server(&self) -> anyhow::Result<Server> {
        let Some(url) = &self.server_url else {
            return Server::start(self.server_program.as_deref()).await;
        };
        let (Some(key), Some(secret)) = (&self.api_key, &self.api_secret) else {
            anyhow::bail!("the server's keys are missing: set LIVEKIT_API_KEY and LIVEKIT_API_SECRET");
        };
        Server::at(url.clone(), key.clone(), secret.clone()).await
    }

    async fn measure(&self, server: &Server, rooms: u32, video: &VideoSpec, sizes: &[usize]) -> anyhow::Result<Report> {
        let folder = match &self.data_dir {
            Some(folder) => tempfile::tempdir_in(folder)?,
            None => tempfile::tempdir()?,
        };
        let stamp = std::process::id();
        let names: Vec<String> = (0..rooms).map(|n| format!("bench-{stamp}-{rooms}-{n}")).collect();
        let publishers = PublishersConfig {
            url: server.url.clone(),
            key: server.key.clone(),
            secret: server.secret.clone(),
            rooms: names.clone(),
            publishers: self.publishers,
            video: video.clone(),
            clips: default_cache(),
        };
        let mut publishers = Child::start("publishers", &publishers).await?;
        publishers.answer::<PublishersSample>(ANSWERS_WITHIN).await?;
        let bot = BotConfig {
            url: server.url.clone(),
            key: server.key.clone(),
            secret: server.secret.clone(),
            rooms: names,
            tracks: 2 * usize::try_from(self.publishers)?,
            data: folder.path().join("data"),
        };
        let mut bot = Child::start("bot", &bot).await?;
        bot.answer::<BotSample>(ANSWERS_WITHIN).await?;
        tokio::time::sleep(WARM_UP).await;
        let before = Snapshot::take(&mut bot, &mut publishers, server).await?;
        let memory = self.watch_memory(&bot).await?;
        let after = Snapshot::take(&mut bot, &mut publishers, server).await?;
        bot.tell(&"stop").await?;
        let end: BotEnd = bot.answer(ANSWERS_WITHIN).await?;
        bot.end(ANSWERS_WITHIN).await?;
        publishers.end(ANSWERS_WITHIN).await?;
        ensure!(
            end.sealed.len() == usize::try_from(rooms)?,
            "{} of {rooms} recordings were sealed",
            end.sealed.len()
        );
        let tracks = rooms * self.publishers * 2;
        let journal = journal::read(&end.sealed)?;
        let rate = per_second(after.bot.packets - before.bot.packets, after.at - before.at);
        let floor = measure_floor(sizes, usize::try_from(rooms)?, rate, folder.path().to_owned()).await?;
        Ok(Report::new(
            &before,
            &after,
            &end,
            Measured {
                rooms,
                publishers: self.publishers,
                tracks,
                journal,
                floor,
                memory,
            },
        ))
    }

    /// For as long as is to be measured.
    async fn watch_memory(&self, bot: &Child) -> anyhow::Result<Memory> {
        let process = Process::new(bot.pid().context("the recorder is gone")?);
        let mut look = tokio::time::interval(Duration::from_secs(1));
        look.tick().await;
        let mut mebibytes = Vec::new();
        for _ in 0..self.seconds {
            look.tick().await;
            mebibytes.push(process.usage()?.rss as f64 / f64::from(1 << 20));
        }
        Ok(Memory::new(mebibytes))
    }
}

/// Payload sizes of what one publisher sends, in the mixture in which it sends them.
async fn sizes(clips: &Clips, video: &VideoSpec) -> anyhow::Result<Vec<usize>> {
    let (video, voice) = (clips.video(video).await?, clips.voice(0).await?);
    let layer = video.layers.first().context("a clip has a layer")?;
    let seconds = layer.frames.len() as f64 / f64::from(layer.spec.fps);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a count of packets"
    )]
    let audio = (seconds / AudioClip::PACKET.as_secs_f64()) as usize;
    let pictures: Vec<usize> = layer
        .frames
        .iter()
        .flat_map(|frame| &frame.payloads)
        .map(bytes_len)
        .collect();
    let sounds: Vec<usize> = voice.packets.iter().map(bytes_len).cycle().take(audio).collect();
    let mut sizes = [pictures, sounds].concat();
    // In turn, as near as integers allow: what matters is the mixture, not the order.
    let count = sizes.len();
    for n in 0..count {
        sizes.swap(n, (n * 7919) % count);
    }
    Ok(sizes)
}

fn bytes_len(bytes: &impl AsRef<[u8]>) -> usize {
    bytes.as_ref().len()
}

async fn measure_floor(sizes: &[usize], sockets: usize, rate: f64, folder: PathBuf) -> anyhow::Result<Floor> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a count of packets"
    )]
    let packets = (rate * FLOOR_SECONDS / FLOOR_ROUNDS as f64) as u64;
    let traffic = Traffic {
        sizes: sizes.to_vec(),
        sockets,
        packets,
        rate,
    };
    tokio::task::spawn_blocking(move || floor::median(&traffic, FLOOR_ROUNDS, Path::new(&folder))).await?
}

/// Everything at one moment.
struct Snapshot {
    at: Instant,
    bot: BotSample,
    bot_usage: Usage,
    publishers: PublishersSample,
    publishers_usage: Usage,
    server_usage: Option<Usage>,
    machine: Machine,
}

impl Snapshot {
    async fn take(bot: &mut Child, publishers: &mut Child, server: &Server) -> anyhow::Result<Self> {
        let usage = |child: &Child| {
            Process::new(child.pid().context("a process is gone")?)
                .usage()
                .map_err(Into::into)
        };
        bot.tell(&"sample").await?;
        publishers.tell(&"sample").await?;
        let (at, bot_usage, publishers_usage): (_, anyhow::Result<_>, anyhow::Result<_>) =
            (now(), usage(bot), usage(publishers));
        Ok(Self {
            at,
            bot_usage: bot_usage?,
            publishers_usage: publishers_usage?,
            server_usage: server.process.map(Process::usage).transpose()?,
            machine: Machine::now()?,
            bot: bot.answer(ANSWERS_WITHIN).await?,
            publishers: publishers.answer(ANSWERS_WITHIN).await?,
        })
    }
}

/// What all processors have done since they were started, in ticks.
#[derive(Clone, Copy)]
struct Machine {
    busy: u64,
    all: u64,
}

impl Machine {
    fn now() -> anyhow::Result<Self> {
        let stat = std::fs::read_to_string("/proc/stat")?;
        let line = stat.lines().next().context("/proc/stat is empty")?;
        let ticks: Vec<u64> = line
            .split_whitespace()
            .skip(1)
            .take(8)
            .filter_map(|n| n.parse().ok())
            .collect();
        let all: u64 = ticks.iter().sum();
        let idle: u64 = ticks.iter().skip(3).take(2).sum();
        Ok(Self { busy: all - idle, all })
    }
}

fn per_second(count: u64, over: Duration) -> f64 {
    count as f64 / over.as_secs_f64().max(f64::EPSILON)
}

struct Measured {
    rooms: u32,
    publishers: u32,
    tracks: u32,
    journal: Found,
    floor: Floor,
    memory: Memory,
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
    fn new(before: &Snapshot, after: &Snapshot, end: &BotEnd, measured: Measured) -> Self {
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
        let busy = after.machine.busy - before.machine.busy;
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
            machine_percent: busy as f64 * 100.0 / (after.machine.all - before.machine.all).max(1) as f64,
            profile: if cfg!(debug_assertions) { "debug" } else { "release" },
        }
    }

    fn lost(&self) -> u64 {
        self.journal.lost + self.dropped_by_bot
    }

    /// The smallest bound that so many of 1 flushes kept.
    fn flush_within(&self, share: f64) -> String {
        let bound = self.flush_ms.iter().find(|(_, kept)| *kept >= share);
        bound.map_or("more than a minute".to_owned(), |(ms, _)| format!("≤ {ms:.0} ms"))
    }

    fn print(&self) {
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

fn say_limit(reports: &[Report], to_the_side: bool) {
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
