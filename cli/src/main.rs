//! The `greffier` binary: wiring only, one file for each subcommand.

mod bench;
mod check;
mod client;
mod config;
mod export;
mod load;
mod logging;
mod record;
mod recordings;
mod render;
mod render_job;
mod serve;
mod show;
mod token;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::Config;

/// Each packet is a few short-lived pieces of memory that one thread takes and another gives back. The C library's allocator
/// would take a seventh of a recorder's time for it.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Keeps the record of LiveKit rooms: recordings without decoding, the meeting application, load tests.
#[derive(Debug, Parser)]
#[command(name = "greffier", version, max_term_width = 110)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Args)]
struct Common {
    /// The configuration file. Without it `greffier.toml` in the current folder, if there is one.
    #[arg(long, short, global = true, env = "GREFFIER_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server: the bot, the API and the web application.
    Serve,
    /// Record a room now: asks the server, shows what is kept, stops with Ctrl-C.
    Record(record::Record),
    /// See and steer recordings: list, show, stop, pause, resume, delete, download.
    Recordings(recordings::Recordings),
    /// Make a film of a sealed recording: a composite, sound alone, or the participants' files again.
    Render(render::Render),
    /// Write a recording's packets for other tools: Wireshark, rtptools, MCAP.
    Export(export::Export),
    /// Check that everything on the disk is as it must be, and repair what a crash left.
    Check(check::Check),
    /// Measure what Greffier costs on this machine.
    Bench(bench::Bench),
    /// Load a LiveKit server with synthetic participants, and see how good their meetings are.
    Load(load::Load),
    /// Mint a LiveKit token, for trying things out.
    Token(token::Token),
    /// Look at the configuration.
    Config(config::Show),
    /// What the server runs for each render.
    #[command(hide = true)]
    RenderJob,
    /// One process of a load test.
    #[command(hide = true)]
    LoadWorker,
}

fn main() -> ExitCode {
    // Two are compiled in, since dependencies ask for either; rustls panics at the first TLS rather than to choose. It fails
    // only if one is chosen already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let cli = Cli::parse();
    match run(cli) {
        Ok(code) => code,
        Err(error) => {
            show::error(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let load = || Config::load(cli.common.config.as_deref());
    match cli.command {
        // It is told everything on its standard input, and knows no configuration.
        Command::RenderJob => render_job::run(),
        Command::Config(show) => show.run(&load()?),
        Command::Serve => serve::run(load()?),
        Command::Record(record) => runtime()?.block_on(record.run(load()?)),
        Command::Recordings(recordings) => runtime()?.block_on(recordings.run(load()?)),
        Command::Render(render) => runtime()?.block_on(render.run(load()?)),
        Command::Export(export) => runtime()?.block_on(export.run(load()?)),
        Command::Check(check) => runtime()?.block_on(check.run(load()?)),
        Command::Bench(bench) => bench.run(load),
        Command::Load(test) => test.run(load),
        Command::LoadWorker => load::worker(),
        Command::Token(token) => token.run(&load()?),
    }
}

/// For commands that do one thing.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}
