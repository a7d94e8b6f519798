//! Decoding a file's beginning, middle and end.

use std::{
    path::Path,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use greffier_media::codec::MediaKind;
use gst::prelude::*;
use gstreamer as gst;

use super::{Expected, ExpectedStream, ProbeError};
use crate::control::Control;

/// How much is decoded of each window, in media time and in pictures: enough to see that it works.
const WINDOW: Duration = Duration::from_secs(1);
const PICTURES: u64 = 40;
/// A window that takes longer will not come.
const LIMIT: Duration = Duration::from_secs(30);
/// How often the flag of cancellation is looked at while waiting.
const LOOK: Duration = Duration::from_millis(100);

/// What was decoded from one place on.
pub(super) struct Window {
    at: Duration,
    sinks: Vec<Seen>,
    /// The end of the file came before the window was full.
    ended: bool,
}

/// What one stream gave.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub kind: MediaKind,
    pub frames: u64,
    pub first: Option<Duration>,
    pub last: Option<Duration>,
}

impl Window {
    pub fn seen(&self, kind: MediaKind) -> Vec<&Seen> {
        self.sinks.iter().filter(|seen| seen.kind == kind).collect()
    }

    /// When the first frame of this kind is shown.
    pub fn first(&self, kind: MediaKind) -> Option<Duration> {
        self.seen(kind).into_iter().filter_map(|seen| seen.first).min()
    }

    /// Something of each kind that must be there was decoded. Pictures may be far between.
    pub fn check(&self, expected: &Expected) -> Result<(), ProbeError> {
        for stream in &expected.streams {
            let must_be_there = match stream.kind {
                MediaKind::Audio => !self.ended || self.at + WINDOW < expected.duration,
                MediaKind::Video => is_due(stream, self.at),
            };
            if must_be_there && self.seen(stream.kind).iter().all(|seen| seen.frames == 0) {
                return Err(ProbeError::Undecodable {
                    kind: stream.kind,
                    at: self.at,
                });
            }
        }
        Ok(())
    }
}

/// Whether a picture must be in the window at `at`: pictures may be far between, but the first is where it was meant to be.
fn is_due(stream: &ExpectedStream, at: Duration) -> bool {
    stream.kind == MediaKind::Video && at.is_zero() && stream.first < WINDOW
}

/// What the sinks share with the one who waits.
#[derive(Default)]
struct Shared {
    sinks: Vec<Seen>,
    /// From when on frames count for the window.
    from: Duration,
    /// A picture is due in this window: sound, which decodes sooner, does not end it before there is one.
    picture_due: bool,
}

type Board = Arc<(Mutex<Shared>, Condvar)>;

/// Decodes a second from the beginning, the middle and the end of a file.
pub(super) fn look(
    path: &Path,
    duration: Duration,
    expected: &Expected,
    control: &Control<'_>,
) -> Result<Vec<Window>, ProbeError> {
    let player = Player::open(path, control)?;
    player.lock().picture_due = expected.streams.iter().any(|stream| is_due(stream, Duration::ZERO));
    let mut windows = vec![player.play(Duration::ZERO, control)?];
    if duration > 3 * WINDOW {
        for at in [duration / 2, duration.saturating_sub(WINDOW)] {
            windows.push(player.seek_and_play(at, control)?);
        }
    }
    Ok(windows)
}

struct Player {
    pipeline: gst::Pipeline,
    board: Board,
}

impl Player {
    fn open(path: &Path, control: &Control<'_>) -> Result<Self, ProbeError> {
        let unreadable = |error: gst::glib::BoolError| ProbeError::Unreadable(error.to_string());
        let pipeline = gst::Pipeline::new();
        let board = Board::default();
        let source = gst::ElementFactory::make("filesrc")
            .property("location", path)
            .build()
            .map_err(unreadable)?;
        let decoder = gst::ElementFactory::make("decodebin").build().map_err(unreadable)?;
        pipeline.add_many([&source, &decoder]).map_err(unreadable)?;
        source.link(&decoder).map_err(unreadable)?;
        let (weak, sinks) = (pipeline.downgrade(), Arc::clone(&board));
        decoder.connect_pad_added(move |_, pad| {
            if let Some(pipeline) = weak.upgrade()
                && let Err(error) = add_sink(&pipeline, pad, &sinks)
            {
                tracing::warn!(%error, "a stream cannot be looked at");
            }
        });
        let player = Self { pipeline, board };
        player.set_state(gst::State::Paused, control)?;
        Ok(player)
    }

    /// Decodes from the key frame before `at` on.
    fn seek_and_play(&self, at: Duration, control: &Control<'_>) -> Result<Window, ProbeError> {
        {
            let mut shared = self.lock();
            (shared.from, shared.picture_due) = (at, false);
            for seen in &mut shared.sinks {
                (seen.frames, seen.first, seen.last) = (0, None, None);
            }
        }
        // The end that a fast decoder came to before is not the end of what follows.
        if let Some(bus) = self.pipeline.bus() {
            while bus.pop_filtered(&[gst::MessageType::Eos]).is_some() {}
        }
        let to = gst::ClockTime::from_nseconds(u64::try_from(at.as_nanos()).unwrap_or(u64::MAX - 1));
        let how = gst::SeekFlags::FLUSH | gst::SeekFlags::KEY_UNIT | gst::SeekFlags::SNAP_BEFORE;
        let unsought = |_| ProbeError::Decoding {
            at,
            message: "it cannot be sought".to_owned(),
        };
        self.pipeline.seek_simple(how, to).map_err(unsought)?;
        self.play(at, control)
    }

    fn play(&self, at: Duration, control: &Control<'_>) -> Result<Window, ProbeError> {
        self.set_state(gst::State::Playing, control)?;
        let ended = self.wait_until_full(at, control)?;
        self.set_state(gst::State::Paused, control)?;
        let sinks = self.lock().sinks.clone();
        Ok(Window { at, sinks, ended })
    }

    /// Answers whether the file ended before.
    fn wait_until_full(&self, at: Duration, control: &Control<'_>) -> Result<bool, ProbeError> {
        let bus = self.pipeline.bus().ok_or(ProbeError::Hung(LIMIT))?;
        let mut waited = Duration::ZERO;
        let mut shared = self.lock();
        while !shared.is_full() {
            control.check()?;
            let message = bus.pop_filtered(&[gst::MessageType::Eos, gst::MessageType::Error]);
            match message.as_ref().map(|message| message.view()) {
                Some(gst::MessageView::Error(error)) => {
                    return Err(ProbeError::Decoding {
                        at,
                        message: error.error().to_string(),
                    });
                }
                Some(_) => return Ok(true),
                None => {}
            }
            let (again, timeout) = self
                .board
                .1
                .wait_timeout(shared, LOOK)
                .unwrap_or_else(PoisonError::into_inner);
            shared = again;
            if timeout.timed_out() {
                waited += LOOK;
            }
            if waited > LIMIT {
                return Err(ProbeError::Hung(LIMIT));
            }
        }
        Ok(false)
    }

    fn set_state(&self, state: gst::State, control: &Control<'_>) -> Result<(), ProbeError> {
        let failed = || ProbeError::Unreadable(self.complaint());
        let mut waited = Duration::ZERO;
        if self.pipeline.set_state(state).map_err(|_| failed())? != gst::StateChangeSuccess::Async {
            return Ok(());
        }
        loop {
            control.check()?;
            let look = gst::ClockTime::from_mseconds(100);
            match self.pipeline.state(look) {
                (Ok(gst::StateChangeSuccess::Async), ..) if waited < LIMIT => waited += LOOK,
                (Ok(gst::StateChangeSuccess::Async), ..) => return Err(ProbeError::Hung(LIMIT)),
                (Ok(_), ..) => return Ok(()),
                (Err(_), ..) => return Err(failed()),
            }
        }
    }

    fn complaint(&self) -> String {
        let message = self
            .pipeline
            .bus()
            .and_then(|bus| bus.pop_filtered(&[gst::MessageType::Error]));
        match message.as_ref().map(|message| message.view()) {
            Some(gst::MessageView::Error(error)) => error.error().to_string(),
            _ => "its streams cannot be decoded".to_owned(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.board.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

impl Shared {
    /// Every stream that gives anything has given enough.
    fn is_full(&self) -> bool {
        let enough = |seen: &Seen| {
            seen.frames >= PICTURES && seen.kind == MediaKind::Video
                || seen
                    .last
                    .is_some_and(|last| last >= self.from.max(seen.first.unwrap_or_default()) + WINDOW)
        };
        let sound = self.sinks.iter().filter(|seen| seen.kind == MediaKind::Audio);
        let pictures = self.sinks.iter().filter(|seen| seen.kind == MediaKind::Video);
        let has_sound = sound.clone().next().is_some();
        // Sound has no holes, so it tells how far things are; pictures may be missing for an hour.
        if self.picture_due && pictures.clone().all(|seen| seen.frames == 0) {
            false
        } else if has_sound {
            sound.clone().all(enough)
                && pictures
                    .clone()
                    .all(|seen| seen.frames == 0 || enough(seen) || self.sound_is_past())
        } else {
            pictures.clone().any(enough)
        }
    }

    fn sound_is_past(&self) -> bool {
        let past = |seen: &Seen| seen.last.is_some_and(|last| last >= self.from + 3 * WINDOW);
        self.sinks.iter().filter(|seen| seen.kind == MediaKind::Audio).all(past)
    }
}

/// Counts what comes out of a decoder.
fn add_sink(pipeline: &gst::Pipeline, pad: &gst::Pad, board: &Board) -> Result<(), gst::glib::BoolError> {
    let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
    let is_audio = caps
        .structure(0)
        .is_some_and(|found| found.name().starts_with("audio/"));
    let kind = if is_audio { MediaKind::Audio } else { MediaKind::Video };
    let sink = gst::ElementFactory::make("fakesink")
        .property("sync", false)
        .property("signal-handoffs", true)
        .build()?;
    let index = {
        let mut shared = board.0.lock().unwrap_or_else(PoisonError::into_inner);
        shared.sinks.push(Seen {
            kind,
            frames: 0,
            first: None,
            last: None,
        });
        shared.sinks.len() - 1
    };
    let counted = Arc::clone(board);
    sink.connect("handoff", false, move |values| {
        let buffer = values.get(1).and_then(|value| value.get::<gst::Buffer>().ok())?;
        let pad = values.get(2).and_then(|value| value.get::<gst::Pad>().ok())?;
        let mut shared = counted.0.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = &mut shared.sinks[index];
        seen.frames += 1;
        let at = shown_at(&buffer, &pad);
        seen.first = seen.first.or(at);
        seen.last = at.or(seen.last);
        counted.1.notify_one();
        None
    });
    pipeline.add(&sink)?;
    let target = sink
        .static_pad("sink")
        .ok_or_else(|| gst::glib::bool_error!("a sink without a pad"))?;
    pad.link(&target).map_err(|error| gst::glib::bool_error!("{}", error))?;
    sink.sync_state_with_parent()
}

/// Where a buffer stands in the file: a track that begins late counts its own time from there.
fn shown_at(buffer: &gst::Buffer, pad: &gst::Pad) -> Option<Duration> {
    let segment = pad.sticky_event::<gst::event::Segment>(0)?;
    let segment = segment.segment().downcast_ref::<gst::ClockTime>()?;
    segment.to_stream_time(buffer.pts()).map(Duration::from)
}
