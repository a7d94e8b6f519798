//! A data channel's shared state.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU8, AtomicU64, Ordering};
use std::time::Instant;

use bytes::BytesMut;
use parking_lot::Mutex;
use rtc::data_channel::{RTCDataChannelId, RTCDataChannelInit};
use rtc::peer_connection::event::RTCDataChannelEvent;

use super::{Engine, Event, HostRef};
use crate::RtcError;
use crate::data_channel::{
    DataBuffer, DataChannelInit, DataChannelState, OnBufferedAmountChange, OnMessage, OnStateChange,
};

pub(crate) struct ChannelInner {
    pub id: RTCDataChannelId,
    pub label: String,
    pub protocol: String,
    pub host: HostRef,
    stream_id: AtomicI32,
    state: AtomicU8,
    /// Bytes handed to SCTP and not acknowledged yet.
    pub buffered: AtomicU64,
    pub counters: Mutex<ChannelCounters>,
    pub on_state: Mutex<Option<OnStateChange>>,
    pub on_message: Mutex<Option<OnMessage>>,
    pub on_buffered: Mutex<Option<OnBufferedAmountChange>>,
    /// Messages that came before anybody listened.
    early: Mutex<Vec<(Vec<u8>, bool)>>,
}

#[derive(Default, Clone, Copy)]
pub(crate) struct ChannelCounters {
    pub messages_sent: u32,
    pub bytes_sent: u64,
    pub messages_received: u32,
    pub bytes_received: u64,
}

/// A channel that nobody listens to keeps this many messages; the SDK attaches its listener in the callback that tells of
/// the channel, or a moment later.
const EARLY_MESSAGES: usize = 256;

impl ChannelInner {
    pub fn new(id: RTCDataChannelId, label: String, protocol: String, host: HostRef) -> Arc<Self> {
        Arc::new(Self {
            id,
            label,
            protocol,
            host,
            stream_id: AtomicI32::new(-1),
            state: AtomicU8::new(DataChannelState::Connecting as u8),
            buffered: AtomicU64::new(0),
            counters: Mutex::default(),
            on_state: Mutex::new(None),
            on_message: Mutex::new(None),
            on_buffered: Mutex::new(None),
            early: Mutex::new(Vec::new()),
        })
    }

    pub fn stream_id(&self) -> i32 {
        self.stream_id.load(Ordering::Relaxed)
    }

    pub fn set_stream_id(&self, id: u16) {
        self.stream_id.store(i32::from(id), Ordering::Relaxed);
    }

    pub fn state(&self) -> DataChannelState {
        match self.state.load(Ordering::Acquire) {
            0 => DataChannelState::Connecting,
            1 => DataChannelState::Open,
            2 => DataChannelState::Closing,
            _ => DataChannelState::Closed,
        }
    }

    /// Whether the state is new; it only moves forward.
    pub fn advance(&self, state: DataChannelState) -> bool {
        self.state.fetch_max(state as u8, Ordering::AcqRel) < state as u8
    }

    pub fn notify_state(&self, state: DataChannelState) {
        if let Some(listener) = self.on_state.lock().as_mut() {
            listener(state);
        }
    }

    pub fn notify_message(&self, data: &[u8], binary: bool) {
        {
            let mut counters = self.counters.lock();
            counters.messages_received += 1;
            counters.bytes_received += data.len() as u64;
        }
        let mut listener = self.on_message.lock();
        if let Some(listener) = listener.as_mut() {
            listener(DataBuffer { data, binary });
            return;
        }
        let mut early = self.early.lock();
        if early.len() < EARLY_MESSAGES {
            early.push((data.to_vec(), binary));
        } else {
            log::warn!(
                "data channel {}: nobody listens, a message of {} bytes is dropped",
                self.label,
                data.len()
            );
        }
    }

    pub fn set_on_message(&self, mut new: Option<OnMessage>) {
        let mut listener = self.on_message.lock();
        if let Some(new) = new.as_mut() {
            for (data, binary) in self.early.lock().drain(..) {
                new(DataBuffer { data: &data, binary });
            }
        }
        *listener = new;
    }

    pub fn notify_sent(&self, bytes: u64) {
        if let Some(listener) = self.on_buffered.lock().as_mut() {
            listener(bytes);
        }
    }
}

impl Engine {
    pub fn create_data_channel(&mut self, label: &str, init: &DataChannelInit) -> Result<Arc<ChannelInner>, RtcError> {
        self.open()?;
        let limit = |value: Option<i32>| value.map(|v| u16::try_from(v.max(0)).unwrap_or(u16::MAX));
        let options = RTCDataChannelInit {
            ordered: init.ordered,
            max_packet_life_time: limit(init.max_retransmit_time),
            max_retransmits: limit(init.max_retransmits),
            protocol: init.protocol.clone(),
            negotiated: if init.negotiated {
                let id = u16::try_from(init.id).map_err(|_| RtcError::state("a negotiated channel needs an id"))?;
                Some(id)
            } else {
                None
            },
        };
        let id = self.rtc.create_data_channel(label, Some(options))?.id();
        let channel = ChannelInner::new(id, label.to_owned(), init.protocol.clone(), self.host.clone());
        if let (true, Ok(stream_id)) = (init.negotiated, u16::try_from(init.id)) {
            channel.set_stream_id(stream_id);
        }
        self.channels.insert(id, Arc::clone(&channel));
        Ok(channel)
    }

    pub fn send(&mut self, now: Instant, channel: &ChannelInner, data: &[u8], binary: bool) -> Result<(), RtcError> {
        self.open()?;
        let Some(mut known) = self.rtc.data_channel(channel.id) else {
            return Err(RtcError::state("the data channel is gone"));
        };
        if binary {
            known.send(now, BytesMut::from(data))?;
        } else {
            let text = std::str::from_utf8(data).map_err(|_| RtcError::state("text messages are UTF-8"))?;
            known.send_text(now, text)?;
        }
        channel
            .buffered
            .fetch_add(data.len() as u64, std::sync::atomic::Ordering::AcqRel);
        let mut counters = channel.counters.lock();
        counters.messages_sent += 1;
        counters.bytes_sent += data.len() as u64;
        Ok(())
    }

    pub fn close_channel(&mut self, channel: &Arc<ChannelInner>) {
        if let Some(mut known) = self.rtc.data_channel(channel.id)
            && let Err(error) = known.close()
        {
            log::debug!("closing data channel {}: {error}", channel.label);
        }
        self.channel_state(channel, DataChannelState::Closing);
        self.forget_channel(channel.id);
    }

    pub(super) fn channel_state(&mut self, channel: &Arc<ChannelInner>, state: DataChannelState) {
        if channel.advance(state) {
            match state {
                DataChannelState::Open => self.channels_opened += 1,
                DataChannelState::Closed => self.channels_closed += 1,
                DataChannelState::Connecting | DataChannelState::Closing => {}
            }
            self.events.push(Event::ChannelState(Arc::clone(channel), state));
        }
    }

    pub(super) fn forget_channel(&mut self, id: RTCDataChannelId) {
        if let Some(channel) = self.channels.remove(&id) {
            self.channel_state(&channel, DataChannelState::Closed);
        }
    }

    /// Bytes that have left a channel since the last look: the SDK meters its sending by them.
    pub(super) fn measure_channels(&mut self) {
        for channel in self.channels.values() {
            let known = channel.buffered.load(std::sync::atomic::Ordering::Acquire);
            if known == 0 {
                continue;
            }
            let left = self.rtc.data_channel(channel.id).map_or(0, |c| c.outstanding_bytes()) as u64;
            if left < known {
                channel
                    .buffered
                    .fetch_sub(known - left, std::sync::atomic::Ordering::AcqRel);
                self.events.push(Event::Sent(Arc::clone(channel), known - left));
            }
        }
    }

    pub(super) fn on_channel_event(&mut self, event: &RTCDataChannelEvent) {
        match event {
            RTCDataChannelEvent::OnOpen(id) => {
                let (label, protocol, stream_id) = match self.rtc.data_channel(*id) {
                    Some(known) => (known.label().to_owned(), known.protocol().to_owned(), known.stream_id()),
                    None => return,
                };
                let known = self.channels.get(id).cloned();
                let channel = known.clone().unwrap_or_else(|| {
                    let channel = ChannelInner::new(*id, label, protocol, self.host.clone());
                    self.channels.insert(*id, Arc::clone(&channel));
                    channel
                });
                if let Some(stream_id) = stream_id {
                    channel.set_stream_id(stream_id);
                }
                if known.is_none() {
                    self.events.push(Event::Channel(Arc::clone(&channel)));
                }
                self.channel_state(&channel, DataChannelState::Open);
            }
            RTCDataChannelEvent::OnClose(id) => self.forget_channel(*id),
            RTCDataChannelEvent::OnError(id) => log::debug!("data channel {id}: error"),
            _ => {}
        }
    }
}
