//! Candidates: ours, as the driver finds them, and theirs.

use rtc::peer_connection::transport::RTCIceCandidateInit;

use super::{BUNDLE_MID, Engine, Event};
use crate::RtcError;
use crate::ice_candidate::IceCandidate;
use crate::peer_connection::IceCandidateError;

/// A candidate line, and the server that its address is of.
pub(super) struct LocalCandidate {
    pub(super) line: String,
    url: Option<String>,
}

impl LocalCandidate {
    pub(super) fn init(&self) -> RTCIceCandidateInit {
        RTCIceCandidateInit {
            candidate: self.line.clone(),
            url: self.url.clone(),
            ..RTCIceCandidateInit::default()
        }
    }
}

impl Engine {
    /// Adds a local candidate line (`candidate:…`), found by the driver; a relayed one with the URL of its server.
    pub fn add_local_candidate(&mut self, line: &str, url: Option<&str>) -> Result<(), RtcError> {
        let candidate = LocalCandidate {
            line: line.to_owned(),
            url: url.map(str::to_owned),
        };
        self.rtc.add_local_candidate(candidate.init())?;
        self.candidates.push(candidate);
        self.trickle();
        Ok(())
    }

    /// A relayed address that is gone is not told of any more. In the core it stays, where nothing answers on it.
    pub fn forget_local_candidate(&mut self, line: &str) {
        if let Some(index) = self.candidates.iter().position(|known| known.line == line) {
            self.candidates.remove(index);
            if index < self.trickled {
                self.trickled -= 1;
            }
        }
    }

    /// A server gave no candidate.
    pub fn candidate_error(&mut self, error: IceCandidateError) {
        self.events.push(Event::CandidateError(error));
    }

    /// Tells the application of candidates it has not heard of; only once there is a local description to send them after.
    pub(super) fn trickle(&mut self) {
        if self.local.is_none() {
            return;
        }
        for known in &self.candidates[self.trickled..] {
            let candidate = IceCandidate::from_engine(BUNDLE_MID.to_owned(), 0, known.line.clone());
            self.events.push(Event::Candidate(candidate));
        }
        self.trickled = self.candidates.len();
    }

    pub fn gathering_complete(&mut self) {
        self.events.push(Event::GatheringComplete);
    }

    pub fn add_remote_candidate(&mut self, candidate: &IceCandidate) -> Result<(), RtcError> {
        self.open()?;
        if self.remote.is_none() {
            return Err(RtcError::state("a remote candidate needs a remote description first"));
        }
        let init = RTCIceCandidateInit {
            candidate: candidate.candidate(),
            sdp_mid: Some(candidate.sdp_mid()),
            ..RTCIceCandidateInit::default()
        };
        Ok(self.rtc.add_remote_candidate(init)?)
    }
}
