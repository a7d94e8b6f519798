//! What a file says about itself.

use greffier_media::time::Position;

use crate::source::Recording;

/// What a file says about itself, in the words of its container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tags {
    pub title: String,
    pub artist: String,
    /// Of the file's zero, as RFC 3339 has it, and in nanoseconds since 1970.
    pub date: String,
    pub unix_nanos: u64,
    /// Further facts: an upper-case name, a value.
    pub facts: Vec<(&'static str, String)>,
}

impl Tags {
    /// For a file of a recording that shows `what`; `zero` is where its time begins in what is shown of the recording.
    pub fn of(recording: &Recording, what: &str, artist: String, zero: Position) -> Self {
        let room = recording.room.as_ref().map(ToString::to_string).unwrap_or_default();
        let title = match (what, &*room) {
            (what, "") => what.to_owned(),
            ("", room) => room.to_owned(),
            (what, room) => format!("{what} – {room}"),
        };
        let unix_nanos = recording.started.as_nanos().saturating_add(zero.as_nanos());
        let id = recording.id.map(|id| id.to_string()).unwrap_or_default();
        Self {
            title,
            artist,
            date: rfc3339(unix_nanos),
            unix_nanos,
            facts: vec![
                ("RECORDING_ID", id),
                ("ROOM", room),
                // In seconds.
                ("RECORDING_OFFSET", format!("{:.3}", zero.as_secs_f64())),
            ],
        }
    }
}

fn rfc3339(unix_nanos: u64) -> String {
    let time = jiff::Timestamp::from_nanosecond(i128::from(unix_nanos)).unwrap_or_default();
    format!("{time:.3}")
}
