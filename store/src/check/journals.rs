//! Whether a recording's journal is whole, and is what the rows say.

use std::collections::BTreeMap;

use greffier_media::{
    ids::{RecordingId, SegmentIndex},
    journal::Tail,
};

use super::{Check, CheckError, Invariant, Repair};
use crate::{
    Error, disk,
    files::StoredFile,
    journal::{self, SegmentFacts},
    recordings::{Segment, all_segments},
    recovery,
};

impl Check<'_> {
    pub(super) async fn journal(&mut self, id: RecordingId, live: bool) -> Result<(), CheckError> {
        let mut segments = all_segments(self.inner.database.read(), id).await?;
        let dir = self.inner.data.recording(id);
        let files: BTreeMap<_, _> = disk::blocking(move || journal::segments_in(&dir))
            .await?
            .into_iter()
            .collect();
        if !live {
            self.open_segments(id, &segments, &files).await?;
            segments = all_segments(self.inner.database.read(), id).await?;
            self.numbers(id, &segments, &files);
        }
        let stored: Vec<_> = segments
            .iter()
            .filter_map(|segment| Some((segment, StoredFile::of_segment(id, segment)?)))
            .collect();
        let as_files: Vec<_> = stored.iter().map(|(_, file)| file.clone()).collect();
        let remote = self.remote(id, &as_files).await;
        for (segment, file) in stored {
            self.report.segments += 1;
            let readable = self.stored_file(Invariant::SegmentFile, &file, &remote).await?;
            if readable && self.options.contents {
                self.contents(id, segment, &file).await?;
            }
        }
        Ok(())
    }

    /// Segments that nobody is writing any more, and files that never got a row.
    async fn open_segments(
        &mut self,
        id: RecordingId,
        segments: &[Segment],
        files: &BTreeMap<SegmentIndex, std::path::PathBuf>,
    ) -> Result<(), CheckError> {
        let sealed = |index: SegmentIndex| segments.iter().any(|segment| segment.index == index && segment.sealed);
        let open: Vec<_> = files.keys().copied().filter(|index| !sealed(*index)).collect();
        let without_file: Vec<_> = segments
            .iter()
            .filter(|segment| !segment.sealed && !files.contains_key(&segment.index))
            .map(|segment| segment.index)
            .collect();
        for index in without_file {
            let subject = format!("recordings/{id}/{}", disk::segment_file_name(index));
            let advice = "restore it from a backup";
            self.note(
                Invariant::SealedWhenEnded,
                subject,
                "was being written, and is missing",
                Repair::Impossible(advice.into()),
            );
        }
        if open.is_empty() {
            return Ok(());
        }
        let attempt = async {
            recovery::seal_open_segments(self.inner, id).await?;
            Ok::<_, Error>(())
        };
        let repair = self.repair("sealed, and counted", attempt).await;
        for index in open {
            let subject = format!("recordings/{id}/{}", disk::segment_file_name(index));
            let problem = if segments.iter().any(|segment| segment.index == index) {
                "is not sealed, and nobody is writing it"
            } else {
                "is not sealed, and has no row"
            };
            self.note(Invariant::SealedWhenEnded, subject, problem, repair.clone());
        }
        Ok(())
    }

    fn numbers(&mut self, id: RecordingId, segments: &[Segment], files: &BTreeMap<SegmentIndex, std::path::PathBuf>) {
        let last = segments
            .iter()
            .map(|segment| segment.index)
            .chain(files.keys().copied())
            .max();
        let Some(last) = last else { return };
        for index in (0..=last.0).map(SegmentIndex) {
            let known = segments.iter().any(|segment| segment.index == index) || files.contains_key(&index);
            if !known {
                let subject = format!("recordings/{id}/{}", disk::segment_file_name(index));
                let advice = "restore it from a backup";
                self.note(
                    Invariant::SegmentNumbers,
                    subject,
                    "is missing, and so is its row",
                    Repair::Impossible(advice.into()),
                );
            }
        }
    }

    /// Reads a segment whose bytes are what they were.
    async fn contents(&mut self, id: RecordingId, segment: &Segment, file: &StoredFile) -> Result<(), CheckError> {
        let (path, index) = (file.path(&self.inner.data), segment.index);
        let inspection = disk::blocking(move || journal::inspect_segment(&path, index)).await?;
        let subject = format!("recordings/{id}/{}", file.name);
        if inspection.tail != Tail::Complete {
            let problem = match inspection.damage() {
                Some(damage) => format!("cannot be read to its end: {damage}"),
                None => "has no end".to_owned(),
            };
            let advice = "its bytes are what they were: report this";
            self.note(
                Invariant::SegmentContents,
                subject,
                problem,
                Repair::Impossible(advice.into()),
            );
            return Ok(());
        }
        if !says(segment, &inspection.facts) {
            let repair = self
                .repair("counted again", recovery::put(self.inner, id, &inspection.facts))
                .await;
            self.note(
                Invariant::SegmentContents,
                subject,
                "does not hold what its row says",
                repair,
            );
        }
        Ok(())
    }
}

fn says(segment: &Segment, facts: &SegmentFacts) -> bool {
    segment.messages == facts.messages
        && segment.packets == facts.packets()
        && segment.lost_packets == facts.lost_packets()
        && segment.span == facts.span
}
