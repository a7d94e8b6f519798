//! Which files there will be, and which streams go into which.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use greffier_media::{
    codec::{Codec, MediaKind},
    ids::{ParticipantIdentity, TrackSid},
    journal::TrackSource,
    time::Position,
    track::TrackError,
};
use serde::{Deserialize, Serialize};

use crate::{
    container::Container,
    names::{Names, slug},
    source::{Recording, Stream},
};

/// A track that begins while the one before it still has this much to say follows it: after a rejoin the server ends the
/// old one a little late.
const OVERLAP: Duration = Duration::from_secs(2);

/// What a copied file shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Subject {
    /// Somebody's camera and microphone.
    Participant,
    /// A screen share, with the sound of what is shared.
    ScreenShare,
}

/// A track that is in no file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    pub track: TrackSid,
    pub identity: ParticipantIdentity,
    pub source: TrackSource,
    pub reason: SkipReason,
}

/// Why a track is in no file. Its packets are in the journal, and in exports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "why")]
#[non_exhaustive]
pub enum SkipReason {
    /// End-to-end encrypted: the key is not ours.
    Encrypted,
    /// There is no way to make frames of its packets.
    Codec { mime: String },
    /// Packets came, but no whole frame to start with.
    NoFrames,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FilePlan {
    /// Without its ending.
    pub name: String,
    pub subject: Subject,
    pub identity: ParticipantIdentity,
    pub participant_name: String,
    pub container: Container,
    pub lanes: Vec<Lane>,
}

/// A track of a file: streams of one codec, one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lane {
    pub codec: Codec,
    pub source: TrackSource,
    /// Indices of the recording's streams, in order.
    pub streams: Vec<usize>,
    first: Position,
    end: Position,
}

/// A publication: the streams of one track with one codec.
struct Unit {
    track: TrackSid,
    lane: Lane,
}

/// Sorts all streams into files.
pub(super) fn plan(recording: &Recording) -> (Vec<FilePlan>, Vec<Skipped>) {
    let mut people: Vec<(&ParticipantIdentity, Vec<usize>)> = Vec::new();
    for (index, stream) in recording
        .streams
        .iter()
        .enumerate()
        .filter(|(_, stream)| stream.span.is_some())
    {
        let identity = &stream.channel.identity;
        match people.iter_mut().find(|(known, _)| *known == identity) {
            Some((_, streams)) => streams.push(index),
            None => people.push((identity, vec![index])),
        }
    }
    let mut names = Names::default();
    let mut files = Vec::new();
    for (identity, streams) in people {
        files.extend(of_participant(recording, identity, &streams, &mut names));
    }
    (files, skipped(&recording.streams))
}

fn of_participant(
    recording: &Recording,
    identity: &ParticipantIdentity,
    streams: &[usize],
    names: &mut Names,
) -> Vec<FilePlan> {
    let of = |wanted: fn(&Stream) -> bool| {
        units(
            recording,
            streams
                .iter()
                .copied()
                .filter(|index| wanted(&recording.streams[*index])),
        )
    };
    let (voices, cameras) = (of(is_voice), of(is_camera));
    let participant_name = recording.name_of(identity);
    let file = |name: String, subject: Subject, lanes: Vec<Lane>| FilePlan {
        name,
        subject,
        identity: identity.clone(),
        participant_name: participant_name.clone(),
        container: Container::for_copies(lanes.iter().map(|lane| lane.codec)),
        lanes,
    };
    let slug = names.unique(&slug(identity.as_str()));
    let mut files = Vec::new();
    // Pictures first: players take the first track of a kind.
    let lanes: Vec<_> = in_a_row(cameras).into_iter().chain(in_a_row(voices)).collect();
    if !lanes.is_empty() {
        files.push(file(slug.clone(), Subject::Participant, lanes));
    }
    for (number, lanes) in (1..).zip(screens(of(is_screen), of(is_screen_sound))) {
        files.push(file(
            names.unique(&format!("{slug}.screen-{number}")),
            Subject::ScreenShare,
            lanes,
        ));
    }
    files
}

/// One list of lanes for each screen share; sound without a picture is one, too.
fn screens(pictures: Vec<Unit>, sounds: Vec<Unit>) -> Vec<Vec<Lane>> {
    let mut shares: Vec<(TrackSid, Vec<Lane>, Vec<Unit>)> = Vec::new();
    for picture in pictures {
        match shares.iter_mut().find(|(track, ..)| *track == picture.track) {
            Some((_, lanes, _)) => lanes.push(picture.lane),
            None => shares.push((picture.track, vec![picture.lane], Vec::new())),
        }
    }
    let mut alone = Vec::new();
    for sound in sounds {
        let common = |lanes: &[Lane]| {
            let of = |lane: &Lane| {
                lane.end
                    .min(sound.lane.end)
                    .saturating_since(lane.first.max(sound.lane.first))
            };
            lanes.iter().map(of).max().unwrap_or_default()
        };
        match shares.iter_mut().max_by_key(|(_, lanes, _)| common(lanes)) {
            Some((_, lanes, sounds)) if common(lanes) > Duration::ZERO => sounds.push(sound),
            _ => alone.push(vec![sound.lane]),
        }
    }
    let with_sound = shares
        .into_iter()
        .map(|(_, lanes, sounds)| lanes.into_iter().chain(in_a_row(sounds)).collect());
    with_sound.chain(alone).collect()
}

/// Publications by when they begin.
fn units(recording: &Recording, streams: impl Iterator<Item = usize>) -> Vec<Unit> {
    let mut units: Vec<Unit> = Vec::new();
    for index in streams {
        let stream = &recording.streams[index];
        let (Some(codec), Some((first, end))) = (stream.channel.codec(), stream.span) else {
            continue;
        };
        let track = &stream.channel.track;
        let lane = Lane {
            codec,
            source: stream.channel.source,
            streams: vec![index],
            first,
            end,
        };
        match units
            .iter_mut()
            .find(|unit| unit.track == *track && unit.lane.codec == codec)
        {
            Some(unit) => unit.lane.append(&lane),
            None => units.push(Unit {
                track: track.clone(),
                lane,
            }),
        }
    }
    units.sort_by_key(|unit| unit.lane.first);
    units
}

/// As few lanes as these fit in, one after the other; what overlaps stands in another.
fn in_a_row(units: Vec<Unit>) -> Vec<Lane> {
    let mut lanes: Vec<Lane> = Vec::new();
    for unit in units {
        let follows =
            |lane: &&mut Lane| lane.codec == unit.lane.codec && lane.end <= unit.lane.first.saturating_add(OVERLAP);
        match lanes.iter_mut().find(follows) {
            Some(lane) => lane.append(&unit.lane),
            None => lanes.push(unit.lane),
        }
    }
    lanes
}

impl Lane {
    fn append(&mut self, later: &Lane) {
        self.streams.extend(&later.streams);
        self.first = self.first.min(later.first);
        self.end = self.end.max(later.end);
    }

    pub fn first(&self) -> Position {
        self.first
    }

    /// The place of a stream among the lane's.
    pub fn order_of(&self, stream: usize) -> usize {
        self.streams.iter().position(|known| *known == stream).unwrap_or(0)
    }
}

fn is_screen(stream: &Stream) -> bool {
    stream.channel.source == TrackSource::ScreenShare && stream.channel.kind == MediaKind::Video
}

fn is_screen_sound(stream: &Stream) -> bool {
    matches!(
        stream.channel.source,
        TrackSource::ScreenShareAudio | TrackSource::ScreenShare
    ) && stream.channel.kind == MediaKind::Audio
}

fn is_camera(stream: &Stream) -> bool {
    stream.channel.kind == MediaKind::Video && !is_screen(stream)
}

fn is_voice(stream: &Stream) -> bool {
    stream.channel.kind == MediaKind::Audio && !is_screen_sound(stream)
}

/// One note for each track that has nothing to show although packets came.
fn skipped(streams: &[Stream]) -> Vec<Skipped> {
    let shown: BTreeSet<_> = streams
        .iter()
        .filter(|stream| stream.span.is_some())
        .map(|stream| &stream.channel.track)
        .collect();
    let mut notes = BTreeMap::new();
    for stream in streams
        .iter()
        .filter(|stream| stream.packets > 0 && !shown.contains(&stream.channel.track))
    {
        let reason = match &stream.problem {
            Some(TrackError::Encrypted) => SkipReason::Encrypted,
            Some(_) => SkipReason::Codec {
                mime: stream.channel.mime.clone(),
            },
            None => SkipReason::NoFrames,
        };
        notes.entry(stream.channel.track.clone()).or_insert_with(|| Skipped {
            track: stream.channel.track.clone(),
            identity: stream.channel.identity.clone(),
            source: stream.channel.source,
            reason,
        });
    }
    notes.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(track: &str, codec: Codec, from: u64, to: u64) -> Unit {
        let (first, end) = (Position::from_millis(from), Position::from_millis(to));
        let lane = Lane {
            codec,
            source: TrackSource::Camera,
            streams: vec![usize::try_from(from).unwrap()],
            first,
            end,
        };
        Unit {
            track: TrackSid::new(track).unwrap(),
            lane,
        }
    }

    #[test]
    fn what_follows_shares_a_lane_and_what_overlaps_does_not() {
        let lanes = in_a_row(vec![
            unit("TR_1", Codec::Vp8, 0, 10_000),
            unit("TR_2", Codec::Vp8, 5_000, 20_000),
            unit("TR_3", Codec::Vp8, 9_000, 30_000),
            unit("TR_4", Codec::H264, 40_000, 50_000),
        ]);
        let streams: Vec<_> = lanes.iter().map(|lane| (lane.codec, lane.streams.clone())).collect();
        assert_eq!(
            streams,
            [
                (Codec::Vp8, vec![0, 9_000]),
                (Codec::Vp8, vec![5_000]),
                (Codec::H264, vec![40_000])
            ]
        );
    }

    #[test]
    fn sound_goes_with_the_screen_it_was_shared_with() {
        let shares = screens(
            vec![
                unit("TR_1", Codec::Vp8, 0, 10_000),
                unit("TR_2", Codec::Vp8, 20_000, 30_000),
            ],
            vec![
                unit("TR_3", Codec::Opus, 20_500, 30_000),
                unit("TR_4", Codec::Opus, 1_000, 9_000),
                unit("TR_5", Codec::Opus, 40_000, 50_000),
            ],
        );
        let firsts: Vec<Vec<_>> = shares
            .iter()
            .map(|lanes| lanes.iter().map(|lane| lane.first.as_millis()).collect())
            .collect();
        assert_eq!(firsts, [vec![0, 1_000], vec![20_000, 20_500], vec![40_000]]);
    }
}
