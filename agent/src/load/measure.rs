//! What is measured, in a form that adds up: over participants, over seconds, over processes.

mod times;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use self::times::{Summary, Times};

/// Packets that were expected, and what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Packets {
    pub expected: u64,
    /// Distinct packets, repaired ones included.
    pub received: u64,
    /// RTP payload.
    pub bytes: u64,
    pub repaired: u64,
    /// Not there after repair; who lost them is said below.
    pub lost: u64,
    /// Of the lost: by a network that the scenario made bad.
    pub lost_by_impairment: u64,
    /// Of those: on the publisher's way up, so that the server never had them.
    pub lost_upstream: u64,
    /// Of the lost: by this tester's own sockets and queues.
    pub lost_by_tester: u64,
    /// Of the lost: the rest.
    pub lost_by_server: u64,
}

impl Packets {
    pub fn add(&mut self, other: &Self) {
        self.expected += other.expected;
        self.received += other.received;
        self.bytes += other.bytes;
        self.repaired += other.repaired;
        self.lost += other.lost;
        self.lost_by_impairment += other.lost_by_impairment;
        self.lost_upstream += other.lost_upstream;
        self.lost_by_tester += other.lost_by_tester;
        self.lost_by_server += other.lost_by_server;
    }

    /// Of those expected, 0 to 1.
    pub fn loss(&self) -> f64 {
        self.lost as f64 / self.expected.max(1) as f64
    }
}

/// Pictures that were to be seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pictures {
    pub frames: u64,
    pub key_frames: u64,
    pub freezes: u64,
    /// Seconds.
    pub frozen: f64,
    /// Seconds of track that were to be seen.
    pub watched: f64,
    /// Of these: in the layer that was asked for, a smaller, a larger one.
    pub layer_as_asked: f64,
    pub layer_smaller: f64,
    pub layer_larger: f64,
}

impl Pictures {
    pub fn add(&mut self, other: &Self) {
        self.frames += other.frames;
        self.key_frames += other.key_frames;
        self.freezes += other.freezes;
        self.frozen += other.frozen;
        self.watched += other.watched;
        self.layer_as_asked += other.layer_as_asked;
        self.layer_smaller += other.layer_smaller;
        self.layer_larger += other.layer_larger;
    }
}

/// What one room, one codec, or everything together received.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Received {
    /// Tracks that were subscribed, one after the other counted each.
    pub tracks: u64,
    /// Of these: to be heard, or seen, for longer than a start takes, and nothing ever came.
    pub never_heard: u64,
    pub never_seen: u64,
    /// Tracks that others published and that were never subscribed; not among `tracks`.
    pub not_subscribed: u64,
    pub audio: Packets,
    pub video: Packets,
    pub pictures: Pictures,
}

impl Received {
    pub fn add(&mut self, other: &Self) {
        self.tracks += other.tracks;
        self.never_heard += other.never_heard;
        self.never_seen += other.never_seen;
        self.not_subscribed += other.not_subscribed;
        self.audio.add(&other.audio);
        self.video.add(&other.video);
        self.pictures.add(&other.pictures);
    }

    pub fn packets(&self) -> Packets {
        let mut packets = self.audio;
        packets.add(&self.video);
        packets
    }

    /// Tracks that should have been received and of which nothing came.
    pub fn missing(&self) -> u64 {
        self.never_heard + self.never_seen + self.not_subscribed
    }
}

/// What passed in one second, of a room or of a codec. In JSON four numbers: received, lost, bytes, freezes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "[u64; 4]", into = "[u64; 4]")]
pub struct Flow {
    pub received: u64,
    pub lost: u64,
    pub bytes: u64,
    pub freezes: u64,
}

impl From<[u64; 4]> for Flow {
    fn from([received, lost, bytes, freezes]: [u64; 4]) -> Self {
        Self {
            received,
            lost,
            bytes,
            freezes,
        }
    }
}

impl From<Flow> for [u64; 4] {
    fn from(flow: Flow) -> Self {
        [flow.received, flow.lost, flow.bytes, flow.freezes]
    }
}

impl Flow {
    pub fn add(&mut self, other: &Self) {
        self.received += other.received;
        self.lost += other.lost;
        self.bytes += other.bytes;
        self.freezes += other.freezes;
    }
}

/// What was carried of somebody's sound or pictures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Carried {
    /// RTP payload.
    pub bytes: u64,
    /// Seconds of speech.
    pub speech: f64,
    /// Turns: speech after a pause.
    pub turns: u64,
}

/// One person's sound or pictures of a recorded meeting, over all who listened to its replay: the same stretches of time
/// in the original and as received.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Replayed {
    pub listeners: u64,
    /// Seconds, over all listeners.
    pub seconds: f64,
    pub original: Carried,
    /// Without what was repeated.
    pub replayed: Carried,
    /// Bytes of key frames that were sent once more because somebody asked.
    pub repeated: u64,
}

impl Replayed {
    pub fn add(&mut self, other: &Self) {
        self.listeners += other.listeners;
        self.seconds += other.seconds;
        self.repeated += other.repeated;
        for (mine, theirs) in [
            (&mut self.original, &other.original),
            (&mut self.replayed, &other.replayed),
        ] {
            mine.bytes += theirs.bytes;
            mine.speech += theirs.speech;
            mine.turns += theirs.turns;
        }
    }

    /// The mean bit rate of one listener's track.
    pub fn kbits(&self, carried: &Carried) -> f64 {
        carried.bytes as f64 * 8e-3 / self.seconds.max(f64::EPSILON)
    }

    /// How far the bit rate is from the original's, as a share of it.
    pub fn bitrate_apart(&self) -> f64 {
        apart(self.original.bytes as f64, self.replayed.bytes as f64)
    }

    /// The same of turns and of the time spoken, whichever is further.
    pub fn turns_apart(&self) -> f64 {
        let turns = apart(self.original.turns as f64, self.replayed.turns as f64);
        turns.max(apart(self.original.speech, self.replayed.speech))
    }
}

/// The difference as a share of the first; all of it where there should be nothing.
pub fn apart(one: f64, other: f64) -> f64 {
    if one.max(other) <= 0.0 {
        return 0.0;
    }
    let whole = if one > 0.0 { one } else { other };
    (one - other).abs() / whole
}

/// Distributions over everybody.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TimesOf {
    /// From the call to being in the room.
    pub join: Times,
    /// From the call to the first packet of sound, the first decodable picture.
    pub first_audio: Times,
    pub first_video: Times,
    /// From sending to arrival at the kernel, by the time the sender wrote into the packet.
    pub audio_latency: Times,
    pub video_latency: Times,
    pub freeze: Times,
    pub round_trip: Times,
    /// Interarrival jitter (RFC 3550 §6.4.1) of each track, once a second.
    pub jitter: Times,
}

impl TimesOf {
    pub fn merge(&mut self, other: &Self) {
        self.join.merge(&other.join);
        self.first_audio.merge(&other.first_audio);
        self.first_video.merge(&other.first_video);
        self.audio_latency.merge(&other.audio_latency);
        self.video_latency.merge(&other.video_latency);
        self.freeze.merge(&other.freeze);
        self.round_trip.merge(&other.round_trip);
        self.jitter.merge(&other.jitter);
    }
}

/// Things that happened, by name.
pub type Events = BTreeMap<String, u64>;

/// What was sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SentTotals {
    pub packets: u64,
    /// RTP payload.
    pub bytes: u64,
    /// Packets that the participants' own bad networks lost.
    pub lost_by_impairment: u64,
    /// Frames left out because the tester was late.
    pub skipped: u64,
    pub key_frames_asked: u64,
}

impl SentTotals {
    pub fn add(&mut self, other: &Self) {
        self.packets += other.packets;
        self.bytes += other.bytes;
        self.lost_by_impairment += other.lost_by_impairment;
        self.skipped += other.skipped;
        self.key_frames_asked += other.key_frames_asked;
    }
}

/// How the tester itself was.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TesterHealth {
    /// Of one core, over its processes.
    pub cpu_percent: f64,
    pub rss_mebibytes: f64,
    /// Datagrams that its sockets dropped, and packets its own queues dropped.
    pub socket_drops: u64,
    /// How late packets were sent, at worst (99 %).
    pub send_lag_ms: f64,
    /// How late its event loop was, at worst.
    pub loop_lag_ms: f64,
    /// Of all processors of the machine, busy with anything.
    pub machine_percent: f64,
}

impl TesterHealth {
    /// Of another process at the same time.
    pub fn beside(&mut self, other: &Self) {
        self.cpu_percent += other.cpu_percent;
        self.rss_mebibytes += other.rss_mebibytes;
        self.socket_drops += other.socket_drops;
        self.send_lag_ms = self.send_lag_ms.max(other.send_lag_ms);
        self.loop_lag_ms = self.loop_lag_ms.max(other.loop_lag_ms);
        self.machine_percent = self.machine_percent.max(other.machine_percent);
    }
}

/// One second of a test.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tick {
    /// Since the start.
    pub second: u32,
    pub participants: u64,
    pub tracks: u64,
    pub joins: u64,
    /// In this second.
    pub received: u64,
    pub lost: u64,
    pub bytes: u64,
    pub sent: u64,
    pub freezes: u64,
    pub audio_latency: Times,
    pub video_latency: Times,
    pub rooms: BTreeMap<u32, Flow>,
    pub codecs: BTreeMap<String, Flow>,
    pub tester: TesterHealth,
}

impl Tick {
    /// Of another process in the same second.
    pub fn beside(&mut self, other: &Self) {
        self.participants += other.participants;
        self.tracks += other.tracks;
        self.joins += other.joins;
        self.received += other.received;
        self.lost += other.lost;
        self.bytes += other.bytes;
        self.sent += other.sent;
        self.freezes += other.freezes;
        self.audio_latency.merge(&other.audio_latency);
        self.video_latency.merge(&other.video_latency);
        for (room, flow) in &other.rooms {
            self.rooms.entry(*room).or_default().add(flow);
        }
        for (codec, flow) in &other.codecs {
            self.codecs.entry(codec.clone()).or_default().add(flow);
        }
        self.tester.beside(&other.tester);
    }
}

/// Everything a process has measured, at its end.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Measured {
    pub times: TimesOf,
    pub rooms: BTreeMap<u32, Received>,
    pub codecs: BTreeMap<String, Received>,
    /// By person and source, where a recording was played.
    pub replayed: BTreeMap<String, Replayed>,
    pub sent: SentTotals,
    /// Joins, reconnects, chat messages, key-frame requests …
    pub events: Events,
    /// By kind.
    pub errors: Events,
    /// The first error of each kind, in words.
    pub first_errors: BTreeMap<String, String>,
}

impl Measured {
    pub fn merge(&mut self, other: &Self) {
        self.times.merge(&other.times);
        merge_maps(&mut self.rooms, &other.rooms);
        merge_maps(&mut self.codecs, &other.codecs);
        for (who, replayed) in &other.replayed {
            self.replayed.entry(who.clone()).or_default().add(replayed);
        }
        self.sent.add(&other.sent);
        for (mine, theirs) in [(&mut self.events, &other.events), (&mut self.errors, &other.errors)] {
            for (name, count) in theirs {
                *mine.entry(name.clone()).or_default() += count;
            }
        }
        for (kind, words) in &other.first_errors {
            self.first_errors.entry(kind.clone()).or_insert_with(|| words.clone());
        }
    }

    /// Over all rooms.
    pub fn received(&self) -> Received {
        let mut sum = Received::default();
        self.rooms.values().for_each(|room| sum.add(room));
        sum
    }

    pub fn event(&self, name: &str) -> u64 {
        self.events.get(name).copied().unwrap_or_default()
    }
}

fn merge_maps<K: Ord + Clone>(mine: &mut BTreeMap<K, Received>, theirs: &BTreeMap<K, Received>) {
    for (key, received) in theirs {
        mine.entry(key.clone()).or_default().add(received);
    }
}

#[cfg(test)]
mod tests;
