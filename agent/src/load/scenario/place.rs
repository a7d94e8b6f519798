//! Where in the text of a scenario something stands, for messages about what no single value can tell.

use std::fmt;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_saphyr::Spanned;

/// A key, of the scenario or of one of its groups (from 0).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub group: Option<usize>,
    pub key: &'static str,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.group {
            Some(group) => write!(f, "participants[{group}].{}", self.key),
            None => f.write_str(self.key),
        }
    }
}

type Node = Option<Spanned<IgnoredAny>>;

/// The scenario's outline: what a message may be about.
#[derive(Deserialize)]
struct Outline {
    duration: Node,
    ramp: Node,
    freeze: Node,
    recording: Node,
    #[serde(default)]
    conversation: Conversation,
    #[serde(default)]
    tokens: Tokens,
    #[serde(default)]
    participants: Vec<Spanned<Group>>,
}

#[derive(Deserialize, Default)]
struct Conversation {
    turn: Node,
}

#[derive(Deserialize, Default)]
struct Tokens {
    list: Node,
}

#[derive(Deserialize)]
struct Group {
    role: Node,
    camera: Option<Video>,
    screen: Option<Video>,
}

#[derive(Deserialize)]
struct Video {
    codec: Node,
    clip: Node,
    simulcast: Node,
}

fn line(node: &Node) -> Option<usize> {
    let line = node.as_ref()?.referenced.line();
    usize::try_from(line).ok().filter(|line| *line > 0)
}

/// The line, from 1, of what is wrong; `None` where it stands nowhere.
pub(super) fn line_of(text: &str, place: &Place) -> Option<usize> {
    let outline: Outline = serde_saphyr::from_str(text).ok()?;
    let Some(group) = place.group else {
        let first_group = || outline.participants.first().map(|group| group.referenced.line());
        return match place.key {
            "duration" => line(&outline.duration),
            "ramp" => line(&outline.ramp),
            "freeze" => line(&outline.freeze),
            "recording" => line(&outline.recording),
            "turn" => line(&outline.conversation.turn),
            "list" => line(&outline.tokens.list),
            "participants" => first_group().and_then(|line| usize::try_from(line).ok()),
            _ => None,
        };
    };
    let group = outline.participants.get(group)?;
    let of_camera = |pick: fn(&Video) -> &Node| line(pick(group.value.camera.as_ref()?));
    let found = match place.key {
        "role" => line(&group.value.role),
        "codec" => of_camera(|video| &video.codec),
        "clip" => of_camera(|video| &video.clip),
        "simulcast" => of_camera(|video| &video.simulcast),
        "screen" => group.value.screen.as_ref().and_then(|screen| line(&screen.codec)),
        _ => None,
    };
    found.or_else(|| usize::try_from(group.referenced.line()).ok())
}
