//! Who is where at time t: a pure function of the room's events.
//!
//! A render asks for the [`scenes`](Plan::scenes) of its range and switches at each; a player may do the same. A scene
//! changes when something visible does: people come and go, cameras go on and off, the turn to speak passes. Names and
//! pictures are the caller's to draw; here is where.

mod geometry;
mod room;
mod speaker;

use std::{ops::Range, time::Duration};

use room::{Person, Room, Track};
use serde::{Deserialize, Serialize};
use speaker::Turn;

use crate::{
    ErrorKind,
    codec::Dims,
    ids::{ParticipantIdentity, ParticipantSid, TrackSid},
    journal::{RoomEvent, TrackSource},
    time::Position,
};

/// How a scene is arranged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LayoutKind {
    /// Everybody in tiles of one size, screen shares first.
    Grid,
    /// Who speaks is large, the others beside; a screen share is larger than any speaker.
    Speaker,
    /// The latest screen share is large, with people beside it; a grid while nobody shares.
    Screen,
}

/// The picture that tiles are placed on; both sides even.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Canvas(Dims);

impl Canvas {
    /// Sides must be even, and from 64 to 7,680 pixels long.
    pub fn new(width: u32, height: u32) -> Result<Self, LayoutError> {
        let good = |side: u32| side.is_multiple_of(2) && (64..=7680).contains(&side);
        if good(width) && good(height) {
            Ok(Self(Dims::new(width, height)))
        } else {
            Err(LayoutError { width, height })
        }
    }

    pub fn width(self) -> u32 {
        self.0.width
    }

    pub fn height(self) -> u32 {
        self.0.height
    }
}

/// A size nobody can lay anything out on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a picture of {width}x{height} cannot be laid out: sides must be even, from 64 to 7680 pixels")]
pub struct LayoutError {
    pub width: u32,
    pub height: u32,
}

impl LayoutError {
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }
}

/// What is asked of a layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayoutOptions {
    pub kind: LayoutKind,
    pub canvas: Canvas,
    /// How long somebody must be loudest to be shown as the speaker.
    pub speaker_hold: Duration,
    /// With more people than this, the last tile says how many more they are. At least 2.
    pub max_tiles: usize,
}

impl LayoutOptions {
    pub fn new(kind: LayoutKind, canvas: Canvas) -> Self {
        Self {
            kind,
            canvas,
            speaker_hold: Duration::from_millis(1500),
            max_tiles: 25,
        }
    }
}

/// A rectangle on the canvas; all four numbers are even.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rect {
    pub x: u32,
    pub y: u32,
    pub width: u32,
    pub height: u32,
}

/// How a picture goes into its tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fit {
    /// Fills it, and what stands over is cut off.
    Cover,
    /// Is wholly in it, and what is left over stays empty.
    Contain,
}

/// What a tile shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    Video {
        track: TrackSid,
        source: TrackSource,
        fit: Fit,
    },
    /// Somebody without a camera: two letters to draw large.
    Avatar { initials: String },
    /// So many more people.
    More { count: usize },
}

/// One rectangle of a scene.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tile {
    pub content: Content,
    /// Whose it is; `None` for [`Content::More`].
    pub identity: Option<ParticipantIdentity>,
    /// What to write on it; empty for nothing.
    pub label: String,
    /// It has the turn to speak.
    pub active_speaker: bool,
    pub microphone_on: bool,
    pub rect: Rect,
    /// What is higher is drawn later. Tiles of one height do not overlap.
    pub z: u32,
}

/// What is seen from some moment on. Empty while nobody is there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scene {
    pub tiles: Vec<Tile>,
}

/// All scenes of a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Ascending; the first is at zero. Neighbours differ.
    scenes: Vec<(Position, Scene)>,
}

impl Plan {
    /// Plays through the events, in order, from the start of the recording.
    pub fn new<'a>(options: LayoutOptions, events: impl IntoIterator<Item = (Position, &'a RoomEvent)>) -> Self {
        let mut director = Director::new(options);
        for (at, event) in events {
            director.pass_time(at);
            director.event(at, event);
        }
        director.pass_time(Position::from_nanos(u64::MAX));
        Self {
            scenes: director.scenes,
        }
    }

    pub fn scene(&self, at: Position) -> &Scene {
        let after = self.scenes.partition_point(|(from, _)| *from <= at);
        &self.scenes[after.saturating_sub(1)].1
    }

    /// The scenes of a range, each from when on; the first begins with the range.
    pub fn scenes(&self, range: Range<Position>) -> impl Iterator<Item = (Position, &Scene)> {
        let first = self
            .scenes
            .partition_point(|(from, _)| *from <= range.start)
            .saturating_sub(1);
        let inside = self.scenes[first..]
            .iter()
            .take_while(move |(from, _)| *from < range.end);
        inside.map(move |(from, scene)| ((*from).max(range.start), scene))
    }
}

/// Follows the room and notes each scene.
struct Director {
    options: LayoutOptions,
    room: Room,
    turn: Turn,
    /// Who has a tile of their own while not everybody can: it changes as little as it can.
    visible: Vec<ParticipantIdentity>,
    scenes: Vec<(Position, Scene)>,
}

impl Director {
    fn new(options: LayoutOptions) -> Self {
        Self {
            options,
            room: Room::default(),
            turn: Turn::new(options.speaker_hold),
            visible: Vec::new(),
            scenes: vec![(Position::ZERO, Scene::default())],
        }
    }

    /// What happens by time alone, up to `now`.
    fn pass_time(&mut self, now: Position) {
        if let Some(deadline) = self.turn.deadline().filter(|deadline| *deadline <= now) {
            self.turn.take_turn();
            self.look(deadline);
        }
    }

    fn event(&mut self, at: Position, event: &RoomEvent) {
        self.room.apply(event);
        if let RoomEvent::ActiveSpeakers { speakers } = event {
            self.turn.speakers(at, speakers);
        }
        if let Some(active) = self.turn.active().filter(|active| self.room.person(active).is_none()) {
            let active = active.clone();
            self.turn.left(&active);
        }
        self.look(at);
    }

    /// Notes what is to be seen now, if it is anything new.
    fn look(&mut self, at: Position) {
        if let Some(active) = self.turn.active().cloned() {
            self.room.speaks(&active, at);
        }
        let scene = self.compose();
        match self.scenes.last_mut() {
            Some((_, last)) if *last == scene => {}
            // Of several at one moment, the last holds.
            Some((from, last)) if *from >= at => {
                *last = scene;
                if let [.., (_, before), (_, last)] = &self.scenes[..]
                    && before == last
                {
                    self.scenes.pop();
                }
            }
            _ => self.scenes.push((at, scene)),
        }
    }

    fn compose(&mut self) -> Scene {
        let people = self.room.seated();
        let mut screens: Vec<_> = people
            .iter()
            .flat_map(|person| person.screens().map(|screen| Shown::screen(person, screen)))
            .collect();
        screens.sort_by_key(|shown| std::cmp::Reverse(shown.order));
        let active = self.turn.active();
        let main = match self.options.kind {
            LayoutKind::Screen | LayoutKind::Speaker if !screens.is_empty() => Some(screens.remove(0)),
            LayoutKind::Grid | LayoutKind::Screen => None,
            LayoutKind::Speaker => {
                let speaker = active.and_then(|active| people.iter().find(|person| person.sid == *active));
                speaker.or(people.first()).map(|person| Shown::person(person, active))
            }
        };
        let in_main = main
            .as_ref()
            .filter(|main| !main.is_screen())
            .map(|main| main.person.identity.clone());
        let beside: Vec<_> = people
            .iter()
            .copied()
            .filter(|person| Some(&person.identity) != in_main.as_ref())
            .collect();
        let canvas = self.options.canvas;
        let (wanted, most) = (screens.len() + beside.len(), self.options.max_tiles.max(2));
        let rects = match main {
            Some(_) => geometry::main_and_strip(canvas, wanted.min(most - 1)),
            None => geometry::grid(canvas, wanted.min(most)),
        };
        let room_for = rects.len() - usize::from(main.is_some());
        let (shown, hidden) = choose(&mut self.visible, screens, &beside, active, room_for);
        let mut tiles: Vec<_> = main
            .into_iter()
            .chain(shown)
            .zip(&rects)
            .map(|(shown, rect)| shown.tile(*rect))
            .collect();
        if let (1.., Some(rect)) = (hidden, rects.last()) {
            tiles.push(Tile::more(hidden, *rect));
        }
        Scene { tiles }
    }
}

/// Chooses who is seen when there is no room for all; answers them in order, and how many are not.
fn choose<'a>(
    visible: &mut Vec<ParticipantIdentity>,
    mut screens: Vec<Shown<'a>>,
    people: &[&'a Person],
    active: Option<&ParticipantSid>,
    room_for: usize,
) -> (Vec<Shown<'a>>, usize) {
    if screens.len() + people.len() <= room_for {
        visible.clear();
        screens.extend(people.iter().map(|person| Shown::person(person, active)));
        return (screens, 0);
    }
    // The last place says how many more there are.
    let places = room_for.saturating_sub(1);
    screens.truncate(places);
    let seats = places - screens.len();
    visible.retain(|identity| people.iter().any(|person| person.identity == *identity));
    visible.truncate(seats);
    let is_visible = |visible: &[ParticipantIdentity], person: &Person| visible.contains(&person.identity);
    // Free seats go to those who spoke last, then to those with a camera, then by order.
    let mut waiting: Vec<_> = people.iter().filter(|person| !is_visible(visible, person)).collect();
    waiting.sort_by_key(|person| std::cmp::Reverse((person.spoke, person.camera().is_some())));
    visible.extend(
        waiting
            .iter()
            .take(seats - visible.len())
            .map(|person| person.identity.clone()),
    );
    // Who has the turn takes the seat of whoever has been silent for longest.
    let speaker = people.iter().find(|person| active == Some(&person.sid));
    if let Some(speaker) = speaker.filter(|speaker| !is_visible(visible, speaker)) {
        let spoke = |identity: &ParticipantIdentity| people.iter().find(|person| person.identity == *identity)?.spoke;
        if let Some(seat) = visible.iter_mut().min_by_key(|identity| spoke(identity)) {
            *seat = speaker.identity.clone();
        }
    }
    let hidden = people.len() - visible.len();
    screens.extend(
        people
            .iter()
            .filter(|person| is_visible(visible, person))
            .map(|person| Shown::person(person, active)),
    );
    (screens, hidden)
}

/// Something to be put on a tile.
struct Shown<'a> {
    person: &'a Person,
    track: Option<&'a Track>,
    active: bool,
    order: u64,
}

impl<'a> Shown<'a> {
    fn person(person: &'a Person, active: Option<&ParticipantSid>) -> Self {
        Self {
            person,
            track: person.camera(),
            active: active == Some(&person.sid),
            order: 0,
        }
    }

    fn screen(person: &'a Person, track: &'a Track) -> Self {
        Self {
            person,
            track: Some(track),
            active: false,
            order: track.order,
        }
    }

    fn is_screen(&self) -> bool {
        self.track.is_some_and(|track| track.source == TrackSource::ScreenShare)
    }

    fn tile(&self, rect: Rect) -> Tile {
        let content = match self.track {
            Some(track) => {
                let fit = if self.is_screen() {
                    Fit::Contain
                } else {
                    fit(track.dims, rect)
                };
                Content::Video {
                    track: track.sid.clone(),
                    source: track.source,
                    fit,
                }
            }
            None => Content::Avatar {
                initials: initials(self.person.label()),
            },
        };
        Tile {
            content,
            identity: Some(self.person.identity.clone()),
            label: self.person.label().to_owned(),
            active_speaker: self.active,
            microphone_on: self.person.microphone_on(),
            rect,
            z: 0,
        }
    }
}

impl Tile {
    fn more(count: usize, rect: Rect) -> Self {
        let label = format!("+{count}");
        let content = Content::More { count };
        Self {
            content,
            identity: None,
            label,
            active_speaker: false,
            microphone_on: false,
            rect,
            z: 0,
        }
    }
}

/// A camera fills its tile unless more than a third of the picture would be cut off, as of a phone held upright.
fn fit(dims: Option<Dims>, tile: Rect) -> Fit {
    let Some(dims) = dims else { return Fit::Cover };
    let (one, other) = (
        u64::from(dims.width) * u64::from(tile.height), //
        u64::from(dims.height) * u64::from(tile.width),
    );
    if one.min(other) * 3 < one.max(other) * 2 {
        Fit::Contain
    } else {
        Fit::Cover
    }
}

/// The first letters of the first and the last word, in capitals.
fn initials(name: &str) -> String {
    let mut letters = name
        .split(|character: char| !character.is_alphanumeric())
        .filter_map(|word| word.chars().next())
        .map(|letter| letter.to_uppercase().to_string());
    match (letters.next(), letters.next_back()) {
        (Some(first), Some(last)) => first + &last,
        (Some(only), None) => only,
        _ => "?".to_owned(),
    }
}

#[cfg(test)]
mod tests;
