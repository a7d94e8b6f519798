//! What is remembered of rooms is what is so, whoever wrote and however it ended.

use std::{future::poll_fn, pin::pin, task::Poll, time::Duration};

use greffier_media::lifecycle::RecordingStep;
use proptest::{collection::vec, prelude::*};
use tokio::task::JoinSet;

use super::{
    tests::{after, new, person, user},
    *,
};
use crate::{
    Store, UserId, Version,
    accounts::UserChange,
    recordings::{Recording, RecordingFilter},
    testing::{Data, advance, new_recording, quietly},
};

const ROOMS: [&str; 2] = ["one", "two"];

#[derive(Debug, Clone)]
enum Change {
    Make(usize),
    Title(usize, String),
    Role(usize, RoomRole),
    End(usize),
    Join(usize, u8),
    Leave(usize, u8),
    Finish(usize),
    KeepOut(usize, u8),
    LetBack(usize, u8),
    Rename(String),
    Record(usize),
    /// All recordings.
    Stop,
    /// The same as `Title`, but whoever asked for it goes away after so many polls.
    Abandoned(usize, String, usize),
}

fn change() -> impl Strategy<Value = Change> {
    let room = || 0..ROOMS.len();
    let who = 0..3_u8;
    let role = prop_oneof![Just(RoomRole::Moderator), Just(RoomRole::Listener)];
    prop_oneof![
        room().prop_map(Change::Make),
        (room(), "[a-z]{3}").prop_map(|(room, title)| Change::Title(room, title)),
        (room(), role).prop_map(|(room, role)| Change::Role(room, role)),
        room().prop_map(Change::End),
        (room(), who.clone()).prop_map(|(room, who)| Change::Join(room, who)),
        (room(), who.clone()).prop_map(|(room, who)| Change::Leave(room, who)),
        room().prop_map(Change::Finish),
        (room(), who.clone()).prop_map(|(room, who)| Change::KeepOut(room, who)),
        (room(), who).prop_map(|(room, who)| Change::LetBack(room, who)),
        "[a-z]{3}".prop_map(Change::Rename),
        room().prop_map(Change::Record),
        Just(Change::Stop),
        (room(), "[a-z]{3}", 0..6_usize).prop_map(|(room, title, polls)| Change::Abandoned(room, title, polls)),
    ]
}

fn titled(title: &str) -> RoomChange {
    RoomChange {
        title: Some(title.to_owned()),
        ..RoomChange::default()
    }
}

/// Much of it is refused, as things stand; that is well.
async fn make(store: &Store, owner: UserId, other: UserId, change: &Change, step: u64) {
    let (rooms, calls) = (store.rooms(), store.calls());
    let at = after(step * 1000);
    let sid = |room: &str| format!("RM_{room}");
    let identity = |who: &u8| format!("guest-{who}");
    match change {
        Change::Make(room) => drop(rooms.create(&new(ROOMS[*room], owner)).await),
        Change::Title(room, title) => drop(rooms.update(ROOMS[*room], &titled(title), None).await),
        Change::Role(room, role) => drop(rooms.set_role(ROOMS[*room], other, *role).await),
        Change::End(room) => drop(rooms.end(ROOMS[*room]).await),
        Change::Join(room, who) => {
            let room = ROOMS[*room];
            let person = person(&format!("PA_{room}_{who}"), &identity(who), at);
            drop(calls.participant_joined(room, &sid(room), &person).await);
        }
        Change::Leave(room, who) => {
            let room = ROOMS[*room];
            let person = person(&format!("PA_{room}_{who}"), &identity(who), at);
            drop(calls.participant_left(room, &sid(room), &person, at).await);
        }
        Change::Finish(room) => drop(calls.room_finished(ROOMS[*room], &sid(ROOMS[*room]), at).await),
        Change::KeepOut(room, who) => {
            if let Ok(call) = calls.live(ROOMS[*room]).await {
                calls.keep_out(call, &identity(who), "G", "test").await.unwrap();
            }
        }
        Change::LetBack(room, who) => {
            if let Ok(call) = calls.live(ROOMS[*room]).await {
                calls.let_back(call, &identity(who)).await.unwrap();
            }
        }
        Change::Rename(name) => {
            let renamed = UserChange {
                name: Some(name.clone()),
                ..UserChange::default()
            };
            store.users().update(owner, &renamed, None).await.unwrap();
        }
        Change::Record(room) => {
            let new = new_recording(ROOMS[*room]);
            if let Ok(made) = store.recordings().create(&new, quietly).await {
                advance(store, made.id, RecordingStep::Join).await;
                advance(store, made.id, RecordingStep::Capture).await;
            }
        }
        Change::Stop => {
            for recording in recordings(store).await {
                drop(
                    store
                        .recordings()
                        .advance(recording.id, RecordingStep::Stop, quietly)
                        .await,
                );
            }
        }
        Change::Abandoned(room, title, polls) => {
            let change = titled(title);
            let mut writing = pin!(rooms.update(ROOMS[*room], &change, None));
            for _ in 0..*polls {
                if poll_fn(|context| Poll::Ready(writing.as_mut().poll(context).is_ready())).await {
                    return;
                }
                tokio::time::sleep(Duration::from_micros(200)).await;
            }
        }
    }
}

/// All that is remembered, and the version of what a list shows.
async fn seen(store: &Store, viewers: [Option<UserId>; 2]) -> (Vec<Option<Room>>, Vec<bool>, Option<Version>) {
    let (mut rooms, mut kept_out) = (Vec::new(), Vec::new());
    let version = store.rooms().version();
    for room in ROOMS {
        for viewer in viewers {
            rooms.push(store.rooms().get(room, viewer).await.ok());
        }
        for who in 0..3 {
            kept_out.push(store.calls().is_kept_out(room, &format!("guest-{who}")).await.unwrap());
        }
    }
    (rooms, kept_out, version)
}

async fn recordings(store: &Store) -> Vec<Recording> {
    let all = RecordingFilter::default();
    store.recordings().list(&all, None, 100).await.unwrap().items
}

async fn run(changes: Vec<Change>) {
    let data = Data::new();
    let store = data.open().await;
    // Reads each time, for it is told of no changes.
    let fresh = Store::open_read_only(&data.config, data.clock.clone()).await.unwrap();
    let (owner, other) = (user(&store, "ana").await, user(&store, "bea").await);
    let viewers = [None, Some(other)];
    let mut listed: Option<(Version, Vec<Room>, Vec<Recording>)> = None;
    for (step, change) in changes.iter().enumerate() {
        make(&store, owner, other, change, step as u64).await;
        // Some look at once, as whoever wrote may. An abandoned change was done, or was not, once the next has its turn.
        if step % 2 == 0 || matches!(change, Change::Abandoned(..)) {
            drop(store.inner.database.begin().await.unwrap());
        }
        let (rooms, kept_out, version) = seen(&store, viewers).await;
        let (so, so_kept_out, _) = seen(&fresh, viewers).await;
        assert_eq!(rooms, so, "after {change:?}");
        assert_eq!(kept_out, so_kept_out, "after {change:?}");
        let all = fresh.rooms().list(&RoomFilter::default(), None, 10).await.unwrap().0;
        let recorded = recordings(&fresh).await;
        let Some(version) = version else { continue };
        if let Some((then, was, had)) = &listed
            && *then == version
        {
            assert_eq!((was, had), (&all, &recorded), "after {change:?}");
        }
        listed = Some((version, all, recorded));
    }
    drop(store.inner.database.begin().await.unwrap());
    assert!(store.rooms().version().is_some(), "nothing is under way");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn what_is_remembered_is_what_is_so(changes in vec(change(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(run(changes));
    }
}

/// Whoever has written reads what they wrote, however many read meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nobody_reads_what_was_before_they_wrote() {
    let data = Data::new();
    let store = data.open().await;
    let ana = user(&store, "ana").await;
    store.rooms().create(&new(ROOMS[0], ana)).await.unwrap();
    let mut readers = JoinSet::new();
    for _ in 0..3 {
        let store = store.clone();
        readers.spawn(async move {
            loop {
                store.rooms().get(ROOMS[0], None).await.unwrap();
                tokio::task::yield_now().await;
            }
        });
    }
    for number in 0..200 {
        let title = format!("{number}");
        store.rooms().update(ROOMS[0], &titled(&title), None).await.unwrap();
        for _ in 0..3 {
            assert_eq!(store.rooms().get(ROOMS[0], None).await.unwrap().title, title);
        }
    }
}
