//! `greffier render`: films of sealed recordings, made by the server.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use clap::{Args, ValueEnum};
use greffier_agent::view::RenderView;
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::Method;
use serde_json::{Value, json};

use crate::client::{Client, ServerArgs, segment};
use crate::config::Config;
use crate::record::FAILED;
use crate::{recordings, show};

const LOOK_EVERY: Duration = Duration::from_millis(400);

/// Make a film of a sealed recording: a composite, sound alone, or the participants' files again.
///
/// The server makes it; Ctrl-C ends it there, too. What is made stays with the recording, and is fetched with --output.
///
/// Exit codes: 0 when it is ready, 1 when the server refused or could not be asked, 2 for wrong arguments, 3 when the render
/// failed or was cancelled.
#[derive(Debug, Args)]
pub struct Render {
    recording: String,
    /// What to make.
    #[arg(long, value_enum, default_value = "composite")]
    kind: Kind,
    /// Who is where.
    #[arg(long, value_enum, default_value = "speaker")]
    layout: Layout,
    /// Composites: mp4, webm. Sound: ogg, mp3, wav.
    #[arg(long)]
    format: Option<String>,
    /// In pixels.
    #[arg(long, default_value = "1280x720", value_parser = size)]
    size: (u32, u32),
    /// Frames per second.
    #[arg(long, default_value_t = 30)]
    fps: u32,
    /// No names on the pictures.
    #[arg(long)]
    no_labels: bool,
    /// Where to begin, in seconds from the recording's start.
    #[arg(long, value_name = "SECONDS")]
    from: Option<f64>,
    /// Where to end.
    #[arg(long, value_name = "SECONDS")]
    to: Option<f64>,
    /// Where to put what is made. Without it, it stays on the server.
    #[arg(long, short, value_name = "FOLDER")]
    output: Option<PathBuf>,
    /// Print the render as JSON, with where its files were fetched to.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    Composite,
    Audio,
    Tracks,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Layout {
    Grid,
    Speaker,
    Screen,
}

/// Reads `1280x720`.
pub fn size(text: &str) -> Result<(u32, u32), String> {
    let parsed = text
        .split_once('x')
        .and_then(|(width, height)| Some((width.parse().ok()?, height.parse().ok()?)));
    parsed.ok_or_else(|| "a size is written 1280x720".to_owned())
}

impl Render {
    fn request(&self) -> anyhow::Result<Value> {
        let milliseconds = |seconds: Option<f64>| match seconds {
            None => Ok(Value::Null),
            Some(seconds) => match Duration::try_from_secs_f64(seconds) {
                Ok(at) => Ok(json!(u64::try_from(at.as_millis())?)),
                Err(_) => bail!("{seconds} is no number of seconds"),
            },
        };
        let mut request = match self.kind {
            Kind::Tracks => return Ok(json!({"kind": "tracks"})),
            Kind::Audio => json!({"kind": "audio"}),
            Kind::Composite => json!({
                "kind": "composite",
                "layout": format!("{:?}", self.layout).to_lowercase(),
                "width": self.size.0,
                "height": self.size.1,
                "fps": self.fps,
                "labels": !self.no_labels,
            }),
        };
        if let Some(format) = &self.format {
            request["format"] = json!(format);
        }
        for (name, value) in [("from_ms", milliseconds(self.from)?), ("to_ms", milliseconds(self.to)?)] {
            if !value.is_null() {
                request[name] = value;
            }
        }
        Ok(request)
    }

    pub async fn run(self, config: Config) -> anyhow::Result<ExitCode> {
        let client = Client::new(&self.server, &config)?;
        let path = format!("api/recordings/{}/renders", segment(&self.recording));
        let render: RenderView = client.ask(Method::POST, &path, Some(&self.request()?)).await?;
        let path = format!("api/renders/{}", render.id);
        let template = "{msg} {bar:40} {percent} % {elapsed_precise}, {eta} left";
        let bar = ProgressBar::new(1000).with_style(ProgressStyle::with_template(template)?);
        loop {
            let now: RenderView = client.get(&path).await?;
            bar.set_message(now.state.clone());
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 1000")]
            bar.set_position((now.progress.clamp(0.0, 1.0) * 1000.0) as u64);
            match now.state.as_str() {
                "ready" => {
                    bar.finish_and_clear();
                    return self.take(&client, &now).await;
                }
                "failed" => {
                    bar.finish_and_clear();
                    let why = match &now.failure {
                        Some(why) => format!(
                            "{}: {}",
                            why.kind,
                            why.message.as_deref().unwrap_or("the log says more")
                        ),
                        None => "the render failed".to_owned(),
                    };
                    return self.unmade(&now, &why);
                }
                "cancelled" => {
                    bar.finish_and_clear();
                    return self.unmade(&now, "the render was cancelled");
                }
                _ => {}
            }
            tokio::select! {
                interrupted = tokio::signal::ctrl_c() => {
                    interrupted?;
                    client.ask::<RenderView>(Method::POST, &format!("{path}/cancel"), None).await?;
                }
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    async fn take(&self, client: &Client, render: &RenderView) -> anyhow::Result<ExitCode> {
        let mut fetched = Vec::new();
        for file in &render.files {
            match &self.output {
                Some(folder) => {
                    let one = recordings::fetch(client, render, file, folder).await?;
                    if !self.json {
                        show::line(one.path.display());
                    }
                    fetched.push(one);
                }
                None if self.json => {}
                None => show::line(format_args!("{} ({})", file.name, show::bytes(file.bytes))),
            }
        }
        if self.json {
            let all = json!({"render": render, "fetched": fetched});
            show::line(serde_json::to_string_pretty(&all)?);
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Nothing came of it.
    fn unmade(&self, render: &RenderView, why: &str) -> anyhow::Result<ExitCode> {
        if self.json {
            show::line(serde_json::to_string_pretty(&json!({"render": render, "fetched": []}))?);
        }
        show::note(format_args!("error: {why}"));
        Ok(ExitCode::from(FAILED))
    }
}
