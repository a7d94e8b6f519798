//! [`RtpState`](super::RtpState) in the engine's interceptor chain.

use std::collections::VecDeque;
use std::time::Instant;

use rtc::interceptor::{Interceptor, Packet, StreamInfo, TaggedPacket};
use rtc::sansio::Protocol;
use rtc::shared::error::Error;

use super::SharedRtp;
use super::send::OutboundStream;

/// Our place in the engine's interceptor chain.
pub(crate) struct RtpInterceptor {
    state: SharedRtp,
    write: VecDeque<TaggedPacket>,
}

impl RtpInterceptor {
    pub fn new(state: SharedRtp) -> Self {
        Self {
            state,
            write: VecDeque::new(),
        }
    }
}

impl Protocol<TaggedPacket, TaggedPacket, ()> for RtpInterceptor {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = Error;
    type Time = Instant;

    fn handle_read(&mut self, msg: TaggedPacket) -> Result<(), Error> {
        let mut state = self.state.lock();
        match msg.message.packet {
            Packet::Rtp(packet) => state.on_rtp(msg.now, packet),
            Packet::Rtcp(packets) => state.on_rtcp(msg.now, &packets, &mut self.write),
            _ => {}
        }
        Ok(())
    }

    fn poll_read(&mut self) -> Option<TaggedPacket> {
        None
    }

    fn handle_write(&mut self, msg: TaggedPacket) -> Result<(), Error> {
        self.write.push_back(msg);
        Ok(())
    }

    fn poll_write(&mut self) -> Option<TaggedPacket> {
        self.write.pop_front()
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), Error> {
        self.state.lock().timeout(now, &mut self.write);
        Ok(())
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        self.state.lock().due()
    }
}

impl Interceptor for RtpInterceptor {
    fn bind_local_stream(&mut self, info: &StreamInfo) {
        let mut state = self.state.lock();
        let (mid, rid) = state.announced.get(&info.ssrc).cloned().unwrap_or_default();
        state
            .outbound
            .insert(info.ssrc, OutboundStream::new(info.clone(), &mid, &rid));
    }

    fn unbind_local_stream(&mut self, info: &StreamInfo) {
        self.state.lock().outbound.remove(&info.ssrc);
    }

    // Received streams are bound by `RtpState::assign`, from the description that names them.
    fn bind_remote_stream(&mut self, _: &StreamInfo) {}

    fn unbind_remote_stream(&mut self, _: &StreamInfo) {}
}
