//! Recordings written, surveyed, and read frame by frame: the whole way through this crate.

use super::*;
use crate::{
    frame::MediaUnit,
    ids::{ParticipantSid, RecordingId, RoomName, TrackSid},
    journal::{ChannelId, SegmentReader, SegmentWriter, channel::tests::microphone, event::StopReason},
    reorder::Patience,
    time::{NtpTime, WallTime},
    track::TrackReader,
};

const START_MS: u64 = 1_760_000_000_000;
/// The sender's clock is an hour ahead.
const WALL_AHEAD_MS: u64 = 3_600_000;

/// A recording in the making.
struct Tape {
    segments: Vec<Vec<u8>>,
    writer: SegmentWriter<Vec<u8>>,
    channels: HashMap<(u32, bool), ChannelId>,
}

impl Tape {
    fn new() -> Self {
        let writer = SegmentWriter::new(Vec::new()).unwrap();
        Self {
            segments: Vec::new(),
            writer,
            channels: HashMap::new(),
        }
    }

    fn next_segment(&mut self) {
        let writer = std::mem::replace(&mut self.writer, SegmentWriter::new(Vec::new()).unwrap());
        self.segments.push(writer.finish().unwrap().0);
        self.channels.clear();
    }

    fn event(&mut self, ms: u64, event: &RoomEvent) {
        self.writer.write_room(at(ms), event).unwrap();
    }

    fn channel(&mut self, ssrc: u32, reports: bool) -> ChannelId {
        let writer = &mut self.writer;
        *self.channels.entry((ssrc, reports)).or_insert_with(|| {
            if reports {
                writer.add_rtcp(&track(ssrc))
            } else {
                writer.add_rtp(&track(ssrc))
            }
            .unwrap()
        })
    }

    /// 20 ms of Opus each, said at `from..to`, arriving 40 ms later; timestamps wrap at three seconds. A report each second.
    fn talk(&mut self, ssrc: u32, from: u64, to: u64) {
        for ms in (from..to).step_by(20) {
            let rtp = rtp(ssrc, ms);
            let channel = self.channel(ssrc, false);
            self.writer.write(channel, at(ms + 40), None, &rtp).unwrap();
            if ms % 1000 == 500 {
                let channel = self.channel(ssrc, true);
                self.writer
                    .write(channel, at(ms + 41), None, &report(ssrc, ms))
                    .unwrap();
            }
        }
        self.writer.flush().unwrap();
    }

    fn survey(&mut self) -> Survey {
        self.next_segment();
        let mut survey = Survey::new();
        for segment in &self.segments {
            survey.begin_segment();
            for message in SegmentReader::new(&segment[..]).messages() {
                survey.message(&message.unwrap());
            }
        }
        survey
    }

    /// Positions of a stream's frames, read from the segment on that has this index.
    fn frames(&self, survey: &Survey, stream: &Stream, from_segment: usize) -> Vec<u64> {
        let clock = survey.clock(stream).unwrap();
        let mut reader = None;
        for segment in &self.segments[from_segment..] {
            for message in SegmentReader::new(&segment[..]).messages().map(Result::unwrap) {
                let of_stream = message.channel.track.as_ref() == Some(&stream.channel);
                if of_stream && matches!(message.channel.topic, Topic::Rtp(_)) {
                    let reader = reader.get_or_insert_with(|| {
                        let numbering = stream.numbering_at(message.arrival);
                        TrackReader::resume(&stream.channel, Patience::OFFLINE, numbering).unwrap()
                    });
                    let _ = reader.push(message.arrival, &message.data);
                }
            }
        }
        let mut reader = reader.unwrap();
        reader.finish();
        std::iter::from_fn(|| reader.poll())
            .filter_map(|unit| {
                if let MediaUnit::Frame(frame) = unit {
                    Some(frame)
                } else {
                    None
                }
            })
            .map(|frame| clock.position(frame.media_time).unwrap().as_millis())
            .collect()
    }
}

fn at(ms: u64) -> Arrival {
    Arrival::from_millis(START_MS + ms)
}

fn track(ssrc: u32) -> TrackChannel {
    let participant = ParticipantSid::new(&format!("PA_{ssrc}")).unwrap();
    TrackChannel {
        track: TrackSid::new(&format!("TR_{ssrc}")).unwrap(),
        participant,
        ssrc,
        ..microphone()
    }
}

fn timestamp(ms: u64) -> u32 {
    (ms * 48).wrapping_sub(3 * 48_000) as u32
}

fn rtp(ssrc: u32, ms: u64) -> Vec<u8> {
    let mut bytes = vec![0x80, 111];
    bytes.extend(((ms / 20) as u16).to_be_bytes());
    bytes.extend(timestamp(ms).to_be_bytes());
    bytes.extend(ssrc.to_be_bytes());
    bytes.extend([0xF8, 1, 2]);
    bytes
}

fn report(ssrc: u32, ms: u64) -> Vec<u8> {
    let ntp = NtpTime::from_wall(WallTime::from_millis(START_MS + ms + WALL_AHEAD_MS));
    let mut bytes = vec![0x80, 200, 0, 6];
    bytes.extend(ssrc.to_be_bytes());
    bytes.extend(ntp.0.to_be_bytes());
    bytes.extend(timestamp(ms).to_be_bytes());
    bytes.extend([0; 8]);
    bytes
}

fn started() -> RoomEvent {
    RoomEvent::RecordingStarted {
        recording: RecordingId::from_parts(START_MS, 1),
        room: RoomName::new("demo").unwrap(),
        room_sid: None,
        agent: "test".into(),
    }
}

#[test]
fn frames_stand_where_they_were_said() {
    let mut tape = Tape::new();
    tape.event(0, &started());
    tape.talk(1, 1000, 6000);
    tape.next_segment();
    tape.talk(1, 6000, 9000);
    tape.talk(2, 8000, 9000);
    let survey = tape.survey();
    let [ana, ben] = survey.streams() else {
        panic!("one stream per track, over segments")
    };
    assert_eq!((ana.packets, ben.packets), (400, 50));
    assert_eq!(ana.span, Some((at(1040), at(9020))));
    let expected: Vec<_> = (1000..9000).step_by(20).map(|ms| ms + 40).collect();
    assert_eq!(tape.frames(&survey, ana, 0), expected);
    assert_eq!(
        tape.frames(&survey, ana, 1),
        expected[250..],
        "reading from the middle, after a wrap"
    );
    assert_eq!(tape.frames(&survey, ben, 0), expected[350..]);
    assert_eq!(survey.length(), Position::from_millis(9020));
    assert_eq!((survey.events().len(), survey.unreadable()), (1, 0));
}

/// As a server does for a second after a mute: the first with the timestamp before, the others a guess ahead of time.
#[test]
fn what_a_server_makes_up_says_nothing_of_time() {
    let mut tape = Tape::new();
    tape.event(0, &started());
    tape.talk(1, 0, 2000);
    let channel = tape.channel(1, false);
    for ms in (2000..3000).step_by(20) {
        let mut filler = rtp(1, ms);
        let guess = if ms == 2000 {
            timestamp(1980)
        } else {
            timestamp(ms + 30)
        };
        filler[4..8].copy_from_slice(&guess.to_be_bytes());
        filler.truncate(12);
        filler.extend([0xF8, 0xFF, 0xFE]);
        filler.resize(12 + 80, 0);
        tape.writer.write(channel, at(ms + 40), None, &filler).unwrap();
    }
    tape.talk(1, 4000, 6000);
    let survey = tape.survey();
    let positions = tape.frames(&survey, &survey.streams()[0], 0);
    assert_eq!(positions.first(), Some(&40));
    assert_eq!(positions.last(), Some(&6020));
}

#[test]
fn pauses_and_their_ends() {
    let mut tape = Tape::new();
    tape.event(0, &started());
    tape.event(1000, &RoomEvent::RecordingPaused { by: None });
    tape.event(1500, &RoomEvent::RecordingPaused { by: Some("ana".into()) });
    tape.event(3000, &RoomEvent::RecordingResumed { by: None });
    tape.event(8000, &RoomEvent::RecordingPaused { by: None });
    tape.event(
        9000,
        &RoomEvent::RecordingStopped {
            reason: StopReason::Requested,
        },
    );
    let pauses = tape.survey().pauses();
    let ranges: Vec<_> = pauses
        .ranges()
        .iter()
        .map(|pause| (pause.start.as_millis(), pause.end.as_millis()))
        .collect();
    assert_eq!(ranges, [(1000, 3000), (8000, 9000)]);
}

#[test]
fn after_a_restart_the_same_ssrc_is_another_stream() {
    let mut tape = Tape::new();
    tape.event(0, &started());
    tape.talk(1, 0, 2000);
    tape.next_segment();
    tape.event(
        5000,
        &RoomEvent::Gap {
            from: at(2020),
            to: at(5000),
            reason: GapCause::Restart,
        },
    );
    tape.talk(1, 5000, 6000);
    let survey = tape.survey();
    let [before, after] = survey.streams() else {
        panic!("{:?}", survey.streams())
    };
    assert_eq!((before.packets, after.packets), (100, 50));
    assert_eq!(tape.frames(&survey, after, 1).first(), Some(&5040));
}

#[test]
fn what_cannot_be_read_is_counted_and_left() {
    let mut tape = Tape::new();
    tape.talk(1, 0, 1000);
    let channel = tape.channel(1, false);
    tape.writer.write(channel, at(1010), None, b"no packet").unwrap();
    tape.writer.write(channel, at(1020), None, &rtp(99, 1000)).unwrap();
    tape.talk(1, 1000, 2000);
    let survey = tape.survey();
    assert_eq!((survey.unreadable(), survey.streams()[0].packets), (2, 100));
    assert_eq!(tape.frames(&survey, &survey.streams()[0], 0).len(), 100);
    assert_eq!(Survey::new().length(), Position::ZERO);
}
