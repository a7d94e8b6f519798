//! A data channel's shared state.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU8, AtomicU64, Ordering};

use parking_lot::Mutex;
use rtc::data_channel::RTCDataChannelId;

use super::HostRef;
use crate::data_channel::{DataBuffer, DataChannelState, OnBufferedAmountChange, OnMessage, OnStateChange};

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
