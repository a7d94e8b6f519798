//! The room as one picture with all voices.
//!
//! ```text
//! frames in the order they are shown ─┬▶ Decoder (one per stream) ─▶ Pictures ─▶ Show (scene, canvas) ─┬▶ Film ─▶ file
//!                                     └▶ Voices (decoded and mixed) ──────────────────────────────────┘
//! events ─▶ media::layout ─▶ scenes ────────────────────────────────────────────▲
//! ```
//! Nothing here knows a clock: picture `n` is what is to be seen at `n / fps`, however long it takes to make. So the same
//! journal gives the same film, as fast as the machine can.

mod canvas;
mod decode;
mod film;
mod show;
mod text;

use std::{collections::BTreeMap, path::Path, time::Duration};

use decode::Decoder;
use film::{Film, FilmSpec};
use greffier_media::{
    codec::MediaKind,
    layout::{Canvas as Size, Content, LayoutKind, LayoutOptions, Plan, Scene},
    render::CompositeRequest,
    time::Position,
};
use serde_json::json;
use show::{Pictures, Show};

use crate::{
    Control, Rendered,
    audio::{BEHIND, Part, Voices},
    container::Tags,
    control::Stage,
    error::RenderError,
    job::of_media,
    probe::{self, Expected, ExpectedStream},
    publish::Draft,
    sound::Layout,
    source::{Recording, TimedFrame},
};

/// Makes the film that is asked for.
pub(crate) fn render(
    recording: &Recording,
    request: &CompositeRequest,
    folder: &Path,
    control: &Control<'_>,
) -> Result<Rendered, RenderError> {
    crate::init()?;
    let part = Part::of(recording, request.from_ms, request.to_ms)?;
    if recording.streams.iter().all(|stream| stream.span.is_none()) {
        return Err(RenderError::Nothing);
    }
    let size = Size::new(request.width, request.height).map_err(|_| RenderError::Unsupported {
        what: "a picture of that size",
    })?;
    let layout = name_of(request.layout);
    let mut spec = FilmSpec {
        path: folder.to_owned(),
        name: String::new(),
        format: request.format,
        dims: request.dims(),
        fps: request.fps,
        length: part.length(),
        tags: Tags::of(recording, "", String::new(), part.from),
    };
    let draft = Draft::new(folder, &format!("composite-{layout}.{}", spec.container().extension()));
    (spec.path, spec.name) = (draft.path().to_owned(), draft.name().to_owned());
    let mut cutter = Cutter {
        recording,
        part,
        scenes: scenes(recording, LayoutOptions::new(request.layout, size), part),
        next_scene: 0,
        decoders: BTreeMap::new(),
        pictures: Pictures::default(),
        show: Show::new(size, request.labels)?,
        voices: Voices::new(Layout::STEREO, part),
        film: Film::new(spec.clone())?,
        spec,
        done: 0,
    };
    cutter.run(control)?;
    let (name, container) = (draft.name().to_owned(), cutter.spec.container());
    let spec = cutter.spec;
    let pictures = cutter.film.finish()?;
    let expected = Expected {
        container,
        duration: spec.time_of(pictures),
        streams: [MediaKind::Video, MediaKind::Audio]
            .map(|kind| ExpectedStream {
                kind,
                first: Duration::ZERO,
            })
            .into(),
    };
    let facts = probe::probe(draft.path(), &expected, control).map_err(|source| RenderError::Probe {
        name: name.clone(),
        source,
    })?;
    draft.publish().map_err(|source| RenderError::Write {
        name: name.clone(),
        source,
    })?;
    control.progress(Stage::Checking, 1, 1)?;
    let about = json!({
        "kind": "composite",
        "layout": request.layout,
        "fps": request.fps,
        "offset_ms": part.from.as_millis(),
    });
    Ok(Rendered {
        files: vec![of_media(name, about, &facts)],
        notes: Vec::new(),
    })
}

/// Everything between the journal and the film.
struct Cutter<'a> {
    recording: &'a Recording,
    part: Part,
    /// From when on each is shown.
    scenes: Vec<(Position, Scene)>,
    next_scene: usize,
    /// By stream; `None` for codecs nobody decodes.
    decoders: BTreeMap<usize, Option<Decoder>>,
    pictures: Pictures,
    show: Show,
    voices: Voices,
    film: Film,
    spec: FilmSpec,
    /// Pictures made so far.
    done: u64,
}

impl Cutter<'_> {
    fn run(&mut self, control: &Control<'_>) -> Result<(), RenderError> {
        let streams = &self.recording.streams;
        let wanted: Vec<_> = (0..streams.len()).map(|stream| self.wants(stream)).collect();
        let starts: Vec<_> = (0..streams.len()).map(|stream| self.starts(stream)).collect();
        let mut frames = self.recording.frames(&wanted);
        while let Some(frame) = frames.next()? {
            if frame.shown >= self.part.to {
                // Frames come in order but for a few; what is late is not missed in the last moment.
                continue;
            }
            self.make_until(frame.shown, control)?;
            match streams[frame.stream].channel.kind {
                MediaKind::Audio => self.voices.push(frame.stream, frame.shown, frame.frame.data)?,
                MediaKind::Video if frame.shown >= starts[frame.stream] => self.decode(frame)?,
                MediaKind::Video => {}
            }
        }
        self.make_until(Position::from_nanos(u64::MAX), control)?;
        let sound = self.voices.take(self.part.to);
        self.film.sound(&sound)
    }

    /// Makes all pictures that nothing shown from `until` on has a place in. A frame is seen from the picture on that is
    /// nearest to it.
    fn make_until(&mut self, until: Position, control: &Control<'_>) -> Result<(), RenderError> {
        let half = Duration::from_secs(1) / self.spec.fps / 2;
        loop {
            let at = self.part.from.saturating_add(self.spec.time_of(self.done));
            // The last picture is shown for half of its time at least; there is one in any case.
            let is_over = at.saturating_add(half) > self.part.to && self.done > 0;
            if is_over || at.saturating_add(half) >= until {
                return Ok(());
            }
            control.progress(
                Stage::Rendering,
                at.as_nanos() - self.part.from.as_nanos(),
                u64::try_from(self.part.length().as_nanos()).unwrap_or(u64::MAX),
            )?;
            while let Some((_, scene)) = self.scenes.get(self.next_scene).filter(|(from, _)| *from <= at) {
                self.show.set_scene(scene, &mut self.pictures)?;
                self.next_scene += 1;
                let streams = &self.recording.streams;
                self.decoders
                    .retain(|stream, _| streams[*stream].span.is_some_and(|(_, end)| end > at));
            }
            let picture = self.show.picture(&self.pictures)?;
            self.film.picture(picture, self.done)?;
            let sound = self.voices.take(at.saturating_sub(BEHIND));
            self.film.sound(&sound)?;
            self.done += 1;
        }
    }

    fn decode(&mut self, frame: TimedFrame) -> Result<(), RenderError> {
        let decoder = self
            .decoders
            .entry(frame.stream)
            .or_insert_with(|| Decoder::new(frame.frame.codec));
        let Some(decoder) = decoder else { return Ok(()) };
        if let Some(picture) = decoder.decode(frame.frame)? {
            self.pictures
                .put(&self.recording.streams[frame.stream].channel.track, picture);
        }
        Ok(())
    }

    /// Something of the stream is seen or heard.
    fn wants(&self, stream: usize) -> bool {
        let stream = &self.recording.streams[stream];
        let is_seen = |scene: &Scene| {
            let shows =
                |content: &Content| matches!(content, Content::Video { track, .. } if *track == stream.channel.track);
            scene.tiles.iter().any(|tile| shows(&tile.content))
        };
        let is_there = stream.span.is_some_and(|(first, _)| first < self.part.to);
        is_there && (stream.channel.kind == MediaKind::Audio || self.scenes.iter().any(|(_, scene)| is_seen(scene)))
    }

    /// Where decoding has to start for the first picture that is seen.
    fn starts(&self, stream: usize) -> Position {
        let keyframes = &self.recording.streams[stream].keyframes;
        let before = keyframes.partition_point(|key| key.shown <= self.part.from);
        before
            .checked_sub(1)
            .map_or(Position::ZERO, |index| keyframes[index].shown)
    }
}

/// What is seen in a part, from when on, pauses cut out. The first is there from its beginning.
fn scenes(recording: &Recording, options: LayoutOptions, part: Part) -> Vec<(Position, Scene)> {
    let plan = Plan::new(options, recording.events().iter().map(|(at, event)| (*at, event)));
    let mut scenes: Vec<(Position, Scene)> = Vec::new();
    for (from, scene) in plan.scenes(Position::ZERO..Position::from_nanos(u64::MAX)) {
        let from = recording.pauses.clamped(from).max(part.from);
        if from >= part.to {
            break;
        }
        match scenes.last_mut() {
            Some((last, replaced)) if *last == from => *replaced = scene.clone(),
            _ => scenes.push((from, scene.clone())),
        }
    }
    scenes
}

fn name_of(layout: LayoutKind) -> &'static str {
    match layout {
        LayoutKind::Grid => "grid",
        LayoutKind::Screen => "screen",
        _ => "speaker",
    }
}
