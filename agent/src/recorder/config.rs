//! What an operator may choose about recordings; each field's text is its reference.

use std::collections::BTreeMap;
use std::time::Duration;

use greffier_store::config::duration;
use greffier_store::recordings::{LayerPolicy, TrackFilter};
use serde::{Deserialize, Serialize};

/// The `[recording]` section.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RecorderConfig {
    /// Most recordings at a time; further ones are refused.
    pub max_recordings: usize,
    /// How long to wait for a LiveKit server that went away, or that put the bot out without a reason, before a recording
    /// ends.
    #[serde(with = "duration")]
    pub rejoin_window: Duration,
    /// A recording ends when nobody but bots was in the room for this long; unless its request or rule says otherwise.
    #[serde(with = "duration")]
    pub empty_timeout: Duration,
    /// Most bytes of one recording that wait for the disk. What comes when they are full is dropped, counted, and said so
    /// in the journal.
    pub queue_bytes: usize,
    /// Make files of the participants and screen shares as soon as a recording is sealed. They are copies: nothing is
    /// encoded.
    pub render_tracks: bool,
    /// Which rooms are recorded without being asked. The first rule whose patterns match a room decides; a room that no
    /// rule matches is not recorded. Rooms that were made in the meeting application say themselves what they want, and
    /// leave it to the rules if they say `rules`.
    pub rules: Vec<Rule>,
}

impl Default for RecorderConfig {
    fn default() -> Self {
        Self {
            max_recordings: 200,
            rejoin_window: Duration::from_mins(2),
            empty_timeout: Duration::from_secs(30),
            queue_bytes: 32 << 20,
            render_tracks: true,
            rules: Vec::new(),
        }
    }
}

/// One `[[recording.rules]]` entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Names the rule in recordings, logs and retention.
    pub name: String,
    /// Patterns of room names: `*` is all of them, `team-*`, `{board,council}`.
    pub rooms: Vec<String>,
    /// `false`: these rooms are never recorded by a rule.
    #[serde(default = "yes")]
    pub record: bool,
    /// Tracks that match any of these are recorded; all are, if there is none.
    #[serde(default)]
    pub include: Vec<TrackFilter>,
    /// Tracks that match any of these are not, whatever `include` says.
    #[serde(default)]
    pub exclude: Vec<TrackFilter>,
    /// Which layer of simulcast or SVC video to ask for.
    #[serde(default)]
    pub layers: LayerPolicy,
    /// A recording ends after this long. Without it, when the meeting does.
    #[serde(default, with = "duration::optional", skip_serializing_if = "Option::is_none")]
    pub max_duration: Option<Duration>,
    /// Instead of the section's `empty_timeout`.
    #[serde(default, with = "duration::optional", skip_serializing_if = "Option::is_none")]
    pub empty_timeout: Option<Duration>,
    /// What the recordings are labelled with.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

fn yes() -> bool {
    true
}
