//! Recordings, on each kind of database.

use std::{collections::BTreeSet, fs, time::Duration};

use futures_util::future::join_all;
use greffier_media::{
    ids::{ParticipantIdentity, RoomName, RoomSid, SegmentIndex},
    journal::{RoomEvent, event::StopReason},
    lifecycle::{RecordingFailure, RecordingState, RecordingStep},
};

use super::*;
use crate::{
    RetentionConfig, RetentionRule,
    testing::{
        Data, START, advance, capture, create, new_recording, on_each_database, open_journal, packet, quietly, sealed,
        snapshot, track, write_segments,
    },
    webhooks::{DeliveryState, NewDelivery},
};

fn told(event: &str) -> Vec<NewDelivery> {
    vec![NewDelivery {
        url: "https://example.org/hook".into(),
        event: event.to_owned(),
        body: "{}".into(),
    }]
}

#[tokio::test]
async fn a_recording_reads_back_as_it_was_asked_for() {
    on_each_database(async |data: Data| {
        let store = data.open().await;
        let mut new = new_recording("dé/mo ../ 🎉");
        new.request.requested_by = Some("key:\0backup".into());
        new.request.rule = Some("all\0".into());
        let made = store.recordings().create(&new, quietly).await.unwrap();
        assert_eq!(made.state, RecordingState::Requested);
        assert_eq!((made.room.clone(), made.request.clone()), (new.room, new.request));
        assert_eq!((made.created, made.labels.clone()), (START, new.labels));
        assert_eq!(store.recordings().get(made.id).await.unwrap(), made);
        let missing = RecordingId::from_parts(1, 1);
        let error = store.recordings().get(missing).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    })
    .await;
}

#[tokio::test]
async fn one_recording_comes_of_many_triggers() {
    on_each_database(async |data: Data| {
        let other = data.beside();
        let (store, beside) = (data.open().await, other.open().await);
        let new = new_recording("demo");
        let triggers = (0..20).map(|n| {
            let store = if n % 2 == 0 { &store } else { &beside };
            let new = new.clone();
            async move { store.recordings().create(&new, |_| told("recording.requested")).await }
        });
        let (made, refused): (Vec<_>, Vec<_>) = join_all(triggers).await.into_iter().partition(Result::is_ok);
        assert_eq!(made.len(), 1);
        let id = made.into_iter().next().unwrap().unwrap().id;
        for error in refused {
            assert!(
                matches!(error, Err(RecordingError::AlreadyLive(live)) if live == id),
                "{error:?}"
            );
        }
        let told = store.webhooks().list(DeliveryState::Pending, None, 100).await.unwrap();
        assert_eq!(told.len(), 1, "those that were refused told nobody");

        // Another name in the same room is another recording, and so is what follows the first.
        let mut other = new.clone();
        other.name = RecordingName::new("audio").unwrap();
        store.recordings().create(&other, quietly).await.unwrap();
        advance(&store, id, RecordingStep::Join).await;
        advance(&store, id, RecordingStep::Capture).await;
        let error = store.recordings().create(&new, quietly).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        advance(&store, id, RecordingStep::Stop).await;
        let next = store.recordings().create(&new, quietly).await.unwrap();
        assert_ne!(next.id, id);
    })
    .await;
}

#[tokio::test]
async fn a_nearly_full_disk_takes_no_more_recordings() {
    let mut data = Data::new();
    data.config.min_free_bytes = 1 << 60;
    let store = data.open().await;
    assert!(!store.disk_space().unwrap().is_enough());
    let error = store.recordings().create(&new_recording("demo"), quietly).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DiskFull);
    assert!(error.to_string().contains("1152921504606846976 must stay"), "{error}");
}

#[tokio::test]
async fn labels_have_bounds() {
    let data = Data::new();
    let store = data.open().await;
    let long = "x".repeat(257);
    for (label, value) in [("", "x"), ("a\n", "x"), (&long, "x"), ("a", &long), ("a", "\0")] {
        let mut new = new_recording("demo");
        new.labels = [(label.to_owned(), value.to_owned())].into();
        let error = store.recordings().create(&new, quietly).await.unwrap_err();
        assert!(
            matches!(error, RecordingError::Invalid { field: "labels", .. }),
            "{error:?}"
        );
    }
    for name in ["", "a\nb", &"x".repeat(129)] {
        assert_eq!(RecordingName::new(name).unwrap_err().kind(), ErrorKind::Invalid);
    }
}

#[tokio::test]
async fn each_step_leaves_its_time_its_entry_and_its_webhook() {
    on_each_database(async |data: Data| {
        let store = data.open().await;
        let id = create(&store, "demo").await.id;
        let step = async |step: RecordingStep, event: &str| {
            data.after(1_000);
            let advance = Advance {
                room_sid: Some(RoomSid::new("RM_1").unwrap()),
                stop_reason: (step == RecordingStep::Stop).then_some(StopReason::RoomEmpty),
                ..step.into()
            };
            store.recordings().advance(id, advance, |_| told(event)).await.unwrap()
        };
        step(RecordingStep::Join, "joining").await;
        step(RecordingStep::Capture, "started").await;
        let paused = store
            .recordings()
            .set_paused(id, true, |_| told("paused"))
            .await
            .unwrap();
        assert!(paused.paused);
        step(RecordingStep::Stop, "stopped").await;
        let sealed = step(RecordingStep::Seal, "sealed").await;

        assert_eq!(sealed.state, RecordingState::Sealed);
        assert_eq!(sealed.room_sid, Some(RoomSid::new("RM_1").unwrap()));
        assert_eq!(sealed.stop_reason, Some(StopReason::RoomEmpty));
        assert!(!sealed.paused);
        let at = |s: u64| Some(START.saturating_add(Duration::from_secs(s)));
        assert_eq!((sealed.started, sealed.stopped, sealed.ended), (at(2), at(3), at(4)));
        let (events, _) = store
            .recordings()
            .events(id, &["recording_state"], None, 100)
            .await
            .unwrap();
        let states: Vec<_> = events.iter().map(|event| event.data["to"].as_str().unwrap()).collect();
        assert_eq!(states, ["requested", "joining", "capturing", "sealing", "sealed"]);
        let mut told = store.webhooks().list(DeliveryState::Pending, None, 100).await.unwrap();
        told.reverse();
        let told: BTreeSet<_> = told.iter().map(|delivery| delivery.event.as_str()).collect();
        assert_eq!(told, ["joining", "paused", "sealed", "started", "stopped"].into());
    })
    .await;
}

#[tokio::test]
async fn a_refused_step_changes_nothing() {
    on_each_database(async |data: Data| {
        let store = data.open().await;
        let id = create(&store, "demo").await.id;
        for step in [RecordingStep::Capture, RecordingStep::Seal] {
            let refused = store.recordings().advance(id, step, |_| told("no")).await.unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Conflict);
        }
        let refused = store
            .recordings()
            .set_paused(id, true, |_| told("no"))
            .await
            .unwrap_err();
        assert!(matches!(refused, RecordingError::NotCapturing(..)));
        assert_eq!(
            store.recordings().get(id).await.unwrap().state,
            RecordingState::Requested
        );
        assert!(store.webhooks().claim_due(10, Duration::ZERO).await.unwrap().is_empty());

        let failure = Advance {
            message: Some("the room\0 is gone".into()),
            ..RecordingStep::Fail(RecordingFailure::NoRoom).into()
        };
        let failed = store.recordings().advance(id, failure, quietly).await.unwrap();
        assert_eq!(failed.state, RecordingState::Failed(RecordingFailure::NoRoom));
        assert_eq!(failed.failure_message.as_deref(), Some("the room\u{FFFD} is gone"));
        assert_eq!(failed.ended, Some(START));
        assert_eq!(store.recordings().get(id).await.unwrap(), failed);
    })
    .await;
}

#[tokio::test]
async fn steps_at_once_are_taken_one_after_the_other() {
    on_each_database(async |data: Data| {
        let other = data.beside();
        let (store, beside) = (data.open().await, other.open().await);
        let id = create(&store, "demo").await.id;
        let steps = (0..8).map(|n| {
            let store = if n % 2 == 0 { &store } else { &beside };
            async move { store.recordings().advance(id, RecordingStep::Join, quietly).await }
        });
        let taken = join_all(steps).await.iter().flatten().count();
        assert_eq!(taken, 1);
        let (events, _) = store.recordings().events(id, &[], None, 100).await.unwrap();
        assert_eq!(events.len(), 2, "made and joined, once");
    })
    .await;
}

#[tokio::test]
async fn rows_follow_from_segments() {
    on_each_database(async |data: Data| {
        let store = data.open().await;
        let id = capture(&store, "demo").await.id;
        let mut writer = open_journal(&store, id);
        let (camera, screen) = (writer.add_track(track(1)), writer.add_track(track(2)));
        let at = |ms| START.saturating_add(Duration::from_millis(ms));
        writer.append_rtp(camera, at(10), None, &packet(1)).unwrap();
        writer.append_rtp(camera, at(20), None, &packet(3)).unwrap();
        let paused = RoomEvent::RecordingPaused { by: None };
        writer.append_message(at(21), &paused).unwrap();
        let early = writer.facts();
        store.recordings().record_segment(id, &early).await.unwrap();
        let open = store.recordings().segments(id).await.unwrap();
        assert!(!open[0].sealed && open[0].sha256.is_none());
        assert_eq!(store.recordings().get(id).await.unwrap().lost_packets, 1);

        let first = writer.rotate(at(30), snapshot).unwrap();
        writer.append_rtp(camera, at(40), None, &packet(4)).unwrap();
        writer.append_rtp(screen, at(50), None, &packet(9)).unwrap();
        let open = store
            .recordings()
            .advance(id, RecordingStep::Stop, quietly)
            .await
            .unwrap();
        assert_eq!(open.state, RecordingState::Sealing);
        let refused = store
            .recordings()
            .advance(id, RecordingStep::Seal, quietly)
            .await
            .unwrap_err();
        assert!(
            matches!(refused, RecordingError::SegmentsOpen { segments: 1, .. }),
            "{refused:?}"
        );
        for facts in [first.seal().unwrap(), writer.close().seal().unwrap()] {
            store.recordings().record_segment(id, &facts).await.unwrap();
            store.recordings().record_segment(id, &facts).await.unwrap();
        }
        // What was said before sealing and arrives after it is left out.
        store.recordings().record_segment(id, &early).await.unwrap();

        let segments = store.recordings().segments(id).await.unwrap();
        assert_eq!(
            segments.iter().map(|segment| segment.index.0).collect::<Vec<_>>(),
            [0, 1]
        );
        assert!(
            segments
                .iter()
                .all(|segment| segment.sealed && segment.sha256.is_some() && segment.on_disk)
        );
        let tracks = store.recordings().tracks(id).await.unwrap();
        let counted: Vec<_> = tracks
            .iter()
            .map(|track| {
                (
                    track.sid.as_str(),
                    track.packets,
                    track.lost_packets,
                    track.ssrcs.clone(),
                )
            })
            .collect();
        assert_eq!(counted, [("TR_1", 3, 1, vec![1]), ("TR_2", 1, 0, vec![2])]);
        assert_eq!((tracks[0].first, tracks[0].last), (at(10), at(40)));
        assert_eq!(tracks[0].name, "cam\u{FFFD}era");
        let people = store.recordings().participants(id).await.unwrap();
        let ana = Participant {
            identity: ParticipantIdentity::new("ana").unwrap(),
            name: "Ána Müller".into(),
        };
        assert_eq!(people, [ana]);
        let (events, _) = store
            .recordings()
            .events(id, &["recording_paused"], None, 10)
            .await
            .unwrap();
        assert_eq!(events.len(), 1);

        let recording = advance(&store, id, RecordingStep::Seal).await;
        assert_eq!(
            (recording.packets, recording.lost_packets, recording.participants),
            (4, 1, 1)
        );
        assert_eq!(
            recording.bytes,
            segments.iter().map(|segment| segment.bytes).sum::<u64>()
        );
        assert_eq!(recording.duration(), Duration::from_millis(50));
    })
    .await;
}

#[tokio::test]
async fn the_timeline_comes_in_pages() {
    on_each_database(async |data: Data| {
        let store = data.open().await;
        let id = capture(&store, "demo").await.id;
        let mut writer = open_journal(&store, id);
        for ms in 0..1_200_u64 {
            // Two at a time.
            let at = START.saturating_add(Duration::from_millis(ms / 2));
            let by = Some(ms.to_string());
            writer.append_message(at, &RoomEvent::RecordingPaused { by }).unwrap();
        }
        let facts = writer.close().seal().unwrap();
        store.recordings().record_segment(id, &facts).await.unwrap();
        let (mut read, mut after) = (Vec::new(), None);
        loop {
            let kinds = ["recording_paused"];
            let (events, next) = store.recordings().events(id, &kinds, after, 97).await.unwrap();
            read.extend(
                events
                    .into_iter()
                    .map(|event| event.data["by"].as_str().unwrap().parse::<u64>().unwrap()),
            );
            let Some(next) = next else { break };
            // As a client sends it back.
            after = Some(next.to_string().parse().unwrap());
        }
        assert_eq!(read, (0..1_200).collect::<Vec<_>>());
        for bad in ["", "1.2", "a.b.c", "1.2.3.4", "1..3"] {
            assert!(bad.parse::<EventCursor>().is_err(), "{bad}");
        }
    })
    .await;
}

#[tokio::test]
async fn lists_are_filtered_and_stay_put_while_they_grow() {
    on_each_database(async |data: Data| {
        let store = data.open().await;
        let mut all = Vec::new();
        for n in 0..10 {
            data.after(1_000);
            let mut new = new_recording(if n % 2 == 0 { "Démo 100%" } else { "board_room" });
            new.name = RecordingName::new(&format!("take {n}")).unwrap();
            new.labels = [("take".to_owned(), n.to_string())].into();
            new.request.rule = (n < 3).then(|| "daily".to_owned());
            all.push(store.recordings().create(&new, quietly).await.unwrap().id);
        }
        all.reverse();
        advance(&store, all[0], RecordingStep::Join).await;
        let list = async |filter: RecordingFilter| {
            let page = store.recordings().list(&filter, None, 100).await.unwrap();
            assert_eq!(page.total, page.items.len() as u64);
            page.items.iter().map(|recording| recording.id).collect::<Vec<_>>()
        };
        let any = RecordingFilter::default;
        assert_eq!(list(any()).await, all);
        let room = RoomName::new("board_room").unwrap();
        assert_eq!(
            list(RecordingFilter {
                room: Some(room),
                ..any()
            })
            .await
            .len(),
            5
        );
        let states = vec![
            RecordingState::Joining,
            RecordingState::Failed(RecordingFailure::NoRoom),
        ];
        assert_eq!(list(RecordingFilter { states, ..any() }).await, all[..1]);
        let from = Some(START.saturating_add(Duration::from_secs(3)));
        let until = Some(START.saturating_add(Duration::from_secs(5)));
        assert_eq!(list(RecordingFilter { from, until, ..any() }).await, all[6..8]);
        let labels = vec![("take".to_owned(), "4".to_owned())];
        assert_eq!(list(RecordingFilter { labels, ..any() }).await, all[5..6]);
        let rule = Some("daily".to_owned());
        assert_eq!(list(RecordingFilter { rule, ..any() }).await, all[7..]);
        for (text, found) in [
            ("DÉMO", 5),
            ("100%", 5),
            ("d_mo", 0),
            ("%", 5),
            ("\\", 0),
            ("board_", 5),
            ("TAKE 7", 1),
            ("'; DROP TABLE recordings; --", 0),
            ("ána", 0),
        ] {
            let text = Some(text.to_owned());
            assert_eq!(
                list(RecordingFilter {
                    text: text.clone(),
                    ..any()
                })
                .await
                .len(),
                found,
                "{text:?}"
            );
        }

        let (mut read, mut after) = (Vec::new(), None);
        loop {
            let page = store.recordings().list(&any(), after, 3).await.unwrap();
            read.extend(page.items.iter().map(|recording| recording.id));
            if !page.more {
                break;
            }
            after = read.last().copied();
            data.after(1);
            create(&store, &format!("new {}", read.len())).await;
        }
        assert_eq!(read, all, "what came meanwhile is newer");
    })
    .await;
}

#[tokio::test]
async fn people_are_found_by_name() {
    on_each_database(async |data: Data| {
        let store = data.open().await;
        let id = sealed(&store, "demo", 1).await.id;
        create(&store, "empty").await;
        for text in ["ÁNA", "müller", "ana"] {
            let filter = RecordingFilter {
                text: Some(text.to_owned()),
                ..RecordingFilter::default()
            };
            let page = store.recordings().list(&filter, None, 10).await.unwrap();
            assert_eq!(
                page.items.iter().map(|found| found.id).collect::<Vec<_>>(),
                [id],
                "{text}"
            );
            assert_eq!(page.items[0].participants, 1);
        }
    })
    .await;
}

#[tokio::test]
async fn what_ended_can_be_deleted_with_all_that_belongs_to_it() {
    on_each_database(async |data: Data| {
        let store = data.open().await;
        let live = capture(&store, "live").await.id;
        let error = store.recordings().delete(live).await.unwrap_err();
        assert!(matches!(error, RecordingError::NotEnded(..)), "{error:?}");

        let id = sealed(&store, "demo", 2).await.id;
        let used = store.recordings().storage_used().await.unwrap();
        assert_eq!(used.recordings, 2);
        assert!(used.journals_on_disk > 60_000 && used.uploaded == 0, "{used:?}");
        store.recordings().delete(id).await.unwrap();
        assert_eq!(
            store.recordings().get(id).await.unwrap_err().kind(),
            ErrorKind::NotFound
        );
        assert_eq!(
            store.recordings().delete(id).await.unwrap_err().kind(),
            ErrorKind::NotFound
        );
        assert!(!store.data().recording(id).try_exists().unwrap());
        let left = store
            .recordings()
            .list(&RecordingFilter::default(), None, 10)
            .await
            .unwrap();
        assert_eq!(left.items.iter().map(|left| left.id).collect::<Vec<_>>(), [live]);
        assert_eq!(store.recordings().storage_used().await.unwrap().journals_on_disk, 0);
    })
    .await;
}

#[tokio::test]
async fn what_another_data_directory_has_is_deleted_there() {
    on_each_database(async |data: Data| {
        let other = data.beside();
        let (store, beside) = (data.open().await, other.open().await);
        let id = sealed(&store, "demo", 1).await.id;
        beside.recordings().delete(id).await.unwrap();
        assert_eq!(
            store.recordings().get(id).await.unwrap_err().kind(),
            ErrorKind::NotFound
        );
        assert!(store.data().segment(id, SegmentIndex(0)).try_exists().unwrap());
        assert_eq!(beside.recordings().finish_deletions().await.unwrap(), []);
        assert_eq!(store.recordings().finish_deletions().await.unwrap(), [id]);
        assert!(!store.data().recording(id).try_exists().unwrap());
    })
    .await;
}

#[tokio::test]
async fn retention_goes_by_rule_and_age() {
    on_each_database(async |mut data: Data| {
        let days = |days: u64| Some(Duration::from_secs(days * 24 * 3600));
        data.config.retention = RetentionConfig {
            max_age: days(10),
            rules: [
                ("board".to_owned(), RetentionRule { max_age: None }),
                ("daily".to_owned(), RetentionRule { max_age: days(1) }),
            ]
            .into(),
        };
        let store = data.open().await;
        let mut made = Vec::new();
        for rule in [None, Some("board"), Some("daily"), Some("unknown")] {
            let mut new = new_recording(rule.unwrap_or("none"));
            new.request.rule = rule.map(str::to_owned);
            let id = store.recordings().create(&new, quietly).await.unwrap().id;
            advance(&store, id, RecordingStep::Stop).await;
            made.push(id);
        }
        let live = capture(&store, "live").await.id;
        let sweep = async |after_days: u64| {
            data.clock.advance(days(after_days).unwrap());
            store.recordings().sweep_retention().await.unwrap()
        };
        assert_eq!(sweep(1).await, [], "a day old is not older than a day");
        assert_eq!(sweep(1).await, [made[2]]);
        assert_eq!(sweep(7).await, []);
        let old: BTreeSet<_> = sweep(2).await.into_iter().collect();
        assert_eq!(old, [made[0], made[3]].into());
        assert_eq!(sweep(10_000).await, []);
        for kept in [made[1], live] {
            store.recordings().get(kept).await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn all_of_it_survives_a_restart() {
    on_each_database(async |data: Data| {
        let store = data.open().await;
        let recording = sealed(&store, "demo", 3).await;
        let tracks = store.recordings().tracks(recording.id).await.unwrap();
        let store = data.reopen(store).await;
        assert_eq!(store.recordings().get(recording.id).await.unwrap(), recording);
        assert_eq!(store.recordings().tracks(recording.id).await.unwrap(), tracks);
        let facts = write_segments(&store, create(&store, "other").await.id, 1);
        assert_eq!(facts.len(), 1);
        let read_only = crate::Store::open_read_only(&data.config, data.clock.clone())
            .await
            .unwrap();
        assert_eq!(read_only.recordings().get(recording.id).await.unwrap(), recording);
        let error = read_only
            .recordings()
            .create(&new_recording("no"), quietly)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
        assert_eq!(read_only.journal(recording.id).unwrap_err().kind(), ErrorKind::Conflict);
        assert!(fs::read_dir(store.data().recordings()).unwrap().count() >= 2);
    })
    .await;
}
