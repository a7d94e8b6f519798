//! ICE candidates as signalling carries them (RFC 8839 §5.1).

use std::fmt;

use crate::session_description::SdpParseError;

/// One candidate line and the media section it belongs to.
#[derive(Clone)]
pub struct IceCandidate {
    sdp_mid: String,
    sdp_mline_index: i32,
    candidate: String,
}

impl IceCandidate {
    /// # Errors
    /// When `sdp` does not start with `candidate:` and hold at least the eight fields every candidate has. An empty
    /// line is the end-of-candidates mark and is accepted.
    pub fn parse(sdp_mid: &str, sdp_mline_index: i32, sdp: &str) -> Result<Self, SdpParseError> {
        let refused = |description: &str| SdpParseError {
            line: sdp.to_owned(),
            description: description.to_owned(),
        };
        if !sdp.is_empty() {
            let line = sdp.strip_prefix("a=").unwrap_or(sdp);
            let fields = line
                .strip_prefix("candidate:")
                .ok_or_else(|| refused("expected candidate:"))?;
            let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
            let [_, component, _, priority, _, port, "typ", _, ..] = fields[..] else {
                return Err(refused(
                    "expected foundation, component, transport, priority, address, port, typ, type",
                ));
            };
            if component.parse::<u16>().is_err() || priority.parse::<u32>().is_err() || port.parse::<u16>().is_err() {
                return Err(refused("component, priority and port are numbers"));
            }
        }
        Ok(Self {
            sdp_mid: sdp_mid.to_owned(),
            sdp_mline_index,
            candidate: sdp.to_owned(),
        })
    }

    pub(crate) fn from_engine(sdp_mid: String, sdp_mline_index: i32, candidate: String) -> Self {
        Self {
            sdp_mid,
            sdp_mline_index,
            candidate,
        }
    }

    pub fn sdp_mid(&self) -> String {
        self.sdp_mid.clone()
    }

    pub fn sdp_mline_index(&self) -> i32 {
        self.sdp_mline_index
    }

    pub fn candidate(&self) -> String {
        self.candidate.clone()
    }
}

#[expect(
    clippy::to_string_trait_impl,
    reason = "upstream implements ToString, and Display would add a second meaning"
)]
impl ToString for IceCandidate {
    fn to_string(&self) -> String {
        self.candidate.clone()
    }
}

impl fmt::Debug for IceCandidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IceCandidate")
            .field("candidate", &self.candidate)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_are_checked_for_shape() {
        let good = "candidate:1 1 udp 2130706431 127.0.0.1 7882 typ host";
        assert_eq!(
            IceCandidate::parse("0", 0, good).expect("well formed").candidate(),
            good
        );
        assert!(IceCandidate::parse("0", 0, "").is_ok());
        for bad in [
            "candidate",
            "candidate:1 1 udp x 127.0.0.1 7882 typ host",
            "candidate:1 1 udp 1 127.0.0.1 99999 typ host",
        ] {
            assert!(IceCandidate::parse("0", 0, bad).is_err(), "{bad}");
        }
    }
}
