//! What the participants of one process share, and where their measurements come together.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use greffier_media::codec::{Dims, MediaKind};
use hdrhistogram::Histogram;
use livekit::prelude::TrackSource;
use parking_lot::Mutex;

use super::LoadError;
use super::measure::{Carried, Flow, Measured, Received, Replayed, SentTotals, Tick, Times, TimesOf};
use super::scenario::{Scenario, Tokens};
use super::seat::{Seat, Subscription};
use crate::clock::SystemClock;
use crate::livekit::{BotGrants, LiveKit};
use crate::synthetic::clip::Clips;
use crate::synthetic::participant;
use crate::synthetic::reception::Distributions;
use crate::synthetic::recorded::{Person, RecordedMeeting};
use crate::synthetic::{Pacer, Sent};

/// Something one of ours sends.
#[derive(Clone)]
pub(super) struct Publication {
    pub identity: String,
    pub source: &'static str,
    pub sent: Arc<Sent>,
    /// From the largest down.
    pub layers: Vec<Dims>,
    pub from: Instant,
    pub until: Option<Instant>,
    /// Whose of the recorded people it is, and when their meeting began.
    pub person: Option<(usize, Instant)>,
}

/// Who was there together with a track for so long, and was never given it, has missed it.
const SUBSCRIBED_WITHIN: Duration = Duration::from_secs(5);

pub(super) struct Stage {
    pub scenario: Scenario,
    /// Of the rooms, by number.
    pub rooms: Vec<String>,
    /// To connect to.
    pub url: String,
    pub livekit: Option<LiveKit>,
    pub http: reqwest::Client,
    pub clips: Clips,
    /// What is played again, if anything is.
    pub meeting: Option<Arc<RecordedMeeting>>,
    pub pacer: Pacer,
    pub clock: SystemClock,
    pub seats: Mutex<BTreeMap<usize, Seat>>,
    pub times: Mutex<TimesOf>,
    pub distributions: Arc<Mutex<Distributions>>,
    /// By room, oldest first.
    published: Mutex<HashMap<u32, Vec<Publication>>>,
    /// Who is called otherwise than planned, because a token says so: room and planned identity.
    called: Mutex<HashMap<(u32, String), String>>,
    all_sent: Mutex<Vec<Arc<Sent>>>,
    measured: Mutex<Measured>,
}

pub(super) use crate::clock::instant as now;

pub(super) fn source_name(source: TrackSource) -> &'static str {
    match source {
        TrackSource::Camera => "camera",
        TrackSource::Microphone => "microphone",
        TrackSource::Screenshare => "screen",
        TrackSource::ScreenshareAudio => "screen_audio",
        TrackSource::Unknown => "other",
    }
}

impl Stage {
    #[expect(
        clippy::too_many_arguments,
        reason = "what a process is given, put together in one place"
    )]
    pub fn new(
        scenario: Scenario,
        rooms: Vec<String>,
        url: String,
        livekit: Option<LiveKit>,
        clips: Clips,
        meeting: Option<Arc<RecordedMeeting>>,
        pacer: Pacer,
        clock: SystemClock,
    ) -> Self {
        Self {
            scenario,
            rooms,
            url,
            livekit,
            http: reqwest::Client::new(),
            clips,
            meeting,
            pacer,
            clock,
            seats: Mutex::default(),
            times: Mutex::default(),
            distributions: Arc::default(),
            published: Mutex::default(),
            called: Mutex::default(),
            all_sent: Mutex::default(),
            measured: Mutex::default(),
        }
    }

    pub fn count(&self, what: &str) {
        self.add(what, 1);
    }

    fn add(&self, what: &str, by: u64) {
        *self.measured.lock().events.entry(what.to_owned()).or_default() += by;
    }

    pub fn error(&self, kind: &str, words: &str) {
        tracing::debug!(kind, words, "a participant met an error");
        let mut measured = self.measured.lock();
        *measured.errors.entry(kind.to_owned()).or_default() += 1;
        measured
            .first_errors
            .entry(kind.to_owned())
            .or_insert_with(|| words.to_owned());
    }

    /// A token for one participant.
    pub async fn token(&self, room: u32, identity: &str) -> Result<String, LoadError> {
        let name = &self.rooms[room as usize];
        if let Some(Tokens::Url(url)) = &self.scenario.tokens {
            #[derive(serde::Deserialize)]
            struct Answer {
                token: String,
            }
            let body = serde_json::json!({"room": name, "identity": identity});
            let failed = |error: reqwest::Error| LoadError::Token(error.to_string());
            let answer = self
                .http
                .post(url.clone())
                .json(&body)
                .timeout(Duration::from_secs(10))
                .send()
                .await;
            let answer = answer.and_then(reqwest::Response::error_for_status).map_err(failed)?;
            return Ok(answer.json::<Answer>().await.map_err(failed)?.token);
        }
        let Some(livekit) = &self.livekit else {
            return Err(LoadError::Token(
                "neither a key, nor a list of tokens, nor a URL for them".to_owned(),
            ));
        };
        Ok(livekit.bot_token(name, identity, identity, BotGrants::Synthetic { publish: true })?)
    }

    /// Notes what somebody of ours sends, so that those who receive it know whom to blame.
    pub fn publishes(&self, room: u32, publication: Publication) {
        self.all_sent.lock().push(Arc::clone(&publication.sent));
        self.published.lock().entry(room).or_default().push(publication);
    }

    /// Notes that somebody sends no more: from `source`, or anything.
    pub fn unpublishes(&self, room: u32, identity: &str, source: Option<&str>) {
        let mut published = self.published.lock();
        let of_room = published.entry(room).or_default();
        let ended = of_room
            .iter_mut()
            .filter(|p| p.until.is_none() && p.identity == identity && source.is_none_or(|source| source == p.source));
        ended.for_each(|p| p.until = Some(now()));
    }

    /// What somebody of ours sends, or sent last.
    pub fn published(&self, room: u32, identity: &str, source: &str) -> Option<Publication> {
        let published = self.published.lock();
        let of_room = published.get(&room)?;
        of_room
            .iter()
            .rfind(|p| p.identity == identity && p.source == source)
            .cloned()
    }

    /// Notes by what name somebody is known in the room.
    pub fn is_called(&self, room: u32, planned: &str, identity: &str) {
        if planned != identity {
            self.called
                .lock()
                .insert((room, planned.to_owned()), identity.to_owned());
        }
    }

    /// The name by which somebody of the plan is known in the room.
    pub fn name_of(&self, room: u32, planned: &str) -> String {
        let called = self.called.lock().get(&(room, planned.to_owned())).cloned();
        called.unwrap_or_else(|| planned.to_owned())
    }

    /// Ends one track of a seat, and keeps what it was.
    pub fn close_track(&self, index: usize, sid: &str, now: Instant) {
        let mut closed = Vec::new();
        let (mut room, mut identity) = (0, String::new());
        if let Some(seat) = self.seats.lock().get_mut(&index) {
            seat.tracks
                .iter_mut()
                .filter(|track| track.sid == sid)
                .for_each(|track| {
                    track.look(Duration::ZERO);
                });
            room = seat.room;
            identity.clone_from(&seat.identity);
            closed = seat.tracks.extract_if(.., |track| track.sid == sid).collect();
        }
        self.keep(room, &identity, &closed, now);
    }

    /// Ends all tracks of a seat, and the seat.
    pub fn vacate(&self, index: usize, now: Instant) {
        let Some(mut seat) = self.seats.lock().remove(&index) else {
            return;
        };
        self.note_firsts(&mut seat);
        self.note_missing(&seat, now);
        self.keep(seat.room, &seat.identity, &seat.tracks, now);
    }

    /// What others sent while somebody was there, and that was never given to them.
    fn note_missing(&self, seat: &Seat, now: Instant) {
        let Some(here) = seat.here.filter(|_| seat.subscribes) else {
            return;
        };
        let published = self.published.lock();
        let of_room = published.get(&seat.room).map_or(&[][..], Vec::as_slice);
        let missed: Vec<String> = of_room
            .iter()
            .filter(|p| p.identity != seat.identity)
            .filter(|p| {
                let together = p.until.unwrap_or(now).min(now).checked_duration_since(p.from.max(here));
                let had = seat.had.get(&(p.identity.clone(), p.source));
                together.is_some_and(|together| together >= SUBSCRIBED_WITHIN) && had.is_none_or(|had| *had < p.from)
            })
            .map(|p| format!("{} of {}", p.source, p.identity))
            .collect();
        drop(published);
        let mut measured = self.measured.lock();
        measured.rooms.entry(seat.room).or_default().not_subscribed += missed.len() as u64;
        drop(measured);
        for what in missed {
            let words = format!("{} was never given the {what} in room {}", seat.identity, seat.room);
            self.error("not_subscribed", &words);
        }
    }

    fn keep(&self, room: u32, identity: &str, closed: &[Subscription], now: Instant) {
        for track in closed {
            let received = track.close(now);
            self.note_silence(room, identity, track, &received);
            self.note_replayed(track, now);
            let (nacked, plis) = track.nacked();
            let mut measured = self.measured.lock();
            measured.rooms.entry(room).or_default().add(&received);
            measured.codecs.entry(track.codec.clone()).or_default().add(&received);
            *measured.events.entry("packets_asked_again".to_owned()).or_default() += nacked;
            *measured.events.entry("key_frames_requested".to_owned()).or_default() += plis;
        }
    }

    fn note_silence(&self, room: u32, identity: &str, track: &Subscription, received: &Received) {
        let (source, publisher) = (track.source, &track.publisher);
        if received.never_heard > 0 {
            let words = format!("{identity} never heard the {source} of {publisher} in room {room}");
            self.error("never_heard", &words);
        }
        if received.never_seen > 0 {
            let words = format!("{identity} never saw the {source} of {publisher} in room {room}");
            self.error("never_seen", &words);
        }
    }

    /// Puts what came of a recorded person's track beside the same stretch of the original.
    fn note_replayed(&self, track: &Subscription, now: Instant) {
        let Some((person, begun)) = track.published.as_ref().and_then(|(p, _)| p.person) else {
            return;
        };
        let (Some(meeting), Some((carried, first, repeated))) = (&self.meeting, track.carried()) else {
            return;
        };
        let Some(person) = meeting.people.get(person) else {
            return;
        };
        let within = first.saturating_duration_since(begun)..now.saturating_duration_since(begun);
        let replayed = Replayed {
            listeners: 1,
            seconds: within.end.saturating_sub(within.start).as_secs_f64(),
            original: original(person, track.source, &within),
            replayed: carried,
            repeated,
        };
        let who = format!("{} {}", person.identity, track.source);
        self.measured.lock().replayed.entry(who).or_default().add(&replayed);
    }

    /// The first sound and the first picture of a seat, once each.
    fn note_firsts(&self, seat: &mut Seat) {
        if !seat.heard
            && let Some(after) = first(seat, MediaKind::Audio)
        {
            seat.heard = true;
            self.times.lock().first_audio.record(after);
        }
        if !seat.saw
            && let Some(after) = first(seat, MediaKind::Video)
        {
            seat.saw = true;
            self.times.lock().first_video.record(after);
        }
    }

    /// Looks at everybody, once in `passed`.
    pub fn look(&self, passed: Duration) -> Tick {
        let mut tick = Tick::default();
        {
            let mut seats = self.seats.lock();
            tick.participants = seats.len() as u64;
            for seat in seats.values_mut() {
                self.note_firsts(seat);
                tick.tracks += seat.tracks.len() as u64;
                for track in &mut seat.tracks {
                    if track.published.is_none()
                        && let Some(publication) = self.published(seat.room, &track.publisher, track.source)
                        && publication.until.is_none()
                    {
                        track.attach(publication, true);
                    }
                    let (change, jitter) = track.look(passed);
                    tick.received += change.received;
                    tick.lost += change.lost;
                    tick.bytes += change.bytes;
                    tick.freezes += change.freezes;
                    let flow = Flow::from([change.received, change.lost, change.bytes, change.freezes]);
                    tick.rooms.entry(seat.room).or_default().add(&flow);
                    match tick.codecs.get_mut(&track.codec) {
                        Some(sum) => sum.add(&flow),
                        None => drop(tick.codecs.insert(track.codec.clone(), flow)),
                    }
                    if jitter > 0.0 {
                        self.times.lock().jitter.record(Duration::from_secs_f64(jitter));
                    }
                }
            }
        }
        let distributions = std::mem::take(&mut *self.distributions.lock());
        (tick.audio_latency, tick.video_latency) =
            (Times(distributions.audio_latency), Times(distributions.video_latency));
        let mut times = self.times.lock();
        times.audio_latency.merge(&tick.audio_latency);
        times.video_latency.merge(&tick.video_latency);
        times.freeze.merge(&Times(distributions.freezes));
        drop(times);
        tick.sent = self.sent().packets;
        tick.joins = self.measured.lock().event("joins");
        tick
    }

    pub fn sent(&self) -> SentTotals {
        let mut totals = SentTotals::default();
        for sent in self.all_sent.lock().iter() {
            totals.add(&SentTotals {
                packets: sent.packets.load(Ordering::Relaxed),
                bytes: sent.bytes.load(Ordering::Relaxed),
                lost_by_impairment: sent.lost_in_all(),
                skipped: sent.skipped.load(Ordering::Relaxed),
                key_frames_asked: sent.key_frames_asked.load(Ordering::Relaxed),
            });
        }
        totals
    }

    /// Everything, once all have left. `socket_drops` are the tester's own: they explain losses that nobody else caused.
    pub fn finish(&self, socket_drops: u64) -> Measured {
        let left: Vec<usize> = self.seats.lock().keys().copied().collect();
        for index in left {
            self.vacate(index, now());
        }
        self.look(Duration::ZERO);
        let mut measured = std::mem::take(&mut *self.measured.lock());
        measured.times = std::mem::take(&mut *self.times.lock());
        measured.sent = self.sent();
        let mut unexplained = socket_drops;
        for room in measured.rooms.values_mut() {
            for packets in [&mut room.video, &mut room.audio] {
                let ours = packets.lost_by_server.min(unexplained);
                packets.lost_by_server -= ours;
                packets.lost_by_tester += ours;
                unexplained -= ours;
            }
        }
        measured
    }
}

/// How long a seat waited for the first packet of sound or the first picture: from its call, or, for whoever was alone then,
/// from when the first of those it was given began to be published.
fn first(seat: &Seat, kind: MediaKind) -> Option<Duration> {
    let of_kind = || seat.tracks.iter().filter(move |track| track.kind == kind);
    let came = of_kind()
        .filter_map(|track| match kind {
            MediaKind::Audio => track.reception.counts().first_packet,
            MediaKind::Video => track.reception.counts().first_frame,
        })
        .min()?;
    let offered = of_kind()
        .map(|track| {
            track
                .published
                .as_ref()
                .map_or(seat.called, |(publication, _)| publication.from)
        })
        .min()?;
    Some(came.saturating_duration_since(seat.called.max(offered)))
}

/// What a recorded person said or showed within a time.
fn original(person: &Person, source: &str, within: &Range<Duration>) -> Carried {
    let mut sum = Carried::default();
    let tracks = person
        .tracks
        .iter()
        .filter(|track| source_name(participant::source_of(track)) == source);
    for track in tracks {
        let (bytes, speech, turns) = track.counts(within);
        sum.bytes += bytes;
        sum.speech += speech as f64 * 0.02;
        sum.turns += turns;
    }
    sum
}

/// The 99 % quantile in milliseconds of a histogram of microseconds.
pub(super) fn p99_ms(histogram: &Histogram<u64>) -> f64 {
    if histogram.is_empty() {
        0.0
    } else {
        histogram.value_at_quantile(0.99) as f64 / 1e3
    }
}
