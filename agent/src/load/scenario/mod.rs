//! What a load test is to do: a YAML file, or one of the templates that come with us.

mod check;
mod place;
#[cfg(test)]
mod tests;
mod units;

use std::path::{Path, PathBuf};

use greffier_media::codec::Codec;
use serde::{Deserialize, Serialize};
use url::Url;

pub use units::{Bitrate, Count, Length, PerMinute, Share, UnitError};

use super::LoadError;
use super::layout::Layout;
use crate::synthetic::clip::{Content, Resolution, VideoSpec};
use crate::synthetic::impair::{Impairment, Outage};

/// A load test. Everything that chance decides in it follows from `seed`: the same scenario does the same again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// What reports call it.
    pub name: String,
    #[serde(default)]
    pub description: String,
    #[serde(default)]
    pub seed: u64,
    /// Rooms that live at the same time.
    #[serde(default = "one")]
    pub rooms: Count,
    /// From the first join to the end.
    pub duration: Length,
    /// Joins are spread over this time.
    #[serde(default)]
    pub ramp: Length,
    /// Who is in each room. With a `recording` there is one group at most, of one, which says how its people look at the
    /// others, and what their networks are like.
    #[serde(default)]
    pub participants: Vec<Group>,
    /// The folder of a sealed recording, or its id (`rec_…`), whose meeting is played again in each room: its people,
    /// tracks, bitrates, mutes, joins, once. The test ends with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recording: Option<PathBuf>,
    #[serde(default)]
    pub conversation: Conversation,
    /// A gap between two frames that is longer is a freeze.
    #[serde(default = "freeze")]
    pub freeze: Length,
    #[serde(default)]
    pub thresholds: Thresholds,
    #[serde(default)]
    pub server: ServerMetrics,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<Tokens>,
}

/// Participants of one kind, in each room.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Part of their identities.
    pub role: String,
    pub count: Count,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub camera: Option<Camera>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub microphone: Option<Microphone>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub screen: Option<Screen>,
    /// Whether they subscribe to what the others publish. Those who do not are sources alone, such as cameras in a hall.
    #[serde(default = "yes")]
    pub subscribe: bool,
    /// What their windows show of the others, which is what they ask the server for.
    #[serde(default)]
    pub layout: Layout,
    /// Chat messages that each sends.
    #[serde(default)]
    pub chat_per_minute: PerMinute,
    #[serde(default)]
    pub churn: Churn,
    /// Their network, on the way to the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uplink: Option<Network>,
    /// Their network, on the way from the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub downlink: Option<Network>,
}

/// Pictures as a webcam makes them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Camera {
    #[serde(default = "vp8")]
    pub codec: Codec,
    #[serde(default = "hd")]
    pub resolution: Resolution,
    /// Smaller layers beside the one of `resolution`. If not said, where the codec has them: VP8 and H264.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub simulcast: Option<bool>,
    /// A clip of one's own instead of ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip: Option<PathBuf>,
}

/// A voice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Microphone {
    /// Takes part in the conversation; otherwise it is open and silent.
    #[serde(default = "yes")]
    pub speaks: bool,
    /// Silence is sent as a few packets a second.
    #[serde(default = "yes")]
    pub dtx: bool,
}

/// Sharp text at a low frame rate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Screen {
    #[serde(default = "vp8")]
    pub codec: Codec,
}

/// Who speaks when: turns, silences between them, interruptions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Conversation {
    /// Mean length of a turn.
    pub turn: Length,
    /// Mean silence between two turns.
    pub pause: Length,
    /// How many turns begin before the last one has ended.
    pub overlap: Share,
}

/// What goes wrong, or merely happens, while people meet. Each is how often, for each participant.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Churn {
    /// Leaves, and comes back after `away`.
    pub leave_per_minute: PerMinute,
    /// Three seconds, if not said.
    pub away: Option<Length>,
    pub mute_per_minute: PerMinute,
    /// Takes the camera back and publishes it again.
    pub republish_per_minute: PerMinute,
    /// The connection to the server breaks, and is taken up again.
    pub reconnect_per_minute: PerMinute,
}

/// A bad network.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Network {
    pub loss: Share,
    /// Mean number of packets that are lost together.
    pub burst: Option<Count>,
    pub delay: Length,
    pub jitter: Length,
    pub bandwidth: Option<Bitrate>,
    pub outages: Vec<OutageAt>,
}

/// Nothing passes for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutageAt {
    /// Since the participant joined.
    pub after: Length,
    pub lasts: Length,
}

/// What has to hold for the test to pass. What is not given is not judged.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Thresholds {
    pub join_p95: Option<Length>,
    pub first_audio_p95: Option<Length>,
    pub first_video_p95: Option<Length>,
    pub audio_latency_p95: Option<Length>,
    pub video_latency_p95: Option<Length>,
    /// Packets lost after repair, of those expected; what an impairment lost is left out.
    pub loss: Option<Share>,
    /// Of the time that pictures were to be seen.
    pub frozen: Option<Share>,
    /// Of the joins.
    pub failed_joins: Option<Share>,
    /// Tracks that should have been received and of which nothing ever came, of all.
    pub missing: Option<Share>,
}

impl Thresholds {
    /// What most people would call a good meeting: for whoever asks where the limit is and does not say of what.
    pub fn sensible() -> Self {
        let time = |ms| Some(Length::from_millis(ms));
        let share = |share| Share::new(share);
        Self {
            join_p95: time(3_000),
            first_audio_p95: None,
            first_video_p95: None,
            audio_latency_p95: time(250),
            video_latency_p95: None,
            loss: share(0.005),
            frozen: share(0.01),
            failed_joins: share(0.01),
            missing: share(0.0),
        }
    }
}

/// Where the server tells about itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerMetrics {
    /// Its Prometheus endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prometheus: Option<Url>,
}

/// Where tokens come from, if not from a key and secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tokens {
    /// Answers `{"token": "…"}` to a POST of `{"room": …, "identity": …}`.
    Url(Url),
    /// One token a line, each for a participant of its own.
    List(PathBuf),
}

fn one() -> Count {
    Count::ONE
}

fn freeze() -> Length {
    Length::from_millis(500)
}

fn vp8() -> Codec {
    Codec::Vp8
}

fn hd() -> Resolution {
    Resolution::P720
}

fn yes() -> bool {
    true
}

impl Default for Conversation {
    fn default() -> Self {
        Self {
            turn: Length::from_millis(6_000),
            pause: Length::from_millis(600),
            overlap: Share::new(0.1).unwrap_or_default(),
        }
    }
}

/// The templates: name and text.
const TEMPLATES: [(&str, &str); 6] = [
    ("meeting-6", include_str!("templates/meeting-6.yaml")),
    ("webinar-1x200", include_str!("templates/webinar-1x200.yaml")),
    ("classroom", include_str!("templates/classroom.yaml")),
    ("audio-room-50", include_str!("templates/audio-room-50.yaml")),
    ("breakouts-20x5", include_str!("templates/breakouts-20x5.yaml")),
    ("screen-share", include_str!("templates/screen-share.yaml")),
];

impl Scenario {
    /// Names and texts of the templates, to start from.
    pub fn templates() -> impl Iterator<Item = (&'static str, &'static str)> {
        TEMPLATES.into_iter()
    }

    /// Reads a scenario from a file, or takes the template of that name.
    ///
    /// # Errors
    /// When there is neither, or what it says cannot be; with line and column.
    pub fn load(name: &str) -> Result<Self, LoadError> {
        Self::load_beside(name, None)
    }

    /// The same; a recording may be given by its id if the folder that holds `recordings` is known.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn load_beside(name: &str, recordings: Option<&Path>) -> Result<Self, LoadError> {
        if let Some((_, text)) = TEMPLATES.iter().find(|(template, _)| *template == name) {
            return Self::parse(text, name);
        }
        let text = std::fs::read_to_string(name).map_err(|source| LoadError::NoScenario {
            name: name.to_owned(),
            source,
            templates: TEMPLATES.map(|(template, _)| template).join(", "),
        })?;
        Self::parse_beside(&text, name, recordings)
    }

    /// Reads a scenario; `origin` is what errors call it.
    ///
    /// # Errors
    /// When what it says cannot be; with line and column.
    pub fn parse(text: &str, origin: &str) -> Result<Self, LoadError> {
        Self::parse_beside(text, origin, None)
    }

    /// The same; a recording may be given by its id if the folder of recordings is known.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn parse_beside(text: &str, origin: &str, recordings: Option<&Path>) -> Result<Self, LoadError> {
        let wrong = |message: String| LoadError::Scenario {
            origin: origin.to_owned(),
            message,
        };
        let mut scenario: Self = serde_saphyr::from_str(text).map_err(|error| wrong(error.to_string()))?;
        if scenario.recording.is_some() && scenario.participants.is_empty() {
            scenario.participants.push(Group::of_recording());
        }
        if let (Some(recording), Some(recordings)) = (&mut scenario.recording, recordings)
            && recording.to_str().is_some_and(is_recording_id)
            && !recording.is_dir()
        {
            *recording = recordings.join(&*recording);
        }
        scenario.check().map_err(|wrong_with| {
            wrong(match place::line_of(text, &wrong_with.place) {
                Some(line) => format!("line {line}: {}", wrong_with.message),
                None => wrong_with.message,
            })
        })?;
        Ok(scenario)
    }

    /// Checks a scenario that was changed after it was read.
    ///
    /// # Errors
    /// When what it says now cannot be.
    pub fn checked(self) -> Result<Self, LoadError> {
        match self.check() {
            Ok(()) => Ok(self),
            Err(wrong) => Err(LoadError::Scenario {
                origin: self.name,
                message: format!("{}: {}", wrong.place, wrong.message),
            }),
        }
    }

    /// Over all rooms.
    pub fn participants_in_all(&self) -> u64 {
        self.participants_per_room() * u64::from(self.rooms.get())
    }

    pub fn participants_per_room(&self) -> u64 {
        self.participants.iter().map(|group| u64::from(group.count.get())).sum()
    }

    /// The videos that are published, to be made before anything starts.
    pub fn videos(&self) -> Vec<VideoSpec> {
        let cameras = self
            .participants
            .iter()
            .filter_map(|group| group.camera.as_ref())
            .map(Camera::video);
        let screens = self
            .participants
            .iter()
            .filter_map(|group| group.screen.as_ref())
            .map(Screen::video);
        let mut videos: Vec<VideoSpec> = Vec::new();
        for video in cameras.chain(screens) {
            if !videos.contains(&video) {
                videos.push(video);
            }
        }
        videos
    }

    /// Whether anybody speaks.
    pub fn has_voices(&self) -> bool {
        self.participants.iter().any(|group| group.microphone.is_some())
    }
}

fn is_recording_id(name: &str) -> bool {
    let id = name.strip_prefix("rec_");
    id.is_some_and(|id| !id.is_empty() && id.chars().all(|c| c.is_ascii_alphanumeric()))
}

impl Group {
    /// Whoever is in a recording looks at the others in a grid.
    fn of_recording() -> Self {
        Self {
            role: "recorded".to_owned(),
            count: Count::ONE,
            camera: None,
            microphone: None,
            screen: None,
            subscribe: true,
            layout: Layout::default(),
            chat_per_minute: PerMinute::default(),
            churn: Churn::default(),
            uplink: None,
            downlink: None,
        }
    }
}

/// LiveKit takes several streams of VP9 or AV1 for the layers of one.
fn has_simulcast(codec: Codec) -> bool {
    matches!(codec, Codec::Vp8 | Codec::H264)
}

impl Camera {
    pub fn video(&self) -> VideoSpec {
        let simulcast = self.simulcast.unwrap_or_else(|| has_simulcast(self.codec));
        let mut video = VideoSpec::camera(self.codec, self.resolution, simulcast);
        if let Some(clip) = &self.clip {
            video.content = Content::File(clip.clone());
        }
        video
    }
}

impl Screen {
    pub fn video(&self) -> VideoSpec {
        VideoSpec::screen(self.codec)
    }
}

impl Network {
    pub fn impairment(&self) -> Impairment {
        let outage = |outage: &OutageAt| Outage {
            after: outage.after.get(),
            lasts: outage.lasts.get(),
        };
        Impairment {
            loss: self.loss.get(),
            burst: self.burst.map_or(1.0, |burst| f64::from(burst.get())),
            delay: self.delay.get(),
            jitter: self.jitter.get(),
            bandwidth: self.bandwidth.map(Bitrate::get),
            outages: self.outages.iter().map(outage).collect(),
        }
    }
}

/// Whether `path` can only be a file: templates have no such names.
pub fn looks_like_a_file(name: &str) -> bool {
    Path::new(name)
        .extension()
        .is_some_and(|extension| extension == "yaml" || extension == "yml")
}
