//! A scenario made definite: who joins when, and what each does at which moment. Chance is used up here, from the seed.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};

use super::run::JOINS_PER_SECOND;
use super::scenario::{Conversation, Scenario};
use crate::synthetic::recorded::{Person, RecordedMeeting};

/// Something a participant does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    Join,
    Leave,
    Speak(bool),
    /// The microphone.
    Mute(bool),
    /// The camera is taken back and published again.
    Republish,
    Reconnect,
    Chat,
    /// A track of whom it plays, by number.
    PublishRecorded(usize),
    UnpublishRecorded(usize),
    MuteRecorded(usize, bool),
    /// Who speaks now, by identity: the windows that show the speaker large turn to them.
    Focus(String),
}

/// One participant, from the start of the test on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// From 0.
    pub room: u32,
    pub identity: String,
    /// Index of the group in the scenario.
    pub group: usize,
    /// Whom of the scenario's recording it plays.
    pub person: Option<usize>,
    /// For what chance still decides: the network.
    pub seed: u64,
    /// When the recorded meeting begins.
    #[serde(default)]
    pub meeting: Duration,
    /// In order of time, the first of which is the join.
    pub actions: Vec<(Duration, Action)>,
}

/// A turn of somebody who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// Index among those who speak.
    pub speaker: usize,
    pub from: Duration,
    pub to: Duration,
}

/// Shorter turns are interjections: nobody turns to them.
const FOCUS_AFTER: Duration = Duration::from_secs(1);
const AWAY: Duration = Duration::from_secs(3);

/// A recorded track is published a little before its first packet: publishing takes its time.
const PUBLISH_AHEAD: Duration = Duration::from_millis(400);

/// Everything that is to happen when a recorded meeting is played again in each room, and when the meetings begin: all at
/// once, after those who are there from the beginning have come in, no faster than is decent. Who comes later comes at
/// their time, or as soon after it as that allows.
pub fn replay(scenario: &Scenario, meeting: &RecordedMeeting) -> (Vec<Part>, Duration) {
    let between = Duration::from_secs(1) / JOINS_PER_SECOND;
    let rooms = scenario.rooms.get();
    let at_once = meeting.people.iter().filter(|person| is_early(person)).count();
    let early = between * rooms * u32::try_from(at_once).unwrap_or(u32::MAX);
    let begins = early + PUBLISH_AHEAD;
    let mut parts: Vec<Part> = (0..rooms)
        .flat_map(|room| {
            let people = meeting.people.iter().enumerate();
            people.map(move |(n, person)| person_part(scenario, room, n, person, begins))
        })
        .collect();
    let mut joins: Vec<(Duration, usize, usize)> = Vec::new();
    for (n, part) in parts.iter().enumerate() {
        let of_part = part.actions.iter().enumerate();
        joins.extend(of_part.filter_map(|(k, (at, action))| (*action == Action::Join).then_some((*at, n, k))));
    }
    joins.sort_unstable();
    let mut free = Duration::ZERO;
    for (at, part, action) in joins {
        let at = at.max(free);
        parts[part].actions[action].0 = at;
        free = at + between;
    }
    for part in &mut parts {
        // A join stays before what is done at the same time.
        part.actions.sort_by_key(|(at, _)| *at);
    }
    (parts, begins)
}

/// Whether somebody is there from the beginning.
fn is_early(person: &Person) -> bool {
    person.stays.first().is_some_and(|stay| stay.from <= PUBLISH_AHEAD)
}

fn person_part(scenario: &Scenario, room: u32, number: usize, person: &Person, begins: Duration) -> Part {
    let mut actions = Vec::new();
    let mut free = Duration::ZERO;
    for stay in &person.stays {
        let join = match stay.from.checked_sub(PUBLISH_AHEAD) {
            Some(from) if !from.is_zero() => begins + from,
            _ => Duration::ZERO,
        };
        actions.push((join.max(free), Action::Join));
        if let Some(to) = stay.to {
            actions.push((begins + to, Action::Leave));
            free = begins + to;
        }
    }
    for (n, track) in person.tracks.iter().enumerate() {
        let (Some(first), Some(last)) = (track.packets.first(), track.packets.last()) else {
            continue;
        };
        actions.push((
            begins + first.at.saturating_sub(PUBLISH_AHEAD),
            Action::PublishRecorded(n),
        ));
        actions.push((begins + last.at + PUBLISH_AHEAD, Action::UnpublishRecorded(n)));
        let mutes = track.mutes.iter();
        actions.extend(mutes.map(|(at, muted)| (begins + *at, Action::MuteRecorded(n, *muted))));
    }
    actions.sort_by_key(|(at, _)| *at);
    Part {
        room,
        identity: person.identity.clone(),
        group: 0,
        person: Some(number),
        seed: scenario.seed ^ (u64::from(room) << 32 | number as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15),
        meeting: begins,
        actions,
    }
}

/// Everything that is to happen.
pub fn plan(scenario: &Scenario, ramp: Duration) -> Vec<Part> {
    let mut parts = Vec::new();
    let all = scenario.participants_in_all();
    let per_room = scenario.participants_per_room();
    for room in 0..scenario.rooms.get() {
        let mut seat = 0;
        let mut members = Vec::new();
        for (group, members_of) in scenario.participants.iter().enumerate() {
            for n in 0..members_of.count.get() {
                // Rooms fill up side by side, as breakout rooms do: the first of each room, then the second.
                let order = seat * u64::from(scenario.rooms.get()) + u64::from(room);
                let share = order as f64 / all.max(1) as f64;
                let seed = scenario.seed ^ (u64::from(room) * per_room + seat + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
                members.push(Part {
                    room,
                    identity: format!("{}-{n}", members_of.role),
                    group,
                    person: None,
                    seed,
                    meeting: Duration::ZERO,
                    actions: vec![(ramp.mul_f64(share), Action::Join)],
                });
                seat += 1;
            }
        }
        converse(scenario, room, &mut members);
        for part in &mut members {
            churn(scenario, part);
            part.actions.sort_by_key(|(at, _)| *at);
        }
        parts.extend(members);
    }
    parts
}

/// Puts the turns of a room into the parts of those who speak, and of those who look at who speaks.
fn converse(scenario: &Scenario, room: u32, members: &mut [Part]) {
    let speaks = |part: &&mut Part| {
        scenario.participants[part.group]
            .microphone
            .as_ref()
            .is_some_and(|m| m.speaks)
    };
    let speakers: Vec<String> = members
        .iter_mut()
        .filter(speaks)
        .map(|part| part.identity.clone())
        .collect();
    let seed = scenario.seed.wrapping_add(u64::from(room) << 32);
    for turn in turns(&scenario.conversation, speakers.len(), scenario.duration.get(), seed) {
        let who = &speakers[turn.speaker];
        for part in members.iter_mut() {
            if part.identity == *who {
                part.actions.push((turn.from, Action::Speak(true)));
                part.actions.push((turn.to, Action::Speak(false)));
            } else if scenario.participants[part.group].layout == super::layout::Layout::Speaker
                && turn.to.saturating_sub(turn.from) >= FOCUS_AFTER
            {
                part.actions.push((turn.from, Action::Focus(who.clone())));
            }
        }
    }
}

/// Turns of `speakers` people over `duration`. Lengths of turns and pauses are spread exponentially about their means; who
/// speaks next is anybody but who spoke last.
pub fn turns(conversation: &Conversation, speakers: usize, duration: Duration, seed: u64) -> Vec<Turn> {
    let mut turns: Vec<Turn> = Vec::new();
    if speakers == 0 {
        return turns;
    }
    let mut random = StdRng::seed_from_u64(seed);
    let mut at = Duration::ZERO;
    let all: Vec<usize> = (0..speakers).collect();
    while at < duration {
        let last = turns.last().map(|turn| turn.speaker);
        let others: Vec<usize> = all
            .iter()
            .copied()
            .filter(|n| speakers == 1 || Some(*n) != last)
            .collect();
        let Some(&speaker) = others.choose(&mut random) else {
            break;
        };
        let length = exponential(&mut random, conversation.turn.get()).max(Duration::from_millis(200));
        let to = (at + length).min(duration);
        turns.push(Turn { speaker, from: at, to });
        let interrupts = speakers > 1 && random.random_bool(conversation.overlap.get());
        at = if interrupts {
            // The next one begins in the last third of the turn.
            at + length.mul_f64(random.random_range(0.67..1.0))
        } else {
            to + exponential(&mut random, conversation.pause.get())
        };
    }
    turns
}

fn exponential(random: &mut StdRng, mean: Duration) -> Duration {
    let uniform: f64 = random.random_range(f64::EPSILON..1.0);
    // Not longer than five means: one endless turn would be the whole test.
    mean.mul_f64((-uniform.ln()).min(5.0))
}

/// Puts what goes wrong into a part.
fn churn(scenario: &Scenario, part: &mut Part) {
    let churn = &scenario.participants[part.group].churn;
    let end = scenario.duration.get();
    let join = part.actions.first().map_or(Duration::ZERO, |(at, _)| *at);
    let mut random = StdRng::seed_from_u64(part.seed);
    let away = churn.away.map_or(AWAY, super::scenario::Length::get);
    let mut times = |interval: Option<Duration>, lasts: Duration| {
        let mut times = Vec::new();
        let mut at = join;
        while let Some(mean) = interval {
            at += exponential(&mut random, mean).max(Duration::from_secs(1));
            if at + lasts >= end {
                break;
            }
            times.push(at);
            at += lasts;
        }
        times
    };
    let muted = Duration::from_secs(5);
    for at in times(churn.leave_per_minute.interval(), away) {
        part.actions.extend([(at, Action::Leave), (at + away, Action::Join)]);
    }
    for at in times(churn.mute_per_minute.interval(), muted) {
        part.actions
            .extend([(at, Action::Mute(true)), (at + muted, Action::Mute(false))]);
    }
    for at in times(churn.republish_per_minute.interval(), Duration::ZERO) {
        part.actions.push((at, Action::Republish));
    }
    for at in times(churn.reconnect_per_minute.interval(), Duration::ZERO) {
        part.actions.push((at, Action::Reconnect));
    }
    for at in times(
        scenario.participants[part.group].chat_per_minute.interval(),
        Duration::ZERO,
    ) {
        part.actions.push((at, Action::Chat));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::recorded::Stay;

    fn scenario(text: &str) -> Scenario {
        Scenario::parse(text, "test").expect("a scenario")
    }

    #[test]
    fn the_same_seed_plans_the_same() {
        let one = Scenario::load("classroom").expect("a template");
        let plan_of = |scenario: &Scenario| plan(scenario, scenario.ramp.get());
        assert_eq!(plan_of(&one), plan_of(&one.clone()));
        let other = Scenario {
            seed: one.seed + 1,
            ..one.clone()
        };
        assert_ne!(plan_of(&one), plan_of(&other));
    }

    #[test]
    fn everybody_joins_within_the_ramp_and_nobody_acts_before() {
        let scenario = Scenario::load("breakouts-20x5").expect("a template");
        let parts = plan(&scenario, scenario.ramp.get());
        assert_eq!(parts.len(), 100);
        for part in &parts {
            assert!(part.actions.is_sorted_by_key(|(at, _)| *at));
            let joins = part.actions.iter().filter(|(_, a)| *a == Action::Join).count();
            let leaves = part.actions.iter().filter(|(_, a)| *a == Action::Leave).count();
            assert_eq!(joins, leaves + 1, "who leaves comes back");
        }
        let first_joins = parts
            .iter()
            .filter_map(|p| p.actions.iter().find(|(_, a)| *a == Action::Join));
        assert!(first_joins.map(|(at, _)| *at).max().expect("some") < scenario.ramp.get());
    }

    #[test]
    fn a_conversation_follows_its_model() {
        let text = "name: x\nduration: 1h\nparticipants: [{role: a, count: 4, microphone: {}}]\n\
                    conversation: {turn: 5s, pause: 1s, overlap: 20%}\n";
        let scenario = scenario(text);
        let turns = turns(&scenario.conversation, 4, scenario.duration.get(), 3);
        let spoken: Duration = turns.iter().map(|turn| turn.to.abs_diff(turn.from)).sum();
        let mean = spoken.as_secs_f64() / turns.len() as f64;
        assert!((mean - 5.0).abs() < 0.6, "mean turn {mean}");
        let overlaps = turns.windows(2).filter(|w| w[1].from < w[0].to).count() as f64 / turns.len() as f64;
        assert!((overlaps - 0.2).abs() < 0.05, "{overlaps}");
        assert!(turns.windows(2).all(|w| w[0].speaker != w[1].speaker));
        for speaker in 0..4 {
            let share = turns.iter().filter(|t| t.speaker == speaker).count() as f64 / turns.len() as f64;
            assert!((share - 0.25).abs() < 0.06, "{speaker} speaks {share}");
        }
    }

    #[test]
    fn a_recorded_meeting_begins_when_its_people_are_there() {
        let s = Duration::from_secs;
        let person = |identity: &str, stays: &[(u64, Option<u64>)]| Person {
            identity: identity.into(),
            stays: stays
                .iter()
                .map(|(from, to)| Stay {
                    from: s(*from),
                    to: to.map(s),
                })
                .collect(),
            tracks: Vec::new(),
        };
        let meeting = RecordedMeeting {
            length: s(60),
            people: vec![
                person("ana", &[(0, Some(20)), (30, None)]),
                person("ben", &[(0, None)]),
                person("cleo", &[(10, None)]),
            ],
        };
        let scenario = scenario("name: x\nrooms: 20\nduration: 1m\nparticipants: [{role: a, count: 1}]\n");
        let (parts, begins) = replay(&scenario, &meeting);
        assert_eq!(begins, s(40) / JOINS_PER_SECOND + PUBLISH_AHEAD);
        let mut joins: Vec<Duration> = Vec::new();
        for part in &parts {
            assert!(part.actions.is_sorted_by_key(|(at, _)| *at));
            joins.extend(
                part.actions
                    .iter()
                    .filter(|(_, a)| *a == Action::Join)
                    .map(|(at, _)| *at),
            );
        }
        joins.sort_unstable();
        assert_eq!(joins.len(), 80);
        let most = Duration::from_secs(1) / JOINS_PER_SECOND;
        assert!(joins.windows(2).all(|pair| pair[1] >= pair[0] + most), "{joins:?}");
        assert!(joins[39] < begins && joins[40] >= begins + s(9));
        let ana = parts.iter().find(|part| part.identity == "ana").expect("ana");
        let kinds: Vec<&Action> = ana.actions.iter().map(|(_, action)| action).collect();
        assert_eq!(kinds, [&Action::Join, &Action::Leave, &Action::Join]);
    }
}
