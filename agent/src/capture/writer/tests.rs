use std::path::{Path, PathBuf};
use std::process::Command;

use bytes::Bytes;
use greffier_media::codec::MediaKind;
use greffier_media::ids::{ParticipantIdentity, ParticipantSid, RoomName, TrackSid};
use greffier_media::journal::event::{DataMessage, RoomEvent, StopReason};
use greffier_media::journal::{Encryption, TrackChannel, TrackSource};
use greffier_media::time::{Arrival, ClockRate, ManualClock};
use greffier_store::{ErrorKind, Store, StoreConfig};
use libwebrtc::raw::{RtpHeader, RtpPacket};
use tempfile::TempDir;

use super::*;
use crate::capture::queue::{Entry, StreamKey};
use crate::clock::instant;

const KEY: StreamKey = StreamKey(0);

/// One recording at its writer, by a clock that is set.
struct Bench {
    clock: ManualClock,
    queue: Arc<Queue>,
    slot: Slot,
    notes: mpsc::Receiver<Note>,
    errands: SyncSender<Errand>,
    due: Receiver<Errand>,
    sequence: u16,
    folder: PathBuf,
    _store: Store,
    _dir: TempDir,
}

impl Bench {
    /// `prepare` is given the recording's folder before there is anything in it.
    async fn new(prepare: impl FnOnce(&Path)) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let clock = ManualClock::new(Arrival::from_millis(1_000));
        let mut config = StoreConfig::new(dir.path().join("data"));
        (config.min_free_bytes, config.min_free_percent) = (0, 0);
        let store = Store::open(&config, Arc::new(SystemClock::start()))
            .await
            .expect("a store");
        let recording = RecordingId::from_parts(1, 2);
        let folder = store.data().recording(recording);
        std::fs::create_dir_all(&folder).expect("its folder");
        prepare(&folder);
        let room = Room::new(recording, RoomName::new("demo").expect("a name"), false);
        let room = Arc::new(Mutex::new(room));
        let journal = store.journal(recording).expect("nobody else writes it");
        let first = Arc::clone(&room);
        let writer = journal
            .open(clock.now(), move |index| first.lock().snapshot(index))
            .expect("room for it");
        let queue = Arc::new(Queue::new(32 << 20, false));
        let (tell, notes) = mpsc::channel(64);
        let (errands, due) = sync_channel(8);
        queue.push(Entry::Stream(KEY, Box::new(channel())));
        Self {
            clock,
            slot: Slot::new(writer, Arc::clone(&queue), room, tell),
            queue,
            notes,
            errands,
            due,
            sequence: 0,
            folder,
            _store: store,
            _dir: dir,
        }
    }

    fn packets(&mut self, count: u16, len: usize) {
        for _ in 0..count {
            self.sequence += 1;
            let packet = RtpPacket {
                arrival: instant(),
                header: RtpHeader {
                    sequence_number: self.sequence,
                    payload_type: 96,
                    ssrc: 7,
                    ..RtpHeader::default()
                },
                payload: Bytes::from(vec![0; len]),
                repaired: false,
            };
            self.queue.push_media(Entry::Packet(KEY, self.clock.now(), packet));
        }
    }

    /// One round of the writer, an interval later.
    fn round(&mut self) {
        self.clock.advance(EVERY);
        self.slot.work(&self.clock, &self.errands);
    }

    fn failures(&mut self) -> Vec<ErrorKind> {
        std::iter::from_fn(|| self.notes.try_recv().ok())
            .filter_map(|note| match note {
                Note::Failed(error) => Some(error.kind()),
                _ => None,
            })
            .collect()
    }

    fn close(&mut self) -> oneshot::Receiver<UnsealedSegment> {
        let (done, closed) = oneshot::channel();
        self.slot.closing = Some(Closing {
            done,
            given_up_at: self.clock.now().saturating_add(CLOSE_WITHIN),
        });
        closed
    }

    fn seal(self) -> SegmentFacts {
        self.slot.writer.close().seal().expect("room for it")
    }
}

fn channel() -> TrackChannel {
    TrackChannel {
        track: TrackSid::new("TR_1").expect("a sid"),
        track_name: String::new(),
        participant: ParticipantSid::new("PA_1").expect("a sid"),
        identity: ParticipantIdentity::new("ana").expect("an identity"),
        participant_name: String::new(),
        source: TrackSource::Microphone,
        kind: MediaKind::Audio,
        mime: "audio/opus".into(),
        clock_rate: ClockRate::OPUS,
        channels: 2,
        fmtp: String::new(),
        ssrc: 7,
        payload_types: Vec::new(),
        encryption: Encryption::None,
    }
}

fn data(len: usize) -> Entry {
    let data = DataMessage {
        from: None,
        topic: None,
        reliable: true,
        payload: vec![0; len],
    };
    Entry::Data(Arrival::ZERO, Box::new(data))
}

/// A file system of a few MiB over a folder; `None`, said by name, where none may be mounted.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn over(folder: &Path, test: &str) -> Option<Self> {
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=12m", "greffier-test"])
            .arg(folder)
            .status()
            .is_ok_and(|status| status.success());
        assert!(
            mounted || std::env::var_os("CI").is_none(),
            "{test} needs to mount a tmpfs"
        );
        if !mounted {
            tracing::warn!(test, "skipped: it needs to mount a tmpfs");
        }
        mounted.then(|| Self(folder.to_owned()))
    }

    fn fill(&self) {
        use std::io::Write as _;
        let mut ballast = std::fs::File::create(self.0.join("ballast")).expect("a file");
        while ballast.write_all(&[0; 4096]).is_ok() {}
    }

    fn free(&self) {
        std::fs::remove_file(self.0.join("ballast")).expect("it is there");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("--lazy").arg(&self.0).status();
        assert!(unmounted.is_ok_and(|status| status.success()), "{}", self.0.display());
    }
}

#[tokio::test]
async fn what_a_full_disk_does_not_take_is_kept_until_it_does() {
    let mut disk = None;
    let mut bench = Bench::new(|folder| {
        disk = SmallDisk::over(folder, "what_a_full_disk_does_not_take_is_kept_until_it_does");
    })
    .await;
    let Some(disk) = disk else { return };
    bench.packets(100, 1_000);
    for _ in 0..3 {
        bench.round();
    }
    assert_eq!(bench.failures(), []);

    disk.fill();
    // More than the journal keeps in memory by itself, so that some stay in the queue.
    bench.packets(5_000, 1_000);
    bench.queue.push_content(data(1_000), None);
    for _ in 0..5 {
        bench.round();
        bench.packets(200, 1_000);
    }
    assert_eq!(bench.failures(), [ErrorKind::DiskFull], "it is told once");
    let stopped = RoomEvent::RecordingStopped {
        reason: StopReason::DiskFull,
    };
    bench
        .queue
        .push_mark(Entry::Event(bench.clock.now(), Box::new(stopped)));
    let _closed = bench.close();
    bench.round();
    assert!(!bench.slot.is_complete(bench.clock.now()), "it waits for room");

    disk.free();
    bench.round();
    assert!(bench.slot.is_complete(bench.clock.now()));
    assert!(bench.queue.take(Vec::new()).is_empty(), "everything is in the journal");
    let facts = bench.seal();
    assert_eq!((facts.packets(), facts.lost_packets()), (6_100, 0));
    assert!(
        facts
            .events
            .iter()
            .any(|event| format!("{event:?}").contains("disk_full")),
        "it says why it ended: {:?}",
        facts.events
    );
    drop(disk);
}

#[tokio::test]
async fn a_disk_that_stays_full_is_given_up() {
    let mut disk = None;
    let mut bench = Bench::new(|folder| disk = SmallDisk::over(folder, "a_disk_that_stays_full_is_given_up")).await;
    let Some(disk) = disk else { return };
    disk.fill();
    for _ in 0..6 {
        bench.packets(1_000, 1_000);
        bench.round();
    }
    let _closed = bench.close();
    bench.round();
    assert!(!bench.slot.is_complete(bench.clock.now()));
    bench.clock.advance(CLOSE_WITHIN);
    bench.round();
    assert!(bench.slot.is_complete(bench.clock.now()), "it does not wait for ever");
    drop(disk);
}

#[tokio::test]
async fn packets_are_flushed_within_a_tenth_of_a_second() {
    let mut bench = Bench::new(|_| {}).await;
    bench.round();
    let mut oldest: Option<Arrival> = None;
    for _ in 0..100 {
        // Right after a round, so that it waits longest.
        bench.clock.advance(Duration::from_millis(1));
        bench.packets(1, 100);
        oldest.get_or_insert(bench.clock.now());
        bench.round();
        if bench.slot.writer.progress().unflushed == 0
            && let Some(came) = oldest.take()
        {
            let age = bench.clock.now().saturating_since(came);
            assert!(age <= Duration::from_millis(85), "{age:?}");
        }
    }
    assert!(oldest.is_none_or(|came| bench.clock.now().saturating_since(came) < EVERY + EVERY));
}

#[tokio::test]
async fn making_a_segments_file_holds_nobody_up() {
    let mut bench = Bench::new(|_| {}).await;
    bench.packets(10, 100);
    bench.round();
    bench.clock.advance(Duration::from_mins(5));
    bench.round();
    let next = loop {
        match bench
            .due
            .try_recv()
            .expect("the next segment's file is to be made")
            .what
        {
            What::MakeFile(next) => break next,
            What::Sync(handle, _) => drop(handle.sync().expect("a disk")),
            What::RemoveFile(_) => panic!("there is none yet"),
        }
    };
    // The disk takes its time, and the old segment goes on.
    let before = bench.slot.writer.progress();
    for _ in 0..5 {
        bench.packets(10, 100);
        bench.round();
    }
    let now = bench.slot.writer.progress();
    assert!(now.flushed > before.flushed && now.segment == before.segment);
    assert_eq!(files(&bench.folder), 1);
    let asked_again = bench
        .due
        .try_iter()
        .any(|errand| matches!(errand.what, What::MakeFile(_)));
    assert!(!asked_again, "it is asked for once");

    // A journal that is to end meanwhile waits for the file, and does without it.
    let made = next.create();
    assert_eq!(files(&bench.folder), 2);
    let _closed = bench.close();
    bench.round();
    assert!(!bench.slot.is_complete(bench.clock.now()));
    bench.slot.begin(made.map(Some), bench.clock.now(), &bench.errands);
    assert!(
        !bench.slot.is_complete(bench.clock.now()),
        "nobody may find a segment that is none"
    );
    for errand in bench.due.try_iter() {
        drop(errand.what);
    }
    assert_eq!(files(&bench.folder), 1);
    bench.slot.begin(Ok(None), bench.clock.now(), &bench.errands);
    assert!(bench.slot.is_complete(bench.clock.now()));
    assert_eq!(bench.seal().packets(), 60);
}

#[tokio::test]
async fn a_segment_that_has_its_file_goes_on_there() {
    let mut bench = Bench::new(|_| {}).await;
    bench.packets(10, 100);
    bench.round();
    let made = bench.slot.writer.next_segment().expect("there is a next").create();
    bench.packets(10, 100);
    bench.slot.begin(made.map(Some), bench.clock.now(), &bench.errands);
    bench.round();
    let ended = std::iter::from_fn(|| bench.notes.try_recv().ok()).find_map(|note| match note {
        Note::Segment(segment) => Some(segment),
        _ => None,
    });
    assert_eq!(
        ended.expect("a segment has ended").seal().expect("a disk").packets(),
        10
    );
    assert_eq!(bench.seal().packets(), 10);
}

fn files(folder: &Path) -> usize {
    std::fs::read_dir(folder).expect("its folder").count()
}
