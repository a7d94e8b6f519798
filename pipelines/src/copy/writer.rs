//! One file in the making: frames of its lanes in, an unbroken file out.

use std::{io, time::Duration};

use bytes::Bytes;
use greffier_media::{
    codec::MediaKind,
    time::{ClockRate, Position},
};

use super::plan::{FilePlan, Lane};
use crate::{
    container::{Muxer, Sample},
    publish::Draft,
    sound::{Line, Packet, samples_at},
    source::{TimedFrame, VIDEO_FRAME},
};

/// Sound that is silent is written this much behind the pictures, so that what comes a little late still finds its place.
const BEHIND: Duration = Duration::from_millis(500);

/// A picture that comes so little after zero is shown at zero.
pub(super) const AT_ONCE: Duration = Duration::from_millis(100);

/// A last picture lasts as long as the one before it, but at least so long.
const SHORTEST: Duration = Duration::from_millis(5);

/// What was written, to be found again by the probe.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Written {
    /// Where the last frame ends.
    pub end: Duration,
    /// Of each track: when its first real frame is shown, and how many there are.
    pub tracks: Vec<WrittenTrack>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct WrittenTrack {
    pub first: Option<Duration>,
    pub frames: u64,
}

pub(super) struct FileWriter {
    pub plan: FilePlan,
    /// Where the file's zero stands in what is shown of the recording.
    pub zero: Position,
    pub draft: Draft,
    muxer: Box<dyn Muxer>,
    lanes: Vec<LaneWriter>,
}

struct LaneWriter {
    /// The stream that is on: those before it in the lane are over.
    on: usize,
    media: Media,
    written: WrittenTrack,
}

enum Media {
    Sound(Line),
    Pictures(Pictures),
}

#[derive(Default)]
struct Pictures {
    /// When the last one is shown, and for how long if none follows.
    last: Option<(Duration, Duration)>,
}

impl FileWriter {
    /// `black` has a picture for each lane that wants one at zero.
    pub fn new(
        plan: FilePlan,
        zero: Position,
        draft: Draft,
        mut muxer: Box<dyn Muxer>,
        black: Vec<Option<Bytes>>,
    ) -> io::Result<Self> {
        for (lane, data) in black.into_iter().enumerate() {
            if let Some(data) = data {
                let lasts = plan.lanes[lane].first().saturating_since(zero);
                muxer.write(
                    lane,
                    Sample {
                        at: Duration::ZERO,
                        lasts,
                        keyframe: true,
                        data,
                    },
                )?;
            }
        }
        let lanes = plan.lanes.iter().map(LaneWriter::new).collect();
        Ok(Self {
            plan,
            zero,
            draft,
            muxer,
            lanes,
        })
    }

    /// Writes a frame of one of the lanes.
    pub fn write(&mut self, lane: usize, frame: TimedFrame) -> io::Result<()> {
        let order = self.plan.lanes[lane].order_of(frame.stream);
        let at = frame.shown.saturating_since(self.zero);
        self.catch_up(at.saturating_sub(BEHIND))?;
        let writer = &mut self.lanes[lane];
        if order < writer.on {
            return Ok(());
        }
        writer.on = order;
        writer.written.frames += 1;
        let muxer = &mut self.muxer;
        match &mut writer.media {
            Media::Sound(sound) => {
                writer.written.first.get_or_insert(at);
                let mut result = Ok(());
                let wanted = samples_at(Position::ZERO.saturating_add(at));
                sound.push(wanted, frame.frame.data, |packet| {
                    put(&mut **muxer, lane, packet, &mut result);
                });
                result
            }
            Media::Pictures(pictures) => {
                let first = pictures.push(at, frame.frame.keyframe, frame.frame.data, |sample| {
                    muxer.write(lane, sample)
                })?;
                writer.written.first.get_or_insert(first);
                Ok(())
            }
        }
    }

    /// Completes the file: all tracks to its end.
    pub fn finish(mut self) -> io::Result<(FilePlan, Position, Draft, Written)> {
        let mut end = Duration::ZERO;
        for lane in &self.lanes {
            end = end.max(match &lane.media {
                Media::Sound(line) => duration_of(line.at()),
                Media::Pictures(pictures) => pictures.last.map_or(Duration::ZERO, |(at, lasts)| at + lasts),
            });
        }
        for (track, lane) in self.lanes.iter_mut().enumerate() {
            if let Media::Sound(line) = &mut lane.media {
                let mut result = Ok(());
                line.fill(samples_at(Position::ZERO.saturating_add(end)), |packet| {
                    put(&mut *self.muxer, track, packet, &mut result);
                });
                result?;
            }
        }
        self.muxer.finish()?;
        let tracks = self.lanes.iter().map(|lane| lane.written).collect();
        Ok((self.plan, self.zero, self.draft, Written { end, tracks }))
    }

    /// Sound that is behind is silent up to here.
    fn catch_up(&mut self, until: Duration) -> io::Result<()> {
        for (track, lane) in self.lanes.iter_mut().enumerate() {
            if let Media::Sound(line) = &mut lane.media {
                let mut result = Ok(());
                line.advance(samples_at(Position::ZERO.saturating_add(until)), |packet| {
                    put(&mut *self.muxer, track, packet, &mut result);
                });
                result?;
            }
        }
        Ok(())
    }
}

impl LaneWriter {
    fn new(lane: &Lane) -> Self {
        let media = match lane.codec.kind() {
            MediaKind::Audio => Media::Sound(Line::default()),
            MediaKind::Video => Media::Pictures(Pictures::default()),
        };
        Self {
            on: 0,
            media,
            written: WrittenTrack::default(),
        }
    }
}

impl Pictures {
    /// Writes the next picture, and answers when it is shown.
    fn push(
        &mut self,
        at: Duration,
        keyframe: bool,
        data: Bytes,
        mut write: impl FnMut(Sample) -> io::Result<()>,
    ) -> io::Result<Duration> {
        let (at, lasts) = match self.last {
            Some((before, _)) if at > before => (at, at.saturating_sub(before).clamp(SHORTEST, VIDEO_FRAME)),
            Some((before, lasts)) => (before, lasts),
            None if at <= AT_ONCE => (Duration::ZERO, VIDEO_FRAME),
            None => (at, VIDEO_FRAME),
        };
        self.last = Some((at, lasts));
        write(Sample {
            at,
            lasts,
            keyframe,
            data,
        })?;
        Ok(at)
    }
}

fn put(muxer: &mut dyn Muxer, track: usize, packet: Packet, result: &mut io::Result<()>) {
    if result.is_ok() {
        let (at, end) = (duration_of(packet.start), duration_of(packet.end()));
        *result = muxer.write(
            track,
            Sample {
                at,
                lasts: end.saturating_sub(at),
                keyframe: true,
                data: packet.data,
            },
        );
    }
}

/// So many samples of sound.
fn duration_of(samples: u64) -> Duration {
    Duration::from_nanos(ClockRate::OPUS.nanos(samples))
}
