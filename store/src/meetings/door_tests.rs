//! Who is kept out, and what was said before a call began, on each kind of database.

use std::time::Duration;

use serde_json::json;

use super::tests::{after, new, person, user};
use super::*;
use crate::testing::{Data, on_each_database};

#[tokio::test]
async fn who_was_put_out_stays_out_of_this_call() {
    on_each_database(async |data: Data| {
        let store = data.open().await;
        let ana = user(&store, "ana").await;
        store.rooms().create(&new("demo", ana)).await.unwrap();
        let calls = store.calls();
        let bob = person("PA_1", "guest_bob", after(1_000));
        let (call, _) = calls.participant_joined("demo", "RM_1", &bob).await.unwrap();
        assert!(!calls.is_kept_out("demo", "guest_bob").await.unwrap());
        calls.keep_out(call, "guest_bob", "Bob", "ana").await.unwrap();
        calls.keep_out(call, "guest_bob", "Bob", "bea").await.unwrap();
        assert!(calls.is_kept_out("demo", "guest_bob").await.unwrap());
        assert!(!calls.is_kept_out("demo", "guest_cy").await.unwrap());
        assert!(!calls.is_kept_out("other", "guest_bob").await.unwrap());
        let kept_out = calls.kept_out(call).await.unwrap();
        assert_eq!((kept_out.len(), kept_out[0].by.as_str()), (1, "bea"));
        assert!(calls.let_back(call, "guest_bob").await.unwrap());
        assert!(!calls.let_back(call, "guest_bob").await.unwrap());
        assert!(!calls.is_kept_out("demo", "guest_bob").await.unwrap());
        // The next call is another.
        calls.keep_out(call, "guest_bob", "Bob", "ana").await.unwrap();
        calls.room_finished("demo", "RM_1", after(2_000)).await.unwrap();
        calls.room_started("demo", "RM_2", after(3_000)).await.unwrap();
        assert!(!calls.is_kept_out("demo", "guest_bob").await.unwrap());
    })
    .await;
}

#[tokio::test]
async fn what_happens_before_a_call_belongs_to_it() {
    on_each_database(async |data: Data| {
        let store = data.open().await;
        let ana = user(&store, "ana").await;
        let room = store.rooms().create(&new("demo", ana)).await.unwrap().id;
        let calls = store.calls();
        let note = async |ms, who: &str| {
            let data = json!({ "identity": who });
            calls.note_in(room, "demo", after(ms), "join", &data).await.unwrap();
        };
        note(0, "long before").await;
        let began = 20 * 60 * 1000;
        note(began - 1_000, "just before").await;
        let (call, _) = calls.room_started("demo", "RM_1", after(began)).await.unwrap();
        note(began + 1_000, "in it").await;
        let events = calls.events(call).await.unwrap();
        let who: Vec<_> = events
            .iter()
            .map(|(_, _, data)| data["identity"].as_str().unwrap())
            .collect();
        assert_eq!(who, ["just before", "in it"]);
        let (next, _) = calls.room_started("demo", "RM_2", after(began + 2_000)).await.unwrap();
        assert!(calls.events(next).await.unwrap().is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_room_knows_since_when_it_is_locked() {
    on_each_database(async |data: Data| {
        let store = data.open().await;
        let ana = user(&store, "ana").await;
        store.rooms().create(&new("demo", ana)).await.unwrap();
        let lock = async |locked| {
            let change = RoomChange {
                locked: Some(locked),
                ..RoomChange::default()
            };
            store.rooms().update("demo", &change, None).await.unwrap().locked_since
        };
        let since = lock(true).await;
        assert!(since.is_some());
        data.after(5_000);
        assert_eq!(lock(true).await, since, "locking what is locked changes nothing");
        assert_eq!(lock(false).await, None);
    })
    .await;
}

#[tokio::test]
async fn rooms_are_found_by_what_they_are() {
    on_each_database(async |data: Data| {
        let store = data.open().await;
        let (ana, bea) = (user(&store, "ana").await, user(&store, "bea").await);
        let rooms = store.rooms();
        let made = store.inner.now();
        rooms.create(&new("mine", ana)).await.unwrap();
        let shared = NewRoom {
            call_type: CallType::Audio,
            members: vec![(ana, RoomRole::Member)],
            scheduled: Some(made.saturating_add(Duration::from_hours(48))),
            ..new("shared", bea)
        };
        rooms.create(&shared).await.unwrap();
        rooms.create(&new("hers", bea)).await.unwrap();
        let found = async |filter: RoomFilter| {
            let (found, _) = rooms.list(&filter, None, 10).await.unwrap();
            let mut names: Vec<_> = found.into_iter().map(|room| room.name.to_string()).collect();
            names.sort();
            names.join(" ")
        };
        let all = RoomFilter::default;
        assert_eq!(
            found(RoomFilter {
                member: Some(ana),
                ..all()
            })
            .await,
            "mine shared"
        );
        let audio = Some(CallType::Audio);
        assert_eq!(
            found(RoomFilter {
                call_type: audio,
                ..all()
            })
            .await,
            "shared"
        );
        assert_eq!(
            found(RoomFilter {
                owner: Some(bea),
                ..all()
            })
            .await,
            "hers shared"
        );
        let both = RoomFilter {
            member: Some(bea),
            with: Some(ana),
            ..all()
        };
        assert_eq!(found(both).await, "shared");
        let tomorrow = Some(made.saturating_add(Duration::from_hours(24)));
        assert_eq!(
            found(RoomFilter {
                from: tomorrow,
                ..all()
            })
            .await,
            "shared"
        );
        assert_eq!(
            found(RoomFilter {
                until: tomorrow,
                ..all()
            })
            .await,
            "hers mine"
        );
    })
    .await;
}
