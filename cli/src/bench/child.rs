//! Child processes that are told what to do by lines of JSON, and answer with lines of JSON.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines, Stdin};
use tokio::process::{Child as Spawned, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

/// One of our own subcommands, running.
pub struct Child {
    name: &'static str,
    process: Spawned,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Child {
    /// Starts `greffier bench <name>` and gives it `config`.
    pub async fn start(name: &'static str, config: &impl Serialize) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("where this program is cannot be told")?;
        let mut child = Command::new(program)
            .args(["bench", name])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{name} cannot be started"))?;
        let (Some(orders), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            bail!("{name} has no pipes");
        };
        let mut child = Self {
            name,
            process: child,
            orders,
            answers: BufReader::new(answers).lines(),
        };
        child.tell(config).await?;
        Ok(child)
    }

    pub fn pid(&self) -> Option<u32> {
        self.process.id()
    }

    pub async fn tell(&mut self, what: &impl Serialize) -> anyhow::Result<()> {
        let mut line = serde_json::to_vec(what)?;
        line.push(b'\n');
        self.orders
            .write_all(&line)
            .await
            .with_context(|| format!("{} does not listen", self.name))
    }

    /// The next line of the child.
    pub async fn answer<T: DeserializeOwned>(&mut self, within: Duration) -> anyhow::Result<T> {
        let line = timeout(within, self.answers.next_line()).await;
        let line = line.with_context(|| format!("{} said nothing for {} s", self.name, within.as_secs()))??;
        let line = line.with_context(|| format!("{} ended early; what it said stands above", self.name))?;
        serde_json::from_str(&line).with_context(|| format!("{} said `{line}`", self.name))
    }

    /// Waits for its end; it is killed if that takes long.
    pub async fn end(mut self, within: Duration) -> anyhow::Result<()> {
        drop(self.orders);
        if timeout(within, self.process.wait()).await.is_err() {
            self.process.kill().await?;
        }
        Ok(())
    }
}

/// The other side: what the parent says.
pub struct Parent {
    orders: Lines<BufReader<Stdin>>,
}

impl Parent {
    pub fn new() -> Self {
        Self {
            orders: BufReader::new(tokio::io::stdin()).lines(),
        }
    }

    /// The next order; `None` when the parent wants no more, or is gone.
    pub async fn order<T: DeserializeOwned>(&mut self) -> anyhow::Result<Option<T>> {
        let line = self.orders.next_line().await?;
        line.map(|line| serde_json::from_str(&line).with_context(|| format!("told `{line}`")))
            .transpose()
    }

    /// What it is to do, said first.
    pub async fn config<T: DeserializeOwned>(&mut self) -> anyhow::Result<T> {
        self.order()
            .await?
            .context("told nothing: this command is run by `greffier bench capture`")
    }
}

/// Answers the parent.
pub fn say(what: &impl Serialize) -> anyhow::Result<()> {
    crate::show::line(serde_json::to_string(what)?);
    Ok(())
}
