//! The first pass: what streams there are, how their times relate, and what frames they hold.

use std::path::PathBuf;

use bytes::Bytes;
use greffier_media::{
    codec::{Codec, Dims},
    frame::{Gap, MediaUnit},
    ids::{RecordingId, RoomName},
    journal::{Message, RoomEvent, Topic},
    survey::Survey,
    time::{Arrival, MediaTime, Position},
    timeline::{Pauses, StreamClock},
};

use super::{
    Item, Keyframe, Recording, Segments, SourceError, Stream,
    frames::{Readers, VIDEO_FRAME},
    segments,
};
use crate::control::{Control, Stage};

/// Messages between two looks at the clock of progress and the flag of cancellation.
const LOOK_EVERY: u64 = 4096;

pub(super) fn survey(paths: Vec<PathBuf>, control: &Control<'_>) -> Result<Recording, SourceError> {
    let size = segments::size(&paths)?;
    let mut segments = Segments::new(&paths);
    let mut survey = Survey::new();
    let mut readers = Readers::default();
    let mut tallies: Vec<Tally> = Vec::new();
    let mut started = None;
    let mut count = 0_u64;
    while let Some(item) = segments.next()? {
        let Item::Message(message) = item else {
            survey.begin_segment();
            readers.begin_segment();
            continue;
        };
        started.get_or_insert(message.arrival);
        survey.message(&message);
        readers.message(&message, |stream, arrival| {
            Some(survey.streams()[stream].numbering_at(arrival))
        });
        take_in(&mut readers, &mut tallies);
        count += 1;
        if count.is_multiple_of(LOOK_EVERY) {
            control.progress(Stage::Surveying, segments.bytes(), size)?;
        }
    }
    readers.finish();
    take_in(&mut readers, &mut tallies);
    let damage = segments.into_damage();
    let started: Arrival = started.ok_or(SourceError::Empty)?;
    let pauses = survey.pauses();
    tallies.resize_with(survey.streams().len(), Tally::default);
    let streams = survey.streams().iter().zip(tallies).enumerate();
    let streams = streams
        .map(|(index, (found, tally))| {
            let clock = survey.clock(found);
            let (span, keyframes) = clock
                .as_ref()
                .map_or_else(Default::default, |clock| tally.shown(clock, &pauses));
            Stream {
                channel: found.channel.clone(),
                packets: found.packets,
                frames: tally.frames,
                frame_bytes: tally.bytes,
                lost: tally.lost,
                dropped: tally.dropped,
                span,
                keyframes,
                first_keyframe: tally.first_keyframe,
                stereo: tally.stereo,
                problem: readers.problem(index).cloned(),
                clock,
            }
        })
        .collect();
    let (id, room) = identify(survey.events());
    Ok(Recording {
        segments: paths,
        id,
        room,
        started,
        streams,
        pauses,
        damage,
        survey,
    })
}

fn take_in(readers: &mut Readers, tallies: &mut Vec<Tally>) {
    while let Some((stream, unit)) = readers.poll() {
        if tallies.len() <= stream {
            tallies.resize_with(stream + 1, Tally::default);
        }
        tallies[stream].add(&unit);
    }
}

/// Whose recording it is: the start says it, and each segment's snapshot again.
fn identify(events: &[(Position, RoomEvent)]) -> (Option<RecordingId>, Option<RoomName>) {
    let found = events.iter().find_map(|(_, event)| match event {
        RoomEvent::RecordingStarted { recording, room, .. } => Some((*recording, room.clone())),
        RoomEvent::Snapshot { recording, room, .. } => Some((*recording, room.name.clone())),
        _ => None,
    });
    found.unzip()
}

/// Of messages of the room's channels and of damaged ones there is nothing to count here.
pub(super) fn is_of_a_stream(message: &Message) -> bool {
    matches!(message.channel.topic, Topic::Rtp(_) | Topic::Rtcp(_))
}

/// What is counted of a stream's frames.
#[derive(Default)]
struct Tally {
    frames: u64,
    bytes: u64,
    lost: u64,
    dropped: u64,
    first: Option<MediaTime>,
    /// The last frame, and how long it lasts.
    last: Option<(MediaTime, std::time::Duration)>,
    keyframes: Vec<(MediaTime, Option<Dims>)>,
    first_keyframe: Option<Bytes>,
    stereo: bool,
}

impl Tally {
    fn add(&mut self, unit: &MediaUnit) {
        let frame = match unit {
            MediaUnit::Frame(frame) => frame,
            MediaUnit::Gap(Gap {
                packets_lost,
                frames_dropped,
                ..
            }) => {
                self.lost += packets_lost;
                self.dropped += frames_dropped;
                return;
            }
        };
        if frame.is_blank() {
            return;
        }
        self.frames += 1;
        self.bytes += frame.data.len() as u64;
        self.first.get_or_insert(frame.media_time);
        self.last = Some((frame.media_time, frame.duration.unwrap_or(VIDEO_FRAME)));
        if frame.duration.is_some() {
            // The third bit from the end of the TOC byte (RFC 6716 §3.1).
            self.stereo |= frame.data.first().is_some_and(|toc| toc & 4 != 0);
        } else if frame.keyframe {
            self.keyframes.push((frame.media_time, frame.dims));
            if matches!(frame.codec, Codec::H264 | Codec::Av1) && self.first_keyframe.is_none() {
                // A copy: a slice would keep a whole chunk of the journal.
                self.first_keyframe = Some(Bytes::copy_from_slice(&frame.data));
            }
        }
    }

    fn shown(&self, clock: &StreamClock, pauses: &Pauses) -> (Option<(Position, Position)>, Vec<Keyframe>) {
        let at = |media| clock.position(media).map(|position| pauses.clamped(position));
        let span = self.first.and_then(at).zip(
            self.last
                .and_then(|(media, lasts)| Some(at(media)?.saturating_add(lasts))),
        );
        let keyframes = self.keyframes.iter().filter_map(|(media, dims)| {
            Some(Keyframe {
                shown: at(*media)?,
                dims: *dims,
            })
        });
        (span, keyframes.collect())
    }
}
