//! `greffier bench capture`: rooms full of publishers, a recorder, and what it all costs.

mod report;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clap::Args;
use greffier_agent::clock::instant as now;
use greffier_agent::load::process::{Process, Processors, Usage};
use greffier_agent::synthetic::clip::{AudioClip, Clips, Resolution, VideoSpec, default_cache};
use greffier_media::codec::Codec;
use url::Url;

use super::bot::{BotConfig, BotEnd, BotSample};
use super::child::Child;
use super::floor::{self, Floor, Traffic};
use super::journal;
use super::publishers::{PublishersConfig, PublishersSample};
use super::server::Server;
use crate::show;
use report::{Measured, Memory, Report, say_limit};

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
/// Of the search for the limit.
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
    machine: Processors,
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
            machine: Processors::now()?,
            bot: bot.answer(ANSWERS_WITHIN).await?,
            publishers: publishers.answer(ANSWERS_WITHIN).await?,
        })
    }
}

fn per_second(count: u64, over: Duration) -> f64 {
    count as f64 / over.as_secs_f64().max(f64::EPSILON)
}
