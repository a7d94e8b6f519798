//! Telling the application what has happened.

use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::Peer;
use crate::data_channel::DataChannel;
use crate::engine::Event;
use crate::media_stream::MediaStream;
use crate::media_stream_track::MediaStreamTrack;
use crate::peer_connection::{IceGatheringState, TrackEvent};
use crate::rtp_receiver::RtpReceiver;
use crate::rtp_transceiver::RtpTransceiver;

impl Peer {
    /// Calls back for everything that has happened, in order. Whoever is at it already carries on with what is added
    /// meanwhile, so a callback may call anything of this API.
    pub(super) fn dispatch(&self) {
        while !self.events.lock().is_empty() {
            if self.dispatching.swap(true, Ordering::AcqRel) {
                return;
            }
            let _ended = Dispatching(&self.dispatching);
            loop {
                let event = self.events.lock().pop_front();
                let Some(event) = event else { break };
                self.tell(event);
            }
        }
    }

    fn tell(&self, event: Event) {
        match event {
            Event::Connection(state) => call(&self.callbacks.connection, state),
            Event::Ice(state) => call(&self.callbacks.ice, state),
            Event::GatheringComplete => {
                let state = IceGatheringState::Complete;
                if self.states.gathering.swap(state as u8, Ordering::AcqRel) != state as u8 {
                    call(&self.callbacks.gathering, state);
                }
            }
            Event::Signaling(state) => call(&self.callbacks.signaling, state),
            Event::Candidate(candidate) => call(&self.callbacks.candidate, candidate),
            Event::CandidateError(error) => call(&self.callbacks.candidate_error, error),
            Event::NegotiationNeeded => {
                let number = self.negotiation_events.fetch_add(1, Ordering::Relaxed);
                call(&self.callbacks.negotiation, number);
            }
            Event::Channel(channel) => call(&self.callbacks.data_channel, DataChannel::new(channel)),
            Event::ChannelState(channel, state) => channel.notify_state(state),
            Event::Message(channel, data, binary) => channel.notify_message(&data, binary),
            Event::Sent(channel, bytes) => channel.notify_sent(bytes),
            Event::Track(transceiver, received) => {
                let stream = MediaStream::of(&received);
                let event = TrackEvent {
                    receiver: RtpReceiver::new(&transceiver),
                    streams: vec![stream],
                    track: MediaStreamTrack::of_remote(&received.track),
                    transceiver: RtpTransceiver::new(transceiver),
                };
                call(&self.callbacks.track, event);
            }
        }
    }
}

/// Somebody is calling back. It ends however a callback ends: after one that panicked, the failure has to be told.
struct Dispatching<'a>(&'a AtomicBool);

impl Drop for Dispatching<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

type Callback<T> = Mutex<Option<Box<dyn FnMut(T) + Send + Sync>>>;

fn call<T>(callback: &Callback<T>, value: T) {
    if let Some(callback) = callback.lock().as_mut() {
        callback(value);
    }
}
