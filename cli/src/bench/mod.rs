//! `greffier bench`: what capturing costs, beside what it must cost.

mod bot;
mod capture;
mod child;
mod floor;
mod journal;
mod publishers;
mod render;
mod server;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::config::Config;

/// Measure what Greffier costs on this machine.
#[derive(Debug, Args)]
pub struct Bench {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Record rooms full of synthetic participants; show the cost per packet beside the least it could be.
    Capture(capture::Capture),
    /// Render a recording by copy and as a composite, beside ffmpeg on the same media.
    Render(render::Render),
    /// The recorder, in a process of its own.
    #[command(hide = true)]
    Bot,
    /// The participants, in a process of their own.
    #[command(hide = true)]
    Publishers,
}

impl Bench {
    /// # Errors
    /// When something that is needed is missing, or a process fails.
    pub fn run(self, config: impl FnOnce() -> anyhow::Result<Config>) -> anyhow::Result<ExitCode> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        match self.what {
            What::Capture(capture) => runtime.block_on(capture.run()),
            What::Render(render) => runtime.block_on(render.run(config()?)),
            What::Bot => runtime.block_on(bot::run()),
            What::Publishers => runtime.block_on(publishers::run()),
        }
    }
}
