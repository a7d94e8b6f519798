//! Renders, on each kind of database.

use std::fs;

use greffier_media::lifecycle::RecordingStep;

use super::*;
use crate::{
    ErrorKind, JobError,
    files::FilePart,
    testing::{Data, advance, capture, on_each_database, quietly, render_result, sealed},
    webhooks::DeliveryState,
};

const LEASE: Duration = Duration::from_secs(30);

fn new(recording: RecordingId) -> NewRender {
    NewRender {
        recording,
        lane: Lane::Encode,
        kind: "composite".into(),
        request: json!({"layout": "grid"}),
        max_attempts: 2,
    }
}

fn result(claim: &RenderClaim, content: &str) -> [RenderResult; 1] {
    [render_result(claim, "all.webm", content)]
}

fn told(render: &Render) -> Vec<NewDelivery> {
    vec![NewDelivery {
        url: "https://example.org/hook".into(),
        event: format!("render.{}", render.state),
        body: "{}".into(),
    }]
}

#[tokio::test]
async fn a_result_counts_once_it_is_in_place() {
    on_each_database(async |data: Data| {
        let store = data.open().await;
        let recording = sealed(&store, "demo", 1).await.id;
        let queued = store.renders().create(&new(recording)).await.unwrap();
        assert_eq!((queued.state, queued.files.len()), (RenderState::Queued, 0));
        let claim = store.renders().claim(Lane::Encode, LEASE).await.unwrap().unwrap();
        assert_eq!(
            (claim.render.id, claim.attempt, claim.render.state),
            (queued.id, 1, RenderState::Running)
        );
        assert!(store.renders().claim(Lane::Encode, LEASE).await.unwrap().is_none());
        let heartbeat = store.renders().heartbeat(&claim, 0.25, LEASE).await.unwrap();
        assert_eq!(heartbeat, Heartbeat::Continue);
        assert!((store.renders().get(queued.id).await.unwrap().progress - 0.25).abs() < f64::EPSILON);

        let ready = store
            .renders()
            .publish(&claim, &result(&claim, "webm"), told)
            .await
            .unwrap();
        assert_eq!(ready.state, RenderState::Ready);
        let [file] = ready.stored_files().try_into().unwrap();
        assert_eq!(file.name, format!("renders/{}-1/all.webm", queued.id));
        assert_eq!(file.part, FilePart::Render(queued.id, "all.webm".into()));
        assert_eq!(fs::read_to_string(file.path(store.data())).unwrap(), "webm");
        assert_eq!(
            disk::sha256_of(&file.path(store.data())).unwrap(),
            (file.bytes, file.sha256.clone())
        );
        assert!(!claim.work.try_exists().unwrap());
        assert_eq!(store.renders().list(recording).await.unwrap(), [ready]);
        let told = store.webhooks().list(DeliveryState::Pending, None, 10).await.unwrap();
        assert_eq!(told[0].event, "render.ready");
        let files = store.files().list(recording).await.unwrap();
        assert_eq!(files.last(), Some(&file));

        store.renders().delete(queued.id).await.unwrap();
        assert!(!file.path(store.data()).try_exists().unwrap());
        assert_eq!(
            store.renders().get(queued.id).await.unwrap_err().kind(),
            ErrorKind::NotFound
        );
    })
    .await;
}

#[tokio::test]
async fn whoever_lost_its_claim_publishes_nothing() {
    on_each_database(async |data: Data| {
        let store = data.open().await;
        let recording = sealed(&store, "demo", 1).await.id;
        store.renders().create(&new(recording)).await.unwrap();
        let slow = store.renders().claim(Lane::Encode, LEASE).await.unwrap().unwrap();
        data.after(31_000);
        let fast = store.renders().claim(Lane::Encode, LEASE).await.unwrap().unwrap();
        assert_eq!((fast.render.id, fast.attempt), (slow.render.id, 2));
        let ready = store
            .renders()
            .publish(&fast, &result(&fast, "fast"), quietly)
            .await
            .unwrap();
        fs::create_dir_all(&slow.work).unwrap();
        let late = store
            .renders()
            .publish(&slow, &result(&slow, "slow"), told)
            .await
            .unwrap_err();
        assert!(matches!(late, RenderError::Job(JobError::LeaseLost(_))), "{late:?}");
        assert_eq!(store.renders().get(ready.id).await.unwrap(), ready);
        let folders = disk::list_dir(&store.data().renders(recording)).unwrap();
        assert_eq!(folders.len(), 1);
        assert_eq!(fs::read_to_string(folders[0].1.join("all.webm")).unwrap(), "fast");
        assert!(
            store
                .webhooks()
                .list(DeliveryState::Pending, None, 10)
                .await
                .unwrap()
                .is_empty()
        );
    })
    .await;
}

#[tokio::test]
async fn failures_are_tried_again_and_then_told() {
    on_each_database(async |data: Data| {
        let store = data.open().await;
        let recording = sealed(&store, "demo", 1).await.id;
        let id = store.renders().create(&new(recording)).await.unwrap().id;
        let claim = store.renders().claim(Lane::Encode, LEASE).await.unwrap().unwrap();
        let failure = RenderFailure::Resources;
        let running = store
            .renders()
            .fail(&claim, failure, "killed", Retry::Later, told)
            .await
            .unwrap();
        assert_eq!(running.state, RenderState::Running);
        assert!(
            store.renders().claim(Lane::Encode, LEASE).await.unwrap().is_none(),
            "not at once"
        );
        data.after(5_000);
        let claim = store.renders().claim(Lane::Encode, LEASE).await.unwrap().unwrap();
        let failed = store
            .renders()
            .fail(&claim, failure, "killed\0", Retry::Later, told)
            .await
            .unwrap();
        assert_eq!(failed.state, RenderState::Failed(failure));
        assert_eq!(failed.failure_message.as_deref(), Some("killed\u{FFFD}"));
        assert_eq!(store.renders().get(id).await.unwrap(), failed);
        let told = store.webhooks().list(DeliveryState::Pending, None, 10).await.unwrap();
        assert_eq!(told.len(), 1);
        let (events, _) = store
            .recordings()
            .events(recording, &["render_state"], None, 10)
            .await
            .unwrap();
        assert_eq!(events[0].data["failure"], "resources");
    })
    .await;
}

#[tokio::test]
async fn a_render_that_kills_its_process_ends_as_crashed() {
    on_each_database(async |data: Data| {
        let mut store = data.open().await;
        let recording = sealed(&store, "demo", 1).await.id;
        let id = store.renders().create(&new(recording)).await.unwrap().id;
        for _ in 0..2 {
            let claim = store.renders().claim(Lane::Encode, LEASE).await.unwrap().unwrap();
            fs::write(claim.work.join("half"), "x").unwrap();
            store = data.reopen(store).await;
            store.recover().await.unwrap();
            assert!(!claim.work.try_exists().unwrap());
        }
        assert!(store.renders().claim(Lane::Encode, LEASE).await.unwrap().is_none());
        let settled = store.renders().settle(told).await.unwrap();
        assert_eq!(settled.len(), 1);
        assert_eq!(
            (settled[0].id, settled[0].state),
            (id, RenderState::Failed(RenderFailure::Crashed))
        );
        assert_eq!(store.renders().settle(told).await.unwrap(), []);
        assert_eq!(
            store
                .webhooks()
                .list(DeliveryState::Pending, None, 10)
                .await
                .unwrap()
                .len(),
            1
        );
    })
    .await;
}

#[tokio::test]
async fn cancelling_ends_what_waits_and_tells_what_runs() {
    on_each_database(async |data: Data| {
        let store = data.open().await;
        let recording = sealed(&store, "demo", 1).await.id;
        let waiting = store.renders().create(&new(recording)).await.unwrap().id;
        let cancelled = store.renders().cancel(waiting, told).await.unwrap();
        assert_eq!(cancelled.state, RenderState::Cancelled);
        assert!(store.renders().claim(Lane::Encode, LEASE).await.unwrap().is_none());
        let again = store.renders().cancel(waiting, told).await.unwrap_err();
        assert_eq!(again.kind(), ErrorKind::Conflict);

        let running = store.renders().create(&new(recording)).await.unwrap().id;
        let claim = store.renders().claim(Lane::Encode, LEASE).await.unwrap().unwrap();
        let asked = store.renders().cancel(running, told).await.unwrap();
        assert_eq!(asked.state, RenderState::Running);
        assert_eq!(
            store.renders().heartbeat(&claim, 0.5, LEASE).await.unwrap(),
            Heartbeat::Cancel
        );
        let error = store.renders().delete(running).await.unwrap_err();
        assert!(matches!(error, RenderError::NotEnded(..)));
        let cancelled = store.renders().cancelled(&claim, told).await.unwrap();
        assert_eq!(cancelled.state, RenderState::Cancelled);
        store.renders().delete(running).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn renders_go_with_their_recording() {
    on_each_database(async |data: Data| {
        let store = data.open().await;
        let recording = sealed(&store, "demo", 1).await.id;
        store.renders().create(&new(recording)).await.unwrap();
        let running = store.renders().claim(Lane::Encode, LEASE).await.unwrap().unwrap();
        let waiting = store.renders().create(&new(recording)).await.unwrap();
        store.recordings().delete(recording).await.unwrap();
        assert!(store.renders().claim(Lane::Encode, LEASE).await.unwrap().is_none());
        assert_eq!(
            store.renders().get(waiting.id).await.unwrap_err().kind(),
            ErrorKind::NotFound
        );
        let heartbeat = store.renders().heartbeat(&running, 0.5, LEASE).await.unwrap();
        assert_eq!(heartbeat, Heartbeat::Cancel);
        let late = store
            .renders()
            .publish(&running, &result(&running, "x"), quietly)
            .await
            .unwrap_err();
        assert_eq!(late.kind(), ErrorKind::NotFound);
        assert!(!store.data().recording(recording).try_exists().unwrap());
        let live = capture(&store, "live").await.id;
        store.renders().create(&new(live)).await.unwrap();
        advance(&store, live, RecordingStep::Stop).await;
    })
    .await;
}

#[tokio::test]
async fn many_files_are_published_together() {
    on_each_database(async |data: Data| {
        let store = data.open().await;
        let recording = sealed(&store, "demo", 1).await.id;
        let other = sealed(&store, "other", 1).await.id;
        let render = store.renders().create(&new(recording)).await.unwrap().id;
        let claim = store.renders().claim(Lane::Encode, LEASE).await.unwrap().unwrap();
        let names = ["Zoé – caméra.webm", "名前.ogg", "a b.webm", "a_b.webm", "..webm"];
        let results = names.map(|name| render_result(&claim, name, name));
        let ready = store.renders().publish(&claim, &results, told).await.unwrap();
        let found: Vec<_> = ready.files.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(found, names, "in the order they were made");
        assert_eq!(store.renders().get(render).await.unwrap(), ready);
        let objects: BTreeSet<_> = ready.stored_files().into_iter().map(|file| file.object).collect();
        assert_eq!(objects.len(), names.len());
        assert!(objects.iter().all(|object| object.is_ascii()));
        for name in names {
            let part = FilePart::Render(render, name.into());
            let file = store.files().get(recording, part).await.unwrap();
            assert_eq!(fs::read_to_string(file.path(store.data())).unwrap(), name);
        }
        let part = FilePart::Render(render, names[0].into());
        let elsewhere = store.files().get(other, part).await.unwrap_err();
        assert_eq!(elsewhere.kind(), ErrorKind::NotFound);
        let used = store.recordings().storage_used().await.unwrap();
        assert_eq!(
            used.renders_on_disk,
            names.iter().map(|name| name.len() as u64).sum::<u64>()
        );
        store.renders().delete(render).await.unwrap();
        assert_eq!(disk::list_dir(&store.data().renders(recording)).unwrap(), []);
    })
    .await;
}

#[tokio::test]
async fn half_of_the_files_is_nothing() {
    on_each_database(async |data: Data| {
        let store = data.open().await;
        let recording = sealed(&store, "demo", 1).await.id;
        store.renders().create(&new(recording)).await.unwrap();
        let claim = store.renders().claim(Lane::Encode, LEASE).await.unwrap().unwrap();
        let there = render_result(&claim, "a.webm", "a");
        let missing = render_result(&claim, "b.webm", "b");
        fs::remove_file(&missing.path).unwrap();
        let error = store
            .renders()
            .publish(&claim, &[there, missing], told)
            .await
            .unwrap_err();
        assert!(matches!(error, RenderError::Disk(_)), "{error:?}");
        let render = store.renders().get(claim.render.id).await.unwrap();
        assert_eq!((render.state, render.files.len()), (RenderState::Running, 0));
        assert_eq!(disk::list_dir(&store.data().renders(recording)).unwrap(), []);
        let error = store.renders().publish(&claim, &[], told).await.unwrap_err();
        assert!(matches!(error, RenderError::NoFiles), "{error:?}");
    })
    .await;
}

#[tokio::test]
async fn lanes_do_not_wait_for_each_other() {
    on_each_database(async |data: Data| {
        let store = data.open().await;
        let recording = sealed(&store, "demo", 1).await.id;
        let encode = store.renders().create(&new(recording)).await.unwrap().id;
        let copy = NewRender {
            lane: Lane::Copy,
            ..new(recording)
        };
        let copy = store.renders().create(&copy).await.unwrap().id;
        for (lane, expected) in [(Lane::Copy, copy), (Lane::Encode, encode)] {
            let claim = store.renders().claim(lane, LEASE).await.unwrap().unwrap();
            assert_eq!(claim.render.id, expected);
            assert!(store.renders().claim(lane, LEASE).await.unwrap().is_none());
        }
    })
    .await;
}

#[tokio::test]
async fn names_cannot_leave_the_folder() {
    let data = Data::new();
    let store = data.open().await;
    let recording = sealed(&store, "demo", 1).await.id;
    store.renders().create(&new(recording)).await.unwrap();
    let claim = store.renders().claim(Lane::Encode, LEASE).await.unwrap().unwrap();
    let long = "é".repeat(101);
    for bad in ["..", "", "a\\b.webm", "a\nb.webm", "a\u{7f}.webm", long.as_str()] {
        let result = RenderResult {
            path: claim.work.join(bad),
            ..render_result(&claim, "good.webm", "x")
        };
        // The folder itself is no file, and its name is no name of a file in it.
        let results = [result, render_result(&claim, "good.webm", "x")];
        let error = store.renders().publish(&claim, &results, quietly).await.unwrap_err();
        assert!(
            matches!(error, RenderError::Name(_) | RenderError::Disk(_)),
            "{bad}: {error:?}"
        );
        assert_eq!(disk::list_dir(&store.data().renders(recording)).unwrap(), []);
        fs::create_dir_all(&claim.work).unwrap();
    }
    let twice = [
        render_result(&claim, "a.webm", "x"),
        render_result(&claim, "a.webm", "x"),
    ];
    let error = store.renders().publish(&claim, &twice, quietly).await.unwrap_err();
    assert!(matches!(error, RenderError::Name(_)), "{error:?}");
}
