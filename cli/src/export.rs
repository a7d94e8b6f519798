//! `greffier export`: a recording's packets, straight from the data directory, whether the server runs or not.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use greffier_agent::clock::SystemClock;
use greffier_media::ids::RecordingId;
use greffier_media::render::{ExportFormat, ExportRequest, RenderRequest};
use greffier_pipelines::{CancelFlag, Job};
use greffier_store::Store;
use greffier_store::files::FilePart;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use crate::config::Config;
use crate::show;

/// Write a recording's packets for other tools. It reads the data directory, whether the server runs or not.
///
/// Exit codes: 0 when it is written, 1 when it could not be, 2 for wrong arguments.
#[derive(Debug, Args)]
pub struct Export {
    recording: RecordingId,
    #[arg(long, value_enum, default_value = "pcap")]
    format: Format,
    /// The folder to write to.
    #[arg(long, short, default_value = ".")]
    output: PathBuf,
    /// Print the files written as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// For Wireshark and tshark.
    Pcap,
    /// For rtptools, one file for each stream.
    Rtpdump,
    /// The journal in one file, for MCAP's tools.
    Mcap,
}

impl Export {
    pub async fn run(self, config: Config) -> anyhow::Result<ExitCode> {
        let store = Store::open_read_only(&config.store, Arc::new(SystemClock::start())).await?;
        let segments = segments(&store, self.recording).await?;
        let format = match self.format {
            Format::Pcap => ExportFormat::Pcap,
            Format::Rtpdump => ExportFormat::Rtpdump,
            Format::Mcap => ExportFormat::Mcap,
        };
        let request = RenderRequest::Export(ExportRequest { format });
        let job = Job {
            recording: self.recording,
            segments,
            request,
            folder: self.output.clone(),
        };
        let bar = ProgressBar::new(1000).with_style(ProgressStyle::with_template("{bar:40} {percent} %")?);
        let shown = bar.clone();
        let work = move || {
            greffier_pipelines::render(
                &job,
                |permille| shown.set_position(permille.into()),
                &CancelFlag::default(),
            )
        };
        let rendered = tokio::task::spawn_blocking(work).await?;
        bar.finish_and_clear();
        let rendered = match rendered {
            Ok(rendered) => rendered,
            Err(error) => bail!("{}", error.describe()),
        };
        rendered.notes.iter().for_each(show::note);
        let paths: Vec<PathBuf> = rendered.files.iter().map(|file| self.output.join(&file.name)).collect();
        if self.json {
            let all = json!({"recording": self.recording, "files": paths, "notes": rendered.notes});
            show::line(serde_json::to_string_pretty(&all)?);
        } else {
            for path in &paths {
                show::line(path.display());
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// A recording's sealed segments on this disk, in order.
pub async fn segments(store: &Store, recording: RecordingId) -> anyhow::Result<Vec<PathBuf>> {
    let files = store.files().list(recording).await?;
    let mut paths = Vec::new();
    for file in files.iter().filter(|file| matches!(file.part, FilePart::Segment(_))) {
        let path = file.path(store.data());
        let here = path
            .try_exists()
            .with_context(|| format!("cannot look for {}", path.display()))?;
        if !here {
            bail!(
                "{} is in the object store only; the server can export it (POST …/renders)",
                file.name
            );
        }
        paths.push(path);
    }
    if paths.is_empty() {
        bail!("{recording} has no sealed segment yet");
    }
    Ok(paths)
}
