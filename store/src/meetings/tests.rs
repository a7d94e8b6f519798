//! Rooms and calls, on each kind of database.

use std::time::Duration;

use greffier_media::time::Arrival;

use super::*;
use crate::{
    ErrorKind, RoomId, Store, UserId,
    accounts::{NewUser, UserRole},
    testing::{Data, START, on_each_database},
};

pub(super) async fn user(store: &Store, name: &str) -> UserId {
    let new = NewUser {
        email: format!("{name}@example.org"),
        name: name.into(),
        role: UserRole::Member,
        language: None,
        password: "correct horse".into(),
    };
    store.joining().create(&new).await.unwrap().id
}

pub(super) fn new(name: &str, owner: UserId) -> NewRoom {
    NewRoom {
        name: RoomName::new(name).unwrap(),
        title: format!("The room {name}"),
        call_type: CallType::Video,
        owner: Some(owner),
        members: Vec::new(),
        options: RoomOptions::default(),
        locked: false,
        scheduled: None,
        duration_minutes: Some(30),
    }
}

pub(super) fn after(ms: u64) -> Arrival {
    START.saturating_add(Duration::from_millis(ms))
}

pub(super) fn person(sid: &str, identity: &str, joined: Arrival) -> ObservedParticipant {
    ObservedParticipant {
        sid: sid.into(),
        identity: identity.into(),
        name: identity.to_uppercase(),
        joined,
    }
}

#[tokio::test]
async fn a_room_belongs_to_its_members() {
    on_each_database(async |data: Data| {
        let mut store = data.open().await;
        let (ana, bea, cy) = (
            user(&store, "ana").await,
            user(&store, "bea").await,
            user(&store, "cy").await,
        );
        let members = vec![(bea, RoomRole::Owner), (ana, RoomRole::Listener)];
        let made = store
            .rooms()
            .create(&NewRoom {
                members,
                ..new("demo", ana)
            })
            .await
            .unwrap();
        store = data.reopen(store).await;
        let room = store.rooms().get("demo", Some(ana)).await.unwrap();
        assert_eq!(room, made);
        assert_eq!(
            (room.role, room.owner.clone()),
            (Some(RoomRole::Owner), Some((ana, "ana".into())))
        );
        assert_eq!(
            store.rooms().get("demo", Some(bea)).await.unwrap().role,
            Some(RoomRole::Moderator)
        );
        assert_eq!(store.rooms().get("demo", Some(cy)).await.unwrap().role, None);
        let members = store.rooms().members(room.id).await.unwrap();
        let names: Vec<_> = members
            .iter()
            .map(|member| (member.user.name.as_str(), member.role))
            .collect();
        assert_eq!(names, [("ana", RoomRole::Owner), ("bea", RoomRole::Moderator)]);

        let taken = store.rooms().create(&new("demo", bea)).await.unwrap_err();
        assert!(matches!(taken, MeetingError::NameTaken(_)), "{taken:?}");
        store.rooms().set_role("demo", cy, RoomRole::Speaker).await.unwrap();
        store.rooms().set_role("demo", ana, RoomRole::Listener).await.unwrap();
        assert_eq!(store.rooms().role(room.id, ana).await.unwrap(), Some(RoomRole::Owner));
        let change = RoomChange {
            title: Some("Élan".into()),
            locked: Some(true),
            scheduled: Some(Some(START)),
            members: Some(vec![(cy, RoomRole::Member)]),
            ..RoomChange::default()
        };
        let changed = store.rooms().update("demo", &change, Some(ana)).await.unwrap();
        assert_eq!(
            (changed.title.as_str(), changed.locked, changed.scheduled),
            ("Élan", true, Some(START))
        );
        assert_eq!(changed.duration_minutes, Some(30));
        assert_eq!(store.rooms().role(room.id, bea).await.unwrap(), None);
        assert_eq!(store.rooms().role(room.id, ana).await.unwrap(), Some(RoomRole::Owner));
        let stranger: UserId = "usr_01K742SGZ8G9ZPSZRE24HRSYRN".parse().unwrap();
        let error = store
            .rooms()
            .set_role("demo", stranger, RoomRole::Member)
            .await
            .unwrap_err();
        assert!(matches!(error, MeetingError::NoUser(_)), "{error:?}");
    })
    .await;
}

#[tokio::test]
async fn a_room_that_ended_lets_nobody_in() {
    on_each_database(async |data: Data| {
        let store = data.open().await;
        let ana = user(&store, "ana").await;
        store.rooms().create(&new("demo", ana)).await.unwrap();
        let link = NewRoomInvitation {
            guest: true,
            lifetime: None,
            max_uses: None,
            by: Some(ana),
        };
        let (_, token) = store.room_invitations().create("demo", &link).await.unwrap();
        store.rooms().end("demo").await.unwrap();
        assert!(store.rooms().get("demo", None).await.unwrap().ended.is_some());
        let void = store.room_invitations().open(&token).await.unwrap_err();
        assert!(matches!(void, MeetingError::Invitation), "{void:?}");
        for error in [
            store.rooms().end("demo").await.unwrap_err(),
            store.room_invitations().create("demo", &link).await.unwrap_err(),
            store
                .rooms()
                .update("demo", &RoomChange::default(), None)
                .await
                .unwrap_err(),
        ] {
            assert!(matches!(error, MeetingError::RoomEnded), "{error:?}");
        }
        let error = store.rooms().end("other").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    })
    .await;
}

#[tokio::test]
async fn nonsense_is_refused() {
    let data = Data::new();
    let store = data.open().await;
    let ana = user(&store, "ana").await;
    let long = "x".repeat(201);
    for title in ["", " ", "a\nb", &long] {
        let error = store
            .rooms()
            .create(&NewRoom {
                title: title.into(),
                ..new("a", ana)
            })
            .await
            .unwrap_err();
        assert!(
            matches!(error, MeetingError::Invalid { field: "title", .. }),
            "{error:?}"
        );
    }
    let options = RoomOptions {
        max_participants: Some(0),
        ..RoomOptions::default()
    };
    let nobody = NewRoom {
        options,
        ..new("a", ana)
    };
    assert_eq!(
        store.rooms().create(&nobody).await.unwrap_err().kind(),
        ErrorKind::Invalid
    );
    for minutes in [0, 10_081] {
        let room = NewRoom {
            duration_minutes: Some(minutes),
            ..new("a", ana)
        };
        assert_eq!(
            store.rooms().create(&room).await.unwrap_err().kind(),
            ErrorKind::Invalid
        );
    }
    assert_eq!(
        store.rooms().get("a", None).await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
}

#[tokio::test]
async fn rooms_are_found_by_member_state_and_text() {
    on_each_database(async |data: Data| {
        let store = data.open().await;
        let (ana, bea) = (user(&store, "ana").await, user(&store, "bea").await);
        for (number, owner) in [ana, ana, ana, bea].into_iter().enumerate() {
            data.after(1);
            store.rooms().create(&new(&format!("r{number}"), owner)).await.unwrap();
        }
        let planned = RoomChange {
            scheduled: Some(Some(after(60_000))),
            ..RoomChange::default()
        };
        store.rooms().update("r1", &planned, None).await.unwrap();
        store.rooms().end("r2").await.unwrap();
        store.calls().room_started("r0", "RM_0", after(5)).await.unwrap();
        let find = async |member, state, text: Option<&str>| {
            let filter = RoomFilter {
                member,
                state,
                text: text.map(Into::into),
                ..RoomFilter::default()
            };
            let (rooms, more) = store.rooms().list(&filter, None, 10).await.unwrap();
            assert!(!more);
            rooms.into_iter().map(|room| room.name.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(find(None, None, None).await, ["r3", "r2", "r1", "r0"]);
        assert_eq!(find(Some(ana), None, None).await, ["r2", "r1", "r0"]);
        assert_eq!(find(Some(ana), Some(RoomState::Live), None).await, ["r0"]);
        assert_eq!(find(Some(ana), Some(RoomState::Upcoming), None).await, ["r1"]);
        assert_eq!(find(Some(ana), Some(RoomState::Ended), None).await, ["r2"]);
        assert_eq!(find(None, Some(RoomState::Idle), None).await, ["r3"]);
        assert_eq!(find(None, None, Some("ROOM R1")).await, ["r1"]);
        assert_eq!(find(None, None, Some("%")).await, Vec::<String>::new());
        let planned: Vec<_> = store.rooms().planned(ana).await.unwrap();
        assert_eq!(
            planned.iter().map(|room| room.name.as_str()).collect::<Vec<_>>(),
            ["r1"]
        );
        let (mut last, mut seen): (Option<RoomId>, Vec<String>) = (None, Vec::new());
        loop {
            let (page, more) = store.rooms().list(&RoomFilter::default(), last, 3).await.unwrap();
            last = page.last().map(|room| room.id);
            seen.extend(page.into_iter().map(|room| room.name.to_string()));
            if !more {
                break;
            }
        }
        assert_eq!(seen, ["r3", "r2", "r1", "r0"]);
    })
    .await;
}

#[tokio::test]
async fn an_invitation_is_used_as_often_as_it_says() {
    on_each_database(async |data: Data| {
        let store = data.open().await;
        let ana = user(&store, "ana").await;
        let room = store.rooms().create(&new("demo", ana)).await.unwrap().id;
        let other = store.rooms().create(&new("other", ana)).await.unwrap().id;
        let invitations = store.room_invitations();
        let lifetime = Some(Duration::from_hours(1));
        let twice = NewRoomInvitation {
            guest: true,
            lifetime,
            max_uses: Some(2),
            by: Some(ana),
        };
        let (made, token) = invitations.create("demo", &twice).await.unwrap();
        assert_eq!(invitations.open(&token).await.unwrap(), made);
        let guests = store.guests();
        let elsewhere = guests.come(other, made.id, "Eve", None).await.unwrap().0;
        let refused = guests.let_in(other, &elsewhere.identity).await.unwrap_err();
        assert!(matches!(refused, MeetingError::Invitation), "{refused:?}");
        let mut came = Vec::new();
        for _ in 0..5 {
            came.push(guests.come(room, made.id, "Bob", None).await.unwrap());
        }
        let tries = futures_util::future::join_all(came.iter().map(|(guest, _)| guests.let_in(room, &guest.identity)));
        let tries = tries.await;
        assert_eq!(tries.iter().filter(|used| used.is_ok()).count(), 2);
        // Whoever used it comes back by it, and does not use it again.
        let (first, secret) = &came[tries.iter().position(Result::is_ok).unwrap()];
        let back = guests.known(room, secret).await.unwrap().unwrap();
        assert!(back.identity == first.identity && back.admitted.is_some());
        let (again, _) = guests.come(room, made.id, "Bob", Some(secret)).await.unwrap();
        guests.let_in(room, &again.identity).await.unwrap();
        assert!(invitations.shown(&token).await.unwrap().is_used_up());
        assert_eq!(invitations.open(&token).await.unwrap_err().kind(), ErrorKind::NotFound);

        let (late, token) = invitations
            .create(
                "demo",
                &NewRoomInvitation {
                    max_uses: None,
                    ..twice.clone()
                },
            )
            .await
            .unwrap();
        data.after(60 * 60 * 1000);
        assert!(invitations.shown(&token).await.is_err());
        let bea = user(&store, "bea").await;
        let too_late = store.rooms().let_in(room, bea, RoomRole::Member, late.id).await;
        assert!(too_late.is_err() && store.rooms().role(room, bea).await.unwrap().is_none());
        invitations.revoke(room, late.id).await.unwrap();
        assert!(invitations.revoke(other, made.id).await.is_err());
        let left: Vec<_> = invitations
            .list(room)
            .await
            .unwrap()
            .into_iter()
            .map(|one| (one.id, one.uses))
            .collect();
        assert_eq!(left, [(made.id, 2)]);
    })
    .await;
}

#[tokio::test]
async fn people_wait_until_somebody_decides() {
    on_each_database(async |data: Data| {
        let store = data.open().await;
        let ana = user(&store, "ana").await;
        let room = store.rooms().create(&new("demo", ana)).await.unwrap().id;
        let other = store.rooms().create(&new("other", ana)).await.unwrap().id;
        let door = store.waiting_room();
        let (bob, old_secret, _) = door.ask(room, "guest_1", "Bob", None).await.unwrap();
        let (same, secret, is_new) = door.ask(room, "guest_1", "Bob", None).await.unwrap();
        assert!(same.id == bob.id && !is_new, "a page that is loaded again waits on");
        assert!(door.poll(bob.id, &old_secret).await.is_err());
        data.after(1);
        let (eve, ..) = door.ask(room, "guest_2", "Eve", None).await.unwrap();
        assert_eq!(door.list(room).await.unwrap(), [bob.clone(), eve.clone()]);
        assert_eq!(
            door.poll(bob.id, "wrong").await.unwrap_err().kind(),
            ErrorKind::NotFound
        );
        assert_eq!(door.poll(bob.id, &secret).await.unwrap().state, WaitingState::Waiting);
        assert!(door.decide(other, bob.id, true, "ana").await.is_err());
        assert_eq!(
            door.decide(room, eve.id, false, "ana").await.unwrap().state,
            WaitingState::Denied
        );
        let (dan, dans_secret, _) = door.ask(room, "guest_4", "Dan", None).await.unwrap();
        assert!(!door.turn_away(other, "guest_4", "ana").await.unwrap());
        assert!(door.turn_away(room, "guest_4", "ana").await.unwrap());
        assert_eq!(
            door.poll(dan.id, &dans_secret).await.unwrap().state,
            WaitingState::Denied
        );
        // Whoever was denied does not come in with the others.
        assert_eq!(door.admit_all(room, "ana").await.unwrap(), 1);
        assert_eq!(
            door.decide(room, eve.id, true, "ana").await.unwrap().state,
            WaitingState::Denied
        );
        assert_eq!(door.poll(bob.id, &secret).await.unwrap().state, WaitingState::Admitted);
        assert_eq!(door.list(room).await.unwrap(), []);

        door.ask(room, "guest_3", "Cy", None).await.unwrap();
        data.after(61_000);
        assert_eq!(door.list(room).await.unwrap(), [], "gone");
        assert_eq!(door.admit_all(room, "ana").await.unwrap(), 0);
        assert_eq!(door.purge(store.inner.now()).await.unwrap(), 4);
    })
    .await;
}

#[tokio::test]
async fn nobody_goes_before_they_came() {
    on_each_database(async |data: Data| {
        let store = data.open().await;
        let calls = store.calls();
        // Within one second: the server tells coming in milliseconds, and going in whole seconds.
        let came = person("PA_1", "ana", after(1_553));
        calls.participant_joined("demo", "RM_1", &came).await.unwrap();
        let call = calls
            .participant_left("demo", "RM_1", &came, after(1_000))
            .await
            .unwrap();
        let stay = &calls.get(call).await.unwrap().participants[0].stays[0];
        assert_eq!((stay.joined, stay.left), (after(1_553), Some(after(1_553))));
    })
    .await;
}

#[tokio::test]
async fn what_the_server_says_makes_a_call_in_any_order_and_twice() {
    on_each_database(async |data: Data| {
        let store = data.open().await;
        let ana = user(&store, "ana").await;
        store.rooms().create(&new("demo", ana)).await.unwrap();
        let calls = store.calls();
        let identity = ana.to_string();
        let came = person("PA_1", &identity, after(1_000));
        // That she went is said before that she came, and before that the room began.
        calls
            .participant_left("demo", "RM_1", &came, after(9_000))
            .await
            .unwrap();
        assert!(!calls.participant_joined("demo", "RM_1", &came).await.unwrap().1);
        let (call, news) = calls.room_started("demo", "RM_1", after(500)).await.unwrap();
        assert!(!news);
        let again = person("PA_2", &identity, after(10_000));
        assert!(calls.participant_joined("demo", "RM_1", &again).await.unwrap().1);
        assert!(!calls.participant_joined("demo", "RM_1", &again).await.unwrap().1);
        let room = store.rooms().get("demo", Some(ana)).await.unwrap();
        let live = room.call.unwrap();
        assert_eq!((live.id, live.started), (call, after(500)));
        assert_eq!(live.present.len(), 1);
        assert_eq!(
            (live.present[0].user, live.present[0].joined),
            (Some(ana), after(10_000))
        );
        assert_eq!(calls.live("demo").await.unwrap(), call);

        assert!(calls.room_finished("demo", "RM_1", after(20_000)).await.unwrap());
        assert!(!calls.room_finished("demo", "RM_1", after(30_000)).await.unwrap());
        let ended = calls.get(call).await.unwrap();
        assert_eq!((ended.started, ended.ended), (after(500), Some(after(20_000))));
        assert_eq!(ended.title.as_deref(), Some("The room demo"));
        let stays: Vec<_> = ended.participants[0]
            .stays
            .iter()
            .map(|stay| (stay.joined, stay.left))
            .collect();
        assert_eq!(
            stays,
            [(after(1_000), Some(after(9_000))), (after(10_000), Some(after(20_000)))]
        );
        assert!(matches!(calls.live("demo").await.unwrap_err(), MeetingError::NotLive));
        assert_eq!(store.rooms().get("demo", None).await.unwrap().call, None);

        // A new session of the room is a new call; what comes late of the old one does not end it.
        let (second, news) = calls.room_started("demo", "RM_2", after(40_000)).await.unwrap();
        assert!(news && second != call);
        calls.room_finished("demo", "RM_1", after(41_000)).await.unwrap();
        calls
            .participant_joined("demo", "RM_0", &person("PA_0", "bob", after(100)))
            .await
            .unwrap();
        assert_eq!(calls.live("demo").await.unwrap(), second);
        let (third, _) = calls.room_started("demo", "RM_3", after(50_000)).await.unwrap();
        assert_eq!(calls.live("demo").await.unwrap(), third);
        assert_eq!(calls.get(second).await.unwrap().ended, Some(after(50_000)));
    })
    .await;
}

#[tokio::test]
async fn what_was_missed_is_mended() {
    on_each_database(async |data: Data| {
        let mut store = data.open().await;
        let ana = user(&store, "ana").await;
        store.rooms().create(&new("demo", ana)).await.unwrap();
        store.rooms().create(&new("gone", ana)).await.unwrap();
        let (call, _) = store.calls().room_started("demo", "RM_1", START).await.unwrap();
        store
            .calls()
            .participant_joined("demo", "RM_1", &person("PA_1", "ana", START))
            .await
            .unwrap();
        store
            .calls()
            .participant_joined("demo", "RM_1", &person("PA_2", "bob", START))
            .await
            .unwrap();
        store
            .calls()
            .participant_joined("gone", "RM_2", &person("PA_3", "cy", START))
            .await
            .unwrap();
        // The process is away while bob goes, dan comes, one room ends and another begins.
        store = data.reopen(store).await;
        let now = after(60_000);
        let observed = |participants| Observed {
            room: "demo".into(),
            sid: "RM_1".into(),
            started: START,
            participants,
        };
        let new_room = Observed {
            room: "adhoc".into(),
            sid: "RM_4".into(),
            started: after(30_000),
            participants: Some(vec![person("PA_5", "eve", after(31_000))]),
        };
        let present = vec![person("PA_1", "ana", START), person("PA_4", "dan", after(20_000))];
        let all = [observed(Some(present)), new_room];
        let found = store.calls().observe(&all, now).await.unwrap();
        assert_eq!(
            (found.started, found.ended),
            (vec!["adhoc".to_owned()], vec!["gone".to_owned()])
        );
        assert_eq!(found.corrected, 3, "bob, dan, eve");
        let again = store.calls().observe(&all, now).await.unwrap();
        assert_eq!(again, Reconciled::default());
        let live = store.rooms().get("demo", None).await.unwrap().call.unwrap();
        assert_eq!(live.id, call);
        let there: Vec<_> = live.present.iter().map(|one| one.identity.as_str()).collect();
        assert_eq!(there, ["ana", "dan"]);
        assert_eq!(store.rooms().get("gone", None).await.unwrap().call, None);
        let adhoc = store
            .calls()
            .get(store.calls().live("adhoc").await.unwrap())
            .await
            .unwrap();
        assert_eq!((adhoc.room, adhoc.title), (None, None));

        // Somebody who came a moment ago may be missing in what was seen before.
        store
            .calls()
            .participant_joined("demo", "RM_1", &person("PA_6", "fay", after(59_000)))
            .await
            .unwrap();
        let present = vec![person("PA_1", "ana", START), person("PA_4", "dan", after(20_000))];
        store.calls().observe(&[observed(Some(present))], now).await.unwrap();
        let live = store.rooms().get("demo", None).await.unwrap().call.unwrap();
        assert_eq!(live.present.len(), 3);
        // Not having asked who is there says nothing about who is.
        store.calls().observe(&[observed(None)], after(90_000)).await.unwrap();
        assert_eq!(
            store
                .rooms()
                .get("demo", None)
                .await
                .unwrap()
                .call
                .unwrap()
                .present
                .len(),
            3
        );
        // Whoever is there has not gone.
        store
            .calls()
            .participant_left("demo", "RM_1", &person("PA_1", "ana", START), after(91_000))
            .await
            .unwrap();
        let present = vec![person("PA_1", "ana", START)];
        store
            .calls()
            .observe(&[observed(Some(present))], after(100_000))
            .await
            .unwrap();
        let live = store.rooms().get("demo", None).await.unwrap().call.unwrap();
        assert_eq!(
            live.present.iter().map(|one| one.identity.as_str()).collect::<Vec<_>>(),
            ["ana"]
        );
    })
    .await;
}

#[tokio::test]
async fn history_shows_what_somebody_was_part_of() {
    on_each_database(async |data: Data| {
        let store = data.open().await;
        let (ana, bea, cy) = (
            user(&store, "ana").await,
            user(&store, "bea").await,
            user(&store, "cy").await,
        );
        store.rooms().create(&new("demo", ana)).await.unwrap();
        let calls = store.calls();
        let day = 24 * 60 * 60 * 1000;
        for (number, start) in [0, 1_000_000, day].into_iter().enumerate() {
            let sid = format!("RM_{number}");
            let who = [
                person(&format!("PA_{number}"), &bea.to_string(), after(start)),
                person("PA_x", "guest", after(start)),
            ];
            for one in &who[..=usize::from(number > 0)] {
                calls.participant_joined("demo", &sid, one).await.unwrap();
            }
            calls.room_finished("demo", &sid, after(start + 90_000)).await.unwrap();
        }
        for (viewer, expected) in [(None, 3), (Some(ana), 3), (Some(bea), 3), (Some(cy), 0)] {
            let (found, more) = calls.list(viewer, None, None, 10).await.unwrap();
            assert_eq!((found.len(), more), (expected, false));
        }
        let (page, more) = calls.list(None, Some("demo"), None, 2).await.unwrap();
        assert!(more && page[0].id > page[1].id);
        let (rest, more) = calls.list(None, Some("demo"), Some(page[1].id), 2).await.unwrap();
        assert!(!more && rest.len() == 1);
        assert!(calls.took_part(rest[0].id, bea).await.unwrap());
        assert!(!calls.took_part(rest[0].id, ana).await.unwrap());
        assert!(calls.was_in_room("demo", bea, after(1_050_000)).await.unwrap());
        assert!(!calls.was_in_room("demo", bea, after(500_000)).await.unwrap());
        let days = calls.statistics(None, START, after(2 * day)).await.unwrap();
        let numbers: Vec<_> = days
            .iter()
            .map(|day| (day.calls, day.minutes, day.participants))
            .collect();
        assert_eq!(numbers, [(2, 3, 2), (1, 1, 2)]);
        assert_eq!(days[0].day.as_nanos() % (day * 1_000_000), 0);
        assert_eq!(calls.statistics(Some(cy), START, after(2 * day)).await.unwrap(), []);
        assert_eq!(
            calls.statistics(None, after(day), after(2 * day)).await.unwrap().len(),
            1
        );
    })
    .await;
}

#[tokio::test]
async fn a_call_keeps_its_quality_messages_and_events() {
    on_each_database(async |data: Data| {
        let store = data.open().await;
        let calls = store.calls();
        let (call, _) = calls
            .participant_joined("demo", "RM_1", &person("PA_1", "ana", START))
            .await
            .unwrap();
        let sample = |lost, jitter| QualitySample {
            direction: Direction::Receive,
            kind: QualityKind::Video,
            packets: 90,
            packets_lost: lost,
            jitter_ms: Some(jitter),
            rtt_ms: None,
            bitrate_kbps: Some(800.0),
            width: 1280,
            height: 720,
        };
        calls
            .add_quality(call, "ana", &[sample(10, 2.0), sample(0, 4.0)])
            .await
            .unwrap();
        calls.add_quality(call, "ana", &[sample(20, 6.0)]).await.unwrap();
        let found = calls.get(call).await.unwrap();
        let quality = &found.participants[0].quality;
        assert_eq!((quality.len(), quality[0].samples, quality[0].width), (1, 3, 1280));
        assert_eq!(quality[0].loss_percent(), Some(10.0));
        assert_eq!((quality[0].jitter_ms, quality[0].rtt_ms), (Some((4.0, 6.0)), None));

        let message = |id: &str, at, body: &str| ChatMessage {
            id: id.into(),
            at,
            identity: "ana".into(),
            name: "Ana".into(),
            body: body.into(),
        };
        let (hello, later) = (message("m1", START, "hello 👋"), message("m2", after(5), "later"));
        for one in [&later, &hello, &message("m1", after(9), "forged")] {
            calls.add_message(call, one).await.unwrap();
        }
        assert_eq!(calls.messages(call).await.unwrap(), [hello, later]);
        for bad in [
            message("", START, "x"),
            message("x", START, ""),
            message("x", START, &"x".repeat(16_385)),
        ] {
            assert_eq!(
                calls.add_message(call, &bad).await.unwrap_err().kind(),
                ErrorKind::Invalid
            );
        }
        assert_eq!(calls.last("demo").await.unwrap(), Some(call));
        calls
            .note(call, after(3), "locked", &serde_json::json!({"by": "ana"}))
            .await
            .unwrap();
        let events = calls.events(call).await.unwrap();
        assert_eq!((events.len(), events[0].1.as_str()), (1, "locked"));
    })
    .await;
}
