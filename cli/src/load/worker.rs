//! `greffier load-worker`: one process of a load test, run by `greffier load run` and by the server.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use greffier_agent::load::worker::{Order, Word, WorkerConfig, play};
use greffier_agent::supervisor::Supervisor;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::sync::mpsc;

use crate::show;

const SHUTDOWN_LIMIT: Duration = Duration::from_secs(5);

/// Plays what it is told on its standard input, and answers on its standard output.
///
/// # Errors
/// When what it is told makes no sense.
pub fn worker() -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let code = runtime.block_on(run());
    // A read of the standard input may wait for ever.
    runtime.shutdown_background();
    code
}

async fn run() -> anyhow::Result<ExitCode> {
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let line = lines
        .next_line()
        .await?
        .context("told nothing: this command is run by `greffier load run`")?;
    let config: WorkerConfig = serde_json::from_str(&line).context("what it was told makes no sense")?;
    let supervisor = Supervisor::new();
    let (give, orders) = mpsc::channel::<Order>(4);
    let (words, mut said) = mpsc::channel::<Word>(16);
    let playing = play(config, &supervisor, orders, words);
    let listening = async {
        // The end of the input is the end of the parent: letting go of `give` says so.
        while let Ok(Some(line)) = lines.next_line().await {
            match serde_json::from_str(&line) {
                Ok(order) if give.send(order).await.is_ok() => {}
                _ => break,
            }
        }
        drop(give);
        std::future::pending::<()>().await;
    };
    let speaking = async {
        while let Some(word) = said.recv().await {
            show::line(serde_json::to_string(&word)?);
        }
        anyhow::Ok(())
    };
    // A terminal's Ctrl-C reaches every process of its group; ours ends when its parent says so.
    let deaf = async {
        while tokio::signal::ctrl_c().await.is_ok() {}
        std::future::pending::<()>().await;
    };
    let spoken = tokio::select! {
        (spoken, ()) = async { tokio::join!(speaking, playing) } => spoken,
        () = listening => Ok(()),
        () = deaf => Ok(()),
    };
    supervisor.shutdown(SHUTDOWN_LIMIT, std::future::pending()).await;
    spoken?;
    Ok(ExitCode::SUCCESS)
}
