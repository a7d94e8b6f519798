//! Meetings told by events, and what is seen of them.

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{
    codec::MediaKind,
    journal::{
        Encryption,
        event::{ParticipantInfo, ParticipantKind, Permissions, Speaker, TrackInfo},
    },
};

fn sid(name: &str) -> ParticipantSid {
    ParticipantSid::new(&format!("PA_{name}")).unwrap()
}

fn track_sid(name: &str, source: TrackSource) -> TrackSid {
    TrackSid::new(&format!("TR_{name}_{}", source.as_str())).unwrap()
}

fn joins(name: &str) -> RoomEvent {
    RoomEvent::ParticipantJoined {
        participant: ParticipantInfo {
            sid: sid(name),
            identity: ParticipantIdentity::new(name).unwrap(),
            name: format!("{name} Doe"),
            kind: ParticipantKind::Standard,
            metadata: String::new(),
            attributes: std::collections::BTreeMap::new(),
            permissions: Permissions::default(),
            joined_at: None,
            tracks: Vec::new(),
        },
    }
}

fn leaves(name: &str) -> RoomEvent {
    RoomEvent::ParticipantLeft {
        participant: sid(name),
        identity: ParticipantIdentity::new(name).unwrap(),
        reason: None,
    }
}

fn publishes(name: &str, source: TrackSource) -> RoomEvent {
    let is_audio = matches!(source, TrackSource::Microphone | TrackSource::ScreenShareAudio);
    RoomEvent::TrackPublished {
        participant: sid(name),
        track: TrackInfo {
            sid: track_sid(name, source),
            name: String::new(),
            kind: if is_audio { MediaKind::Audio } else { MediaKind::Video },
            source,
            mime: String::new(),
            muted: false,
            dims: Some(Dims::new(1280, 720)),
            simulcast: false,
            subscribed: true,
            encryption: Encryption::None,
        },
    }
}

fn unpublishes(name: &str, source: TrackSource) -> RoomEvent {
    RoomEvent::TrackUnpublished {
        participant: sid(name),
        track: track_sid(name, source),
    }
}

fn mutes(name: &str, source: TrackSource) -> RoomEvent {
    RoomEvent::TrackMuted {
        participant: sid(name),
        track: track_sid(name, source),
    }
}

fn unmutes(name: &str, source: TrackSource) -> RoomEvent {
    RoomEvent::TrackUnmuted {
        participant: sid(name),
        track: track_sid(name, source),
    }
}

fn speaks(names: &[&str]) -> RoomEvent {
    let speaker = |name: &&str| Speaker {
        participant: sid(name),
        level: 0.5,
    };
    RoomEvent::ActiveSpeakers {
        speakers: names.iter().map(speaker).collect(),
    }
}

use TrackSource::{Camera, Microphone, ScreenShare};

fn options(kind: LayoutKind) -> LayoutOptions {
    LayoutOptions::new(kind, Canvas::new(1280, 720).unwrap())
}

fn plan(kind: LayoutKind, events: &[(u64, RoomEvent)]) -> Plan {
    Plan::new(
        options(kind),
        events.iter().map(|(ms, event)| (Position::from_millis(*ms), event)),
    )
}

/// Each tile in a word: `ana`, `ana:screen`, `(AD)` for an avatar, `+3`.
fn words(scene: &Scene) -> Vec<String> {
    let word = |tile: &Tile| {
        let name = tile.identity.as_ref().map(ToString::to_string).unwrap_or_default();
        match &tile.content {
            Content::Video {
                source: ScreenShare, ..
            } => format!("{name}:screen"),
            Content::Video { .. } => name,
            Content::Avatar { initials } => format!("({initials})"),
            Content::More { .. } => tile.label.clone(),
        }
    };
    scene.tiles.iter().map(word).collect()
}

/// When the scene changes, and to what.
fn story(plan: &Plan) -> Vec<(u64, Vec<String>)> {
    plan.scenes
        .iter()
        .map(|(from, scene)| (from.as_millis(), words(scene)))
        .collect()
}

#[track_caller]
fn assert_story(plan: &Plan, expected: &[(u64, &[&str])]) {
    let expected: Vec<(u64, Vec<String>)> = expected
        .iter()
        .map(|(at, tiles)| (*at, tiles.iter().map(ToString::to_string).collect()))
        .collect();
    assert_eq!(story(plan), expected);
}

#[test]
fn a_grid_changes_when_people_and_cameras_do() {
    let plan = plan(
        LayoutKind::Grid,
        &[
            (1000, joins("ana")),
            (2000, publishes("ana", Camera)),
            (2500, RoomEvent::Reconnecting),
            (3000, joins("ben")),
            (4000, mutes("ana", Camera)),
            (5000, unmutes("ana", Camera)),
            (6000, leaves("ana")),
            (7000, leaves("ben")),
        ],
    );
    assert_story(
        &plan,
        &[
            (0, &[]),
            (1000, &["(AD)"]),
            (2000, &["ana"]),
            (3000, &["ana", "(BD)"]),
            (4000, &["(AD)", "(BD)"]),
            (5000, &["ana", "(BD)"]),
            (6000, &["(BD)"]),
            (7000, &[]),
        ],
    );
    assert_eq!(words(plan.scene(Position::from_millis(3999))), ["ana", "(BD)"]);
}

#[test]
fn what_we_do_not_receive_is_not_shown() {
    let mut camera = publishes("ana", Camera);
    if let RoomEvent::TrackPublished { track, .. } = &mut camera {
        track.subscribed = false;
    }
    let subscribed = RoomEvent::TrackSubscribed {
        participant: sid("ana"),
        track: track_sid("ana", Camera),
        ssrc: 1,
        mime: "video/VP8".into(),
    };
    let plan = plan(LayoutKind::Grid, &[(0, joins("ana")), (0, camera), (500, subscribed)]);
    assert_story(&plan, &[(0, &["(AD)"]), (500, &["ana"])]);
}

#[test]
fn who_comes_back_gets_the_old_seat() {
    let mut again = joins("ana");
    if let RoomEvent::ParticipantJoined { participant } = &mut again {
        participant.sid = sid("ana2");
    }
    let plan = plan(
        LayoutKind::Grid,
        &[
            (0, joins("ana")),
            (0, joins("ben")),
            (1000, leaves("ana")),
            (2000, again.clone()),
            (3000, again),
        ],
    );
    assert_story(
        &plan,
        &[(0, &["(AD)", "(BD)"]), (1000, &["(BD)"]), (2000, &["(AD)", "(BD)"])],
    );
}

#[test]
fn the_speaker_is_large_once_the_turn_is_taken() {
    let plan = plan(
        LayoutKind::Speaker,
        &[
            (0, joins("ana")),
            (0, joins("ben")),
            (0, publishes("ben", Camera)),
            (1000, speaks(&["ana"])),
            (5000, speaks(&["ben", "ana"])),
            (5500, speaks(&["ana"])),
            (8000, speaks(&["ben"])),
        ],
    );
    assert_story(
        &plan,
        &[
            (0, &["(AD)", "ben"]),
            (1000, &["(AD)", "ben"]),
            (9500, &["ben", "(AD)"]),
        ],
    );
    let (quiet, speaking) = (plan.scene(Position::ZERO), plan.scene(Position::from_millis(1000)));
    assert!(!quiet.tiles[0].active_speaker && speaking.tiles[0].active_speaker);
    assert!(speaking.tiles[0].rect.width > 3 * speaking.tiles[1].rect.width);
}

#[test]
fn the_latest_screen_share_is_large_with_people_beside() {
    let events = [
        (0, joins("ana")),
        (0, publishes("ana", Camera)),
        (0, joins("ben")),
        (1000, publishes("ben", ScreenShare)),
        (2000, publishes("ana", ScreenShare)),
        (3000, unpublishes("ana", ScreenShare)),
        (4000, leaves("ben")),
    ];
    let plan = plan(LayoutKind::Screen, &events);
    assert_story(
        &plan,
        &[
            (0, &["ana", "(BD)"]),
            (1000, &["ben:screen", "ana", "(BD)"]),
            (2000, &["ana:screen", "ben:screen", "ana", "(BD)"]),
            (3000, &["ben:screen", "ana", "(BD)"]),
            (4000, &["ana"]),
        ],
    );
    let large = &plan.scene(Position::from_millis(1000)).tiles[0];
    assert!(
        matches!(large.content, Content::Video { fit: Fit::Contain, .. }),
        "no word of it is cut off"
    );
    let grid = self::plan(LayoutKind::Grid, &events);
    assert_eq!(
        words(grid.scene(Position::from_millis(1000))),
        ["ben:screen", "ana", "(BD)"]
    );
}

#[test]
fn too_many_share_a_last_tile() {
    let names: Vec<_> = (0..30).map(|n| format!("p{n:02}")).collect();
    let mut events: Vec<_> = names.iter().map(|name| (0, joins(name))).collect();
    events.push((1000, speaks(&["p29"])));
    events.push((9000, speaks(&["p28"])));
    let plan = plan(LayoutKind::Grid, &events);
    let seen = |ms| {
        let scene = plan.scene(Position::from_millis(ms));
        let mut seen: Vec<_> = scene
            .tiles
            .iter()
            .filter_map(|tile| tile.identity.as_ref())
            .map(ToString::to_string)
            .collect();
        assert_eq!((scene.tiles.len(), &*scene.tiles[24].label), (25, "+6"));
        seen.sort();
        seen
    };
    assert_eq!(seen(0), names[..24]);
    let with_speaker = seen(1000);
    assert!(with_speaker.contains(&"p29".into()));
    assert_eq!(
        with_speaker.iter().filter(|name| names[..24].contains(name)).count(),
        23,
        "nobody else moved"
    );
    let with_both = seen(20_000);
    assert!(with_both.contains(&"p29".into()) && with_both.contains(&"p28".into()));
}

#[test]
fn twenty_five_have_a_tile_each() {
    let mut events: Vec<_> = (0..25).map(|n| (0, joins(&format!("p{n}")))).collect();
    let full = plan(LayoutKind::Grid, &events);
    assert!(
        full.scene(Position::ZERO)
            .tiles
            .iter()
            .all(|tile| tile.identity.is_some())
    );
    events.push((5, joins("late")));
    let over = plan(LayoutKind::Grid, &events);
    assert_eq!(
        over.scene(Position::from_millis(5)).tiles[24].content,
        Content::More { count: 2 }
    );
}

#[test]
fn the_strip_holds_what_fits_and_says_the_rest() {
    let events: Vec<_> = (0..10).map(|n| (0, joins(&format!("p{n}")))).collect();
    let plan = plan(LayoutKind::Speaker, &events);
    let scene = plan.scene(Position::ZERO);
    assert_eq!(
        (scene.tiles.len(), &*scene.tiles[4].label),
        (5, "+6"),
        "one large, three beside, six more"
    );
}

#[test]
fn programs_are_people_if_they_send_something() {
    let agent = |hidden| {
        let mut event = joins("bot");
        if let RoomEvent::ParticipantJoined { participant } = &mut event {
            participant.kind = ParticipantKind::Agent;
            participant.permissions.hidden = hidden;
        }
        event
    };
    let seen = plan(
        LayoutKind::Grid,
        &[(0, agent(false)), (1000, publishes("bot", Microphone))],
    );
    assert_story(&seen, &[(0, &[]), (1000, &["(BD)"])]);
    let hidden = plan(
        LayoutKind::Grid,
        &[(0, agent(true)), (1000, publishes("bot", Microphone))],
    );
    assert_story(&hidden, &[(0, &[])]);
}

#[test]
fn a_snapshot_is_what_holds() {
    let RoomEvent::ParticipantJoined { participant } = joins("ben") else {
        unreachable!()
    };
    let snapshot = RoomEvent::Snapshot {
        recording: crate::ids::RecordingId::from_parts(1, 1),
        segment: crate::ids::SegmentIndex(1),
        room: crate::journal::event::RoomInfo {
            name: crate::ids::RoomName::new("demo").unwrap(),
            sid: None,
            metadata: String::new(),
        },
        paused: false,
        participants: vec![participant],
    };
    let plan = plan(
        LayoutKind::Grid,
        &[
            (0, joins("ana")),
            (0, joins("ben")),
            (1000, snapshot.clone()),
            (2000, snapshot),
        ],
    );
    assert_story(&plan, &[(0, &["(AD)", "(BD)"]), (1000, &["(BD)"])]);
}

#[test]
fn a_range_begins_in_the_middle_of_a_scene() {
    let plan = plan(
        LayoutKind::Grid,
        &[(1000, joins("ana")), (3000, joins("ben")), (5000, leaves("ana"))],
    );
    let scenes: Vec<_> = plan
        .scenes(Position::from_millis(2000)..Position::from_millis(5000))
        .map(|(from, scene)| (from.as_millis(), scene.tiles.len()))
        .collect();
    assert_eq!(scenes, [(2000, 1), (3000, 2)]);
}

#[test]
fn upright_phones_are_shown_whole() {
    let tile = Rect {
        x: 0,
        y: 0,
        width: 640,
        height: 360,
    };
    assert_eq!(fit(Some(Dims::new(640, 480)), tile), Fit::Cover);
    assert_eq!(fit(Some(Dims::new(720, 1280)), tile), Fit::Contain);
    assert_eq!(fit(None, tile), Fit::Cover);
}

#[test]
fn initials_of_all_sorts() {
    for (name, letters) in [
        ("Ana Doe", "AD"),
        ("ana", "A"),
        ("Jean-Pierre de la Tour", "JT"),
        ("émile ßtrauß", "ÉSS"),
        ("王 小明", "王小"),
        ("🎉 !", "?"),
        ("", "?"),
    ] {
        assert_eq!(initials(name), letters, "{name}");
    }
}

#[test]
fn a_canvas_is_even_and_sensible() {
    for (width, height) in [(1279, 720), (1280, 719), (0, 0), (62, 64), (8000, 64)] {
        assert_eq!(Canvas::new(width, height).unwrap_err().kind(), ErrorKind::Invalid);
    }
}

fn anything(name: &str, what: u8) -> RoomEvent {
    match what % 10 {
        0 | 1 => joins(name),
        2 => leaves(name),
        3 => publishes(name, Camera),
        4 => publishes(name, ScreenShare),
        5 => unpublishes(name, ScreenShare),
        6 => mutes(name, Camera),
        7 => unmutes(name, Camera),
        _ => speaks(&[name]),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn tiles_are_even_inside_and_apart(
        kind in prop_oneof![Just(LayoutKind::Grid), Just(LayoutKind::Speaker), Just(LayoutKind::Screen)],
        (width, height) in (32_u32..1000, 32_u32..1000),
        max_tiles in 0_usize..30,
        events in vec((0_u64..3000, 0_u8..40, any::<u8>()), 0..120),
    ) {
        let canvas = Canvas::new(2 * width, 2 * height).unwrap();
        let options = LayoutOptions { max_tiles, ..LayoutOptions::new(kind, canvas) };
        let mut at = 0;
        let events: Vec<_> = events.into_iter().map(|(step, who, what)| {
            at += step;
            (Position::from_millis(at), anything(&format!("p{who}"), what))
        }).collect();
        let plan = Plan::new(options, events.iter().map(|(at, event)| (*at, event)));
        prop_assert!(plan.scenes.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 != pair[1].1));
        for (_, scene) in &plan.scenes {
            for (index, tile) in scene.tiles.iter().enumerate() {
                let Rect { x, y, width, height } = tile.rect;
                prop_assert!([x, y, width, height].iter().all(|side| side % 2 == 0), "{:?}", tile.rect);
                prop_assert!(width >= 2 && height >= 2, "{:?}", tile.rect);
                prop_assert!(x + width <= canvas.width() && y + height <= canvas.height(), "{:?}", tile.rect);
                for other in &scene.tiles[..index] {
                    let beside = other.rect.x + other.rect.width <= x || x + width <= other.rect.x;
                    let above = other.rect.y + other.rect.height <= y || y + height <= other.rect.y;
                    prop_assert!(beside || above || other.z != tile.z, "{:?} {:?}", other.rect, tile.rect);
                }
            }
            let mut people: Vec<_> = scene.tiles.iter().filter_map(|tile| Some((tile.identity.as_ref()?, &tile.content))).collect();
            let before = people.len();
            people.dedup_by(|a, b| a == b);
            prop_assert_eq!(people.len(), before, "nobody twice");
        }
    }
}
