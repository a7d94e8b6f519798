//! A load test from outside: started, watched, stopped, and its result.

mod prepare;

use std::net::{IpAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};

use super::LoadError;
use super::machine::Machine;
use super::measure::{Measured, Tick};
use super::plan::{plan, replay};
use super::report::{LoadReport, ServerSample};
use super::scenario::{Length, Scenario};
use super::seconds::Seconds;
use super::server;
use super::worker::{Order, Word, read_meeting};
use super::workers::{Heard, Workers};
use crate::clock;
use crate::livekit::{LiveKit, LiveKitConfig, LiveKitError};
use crate::supervisor::{Supervisor, TaskKind};

/// How a test is to be run.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    pub server: LiveKitConfig,
    /// Whether `server` has a key and a secret; otherwise the scenario says where tokens come from.
    pub has_key: bool,
    /// Processes that play.
    pub workers: usize,
    /// The program whose `load-worker` subcommand plays: ourselves, as a rule.
    pub program: PathBuf,
    /// Where clips are kept.
    pub clips: PathBuf,
    /// A server that is not on this machine may be tested.
    pub i_own_this_server: bool,
    /// Other machines that play, each with one process; this one then only watches.
    pub machines: Vec<Machine>,
}

/// Where a test is.
#[derive(Debug, Clone, PartialEq)]
pub enum Progress {
    /// Clips are made, processes started.
    Preparing,
    /// The newest second.
    Running {
        tick: Box<Tick>,
        seconds: u32,
    },
    /// All are leaving.
    Ending,
    Ended,
}

/// A test that runs. Dropping it does not stop it; its supervisor, or [`stop`](Self::stop), does.
pub struct LoadTest {
    progress: watch::Receiver<Progress>,
    stop: mpsc::Sender<()>,
    result: oneshot::Receiver<Result<LoadReport, LoadError>>,
}

/// Most joins a second: more is a test of the server's front door, and few servers like it.
pub const JOINS_PER_SECOND: u32 = 25;
/// With nobody left in any room for so long the test is over.
const NOBODY_FOR: u32 = 20;
/// The processes begin together, this long after they were told, or longer if the way to one is long.
const LEAD: Duration = Duration::from_millis(300);
/// LiveKit gathers its packet counts for about five seconds.
const SETTLING_EVERY: Duration = Duration::from_secs(6);
const SETTLING_LOOKS: u32 = 3;
/// Looks, every three seconds, that the server does not answer: a restart may be quicker.
const GONE_AFTER: u32 = 3;

impl LoadTest {
    /// Starts a test; it answers as soon as the server has been found to answer and to take our key.
    ///
    /// # Errors
    /// When the server is somebody else's, cannot be reached, or refuses the key.
    pub async fn start(scenario: Scenario, options: LoadOptions, supervisor: &Supervisor) -> Result<Self, LoadError> {
        let livekit = options.check(&scenario).await?;
        let (progress, seen) = watch::channel(Progress::Preparing);
        let (stop, stopped) = mpsc::channel(1);
        let (tell, result) = oneshot::channel();
        let spawner = supervisor.clone();
        supervisor.spawn(TaskKind::Participant, "load-test", |token| async move {
            let run = Run {
                scenario,
                options,
                livekit,
                progress,
                supervisor: spawner,
            };
            let report = Box::pin(run.run(stopped, token)).await;
            if let Err(error) = &report {
                tracing::warn!(%error, "load test failed");
            }
            // Whoever started it may not care any more.
            drop(tell.send(report));
            Ok::<(), std::convert::Infallible>(())
        });
        Ok(Self {
            progress: seen,
            stop,
            result,
        })
    }

    /// What happens, newest first seen.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// A handle that asks for an orderly end; the result then holds what was measured until then.
    pub fn stopper(&self) -> LoadStopper {
        LoadStopper(self.stop.clone())
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// When it could not be run; one that was cut short has a result, which says so.
    pub async fn result(self) -> Result<LoadReport, LoadError> {
        let gone = || LoadError::Worker("the test was abandoned".to_owned());
        self.result.await.unwrap_or_else(|_| Err(gone()))
    }
}

/// Ends a test in order.
#[derive(Clone)]
pub struct LoadStopper(mpsc::Sender<()>);

impl LoadStopper {
    pub fn stop(&self) {
        // Full: it has been told already.
        let _ = self.0.try_send(());
    }
}

impl LoadOptions {
    /// Looks at all that can be judged before anything is started; the server, if we have a key to it.
    ///
    /// # Errors
    /// As [`LoadTest::start`].
    pub async fn check(&self, scenario: &Scenario) -> Result<Option<LiveKit>, LoadError> {
        if !self.i_own_this_server && !is_here(&self.server.url) {
            return Err(LoadError::NotOurs(self.server.url.to_string()));
        }
        let (rooms, machines) = (scenario.rooms.get(), self.machines.len());
        if (rooms as usize) < machines {
            return Err(LoadError::TooFewRooms { rooms, machines });
        }
        let livekit = self.has_key.then(|| LiveKit::new(self.server.clone()));
        match &livekit {
            Some(livekit) => drop(livekit.rooms(Vec::new()).await?),
            None if scenario.tokens.is_none() => {
                return Err(LoadError::Token(
                    "give a key and its secret, or `tokens` in the scenario".to_owned(),
                ));
            }
            None => {}
        }
        Ok(livekit)
    }
}

/// Whether an address is this machine's: we could bind to it.
pub(super) fn is_here(url: &url::Url) -> bool {
    let Some(host) = url.host_str() else { return false };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let Ok(addresses) = (host, 0).to_socket_addrs() else {
        return false;
    };
    let ours = |ip: IpAddr| ip.is_loopback() || std::net::UdpSocket::bind((ip, 0)).is_ok();
    let addresses: Vec<IpAddr> = addresses.map(|address| address.ip()).collect();
    !addresses.is_empty() && addresses.into_iter().all(ours)
}

struct Run {
    scenario: Scenario,
    options: LoadOptions,
    livekit: Option<LiveKit>,
    progress: watch::Sender<Progress>,
    supervisor: Supervisor,
}

/// What came of it, before it is judged.
#[derive(Default)]
struct Outcome {
    measured: Measured,
    ticks: Vec<Tick>,
    server: Vec<ServerSample>,
    /// Why it did not run to its end.
    cut_short: Option<String>,
}

impl Run {
    async fn run(
        mut self,
        mut stop: mpsc::Receiver<()>,
        shutdown: tokio_util::sync::CancellationToken,
    ) -> Result<LoadReport, LoadError> {
        if self.options.machines.is_empty() {
            self.make_clips().await?;
        }
        self.find_figures().await;
        let ramp = self.ramp();
        let stamp = clock::unix().as_millis();
        let rooms: Vec<String> = (0..self.scenario.rooms.get())
            .map(|n| format!("load-{}-{stamp:x}-{n}", self.scenario.name))
            .collect();
        let parts = match self.scenario.recording.clone() {
            Some(folder) => {
                let meeting = read_meeting(folder).await?;
                let length = self.scenario.duration.get().min(meeting.length);
                let (parts, begins) = replay(&self.scenario, &meeting);
                self.scenario.duration = Length::lasting(begins + length);
                parts
            }
            None => plan(&self.scenario, ramp),
        };
        self.make_rooms(&rooms, &parts).await;
        let mut workers = tokio::select! {
            workers = self.start_workers(&rooms, parts) => workers?,
            // Until all are ready nobody is in a room.
            _ = stop.recv() => return Err(LoadError::Stopped),
            () = shutdown.cancelled() => return Err(LoadError::Stopped),
        };
        let mut outcome = Outcome::default();
        outcome.server.extend(self.sample_server(0).await);
        let begin = clock::unix() + LEAD + workers.longest_way();
        let started = i64::try_from(begin.as_millis()).unwrap_or_default();
        let started = Timestamp::from_millisecond(started).unwrap_or_default();
        workers.begin(begin).await;
        self.watch(&mut workers, &mut outcome, &mut stop, &shutdown).await;
        self.progress.send_replace(Progress::Ending);
        let machines = workers.end().await;
        let second = outcome.ticks.last().map_or(0, |tick| tick.second);
        if !outcome.server.is_empty() {
            outcome.server.extend(self.sample_settled_server(second + 1).await);
        }
        self.clean_up(&rooms).await;
        let Outcome {
            measured,
            ticks,
            server,
            cut_short,
        } = outcome;
        let count = if machines.is_empty() {
            self.options.workers
        } else {
            machines.len()
        };
        let mut report = LoadReport::new(self.scenario, started, count, measured, ticks, server, cut_short);
        report.machines = machines;
        self.progress.send_replace(Progress::Ended);
        Ok(report)
    }

    /// Follows the processes to their end.
    async fn watch(
        &self,
        workers: &mut Workers,
        outcome: &mut Outcome,
        stop: &mut mpsc::Receiver<()>,
        shutdown: &tokio_util::sync::CancellationToken,
    ) {
        let length = u32::try_from(self.scenario.duration.get().as_secs()).unwrap_or(u32::MAX);
        let mut seconds = Seconds::new(workers.count());
        let (mut nobody, mut unanswered) = (0, 0);
        let mut told = false;
        while workers.running() > 0 {
            // Why it is to end now, if it is.
            let mut end = None;
            tokio::select! {
                heard = workers.next() => match heard {
                    Some((who, Heard::Word(Word::Tick(tick)))) => {
                        if let Some(late) = seconds.saw(who, *tick)
                            && let Some(told) = outcome.ticks.iter_mut().rfind(|told| told.second == late.second)
                        {
                            told.beside(&late);
                        }
                    }
                    Some((who, Heard::Word(Word::Done(measured)))) => {
                        outcome.measured.merge(&measured);
                        seconds.ended(who);
                    }
                    Some((who, Heard::Word(Word::Failed(why)) | Heard::Lost(why))) => {
                        seconds.ended(who);
                        end = Some(why);
                    }
                    Some((_, Heard::Word(Word::Ready(_)))) => {}
                    None => break,
                },
                _ = stop.recv(), if !told => end = Some("it was stopped".to_owned()),
                () = shutdown.cancelled(), if !told => end = Some("the process that ran it was stopped".to_owned()),
            }
            while let Some(tick) = seconds.next() {
                nobody = if tick.participants == 0 && tick.second > 5 {
                    nobody + 1
                } else {
                    0
                };
                if nobody >= NOBODY_FOR && end.is_none() {
                    end = Some(format!("nobody was in any room for {NOBODY_FOR} seconds"));
                }
                if tick.second.is_multiple_of(3) && !told && end.is_none() && self.is_gone(&mut unanswered).await {
                    end = Some("the server does not answer any more".to_owned());
                }
                self.see(tick, length, told, outcome).await;
            }
            if let Some(why) = end {
                outcome.cut_short.get_or_insert(why);
                if !std::mem::replace(&mut told, true) {
                    self.progress.send_replace(Progress::Ending);
                    workers.tell(Order::Stop).await;
                }
            }
        }
    }

    /// A second, whole.
    async fn see(&self, tick: Tick, length: u32, is_ending: bool, outcome: &mut Outcome) {
        let second = tick.second;
        outcome.ticks.push(tick.clone());
        if is_ending {
            return;
        }
        self.progress.send_replace(Progress::Running {
            tick: Box::new(tick),
            seconds: length,
        });
        if second.is_multiple_of(5) {
            outcome.server.extend(self.sample_server(second).await);
        }
    }

    /// Whether the server has not answered for several times; `unanswered` counts them.
    async fn is_gone(&self, unanswered: &mut u32) -> bool {
        let Some(livekit) = &self.livekit else { return false };
        // One that refuses is there.
        match livekit.rooms(Vec::new()).await {
            Err(error @ LiveKitError::Unreachable { .. }) => {
                tracing::warn!(%error, "the server does not answer");
                *unanswered += 1;
            }
            _ => *unanswered = 0,
        }
        *unanswered >= GONE_AFTER
    }

    /// The server's last figures: it adds up what has passed only every few seconds.
    async fn sample_settled_server(&self, mut second: u32) -> Option<ServerSample> {
        let mut last = self.sample_server(second).await?;
        for _ in 0..SETTLING_LOOKS {
            tokio::time::sleep(SETTLING_EVERY).await;
            second += u32::try_from(SETTLING_EVERY.as_secs()).unwrap_or(1);
            let Some(next) = self.sample_server(second).await else {
                break;
            };
            let settled = next.values.get("packets_out") == last.values.get("packets_out");
            last = next;
            if settled {
                break;
            }
        }
        Some(last)
    }

    async fn sample_server(&self, second: u32) -> Option<ServerSample> {
        let url = self.scenario.server.prometheus.as_ref()?;
        match server::sample(url).await {
            Ok(values) => Some(ServerSample { second, values }),
            Err(error) => {
                tracing::debug!(%error, "the server's figures cannot be read");
                None
            }
        }
    }

    async fn clean_up(&self, rooms: &[String]) {
        let Some(livekit) = &self.livekit else { return };
        let left = match livekit.rooms(rooms.to_vec()).await {
            Ok(left) => left,
            Err(error) => return tracing::warn!(%error, "the test's rooms could not be looked for"),
        };
        for room in left {
            if let Err(error) = livekit.room_client().delete_room(&room.name).await {
                tracing::warn!(%error, room = room.name, "a room of the test was left behind");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_here() {
        for (url, here) in [
            ("ws://127.0.0.1:7880", true),
            ("ws://localhost:7880", true),
            ("ws://[::1]:7880", true),
            ("ws://192.0.2.1:7880", false),
        ] {
            assert_eq!(is_here(&url.parse().expect("a url")), here, "{url}");
        }
    }
}
