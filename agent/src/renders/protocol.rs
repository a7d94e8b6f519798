//! What the serving process and a render's child process say to each other: a job on standard input, lines of JSON on
//! standard output. The child knows neither the database nor the configuration.

use std::path::PathBuf;

use greffier_media::ids::{RecordingId, RenderId};
use greffier_media::lifecycle::RenderFailure;
use greffier_media::render::RenderRequest;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What is to be made: one JSON document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RenderJob {
    pub render: RenderId,
    pub recording: RecordingId,
    /// The journal, in order.
    pub segments: Vec<PathBuf>,
    pub request: RenderRequest,
    /// An empty folder for the results.
    pub folder: PathBuf,
}

/// One line of the child.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum RenderMessage {
    /// How far it is, of 1000. At least every few seconds: a child that says nothing is taken for stuck.
    Progress { permille: u16 },
    /// The last line: the results, each looked at as a player would.
    Done {
        files: Vec<RenderedFile>,
        notes: Vec<String>,
    },
    /// The last line: there will be no result.
    Failed { failure: RenderFailure, message: String },
}

/// One result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RenderedFile {
    /// In the job's folder.
    pub name: String,
    pub media_type: String,
    /// What it is of, and what was found in it.
    pub probe: Value,
}

impl RenderMessage {
    /// The line, its end included.
    pub fn to_line(&self) -> String {
        // Its parts are numbers, texts and JSON values: nothing that cannot be written.
        let mut line = serde_json::to_string(self).unwrap_or_default();
        line.push('\n');
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_line() {
        let message = RenderMessage::Failed {
            failure: RenderFailure::Input,
            message: "two\nlines".into(),
        };
        let line = message.to_line();
        assert_eq!(line.matches('\n').count(), 1);
        assert_eq!(
            serde_json::from_str::<RenderMessage>(&line).expect("reads back"),
            message
        );
    }
}
