//! Recordings that nobody has to ask for: rules, told of rooms by webhooks, and by asking the server itself.
//!
//! A webhook may be missed, come twice, or come late; so what it says is only a hint to look at one room now. What
//! counts is the list of rooms, which is compared with the rules at the start and every minute.

mod rules;

use std::time::Duration;

use greffier_media::ids::{RoomName, RoomSid};
use greffier_media::journal::event::StopReason;
use greffier_media::time::Arrival;
use greffier_store::recordings::{Limits, RecordingFilter, RecordingName, RecordingRequest};
use greffier_store::{MeetingError, RecordingError, Store};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub use rules::{RuleError, Rules};

use crate::livekit::{LiveKit, LiveKitError, LiveRoom};
use crate::recorder::{Recorder, RecorderError, Rule, StartRecording};

/// How often the server is asked for its rooms.
const RECONCILE_EVERY: Duration = Duration::from_mins(1);
/// After the server could not be asked.
const RETRY_AFTER: Duration = Duration::from_secs(5);
/// Hints that wait. When there are more, they are dropped: the next comparison finds the rooms.
const HINTS: usize = 256;

/// Looks after the rules. Runs as one task, so that a room is never looked at twice at once.
pub struct AutoRecord {
    recorder: Recorder,
    livekit: LiveKit,
    store: Store,
    rules: Rules,
    hints: mpsc::Receiver<RoomHint>,
}

/// A room that something happened in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomHint {
    pub name: String,
    pub sid: String,
}

/// Where hints go.
#[derive(Debug, Clone)]
pub struct Hints(mpsc::Sender<RoomHint>);

impl Hints {
    /// Has a room looked at now.
    pub fn room(&self, hint: RoomHint) {
        if self.0.try_send(hint).is_err() {
            tracing::warn!("too many hints at once; the next comparison finds what they were about");
        }
    }
}

impl AutoRecord {
    /// # Errors
    /// When a rule makes no sense; it says which and why.
    pub fn new(recorder: Recorder, livekit: LiveKit, store: Store) -> Result<(Self, Hints), RuleError> {
        let rules = Rules::new(&recorder.config().rules)?;
        let (sender, hints) = mpsc::channel(HINTS);
        Ok((
            Self {
                recorder,
                livekit,
                store,
                rules,
                hints,
            },
            Hints(sender),
        ))
    }

    /// Watches the rooms until cancelled.
    pub async fn run(mut self, token: CancellationToken) {
        if self.rules.is_empty() {
            tracing::info!("no rules: rooms are recorded when somebody asks for it");
        }
        let mut next = Duration::ZERO;
        loop {
            tokio::select! {
                biased;
                () = token.cancelled() => return,
                Some(hint) = self.hints.recv() => self.look(&hint.name, &hint.sid, None).await,
                () = tokio::time::sleep(next) => {
                    next = match self.reconcile().await {
                        Ok(()) => RECONCILE_EVERY,
                        Err(error) => {
                            tracing::warn!(%error, "the rooms could not be compared with the rules; trying again soon");
                            RETRY_AFTER
                        }
                    };
                }
            }
        }
    }

    /// Compares the server's rooms with the rules.
    async fn reconcile(&self) -> Result<(), LiveKitError> {
        if self.rules.is_empty() {
            return Ok(());
        }
        let rooms = self.livekit.rooms(Vec::new()).await?;
        for room in &rooms {
            if self.is_meeting(room).await? {
                self.look(&room.name, &room.sid, Some(room.created)).await;
            }
        }
        Ok(())
    }

    /// Whether people are in a room. The server brings the counts in its list up to date every few seconds only, so a count
    /// of nobody has to be looked into.
    async fn is_meeting(&self, room: &LiveRoom) -> Result<bool, LiveKitError> {
        if room.participants > 0 {
            return Ok(true);
        }
        match self.livekit.participants(&room.name).await {
            Ok(there) => Ok(there
                .iter()
                .any(|participant| participant.permission.as_ref().is_none_or(|may| !may.hidden))),
            // It ended meanwhile.
            Err(LiveKitError::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Starts what the rules want of a room. `created` in seconds since the epoch, if it is known.
    async fn look(&self, name: &str, sid: &str, created: Option<i64>) {
        if self.rules.of(name).is_none() {
            return;
        }
        let (Ok(room), Ok(sid)) = (RoomName::new(name), RoomSid::new(sid)) else {
            tracing::warn!(room = name, "a room that cannot be named cannot be recorded");
            return;
        };
        let rule = match self.store.rooms().get(name, None).await {
            Ok(made) => self.rules.of_made(name, made.options.recording),
            Err(MeetingError::NoRoom(_)) => self.rules.of(name),
            Err(error) => {
                tracing::error!(%room, %error, "whether the room may be recorded cannot be told");
                return;
            }
        };
        let Some(rule) = rule else { return };
        match self.is_wanted(&room, &sid, created).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                tracing::error!(%room, %error, "whether the room was recorded before cannot be told");
                return;
            }
        }
        // A hint may be about somebody leaving, our own bot included; recording an empty room makes empty recordings.
        match self.livekit.has_people(name).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                tracing::warn!(%room, %error, "who is in the room cannot be told; the next comparison asks again");
                return;
            }
        }
        let start = self.order(rule, room.clone(), sid);
        match self.recorder.start(start).await {
            Ok(recording) => tracing::info!(%room, recording = %recording.id, rule = rule.name, "recording by rule"),
            Err(RecorderError::Recording(RecordingError::AlreadyLive(_))) => {}
            Err(error) => tracing::error!(%room, rule = rule.name, %error, "the rule could not be followed"),
        }
    }

    /// A session of a room is recorded by rule until somebody ends that: then it stays ended.
    async fn is_wanted(&self, room: &RoomName, sid: &RoomSid, created: Option<i64>) -> Result<bool, RecordingError> {
        let from = created.and_then(|seconds| u64::try_from(seconds).ok());
        let filter = RecordingFilter {
            room: Some(room.clone()),
            from: from.map(|seconds| Arrival::from_millis(seconds * 1000)),
            ..RecordingFilter::default()
        };
        let before = self.store.recordings().list(&filter, None, 20).await?;
        let ended_for_good = |reason| {
            matches!(
                reason,
                Some(StopReason::Requested | StopReason::MaxDuration | StopReason::Removed | StopReason::DiskFull)
            )
        };
        let of_rule = before.items.iter().filter(|recording| recording.request.rule.is_some());
        let mut of_session = of_rule.filter(|recording| recording.room_sid.as_ref() == Some(sid));
        Ok(!of_session.any(|recording| !recording.state.is_final() || ended_for_good(recording.stop_reason)))
    }

    fn order(&self, rule: &Rule, room: RoomName, sid: RoomSid) -> StartRecording {
        let limits = Limits {
            max_duration: rule.max_duration,
            empty_timeout: Some(rule.empty_timeout.unwrap_or(self.recorder.config().empty_timeout)),
        };
        StartRecording {
            room,
            room_sid: Some(sid),
            name: RecordingName::default(),
            request: RecordingRequest {
                requested_by: None,
                rule: Some(rule.name.clone()),
                include: rule.include.clone(),
                exclude: rule.exclude.clone(),
                layers: rule.layers,
                limits,
            },
            labels: rule.labels.clone(),
        }
    }
}
