//! All voices mixed into one file, or each in a file of its own.

mod file;
mod mp3;

use std::{collections::BTreeMap, path::Path, time::Duration};

use file::AudioFile;
use greffier_media::{
    codec::MediaKind,
    ids::ParticipantIdentity,
    render::{AudioFormat, AudioRequest, range},
    time::Position,
};
use serde_json::json;

use crate::{
    Container, Control, Rendered, RenderedFile,
    container::Tags,
    control::Stage,
    error::RenderError,
    job::of_media,
    names::{Names, slug},
    probe::{self, Expected, ExpectedStream},
    publish::Draft,
    sound::{Layout, Mixer, RATE, SoundError, Voice},
    source::Recording,
};

/// Sound is handed on this much behind what comes in, so that what comes a little late still finds its place.
pub(crate) const BEHIND: Duration = Duration::from_millis(500);
/// Decoders are started so much before the first sample that is wanted: 80 ms is what they need (RFC 7845 §4.6).
const PRE_ROLL: Duration = Duration::from_millis(200);

/// The part of a recording that is wanted, in what is shown of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    pub from: Position,
    pub to: Position,
}

impl Part {
    /// # Errors
    /// If the recording ends before it begins.
    pub fn of(recording: &Recording, from_ms: Option<u64>, to_ms: Option<u64>) -> Result<Self, RenderError> {
        let (from, to) = range(from_ms, to_ms);
        let end = recording.shown_length();
        let to = to.unwrap_or(end).min(end);
        if from < to {
            Ok(Self { from, to })
        } else {
            Err(RenderError::Nothing)
        }
    }

    pub fn length(&self) -> Duration {
        self.to.saturating_since(self.from)
    }

    /// So far into it, in samples a second of `rate`, at most its length.
    pub fn samples(&self, at: Position, rate: u32) -> u64 {
        let into = at.min(self.to).saturating_since(self.from);
        let samples = into.as_nanos() * u128::from(rate) / 1_000_000_000;
        u64::try_from(samples).unwrap_or(u64::MAX)
    }

    /// Where `at` stands, in samples at 48 kHz from its beginning; negative before.
    pub fn place(&self, at: Position) -> i64 {
        let nanos = i128::from(at.as_nanos()) - i128::from(self.from.as_nanos());
        let samples = (nanos * i128::from(RATE)).div_euclid(1_000_000_000);
        i64::try_from(samples).unwrap_or(i64::MAX)
    }

    /// A decoder of sound has to hear what is shown at `at`.
    pub fn hears(&self, at: Position) -> bool {
        at.saturating_add(PRE_ROLL) >= self.from && at < self.to
    }
}

/// Voices of a recording, mixed as its frames come.
pub(crate) struct Voices {
    layout: Layout,
    part: Part,
    by_stream: BTreeMap<usize, Voice>,
    mixer: Mixer,
}

impl Voices {
    pub fn new(layout: Layout, part: Part) -> Self {
        Self {
            layout,
            part,
            by_stream: BTreeMap::new(),
            mixer: Mixer::new(layout),
        }
    }

    /// Takes a packet of a stream.
    pub fn push(&mut self, stream: usize, shown: Position, data: bytes::Bytes) -> Result<(), SoundError> {
        if !self.part.hears(shown) {
            return Ok(());
        }
        let voice = match self.by_stream.entry(stream) {
            std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::btree_map::Entry::Vacant(new) => new.insert(Voice::new(self.layout)?),
        };
        voice.push(self.part.place(shown), data, &mut self.mixer);
        Ok(())
    }

    /// The mix up to `until`.
    pub fn take(&mut self, until: Position) -> Vec<f32> {
        self.mixer.take(self.part.samples(until, self.layout.rate))
    }
}

/// One file in the making.
struct Output {
    identity: Option<ParticipantIdentity>,
    name: String,
    draft: Draft,
    voices: Voices,
    file: AudioFile,
}

/// Makes what is asked for.
pub(crate) fn render(
    recording: &Recording,
    request: &AudioRequest,
    folder: &Path,
    control: &Control<'_>,
) -> Result<Rendered, RenderError> {
    let part = Part::of(recording, request.from_ms, request.to_ms)?;
    let layout = Layout {
        rate: if request.format == AudioFormat::Ogg {
            RATE
        } else {
            request.sample_rate
        },
        channels: request.channels,
    };
    let wanted: Vec<_> = recording
        .streams
        .iter()
        .map(|stream| is_wanted(stream, request, part))
        .collect();
    if !wanted.contains(&true) {
        return Err(RenderError::Nothing);
    }
    let mut outputs = outputs(recording, request, folder, (layout, part), &wanted)?;
    let route = |stream: usize| {
        let identity = &recording.streams[stream].channel.identity;
        let of = |output: &Output| output.identity.as_ref().is_none_or(|known| known == identity);
        outputs.iter().position(of)
    };
    let routes: Vec<_> = (0..wanted.len()).map(route).collect();
    let mut frames = recording.frames(&wanted);
    while let Some(frame) = frames.next()? {
        let at = frame.shown.min(part.to);
        control.rendered(at, part.to)?;
        for output in &mut outputs {
            output.advance(at.saturating_sub(BEHIND))?;
        }
        if let Some(output) = routes[frame.stream].and_then(|index| outputs.get_mut(index)) {
            output.voices.push(frame.stream, frame.shown, frame.frame.data)?;
        }
    }
    let count = outputs.len() as u64;
    let mut rendered = Rendered::default();
    for (done, output) in (1..).zip(outputs) {
        rendered.files.push(output.complete(request.format, part, control)?);
        control.progress(Stage::Checking, done, count)?;
    }
    Ok(rendered)
}

fn is_wanted(stream: &crate::source::Stream, request: &AudioRequest, part: Part) -> bool {
    let asked = request.participants.is_empty() || request.participants.contains(&stream.channel.identity);
    let sounds = stream
        .span
        .is_some_and(|(first, end)| first < part.to && end > part.from);
    stream.channel.kind == MediaKind::Audio && asked && sounds
}

fn outputs(
    recording: &Recording,
    request: &AudioRequest,
    folder: &Path,
    (layout, part): (Layout, Part),
    wanted: &[bool],
) -> Result<Vec<Output>, RenderError> {
    let container = match request.format {
        AudioFormat::Ogg => Container::Ogg,
        AudioFormat::Mp3 => Container::Mp3,
        AudioFormat::Wav => Container::Wav,
    };
    let mut people: Vec<Option<&ParticipantIdentity>> = Vec::new();
    if request.separate {
        for (stream, _) in recording.streams.iter().zip(wanted).filter(|(_, wanted)| **wanted) {
            let identity = Some(&stream.channel.identity);
            if !people.contains(&identity) {
                people.push(identity);
            }
        }
    } else {
        people.push(None);
    }
    let mut names = Names::default();
    let open = |identity: Option<&ParticipantIdentity>| {
        let name = identity.map_or("audio".to_owned(), |identity| slug(identity.as_str()));
        let draft = Draft::new(folder, &format!("{}.{}", names.unique(&name), container.extension()));
        let name = identity.map_or_else(String::new, |identity| recording.name_of(identity));
        let tags = Tags::of(recording, &name, name.clone(), part.from);
        let file = AudioFile::create(draft.path(), request.format, layout, &tags, part.length())
            .map_err(|error| error.into_render_error(draft.name()))?;
        Ok(Output {
            identity: identity.cloned(),
            name,
            draft,
            voices: Voices::new(layout, part),
            file,
        })
    };
    people.into_iter().map(open).collect()
}

impl Output {
    fn advance(&mut self, until: Position) -> Result<(), RenderError> {
        let sound = self.voices.take(until);
        self.file
            .push(&sound)
            .map_err(|error| error.into_render_error(self.draft.name()))
    }

    fn complete(mut self, format: AudioFormat, part: Part, control: &Control<'_>) -> Result<RenderedFile, RenderError> {
        self.advance(part.to)?;
        let name = self.draft.name().to_owned();
        self.file.finish().map_err(|error| error.into_render_error(&name))?;
        let expected = Expected {
            container: match format {
                AudioFormat::Ogg => Container::Ogg,
                AudioFormat::Mp3 => Container::Mp3,
                AudioFormat::Wav => Container::Wav,
            },
            duration: part.length(),
            streams: vec![ExpectedStream {
                kind: MediaKind::Audio,
                first: Duration::ZERO,
            }],
        };
        let facts = probe::probe(self.draft.path(), &expected, control).map_err(|source| RenderError::Probe {
            name: name.clone(),
            source,
        })?;
        self.draft.publish().map_err(|source| RenderError::Write {
            name: name.clone(),
            source,
        })?;
        let about = json!({
            "kind": "audio",
            "identity": self.identity,
            "name": self.name,
            "offset_ms": part.from.as_millis(),
        });
        Ok(of_media(name, about, &facts))
    }
}
