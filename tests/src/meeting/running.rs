//! A meeting that takes place: one process for each peer, each with the real libwebrtc.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::plan::{Plan, Script, Step, Timed};
use super::truth::{PeerTruth, Truth};
use crate::folder::{Folder, file_name, repository};
use crate::missing::Missing;
use crate::pattern::{Pattern, Wall};
use crate::process::{Deadline, Speaker, now, preferred};
use crate::python::python;
use crate::server::Server;

/// Python with libwebrtc loads in a second; a first start after an installation reads 150 MB from disk.
const READY_WITHIN: Duration = Duration::from_mins(1);
/// From when all peers are ready to the start: they get their scripts meanwhile.
const HEAD_START_S: f64 = 0.3;
/// How long after its last step is due a peer may take for it: the limit that the peer itself sets to a step, and a little.
const LAST_STEP_WITHIN: Duration = Duration::from_secs(25);
/// Leaving a room takes a round trip.
const LEAVE_WITHIN: Duration = Duration::from_secs(15);

/// A meeting that is taking place. Dropped, it ends at once, without anybody leaving in order.
#[derive(Debug)]
pub struct Meeting {
    start: Wall,
    room: String,
    folder: Folder,
    ends: f64,
    peers: Vec<Attendee>,
}

#[derive(Debug)]
struct Attendee {
    pattern: Pattern,
    speaker: Speaker,
    killed: bool,
}

impl Plan {
    /// Holds the meeting and gives the truth about it.
    pub fn run(&self, server: &Server) -> Result<Truth> {
        self.start(server)?.finish()
    }

    /// Starts the meeting, for a test that does something meanwhile.
    pub fn start(&self, server: &Server) -> Result<Meeting> {
        self.start_with(server.folder(), |identity| {
            Ok((server.url(), server.token(&self.room, identity)?))
        })
    }

    /// The same with a server's address and a token of the test's own for each identity.
    pub fn start_with(&self, folder: &Folder, entry: impl Fn(&str) -> Result<(String, String)>) -> Result<Meeting> {
        self.check()?;
        let folder = folder.sub(&format!("room-{}", file_name(&self.room)))?;
        let mut peers = Vec::new();
        for (index, script) in self.scripts.iter().enumerate() {
            let pattern = Pattern { peer: index };
            peers.push(Attendee {
                pattern,
                speaker: start_peer(script, pattern, &folder)?,
                killed: false,
            });
        }
        for peer in &peers {
            peer.speaker
                .wait("its start", 0, Deadline::within(READY_WITHIN), |fact| {
                    fact["event"] == "ready"
                })?;
        }
        // A whole second, so that half seconds of the plan are half seconds of the clock.
        let start = Wall(now().plus(HEAD_START_S).0.ceil());
        for (peer, script) in peers.iter_mut().zip(&self.scripts) {
            let steps = with_credentials(script, &entry)?;
            peer.speaker
                .tell(&json!({ "do": "script", "start": start, "steps": steps }))?;
        }
        Ok(Meeting {
            start,
            room: self.room.clone(),
            folder,
            ends: self.ends(),
            peers,
        })
    }
}

fn with_credentials(script: &Script, entry: impl Fn(&str) -> Result<(String, String)>) -> Result<Vec<Timed>> {
    let mut steps = script.steps.clone();
    for Timed { step, .. } in &mut steps {
        if let Step::Join { url, token, .. } = step {
            (*url, *token) = entry(&script.identity)?;
        }
    }
    Ok(steps)
}

impl Meeting {
    /// When second 0 of the plan is.
    pub fn start(&self) -> Wall {
        self.start
    }

    /// The room's name.
    pub fn room(&self) -> &str {
        &self.room
    }

    /// Waits until this second of the plan.
    pub fn wait_until(&self, seconds: f64) {
        Deadline::at(self.start.plus(seconds)).wait();
    }

    /// Has a peer do something now, besides its script.
    pub fn tell(&mut self, identity: &str, step: &Step) -> Result<()> {
        self.attendee(identity)?.speaker.tell(step)
    }

    /// Waits until a peer tells a fact that `wanted` likes, from the meeting's beginning on.
    pub fn wait_for(
        &mut self,
        identity: &str,
        what: &str,
        within: Duration,
        wanted: impl FnMut(&Value) -> bool,
    ) -> Result<Value> {
        self.attendee(identity)?
            .speaker
            .wait(what, 0, Deadline::within(within), wanted)
    }

    /// Kills a peer's process: to the others it just falls silent.
    pub fn kill(&mut self, identity: &str) -> Result<()> {
        let peer = self.attendee(identity)?;
        peer.killed = true;
        peer.speaker.kill()
    }

    fn attendee(&mut self, identity: &str) -> Result<&mut Attendee> {
        self.peers
            .iter_mut()
            .find(|peer| peer.speaker.name() == identity)
            .with_context(|| format!("nobody called {identity} is in the plan"))
    }

    /// Waits until everybody has done what the plan says and left, and gives the truth about it.
    pub fn finish(self) -> Result<Truth> {
        let deadline = Deadline::within(Deadline::at(self.start.plus(self.ends)).left() + LAST_STEP_WITHIN);
        let mut peers = Vec::new();
        for peer in self.peers {
            if !peer.killed {
                let done = peer
                    .speaker
                    .wait("the end of its script", 0, deadline, |fact| fact["event"] == "done");
                if let Err(error) = done {
                    bail!(missing_codec(&peer.speaker).unwrap_or(error));
                }
            }
            let identity = peer.speaker.name().to_owned();
            let facts = if peer.killed {
                peer.speaker.said().all()
            } else {
                peer.speaker.finish(Deadline::within(LEAVE_WITHIN))?
            };
            peers.push(PeerTruth::from_facts(
                &identity,
                peer.pattern,
                &facts,
                self.folder.path(),
            )?);
        }
        Ok(Truth::new(self.room, self.start, peers))
    }
}

/// A codec that the peers cannot encode is something this machine lacks, not a failure of the meeting.
fn missing_codec(speaker: &Speaker) -> Option<anyhow::Error> {
    let facts = speaker.said().all();
    let failure = facts
        .iter()
        .find(|fact| fact["event"] == "failed" && fact["missing_codec"].is_string())?;
    let codec = failure["missing_codec"].as_str()?;
    let why = failure["error"].as_str().unwrap_or_default();
    Some(
        Missing::new(
            format!("an encoder of {codec} in the peers' libwebrtc: {why}"),
            "no other build is known",
        )
        .into(),
    )
}

fn start_peer(script: &Script, pattern: Pattern, folder: &Folder) -> Result<Speaker> {
    let python = python("venv", "peer")?;
    let program = repository().join("tests/peer/peer.py");
    let settings = json!({ "pattern": pattern.settings(), "folder": folder.path() });
    let mut command = match &script.network {
        Some(network) => {
            let mut command = preferred("ip")?;
            network.enter(&mut command).arg(python);
            command
        }
        None => preferred(python)?,
    };
    command
        .arg("-B")
        .arg("-X")
        .arg("utf8")
        .arg(program)
        .arg(settings.to_string());
    command.env("RUST_LOG", "warn");
    Speaker::start(&script.identity, &command, folder.path())
}
