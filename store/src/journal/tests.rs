//! Journals written, torn, mended and counted again.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use greffier_media::{
    codec::MediaKind,
    ids::{ParticipantIdentity, ParticipantSid, RecordingId, RoomName, SegmentIndex, TrackSid},
    journal::{
        ChatMessage, Encryption, Message, RoomEvent, SegmentReader, Tail, Topic, TrackChannel, TrackSource,
        event::RoomInfo,
    },
    time::{Arrival, ClockRate},
};
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::{ErrorKind, JournalConfig, claims::Claims};

const START: Arrival = Arrival::from_millis(1_760_000_000_000);

fn after(ms: u64) -> Arrival {
    START.saturating_add(Duration::from_millis(ms))
}

fn recording() -> RecordingId {
    RecordingId::from_parts(1_760_000_000_000, 1)
}

fn track(n: u32) -> TrackChannel {
    TrackChannel {
        track: TrackSid::new(&format!("TR_{n}")).unwrap(),
        track_name: String::new(),
        participant: ParticipantSid::new("PA_ana").unwrap(),
        identity: ParticipantIdentity::new("ana").unwrap(),
        participant_name: "Ana".into(),
        source: TrackSource::Camera,
        kind: MediaKind::Video,
        mime: "video/VP8".into(),
        clock_rate: ClockRate::VIDEO,
        channels: 0,
        fmtp: String::new(),
        ssrc: n,
        payload_types: Vec::new(),
        encryption: Encryption::None,
    }
}

fn packet(sequence: u16) -> Vec<u8> {
    let [high, low] = sequence.to_be_bytes();
    [&[0x80, 96, high, low][..], &[0x5A; 300]].concat()
}

fn snapshot(segment: SegmentIndex) -> RoomEvent {
    RoomEvent::Snapshot {
        recording: recording(),
        segment,
        room: RoomInfo {
            name: RoomName::new("demo").unwrap(),
            sid: None,
            metadata: String::new(),
        },
        paused: false,
        participants: Vec::new(),
    }
}

/// A data directory with one recording in it.
struct Data {
    root: PathBuf,
    recording: RecordingId,
    live: Claims<RecordingId>,
    settings: JournalConfig,
    _dir: Option<TempDir>,
}

impl Data {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self {
            root: dir.path().to_owned(),
            recording: recording(),
            live: Claims::default(),
            settings: JournalConfig::default(),
            _dir: Some(dir),
        }
    }

    fn dir(&self) -> PathBuf {
        self.root.join("recordings").join(self.recording.to_string())
    }

    fn lost_and_found(&self) -> PathBuf {
        self.root.join("lost+found")
    }

    fn segment(&self, index: u32) -> PathBuf {
        self.dir().join(format!("journal-{index:05}.mcap"))
    }

    fn journal(&self) -> Journal {
        Journal {
            recording: self.recording,
            dir: self.dir(),
            lost_and_found: self.lost_and_found(),
            settings: self.settings.clone(),
            claim: std::sync::Arc::new(self.live.claim(self.recording).unwrap()),
        }
    }

    fn open(&self) -> JournalWriter {
        self.journal().open(START, snapshot).unwrap()
    }

    fn seal(&self, index: u32) -> SegmentFacts {
        seal_segment(
            &self.segment(index),
            self.recording,
            SegmentIndex(index),
            &self.lost_and_found(),
        )
        .unwrap()
    }
}

fn read(path: &Path) -> (Vec<Message>, Tail) {
    let mut messages = SegmentReader::new(File::open(path).unwrap()).messages();
    let read: Vec<_> = messages.by_ref().collect::<Result<_, _>>().unwrap();
    (read, messages.reader().tail().cloned().unwrap())
}

fn packets(path: &Path) -> usize {
    let (messages, _) = read(path);
    messages
        .iter()
        .filter(|message| matches!(message.channel.topic, Topic::Rtp(_)))
        .count()
}

#[test]
fn what_is_appended_is_read() {
    let data = Data::new();
    let mut writer = data.open();
    let camera = writer.add_track(track(1));
    for n in 0..100_u16 {
        writer
            .append_rtp(camera, after(u64::from(n)), None, &packet(n))
            .unwrap();
    }
    writer.append_rtcp(camera, after(100), b"a sender report").unwrap();
    let chat = ChatMessage {
        id: "1".into(),
        from: None,
        sent_at: None,
        text: "hello".into(),
        edited: false,
        deleted: false,
    };
    writer.append_message(after(101), &chat).unwrap();
    writer.append_message(after(102), &RoomEvent::RecordingSealed).unwrap();
    let facts = writer.close().seal().unwrap();

    let (messages, tail) = read(&data.segment(0));
    assert_eq!(tail, Tail::Complete);
    assert_eq!(messages.len(), 1 + 100 + 1 + 1 + 1);
    assert_eq!(
        messages[0].channel.topic,
        Topic::Events,
        "a segment begins with the snapshot"
    );
    assert_eq!(facts.messages, 104);
    assert_eq!((facts.packets(), facts.lost_packets()), (100, 0));
    assert_eq!(facts.tracks[0].bytes, 100 * 304);
    assert_eq!(facts.span, Some((START, after(102))));
    let told: Vec<_> = facts.events.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(told, ["chat_message", "recording_sealed"]);
    let (len, sha256) = crate::disk::sha256_of(&data.segment(0)).unwrap();
    assert_eq!((facts.bytes, facts.sha256.clone()), (len, Some(sha256)));
    assert_eq!(inspect_segment(&data.segment(0), SegmentIndex(0)).unwrap().facts, facts);
}

#[test]
fn a_new_segment_goes_on_where_the_old_one_ends() {
    let data = Data::new();
    let mut writer = data.open();
    let camera = writer.add_track(track(1));
    writer.append_rtp(camera, after(1), None, &packet(1)).unwrap();
    let first = writer.rotate(after(2), snapshot).unwrap();
    assert_eq!(first.index(), SegmentIndex(0));
    writer.append_rtp(camera, after(3), None, &packet(2)).unwrap();
    writer.append_rtcp(camera, after(3), b"report").unwrap();
    let (first, second) = (first.seal().unwrap(), writer.close().seal().unwrap());
    assert_eq!((first.packets(), second.packets()), (1, 1));
    for index in [0, 1] {
        let (messages, tail) = read(&data.segment(index));
        assert_eq!(tail, Tail::Complete);
        let event: RoomEvent = serde_json::from_slice(&messages[0].data).unwrap();
        assert_eq!(event, snapshot(SegmentIndex(index)));
    }
}

#[test]
fn segments_of_an_earlier_process_are_not_touched() {
    let data = Data::new();
    drop(data.open());
    let torn = fs::read(data.segment(0)).unwrap();
    let mut writer = data.open();
    assert_eq!(writer.facts().segment, SegmentIndex(1));
    assert_eq!(fs::read(data.segment(0)).unwrap(), torn);
}

#[test]
fn a_journal_has_one_writer() {
    let data = Data::new();
    let writer = data.open();
    assert!(data.live.claim(recording()).is_none());
    let last = writer.close();
    assert!(data.live.claim(recording()).is_none(), "not before it is sealed");
    let _ = last.seal().unwrap();
    assert!(data.live.claim(recording()).is_some());
}

#[test]
fn ticks_flush_and_sync_in_time() {
    let data = Data::new();
    let mut writer = data.open();
    let camera = writer.add_track(track(1));
    let begin = writer.progress().flushed;
    let (mut flushed_at, mut synced_at) = (Vec::new(), Vec::new());
    let mut before = begin;
    for ms in (0..3_000).step_by(10) {
        let tick = writer.tick(after(ms)).unwrap();
        if writer.progress().flushed > before {
            before = writer.progress().flushed;
            flushed_at.push(ms);
        }
        if let Some(sync) = tick.sync {
            sync.sync().unwrap();
            synced_at.push(ms);
        }
        assert!(!tick.rotate);
        writer.append_rtp(camera, after(ms), None, &packet(1)).unwrap();
    }
    let gaps = |times: &[u64]| times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
    // Ticks may be 50 ms apart, so what is 50 ms old would be too old at the next.
    assert!(flushed_at[0] <= 100 && gaps(&flushed_at) <= 60, "{flushed_at:?}");
    assert!(synced_at[0] <= 800 && gaps(&synced_at) <= 800 + 100, "{synced_at:?}");
    let progress = writer.progress();
    assert!(progress.synced > 0 && progress.synced <= progress.flushed);
}

#[test]
fn however_late_within_its_bound_a_tick_comes_nothing_gets_too_old() {
    const FLUSH_MS: u64 = 100;
    for every in [5, 20, 40, 50] {
        let data = Data::new();
        let mut writer = data.open();
        let camera = writer.add_track(track(1));
        let mut oldest = None;
        for now in (every..2_000).step_by(usize::try_from(every).unwrap()) {
            // It came right after the tick before.
            let came = now - every + 1;
            writer.append_rtp(camera, after(came), None, &packet(1)).unwrap();
            let oldest = oldest.get_or_insert(came);
            let _ = writer.tick(after(now)).unwrap();
            if writer.progress().unflushed > 0 {
                continue;
            }
            assert!(
                now - *oldest <= FLUSH_MS,
                "{} ms, ticks every {every} ms",
                now - *oldest
            );
            *oldest = now + 1;
        }
    }
}

#[test]
fn a_segment_begins_in_a_file_made_elsewhere() {
    let data = Data::new();
    let mut writer = data.open();
    let camera = writer.add_track(track(1));
    let next = writer.next_segment().unwrap();
    // Appending goes on while another thread makes the file.
    let making = std::thread::spawn(move || next.create());
    writer.append_rtp(camera, after(1), None, &packet(1)).unwrap();
    let new = making.join().unwrap().unwrap();
    let first = writer.begin(new, after(2), snapshot).unwrap();
    writer.append_rtp(camera, after(3), None, &packet(2)).unwrap();
    let facts = [first.seal().unwrap(), writer.close().seal().unwrap()];
    assert_eq!(facts.map(|facts| facts.packets()), [1, 1]);

    // One that is not wanted any more leaves nothing behind, neither does one of another time.
    let mut writer = data.open();
    drop(writer.next_segment().unwrap().create().unwrap());
    let early = writer.next_segment().unwrap().create().unwrap();
    assert_eq!(segments_in(&data.dir()).unwrap().len(), 4);
    drop(early);
    assert_eq!(segments_in(&data.dir()).unwrap().len(), 3);
    let _ = writer.rotate(after(4), snapshot).unwrap().seal().unwrap();
    assert_eq!(segments_in(&data.dir()).unwrap().len(), 4);
}

#[test]
fn an_idle_journal_costs_nothing() {
    let data = Data::new();
    let mut writer = data.open();
    let first = writer.tick(after(1_000)).unwrap().sync.unwrap();
    first.sync().unwrap();
    let flushed = writer.progress().flushed;
    for ms in (1_000..200_000).step_by(50) {
        let tick = writer.tick(after(ms)).unwrap();
        assert!(tick.sync.is_none());
    }
    assert_eq!(writer.progress().flushed, flushed);
}

#[test]
fn a_slow_disk_has_one_sync_at_a_time_and_appending_goes_on() {
    let data = Data::new();
    let mut writer = data.open();
    let camera = writer.add_track(track(1));
    let slow = writer.tick(after(1_000)).unwrap().sync.unwrap();
    for ms in (1_000..5_000).step_by(50) {
        writer.append_rtp(camera, after(ms), None, &packet(1)).unwrap();
        assert!(writer.tick(after(ms)).unwrap().sync.is_none());
    }
    assert_eq!(packets(&data.segment(0)), 80, "flushed at every second look");
    let covered = slow.sync().unwrap();
    assert_eq!(covered, writer.progress().synced);
    assert!(writer.tick(after(5_000)).unwrap().sync.is_some());
}

#[test]
fn recordings_that_began_together_end_their_first_segments_one_after_the_other() {
    let first_rotation = |n| {
        let mut data = Data::new();
        data.recording = RecordingId::from_parts(1_760_000_000_000, n);
        let mut writer = data.open();
        let mut seconds = 150_u64..=300;
        seconds.find(|s| writer.tick(after(s * 1000)).unwrap().rotate)
    };
    let mut rotations: Vec<_> = (0..20).map(|n| first_rotation(n).expect("within its length")).collect();
    rotations.sort_unstable();
    rotations.dedup();
    assert!(rotations.len() > 10, "{rotations:?}");
}

#[test]
fn segments_end_by_time_and_by_size() {
    let mut data = Data::new();
    data.settings.segment_bytes = 1 << 20;
    let mut writer = data.open();
    assert!(!writer.tick(after(149_999)).unwrap().rotate, "half as long at least");
    assert!(writer.tick(after(300_000)).unwrap().rotate);
    drop(writer);

    let mut writer = data.open();
    assert!(!writer.tick(after(299_999)).unwrap().rotate);
    assert!(writer.tick(after(300_000)).unwrap().rotate);
    drop(writer);

    let mut writer = data.open();
    let camera = writer.add_track(track(1));
    let mut n = 0_u16;
    while !writer.tick(after(1)).unwrap().rotate {
        writer.append_rtp(camera, after(1), None, &packet(n)).unwrap();
        n += 1;
    }
    let facts = writer.close().seal().unwrap();
    assert!(
        (1 << 20..(1 << 20) + (1 << 18)).contains(&facts.bytes),
        "{}",
        facts.bytes
    );
}

#[test]
fn without_ticks_memory_stays_bounded() {
    let data = Data::new();
    let mut writer = data.open();
    let camera = writer.add_track(track(1));
    let big = vec![0; 60_000];
    for _ in 0..200 {
        writer.append_rtp(camera, START, None, &big).unwrap();
    }
    let flushed = writer.progress().flushed;
    assert!(flushed >= 12_000_000 - (4 << 20) - 60_000, "{flushed}");
}

#[test]
fn progress_reports_the_timeline_once_and_sealing_all_of_it() {
    let data = Data::new();
    let mut writer = data.open();
    for ms in 1..=3 {
        writer
            .append_message(after(ms), &RoomEvent::RecordingPaused { by: None })
            .unwrap();
        assert_eq!(writer.facts().events.len(), 1);
        assert_eq!(writer.facts().events.len(), 0);
    }
    assert_eq!(writer.close().seal().unwrap().events.len(), 3);
}

#[test]
fn a_torn_segment_is_mended_in_place() {
    let data = Data::new();
    let mut writer = data.open();
    let camera = writer.add_track(track(1));
    for n in 0..50 {
        writer.append_rtp(camera, after(1), None, &packet(n)).unwrap();
    }
    writer.flush().unwrap();
    let expected = writer.facts();
    writer.append_rtp(camera, after(2), None, &packet(50)).unwrap();
    drop(writer);
    let sound = fs::read(data.segment(0)).unwrap();
    OpenOptions::new()
        .append(true)
        .open(data.segment(0))
        .unwrap()
        .write_all(&sound[8..200])
        .unwrap();

    let sealed = data.seal(0);
    assert_eq!(sealed.packets(), 50);
    assert_eq!((sealed.tracks.clone(), sealed.span), (expected.tracks, expected.span));
    assert!(
        sealed
            .torn
            .is_some_and(|torn| torn.valid_bytes == sound.len() as u64 && torn.lost_bytes == 192)
    );
    assert!(
        fs::read(data.segment(0)).unwrap().starts_with(&sound),
        "what was sound stays"
    );
    assert_eq!(read(&data.segment(0)).1, Tail::Complete);
    // The record that followed the sound bytes could not be one of a segment: it is kept.
    let kept = crate::disk::list_dir(&data.lost_and_found()).unwrap();
    assert_eq!(kept.len(), 1);
    assert_eq!(fs::read(&kept[0].1).unwrap(), &sound[8..200]);

    let again = data.seal(0);
    assert_eq!(again, SegmentFacts { torn: None, ..sealed });
}

#[test]
fn an_empty_file_becomes_an_empty_segment() {
    let data = Data::new();
    drop(data.open());
    File::create(data.segment(1)).unwrap();
    let facts = data.seal(1);
    assert_eq!((facts.messages, facts.span), (0, None));
    assert!(facts.is_sealed());
    assert_eq!(read(&data.segment(1)), (Vec::new(), Tail::Complete));
}

/// What a test does to a journal.
#[derive(Debug, Clone)]
enum Step {
    Append { track: u32, size: u16 },
    Event,
    Tick { ms: u64 },
    Rotate,
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (0..3_u32, 0..2_000_u16).prop_map(|(track, size)| Step::Append { track, size }),
        2 => Just(Step::Event),
        6 => (1..120_u64).prop_map(|ms| Step::Tick { ms }),
        1 => Just(Step::Rotate),
        1 => Just(Step::Restart),
    ]
}

/// What happens to the last file when the process ends.
#[derive(Debug, Clone)]
enum Crash {
    /// `kill -9`: what was flushed is there.
    Killed,
    /// Power failure: any part of what was not synced may be gone …
    Cut { part: f64 },
    /// … or be something else.
    Garbage { part: f64, bytes: Vec<u8> },
}

fn crash() -> impl Strategy<Value = Crash> {
    prop_oneof![
        Just(Crash::Killed),
        (0.0..=1.0).prop_map(|part| Crash::Cut { part }),
        (0.0..=1.0, proptest::collection::vec(any::<u8>(), 1..500))
            .prop_map(|(part, bytes)| Crash::Garbage { part, bytes }),
    ]
}

/// The file and how much of it is synced and flushed, with the number of messages in each part.
#[derive(Debug, Clone, Copy, Default)]
struct Safe {
    synced_bytes: u64,
    flushed_bytes: u64,
}

fn ruin(path: &Path, safe: Safe, crash: &Crash) {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a part of a small file"
    )]
    let cut_at = |part: f64| {
        let unsafe_bytes = (safe.flushed_bytes - safe.synced_bytes) as f64;
        safe.synced_bytes + (part * unsafe_bytes) as u64
    };
    let mut file = OpenOptions::new().write(true).open(path).unwrap();
    match crash {
        Crash::Killed => {}
        Crash::Cut { part } => file.set_len(cut_at(*part)).unwrap(),
        Crash::Garbage { part, bytes } => {
            file.seek(SeekFrom::Start(cut_at(*part))).unwrap();
            file.write_all(bytes).unwrap();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is done and however it ends: after recovery all segments are finished, none is missing, what was safe
    /// is there byte for byte, and recovering again changes nothing.
    #[test]
    fn nothing_that_was_safe_is_lost(steps in proptest::collection::vec(step(), 1..120), end in crash()) {
        let data = Data::new();
        let mut writer = data.open();
        let mut tracks: Vec<_> = (0..3).map(|n| writer.add_track(track(n))).collect();
        let mut now = 0;
        for (number, step) in steps.iter().enumerate() {
            match step {
                Step::Append { track, size } => {
                    let mut packet = packet(u16::try_from(number).unwrap());
                    packet.resize(usize::from(*size), 7);
                    writer.append_rtp(tracks[*track as usize], after(now), None, &packet).unwrap();
                }
                Step::Event => writer.append_message(after(now), &RoomEvent::RecordingSealed).unwrap(),
                Step::Tick { ms } => {
                    now += ms;
                    if let Some(sync) = writer.tick(after(now)).unwrap().sync {
                        sync.sync().unwrap();
                    }
                }
                Step::Rotate => {
                    let facts = writer.rotate(after(now), snapshot).unwrap().seal().unwrap();
                    prop_assert!(facts.is_sealed());
                }
                Step::Restart => {
                    let index = writer.progress().segment;
                    drop(writer);
                    data.seal(index.0);
                    writer = data.open();
                    tracks = (0..3).map(|n| writer.add_track(track(n))).collect();
                }
            }
        }
        let progress = writer.progress();
        let flushed = SegmentFacts { events: Vec::new(), ..writer.facts() };
        drop(writer);
        let path = data.segment(progress.segment.0);
        let safe = Safe { synced_bytes: progress.synced, flushed_bytes: progress.flushed };
        let whole = fs::read(&path).unwrap();
        prop_assert_eq!(whole.len() as u64, safe.flushed_bytes);
        ruin(&path, safe, &end);

        let all: Vec<_> = segments_in(&data.dir()).unwrap();
        for (number, (index, path)) in all.iter().enumerate() {
            prop_assert_eq!(index.0 as usize, number);
            let sealed = data.seal(index.0);
            prop_assert!(sealed.is_sealed());
            prop_assert_eq!(&read(path).1, &Tail::Complete);
            let again = data.seal(index.0);
            prop_assert_eq!(&again, &SegmentFacts { torn: None, ..sealed });
        }
        let mut kept = Vec::new();
        File::open(&path).unwrap().read_to_end(&mut kept).unwrap();
        prop_assert!(kept.starts_with(&whole[..usize::try_from(safe.synced_bytes).unwrap()]));
        if let Crash::Killed = end {
            prop_assert!(kept.starts_with(&whole));
            let sealed = inspect_segment(&path, progress.segment).unwrap().facts;
            // Appended but not flushed messages are counted by the writer and gone from the file.
            prop_assert!(sealed.messages <= flushed.messages);
            prop_assert!(sealed.packets() <= flushed.packets());
        }
    }
}

/// A file system of a few MiB, gone at the end; `None` where we may not mount one.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn mount(kib: u32) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={kib}k"), "greffier-test"])
            .arg(dir.path())
            .status()
            .is_ok_and(|status| status.success());
        mounted.then_some(Self(dir))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(self.0.path()).status();
        assert!(
            unmounted.is_ok_and(|status| status.success()),
            "{}",
            self.0.path().display()
        );
    }
}

/// Or, where mounting is impossible, says by name that the test did not run.
fn small_disk(test: &str, kib: u32) -> Option<SmallDisk> {
    let disk = SmallDisk::mount(kib);
    assert!(
        disk.is_some() || std::env::var_os("CI").is_none(),
        "{test} needs to mount a tmpfs"
    );
    if disk.is_none() {
        eprintln!("skipped: {test} (needs to mount a tmpfs)");
    }
    disk
}

#[test]
fn a_full_disk_keeps_what_was_flushed() {
    let Some(disk) = small_disk("a_full_disk_keeps_what_was_flushed", 2048) else {
        return;
    };
    let data = Data {
        root: disk.0.path().to_owned(),
        ..Data::new()
    };
    let mut writer = data.open();
    let camera = writer.add_track(track(1));
    let mut n = 0_u16;
    let (mut now, mut flushed_packets) = (0, 0);
    let error = loop {
        for _ in 0..100 {
            writer.append_rtp(camera, after(now), None, &packet(n)).unwrap();
            n += 1;
        }
        now += 100;
        match writer.tick(after(now)) {
            Ok(_) => flushed_packets = u64::from(n),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::DiskFull, "{error:?}");
    assert!(flushed_packets > 1_000, "{flushed_packets}");

    // Room for neither a new segment nor the end of this one …
    let rotated = writer.rotate(after(now), snapshot).unwrap_err();
    assert_eq!(rotated.kind(), ErrorKind::DiskFull);
    assert_eq!(segments_in(&data.dir()).unwrap().len(), 1);
    // … until what was torn off makes some.
    let unsealed = writer.close();
    assert!(unsealed.write_error().is_some());
    let facts = unsealed.seal().unwrap();
    assert!(
        facts.packets() >= flushed_packets,
        "{} < {flushed_packets}",
        facts.packets()
    );
    assert_eq!(read(&data.segment(0)).1, Tail::Complete);
}

#[test]
fn a_disk_that_was_full_loses_nothing_once_there_is_room() {
    let Some(disk) = small_disk("a_disk_that_was_full_loses_nothing_once_there_is_room", 2048) else {
        return;
    };
    let data = Data {
        root: disk.0.path().to_owned(),
        ..Data::new()
    };
    let ballast = disk.0.path().join("ballast");
    fs::write(&ballast, vec![0; 1 << 20]).unwrap();
    let mut writer = data.open();
    let camera = writer.add_track(track(1));
    let (mut n, mut failures) = (0_u16, 0);
    for tick in 0..45 {
        for _ in 0..100 {
            writer.append_rtp(camera, after(tick * 100), None, &packet(n)).unwrap();
            n += 1;
        }
        if let Err(error) = writer.tick(after((tick + 1) * 100)) {
            assert_eq!(error.kind(), ErrorKind::DiskFull);
            failures += 1;
            if failures == 3 {
                fs::remove_file(&ballast).unwrap();
            }
        }
    }
    assert_eq!(failures, 3);
    let facts = writer.close().seal().unwrap();
    assert_eq!((facts.packets(), facts.lost_packets()), (u64::from(n), 0));
    assert_eq!(inspect_segment(&data.segment(0), SegmentIndex(0)).unwrap().facts, facts);
}
