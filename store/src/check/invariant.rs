//! What must always be true.

use serde::Serialize;

/// A sentence of `docs/design/durability.md`, where each stands with its number and the procedures that keep it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Invariant {
    OneProcess,
    Schema,
    OneLiveRecording,
    AppendOnly,
    SegmentNumbers,
    SealedWhenEnded,
    SegmentFile,
    SegmentContents,
    Totals,
    RenderFile,
    KnownFiles,
    Jobs,
    Deletions,
    Uploads,
}

impl Invariant {
    pub const ALL: [Self; 14] = [
        Self::OneProcess,
        Self::Schema,
        Self::OneLiveRecording,
        Self::AppendOnly,
        Self::SegmentNumbers,
        Self::SealedWhenEnded,
        Self::SegmentFile,
        Self::SegmentContents,
        Self::Totals,
        Self::RenderFile,
        Self::KnownFiles,
        Self::Jobs,
        Self::Deletions,
        Self::Uploads,
    ];

    /// As the page counts.
    pub fn number(self) -> usize {
        1 + Self::ALL
            .iter()
            .position(|invariant| *invariant == self)
            .unwrap_or(Self::ALL.len())
    }

    /// As the page has it.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::OneProcess => "One process at a time writes a data directory.",
            Self::Schema => "The database has the schema that this version would make in an empty one.",
            Self::OneLiveRecording => {
                "Of the recordings that are requested, joining or capturing, no two have the same room and name."
            }
            Self::AppendOnly => {
                "A byte of a journal that was flushed never changes, and the journal can be read to there."
            }
            Self::SegmentNumbers => {
                "A recording's segments are numbered from 0 without holes, in its rows and in its folder alike."
            }
            Self::SealedWhenEnded => "A segment that nobody is writing is sealed.",
            Self::SegmentFile => {
                "A sealed segment is where its row says, in the data directory, the object store or both, with the \
                 length and SHA-256 the row says."
            }
            Self::SegmentContents => {
                "A sealed segment is a finished MCAP file that can be read to its end, and holds what its row says."
            }
            Self::Totals => "A recording's totals are the sums of its segments'.",
            Self::RenderFile => {
                "A render has files if and only if it is ready; each is where its row says, with the length and SHA-256 \
                 the row says."
            }
            Self::KnownFiles => "Every file in a recording's folder belongs to a row.",
            Self::Jobs => "A job has a lease if and only if it is running, and no more attempts than it may have.",
            Self::Deletions => "What is marked as deleted is gone after the next start.",
            Self::Uploads => "An upload that has begun is of a file that is still to be uploaded.",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The page and the program must say the same.
    #[test]
    fn the_page_states_each_with_its_number() {
        let page = include_str!("../../../docs/design/durability.md");
        let page = page.split_whitespace().collect::<Vec<_>>().join(" ");
        for invariant in Invariant::ALL {
            let numbered = format!("{}. **{}**", invariant.number(), invariant.sentence());
            assert!(page.contains(&numbered), "durability.md lacks: {numbered}");
        }
    }
}
