//! Whatever is done, and wherever the process dies: after the next start all that must be true is, and nothing that was
//! safe is lost.
//!
//! A model does random operations. Some die between two of their steps: the procedures' steps are functions of their
//! own, so a test can do the first few and drop the rest, with everything the process had in memory.

use std::{collections::BTreeMap, fs, time::Duration};

use greffier_media::{
    ids::{RecordingId, SegmentIndex},
    lifecycle::{RecordingState, RecordingStep},
};
use proptest::prelude::*;
use serde_json::json;

use crate::{
    ObjectsConfig, Store,
    check::CheckOptions,
    journal::{JournalWriter, TrackHandle, UnsealedSegment},
    renders::{Lane, NewRender, results::folder_name},
    testing::{Data, START, advance, capture, packet, quietly, render_result, snapshot, track},
};

const CHECK: CheckOptions = CheckOptions {
    repair: false,
    contents: true,
};

#[derive(Debug, Clone)]
enum Step {
    Start,
    Append { packets: u16 },
    Flush,
    Sync,
    Report,
    Rotate { record: bool },
    Stop { steps: u8 },
    Render { steps: u8 },
    Upload { steps: u8 },
    ForgetLocal { steps: u8 },
    Delete { steps: u8 },
    Crash { tail: Tail },
}

/// What becomes of what was flushed and not synced.
#[derive(Debug, Clone)]
enum Tail {
    Kept,
    Cut { part: f64 },
    Garbage { part: f64, bytes: Vec<u8> },
}

fn step() -> impl Strategy<Value = Step> {
    let tail = prop_oneof![
        3 => Just(Tail::Kept),
        2 => (0.0..=1.0).prop_map(|part| Tail::Cut { part }),
        2 => (0.0..=1.0, proptest::collection::vec(any::<u8>(), 1..200))
            .prop_map(|(part, bytes)| Tail::Garbage { part, bytes }),
    ];
    prop_oneof![
        4 => Just(Step::Start),
        10 => (1..200_u16).prop_map(|packets| Step::Append { packets }),
        5 => Just(Step::Flush),
        3 => Just(Step::Sync),
        3 => Just(Step::Report),
        3 => any::<bool>().prop_map(|record| Step::Rotate { record }),
        3 => (0..7_u8).prop_map(|steps| Step::Stop { steps }),
        2 => (0..4_u8).prop_map(|steps| Step::Render { steps }),
        2 => (0..3_u8).prop_map(|steps| Step::Upload { steps }),
        2 => (0..3_u8).prop_map(|steps| Step::ForgetLocal { steps }),
        2 => (0..5_u8).prop_map(|steps| Step::Delete { steps }),
        3 => tail.prop_map(|tail| Step::Crash { tail }),
    ]
}

/// The recording being written.
struct Writing {
    id: RecordingId,
    writer: JournalWriter,
    camera: TrackHandle,
    sequence: u16,
    /// Packets of the segment at hand: appended, flushed, synced.
    counts: [u64; 3],
}

struct Model {
    data: Data,
    /// `None` while the process is down.
    store: Option<Store>,
    writing: Option<Writing>,
    /// Packets that must be there after a crash, by recording and segment.
    safe: BTreeMap<RecordingId, BTreeMap<SegmentIndex, u64>>,
    rooms: u32,
}

impl Model {
    async fn new() -> Self {
        let mut data = Data::new();
        let folder = url::Url::from_directory_path(data.outside().join("objects")).unwrap();
        let mut objects = ObjectsConfig::new(folder);
        objects.local_copy = Some(Duration::ZERO);
        data.config.objects = Some(objects);
        let store = data.open().await;
        Self {
            data,
            store: Some(store),
            writing: None,
            safe: BTreeMap::new(),
            rooms: 0,
        }
    }

    /// Does a step; answers whether the process died in it.
    async fn step(&mut self, step: &Step) -> bool {
        self.data.after(1_000);
        match step {
            Step::Start if self.writing.is_none() => {
                self.rooms += 1;
                let id = capture(self.store(), &format!("room {}", self.rooms)).await.id;
                self.write(id);
            }
            Step::Append { packets } => self.append(*packets),
            Step::Flush => self.flush(),
            Step::Sync => {
                self.flush();
                self.sync();
            }
            Step::Report => {
                if let Some(writing) = &mut self.writing {
                    let (id, facts) = (writing.id, writing.writer.facts());
                    self.store().recordings().record_segment(id, &facts).await.unwrap();
                }
            }
            Step::Rotate { record } => return self.rotate(*record).await,
            Step::Stop { steps } => return self.stop(*steps).await,
            Step::Render { steps } => return self.render(*steps).await,
            Step::Upload { steps } => return self.upload(*steps).await,
            Step::ForgetLocal { steps } => return self.forget_local(*steps).await,
            Step::Delete { steps } => return self.delete(*steps).await,
            Step::Crash { .. } => return true,
            Step::Start => {}
        }
        false
    }

    fn write(&mut self, id: RecordingId) {
        let mut writer = self.store().journal(id).unwrap().open(START, snapshot).unwrap();
        let camera = writer.add_track(track(1));
        self.writing = Some(Writing {
            id,
            writer,
            camera,
            sequence: 0,
            counts: [0; 3],
        });
    }

    fn append(&mut self, packets: u16) {
        let Some(writing) = &mut self.writing else { return };
        for _ in 0..packets {
            writing.sequence = writing.sequence.wrapping_add(1);
            let packet = packet(writing.sequence);
            writing.writer.append_rtp(writing.camera, START, None, &packet).unwrap();
            writing.counts[0] += 1;
        }
    }

    fn flush(&mut self) {
        let Some(writing) = &mut self.writing else { return };
        writing.writer.flush().unwrap();
        writing.counts[1] = writing.counts[0];
    }

    fn sync(&mut self) {
        let Some(writing) = &mut self.writing else { return };
        // Time goes on, until a sync is due.
        let later = self.data.clock.advance(Duration::from_secs(2));
        if let Some(sync) = writing.writer.tick(later).unwrap().sync {
            sync.sync().unwrap();
            writing.counts[2] = writing.counts[1];
        }
    }

    async fn rotate(&mut self, record: bool) -> bool {
        let Some(writing) = &mut self.writing else { return false };
        let old = writing.writer.rotate(START, snapshot).unwrap();
        let index = old.index();
        let facts = old.seal().unwrap();
        let packets = std::mem::take(&mut writing.counts)[0];
        let id = writing.id;
        self.safe.entry(id).or_default().insert(index, packets);
        if record {
            self.store().recordings().record_segment(id, &facts).await.unwrap();
        }
        false
    }

    /// Close · seal · row · stop · all rows · sealed.
    async fn stop(&mut self, steps: u8) -> bool {
        let Some(writing) = self.writing.take() else {
            return false;
        };
        let (id, packets) = (writing.id, writing.counts[0]);
        if steps == 0 {
            self.writing = Some(writing);
            return true;
        }
        let unsealed: UnsealedSegment = writing.writer.close();
        let index = unsealed.index();
        self.safe.entry(id).or_default().insert(index, packets);
        if steps == 1 {
            return true;
        }
        let facts = unsealed.seal().unwrap();
        if steps == 2 {
            return true;
        }
        self.store().recordings().record_segment(id, &facts).await.unwrap();
        if steps == 3 {
            return true;
        }
        advance(self.store(), id, RecordingStep::Stop).await;
        if steps == 4 {
            return true;
        }
        // Rotated segments whose facts were never recorded are sealed again, as whoever records does.
        self.store().seal_segments(id).await.unwrap();
        if steps == 5 {
            return true;
        }
        advance(self.store(), id, RecordingStep::Seal).await;
        false
    }

    async fn ended(&self) -> Option<RecordingId> {
        for id in self.safe.keys().rev() {
            if let Ok(recording) = self.store().recordings().get(*id).await
                && recording.state == RecordingState::Sealed
            {
                return Some(*id);
            }
        }
        None
    }

    /// Create · claim · file in place · published.
    async fn render(&mut self, steps: u8) -> bool {
        let Some(recording) = self.ended().await else {
            return false;
        };
        let new = NewRender {
            recording,
            lane: Lane::Copy,
            kind: "tracks".into(),
            request: json!({}),
            max_attempts: 3,
        };
        self.store().renders().create(&new).await.unwrap();
        if steps == 0 {
            return true;
        }
        let claim = self
            .store()
            .renders()
            .claim(Lane::Copy, Duration::from_secs(5))
            .await
            .unwrap();
        let Some(claim) = claim else { return false };
        let results = ["alice.webm", "bob.webm"].map(|name| render_result(&claim, name, "a render"));
        if steps == 1 {
            return true;
        }
        if steps == 2 {
            let folder = self.store().inner.data.renders(claim.render.recording);
            let place = folder.join(folder_name(claim.render.id, claim.attempt));
            fs::create_dir_all(&place).unwrap();
            fs::rename(&results[0].path, place.join("alice.webm")).unwrap();
            return true;
        }
        self.store().renders().publish(&claim, &results, quietly).await.unwrap();
        false
    }

    /// Object · row.
    async fn upload(&mut self, steps: u8) -> bool {
        let Some(file) = self.store().objects().pending(1).await.unwrap().pop() else {
            return false;
        };
        if steps == 0 {
            let object = self.data.outside().join("objects").join(file.key());
            fs::create_dir_all(object.parent().unwrap()).unwrap();
            fs::copy(file.path(self.store().data()), object).unwrap();
            return true;
        }
        self.store().objects().upload(&file).await.unwrap();
        false
    }

    /// Row · file.
    async fn forget_local(&mut self, steps: u8) -> bool {
        if steps > 0 {
            self.store().objects().remove_local_copies().await.unwrap();
            return false;
        }
        let Some(id) = self.ended().await else { return false };
        let files = self.store().files().list(id).await.unwrap();
        if let Some(file) = files.iter().find(|file| file.uploaded.is_some() && file.on_disk) {
            self.store().objects().forget_local_copy(file).await.unwrap();
            return true;
        }
        false
    }

    /// Mark · objects · files · rows.
    async fn delete(&mut self, steps: u8) -> bool {
        let Some(id) = self.ended().await else { return false };
        self.safe.remove(&id);
        let recordings = self.store().recordings();
        recordings.mark_deleted(id).await.unwrap();
        if steps > 0 {
            recordings.remove_objects(id).await.unwrap();
        }
        if steps > 1 {
            recordings.remove_files(id).await.unwrap();
        }
        if steps > 2 {
            recordings.remove_rows(id).await.unwrap();
        }
        steps <= 2
    }

    /// The process dies, the disk does what it may, and the next start mends it.
    async fn crash(&mut self, tail: &Tail) {
        if let Some(writing) = self.writing.take() {
            let progress = writing.writer.progress();
            let [_, flushed, synced] = writing.counts;
            drop(writing.writer);
            let path = self.store().data().segment(writing.id, progress.segment);
            ruin(&path, progress.synced, progress.flushed, tail);
            let kept = if matches!(tail, Tail::Kept) { flushed } else { synced };
            self.safe.entry(writing.id).or_default().insert(progress.segment, kept);
        }
        drop(self.store.take());
        self.store = Some(self.data.open().await);
        let recovered = self.store().recover().await.unwrap();
        assert!(recovered.failures.is_empty(), "{:?}", recovered.failures);
        self.verify().await;
        // Once more changes nothing.
        let again = self.store().recover().await.unwrap();
        let interrupted: Vec<_> = recovered.interrupted.iter().map(|found| found.recording.id).collect();
        assert_eq!(again.interrupted, recovered.interrupted);
        assert!(again.deleted.is_empty());
        // The first goes on, if it was being captured; the others end.
        for (number, id) in interrupted.into_iter().enumerate() {
            let state = self.store().recordings().get(id).await.unwrap().state;
            if number == 0 && state == RecordingState::Capturing {
                self.write(id);
                continue;
            }
            if state == RecordingState::Capturing {
                advance(self.store(), id, RecordingStep::Stop).await;
            }
            advance(self.store(), id, RecordingStep::Seal).await;
        }
    }

    fn store(&self) -> &Store {
        self.store.as_ref().expect("open between two crashes")
    }

    /// What must be true is, and what was safe is there.
    async fn verify(&self) {
        let report = self.store().check(CHECK).await.unwrap();
        // An upload or render that was cut short may leave what the next attempt replaces.
        let real: Vec<_> = report
            .findings
            .iter()
            .filter(|finding| !is_left_over(finding))
            .collect();
        assert!(real.is_empty(), "{real:?}");
        for (id, segments) in &self.safe {
            let found = self.store().recordings().segments(*id).await.unwrap();
            for (index, packets) in segments {
                let segment = found.iter().find(|segment| segment.index == *index);
                let segment = segment.unwrap_or_else(|| panic!("{id} lost segment {index}"));
                assert!(
                    segment.sealed && segment.packets >= *packets,
                    "{id} segment {index}: {} of {packets} packets",
                    segment.packets
                );
            }
        }
        let known: Vec<_> = self.safe.keys().map(ToString::to_string).collect();
        let folders = crate::disk::list_dir(&self.store().inner.data.recordings()).unwrap();
        for (name, _) in folders {
            assert!(known.contains(&name), "{name} should be gone");
        }
    }
}

/// A crash between a file's last step and its row leaves a file that the next attempt replaces or `check` moves aside.
fn is_left_over(finding: &crate::check::Finding) -> bool {
    use crate::check::Invariant;
    match finding.invariant {
        Invariant::KnownFiles => finding.subject.contains("/renders/"),
        Invariant::SegmentFile | Invariant::RenderFile => {
            finding.problem.contains("should not be in the data directory")
        }
        _ => false,
    }
}

fn ruin(path: &std::path::Path, synced: u64, flushed: u64, tail: &Tail) {
    use std::io::{Seek as _, SeekFrom, Write as _};
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a part of a small file"
    )]
    let at = |part: f64| synced + (part * (flushed - synced) as f64) as u64;
    let mut file = fs::OpenOptions::new().write(true).open(path).unwrap();
    match tail {
        Tail::Kept => {}
        Tail::Cut { part } => file.set_len(at(*part)).unwrap(),
        Tail::Garbage { part, bytes } => {
            file.seek(SeekFrom::Start(at(*part))).unwrap();
            file.write_all(bytes).unwrap();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn any_crash_is_mended_by_the_next_start(steps in proptest::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut model = Model::new().await;
            for step in &steps {
                if model.step(step).await {
                    let tail = if let Step::Crash { tail } = step { tail.clone() } else { Tail::Kept };
                    model.crash(&tail).await;
                }
            }
            model.crash(&Tail::Kept).await;
            model.store().check(CheckOptions { repair: true, contents: true }).await.unwrap();
            assert_eq!(model.store().check(CHECK).await.unwrap().findings, []);
        });
    }
}

/// The one case in which the same recording is interrupted again and again, as a table of what is told.
#[tokio::test]
async fn an_interrupted_recording_is_told_with_what_it_needs_to_go_on() {
    let data = Data::new();
    let mut store = data.open().await;
    let id = capture(&store, "demo").await.id;
    for restart in 0..3 {
        let mut writer = store.journal(id).unwrap().open(START, snapshot).unwrap();
        let camera = writer.add_track(track(1));
        let at = START.saturating_add(Duration::from_secs(restart));
        writer.append_rtp(camera, at, None, &packet(1)).unwrap();
        writer.flush().unwrap();
        drop(writer);
        store = data.reopen(store).await;
        let interrupted = store.recover().await.unwrap().interrupted;
        assert_eq!(interrupted.len(), 1);
        assert_eq!(interrupted[0].recording.state, RecordingState::Capturing);
        assert_eq!(interrupted[0].next_segment.0, u32::try_from(restart).unwrap() + 1);
        assert_eq!(interrupted[0].last_arrival, Some(at));
        let (segment, torn) = interrupted[0].torn.unwrap();
        assert_eq!((segment.0, torn.lost_bytes), (u32::try_from(restart).unwrap(), 0));
    }
    assert_eq!(store.recordings().get(id).await.unwrap().packets, 3);
}
