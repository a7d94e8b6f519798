//! `greffier record`: a recording, asked of the server and watched until it ends.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use clap::Args;
use greffier_agent::view::RecordingView;
use greffier_media::codec::Dims;
use greffier_media::journal::TrackSource;
use greffier_store::recordings::{LayerPolicy, TrackFilter};
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::client::{Client, ServerArgs};
use crate::config::Config;
use crate::recordings::failure;
use crate::show;

const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Record a room now: asks the server, shows what is kept, stops with Ctrl-C.
///
/// Exit codes: 0 when it was sealed (with --detach: when it begins), 1 when the server refused or could not be asked, 2 for wrong
/// arguments, 3 when the recording failed.
#[derive(Debug, Args)]
pub struct Record {
    /// The room. It must exist on the LiveKit server.
    room: String,
    /// Tells recordings of one room apart that run at the same time.
    #[arg(long)]
    name: Option<String>,
    /// Sound only.
    #[arg(long)]
    audio_only: bool,
    /// Record only tracks for which all of this holds: identity=…, `source=camera|microphone|screen_share|screen_share_audio`,
    /// kind=audio|video, joined by commas. Given more than once, tracks that match any.
    #[arg(long, value_name = "FILTER", value_parser = filter)]
    include: Vec<TrackFilter>,
    /// Leave such tracks out, whatever --include says.
    #[arg(long, value_name = "FILTER", value_parser = filter)]
    exclude: Vec<TrackFilter>,
    /// Which layer of a video to ask for: `top`, or the best that is no larger than a size.
    #[arg(long, value_name = "top|WIDTHxHEIGHT", value_parser = layers)]
    layers: Option<LayerPolicy>,
    /// End after so many minutes.
    #[arg(long, value_name = "MINUTES", value_parser = clap::value_parser!(u64).range(1..=365 * 24 * 60))]
    max_duration: Option<u64>,
    /// End when the room has been empty for so many seconds. Without it, as the server is configured.
    #[arg(long, value_name = "SECONDS")]
    empty_timeout: Option<u64>,
    /// Leave it running, and print its id.
    #[arg(long)]
    detach: bool,
    /// Print the recording as JSON: as it ended, or with --detach as it begins.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

/// The recording failed.
pub const FAILED: u8 = 3;

/// Reads `identity=ana,source=camera`. A comma is part of an identity unless a name follows it.
fn filter(text: &str) -> Result<TrackFilter, String> {
    const NAMES: [&str; 3] = ["identity", "source", "kind"];
    let named = |part: &str| part.split_once('=').is_some_and(|(name, _)| NAMES.contains(&name));
    let mut parts: Vec<String> = Vec::new();
    for part in text.split(',') {
        match parts.last_mut() {
            Some(last) if !named(part) => {
                last.push(',');
                last.push_str(part);
            }
            _ => parts.push(part.to_owned()),
        }
    }
    let mut fields = Map::new();
    for part in parts {
        let Some((name, value)) = part.split_once('=').filter(|(name, _)| NAMES.contains(name)) else {
            return Err(format!("`{part}` is none of identity=…, source=…, kind=…"));
        };
        if fields.insert(name.to_owned(), json!(value)).is_some() {
            return Err(format!(
                "`{name}` is given twice; give --include or --exclude twice for tracks that match either"
            ));
        }
    }
    let filter: TrackFilter = serde_json::from_value(Value::Object(fields)).map_err(|error| error.to_string())?;
    if filter.source == Some(TrackSource::Unknown) {
        return Err("a source is camera, microphone, screen_share or screen_share_audio".to_owned());
    }
    Ok(filter)
}

fn layers(text: &str) -> Result<LayerPolicy, String> {
    if text == "top" {
        return Ok(LayerPolicy::Top);
    }
    let (width, height) = crate::render::size(text)?;
    if width == 0 || height == 0 {
        return Err("a picture is larger than nothing".to_owned());
    }
    Ok(LayerPolicy::AtMost(Dims::new(width, height)))
}

impl Record {
    /// What the API is asked for.
    fn request(&self) -> Value {
        let mut body = json!({"room": self.room});
        if let Some(name) = &self.name {
            body["name"] = json!(name);
        }
        if self.audio_only {
            body["audio_only"] = json!(true);
        }
        for (field, filters) in [("include", &self.include), ("exclude", &self.exclude)] {
            if !filters.is_empty() {
                body[field] = json!(filters);
            }
        }
        if let Some(layers) = self.layers {
            body["layers"] = json!(layers);
        }
        if let Some(minutes) = self.max_duration {
            body["max_duration"] = json!(minutes * 60);
        }
        if let Some(seconds) = self.empty_timeout {
            body["empty_timeout"] = json!(seconds);
        }
        body
    }

    pub async fn run(self, config: Config) -> anyhow::Result<ExitCode> {
        let client = Client::new(&self.server, &config)?;
        let recording: RecordingView = client
            .ask(Method::POST, "api/recordings", Some(&self.request()))
            .await?;
        if self.detach {
            return self.say(&recording);
        }
        show::note(format_args!("{} in `{}`; Ctrl-C ends it", recording.id, recording.room));
        let ended = watch(&client, &recording).await?;
        self.say(&ended)
    }

    /// How it stands, and what that means for whoever called us.
    fn say(&self, recording: &RecordingView) -> anyhow::Result<ExitCode> {
        let has_failed = recording.state == "failed";
        if self.json {
            show::line(serde_json::to_string_pretty(recording)?);
        } else if !has_failed {
            show::line(recording.id);
        }
        if has_failed {
            show::note(format_args!("error: {}", failure(recording)));
            return Ok(ExitCode::from(FAILED));
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Shows what is kept until the recording has ended; Ctrl-C ends it.
async fn watch(client: &Client, recording: &RecordingView) -> anyhow::Result<RecordingView> {
    let path = format!("api/recordings/{}", recording.id);
    let bar = ProgressBar::new_spinner().with_style(ProgressStyle::with_template("{spinner} {elapsed_precise} {msg}")?);
    bar.enable_steady_tick(Duration::from_millis(120));
    let mut stopping = false;
    loop {
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => {
                interrupted?;
                if stopping {
                    bail!("{} still ends; the server seals it", recording.id);
                }
                stopping = true;
                client.ask::<RecordingView>(Method::POST, &format!("{path}/stop"), None).await?;
            }
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        let now: RecordingView = client.get(&path).await?;
        bar.set_message(format!(
            "{}{}, {} participants, {} packets, {}",
            now.state,
            if now.paused { " (paused)" } else { "" },
            now.participants,
            now.packets,
            show::bytes(now.bytes)
        ));
        if matches!(now.state.as_str(), "sealed" | "failed") {
            bar.finish();
            return Ok(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        record: Record,
    }

    fn request(arguments: &[&str]) -> Value {
        let all = ["record", "demo"].iter().chain(arguments);
        Cli::try_parse_from(all).expect("they are right").record.request()
    }

    #[test]
    fn the_request_is_what_the_api_takes() {
        assert_eq!(request(&[]), json!({"room": "demo"}));
        let all = request(&[
            "--name",
            "second",
            "--audio-only",
            "--include=identity=ana,source=camera",
            "--include=kind=audio",
            "--exclude=identity=o,neil=x",
            "--layers=640x360",
            "--max-duration=90",
            "--empty-timeout=5",
        ]);
        assert_eq!(
            all,
            json!({
                "room": "demo",
                "name": "second",
                "audio_only": true,
                "include": [{"identity": "ana", "source": "camera"}, {"kind": "audio"}],
                "exclude": [{"identity": "o,neil=x"}],
                "layers": {"at_most": {"width": 640, "height": 360}},
                "max_duration": 5400,
                "empty_timeout": 5,
            })
        );
        assert_eq!(request(&["--layers=top"])["layers"], "top");
    }

    #[test]
    fn wrong_arguments_are_refused() {
        for wrong in [
            "--include=camera",
            "--include=colour=red",
            "--include=source=kitchen",
            "--include=kind=audio,kind=video",
            "--layers=720p",
            "--layers=0x0",
            "--max-duration=0",
        ] {
            assert!(Cli::try_parse_from(["record", "demo", wrong]).is_err(), "{wrong}");
        }
    }
}
