//! `greffier load run`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use greffier_agent::livekit::LiveKitConfig;
use greffier_agent::load::scenario::{Count, Length};
use greffier_agent::load::{LoadOptions, LoadReport, LoadTest, Machine, Progress, Scenario, find_limit};
use greffier_agent::supervisor::Supervisor;
use greffier_agent::synthetic::clip::default_cache;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::live::Live;
use super::said;
use crate::config::Config;
use crate::show;

/// Run a scenario: a file, or a template (`greffier load templates` lists them).
#[derive(Debug, Args)]
pub struct Run {
    /// `meeting-6`, or a YAML file.
    scenario: String,
    /// Instead of the scenario's rooms.
    #[arg(long, value_parser = count)]
    rooms: Option<Count>,
    /// Instead of the scenario's duration: `60s`, `5m`.
    #[arg(long)]
    duration: Option<Length>,
    /// Instead of the scenario's seed.
    #[arg(long)]
    seed: Option<u64>,
    /// Processes that play the participants.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=64))]
    workers: u8,
    /// Another Greffier that plays instead of this machine, with `worker = true` in `[load]` of its configuration; may be
    /// given several times. Each plays whole rooms.
    #[arg(long = "machine", value_name = "URL", conflicts_with = "workers")]
    machines: Vec<Url>,
    /// The API key of all `--machine`s, with the scope `admin`.
    #[arg(
        long,
        env = "GREFFIER_MACHINE_KEY",
        hide_env_values = true,
        value_name = "KEY",
        conflicts_with = "machine_key_file"
    )]
    machine_key: Option<String>,
    /// A file with the API keys of the `--machine`s: one for all, or one in each line, in the same order.
    #[arg(long, value_name = "FILE")]
    machine_key_file: Option<PathBuf>,
    /// The LiveKit server. Without it and its keys, that of the configuration.
    #[arg(long, env = "LIVEKIT_URL")]
    server_url: Option<Url>,
    #[arg(long, env = "LIVEKIT_API_KEY")]
    api_key: Option<String>,
    #[arg(long, env = "LIVEKIT_API_SECRET", hide_env_values = true)]
    api_secret: Option<String>,
    /// Test a server that is not on this machine.
    #[arg(long)]
    i_own_this_server: bool,
    /// The server's Prometheus endpoint, to show its figures beside ours. Of a server on this machine it is looked for.
    #[arg(long)]
    prometheus: Option<Url>,
    /// Add rooms until a threshold fails; tell the last number that held.
    #[arg(long)]
    find_limit: bool,
    /// Write the whole result as JSON to this file; `greffier load compare` reads it.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write `JUnit` XML to this file.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Write a page with charts to this file.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

const SHUTDOWN_LIMIT: Duration = Duration::from_secs(5);

fn count(text: &str) -> Result<Count, String> {
    let count = text.parse().ok().and_then(Count::new);
    count.ok_or_else(|| format!("1 to {}", Count::MAX))
}

impl Run {
    pub async fn run(self, configured: impl Fn() -> anyhow::Result<Config>) -> anyhow::Result<ExitCode> {
        // Without a usable configuration there are no recordings to be named.
        let recordings = configured().ok().map(|config| config.store.data_dir.join("recordings"));
        let mut scenario = Scenario::load_beside(&self.scenario, recordings.as_deref())?;
        scenario.rooms = self.rooms.unwrap_or(scenario.rooms);
        scenario.duration = self.duration.unwrap_or(scenario.duration);
        scenario.ramp = scenario.ramp.min(scenario.duration);
        scenario.seed = self.seed.unwrap_or(scenario.seed);
        if let Some(url) = &self.prometheus {
            scenario.server.prometheus = Some(url.clone());
        }
        let scenario = scenario.checked()?;
        let server = match (&self.server_url, &self.api_key, &self.api_secret) {
            (Some(url), Some(key), Some(secret)) => LiveKitConfig {
                url: url.clone(),
                api_key: key.clone(),
                api_secret: secret.clone().into(),
            },
            (Some(url), _, _) if scenario.tokens.is_some() => LiveKitConfig {
                url: url.clone(),
                api_key: String::new(),
                api_secret: String::new().into(),
            },
            _ => configured()?.livekit()?,
        };
        let options = LoadOptions {
            has_key: !server.api_key.is_empty(),
            server,
            workers: usize::from(self.workers),
            program: std::env::current_exe().context("where this program is cannot be told")?,
            clips: default_cache(),
            i_own_this_server: self.i_own_this_server,
            machines: self.machines()?,
        };
        let supervisor = Supervisor::new();
        let code = if self.find_limit {
            self.limit(scenario, &options, &supervisor).await
        } else {
            self.once(scenario, options, &supervisor).await
        };
        supervisor.shutdown(SHUTDOWN_LIMIT, std::future::pending()).await;
        code
    }

    fn machines(&self) -> anyhow::Result<Vec<Machine>> {
        let keys: Vec<String> = match (&self.machine_key, &self.machine_key_file) {
            (Some(key), _) => vec![key.clone()],
            (None, Some(path)) => {
                let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
                text.split_whitespace().map(str::to_owned).collect()
            }
            (None, None) if self.machines.is_empty() => return Ok(Vec::new()),
            (None, None) => {
                bail!("--machine needs an API key of that machine: --machine-key-file, or GREFFIER_MACHINE_KEY")
            }
        };
        let (count, of) = (self.machines.len(), keys.len());
        if of != 1 && of != count {
            bail!("there are {of} API keys for {count} machines; give one for all, or one for each");
        }
        let machine = |(url, key): (&Url, &String)| Machine {
            url: url.clone(),
            api_key: key.clone().into(),
        };
        Ok(self.machines.iter().zip(keys.iter().cycle()).map(machine).collect())
    }

    async fn once(
        &self,
        scenario: Scenario,
        options: LoadOptions,
        supervisor: &Supervisor,
    ) -> anyhow::Result<ExitCode> {
        let mut live = Live::new(&scenario.name);
        let test = LoadTest::start(scenario, options, supervisor).await?;
        let (stopper, mut progress) = (test.stopper(), test.progress());
        let result = test.result();
        tokio::pin!(result);
        let mut asked = false;
        let report = loop {
            tokio::select! {
                report = &mut result => break report?,
                Ok(()) = progress.changed() => live.show(&progress.borrow_and_update().clone()),
                interrupted = tokio::signal::ctrl_c() => {
                    interrupted?;
                    if asked {
                        anyhow::bail!("stopped at once; rooms of the test may be left on the server");
                    }
                    asked = true;
                    stopper.stop();
                    show::note("stopping: everybody leaves; press Ctrl-C again to stop at once");
                }
            }
        };
        drop(live);
        said::report(&report);
        self.write(&report)?;
        Ok(ExitCode::from(report.verdict.outcome.exit_code()))
    }

    async fn limit(
        &self,
        scenario: Scenario,
        options: &LoadOptions,
        supervisor: &Supervisor,
    ) -> anyhow::Result<ExitCode> {
        let (told, mut steps) = mpsc::channel(4);
        let (progress, mut seen) = mpsc::channel::<Progress>(4);
        let stop = CancellationToken::new();
        let mut live = Live::new(&scenario.name);
        let name = scenario.name.clone();
        let search = find_limit(scenario, options, supervisor, told, progress, stop.clone());
        tokio::pin!(search);
        let found = loop {
            tokio::select! {
                found = &mut search => break found?,
                Some(now) = seen.recv() => live.show(&now),
                Some(ended) = steps.recv() => {
                    live = Live::new(&name);
                    said::step(&ended);
                }
                interrupted = tokio::signal::ctrl_c() => {
                    interrupted?;
                    stop.cancel();
                    show::note("stopping: everybody leaves");
                }
            }
        };
        drop(live);
        said::limit(&found);
        if let Some(path) = &self.json {
            write(path, &serde_json::to_string(&found)?)?;
        }
        // The pages are about the last step that held, or the first that did not.
        let shown = found
            .held
            .or(found.failed)
            .and_then(|rooms| found.steps.iter().rfind(|step| step.rooms == rooms));
        if let Some(step) = shown {
            self.write_pages(&step.report)?;
        }
        Ok(if found.held.is_some() {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(3)
        })
    }

    fn write(&self, report: &LoadReport) -> anyhow::Result<()> {
        if let Some(path) = &self.json {
            write(path, &serde_json::to_string_pretty(report)?)?;
        }
        self.write_pages(report)
    }

    fn write_pages(&self, report: &LoadReport) -> anyhow::Result<()> {
        if let Some(path) = &self.junit {
            write(path, &report.junit())?;
        }
        if let Some(path) = &self.html {
            write(path, &report.html())?;
        }
        Ok(())
    }
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
