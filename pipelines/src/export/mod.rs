//! The packets themselves, for other tools. Nothing is left out but what cannot be read.

mod merged;
mod pcap;
mod rtpdump;

use std::{
    io,
    path::{Path, PathBuf},
};

use greffier_media::{
    journal::{Message, TrackChannel},
    render::{ExportFormat, ExportRequest},
};
use serde_json::{Value, json};

use crate::{
    Control, Rendered, RenderedFile,
    control::Stage,
    error::RenderError,
    publish::Draft,
    source::{Item, Recording, Segments},
};

/// Messages between two looks at progress and the flag of cancellation.
const LOOK_EVERY: u64 = 4096;

/// A file that is complete, but for its name.
struct Exported {
    draft: Draft,
    media_type: &'static str,
    /// Messages that were written, to be found again.
    messages: u64,
    /// Whose it is, if somebody's.
    track: Option<TrackChannel>,
}

/// Takes all messages of a recording, in order.
trait Exporter {
    fn message(&mut self, message: &Message) -> io::Result<()>;

    fn finish(self: Box<Self>) -> io::Result<Vec<Exported>>;

    /// How many messages a file holds, as a reader finds them.
    fn count(&self) -> fn(&Path) -> io::Result<u64>;
}

/// Makes the files that are asked for.
pub(crate) fn render(
    recording: &Recording,
    request: &ExportRequest,
    folder: &Path,
    control: &Control<'_>,
) -> Result<Rendered, RenderError> {
    let format = name_of(request.format);
    let failed = |source| RenderError::Write {
        name: format!("recording.{format}"),
        source,
    };
    let mut exporter: Box<dyn Exporter> = match request.format {
        ExportFormat::Pcap => Box::new(pcap::Pcap::create(folder).map_err(failed)?),
        ExportFormat::Rtpdump => Box::new(rtpdump::Rtpdump::new(folder, recording.started)),
        ExportFormat::Mcap => Box::new(merged::Merged::create(folder).map_err(failed)?),
    };
    let size = size(recording.segments()).map_err(failed)?;
    let mut segments = Segments::new(recording.segments());
    let mut count = 0_u64;
    while let Some(item) = segments.next()? {
        let Item::Message(message) = item else { continue };
        exporter.message(&message).map_err(failed)?;
        count += 1;
        if count.is_multiple_of(LOOK_EVERY) {
            control.progress(Stage::Rendering, segments.bytes(), size)?;
        }
    }
    let count = exporter.count();
    let files = exporter.finish().map_err(failed)?;
    if files.is_empty() {
        return Err(RenderError::Nothing);
    }
    let (whole, mut rendered) = (files.len() as u64, Rendered::default());
    for (done, file) in (1..).zip(files) {
        rendered.files.push(complete(file, format, count)?);
        control.progress(Stage::Checking, done, whole)?;
    }
    Ok(rendered)
}

/// Reads a file again, and gives it its name.
fn complete(file: Exported, format: &str, count: fn(&Path) -> io::Result<u64>) -> Result<RenderedFile, RenderError> {
    let name = file.draft.name().to_owned();
    let failed = |source| RenderError::Write {
        name: name.clone(),
        source,
    };
    let found = count(file.draft.path()).map_err(failed)?;
    if found != file.messages {
        return Err(RenderError::Miscounted {
            name,
            expected: file.messages,
            found,
        });
    }
    let bytes = std::fs::metadata(file.draft.path()).map_err(failed)?.len();
    file.draft.publish().map_err(failed)?;
    let mut probe = json!({"kind": "export", "format": format, "messages": found, "bytes": bytes});
    if let (Value::Object(probe), Some(track)) = (&mut probe, file.track) {
        probe.insert("identity".into(), json!(track.identity));
        probe.insert("track".into(), json!(track.track));
        probe.insert("source".into(), json!(track.source));
        probe.insert("mime".into(), json!(track.mime));
        probe.insert("ssrc".into(), json!(track.ssrc));
    }
    Ok(RenderedFile {
        name,
        media_type: file.media_type.to_owned(),
        probe,
    })
}

fn name_of(format: ExportFormat) -> &'static str {
    match format {
        ExportFormat::Pcap => "pcap",
        ExportFormat::Rtpdump => "rtpdump",
        ExportFormat::Mcap => "mcap",
    }
}

fn size(paths: &[PathBuf]) -> io::Result<u64> {
    paths.iter().map(|path| Ok(std::fs::metadata(path)?.len())).sum()
}
