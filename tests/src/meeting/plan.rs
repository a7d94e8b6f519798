//! What each peer does, and when: written down before the meeting.

use std::collections::BTreeMap;

use serde::Serialize;
use thiserror::Error;

use super::track::Track;
use crate::network::Network;
use crate::pattern::{PEERS, Source};

/// One thing that a peer does; the names are those of `tests/peer/peer.py`.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Step {
    /// `url` and `token` are filled in when the meeting starts.
    Join {
        url: String,
        token: String,
        listen: bool,
        subscribe: bool,
    },
    Publish {
        source: Source,
        options: Track,
    },
    Mute {
        source: Source,
    },
    Unmute {
        source: Source,
    },
    Unpublish {
        source: Source,
    },
    Leave,
    /// A message in the room's chat (a text stream under LiveKit's topic).
    Chat {
        text: String,
    },
    /// A text stream.
    Text {
        topic: String,
        text: String,
    },
    /// A data packet.
    Data {
        topic: String,
        text: String,
        reliable: bool,
    },
    Metadata {
        metadata: String,
    },
    Attributes {
        attributes: BTreeMap<String, String>,
    },
    Name {
        name: String,
    },
    /// The signal connection drops and resumes, or (`full`) everything starts anew.
    Reconnect {
        full: bool,
    },
}

/// A step and when it is done.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Timed {
    /// Seconds after the meeting's start.
    pub(crate) at: f64,
    #[serde(flatten)]
    pub(crate) step: Step,
}

/// What one peer does. Its methods append a step at the moment last named by [`Script::at`].
#[derive(Clone, Debug)]
pub struct Script {
    pub(crate) identity: String,
    pub(crate) steps: Vec<Timed>,
    pub(crate) network: Option<Network>,
    listens: bool,
    now: f64,
}

impl Script {
    fn new(identity: &str) -> Self {
        Self {
            identity: identity.to_owned(),
            steps: Vec::new(),
            network: None,
            listens: false,
            now: 0.5,
        }
    }

    /// The steps that follow are done so many seconds after the start. Always a half second: so no change falls on a beep
    /// or a flash, which come on whole seconds.
    #[must_use]
    pub fn at(mut self, seconds: f64) -> Self {
        self.now = seconds;
        self
    }

    /// Does `step` (what has no method of its own).
    #[must_use]
    pub fn does(mut self, step: Step) -> Self {
        self.steps.push(Timed { at: self.now, step });
        self
    }

    /// From now on writes down what it receives of the others, to be measured afterwards.
    #[must_use]
    pub fn listens(mut self) -> Self {
        self.listens = true;
        self
    }

    /// Is behind this network, which may lose packets, instead of beside the server.
    #[must_use]
    pub fn behind(mut self, network: &Network) -> Self {
        self.network = Some(network.clone());
        self
    }

    /// Enters the room; subscribes to everything if it listens, else to nothing (decoding costs CPU).
    #[must_use]
    pub fn join(self) -> Self {
        let listen = self.listens;
        self.does(Step::Join {
            url: String::new(),
            token: String::new(),
            listen,
            subscribe: listen,
        })
    }

    #[must_use]
    pub fn publish(self, track: impl Into<Track>) -> Self {
        let options = track.into();
        self.does(Step::Publish {
            source: options.source(),
            options,
        })
    }

    #[must_use]
    pub fn mute(self, source: Source) -> Self {
        self.does(Step::Mute { source })
    }

    #[must_use]
    pub fn unmute(self, source: Source) -> Self {
        self.does(Step::Unmute { source })
    }

    #[must_use]
    pub fn unpublish(self, source: Source) -> Self {
        self.does(Step::Unpublish { source })
    }

    #[must_use]
    pub fn leave(self) -> Self {
        self.does(Step::Leave)
    }

    #[must_use]
    pub fn chat(self, text: &str) -> Self {
        self.does(Step::Chat { text: text.to_owned() })
    }

    /// A text stream under `topic`.
    #[must_use]
    pub fn text(self, topic: &str, text: &str) -> Self {
        self.does(Step::Text {
            topic: topic.to_owned(),
            text: text.to_owned(),
        })
    }

    /// A reliable data packet under `topic`.
    #[must_use]
    pub fn data(self, topic: &str, text: &str) -> Self {
        self.does(Step::Data {
            topic: topic.to_owned(),
            text: text.to_owned(),
            reliable: true,
        })
    }

    #[must_use]
    pub fn metadata(self, metadata: &str) -> Self {
        self.does(Step::Metadata {
            metadata: metadata.to_owned(),
        })
    }

    #[must_use]
    pub fn attribute(self, key: &str, value: &str) -> Self {
        self.does(Step::Attributes {
            attributes: BTreeMap::from([(key.to_owned(), value.to_owned())]),
        })
    }

    #[must_use]
    pub fn name(self, name: &str) -> Self {
        self.does(Step::Name { name: name.to_owned() })
    }

    /// Its signal connection drops; the SDK resumes.
    #[must_use]
    pub fn resume(self) -> Self {
        self.does(Step::Reconnect { full: false })
    }

    /// The server makes it start anew.
    #[must_use]
    pub fn reconnect(self) -> Self {
        self.does(Step::Reconnect { full: true })
    }
}

/// A meeting, before it takes place.
///
/// ```no_run
/// # use greffier_tests::{Camera, Microphone, Plan, Server};
/// # fn test() -> anyhow::Result<()> {
/// let server = Server::start()?;
/// let truth = Plan::new("demo")
///     .peer("ana", |p| p.at(0.5).join().publish(Camera::vp8()).publish(Microphone::opus()).at(10.5).leave())
///     .peer("ben", |p| p.listens().at(0.5).join().at(10.5).leave())
///     .run(&server)?;
/// truth.peer("ben").heard("ana")?.against(truth.peer("ana")).expect_all_beeps().expect_all_flashes();
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Plan {
    pub(crate) room: String,
    pub(crate) scripts: Vec<Script>,
}

/// Why a plan cannot be carried out.
#[derive(Debug, Error, PartialEq)]
pub enum PlanError {
    #[error("{identity}: a step at {at} s; changes happen at half seconds, beeps and flashes at whole ones")]
    OffHalfSecond { identity: String, at: f64 },
    #[error("{identity}: a step at {at} s after one at {before} s")]
    Backwards { identity: String, at: f64, before: f64 },
    #[error("{identity} is in the plan twice; one script can leave and join again")]
    Twice { identity: String },
    #[error("{0} peers; there are tones and colours for {PEERS}")]
    TooMany(usize),
    #[error("{identity}: the {what} needs an even size and 1 to 60 pictures a second")]
    Picture { identity: String, what: Source },
}

impl Plan {
    /// A meeting in this room.
    pub fn new(room: impl Into<String>) -> Self {
        Self {
            room: room.into(),
            scripts: Vec::new(),
        }
    }

    /// Adds a peer; the n-th one beeps and flashes in the n-th tone and colour.
    #[must_use]
    pub fn peer(mut self, identity: &str, script: impl FnOnce(Script) -> Script) -> Self {
        self.scripts.push(script(Script::new(identity)));
        self
    }

    /// Finds what would make the meeting misleading rather than wrong.
    pub fn check(&self) -> Result<(), PlanError> {
        if self.scripts.len() > PEERS {
            return Err(PlanError::TooMany(self.scripts.len()));
        }
        for (index, script) in self.scripts.iter().enumerate() {
            let identity = || script.identity.clone();
            if self.scripts[..index]
                .iter()
                .any(|other| other.identity == script.identity)
            {
                return Err(PlanError::Twice { identity: identity() });
            }
            let mut before = 0.0;
            for Timed { at, step } in &script.steps {
                if (at.rem_euclid(1.0) - 0.5).abs() > 1e-9 {
                    return Err(PlanError::OffHalfSecond {
                        identity: identity(),
                        at: *at,
                    });
                }
                if *at < before {
                    return Err(PlanError::Backwards {
                        identity: identity(),
                        at: *at,
                        before,
                    });
                }
                before = *at;
                if let Step::Publish {
                    source,
                    options: Track::Picture(picture),
                } = step
                    && !picture.can_be_drawn()
                {
                    return Err(PlanError::Picture {
                        identity: identity(),
                        what: *source,
                    });
                }
            }
        }
        Ok(())
    }

    /// When the last step is due, in seconds after the start.
    pub fn ends(&self) -> f64 {
        self.scripts
            .iter()
            .flat_map(|script| &script.steps)
            .map(|timed| timed.at)
            .fold(0.0, f64::max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meeting::{Camera, Microphone};

    #[test]
    fn a_sound_plan_passes() {
        let plan = Plan::new("room")
            .peer("ana", |p| {
                p.at(0.5)
                    .join()
                    .publish(Camera::vp8())
                    .at(3.5)
                    .mute(Source::Camera)
                    .at(9.5)
                    .leave()
            })
            .peer("ben", |p| p.at(2.5).join().publish(Microphone::opus()));
        assert_eq!(plan.check(), Ok(()));
        assert!((plan.ends() - 9.5).abs() < 1e-9);
    }

    #[test]
    fn misleading_plans_are_refused() {
        let plan = |script: fn(Script) -> Script| Plan::new("room").peer("ana", script).check();
        assert!(matches!(
            plan(|p| p.at(1.0).join()),
            Err(PlanError::OffHalfSecond { .. })
        ));
        assert!(matches!(
            plan(|p| p.at(2.5).join().at(1.5).leave()),
            Err(PlanError::Backwards { .. })
        ));
        assert!(matches!(
            plan(|p| p.join().publish(Camera::vp8().size(321, 180))),
            Err(PlanError::Picture { .. })
        ));
        assert!(matches!(
            plan(|p| p.join().publish(Camera::vp8().fps(0))),
            Err(PlanError::Picture { .. })
        ));
        let twice = Plan::new("room").peer("ana", Script::join).peer("ana", Script::join);
        assert!(matches!(twice.check(), Err(PlanError::Twice { .. })));
        let crowd = (0..=PEERS).fold(Plan::new("room"), |plan, i| plan.peer(&i.to_string(), Script::join));
        assert_eq!(crowd.check(), Err(PlanError::TooMany(PEERS + 1)));
    }

    #[test]
    fn steps_are_written_as_the_peer_reads_them() {
        let script = Script::new("ana").at(1.5).publish(Camera::vp9().fps(15));
        let json = serde_json::to_value(&script.steps[0]).expect("it serializes");
        assert_eq!(json["do"], "publish");
        assert_eq!(json["at"], 1.5);
        assert_eq!(json["source"], "camera");
        assert_eq!(json["options"]["codec"], "VP9");
        assert_eq!(json["options"]["fps"], 15);
    }
}
