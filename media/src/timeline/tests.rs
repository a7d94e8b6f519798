//! Meetings simulated with clocks that are known: what the timeline finds is held against what was.

use std::ops::Range;

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::time::ClockRate;

const MS: i64 = 1_000_000;
const SEC: i64 = 1000 * MS;
/// The recording's start, by our clock.
const START: i64 = 1_760_000_000 * SEC;

/// Pseudo-random, so that a failing case fails again.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: i64) -> i64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as i64).rem_euclid(bound)
    }
}

fn ppm(nanos: i64, ppm: i64) -> i64 {
    nanos / 1_000_000 * ppm
}

/// A sender's device and the way to us. Times are nanoseconds since `START`.
#[derive(Debug, Clone, Copy)]
struct Device {
    /// What its wall clock is off, and by how much it drifts.
    wall_off: i64,
    wall_ppm: i64,
    network: i64,
    jitter: i64,
}

/// One of its streams.
#[derive(Debug, Clone, Copy)]
struct Source {
    rate: ClockRate,
    interval: i64,
    encoder: i64,
    sampling_ppm: i64,
    first_ticks: u64,
    reports_every: i64,
}

const DEVICE: Device = Device {
    wall_off: 3 * 3600 * SEC,
    wall_ppm: 40,
    network: 30 * MS,
    jitter: 8 * MS,
};
const AUDIO: Source = Source {
    rate: ClockRate::OPUS,
    interval: 20 * MS,
    encoder: 5 * MS,
    sampling_ppm: 120,
    first_ticks: 1 << 32,
    reports_every: 5 * SEC,
};
const VIDEO: Source = Source {
    rate: ClockRate::VIDEO,
    interval: 33 * MS,
    encoder: 70 * MS,
    sampling_ppm: 0,
    first_ticks: (1 << 33) + 12345,
    reports_every: SEC,
};

impl Device {
    fn wall(&self, time: i64) -> i64 {
        START + time + self.wall_off + ppm(time, self.wall_ppm)
    }

    fn arrival(&self, time: i64, source: &Source, random: &mut Random) -> i64 {
        START + time + source.encoder + self.network + random.below(self.jitter + 1)
    }

    /// Where all streams of the device should stand: as late as the fastest of them is.
    fn expected(&self, time: i64, fastest: &Source) -> i64 {
        time + fastest.encoder + self.network
    }
}

impl Source {
    fn media(&self, time: i64) -> MediaTime {
        let sampled = time + ppm(time, self.sampling_ppm);
        let ticks = i128::from(sampled) * i128::from(self.rate.hz()) / i128::from(SEC);
        MediaTime::new(self.first_ticks.saturating_add_signed(ticks as i64), self.rate)
    }
}

struct Meeting {
    timeline: Timeline,
    random: Random,
    /// All that happens, in the order of arrival.
    pending: Vec<(i64, Happening)>,
}

#[derive(Debug, Clone, Copy)]
enum Happening {
    Packet(StreamId, MediaTime),
    Report(StreamId, MediaTime, i64),
}

impl Meeting {
    fn new() -> Self {
        let timeline = Timeline::new(arrival(START));
        Self {
            timeline,
            random: Random(7),
            pending: Vec::new(),
        }
    }

    fn stream(&mut self, participant: &str) -> StreamId {
        self.timeline.add_stream(&ParticipantSid::new(participant).unwrap())
    }

    fn packets(&mut self, stream: StreamId, device: &Device, source: &Source, range: Range<i64>) {
        for time in range.step_by(source.interval as usize) {
            let at = device.arrival(time, source, &mut self.random);
            self.pending.push((at, Happening::Packet(stream, source.media(time))));
        }
    }

    /// Reports, each off by as much as a browser's are.
    fn reports(&mut self, stream: StreamId, device: &Device, source: &Source, range: Range<i64>) {
        for time in range.step_by(source.reports_every as usize) {
            let at = START + time + device.network + self.random.below(device.jitter + 1);
            let wall = device.wall(time) + self.random.below(4 * MS) - 2 * MS;
            self.pending
                .push((at, Happening::Report(stream, source.media(time), wall)));
        }
    }

    fn report(&mut self, stream: StreamId, source: &Source, time: i64, wall: i64, at: i64) {
        self.pending
            .push((at, Happening::Report(stream, source.media(time), wall)));
    }

    fn both(&mut self, participant: &str, device: &Device, source: &Source, range: Range<i64>) -> StreamId {
        let stream = self.stream(participant);
        self.packets(stream, device, source, range.clone());
        self.reports(stream, device, source, range.start + SEC..range.end);
        stream
    }

    fn happen(&mut self) {
        self.pending.sort_by_key(|(at, _)| *at);
        for (at, happening) in self.pending.drain(..) {
            match happening {
                Happening::Packet(stream, media) => self.timeline.packet(stream, media, arrival(at)),
                Happening::Report(stream, media, wall) => {
                    self.timeline
                        .report(stream, media, WallTime::from_nanos(wall as u64), arrival(at));
                }
            }
        }
    }

    fn position(&self, stream: StreamId, media: MediaTime) -> i64 {
        self.timeline.clock(stream).position(media).unwrap().as_nanos() as i64
    }
}

fn arrival(nanos: i64) -> Arrival {
    Arrival::from_nanos(nanos as u64)
}

/// Holds positions against the truth, each second of `range`; answers the worst in milliseconds.
fn worst(
    meeting: &Meeting,
    stream: StreamId,
    source: &Source,
    range: Range<i64>,
    expected: impl Fn(i64) -> i64,
) -> i64 {
    let clock = meeting.timeline.clock(stream);
    let off = |time: i64| {
        let position = clock.position(source.media(time)).unwrap().as_nanos() as i64;
        (position - expected(time)).abs() / MS
    };
    range.step_by(SEC as usize).map(off).max().unwrap()
}

#[test]
fn audio_and_video_of_one_device_meet() {
    let mut meeting = Meeting::new();
    let hour = 0..3600 * SEC;
    let audio = meeting.both("PA_a", &DEVICE, &AUDIO, hour.clone());
    let video = meeting.both("PA_a", &DEVICE, &VIDEO, hour.clone());
    meeting.happen();
    let (heard, seen) = (meeting.timeline.clock(audio), meeting.timeline.clock(video));
    for time in hour.clone().step_by(SEC as usize) {
        let heard = heard.position(AUDIO.media(time)).unwrap().as_nanos() as i64;
        let seen = seen.position(VIDEO.media(time)).unwrap().as_nanos() as i64;
        assert!(
            (heard - seen).abs() <= 4 * MS,
            "apart by {} ns after {} s",
            heard - seen,
            time / SEC
        );
    }
    let worst = worst(&meeting, audio, &AUDIO, hour, |time| DEVICE.expected(time, &AUDIO));
    assert!(
        worst <= 6,
        "audio is off by {worst} ms, where its clock has drifted by 430 ms"
    );
}

#[test]
fn devices_with_wrong_clocks_share_ours() {
    let yesterday = Device {
        wall_off: -86_400 * SEC,
        wall_ppm: -80,
        network: 60 * MS,
        ..DEVICE
    };
    let mut meeting = Meeting::new();
    let range = 0..600 * SEC;
    let here = meeting.both("PA_a", &DEVICE, &AUDIO, range.clone());
    let there = meeting.both("PA_b", &yesterday, &AUDIO, range.clone());
    meeting.happen();
    assert!(
        worst(&meeting, here, &AUDIO, range.clone(), |time| DEVICE
            .expected(time, &AUDIO))
            <= 4
    );
    assert!(worst(&meeting, there, &AUDIO, range, |time| yesterday.expected(time, &AUDIO)) <= 4);
}

#[test]
fn without_reports_arrival_must_do() {
    let mut meeting = Meeting::new();
    let stream = meeting.stream("PA_a");
    meeting.packets(stream, &DEVICE, &VIDEO, 0..60 * SEC);
    meeting.happen();
    assert!(
        worst(&meeting, stream, &VIDEO, 0..60 * SEC, |time| DEVICE
            .expected(time, &VIDEO))
            <= 4
    );
    let silent = meeting.stream("PA_a");
    assert_eq!(meeting.timeline.clock(silent).position(VIDEO.media(0)), None);
}

#[test]
fn a_late_joiner_stands_where_they_joined() {
    let mut meeting = Meeting::new();
    let joined = 1800 * SEC;
    let audio = meeting.both("PA_late", &DEVICE, &AUDIO, joined..joined + 30 * SEC);
    meeting.happen();
    let position = meeting.position(audio, AUDIO.media(joined));
    assert!(
        (position - DEVICE.expected(joined, &AUDIO)).abs() <= 4 * MS,
        "{position}"
    );
}

#[test]
fn mutes_and_silence_shift_nothing() {
    let mut meeting = Meeting::new();
    let audio = meeting.stream("PA_a");
    for range in [0..40, 100..101, 340..400] {
        meeting.packets(audio, &DEVICE, &AUDIO, range.start * SEC..range.end * SEC);
    }
    meeting.reports(audio, &DEVICE, &AUDIO, 0..400 * SEC);
    let video = meeting.both("PA_a", &DEVICE, &VIDEO, 0..400 * SEC);
    meeting.happen();
    let expected = |time| DEVICE.expected(time, &AUDIO);
    assert!(worst(&meeting, audio, &AUDIO, 340 * SEC..400 * SEC, expected) <= 4);
    assert!(worst(&meeting, video, &VIDEO, 0..400 * SEC, expected) <= 4);
}

#[test]
fn a_jam_is_delay_and_not_time() {
    let mut meeting = Meeting::new();
    let audio = meeting.stream("PA_a");
    let jammed = Device {
        network: 800 * MS,
        ..DEVICE
    };
    let badly = Device {
        network: 4000 * MS,
        ..DEVICE
    };
    meeting.packets(audio, &DEVICE, &AUDIO, 0..60 * SEC);
    meeting.packets(audio, &jammed, &AUDIO, 60 * SEC..85 * SEC);
    meeting.packets(audio, &DEVICE, &AUDIO, 86 * SEC..120 * SEC);
    meeting.packets(audio, &badly, &AUDIO, 120 * SEC..124 * SEC);
    meeting.packets(audio, &DEVICE, &AUDIO, 129 * SEC..180 * SEC);
    meeting.happen();
    let worst = worst(&meeting, audio, &AUDIO, 0..180 * SEC, |time| {
        DEVICE.expected(time, &AUDIO)
    });
    assert!(worst <= 12, "off by {worst} ms");
}

#[test]
fn a_jam_with_reports_may_last() {
    let mut meeting = Meeting::new();
    let badly = Device {
        network: 4000 * MS,
        ..DEVICE
    };
    let audio = meeting.stream("PA_a");
    for (device, range) in [(&DEVICE, 0..60), (&badly, 60..90), (&DEVICE, 95..150)] {
        meeting.packets(audio, device, &AUDIO, range.start * SEC..range.end * SEC);
        meeting.reports(audio, device, &AUDIO, range.start * SEC..range.end * SEC);
    }
    meeting.happen();
    let worst = worst(&meeting, audio, &AUDIO, 0..150 * SEC, |time| {
        DEVICE.expected(time, &AUDIO)
    });
    assert!(worst <= 20, "off by {worst} ms");
}

#[test]
fn lying_reports_are_not_believed() {
    let mut meeting = Meeting::new();
    let audio = meeting.both("PA_a", &DEVICE, &AUDIO, 0..300 * SEC);
    let video = meeting.both("PA_a", &DEVICE, &VIDEO, 0..300 * SEC);
    for second in [31, 97, 98, 200] {
        let at = START + second * SEC + 40 * MS;
        meeting.report(video, &VIDEO, second * SEC, 5 * SEC, at);
        meeting.report(
            audio,
            &AUDIO,
            second * SEC,
            DEVICE.wall(second * SEC) + second % 7 * SEC - 3 * SEC,
            at,
        );
        meeting.report(video, &VIDEO, (second - 30) * SEC, DEVICE.wall(second * SEC), at);
    }
    meeting.happen();
    let expected = |time| DEVICE.expected(time, &AUDIO);
    assert!(worst(&meeting, audio, &AUDIO, 0..300 * SEC, expected) <= 4);
    assert!(worst(&meeting, video, &VIDEO, 0..300 * SEC, expected) <= 4);
}

#[test]
fn a_report_of_a_sender_that_was_held_up_moves_nothing() {
    for held_up in [1, 4, 7, 10, 13] {
        let mut meeting = Meeting::new();
        let video = meeting.both("PA_a", &DEVICE, &VIDEO, 0..15 * SEC);
        let audio = meeting.stream("PA_a");
        meeting.packets(audio, &DEVICE, &AUDIO, 0..15 * SEC);
        for second in [1, 4, 7, 10, 13] {
            let late = if second == held_up { 85 * MS } else { 0 };
            let (wall, at) = (DEVICE.wall(second * SEC) + late, START + second * SEC + 40 * MS);
            meeting.report(audio, &AUDIO, second * SEC, wall, at);
        }
        meeting.happen();
        let expected = |time| DEVICE.expected(time, &AUDIO);
        let worst = [(audio, &AUDIO), (video, &VIDEO)].map(|(s, of)| worst(&meeting, s, of, 0..15 * SEC, expected));
        assert!(
            worst.into_iter().all(|worst| worst <= 4),
            "{worst:?} ms, by the report after {held_up} s"
        );
    }
}

#[test]
fn a_first_report_that_lies_is_outvoted() {
    let mut meeting = Meeting::new();
    let audio = meeting.both("PA_a", &DEVICE, &AUDIO, 0..120 * SEC);
    let video = meeting.both("PA_a", &DEVICE, &VIDEO, 0..120 * SEC);
    meeting.report(
        video,
        &VIDEO,
        SEC / 2,
        DEVICE.wall(0) + 700 * MS,
        START + SEC / 2 + 40 * MS,
    );
    meeting.happen();
    let expected = |time| DEVICE.expected(time, &AUDIO);
    assert!(worst(&meeting, video, &VIDEO, 0..120 * SEC, expected) <= 4);
    assert!(worst(&meeting, audio, &AUDIO, 0..120 * SEC, expected) <= 4);
}

#[test]
fn a_wall_clock_that_is_set_moves_nobody() {
    let set = Device {
        wall_off: DEVICE.wall_off - 1700 * MS,
        ..DEVICE
    };
    let mut meeting = Meeting::new();
    let audio = meeting.stream("PA_a");
    let video = meeting.stream("PA_a");
    for (stream, source) in [(audio, &AUDIO), (video, &VIDEO)] {
        meeting.packets(stream, &DEVICE, source, 0..240 * SEC);
        meeting.reports(stream, &DEVICE, source, SEC..100 * SEC);
        meeting.reports(stream, &set, source, 100 * SEC..240 * SEC);
    }
    // Published only afterwards: its reports know the new time alone.
    let screen = Source {
        encoder: 90 * MS,
        first_ticks: 1 << 34,
        ..VIDEO
    };
    let late = meeting.both("PA_a", &set, &screen, 150 * SEC..240 * SEC);
    meeting.happen();
    let expected = |time| DEVICE.expected(time, &AUDIO);
    for (stream, source, from) in [(audio, &AUDIO, 0), (video, &VIDEO, 0), (late, &screen, 150)] {
        let worst = worst(&meeting, stream, source, from * SEC..240 * SEC, expected);
        assert!(worst <= 10, "off by {worst} ms");
    }
}

#[test]
fn timestamps_that_jump_start_a_new_count() {
    let mut meeting = Meeting::new();
    let audio = meeting.stream("PA_a");
    let ahead = Source {
        first_ticks: AUDIO.first_ticks + 48_000 * 500,
        ..AUDIO
    };
    let held = Source {
        first_ticks: ahead.first_ticks - 48_000 * 60,
        ..AUDIO
    };
    for (source, range) in [(&AUDIO, 0..100), (&ahead, 100..200), (&held, 261..300)] {
        meeting.packets(audio, &DEVICE, source, range.start * SEC..range.end * SEC);
        meeting.reports(audio, &DEVICE, source, (range.start + 1) * SEC..range.end * SEC);
    }
    meeting.happen();
    let expected = |time| DEVICE.expected(time, &AUDIO);
    assert!(worst(&meeting, audio, &AUDIO, 0..100 * SEC, expected) <= 4);
    assert!(worst(&meeting, audio, &ahead, 100 * SEC..200 * SEC, expected) <= 4);
    assert!(worst(&meeting, audio, &held, 261 * SEC..300 * SEC, expected) <= 4);
}

#[test]
fn after_our_restart_time_goes_on() {
    let mut meeting = Meeting::new();
    let before = meeting.both("PA_a", &DEVICE, &AUDIO, 0..60 * SEC);
    meeting.happen();
    // Our clock was set anew, two hours early; ten seconds passed.
    let set_back = 7200 * SEC;
    meeting.timeline.restarted(arrival(START + 70 * SEC - set_back));
    let republished = Source {
        first_ticks: 1 << 35,
        ..AUDIO
    };
    let after = meeting.stream("PA_a");
    for time in (70 * SEC..90 * SEC).step_by(20 * MS as usize) {
        let at = DEVICE.arrival(time, &republished, &mut meeting.random) - set_back;
        meeting.timeline.packet(after, republished.media(time), arrival(at));
    }
    let end = meeting.position(before, AUDIO.media(60 * SEC));
    let start = meeting.position(after, republished.media(70 * SEC));
    assert!(
        (end..end + SEC).contains(&start),
        "{start} follows {end}: how long we were away, our clock cannot say"
    );
    let length = meeting.position(after, republished.media(90 * SEC)) - start;
    assert!((length - 20 * SEC).abs() < 10 * MS, "{length}");

    // Set forward, or not at all, the time we were away stands as a gap.
    let mut meeting = Meeting::new();
    meeting.both("PA_a", &DEVICE, &AUDIO, 0..60 * SEC);
    meeting.happen();
    meeting.timeline.restarted(arrival(START + 70 * SEC));
    assert_eq!(
        meeting.timeline.at(arrival(START + 70 * SEC)),
        Position::from_millis(70_000)
    );
}

#[test]
fn events_stand_at_their_arrival() {
    let timeline = Timeline::new(arrival(START));
    assert_eq!(timeline.at(arrival(START + 5 * SEC)), Position::from_millis(5000));
    assert_eq!(timeline.at(arrival(START - 5 * SEC)), Position::ZERO);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever arrives whenever, time does not go back.
    #[test]
    fn positions_never_decrease(
        packets in vec((0_u64..400_000, 0_u64..3_000), 1..300),
        jumps in vec((0_usize..300, 0_u64..90_000_000), 0..4),
        reports in vec((0_usize..300, any::<u64>(), -400_000_i64..400_000), 0..40),
        other in vec((0_usize..300, 0_u64..20_000_000_000), 0..40),
    ) {
        let mut timeline = Timeline::new(arrival(START));
        let participant = ParticipantSid::new("PA_x").unwrap();
        let (stream, second) = (timeline.add_stream(&participant), timeline.add_stream(&participant));
        let (mut ticks, mut at) = (1_u64 << 32, START as u64);
        let mut asked = Vec::new();
        for (index, (step, wait_ms)) in packets.into_iter().enumerate() {
            ticks += step / 4 + jumps.iter().filter(|jump| jump.0 == index).map(|jump| jump.1).sum::<u64>();
            at += wait_ms * 1_000_000;
            timeline.packet(stream, MediaTime::new(ticks, ClockRate::VIDEO), Arrival::from_nanos(at));
            for (_, wall, off) in reports.iter().filter(|report| report.0 == index) {
                let media = MediaTime::new(ticks.saturating_add_signed(*off), ClockRate::VIDEO);
                let wall = if wall % 3 == 0 { WallTime::from_nanos(*wall) } else { WallTime::from_nanos(at + wall % 500_000_000) };
                timeline.report(stream, media, wall, Arrival::from_nanos(at));
            }
            for (_, media) in other.iter().filter(|other| other.0 == index) {
                timeline.packet(second, MediaTime::new(*media, ClockRate::OPUS), Arrival::from_nanos(at));
                timeline.report(second, MediaTime::new(*media, ClockRate::OPUS), WallTime::from_nanos(at), Arrival::from_nanos(at));
            }
            asked.extend([ticks.saturating_sub(step), ticks, ticks + step]);
        }
        asked.sort_unstable();
        let clock = timeline.clock(stream);
        let positions: Vec<_> =
            asked.iter().map(|ticks| clock.position(MediaTime::new(*ticks, ClockRate::VIDEO)).unwrap()).collect();
        prop_assert!(positions.is_sorted(), "{positions:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Whatever a device's clocks, encoders and network are like, what was said is heard when lips are seen to move, and
    /// neither far from when it reached us.
    #[test]
    fn any_device_is_in_step_with_itself(
        wall_off in -86_400 * SEC..86_400 * SEC,
        (wall_ppm, audio_ppm, video_ppm) in (-80_i64..80, -200_i64..200, -50_i64..50),
        (network, jitter) in (MS..200 * MS, 0..30 * MS),
        (audio_encoder, video_encoder) in (0..60 * MS, 0..150 * MS),
        reports_every in SEC..6 * SEC,
        joined in 0..100 * SEC,
    ) {
        let device = Device { wall_off, wall_ppm, network, jitter };
        let audio = Source { sampling_ppm: audio_ppm, encoder: audio_encoder, reports_every, ..AUDIO };
        let video = Source { sampling_ppm: video_ppm, encoder: video_encoder, reports_every, ..VIDEO };
        let mut meeting = Meeting::new();
        let range = joined..joined + 300 * SEC;
        let audio_stream = meeting.both("PA_a", &device, &audio, range.clone());
        let video_stream = meeting.both("PA_a", &device, &video, range.clone());
        meeting.happen();
        let (heard, seen) = (meeting.timeline.clock(audio_stream), meeting.timeline.clock(video_stream));
        let fastest = if audio_encoder < video_encoder { &audio } else { &video };
        for time in range.step_by(SEC as usize) {
            let heard = heard.position(audio.media(time)).unwrap().as_nanos() as i64;
            let seen = seen.position(video.media(time)).unwrap().as_nanos() as i64;
            prop_assert!((heard - seen).abs() <= 6 * MS, "apart by {} ns", heard - seen);
            let late = heard - device.expected(time, fastest);
            prop_assert!((-10 * MS..15 * MS).contains(&late), "late by {late} ns at {} s", time / SEC);
        }
    }
}
