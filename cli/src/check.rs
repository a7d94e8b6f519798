//! `greffier check`: the invariants of the data directory.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;
use greffier_agent::clock::SystemClock;
use greffier_store::Store;
use greffier_store::check::CheckOptions;

use crate::config::Config;
use crate::show;

/// Check that everything on the disk is as it must be, and repair what a crash left.
///
/// Exit codes: 0 when all is well or repaired, 1 when the check could not be made, 2 when something is left to repair.
#[derive(Debug, Args)]
pub struct Check {
    /// Repair what can be. The server must not be running.
    #[arg(long)]
    repair: bool,
    /// Read every byte of every file and compare its SHA-256, too.
    #[arg(long)]
    contents: bool,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
}

/// Something is left to repair.
const LEFT: u8 = 2;

impl Check {
    pub async fn run(self, config: Config) -> anyhow::Result<ExitCode> {
        let clock = Arc::new(SystemClock::start());
        let store = if self.repair {
            let store = Store::open(&config.store, clock)
                .await
                .context("repairing needs the data directory alone")?;
            store.recover().await?;
            store
        } else {
            Store::open_read_only(&config.store, clock).await?
        };
        let report = store
            .check(CheckOptions {
                repair: self.repair,
                contents: self.contents,
            })
            .await?;
        if self.json {
            show::line(serde_json::to_string_pretty(&report)?);
        } else {
            for finding in &report.findings {
                show::line(finding);
            }
            show::line(format_args!(
                "{} recordings, {} segments, {} renders checked ({} read, {} live recordings left alone): {}",
                report.recordings,
                report.segments,
                report.renders,
                show::bytes(report.bytes_read),
                report.live,
                match report.findings.len() {
                    0 => "all is well".to_owned(),
                    1 => "1 finding".to_owned(),
                    more => format!("{more} findings"),
                }
            ));
        }
        store.close().await?;
        Ok(if report.is_repaired() {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(LEFT)
        })
    }
}
