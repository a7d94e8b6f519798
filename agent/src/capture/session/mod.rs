//! One recording's stay in its room: joining, listening, coming back after an outage, and knowing when to leave.

mod entry;
mod events;
mod layers;
mod outage;
mod pictures;
mod tracks;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use greffier_media::ids::{ParticipantIdentity, RoomName, RoomSid, TrackSid};
use greffier_media::journal::event::{LossCause, RoomEvent, StopReason};
use greffier_media::time::{Arrival, Clock};
use greffier_store::recordings::RecordingRequest;
use libwebrtc::raw::RemoteTrackExt as _;
use livekit::prelude::{self as lk, RoomEvent as SdkEvent};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use self::entry::Seat;
use self::layers::Layers;
use self::outage::Outage;
pub(super) use self::pictures::KeyFrames;
use self::tracks::Tapped;
use super::describe;
use super::messages::Messages;
use super::queue::{Entry, Overflow, Queue};
use super::room::Room;
use super::tap::StreamKeys;
use crate::clock::SystemClock;
use crate::livekit::{LiveKit, LiveKitError};
use crate::supervisor::Supervisor;

/// What can be asked of a recording while it is in its room.
#[derive(Debug)]
pub(crate) enum Command {
    Stop(StopReason),
    /// Answered once it is so; dropped when the bot is out of the room.
    SetPaused {
        paused: bool,
        by: Option<String>,
        done: oneshot::Sender<()>,
    },
}

/// Whether a stay is a recording's first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begin {
    New,
    /// The process was restarted before the bot was in the room.
    Retry,
    /// The process was restarted; the journal says so already.
    Again,
}

/// How a stay ended.
#[derive(Debug)]
pub(crate) enum End {
    Stopped(StopReason),
    /// We never got in.
    NotJoined(JoinError),
}

/// Why a room could not be joined.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    #[error("no connection to the room: {0}")]
    Connect(String),
    #[error(transparent)]
    LiveKit(#[from] LiveKitError),
    #[error("asked to stop before the room was joined")]
    Cancelled,
    #[error("the disk was full before the room was joined")]
    DiskFull,
    #[error("the process ended before the room was joined")]
    Shutdown,
}

/// What a stay can be seen to do from outside.
#[derive(Debug, Clone, Default)]
pub(crate) struct Status {
    pub joined: bool,
    pub paused: bool,
    pub people: usize,
    pub room_sid: Option<RoomSid>,
    pub tracks: usize,
}

pub(crate) struct Session {
    pub livekit: LiveKit,
    pub clock: SystemClock,
    pub supervisor: Supervisor,
    pub queue: Arc<Queue>,
    pub keys: Arc<StreamKeys>,
    /// What was asked for.
    pub request: RecordingRequest,
    /// How long to wait for a server that was away, or that put us out without a reason.
    pub rejoin_window: Duration,
    pub identity: ParticipantIdentity,
    pub room: Arc<parking_lot::Mutex<Room>>,
    pub status: watch::Sender<Status>,
    /// The end of the recording's allowed length, counted over restarts.
    pub ends_at: Option<Arrival>,
}

/// The time in the room while it lasts.
struct Stay {
    seat: Seat,
    events: mpsc::UnboundedReceiver<SdkEvent>,
    tracks: HashMap<TrackSid, Tapped>,
    layers: Layers,
}

/// What the loop of a stay ended with.
enum Turn {
    End(StopReason),
    /// Out of the room, and it may be worth coming back.
    Away(String),
}

/// How often counters are looked at and limits checked: a picture that cannot be repaired stands for so much longer.
const TICK: Duration = Duration::from_millis(100);

impl Session {
    /// Stays until the end of the recording. Everything goes to the queue, the stop event last.
    pub async fn run(self, begin: Begin, mut commands: mpsc::Receiver<Command>, token: CancellationToken) -> End {
        let joined = match begin {
            Begin::New => self.join_first(&mut commands, &token).await,
            Begin::Retry => self.join_after_restart(&mut commands, &token).await,
            Begin::Again => {
                let outage = Outage::restart(self.clock.now());
                match self.come_back(&mut commands, &token, outage).await {
                    Ok(stay) => Ok(stay),
                    Err(reason) => return self.stopped(reason),
                }
            }
        };
        match joined {
            Ok(stay) => {
                let reason = self.stay(stay, &mut commands, &token).await;
                self.stopped(reason)
            }
            Err(error) => End::NotJoined(error),
        }
    }

    fn stopped(&self, reason: StopReason) -> End {
        self.report_overflow();
        self.mark(self.clock.now(), RoomEvent::RecordingStopped { reason });
        End::Stopped(reason)
    }

    async fn stay(
        &self,
        mut stay: Stay,
        commands: &mut mpsc::Receiver<Command>,
        token: &CancellationToken,
    ) -> StopReason {
        let mut messages = Messages::default();
        loop {
            match self.listen(&mut stay, &mut messages, commands, token).await {
                Turn::End(reason) => {
                    stay.leave().await;
                    return reason;
                }
                Turn::Away(why) => {
                    tracing::warn!(reason = why, "out of the room, trying to come back");
                    let outage = Outage::connection(self.clock.now());
                    stay.leave().await;
                    match self.come_back(commands, token, outage).await {
                        Ok(back) => stay = back,
                        Err(reason) => return reason,
                    }
                }
            }
        }
    }

    fn event(&self, at: Arrival, event: RoomEvent) {
        self.queue.push(Entry::Event(at, Box::new(event)));
    }

    /// An event of our own, without which the recording would say something wrong.
    fn mark(&self, at: Arrival, event: RoomEvent) {
        self.queue.push_mark(Entry::Event(at, Box::new(event)));
    }

    fn events(&self, at: Arrival, events: impl IntoIterator<Item = RoomEvent>) {
        for event in events {
            self.event(at, event);
        }
    }

    /// Notes who is there and subscribes to what is wanted.
    fn entered(&self, stay: &Stay, sid: &lk::RoomSid) {
        let now = self.clock.now();
        let participants = stay.room().remote_participants();
        let found = participants.values().filter_map(describe::participant).collect();
        let sid = describe::room_sid(sid);
        let us = describe::participant_sid(&stay.room().local_participant().sid());
        if let (Some(sid), Some(us)) = (sid, us) {
            let events = self
                .room
                .lock()
                .connected(sid.clone(), us, stay.room().metadata(), found);
            self.events(now, events);
            self.status.send_modify(|status| {
                status.joined = true;
                status.room_sid = Some(sid);
            });
        }
        for participant in participants.values() {
            for publication in participant.track_publications().values() {
                self.subscribe(participant, publication);
            }
        }
        tracing::info!(participants = participants.len(), "in the room");
    }

    // ── being there ─────────────────────────────────────────────────────────────────────────────────────────────────

    async fn listen(
        &self,
        stay: &mut Stay,
        messages: &mut Messages,
        commands: &mut mpsc::Receiver<Command>,
        token: &CancellationToken,
    ) -> Turn {
        let mut tick = tokio::time::interval(TICK);
        let mut empty_since = None;
        loop {
            tokio::select! {
                biased;
                () = token.cancelled() => return Turn::End(StopReason::Shutdown),
                command = commands.recv() => match command {
                    Some(Command::Stop(reason)) => return Turn::End(reason),
                    Some(Command::SetPaused { paused, by, done }) => {
                        let turn = self.set_paused(stay, messages, paused, by);
                        // Whoever asked may have gone.
                        let _ = done.send(());
                        if let Some(turn) = turn {
                            return turn;
                        }
                    }
                    None => return Turn::End(StopReason::Requested),
                },
                event = stay.events.recv() => {
                    let Some(event) = event else { return Turn::Away("the connection ended".to_owned()) };
                    if let Some(turn) = self.on_event(stay, messages, event) {
                        return turn;
                    }
                }
                _ = tick.tick() => {
                    self.report_overflow();
                    self.look_at_layers(stay);
                    if !self.queue.is_paused() {
                        let now = self.clock.now();
                        stay.tracks.values_mut().for_each(|tapped| tapped.look_at_pictures(now));
                    }
                    if let Some(reason) = self.check_limits(&mut empty_since) {
                        return Turn::End(reason);
                    }
                }
            }
        }
    }

    fn check_limits(&self, empty_since: &mut Option<Arrival>) -> Option<StopReason> {
        let now = self.clock.now();
        let people = self.room.lock().people();
        self.status
            .send_if_modified(|status| std::mem::replace(&mut status.people, people) != people);
        if self.ends_at.is_some_and(|end| now >= end) {
            return Some(StopReason::MaxDuration);
        }
        if people > 0 {
            *empty_since = None;
            return None;
        }
        let since = *empty_since.get_or_insert(now);
        let is_over = |limit| now.saturating_since(since) >= limit;
        self.request
            .limits
            .empty_timeout
            .is_some_and(is_over)
            .then_some(StopReason::RoomEmpty)
    }

    fn report_overflow(&self) {
        let Overflow {
            packets,
            messages,
            events,
        } = self.queue.take_overflow();
        if messages + events > 0 {
            tracing::error!(
                messages,
                events,
                "more came than is kept: messages or events were dropped"
            );
            metrics::counter!(super::metric::MESSAGES_LOST).increment(messages + events);
        }
        if packets == 0 {
            return;
        }
        let event = RoomEvent::PacketsLost {
            track: None,
            packets,
            reason: LossCause::QueueFull,
        };
        self.mark(self.clock.now(), event);
        tracing::error!(packets, "the journal could not keep up: packets were dropped");
        metrics::counter!(super::metric::PACKETS_LOST).increment(packets);
    }

    /// What came before is handled first: it is of the time before.
    fn set_paused(&self, stay: &mut Stay, messages: &mut Messages, paused: bool, by: Option<String>) -> Option<Turn> {
        if self.queue.is_paused() == paused {
            return None;
        }
        let mut turn = None;
        for _ in 0..stay.events.len() {
            let Ok(event) = stay.events.try_recv() else { break };
            turn = turn.or(self.on_event(stay, messages, event));
        }
        let event = self.room.lock().set_paused(paused, by);
        self.queue.set_paused(paused, self.clock.now(), event);
        self.status.send_modify(|status| status.paused = paused);
        if !paused {
            let now = self.clock.now();
            for tapped in stay.tracks.values_mut() {
                if let Some(pictures) = &mut tapped.pictures {
                    pictures.begin_again(now);
                    tapped.track.rtc_track().request_key_frame();
                }
            }
        }
        turn
    }

    /// The room's name, for logs and limits.
    pub fn room_name(&self) -> RoomName {
        self.room.lock().name().clone()
    }
}
