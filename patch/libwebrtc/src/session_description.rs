//! Session descriptions (RFC 8866): parsed to be refused early, kept as the text they came as.

use std::fmt;
use std::io::Cursor;
use std::str::FromStr;

use rtc::sdp::description::session::SessionDescription as ParsedSdp;
use thiserror::Error;

/// The role of a description in an offer/answer exchange (RFC 9429 §4.1.8).
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub enum SdpType {
    Offer,
    PrAnswer,
    Answer,
    Rollback,
}

impl FromStr for SdpType {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "offer" => Ok(Self::Offer),
            "pranswer" => Ok(Self::PrAnswer),
            "answer" => Ok(Self::Answer),
            "rollback" => Ok(Self::Rollback),
            _ => Err("invalid SdpType"),
        }
    }
}

impl fmt::Display for SdpType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Offer => "offer",
            Self::PrAnswer => "pranswer",
            Self::Answer => "answer",
            Self::Rollback => "rollback",
        })
    }
}

/// A description that has been parsed once, so that it is known to be one.
#[derive(Clone)]
pub struct SessionDescription {
    sdp: String,
    sdp_type: SdpType,
}

/// Why a text is no session description or no candidate.
#[derive(Clone, Error, Debug)]
#[error("Failed to parse sdp: {line} - {description}")]
pub struct SdpParseError {
    pub line: String,
    pub description: String,
}

impl SessionDescription {
    /// # Errors
    /// When `sdp` is not a session description; a rollback's text is not looked at.
    pub fn parse(sdp: &str, sdp_type: SdpType) -> Result<Self, SdpParseError> {
        if sdp_type != SdpType::Rollback {
            parse_sdp(sdp)?;
        }
        Ok(Self {
            sdp: sdp.to_owned(),
            sdp_type,
        })
    }

    pub fn sdp_type(&self) -> SdpType {
        self.sdp_type
    }

    pub(crate) fn from_engine(sdp: String, sdp_type: SdpType) -> Self {
        Self { sdp, sdp_type }
    }

    pub(crate) fn sdp(&self) -> &str {
        &self.sdp
    }
}

pub(crate) fn parse_sdp(sdp: &str) -> Result<ParsedSdp, SdpParseError> {
    ParsedSdp::unmarshal(&mut Cursor::new(sdp.as_bytes())).map_err(|error| SdpParseError {
        line: String::new(),
        description: error.to_string(),
    })
}

#[expect(
    clippy::to_string_trait_impl,
    reason = "upstream implements ToString, and Display would add a second meaning"
)]
impl ToString for SessionDescription {
    fn to_string(&self) -> String {
        self.sdp.clone()
    }
}

impl fmt::Debug for SessionDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionDescription")
            .field("sdp_type", &self.sdp_type)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_kept_and_nonsense_is_refused() {
        let sdp = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n";
        let parsed = SessionDescription::parse(sdp, SdpType::Offer).expect("a minimal description");
        assert_eq!(parsed.to_string(), sdp);
        assert!(SessionDescription::parse("not sdp", SdpType::Answer).is_err());
        assert!(SessionDescription::parse("", SdpType::Rollback).is_ok());
        for text in ["offer", "pranswer", "answer", "rollback"] {
            assert_eq!(text.parse::<SdpType>().expect("known").to_string(), text);
        }
    }
}
