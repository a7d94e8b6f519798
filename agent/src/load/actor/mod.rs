//! One participant, playing its part: it joins, publishes, looks at the others, and does what the plan says.

mod publish;
mod watch;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use livekit::prelude::{DataPacket, TrackSource};
use livekit::{DisconnectReason, RoomEvent, SimulateScenario};
use parking_lot::Mutex;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;

use super::LoadError;
use super::plan::{Action, Part};
use super::scenario::Group;
use super::seat::Seat;
use super::stage::{Stage, now, source_name};
use crate::synthetic::impair::Link;
use crate::synthetic::participant::{Feed, JoinOptions, Participant};

/// Who was put out comes back after this long, so often at most.
const COME_BACK_AFTER: Duration = Duration::from_secs(3);
const COME_BACK_TIMES: u32 = 3;
const ROUND_TRIP_EVERY: Duration = Duration::from_secs(5);
/// Chat goes where LiveKit's own components look for it.
const CHAT_TOPIC: &str = "lk-chat-topic";

/// The part, being played.
pub(super) struct Actor {
    index: usize,
    part: Part,
    token: Option<String>,
    stage: Arc<Stage>,
    actions: VecDeque<(Duration, Action)>,
    speaking: bool,
    muted: bool,
    focus: Option<String>,
    /// Recorded tracks that are to be heard and seen now, and those of them that are muted.
    on_air: BTreeSet<usize>,
    silenced: BTreeSet<usize>,
    comebacks: u32,
    /// Of the test.
    start: tokio::time::Instant,
}

/// While it is in the room.
struct Present {
    participant: Participant,
    events: UnboundedReceiver<RoomEvent>,
    downlink: Option<Arc<Mutex<Link>>>,
}

/// What woke it.
enum Wake {
    Stop,
    Act,
    Event(Option<Box<RoomEvent>>),
    RoundTrip,
}

impl Actor {
    pub fn new(
        index: usize,
        part: Part,
        token: Option<String>,
        stage: Arc<Stage>,
        start: tokio::time::Instant,
    ) -> Self {
        Self {
            index,
            actions: part.actions.iter().cloned().collect(),
            part,
            token,
            stage,
            speaking: false,
            muted: false,
            focus: None,
            on_air: BTreeSet::new(),
            silenced: BTreeSet::new(),
            comebacks: 0,
            start,
        }
    }

    fn group(&self) -> &Group {
        &self.stage.scenario.participants[self.part.group]
    }

    /// Plays until it is stopped, and leaves in order.
    pub async fn play(mut self, stop: CancellationToken) {
        let start = self.start;
        let mut present: Option<Present> = None;
        let mut round_trip = interval(ROUND_TRIP_EVERY);
        round_trip.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let next = self.actions.front().map(|(at, _)| start + *at);
            let wake = tokio::select! {
                biased;
                () = stop.cancelled() => Wake::Stop,
                () = async { match next { Some(at) => sleep_until(at).await, None => std::future::pending().await } } => Wake::Act,
                event = async { match &mut present { Some(here) => here.events.recv().await, None => std::future::pending().await } } => Wake::Event(event.map(Box::new)),
                _ = round_trip.tick(), if present.is_some() => Wake::RoundTrip,
            };
            match wake {
                Wake::Stop => break,
                Wake::Act => {
                    let Some((_, action)) = self.actions.pop_front() else {
                        continue;
                    };
                    tokio::select! {
                        () = self.act(action, &mut present) => {}
                        // A join that hangs does not hold up the end.
                        () = stop.cancelled() => break,
                    }
                }
                Wake::Event(Some(event)) => {
                    if let Some(reason) = self.event(*event, present.as_ref()) {
                        self.put_out(&mut present, reason, start);
                    }
                }
                Wake::Event(None) => self.put_out(&mut present, DisconnectReason::UnknownReason, start),
                Wake::RoundTrip => self.round_trip(present.as_ref()).await,
            }
        }
        if let Some(here) = present.take() {
            self.leave(here).await;
        }
    }

    async fn act(&mut self, action: Action, present: &mut Option<Present>) {
        match (action, present) {
            (Action::Join, present @ None) => *present = self.join().await,
            (Action::Leave, present) => {
                if let Some(here) = present.take() {
                    self.leave(here).await;
                    self.stage.count("leaves");
                }
            }
            (Action::Speak(speaking), present) => {
                self.speaking = speaking;
                if let Some(Feed::Audio(feed)) = present
                    .as_ref()
                    .and_then(|here| here.participant.feed(TrackSource::Microphone))
                {
                    feed.set_speaking(speaking);
                }
            }
            (Action::Mute(muted), Some(here)) => {
                self.muted = muted;
                here.participant.set_muted(TrackSource::Microphone, muted);
                self.stage.count("mutes");
            }
            (Action::Republish, Some(here)) if self.group().camera.is_some() => {
                let identity = here.participant.identity();
                self.stage
                    .unpublishes(self.part.room, identity, Some(source_name(TrackSource::Camera)));
                here.participant.unpublish(TrackSource::Camera).await;
                if let Err(error) = self.publish_camera(&mut here.participant).await {
                    self.stage.error(error.word(), &error.to_string());
                }
                self.stage.count("republishes");
            }
            (Action::Reconnect, Some(here)) => {
                self.stage.count("reconnects_asked");
                if let Err(error) = here
                    .participant
                    .room()
                    .simulate_scenario(SimulateScenario::SignalReconnect)
                    .await
                {
                    self.stage.error("reconnect", &error.to_string());
                }
            }
            (Action::Chat, Some(here)) => self.chat(here).await,
            (Action::PublishRecorded(number), present) => {
                self.on_air.insert(number);
                if let Some(here) = present {
                    self.publish_recorded(number, &mut here.participant).await;
                }
            }
            (Action::UnpublishRecorded(number), present) => {
                self.on_air.remove(&number);
                if let Some(here) = present {
                    self.unpublish_recorded(number, &mut here.participant).await;
                }
            }
            (Action::MuteRecorded(number, muted), present) => {
                if muted {
                    self.silenced.insert(number);
                } else {
                    self.silenced.remove(&number);
                }
                if let Some(here) = present {
                    here.participant.set_recorded_muted(number, muted);
                    self.stage.count("mutes");
                }
            }
            (Action::Focus(who), present) => {
                self.focus = Some(who);
                if present.is_some() {
                    self.arrange();
                }
            }
            // Away, or there already.
            (_, _) => {}
        }
    }

    async fn join(&self) -> Option<Present> {
        let called = now();
        self.stage.count("joins_tried");
        match self.enter(called).await {
            Ok(present) => {
                self.stage.count("joins");
                Some(present)
            }
            Err(error) => {
                self.stage.count("joins_failed");
                self.stage.error(error.word(), &error.to_string());
                self.stage.vacate(self.index, now());
                None
            }
        }
    }

    async fn enter(&self, called: Instant) -> Result<Present, LoadError> {
        let group = self.group();
        let link = |network: &Option<super::scenario::Network>, seed: u64| {
            let impairment = network.as_ref()?.impairment();
            (!impairment.is_none()).then(|| Arc::new(Mutex::new(Link::new(impairment, seed, called))))
        };
        let (uplink, downlink) = (
            link(&group.uplink, self.part.seed),
            link(&group.downlink, !self.part.seed),
        );
        let token = match &self.token {
            Some(token) => token.clone(),
            None => self.stage.token(self.part.room, &self.part.identity).await?,
        };
        let options = JoinOptions {
            url: self.stage.url.clone(),
            token,
            subscribe: group.subscribe,
        };
        self.stage.seats.lock().insert(
            self.index,
            Seat {
                room: self.part.room,
                identity: self.part.identity.clone(),
                called,
                here: None,
                subscribes: group.subscribe,
                had: HashMap::new(),
                heard: false,
                saw: false,
                tracks: Vec::new(),
            },
        );
        let (mut participant, events) = Participant::join(options, self.stage.pacer.clone(), uplink).await?;
        let here = now();
        self.stage
            .times
            .lock()
            .join
            .record(here.saturating_duration_since(called));
        self.stage
            .is_called(self.part.room, &self.part.identity, participant.identity());
        if let Some(seat) = self.stage.seats.lock().get_mut(&self.index) {
            participant.identity().clone_into(&mut seat.identity);
            seat.here = Some(here);
        }
        self.publish(&mut participant).await?;
        Ok(Present {
            participant,
            events,
            downlink,
        })
    }

    async fn chat(&self, here: &Present) {
        let packet = DataPacket {
            payload: format!("{{\"message\":\"Hello from {}\"}}", self.part.identity).into_bytes(),
            topic: Some(CHAT_TOPIC.to_owned()),
            reliable: true,
            ..DataPacket::default()
        };
        match here.participant.room().local_participant().publish_data(packet).await {
            Ok(()) => self.stage.count("chat_sent"),
            Err(error) => self.stage.error("chat", &error.to_string()),
        }
    }

    async fn leave(&self, here: Present) {
        self.stage.vacate(self.index, now());
        self.stage
            .unpublishes(self.part.room, here.participant.identity(), None);
        here.participant.leave().await;
    }

    /// The server, or the network, ended it.
    fn put_out(&mut self, present: &mut Option<Present>, reason: DisconnectReason, start: tokio::time::Instant) {
        let Some(gone) = present.take() else { return };
        self.stage
            .unpublishes(self.part.room, gone.participant.identity(), None);
        self.stage.vacate(self.index, now());
        self.stage
            .error("disconnected", &format!("{}: {reason:?}", self.part.identity));
        if self.comebacks < COME_BACK_TIMES {
            self.comebacks += 1;
            let at = tokio::time::Instant::from_std(now()).saturating_duration_since(start) + COME_BACK_AFTER;
            let place = self.actions.partition_point(|(planned, _)| *planned <= at);
            self.actions.insert(place, (at, Action::Join));
        }
    }

    async fn round_trip(&self, present: Option<&Present>) {
        let Some(here) = present else { return };
        let Ok(stats) = here.participant.room().get_stats().await else {
            return;
        };
        for stat in stats.publisher_stats.iter().chain(&stats.subscriber_stats) {
            if let libwebrtc::stats::RtcStats::CandidatePair(pair) = stat {
                let seconds = pair.candidate_pair.current_round_trip_time;
                if pair.candidate_pair.nominated && seconds > 0.0 && seconds < 60.0 {
                    self.stage
                        .times
                        .lock()
                        .round_trip
                        .record(Duration::from_secs_f64(seconds));
                }
            }
        }
    }
}
