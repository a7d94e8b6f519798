//! Names of things, as newtypes: no bare string crosses a boundary.
//!
//! Two families. Ours carry a prefix and a [ULID](https://github.com/ulid/spec): they sort by creation time, and say
//! what they name when they turn up alone in a log (`rec_01J…`). LiveKit's are opaque strings as the server gives
//! them; we bound their length and refuse what could not be printed, stored or put in a path, and read nothing into them.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::ErrorKind;

/// Why a string is not the id it was taken for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdError {
    #[error("expected an id that begins with `{expected}`")]
    Prefix { expected: &'static str },
    #[error("{what} must be {min} to {max} bytes long, not {actual}")]
    Length {
        what: &'static str,
        min: usize,
        max: usize,
        actual: usize,
    },
    #[error("{what} has a character that is not allowed at byte {at}")]
    Character { what: &'static str, at: usize },
    #[error("the part after `{prefix}` is not a ULID")]
    Ulid { prefix: &'static str },
}

impl IdError {
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }
}

/// Bytes in the text form of a ULID.
const ULID_LEN: usize = 26;

/// An id of ours: `prefix` + ULID in its canonical (upper-case Crockford base32) form; nothing else parses.
macro_rules! ulid_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(into = "String", try_from = "String")]
        pub struct $name(Ulid);

        impl $name {
            /// What every id of this kind begins with.
            pub const PREFIX: &'static str = $prefix;

            /// Makes an id from the time in milliseconds since the Unix epoch (48 bits are kept) and 80 random bits;
            /// the caller has the clock and the randomness.
            pub fn from_parts(unix_ms: u64, random: u128) -> Self {
                Self(Ulid::from_parts(unix_ms & ((1 << 48) - 1), random & ((1 << 80) - 1)))
            }

            /// When it was made, in milliseconds since the Unix epoch.
            pub fn unix_ms(self) -> u64 {
                self.0.timestamp_ms()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut text = [0; ULID_LEN];
                f.write_str($prefix)?;
                f.write_str(self.0.array_to_str(&mut text))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                let body = text.strip_prefix($prefix).ok_or(IdError::Prefix { expected: $prefix })?;
                if body.len() != ULID_LEN {
                    let (min, max) = ($prefix.len() + ULID_LEN, $prefix.len() + ULID_LEN);
                    return Err(IdError::Length { what: stringify!($name), min, max, actual: text.len() });
                }
                let ulid = Ulid::from_string(body).map_err(|_| IdError::Ulid { prefix: $prefix })?;
                // Lower case and look-alikes (`o` for `0`) decode too; one id must have one spelling.
                let mut canonical = [0; ULID_LEN];
                if ulid.array_to_str(&mut canonical) != body {
                    return Err(IdError::Ulid { prefix: $prefix });
                }
                Ok(Self(ulid))
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.to_string()
            }
        }
    };
}

ulid_id! {
    /// One recording: everything kept of one room from start to stop, over all its segments, restarts and rejoins.
    RecordingId, "rec_"
}
ulid_id! {
    /// One result derived from a recording: a file per participant, a composite, captions, an export.
    RenderId, "rnd_"
}
ulid_id! {
    /// One piece of work in the queue.
    JobId, "job_"
}

/// Which segment of a recording: they count from 0, without holes, over every restart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SegmentIndex(pub u32);

impl SegmentIndex {
    /// The one that follows; `None` after four thousand million segments.
    pub fn next(self) -> Option<Self> {
        self.0.checked_add(1).map(Self)
    }
}

impl fmt::Display for SegmentIndex {
    /// Five digits at least, so that file names sort: `00007`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:05}", self.0)
    }
}

impl FromStr for SegmentIndex {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let what = "SegmentIndex";
        if text.len() < 5 || text.len() > 10 {
            return Err(IdError::Length {
                what,
                min: 5,
                max: 10,
                actual: text.len(),
            });
        }
        if let Some(at) = text.bytes().position(|byte| !byte.is_ascii_digit()) {
            return Err(IdError::Character { what, at });
        }
        let index: u32 = text.parse().map_err(|_| IdError::Character { what, at: 0 })?;
        // One spelling per index: no more zeros than the five digits need.
        if Self(index).to_string() != text {
            return Err(IdError::Character { what, at: 0 });
        }
        Ok(Self(index))
    }
}

/// A string of LiveKit's: bounded, checked by `$check`, otherwise opaque.
macro_rules! opaque_id {
    ($(#[$doc:meta])* $name:ident, $max:expr, $allowed:path) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(into = "String", try_from = "String")]
        pub struct $name(Box<str>);

        impl $name {
            /// The longest that is accepted, in bytes.
            pub const MAX_LEN: usize = $max;

            /// Checks length and characters; see [`IdError`].
            pub fn new(text: &str) -> Result<Self, IdError> {
                let what = stringify!($name);
                if text.is_empty() || text.len() > Self::MAX_LEN {
                    return Err(IdError::Length { what, min: 1, max: Self::MAX_LEN, actual: text.len() });
                }
                match text.char_indices().find(|(_, character)| !$allowed(*character)) {
                    Some((at, _)) => Err(IdError::Character { what, at }),
                    None => Ok(Self(text.into())),
                }
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                Self::new(&text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0.into()
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

/// Anything a person may type, but nothing that moves a terminal's cursor, ends a log line or ends a C string.
fn printable(character: char) -> bool {
    !character.is_control()
}

/// What the server makes its own ids of; also safe in a topic, a URL and a file name.
fn sid_character(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '_' | '-')
}

opaque_id! {
    /// The name a room was created with. Unique among live rooms only; **not** a path: it may hold `/` and `..`.
    RoomName, 1024, printable
}
opaque_id! {
    /// The server's id of one life of a room (`RM_…`): a room that closes and opens again has another.
    RoomSid, 64, sid_character
}
opaque_id! {
    /// Who somebody is, as their token says. Stable over rejoins; **not** a path.
    ParticipantIdentity, 1024, printable
}
opaque_id! {
    /// The server's id of one presence of a participant (`PA_…`): another after each rejoin.
    ParticipantSid, 64, sid_character
}
opaque_id! {
    /// The server's id of one published track (`TR_…`).
    TrackSid, 64, sid_character
}

impl ParticipantIdentity {
    /// An identity from whatever the server sent, so that nobody escapes a recording by an odd name: control
    /// characters become U+FFFD, what is too long is cut, and an empty one becomes a single U+FFFD.
    ///
    /// Two hostile identities may meet in one result; [`ParticipantSid`] still tells them apart.
    pub fn from_server(text: &str) -> Self {
        let mut clean = String::with_capacity(text.len().min(Self::MAX_LEN));
        for character in text.chars() {
            let character = if printable(character) {
                character
            } else {
                char::REPLACEMENT_CHARACTER
            };
            if clean.len() + character.len_utf8() > Self::MAX_LEN {
                break;
            }
            clean.push(character);
        }
        if clean.is_empty() {
            clean.push(char::REPLACEMENT_CHARACTER);
        }
        Self(clean.into())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ours_print_with_a_prefix_and_read_back() {
        let id = RecordingId::from_parts(1_760_000_000_000, 0x1234_5678_9ABC_DEF0_1234);
        let text = id.to_string();
        assert!(text.starts_with("rec_01"), "{text}");
        assert_eq!(text.len(), 30);
        assert_eq!(text.parse::<RecordingId>(), Ok(id));
        assert_eq!(id.unix_ms(), 1_760_000_000_000);
        assert_eq!(serde_json::to_string(&id).unwrap(), format!("\"{text}\""));
        assert_eq!(serde_json::from_str::<RecordingId>(&format!("\"{text}\"")).unwrap(), id);
    }

    #[test]
    fn ours_sort_by_time() {
        assert!(JobId::from_parts(1, u128::MAX) < JobId::from_parts(2, 0));
    }

    #[test]
    fn an_id_has_one_spelling() {
        let good = RenderId::from_parts(1_760_000_000_000, 7).to_string();
        let zero_as_letter = good.replacen("rnd_01", "rnd_O1", 1);
        for bad in [
            good.to_lowercase(),
            zero_as_letter,
            good.replacen("rnd_", "rec_", 1),
            format!("{good} "),
            format!(" {good}"),
            good[..29].to_owned(),
            String::new(),
            "rnd_".to_owned(),
            "rnd_8ZZZZZZZZZZZZZZZZZZZZZZZZZ".to_owned(), // over 128 bits
            "rnd_../../../../../etc/passwd".to_owned(),
        ] {
            assert!(bad.parse::<RenderId>().is_err(), "{bad:?}");
            assert!(serde_json::from_value::<RenderId>(bad.into()).is_err());
        }
    }

    #[test]
    fn segment_indexes_name_files_that_sort() {
        assert_eq!(SegmentIndex(7).to_string(), "00007");
        assert_eq!(SegmentIndex(123_456).to_string(), "123456");
        assert_eq!("00007".parse(), Ok(SegmentIndex(7)));
        assert_eq!("123456".parse(), Ok(SegmentIndex(123_456)));
        for bad in [
            "7",
            "000007",
            "-0007",
            "+0007",
            "0000a",
            "",
            "99999999999",
            "4294967296",
        ] {
            assert!(bad.parse::<SegmentIndex>().is_err(), "{bad:?}");
        }
        assert_eq!(SegmentIndex(u32::MAX).next(), None);
    }

    #[test]
    fn names_of_people_may_be_odd_but_bounded() {
        for good in ["demo", "Réunion d’équipe 🎉", "../../etc/passwd", "a/b c", "会议"] {
            assert_eq!(RoomName::new(good).unwrap().as_str(), good);
        }
        for bad in [
            "",
            "a\nb",
            "a\0b",
            "\u{1b}[2J",
            "\u{85}",
            &"x".repeat(1025),
            &"x".repeat(1 << 20),
        ] {
            assert!(RoomName::new(bad).is_err());
            assert!(ParticipantIdentity::new(bad).is_err());
        }
    }

    #[test]
    fn sids_are_safe_in_paths() {
        assert!(TrackSid::new("TR_AMxyz123-_").is_ok());
        for bad in ["", "TR/1", "..", "TR 1", "TR_é", "TR_\n", &"T".repeat(65)] {
            assert!(TrackSid::new(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_the_server_sends_gives_a_valid_identity(text in any::<String>()) {
            let identity = ParticipantIdentity::from_server(&text);
            prop_assert_eq!(ParticipantIdentity::new(identity.as_str()), Ok(identity.clone()));
            if ParticipantIdentity::new(&text).is_ok() {
                prop_assert_eq!(identity.as_str(), text);
            }
        }

        #[test]
        fn parsing_never_panics(text in any::<String>()) {
            let _ = text.parse::<RecordingId>();
            let _ = text.parse::<SegmentIndex>();
            let _ = text.parse::<TrackSid>();
        }
    }
}
