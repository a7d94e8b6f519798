//! What a peer connection's states are.

use std::sync::atomic::{AtomicU8, Ordering};

use super::Peer;
use crate::peer_connection::{IceConnectionState, IceGatheringState, PeerConnectionState, SignalingState};

/// States as the last event told them; read without the lock.
pub(super) struct States {
    pub connection: AtomicU8,
    pub ice: AtomicU8,
    pub gathering: AtomicU8,
    pub signaling: AtomicU8,
}

impl Default for States {
    fn default() -> Self {
        Self {
            connection: AtomicU8::new(PeerConnectionState::New as u8),
            ice: AtomicU8::new(IceConnectionState::New as u8),
            gathering: AtomicU8::new(IceGatheringState::New as u8),
            signaling: AtomicU8::new(SignalingState::Stable as u8),
        }
    }
}

impl Peer {
    pub fn connection_state(&self) -> PeerConnectionState {
        use PeerConnectionState::{Closed, Connected, Connecting, Disconnected, Failed, New};
        from_index(
            self.states.connection.load(Ordering::Acquire),
            [New, Connecting, Connected, Disconnected, Failed, Closed],
        )
    }

    pub fn ice_connection_state(&self) -> IceConnectionState {
        use IceConnectionState::{Checking, Closed, Completed, Connected, Disconnected, Failed, Max, New};
        let states = [New, Checking, Connected, Completed, Failed, Disconnected, Closed, Max];
        from_index(self.states.ice.load(Ordering::Acquire), states)
    }

    pub fn ice_gathering_state(&self) -> IceGatheringState {
        use IceGatheringState::{Complete, Gathering, New};
        from_index(
            self.states.gathering.load(Ordering::Acquire),
            [New, Gathering, Complete],
        )
    }

    pub fn signaling_state(&self) -> SignalingState {
        use SignalingState::{Closed, HaveLocalOffer, HaveLocalPrAnswer, HaveRemoteOffer, HaveRemotePrAnswer, Stable};
        let states = [
            Stable,
            HaveLocalOffer,
            HaveLocalPrAnswer,
            HaveRemoteOffer,
            HaveRemotePrAnswer,
            Closed,
        ];
        from_index(self.states.signaling.load(Ordering::Acquire), states)
    }
}

/// The inverse of `state as u8`, for states listed in the order of their declaration.
fn from_index<T: Copy, const N: usize>(index: u8, states: [T; N]) -> T {
    states[usize::from(index).min(N - 1)]
}
