//! Playing for another machine's test: a process of ours plays, and its lines are carried to whoever asked and back.

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::StreamExt as _;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::LoadError;
use super::run::is_here;
use super::worker::{Order, Word, WorkerConfig};
use super::workers::{end, spawn, write};
use crate::clock;

/// The `[load]` section: what this machine does for load tests of others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HelperConfig {
    /// Plays participants for whoever has an API key with the scope `admin`.
    pub worker: bool,
    /// Hosts of `LiveKit` servers that may be tested from here, beside one on this machine: `["livekit.example.org"]`.
    pub servers: Vec<String>,
}

/// What the machine that runs a test tells one that plays.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Told {
    /// What time is it? Answered with the same number.
    Clock(u32),
    Play(Box<WorkerConfig>),
    Order(Order),
}

/// What it answers: the time, a refusal, or a line of the process that plays as it is.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Said {
    Clock {
        number: u32,
        /// Since the Unix epoch.
        micros: u64,
    },
    Refused(String),
    #[serde(untagged)]
    Word(Word),
}

impl Said {
    /// Reads a line. Words are read by themselves: keys that are numbers are none to what is tried as one of several.
    ///
    /// # Errors
    /// When it is none of them.
    pub fn read(line: &str) -> Result<Self, serde_json::Error> {
        let word = serde_json::from_str(line).map(Self::Word);
        word.or_else(|_| serde_json::from_str(line))
    }
}

/// Longer lines end the conversation: nobody's memory is filled from outside.
pub const LONGEST_LINE: usize = 64 << 20;
/// Each end shows so often that it is there …
pub const ALIVE_EVERY: Duration = Duration::from_secs(3);
/// … and is given up when it has not been heard for so many times.
pub const MISSED_AT_MOST: u32 = 4;

/// What a process is started with.
#[derive(Debug, Clone)]
pub struct Helper {
    pub config: HelperConfig,
    /// The program whose `load-worker` subcommand plays.
    pub program: PathBuf,
    /// Where our clips are.
    pub clips: PathBuf,
}

impl Helper {
    /// Plays what is told, until it is over, whoever told is gone, or we are to stop.
    pub async fn help(
        &self,
        mut told: mpsc::Receiver<String>,
        said: mpsc::Sender<String>,
        shutdown: CancellationToken,
    ) {
        if let Err(why) = self.converse(&mut told, &said, &shutdown).await {
            tracing::warn!(why, "a part in another machine's load test was refused");
            if let Ok(line) = serde_json::to_string(&Said::Refused(why)) {
                // Whoever asked may have left.
                drop(said.send(line).await);
            }
        }
    }

    async fn converse(
        &self,
        told: &mut mpsc::Receiver<String>,
        said: &mpsc::Sender<String>,
        shutdown: &CancellationToken,
    ) -> Result<(), String> {
        let strange = |error: serde_json::Error| format!("what was told makes no sense: {error}");
        let mut config = loop {
            let Some(line) = told.recv().await else { return Ok(()) };
            match serde_json::from_str(&line).map_err(strange)? {
                Told::Clock(number) => {
                    let micros = u64::try_from(clock::unix().as_micros()).unwrap_or(u64::MAX);
                    let line = serde_json::to_string(&Said::Clock { number, micros }).map_err(strange)?;
                    if said.send(line).await.is_err() {
                        return Ok(());
                    }
                }
                Told::Play(config) => break *config,
                Told::Order(_) => return Err("an order came before there was anything to play".to_owned()),
            }
        };
        self.config.judge(&config)?;
        config.clips.clone_from(&self.clips);
        play(&self.program, &config, told, said, shutdown)
            .await
            .map_err(|error| error.to_string())
    }
}

impl HelperConfig {
    /// Whether we play this.
    fn judge(&self, asked: &WorkerConfig) -> Result<(), String> {
        if asked.key.is_some() {
            return Err("the server's key does not belong here: send tokens".to_owned());
        }
        let host = asked.url.host_str().unwrap_or_default();
        if is_here(&asked.url) || self.servers.iter().any(|allowed| allowed == host) {
            return Ok(());
        }
        Err(format!(
            "{host} is not this machine, and `load.servers` in its configuration does not name it"
        ))
    }
}

async fn play(
    program: &Path,
    config: &WorkerConfig,
    told: &mut mpsc::Receiver<String>,
    said: &mpsc::Sender<String>,
    shutdown: &CancellationToken,
) -> Result<(), LoadError> {
    let (child, mut orders, mut lines) = spawn(program)?;
    tracing::info!(server = %config.url, participants = config.parts.len(), pid = child.id(), "playing for another machine");
    write(&mut orders, config).await.map_err(LoadError::Start)?;
    loop {
        tokio::select! {
            line = told.recv() => match line.map(|line| serde_json::from_str(&line)) {
                Some(Ok(Told::Order(order))) => {
                    if let Err(error) = write(&mut orders, &order).await {
                        tracing::warn!(%error, "the process that plays does not listen");
                        break;
                    }
                }
                Some(_) => tracing::warn!("something that is no order was left out"),
                None => {
                    tracing::warn!("whoever ran the test is gone; everybody leaves");
                    break;
                }
            },
            line = lines.next() => match line {
                Some(Ok(line)) => {
                    if said.send(line).await.is_err() {
                        break;
                    }
                }
                Some(Err(error)) => return Err(LoadError::Worker(error.to_string())),
                None => break,
            },
            () = shutdown.cancelled() => break,
        }
    }
    // The end of its input tells it to leave in order; until then its words need somewhere to go.
    let draining = async { while lines.next().await.is_some() {} };
    tokio::join!(end(child, orders), draining);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Scenario;

    fn asked(url: &str, key: Option<(String, String)>) -> WorkerConfig {
        WorkerConfig {
            url: url.parse().expect("a url"),
            key,
            scenario: Scenario::load("meeting-6").expect("a template"),
            rooms: Vec::new(),
            parts: Vec::new(),
            tokens: Vec::new(),
            clips: PathBuf::new(),
        }
    }

    #[test]
    fn only_servers_of_this_machine_and_those_it_names_are_tested() {
        let ours = HelperConfig {
            worker: true,
            servers: vec!["livekit.example.org".to_owned()],
        };
        for (url, allowed) in [
            ("ws://127.0.0.1:7880", true),
            ("wss://livekit.example.org", true),
            ("ws://192.0.2.1:7880", false),
        ] {
            assert_eq!(ours.judge(&asked(url, None)).is_ok(), allowed, "{url}");
        }
        let keyed = asked("ws://127.0.0.1:7880", Some(("key".into(), "secret".into())));
        assert!(ours.judge(&keyed).is_err(), "a key is never taken");
    }

    #[tokio::test]
    async fn the_time_is_told_and_nonsense_refused() {
        let helper = Helper {
            config: HelperConfig::default(),
            program: "/nonexistent".into(),
            clips: PathBuf::new(),
        };
        let (tell, told) = mpsc::channel(4);
        let (say, mut said) = mpsc::channel(4);
        tell.send(r#"{"clock":7}"#.to_owned()).await.expect("room");
        tell.send(r#"{"order":"stop"}"#.to_owned()).await.expect("room");
        helper.help(told, say, CancellationToken::new()).await;
        let first = said.recv().await.expect("an answer");
        assert!(
            matches!(serde_json::from_str(&first), Ok(Said::Clock { number: 7, .. })),
            "{first}"
        );
        let second = said.recv().await.expect("an answer");
        assert!(
            matches!(serde_json::from_str(&second), Ok(Said::Refused(_))),
            "{second}"
        );
    }

    #[test]
    fn words_of_the_process_are_understood_as_they_are() {
        let line = serde_json::to_string(&Word::Ready("abc".to_owned())).expect("json");
        assert!(matches!(serde_json::from_str(&line), Ok(Said::Word(Word::Ready(digest))) if digest == "abc"));
    }
}
