//! Each invariant broken by hand, found, and repaired where that is possible.

use std::{fs, os::unix::fs::FileExt as _, path::PathBuf, time::Duration};

use greffier_media::{ids::SegmentIndex, journal::RoomEvent, lifecycle::RecordingStep};
use sea_orm::ConnectionTrait as _;
use serde_json::json;

use super::*;
use crate::{
    ObjectsConfig,
    files::StoredFile,
    jobs::NewJob,
    testing::{
        Data, START, advance, capture, on_each_database, open_journal, packet, render, sealed, track, write_segments,
    },
};

const LOOK: CheckOptions = CheckOptions {
    repair: false,
    contents: true,
};
const REPAIR: CheckOptions = CheckOptions {
    repair: true,
    contents: true,
};

async fn sql(store: &Store, sql: &str) {
    let done = store.inner.database.write().execute_unprepared(sql).await.unwrap();
    assert!(done.rows_affected() > 0, "{sql}");
}

/// Found, once or more, and nothing else; looking changes nothing.
async fn finds(store: &Store, invariant: Invariant) -> Report {
    let report = store.check(LOOK).await.unwrap();
    assert!(!report.is_clean());
    for finding in &report.findings {
        assert_eq!(finding.invariant, invariant, "{finding}");
        assert!(!matches!(finding.repair, Repair::Done(_)), "{finding}");
    }
    assert_eq!(store.check(LOOK).await.unwrap().findings, report.findings);
    report
}

/// Found, repaired, and not found again.
async fn finds_and_repairs(store: &Store, invariant: Invariant) -> Report {
    finds(store, invariant).await;
    let report = store.check(REPAIR).await.unwrap();
    assert!(report.is_repaired(), "{:?}", report.findings);
    assert_eq!(store.check(LOOK).await.unwrap().findings, []);
    report
}

/// Found, and beyond repair.
async fn finds_for_people(store: &Store, invariant: Invariant) {
    finds(store, invariant).await;
    let report = store.check(REPAIR).await.unwrap();
    assert!(!report.is_repaired());
    for finding in &report.findings {
        assert!(matches!(finding.repair, Repair::Impossible(_)), "{finding}");
    }
}

fn lost_and_found(store: &Store) -> Vec<String> {
    let listed = disk::list_dir(&store.inner.data.lost_and_found()).unwrap();
    listed.into_iter().map(|(name, _)| name).collect()
}

fn with_objects() -> Data {
    let mut data = Data::new();
    let folder = url::Url::from_directory_path(data.outside().join("objects")).unwrap();
    data.config.objects = Some(ObjectsConfig::new(folder));
    data
}

async fn upload_all(store: &Store) {
    for file in store.objects().pending(100).await.unwrap() {
        store.objects().upload(&file).await.unwrap();
    }
}

async fn first_file(store: &Store, id: RecordingId) -> (StoredFile, PathBuf) {
    let file = store.files().list(id).await.unwrap().remove(0);
    let path = file.path(store.data());
    (file, path)
}

fn rot(path: &PathBuf) {
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.write_all_at(b"rot", 5_000).unwrap();
}

#[tokio::test]
async fn what_is_well_is_clean() {
    on_each_database(async |data: Data| {
        let store = data.open().await;
        assert!(store.check(REPAIR).await.unwrap().is_clean());
        let id = sealed(&store, "demo", 3).await.id;
        render(&store, id).await;
        let waiting = NewJob::new("x", json!({}));
        store.jobs().enqueue(&waiting).await.unwrap();
        store
            .jobs()
            .claim(&["x"], Duration::from_secs(1))
            .await
            .unwrap()
            .unwrap();
        let report = store.check(LOOK).await.unwrap();
        assert_eq!(report.findings, []);
        assert_eq!(
            (report.recordings, report.segments, report.renders, report.live),
            (1, 3, 1, 0)
        );
        assert!(report.bytes_read > 90_000);
        let read_only = Store::open_read_only(&data.config, data.clock.clone()).await.unwrap();
        assert!(read_only.check(LOOK).await.unwrap().is_clean());
        assert_eq!(read_only.check(REPAIR).await.unwrap_err().kind(), ErrorKind::Conflict);
    })
    .await;
}

#[tokio::test]
async fn recordings_under_way_are_left_alone() {
    on_each_database(async |data: Data| {
        let store = data.open().await;
        let id = capture(&store, "demo").await.id;
        let mut writer = open_journal(&store, id);
        let camera = writer.add_track(track(1));
        let first = writer.rotate(START, crate::testing::snapshot).unwrap().seal().unwrap();
        store.recordings().record_segment(id, &first).await.unwrap();
        writer.append_rtp(camera, START, None, &packet(1)).unwrap();
        writer.flush().unwrap();
        let report = store.check(REPAIR).await.unwrap();
        assert!(report.is_clean(), "{:?}", report.findings);
        assert_eq!((report.live, report.segments), (1, 1));
        // By somebody beside us, too.
        let beside = Store::open_read_only(&data.config, data.clock.clone()).await.unwrap();
        assert!(beside.check(LOOK).await.unwrap().is_clean());
        // Until nobody writes it any more.
        drop(writer);
        finds_and_repairs(&store, Invariant::SealedWhenEnded).await;
        assert_eq!(store.recordings().get(id).await.unwrap().packets, 1);
    })
    .await;
}

#[tokio::test]
async fn a_schema_changed_by_hand_is_found() {
    on_each_database(async |data: Data| {
        let store = data.open().await;
        let database = store.inner.database.write();
        database
            .execute_unprepared("CREATE TABLE notes (x TEXT)")
            .await
            .unwrap();
        database.execute_unprepared("DROP INDEX jobs_due").await.unwrap();
        let report = store.check(LOOK).await.unwrap();
        assert!(
            report
                .findings
                .iter()
                .all(|finding| finding.invariant == Invariant::Schema)
        );
        let subjects: Vec<_> = report.findings.iter().map(|finding| finding.subject.as_str()).collect();
        assert!(
            subjects.iter().any(|subject| subject.contains("jobs_due")),
            "{subjects:?}"
        );
        assert!(subjects.iter().any(|subject| subject.contains("notes")), "{subjects:?}");
        finds_for_people(&store, Invariant::Schema).await;
    })
    .await;
}

#[tokio::test]
async fn two_live_recordings_of_one_room_are_found() {
    on_each_database(async |data: Data| {
        let store = data.open().await;
        let first = capture(&store, "demo").await.id;
        let second = capture(&store, "other").await.id;
        store
            .inner
            .database
            .write()
            .execute_unprepared("DROP INDEX recordings_live")
            .await
            .unwrap();
        sql(
            &store,
            &format!("UPDATE recordings SET room_name = 'demo' WHERE id = '{second}'"),
        )
        .await;
        let report = store.check(LOOK).await.unwrap();
        let twice: Vec<_> = report
            .findings
            .iter()
            .filter(|finding| finding.invariant == Invariant::OneLiveRecording)
            .collect();
        assert_eq!(twice.len(), 1);
        let named = format!("{} {}", twice[0].subject, twice[0].problem);
        assert!(
            named.contains(&first.to_string()) && named.contains(&second.to_string()),
            "{named}"
        );
    })
    .await;
}

#[tokio::test]
async fn a_segment_without_a_row_gets_one() {
    on_each_database(async |data: Data| {
        let store = data.open().await;
        let recording = sealed(&store, "demo", 3).await;
        let id = recording.id;
        let segments = store.recordings().segments(id).await.unwrap();
        for index in [0, 2] {
            sql(
                &store,
                &format!("DELETE FROM segments WHERE recording_id = '{id}' AND idx = {index}"),
            )
            .await;
        }
        let report = store.check(LOOK).await.unwrap();
        assert_eq!(
            report.findings.len(),
            3,
            "two segments and the totals: {:?}",
            report.findings
        );
        assert!(store.check(REPAIR).await.unwrap().is_repaired());
        assert!(store.check(LOOK).await.unwrap().is_clean());
        assert_eq!(store.recordings().segments(id).await.unwrap(), segments);
        assert_eq!(store.recordings().get(id).await.unwrap(), recording);
        assert_eq!(lost_and_found(&store), Vec::<String>::new());
    })
    .await;
}

#[tokio::test]
async fn a_hole_in_the_numbers_is_found() {
    let data = Data::new();
    let store = data.open().await;
    let id = sealed(&store, "demo", 3).await.id;
    sql(
        &store,
        &format!("DELETE FROM segments WHERE recording_id = '{id}' AND idx = 1"),
    )
    .await;
    fs::remove_file(store.data().segment(id, SegmentIndex(1))).unwrap();
    store.check(REPAIR).await.unwrap();
    finds_for_people(&store, Invariant::SegmentNumbers).await;
}

#[tokio::test]
async fn a_lost_segment_is_found_and_read_from_the_object_store() {
    for missing in [true, false] {
        let data = with_objects();
        let store = data.open().await;
        let id = sealed(&store, "demo", 2).await.id;
        let (_, path) = first_file(&store, id).await;
        let whole = fs::read(&path).unwrap();
        let ruin = || {
            if missing {
                fs::remove_file(&path).unwrap();
            } else {
                rot(&path);
            }
        };
        ruin();
        finds_for_people(&store, Invariant::SegmentFile).await;
        fs::write(&path, &whole).unwrap();
        assert!(store.check(LOOK).await.unwrap().is_clean());
        upload_all(&store).await;
        ruin();
        finds_and_repairs(&store, Invariant::SegmentFile).await;
        let (file, _) = first_file(&store, id).await;
        assert!(!file.on_disk);
        assert_eq!(
            lost_and_found(&store).len(),
            usize::from(!missing),
            "nothing is deleted"
        );
        assert!(store.files().open(&file, 0..file.bytes).await.is_ok());
    }
}

#[tokio::test]
async fn a_file_that_only_its_length_betrays_is_found_without_reading() {
    let data = Data::new();
    let store = data.open().await;
    let id = sealed(&store, "demo", 1).await.id;
    let (_, path) = first_file(&store, id).await;
    rot(&path);
    let quick = CheckOptions::default();
    let report = store.check(quick).await.unwrap();
    assert!(report.is_clean() && report.bytes_read == 0);
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(6_000).unwrap();
    assert!(!store.check(quick).await.unwrap().is_clean());
}

#[tokio::test]
async fn an_object_that_is_gone_is_uploaded_again() {
    let data = with_objects();
    let store = data.open().await;
    let id = sealed(&store, "demo", 2).await.id;
    render(&store, id).await;
    upload_all(&store).await;
    let objects = data.outside().join("objects/recordings").join(id.to_string());
    fs::remove_file(objects.join("journal-00001.mcap")).unwrap();
    finds_and_repairs(&store, Invariant::SegmentFile).await;
    let pending = store.objects().pending(10).await.unwrap();
    assert_eq!(pending.len(), 1);
    assert_eq!(pending[0].name, "journal-00001.mcap");
    upload_all(&store).await;
    fs::remove_dir_all(objects.join("renders")).unwrap();
    finds_and_repairs(&store, Invariant::RenderFile).await;
    upload_all(&store).await;
    assert!(store.check(LOOK).await.unwrap().is_clean());
}

#[tokio::test]
async fn a_local_copy_that_should_be_gone_goes() {
    let mut data = with_objects();
    data.config.objects.as_mut().unwrap().local_copy = Some(Duration::ZERO);
    let store = data.open().await;
    let id = sealed(&store, "demo", 1).await.id;
    upload_all(&store).await;
    let (file, path) = first_file(&store, id).await;
    // The process ends between the two steps.
    store.objects().forget_local_copy(&file).await.unwrap();
    let store = data.reopen(store).await;
    finds_and_repairs(&store, Invariant::SegmentFile).await;
    assert!(!path.try_exists().unwrap());

    let id = sealed(&store, "other", 1).await.id;
    upload_all(&store).await;
    let (file, path) = first_file(&store, id).await;
    store.objects().forget_local_copy(&file).await.unwrap();
    fs::remove_dir_all(data.outside().join("objects/recordings").join(id.to_string())).unwrap();
    finds_and_repairs(&store, Invariant::SegmentFile).await;
    assert!(path.try_exists().unwrap(), "the last copy stays");
    assert_eq!(store.objects().pending(10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn rows_that_do_not_say_what_segments_hold_are_counted_again() {
    on_each_database(async |data: Data| {
        let store = data.open().await;
        let recording = sealed(&store, "demo", 2).await;
        sql(&store, "UPDATE segments SET packets = packets + 1 WHERE idx = 1").await;
        let report = store.check(LOOK).await.unwrap();
        assert_eq!(report.findings.len(), 2, "{:?}", report.findings);
        store.check(REPAIR).await.unwrap();
        assert!(store.check(LOOK).await.unwrap().is_clean());
        sql(&store, "UPDATE recordings SET bytes = 7").await;
        finds_and_repairs(&store, Invariant::Totals).await;
        assert_eq!(store.recordings().get(recording.id).await.unwrap(), recording);
    })
    .await;
}

#[tokio::test]
async fn a_segment_that_was_written_wrongly_is_for_people() {
    let data = Data::new();
    let store = data.open().await;
    let id = sealed(&store, "demo", 1).await.id;
    let (_, path) = first_file(&store, id).await;
    rot(&path);
    let (_, sha256) = disk::sha256_of(&path).unwrap();
    sql(&store, &format!("UPDATE segments SET sha256 = '{sha256}'")).await;
    finds_for_people(&store, Invariant::SegmentContents).await;
}

#[tokio::test]
async fn renders_and_their_files_belong_together() {
    on_each_database(async |data: Data| {
        let store = data.open().await;
        let id = sealed(&store, "demo", 1).await.id;
        let ready = render(&store, id).await;
        let path = ready.stored_files()[0].path(store.data());
        fs::write(&path, "another!").unwrap();
        finds_for_people(&store, Invariant::RenderFile).await;
        fs::remove_file(&path).unwrap();
        finds_for_people(&store, Invariant::RenderFile).await;
        fs::write(&path, "a render").unwrap();
        assert!(store.check(LOOK).await.unwrap().is_clean());
        sql(&store, "UPDATE renders SET state = 'cancelled'").await;
        finds_for_people(&store, Invariant::RenderFile).await;
    })
    .await;
}

#[tokio::test]
async fn what_nobody_knows_is_moved_and_kept() {
    let data = Data::new();
    let store = data.open().await;
    let id = sealed(&store, "demo", 1).await.id;
    render(&store, id).await;
    let recordings = store.inner.data.recordings();
    let stranger = RecordingId::from_parts(5, 5);
    fs::create_dir(recordings.join(stranger.to_string())).unwrap();
    fs::write(recordings.join(stranger.to_string()).join("journal-00000.mcap"), "x").unwrap();
    fs::write(recordings.join("notes.txt"), "mine").unwrap();
    fs::write(recordings.join(id.to_string()).join("journal-00000.mcap.bak"), "x").unwrap();
    fs::write(store.inner.data.renders(id).join("rnd_x.webm"), "x").unwrap();
    let report = finds_and_repairs(&store, Invariant::KnownFiles).await;
    assert_eq!(report.findings.len(), 4);
    let kept = lost_and_found(&store);
    assert_eq!(
        kept,
        [
            "notes.txt".to_owned(),
            stranger.to_string(),
            format!("{id}-journal-00000.mcap.bak"),
            format!("{id}-renders-rnd_x.webm"),
        ]
        .into_iter()
        .collect::<std::collections::BTreeSet<_>>()
        .into_iter()
        .collect::<Vec<_>>()
    );
    assert_eq!(
        fs::read_to_string(store.inner.data.lost_and_found().join("notes.txt")).unwrap(),
        "mine"
    );
}

#[tokio::test]
async fn leases_that_make_no_sense_are_ended() {
    on_each_database(async |data: Data| {
        let store = data.open().await;
        let new = NewJob::new("x", json!({}));
        store.jobs().enqueue(&new).await.unwrap();
        let lease = Duration::from_mins(1);
        store.jobs().claim(&["x"], lease).await.unwrap().unwrap();
        sql(&store, "UPDATE jobs SET lease_token = NULL").await;
        finds_and_repairs(&store, Invariant::Jobs).await;
        let claim = store.jobs().claim(&["x"], lease).await.unwrap().unwrap();
        store.jobs().complete(&claim.lease).await.unwrap();
        sql(&store, "UPDATE jobs SET lease_until_ns = 5").await;
        finds_and_repairs(&store, Invariant::Jobs).await;
        sql(&store, "UPDATE jobs SET attempts = 9").await;
        finds_and_repairs(&store, Invariant::Jobs).await;
    })
    .await;
}

#[tokio::test]
async fn deletions_and_uploads_that_stopped_half_way_are_finished() {
    let data = with_objects();
    let store = data.open().await;
    let id = sealed(&store, "demo", 1).await.id;
    let kept = sealed(&store, "kept", 1).await.id;
    let ready = render(&store, kept).await;
    store.recordings().mark_deleted(id).await.unwrap();
    store.renders().mark_deleted(ready.id).await.unwrap();
    finds_and_repairs(&store, Invariant::Deletions).await;
    assert!(!store.data().recording(id).try_exists().unwrap());
    upload_all(&store).await;
    sql(
        &store,
        &format!(
            "INSERT INTO uploads VALUES ('recordings/{kept}/journal-00000.mcap', '{kept}', 'x', 5, '[]', 0),
             ('recordings/{kept}/what', '{kept}', 'x', 5, '[]', 0)"
        ),
    )
    .await;
    let report = finds_and_repairs(&store, Invariant::Uploads).await;
    assert_eq!(report.findings.len(), 2);
}

#[tokio::test]
async fn a_torn_end_is_kept_where_it_is_not_just_cut_short() {
    let data = Data::new();
    let store = data.open().await;
    let id = capture(&store, "demo").await.id;
    let mut writer = open_journal(&store, id);
    writer.append_message(START, &RoomEvent::Reconnected).unwrap();
    writer.flush().unwrap();
    drop(writer);
    let path = store.data().segment(id, SegmentIndex(0));
    let len = fs::metadata(&path).unwrap().len();
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(&[0; 300], len).unwrap();
    advance(&store, id, RecordingStep::Stop).await;
    finds_and_repairs(&store, Invariant::SealedWhenEnded).await;
    assert_eq!(lost_and_found(&store), [format!("{id}-journal-00000.mcap-from-{len}")]);
    let segment = store.recordings().segments(id).await.unwrap().remove(0);
    assert_eq!(segment.torn.unwrap().lost_bytes, 300);
    write_segments(&store, id, 1);
}
