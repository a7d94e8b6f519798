//! A remote track: where its packets go.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;

use super::HostRef;
use super::sdp::{Codec, HeaderExtension, Section};
use crate::raw::{InboundCounters, RtpPacket, RtpSink, SenderReport};

/// Kept for a sink that is attached after the first packets came: the SDK tells of a track a few milliseconds after
/// they begin, and the first of them is the key frame. Two seconds of a 5 Mbit/s stream.
const EARLY_PACKETS: usize = 1024;

/// What is waiting for, or going to, the sink.
enum Delivery {
    Packet(RtpPacket),
    Report(SenderReport),
}

enum Outlet {
    Waiting(VecDeque<Delivery>),
    Attached(Box<dyn RtpSink>),
    Detached,
}

/// One `(mid, msid)` of a remote description. When the section goes to another track, this one has ended and a new one
/// takes its place: nobody's packets reach anybody else's subscriber.
pub(crate) struct RemoteTrack {
    id: String,
    video: bool,
    host: HostRef,
    ended: AtomicBool,
    enabled: AtomicBool,
    overflowed: AtomicU64,
    outlet: Mutex<Outlet>,
    negotiated: Mutex<Negotiated>,
}

#[derive(Default, Clone)]
struct Negotiated {
    codecs: Vec<Codec>,
    extensions: Vec<HeaderExtension>,
    ssrcs: Vec<u32>,
}

impl RemoteTrack {
    pub fn new(id: String, video: bool, host: HostRef) -> Arc<Self> {
        Arc::new(Self {
            id,
            video,
            host,
            ended: AtomicBool::new(false),
            enabled: AtomicBool::new(true),
            overflowed: AtomicU64::new(0),
            outlet: Mutex::new(Outlet::Waiting(VecDeque::new())),
            negotiated: Mutex::default(),
        })
    }

    /// A track that belongs to no connection.
    #[cfg(test)]
    pub fn detached(id: &str, video: bool) -> Arc<Self> {
        Self::new(id.to_owned(), video, HostRef::default())
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    pub fn is_video(&self) -> bool {
        self.video
    }

    pub fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    pub fn enabled(&self) -> bool {
        self.enabled.load(Ordering::Relaxed)
    }

    pub fn set_enabled(&self, enabled: bool) {
        self.enabled.store(enabled, Ordering::Relaxed);
    }

    pub fn negotiated(&self, section: &Section) {
        *self.negotiated.lock() = Negotiated {
            codecs: section.codecs.clone(),
            extensions: section.extensions.clone(),
            ssrcs: section.ssrcs.clone(),
        };
    }

    pub fn codecs(&self) -> Vec<Codec> {
        self.negotiated.lock().codecs.clone()
    }

    pub fn header_extensions(&self) -> Vec<HeaderExtension> {
        self.negotiated.lock().extensions.clone()
    }

    pub fn ssrcs(&self) -> Vec<u32> {
        self.negotiated.lock().ssrcs.clone()
    }

    pub fn set_sink(&self, sink: Option<Box<dyn RtpSink>>) {
        let mut outlet = self.outlet.lock();
        let Some(mut sink) = sink else {
            *outlet = Outlet::Detached;
            return;
        };
        if let Outlet::Waiting(early) = &mut *outlet {
            for delivery in early.drain(..) {
                hand_over(sink.as_mut(), delivery);
            }
        }
        if self.has_ended() {
            sink.ended();
            *outlet = Outlet::Detached;
        } else {
            *outlet = Outlet::Attached(sink);
        }
    }

    pub fn deliver(&self, packet: RtpPacket) {
        self.hand_over(Delivery::Packet(packet));
    }

    pub fn deliver_report(&self, report: SenderReport) {
        self.hand_over(Delivery::Report(report));
    }

    fn hand_over(&self, delivery: Delivery) {
        match &mut *self.outlet.lock() {
            Outlet::Attached(sink) => hand_over(sink.as_mut(), delivery),
            Outlet::Waiting(early) => {
                // The oldest go first: what comes next is what a late subscriber can still use.
                if early.len() == EARLY_PACKETS {
                    early.pop_front();
                    self.overflowed.fetch_add(1, Ordering::Relaxed);
                }
                early.push_back(delivery);
            }
            Outlet::Detached => {
                self.overflowed.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Ends the track once; later calls do nothing.
    pub fn end(&self) {
        if self.ended.swap(true, Ordering::AcqRel) {
            return;
        }
        let mut outlet = self.outlet.lock();
        if let Outlet::Attached(sink) = &mut *outlet {
            sink.ended();
            // Nothing comes any more, but the SDK may keep the track for as long as the process lives.
            *outlet = Outlet::Detached;
        }
    }

    pub fn request_key_frame(&self) {
        let ssrcs = self.ssrcs();
        self.host
            .with_engine(&mut |engine, now| engine.request_key_frame(now, &ssrcs));
    }

    pub fn counters(&self) -> Vec<InboundCounters> {
        let ssrcs = self.ssrcs();
        let mut counters = Vec::new();
        self.host
            .look_at_engine(&mut |engine| counters = engine.inbound_counters(&ssrcs));
        if let Some(first) = counters.first_mut() {
            first.overflowed = self.overflowed.load(Ordering::Relaxed);
        }
        counters
    }
}

fn hand_over(sink: &mut dyn RtpSink, delivery: Delivery) {
    match delivery {
        Delivery::Packet(packet) => sink.packet(packet),
        Delivery::Report(report) => sink.sender_report(report),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Sink(Arc<AtomicU64>);

    impl RtpSink for Sink {
        fn packet(&mut self, _: RtpPacket) {}

        fn sender_report(&mut self, _: SenderReport) {}

        fn ended(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_track_that_has_ended_says_so_once_and_lets_its_sink_go() {
        let track = RemoteTrack::detached("TR_a", true);
        let ended = Arc::new(AtomicU64::new(0));
        track.set_sink(Some(Box::new(Sink(Arc::clone(&ended)))));
        track.end();
        track.end();
        assert_eq!((ended.load(Ordering::Relaxed), Arc::strong_count(&ended)), (1, 1));
        track.set_sink(Some(Box::new(Sink(Arc::clone(&ended)))));
        assert_eq!((ended.load(Ordering::Relaxed), Arc::strong_count(&ended)), (2, 1));
    }
}
