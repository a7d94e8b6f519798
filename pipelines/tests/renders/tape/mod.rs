//! Recordings of meetings that never took place: journals as the recorder writes them, of media that is known, with whatever
//! loss, mute, rejoin or clock a test wants.
//!
//! Times are seconds after the tape's zero, the recording's first event. Peers beep and flash at whole seconds, so
//! transitions belong at half seconds.

mod clip;

use std::{
    collections::BTreeMap,
    fs::File,
    path::{Path, PathBuf},
};

use anyhow::Result;
use bytes::Bytes;
use clip::Clip;
use greffier_media::{
    codec::{Codec, Dims, MediaKind},
    ids::{ParticipantIdentity, ParticipantSid, RecordingId, RoomName, SegmentIndex, TrackSid},
    journal::{
        Encryption, PayloadType, RoomEvent, SegmentWriter, TrackChannel, TrackSource,
        event::{ParticipantInfo, ParticipantKind, Permissions, RoomInfo, Speaker, StopReason, TrackInfo},
    },
    time::{Arrival, NtpTime, WallTime},
};
use greffier_tests::{PeerTruth, Source, Take, Wall, generate::Clip as Generated, meeting::Moment};
use rtc_rtp::{
    codec::{av1::Av1Payloader, h264::H264Payloader, opus::OpusPayloader, vp8::Vp8Payloader, vp9::Vp9Payloader},
    packetizer::Payloader,
};

/// The tape's zero: a whole second.
pub const START: i64 = 1_795_410_284;
/// Bytes of a packet's payload at most.
const MTU: usize = 1160;
const MILLIS: f64 = 1e-3;

pub struct Tape {
    items: Vec<(f64, What)>,
    channels: Vec<TrackChannel>,
    truths: BTreeMap<String, PeerTruth>,
    next_sid: u32,
    end: f64,
}

enum What {
    Event(RoomEvent),
    Rtp(usize, Vec<u8>),
    Rtcp(usize, Vec<u8>),
}

/// Somebody in the room, once.
#[derive(Clone)]
pub struct Person {
    pub sid: ParticipantSid,
    pub identity: ParticipantIdentity,
    pub name: String,
    /// Index of tone and colour.
    pub peer: usize,
    /// By how many seconds their wall clock is ahead of ours.
    pub wall_ahead: f64,
    /// How long their packets take, in seconds.
    pub network: f64,
}

/// What somebody publishes.
#[derive(Clone)]
pub struct Publication {
    pub source: TrackSource,
    pub codec: Codec,
    /// Live from when to when, in what size. A hole between two is a mute, another size a switch of layers.
    pub pieces: Vec<Piece>,
    pub fps: u32,
    pub kbps: u32,
    pub key_every: u32,
    /// How long the encoder takes, in seconds.
    pub encoder: f64,
    /// Which packets of the stream are lost.
    pub lose: fn(u64) -> bool,
    pub reports: bool,
    pub encryption: Encryption,
    /// Another name for the codec than its own.
    pub mime: Option<&'static str>,
}

#[derive(Clone, Copy)]
pub struct Piece {
    pub from: f64,
    pub to: f64,
    pub size: (usize, usize),
}

impl Publication {
    pub fn camera(codec: Codec, from: f64, to: f64) -> Self {
        Self {
            source: TrackSource::Camera,
            codec,
            pieces: vec![Piece {
                from,
                to,
                size: (320, 180),
            }],
            fps: 20,
            kbps: 300,
            key_every: 10_000,
            encoder: 0.015,
            lose: |_| false,
            reports: true,
            encryption: Encryption::None,
            mime: None,
        }
    }

    pub fn microphone(from: f64, to: f64) -> Self {
        Self {
            source: TrackSource::Microphone,
            encoder: 0.005,
            ..Self::camera(Codec::Opus, from, to)
        }
    }

    pub fn screen(codec: Codec, from: f64, to: f64) -> Self {
        let mut this = Self {
            source: TrackSource::ScreenShare,
            fps: 10,
            ..Self::camera(codec, from, to)
        };
        this.pieces[0].size = (640, 360);
        this
    }

    pub fn screen_sound(from: f64, to: f64) -> Self {
        Self {
            source: TrackSource::ScreenShareAudio,
            ..Self::microphone(from, to)
        }
    }

    pub fn size(mut self, width: usize, height: usize) -> Self {
        for piece in &mut self.pieces {
            piece.size = (width, height);
        }
        self
    }

    /// Goes on with this; what lies between is muted.
    pub fn then(mut self, from: f64, to: f64, size: (usize, usize)) -> Self {
        self.pieces.push(Piece { from, to, size });
        self
    }

    pub fn losing(self, lose: fn(u64) -> bool) -> Self {
        Self { lose, ..self }
    }

    fn kind(&self) -> MediaKind {
        self.codec.kind()
    }

    fn harness_source(&self) -> Source {
        match self.source {
            TrackSource::Microphone => Source::Microphone,
            TrackSource::ScreenShare => Source::ScreenShare,
            TrackSource::ScreenShareAudio => Source::ScreenShareAudio,
            _ => Source::Camera,
        }
    }
}

impl Tape {
    pub fn new() -> Self {
        let mut tape = Self {
            items: Vec::new(),
            channels: Vec::new(),
            truths: BTreeMap::new(),
            next_sid: 0,
            end: 0.0,
        };
        tape.event(
            0.0,
            RoomEvent::RecordingStarted {
                recording: recording(),
                room: room(),
                room_sid: None,
                agent: "tape".into(),
            },
        );
        tape
    }

    pub fn event(&mut self, at: f64, event: RoomEvent) {
        self.end = self.end.max(at);
        self.items.push((at, What::Event(event)));
    }

    /// Somebody comes in. The same name is the same identity.
    pub fn join(&mut self, at: f64, name: &str, peer: usize) -> Person {
        let person = Person {
            sid: ParticipantSid::new(&self.sid("PA")).unwrap(),
            identity: ParticipantIdentity::new(&name.to_lowercase()).unwrap(),
            name: name.to_owned(),
            peer,
            wall_ahead: 3.0 * peer as f64 - 7.0,
            network: 0.020 + 0.005 * peer as f64,
        };
        self.event(
            at,
            RoomEvent::ParticipantJoined {
                participant: info(&person),
            },
        );
        let identity = person.identity.to_string();
        self.truths.entry(identity.clone()).or_insert_with(|| {
            let mut truth = Generated::new(peer, 1).truth();
            truth.identity = identity;
            truth.takes.clear();
            truth
        });
        person
    }

    pub fn leave(&mut self, at: f64, person: &Person) {
        let (participant, identity) = (person.sid.clone(), person.identity.clone());
        self.event(
            at,
            RoomEvent::ParticipantLeft {
                participant,
                identity,
                reason: None,
            },
        );
    }

    pub fn speaks(&mut self, at: f64, person: &Person) {
        let speakers = vec![Speaker {
            participant: person.sid.clone(),
            level: 0.5,
        }];
        self.event(at, RoomEvent::ActiveSpeakers { speakers });
    }

    /// The recording ends here.
    pub fn stop(&mut self, at: f64) {
        self.event(
            at,
            RoomEvent::RecordingStopped {
                reason: StopReason::Requested,
            },
        );
        self.event(at + MILLIS, RoomEvent::RecordingSealed);
    }

    /// Publishes, with all events and packets that belong to it.
    pub fn publish(&mut self, person: &Person, publication: &Publication) -> Result<TrackSid> {
        let track = TrackSid::new(&self.sid("TR"))?;
        let (first, last) = (publication.pieces[0].from, publication.pieces.last().unwrap().to);
        let ssrc = 0x1000_0000 + self.next_sid;
        let mime = publication.mime.unwrap_or(publication.codec.mime()).to_owned();
        let participant = person.sid.clone();
        let dims = publication.pieces.iter().map(|piece| piece.size).max().unwrap();
        let published = TrackInfo {
            sid: track.clone(),
            name: String::new(),
            kind: publication.kind(),
            source: publication.source,
            mime: mime.clone(),
            muted: false,
            dims: (publication.kind() == MediaKind::Video).then(|| Dims::new(dims.0 as u32, dims.1 as u32)),
            simulcast: false,
            encryption: publication.encryption,
            subscribed: true,
        };
        self.event(
            first - 0.3,
            RoomEvent::TrackPublished {
                participant: participant.clone(),
                track: published,
            },
        );
        let subscribed = RoomEvent::TrackSubscribed {
            participant: participant.clone(),
            track: track.clone(),
            ssrc,
            mime: mime.clone(),
        };
        self.event(first, subscribed);
        for pair in publication.pieces.windows(2) {
            if pair[1].from > pair[0].to {
                let (participant, track) = (participant.clone(), track.clone());
                self.event(
                    pair[0].to,
                    RoomEvent::TrackMuted {
                        participant: participant.clone(),
                        track: track.clone(),
                    },
                );
                self.event(pair[1].from, RoomEvent::TrackUnmuted { participant, track });
            }
        }
        self.event(
            last + 0.1,
            RoomEvent::TrackUnpublished {
                participant,
                track: track.clone(),
            },
        );
        self.channels.push(channel(person, publication, &track, ssrc, mime));
        self.send(person, publication, ssrc)?;
        let take = take(publication, &track);
        self.truths.get_mut(person.identity.as_str()).unwrap().takes.push(take);
        Ok(track)
    }

    /// What somebody did.
    pub fn truth(&self, identity: &str) -> &PeerTruth {
        &self.truths[identity]
    }

    /// Leaves out what reached us from here to there, as a pause or an absence does. Events stay.
    pub fn cut(&mut self, from: f64, to: f64) {
        self.items
            .retain(|(at, what)| matches!(what, What::Event(_)) || !(from..to).contains(at));
    }

    /// Packets of the last publication.
    fn send(&mut self, person: &Person, publication: &Publication, ssrc: u32) -> Result<()> {
        let channel = self.channels.len() - 1;
        let rate = publication.codec.clock_rate();
        // Any first number and time stamp; both wrap soon.
        let mut sequence = 65_500_u16.wrapping_add(ssrc as u16);
        let base = u32::MAX - 20_000;
        let timestamp = |at: f64| base.wrapping_add((at * f64::from(rate.hz())).round() as u64 as u32);
        let mut payloader = payloader(publication.codec);
        let (mut sent, mut next_report) = (0_u64, f64::NEG_INFINITY);
        for piece in &publication.pieces {
            let clip = Clip {
                peer: person.peer,
                source: publication.harness_source(),
                codec: publication.codec,
                size: piece.size,
                fps: publication.fps,
                kbps: publication.kbps,
                start: START,
                from: piece.from,
                to: piece.to,
                key_every: publication.key_every,
            };
            for frame in clip.encode()?.iter() {
                let arrival = frame.at + publication.encoder + person.network;
                if publication.reports && frame.at >= next_report {
                    let report = sender_report(ssrc, timestamp(frame.at), START as f64 + frame.at + person.wall_ahead);
                    self.put(arrival + 0.5 * MILLIS, What::Rtcp(channel, report));
                    next_report = frame.at + 1.0;
                }
                let payloads = payloader.payload(MTU, &frame.data)?;
                let last = payloads.len() - 1;
                for (index, payload) in payloads.into_iter().enumerate() {
                    let marker = index == last && publication.kind() == MediaKind::Video;
                    let packet = rtp(
                        payload_type(publication.codec),
                        marker,
                        sequence,
                        timestamp(frame.at),
                        ssrc,
                        &payload,
                    );
                    if !(publication.lose)(sent) {
                        self.put(arrival + index as f64 * 0.1 * MILLIS, What::Rtp(channel, packet));
                    }
                    sequence = sequence.wrapping_add(1);
                    sent += 1;
                }
            }
        }
        Ok(())
    }

    fn put(&mut self, at: f64, what: What) {
        self.end = self.end.max(at);
        self.items.push((at, what));
    }

    fn sid(&mut self, prefix: &str) -> String {
        self.next_sid += 1;
        format!("{prefix}_tape{:04}", self.next_sid)
    }

    /// Writes the journal in so many segments of equal length.
    pub fn write(mut self, folder: &Path, segments: u32) -> Result<Written> {
        self.items.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        let length = self.end / f64::from(segments) + MILLIS;
        let mut paths = Vec::new();
        let mut people: Vec<ParticipantInfo> = Vec::new();
        let mut items = self.items.iter().peekable();
        for index in 0..segments {
            let path = folder.join(format!("journal-{index:05}.mcap"));
            let mut writer = SegmentWriter::new(File::create(&path)?)?;
            let from = f64::from(index) * length;
            let snapshot = RoomEvent::Snapshot {
                recording: recording(),
                segment: SegmentIndex(index),
                room: RoomInfo {
                    name: room(),
                    sid: None,
                    metadata: String::new(),
                },
                paused: false,
                participants: people.clone(),
            };
            if index > 0 {
                writer.write_room(arrival(from), &snapshot)?;
            }
            let mut flushed = from;
            while let Some((at, what)) = items.next_if(|(at, _)| *at < from + length) {
                match what {
                    What::Event(event) => {
                        follow(&mut people, event);
                        writer.write_room(arrival(*at), event)?;
                    }
                    What::Rtp(channel, packet) => {
                        let id = writer.add_rtp(&self.channels[*channel])?;
                        writer.write(id, arrival(*at), None, packet)?;
                    }
                    What::Rtcp(channel, packet) => {
                        let id = writer.add_rtcp(&self.channels[*channel])?;
                        writer.write(id, arrival(*at), None, packet)?;
                    }
                }
                if *at > flushed + 0.1 {
                    writer.flush()?;
                    flushed = *at;
                }
            }
            writer.finish()?;
            paths.push(path);
        }
        Ok(Written {
            segments: paths,
            truths: self.truths,
        })
    }
}

/// A tape on disk.
pub struct Written {
    pub segments: Vec<PathBuf>,
    truths: BTreeMap<String, PeerTruth>,
}

impl Written {
    pub fn truth(&self, identity: &str) -> &PeerTruth {
        &self.truths[identity]
    }
}

/// The wall time of the tape's zero.
pub fn origin() -> Wall {
    Wall(START as f64)
}

pub fn recording() -> RecordingId {
    RecordingId::from_parts(START as u64 * 1000, 7)
}

fn room() -> RoomName {
    RoomName::new("démo").unwrap()
}

pub fn arrival(at: f64) -> Arrival {
    Arrival::from_nanos((START as u64) * 1_000_000_000 + (at.max(0.0) * 1e9).round() as u64)
}

fn info(person: &Person) -> ParticipantInfo {
    ParticipantInfo {
        sid: person.sid.clone(),
        identity: person.identity.clone(),
        name: person.name.clone(),
        kind: ParticipantKind::Standard,
        metadata: String::new(),
        attributes: BTreeMap::new(),
        permissions: Permissions {
            can_publish: true,
            ..Permissions::default()
        },
        joined_at: None,
        tracks: Vec::new(),
    }
}

/// Keeps the list of people as the recorder does for its snapshots.
fn follow(people: &mut Vec<ParticipantInfo>, event: &RoomEvent) {
    let set_muted = |people: &mut Vec<ParticipantInfo>, sid: &TrackSid, muted| {
        for track in people
            .iter_mut()
            .flat_map(|person| &mut person.tracks)
            .filter(|track| track.sid == *sid)
        {
            track.muted = muted;
        }
    };
    match event {
        RoomEvent::ParticipantJoined { participant } => people.push(participant.clone()),
        RoomEvent::ParticipantLeft { participant, .. } => people.retain(|person| person.sid != *participant),
        RoomEvent::TrackPublished { participant, track } => {
            for person in people.iter_mut().filter(|person| person.sid == *participant) {
                person.tracks.push(track.clone());
            }
        }
        RoomEvent::TrackUnpublished { track, .. } => {
            for person in people {
                person.tracks.retain(|known| known.sid != *track);
            }
        }
        RoomEvent::TrackMuted { track, .. } => set_muted(people, track, true),
        RoomEvent::TrackUnmuted { track, .. } => set_muted(people, track, false),
        _ => {}
    }
}

fn channel(person: &Person, publication: &Publication, track: &TrackSid, ssrc: u32, mime: String) -> TrackChannel {
    TrackChannel {
        track: track.clone(),
        track_name: String::new(),
        participant: person.sid.clone(),
        identity: person.identity.clone(),
        participant_name: person.name.clone(),
        source: publication.source,
        kind: publication.kind(),
        clock_rate: publication.codec.clock_rate(),
        channels: if publication.kind() == MediaKind::Audio { 2 } else { 0 },
        fmtp: String::new(),
        ssrc,
        payload_types: vec![PayloadType {
            number: payload_type(publication.codec),
            mime: mime.clone(),
        }],
        encryption: publication.encryption,
        mime,
    }
}

fn take(publication: &Publication, track: &TrackSid) -> Take {
    let wall = |at: f64| Wall(START as f64 + at);
    let (first, last) = (publication.pieces[0].from, publication.pieces.last().unwrap().to);
    let mutes: Vec<_> = publication
        .pieces
        .windows(2)
        .filter(|pair| pair[1].from > pair[0].to)
        .map(|pair| (pair[0].to, pair[1].from))
        .collect();
    let is_muted = |at: f64| mutes.iter().any(|(from, to)| (*from..*to).contains(&at));
    let seconds = first.ceil() as i64..last.ceil() as i64;
    Take {
        source: publication.harness_source(),
        sid: track.to_string(),
        mime: None,
        first: wall(first),
        last: wall(last),
        mutes: mutes.iter().map(|(from, to)| (wall(*from), wall(*to))).collect(),
        moments: seconds
            .map(|second| Moment {
                second: START + second,
                late: 0.0,
                muted: is_muted(second as f64),
            })
            .collect(),
        disturbed: Vec::new(),
        layers: Vec::new(),
    }
}

fn payload_type(codec: Codec) -> u8 {
    match codec {
        Codec::Opus => 111,
        Codec::Vp8 => 96,
        Codec::Vp9 => 98,
        Codec::H264 => 125,
        _ => 45,
    }
}

fn payloader(codec: Codec) -> Box<dyn Payloader> {
    match codec {
        Codec::Opus => Box::new(OpusPayloader),
        Codec::Vp8 => {
            let mut payloader = Vp8Payloader::default();
            payloader.enable_picture_id = true;
            Box::new(payloader)
        }
        Codec::Vp9 => Box::new(Vp9Payloader::default()),
        Codec::H264 => Box::new(H264Payloader::default()),
        _ => Box::new(Av1Payloader::default()),
    }
}

fn rtp(payload_type: u8, marker: bool, sequence: u16, timestamp: u32, ssrc: u32, payload: &Bytes) -> Vec<u8> {
    let mut packet = vec![0x80, payload_type | u8::from(marker) << 7];
    packet.extend(sequence.to_be_bytes());
    packet.extend(timestamp.to_be_bytes());
    packet.extend(ssrc.to_be_bytes());
    packet.extend_from_slice(payload);
    packet
}

fn sender_report(ssrc: u32, timestamp: u32, wall: f64) -> Vec<u8> {
    let ntp = NtpTime::from_wall(WallTime::from_nanos((wall * 1e9) as u64));
    let mut report = vec![0x80, 200, 0, 6];
    report.extend(ssrc.to_be_bytes());
    report.extend(ntp.0.to_be_bytes());
    report.extend(timestamp.to_be_bytes());
    report.extend([0; 8]);
    report
}
