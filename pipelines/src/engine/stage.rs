//! One element between two pads of ours.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use gst::prelude::*;
use gstreamer as gst;

use super::{EngineError, START_LIMIT, init, package_of};

/// An element that runs on the thread that pushes into it.
pub(crate) struct Stage {
    name: String,
    element: gst::Element,
    input: gst::Pad,
    /// Kept, since the element holds its peer weakly.
    output: gst::Pad,
    bus: gst::Bus,
    produced: Arc<Mutex<Produced>>,
}

#[derive(Default)]
struct Produced {
    caps: Option<gst::Caps>,
    buffers: VecDeque<(gst::Buffer, Option<gst::Caps>)>,
}

impl Stage {
    /// Starts an element with its properties (as text, like `gst-launch-1.0` takes them) for input of these `caps`.
    pub fn new(name: &str, properties: &[(&str, &str)], caps: &gst::Caps) -> Result<Self, EngineError> {
        init()?;
        let missing = || EngineError::Missing {
            element: name.to_owned(),
            package: package_of(name),
        };
        let element = gst::ElementFactory::make(name).build().map_err(|_| missing())?;
        for (property, value) in properties {
            element.set_property_from_str(property, value);
        }
        let bus = gst::Bus::new();
        element.set_bus(Some(&bus));
        let produced = Arc::new(Mutex::new(Produced::default()));
        let failed = |message: &str| EngineError::Failed {
            element: name.to_owned(),
            message: message.to_owned(),
        };
        let output = collector(&produced).map_err(|error| failed(&error.to_string()))?;
        let input = gst::Pad::new(gst::PadDirection::Src);
        let (sink, src) = element
            .static_pad("sink")
            .zip(element.static_pad("src"))
            .ok_or_else(|| failed("it is no filter"))?;
        input.link(&sink).map_err(|error| failed(&error.to_string()))?;
        src.link(&output).map_err(|error| failed(&error.to_string()))?;
        let stage = Self {
            name: name.to_owned(),
            element,
            input,
            output,
            bus,
            produced,
        };
        stage.start(caps)?;
        Ok(stage)
    }

    fn start(&self, caps: &gst::Caps) -> Result<(), EngineError> {
        for pad in [&self.output, &self.input] {
            pad.set_active(true).map_err(|error| self.failure(&error.to_string()))?;
        }
        let started = self
            .element
            .set_state(gst::State::Playing)
            .map_err(|error| self.failure(&error.to_string()))?;
        if started == gst::StateChangeSuccess::Async {
            let limit = gst::ClockTime::from_nseconds(u64::try_from(START_LIMIT.as_nanos()).unwrap_or(u64::MAX));
            let (result, reached, _) = self.element.state(limit);
            result.map_err(|error| self.failure(&error.to_string()))?;
            if reached != gst::State::Playing {
                return Err(EngineError::Hung {
                    element: self.name.clone(),
                    limit: START_LIMIT,
                });
            }
        }
        let segment = gst::FormattedSegment::<gst::ClockTime>::new();
        for event in [
            gst::event::StreamStart::new(&self.name),
            gst::event::Caps::new(caps),
            gst::event::Segment::new(&segment),
        ] {
            self.send(event)?;
        }
        Ok(())
    }

    /// Runs one buffer through. An error of the stream, not of the element, is one too: the caller decides.
    pub fn push(&mut self, buffer: gst::Buffer) -> Result<(), EngineError> {
        match self.input.push(buffer) {
            Ok(_) => Ok(()),
            Err(error) => Err(self.failure(&error.to_string())),
        }
    }

    /// Nothing more comes: what the element holds back comes out.
    pub fn finish(&mut self) -> Result<(), EngineError> {
        self.send(gst::event::Eos::new())
    }

    /// The next buffer that came out, and what it holds.
    pub fn take(&mut self) -> Option<(gst::Buffer, Option<gst::Caps>)> {
        self.lock().buffers.pop_front()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Produced> {
        self.produced.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, event: gst::Event) -> Result<(), EngineError> {
        if self.input.push_event(event) {
            Ok(())
        } else {
            Err(self.failure("it refuses its input"))
        }
    }

    /// What the element itself says went wrong, or else `otherwise`.
    fn failure(&self, otherwise: &str) -> EngineError {
        let mut said = None;
        while let Some(message) = self.bus.pop_filtered(&[gst::MessageType::Error]) {
            if let gst::MessageView::Error(error) = message.view() {
                said = Some(error.error().to_string());
            }
        }
        EngineError::Failed {
            element: self.name.clone(),
            message: said.unwrap_or_else(|| otherwise.to_owned()),
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // Nothing waits for it: a failure to stop has no consequence but itself.
        let _ = self.element.set_state(gst::State::Null);
        let _ = self.input.set_active(false);
        let _ = self.output.set_active(false);
        self.bus.set_flushing(true);
    }
}

/// A pad that keeps what it is given.
fn collector(produced: &Arc<Mutex<Produced>>) -> Result<gst::Pad, gst::glib::BoolError> {
    let (buffers, caps) = (Arc::clone(produced), Arc::clone(produced));
    // A pad without a template takes nothing but what it was given first, and pictures change their size.
    let anything = gst::PadTemplate::new(
        "sink",
        gst::PadDirection::Sink,
        gst::PadPresence::Always,
        &gst::Caps::new_any(),
    )?;
    let pad = gst::Pad::builder_from_template(&anything)
        .chain_function(move |_, _, buffer| {
            let mut produced = buffers.lock().unwrap_or_else(PoisonError::into_inner);
            let caps = produced.caps.clone();
            produced.buffers.push_back((buffer, caps));
            Ok(gst::FlowSuccess::Ok)
        })
        .event_function(move |_, _, event| {
            if let gst::EventView::Caps(event) = event.view() {
                caps.lock().unwrap_or_else(PoisonError::into_inner).caps = Some(event.caps_owned());
            }
            true
        })
        .build();
    Ok(pad)
}

/// A buffer around `data`, without copying it.
pub(crate) fn buffer(data: Bytes, at: Duration, lasts: Option<Duration>, keyframe: bool) -> gst::Buffer {
    let mut buffer = gst::Buffer::from_slice(data);
    if let Some(buffer) = buffer.get_mut() {
        buffer.set_pts(clock_time(at));
        buffer.set_dts(clock_time(at));
        buffer.set_duration(lasts.map(clock_time));
        if !keyframe {
            buffer.set_flags(gst::BufferFlags::DELTA_UNIT);
        }
    }
    buffer
}

fn clock_time(time: Duration) -> gst::ClockTime {
    gst::ClockTime::from_nseconds(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX - 1))
}
