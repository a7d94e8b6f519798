//! What really happened in a meeting, by the peers' own account: the ground against which recordings are judged.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::Value;

use crate::analyse::Observation;
use crate::pattern::{Pattern, Source, Wall};
use crate::reception;

/// A beep or flash handed over later than this after its second, in seconds, says nothing about whoever recorded it: the
/// machine was too busy. Three frames of sound; a fourth part of the tolerance of a match.
pub const LATE_S: f64 = 0.060;
/// So large a part of the beeps or flashes may be late before the whole meeting is worthless as evidence.
pub const LATE_PART: f64 = 0.1;

/// A beep or flash as handed to libwebrtc.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moment {
    /// The whole second it stands for, since the Unix epoch.
    pub second: i64,
    /// How long after it the hand-over was, in seconds.
    pub late: f64,
    /// Whether the track was muted, so that nobody may hear or see it.
    pub muted: bool,
}

impl Moment {
    /// Whether it came too late to judge anybody by it.
    pub fn is_late(&self) -> bool {
        self.late > LATE_S
    }
}

/// One publication of a source, from publish to unpublish.
#[derive(Clone, Debug, PartialEq)]
pub struct Take {
    pub source: Source,
    /// The track's id.
    pub sid: String,
    /// The codec that libwebrtc reported (`video/VP8`, `audio/opus`), if the track lived long enough.
    pub mime: Option<String>,
    /// When the first and the last frame or picture were handed over.
    pub first: Wall,
    pub last: Wall,
    /// From when to when it was muted.
    pub mutes: Vec<(Wall, Wall)>,
    /// Its beeps or flashes.
    pub moments: Vec<Moment>,
    /// Seconds in which pictures were left out because the machine was too busy, or sound was late.
    pub disturbed: Vec<i64>,
    /// What was sent, layer by layer, by libwebrtc's statistics (JSON as the peer wrote it).
    pub layers: Vec<Value>,
}

impl Take {
    /// Stretches during which it was live: published and not muted.
    pub fn live(&self) -> Vec<(Wall, Wall)> {
        let mut live = Vec::new();
        let mut from = self.first;
        for &(muted, unmuted) in &self.mutes {
            live.push((from, muted));
            from = unmuted;
        }
        live.push((from, self.last));
        live.retain(|(from, to)| to.since(*from) > 0.0);
        live
    }
}

/// What one peer did.
#[derive(Clone, Debug)]
pub struct PeerTruth {
    pub identity: String,
    pub pattern: Pattern,
    /// What it published, in order.
    pub takes: Vec<Take>,
    /// Everything it told.
    pub facts: Vec<Value>,
    received: Vec<(String, Source, PathBuf)>,
}

/// What happened in a meeting.
#[derive(Clone, Debug)]
pub struct Truth {
    pub room: String,
    /// Second 0 of the plan.
    pub start: Wall,
    peers: Vec<PeerTruth>,
}

impl Truth {
    pub(crate) fn new(room: String, start: Wall, peers: Vec<PeerTruth>) -> Self {
        Self { room, start, peers }
    }

    /// What this peer did.
    ///
    /// # Panics
    /// If nobody of this name was in the plan.
    #[track_caller]
    pub fn peer(&self, identity: &str) -> &PeerTruth {
        self.peers
            .iter()
            .find(|peer| peer.identity == identity)
            .unwrap_or_else(|| panic!("nobody is called {identity}"))
    }

    /// Everybody.
    pub fn peers(&self) -> &[PeerTruth] {
        &self.peers
    }
}

impl PeerTruth {
    /// The publications of one source.
    pub fn takes_of(&self, source: Source) -> impl Iterator<Item = &Take> {
        self.takes.iter().filter(move |take| take.source == source)
    }

    /// The same, as if only the n-th publication of each source (from 0) had taken place: for a file that holds one take.
    #[must_use]
    pub fn only_take(&self, n: usize) -> Self {
        let mut this = self.clone();
        let nth = |source| self.takes_of(source).nth(n).map(|take| &take.sid);
        this.takes.retain(|take| nth(take.source) == Some(&take.sid));
        this
    }

    /// What this peer received of another, as decoded by its libwebrtc. It must have been told to listen.
    pub fn heard(&self, from: &str) -> Result<Observation> {
        let files: Vec<_> = self.received.iter().filter(|(sender, ..)| sender == from).collect();
        if files.is_empty() {
            bail!("{} received nothing of {from}", self.identity);
        }
        let mut observation = Observation {
            name: format!("what {} received of {from}", self.identity),
            is_live: true,
            ..Observation::default()
        };
        for (_, source, file) in files {
            // Camera and microphone together are one observation; screen shares are looked at by themselves.
            match source {
                Source::Microphone if observation.audio.is_none() => observation.audio = Some(reception::sound(file)?),
                Source::Camera if observation.video.is_none() => observation.video = Some(reception::pictures(file)?),
                _ => {}
            }
        }
        Ok(observation)
    }

    /// Everything received of one source of another, one observation for each subscription.
    pub fn heard_each(&self, from: &str, source: Source) -> Result<Vec<Observation>> {
        self.received
            .iter()
            .filter(|(sender, of, _)| sender == from && *of == source)
            .map(|(_, _, file)| {
                let name = format!("what {} received of {from}'s {source}", self.identity);
                let mut observation = Observation {
                    name,
                    is_live: true,
                    ..Observation::default()
                };
                if source.is_audio() {
                    observation.audio = Some(reception::sound(file)?);
                } else {
                    observation.video = Some(reception::pictures(file)?);
                }
                Ok(observation)
            })
            .collect()
    }

    /// The facts of one kind.
    pub fn facts_of(&self, event: &str) -> impl Iterator<Item = &Value> {
        self.facts.iter().filter(move |fact| fact["event"] == event)
    }

    /// Says so if the peer could not keep time: then its recordings prove nothing, and nobody else is to blame.
    ///
    /// # Panics
    /// If more than [`LATE_PART`] of its beeps and flashes were late.
    #[track_caller]
    pub fn expect_kept_time(&self) -> &Self {
        let moments: Vec<_> = self.takes.iter().flat_map(|take| &take.moments).collect();
        let late = moments.iter().filter(|moment| moment.is_late()).count();
        assert!(
            late as f64 <= moments.len() as f64 * LATE_PART,
            "the publisher could not keep time: {} of {} beeps and flashes of {} left more than {:.0} ms late; the machine \
             is too busy for this test",
            late,
            moments.len(),
            self.identity,
            LATE_S * 1000.0
        );
        self
    }

    /// Reads a peer's account.
    pub(crate) fn from_facts(identity: &str, pattern: Pattern, facts: &[Value], folder: &Path) -> Result<Self> {
        let mut this = Self {
            identity: identity.to_owned(),
            pattern,
            takes: Vec::new(),
            facts: facts.to_vec(),
            received: Vec::new(),
        };
        for fact in facts {
            let parsed = Fact::read(fact).with_context(|| format!("cannot read what {identity} tells: {fact}"))?;
            let wall = fact["wall"]
                .as_f64()
                .map(Wall)
                .with_context(|| format!("a fact without a time: {fact}"))?;
            match parsed {
                Fact::Published { source, sid } => this.takes.push(Take::new(source, sid, wall)),
                Fact::Receiving { from, source, file } => this.received.push((from, source, folder.join(file))),
                Fact::Other => {}
                Fact::Of(of) => {
                    let take = this.takes.iter_mut().rfind(|take| take.source == of.source());
                    take.with_context(|| format!("{identity} tells of what it never published: {fact}"))?
                        .note(of, wall);
                }
            }
        }
        Ok(this)
    }
}

impl Take {
    fn new(source: Source, sid: String, published: Wall) -> Self {
        Self {
            source,
            sid,
            mime: None,
            first: published,
            last: published,
            mutes: Vec::new(),
            moments: Vec::new(),
            disturbed: Vec::new(),
            layers: Vec::new(),
        }
    }

    fn note(&mut self, fact: OfTake, wall: Wall) {
        match fact {
            OfTake::First { at, .. } => self.first = at,
            OfTake::Beep {
                second, late, muted, ..
            }
            | OfTake::Flash {
                second, late, muted, ..
            } => {
                self.moments.push(Moment { second, late, muted });
                self.reaches(wall);
            }
            OfTake::Pace {
                second, late, left_out, ..
            } => {
                if left_out > 0 || late > LATE_S {
                    self.disturbed.push(second);
                }
                self.reaches(wall);
            }
            OfTake::Muted { .. } => self.mutes.push((wall, Wall(f64::INFINITY))),
            OfTake::Unmuted { .. } => {
                if let Some((_, until)) = self.mutes.last_mut() {
                    *until = wall;
                }
            }
            OfTake::Encoding { mime, .. } => self.mime = Some(mime),
            OfTake::Sent { mime, layers, .. } => {
                self.mime = mime.or(self.mime.take());
                self.layers = layers;
            }
            OfTake::Ended { last, .. } => self.last = last.unwrap_or(self.last),
        }
    }

    /// A peer that is killed tells no end: then its last sign of life is the end.
    fn reaches(&mut self, wall: Wall) {
        if wall.since(self.last) > 0.0 {
            self.last = wall;
        }
    }
}

/// What the analyser needs of the facts that peers tell (`tests/peer`).
enum Fact {
    Published { source: Source, sid: String },
    Receiving { from: String, source: Source, file: String },
    Of(OfTake),
    Other,
}

/// Facts about a track that is published.
#[derive(Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum OfTake {
    First {
        source: Source,
        at: Wall,
    },
    Beep {
        source: Source,
        second: i64,
        late: f64,
        muted: bool,
    },
    Flash {
        source: Source,
        second: i64,
        late: f64,
        muted: bool,
    },
    Pace {
        source: Source,
        second: i64,
        late: f64,
        left_out: u32,
    },
    Muted {
        source: Source,
    },
    Unmuted {
        source: Source,
    },
    Encoding {
        source: Source,
        mime: String,
    },
    Sent {
        source: Source,
        mime: Option<String>,
        layers: Vec<Value>,
    },
    Ended {
        source: Source,
        last: Option<Wall>,
    },
}

impl OfTake {
    fn source(&self) -> Source {
        match *self {
            OfTake::First { source, .. }
            | OfTake::Beep { source, .. }
            | OfTake::Flash { source, .. }
            | OfTake::Pace { source, .. }
            | OfTake::Muted { source }
            | OfTake::Unmuted { source }
            | OfTake::Encoding { source, .. }
            | OfTake::Sent { source, .. }
            | OfTake::Ended { source, .. } => source,
        }
    }
}

impl Fact {
    fn read(fact: &Value) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        struct Published {
            source: Source,
            sid: String,
        }
        #[derive(Deserialize)]
        struct Receiving {
            from: String,
            source: Source,
            file: String,
        }
        Ok(match fact["event"].as_str().unwrap_or_default() {
            "published" => {
                let Published { source, sid } = Published::deserialize(fact)?;
                Fact::Published { source, sid }
            }
            "receiving" => {
                let Receiving { from, source, file } = Receiving::deserialize(fact)?;
                Fact::Receiving { from, source, file }
            }
            "first" | "beep" | "flash" | "pace" | "muted" | "unmuted" | "encoding" | "sent" | "ended" => {
                Fact::Of(OfTake::deserialize(fact)?)
            }
            _ => Fact::Other,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A peer that was `late` by so many seconds in each of its first seconds.
    fn told(late: &[f64]) -> PeerTruth {
        let mut facts = vec![
            json!({"event": "ready", "wall": 99.0}),
            json!({"event": "published", "wall": 99.5, "source": "microphone", "sid": "TR_A"}),
            json!({"event": "first", "wall": 99.51, "source": "microphone", "at": 99.51}),
        ];
        for (second, late) in (100..).zip(late) {
            facts.push(json!({
                "event": "beep", "wall": f64::from(second) + late, "source": "microphone", "second": second,
                "late": late, "muted": false,
            }));
        }
        PeerTruth::from_facts("ana", Pattern { peer: 0 }, &facts, Path::new("")).expect("readable")
    }

    #[test]
    fn a_peer_that_keeps_time_is_trusted() {
        // One in eleven may be late.
        let mut late = [0.001; 11];
        late[4] = 0.5;
        told(&late).expect_kept_time();
    }

    #[test]
    #[should_panic(expected = "the publisher could not keep time: 2 of 11")]
    fn a_peer_that_does_not_keep_time_is_not() {
        let mut late = [0.001; 11];
        late[4] = 0.5;
        late[7] = 0.1;
        told(&late).expect_kept_time();
    }

    #[test]
    fn a_late_beep_is_neither_expected_nor_missed() {
        let mut late = [0.001; 12];
        late[6] = 0.5;
        let verdict = Observation {
            audio: Some(crate::analyse::Audio::default()),
            ..Observation::default()
        };
        let beeps = verdict.against(&told(&late)).beeps.expect("sound");
        assert_eq!(beeps.late, [106]);
        assert!(
            !beeps.missing.contains(&106) && beeps.missing.contains(&105),
            "{beeps:?}"
        );
    }

    #[test]
    fn mutes_divide_a_take() {
        let mut facts = told(&[0.0; 3]).facts;
        facts.push(json!({"event": "muted", "wall": 103.5, "source": "microphone"}));
        facts.push(json!({"event": "unmuted", "wall": 105.5, "source": "microphone"}));
        facts.push(
            json!({"event": "ended", "wall": 107.6, "source": "microphone", "first": 99.51, "last": 107.5, "count": 9}),
        );
        let peer = PeerTruth::from_facts("ana", Pattern { peer: 0 }, &facts, Path::new("")).expect("readable");
        assert_eq!(
            peer.takes[0].live(),
            [(Wall(99.51), Wall(103.5)), (Wall(105.5), Wall(107.5))]
        );
        // A peer that is still muted when it is killed.
        facts.truncate(facts.len() - 2);
        let peer = PeerTruth::from_facts("ana", Pattern { peer: 0 }, &facts, Path::new("")).expect("readable");
        assert_eq!(peer.takes[0].live(), [(Wall(99.51), Wall(103.5))]);
    }
}
