//! Data channels (W3C webrtc §6.2).

use std::fmt;
use std::str::Utf8Error;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde::Deserialize;
use thiserror::Error;

use crate::engine::channel::ChannelInner;
use crate::rtp_parameters::Priority;

/// How a channel is opened. Times in milliseconds; `id` is the SCTP stream, -1 for one to be chosen.
#[derive(Clone, Debug)]
pub struct DataChannelInit {
    pub ordered: bool,
    pub max_retransmit_time: Option<i32>,
    pub max_retransmits: Option<i32>,
    pub protocol: String,
    pub negotiated: bool,
    pub id: i32,
    pub priority: Option<Priority>,
}

impl Default for DataChannelInit {
    fn default() -> Self {
        Self {
            ordered: true,
            max_retransmit_time: None,
            max_retransmits: None,
            protocol: String::new(),
            negotiated: false,
            id: -1,
            priority: None,
        }
    }
}

#[derive(Debug, Error)]
pub enum DataChannelError {
    #[error("failed to send data, dc not open? send buffer is full ?")]
    Send,
    #[error("only utf8 strings can be sent")]
    Utf8(#[from] Utf8Error),
}

#[derive(Debug, Copy, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DataChannelState {
    Connecting,
    Open,
    Closing,
    Closed,
}

#[derive(Debug)]
pub struct DataBuffer<'a> {
    pub data: &'a [u8],
    pub binary: bool,
}

pub type OnStateChange = Box<dyn FnMut(DataChannelState) + Send + Sync>;
pub type OnMessage = Box<dyn FnMut(DataBuffer<'_>) + Send + Sync>;
/// Told how many bytes have left the send buffer since the last time.
pub type OnBufferedAmountChange = Box<dyn FnMut(u64) + Send + Sync>;

#[derive(Clone)]
pub struct DataChannel {
    inner: Arc<ChannelInner>,
}

impl DataChannel {
    pub(crate) fn new(inner: Arc<ChannelInner>) -> Self {
        Self { inner }
    }

    /// # Errors
    /// When the channel is not open, its connection is gone, or text is not UTF-8.
    pub fn send(&self, data: &[u8], binary: bool) -> Result<(), DataChannelError> {
        if !binary {
            std::str::from_utf8(data)?;
        }
        let mut sent = Err(DataChannelError::Send);
        self.inner.host.with_engine(&mut |engine, now| {
            sent = engine.send(now, &self.inner, data, binary).map_err(|error| {
                log::debug!("data channel {}: {error}", self.inner.label);
                DataChannelError::Send
            });
        });
        sent
    }

    pub fn id(&self) -> i32 {
        self.inner.stream_id()
    }

    pub fn label(&self) -> String {
        self.inner.label.clone()
    }

    pub fn state(&self) -> DataChannelState {
        self.inner.state()
    }

    pub fn close(&self) {
        self.inner
            .host
            .with_engine(&mut |engine, _| engine.close_channel(&self.inner));
    }

    /// Bytes handed over and not yet acknowledged by the other side.
    pub fn buffered_amount(&self) -> u64 {
        self.inner.buffered.load(Ordering::Acquire)
    }

    pub fn on_state_change(&self, callback: Option<OnStateChange>) {
        *self.inner.on_state.lock() = callback;
    }

    pub fn on_message(&self, callback: Option<OnMessage>) {
        self.inner.set_on_message(callback);
    }

    pub fn on_buffered_amount_change(&self, callback: Option<OnBufferedAmountChange>) {
        *self.inner.on_buffered.lock() = callback;
    }
}

impl fmt::Debug for DataChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataChannel")
            .field("id", &self.id())
            .field("label", &self.inner.label)
            .field("state", &self.state())
            .finish()
    }
}
