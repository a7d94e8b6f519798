//! `greffier recordings`: recordings, through the server.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::{Args, Subcommand};
use greffier_agent::view::{FileView, RecordingView, RenderView};
use greffier_media::ids::RenderId;
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::Method;
use serde::Serialize;
use serde_json::json;

use crate::client::{Client, ServerArgs, query, segment};
use crate::config::Config;
use crate::show;

/// Why it failed, in words.
pub fn failure(recording: &RecordingView) -> String {
    match &recording.failure {
        Some(failure) => format!(
            "{}: {}",
            failure.kind,
            failure.message.as_deref().unwrap_or("the log says more")
        ),
        None => "the recording failed".to_owned(),
    }
}

/// See and steer recordings.
///
/// Exit codes: 0 when it was done, 1 when the server refused or could not be asked, 2 for wrong arguments.
#[derive(Debug, Args)]
pub struct Recordings {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List recordings, newest first.
    List {
        /// Only those of this room.
        #[arg(long)]
        room: Option<String>,
        /// Only those in this state: requested, joining, capturing, sealing, sealed, failed.
        #[arg(long)]
        state: Option<String>,
        /// How many at most.
        #[arg(long, default_value_t = 50)]
        limit: usize,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Everything about one recording, with its renders and their files.
    Show {
        recording: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// End a recording.
    Stop {
        recording: String,
        /// Print the recording as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Keep nothing of what happens until resumed.
    Pause {
        recording: String,
        /// Print the recording as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Keep again what happens.
    Resume {
        recording: String,
        /// Print the recording as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Delete a recording and everything made from it.
    Delete {
        recording: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
        /// Print what was deleted as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Fetch the files made of a recording.
    Download {
        recording: String,
        /// Where to.
        #[arg(long, short, default_value = ".")]
        output: PathBuf,
        /// Only the file of this name.
        #[arg(long)]
        name: Option<String>,
        /// Print where the files are as JSON.
        #[arg(long)]
        json: bool,
    },
}

impl Recordings {
    pub async fn run(self, config: Config) -> anyhow::Result<ExitCode> {
        let client = Client::new(&self.server, &config)?;
        match self.what {
            What::List {
                room,
                state,
                limit,
                json,
            } => list(&client, room, state, limit, json).await?,
            What::Show { recording, json } => show_one(&client, &recording, json).await?,
            What::Stop { recording, json } => steer(&client, &recording, "stop", json).await?,
            What::Pause { recording, json } => steer(&client, &recording, "pause", json).await?,
            What::Resume { recording, json } => steer(&client, &recording, "resume", json).await?,
            What::Delete { recording, yes, json } => delete(&client, &recording, yes, json).await?,
            What::Download {
                recording,
                output,
                name,
                json,
            } => download(&client, &recording, output, name, json).await?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

async fn list(
    client: &Client,
    room: Option<String>,
    state: Option<String>,
    limit: usize,
    json: bool,
) -> anyhow::Result<()> {
    let pairs: Vec<_> = [("room", &room), ("state", &state)]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.as_deref()?)))
        .collect();
    let items: Vec<RecordingView> = client.list(&format!("api/recordings?{}", query(&pairs)), limit).await?;
    if json {
        show::line(serde_json::to_string_pretty(&items)?);
        return Ok(());
    }
    let mut table = show::table(&["recording", "room", "state", "started", "duration", "people", "size"]);
    for item in items {
        let state = if item.paused {
            format!("{} (paused)", item.state)
        } else {
            item.state.clone()
        };
        table.add_row([
            item.id.to_string(),
            item.room,
            state,
            show::time(item.started_at.unwrap_or(item.created_at)),
            show::duration(item.duration_ms),
            item.participants.to_string(),
            show::bytes(item.bytes),
        ]);
    }
    show::line(table);
    Ok(())
}

async fn show_one(client: &Client, id: &str, json: bool) -> anyhow::Result<()> {
    let path = format!("api/recordings/{}", segment(id));
    let recording: RecordingView = client.get(&path).await?;
    let renders: Vec<RenderView> = client.list(&format!("{path}/renders"), usize::MAX).await?;
    if json {
        show::line(serde_json::to_string_pretty(
            &json!({"recording": recording, "renders": renders}),
        )?);
        return Ok(());
    }
    let mut facts = show::table(&["recording", &recording.id.to_string()]);
    let mut fact = |name: &str, value: String| {
        facts.add_row([name.to_owned(), value]);
    };
    fact("room", recording.room.clone());
    fact("state", recording.state.clone());
    if recording.state == "failed" {
        fact("failure", failure(&recording));
    }
    fact(
        "started",
        show::time(recording.started_at.unwrap_or(recording.created_at)),
    );
    fact("duration", show::duration(recording.duration_ms));
    fact("participants", recording.participants.to_string());
    fact(
        "packets",
        format!("{} ({} lost)", recording.packets, recording.lost_packets),
    );
    fact("journal", show::bytes(recording.bytes));
    if let Some(reason) = &recording.stop_reason {
        fact("ended because", reason.clone());
    }
    show::line(facts);
    let mut table = show::table(&["render", "kind", "state", "file", "size"]);
    for render in renders {
        let state = match render.state.as_str() {
            "running" => format!("running, {:.0} %", render.progress * 100.0),
            state => state.to_owned(),
        };
        if render.files.is_empty() {
            table.add_row([
                render.id.to_string(),
                render.kind.clone(),
                state.clone(),
                String::new(),
                String::new(),
            ]);
        }
        for FileView { name, bytes, .. } in render.files {
            table.add_row([
                render.id.to_string(),
                render.kind.clone(),
                state.clone(),
                name,
                show::bytes(bytes),
            ]);
        }
    }
    show::line(table);
    Ok(())
}

async fn steer(client: &Client, id: &str, verb: &str, json: bool) -> anyhow::Result<()> {
    let path = format!("api/recordings/{}/{verb}", segment(id));
    let now: RecordingView = client.ask(Method::POST, &path, None).await?;
    if json {
        show::line(serde_json::to_string_pretty(&now)?);
        return Ok(());
    }
    show::line(format_args!(
        "{}: {}{}",
        now.id,
        now.state,
        if now.paused { " (paused)" } else { "" }
    ));
    Ok(())
}

async fn delete(client: &Client, id: &str, yes: bool, json: bool) -> anyhow::Result<()> {
    let path = format!("api/recordings/{}", segment(id));
    let recording: RecordingView = client.get(&path).await?;
    if !yes {
        bail!(
            "this deletes {} ({} of `{}`) and all its files for good; say so with --yes",
            recording.id,
            show::duration(recording.duration_ms),
            recording.room
        );
    }
    client.ask::<()>(Method::DELETE, &path, None).await?;
    if json {
        show::line(serde_json::to_string_pretty(&json!({"deleted": recording.id}))?);
    } else {
        show::line(format_args!("{} is deleted", recording.id));
    }
    Ok(())
}

async fn download(client: &Client, id: &str, output: PathBuf, name: Option<String>, json: bool) -> anyhow::Result<()> {
    let path = format!("api/recordings/{}/renders", segment(id));
    let renders: Vec<RenderView> = client.list(&path, usize::MAX).await?;
    let mut fetched = Vec::new();
    for render in &renders {
        for file in render
            .files
            .iter()
            .filter(|file| name.as_ref().is_none_or(|name| *name == file.name))
        {
            let one = fetch(client, render, file, &output).await?;
            if !json {
                show::line(one.path.display());
            }
            fetched.push(one);
        }
    }
    if fetched.is_empty() {
        bail!("there is no such file; `greffier recordings show {id}` lists what there is");
    }
    if json {
        show::line(serde_json::to_string_pretty(&fetched)?);
    }
    Ok(())
}

/// A file that was fetched.
#[derive(Debug, Serialize)]
pub struct Fetched {
    pub render: RenderId,
    pub name: String,
    pub path: PathBuf,
    pub bytes: u64,
}

/// Fetches one file of a render, with a bar.
pub async fn fetch(
    client: &Client,
    render: &RenderView,
    file: &FileView,
    output: &std::path::Path,
) -> anyhow::Result<Fetched> {
    let path = format!(
        "api/recordings/{}/renders/{}/files/{}",
        render.recording,
        render.id,
        segment(&file.name)
    );
    let template = "{msg} {bar:30} {bytes}/{total_bytes} {bytes_per_sec}";
    let bar = ProgressBar::new(file.bytes).with_style(ProgressStyle::with_template(template)?);
    bar.set_message(file.name.clone());
    // The server's names are single ones; whatever else comes stays in the folder.
    let Some(name) = std::path::Path::new(&file.name).file_name() else {
        bail!("`{}` is no file's name", file.name)
    };
    tokio::fs::create_dir_all(output).await?;
    let to = output.join(name);
    client.download(&path, &to, |bytes| bar.inc(bytes)).await?;
    bar.finish_and_clear();
    Ok(Fetched {
        render: render.id,
        name: file.name.clone(),
        path: to,
        bytes: file.bytes,
    })
}
