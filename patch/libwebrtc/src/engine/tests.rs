//! Two engines and a network that exists only here: time is a number, so an hour of it takes as long as its packets.

use std::collections::BinaryHeap;
use std::net::SocketAddr;

use bytes::Bytes;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use rtc::shared::TransportProtocol;

use super::*;
use crate::MediaType;
use crate::data_channel::DataChannelInit;
use crate::media_stream_track::{MediaStreamTrack, Origin};
use crate::raw::{RtpPacket, RtpSink, SenderReport};
use crate::rtp_parameters::{RtpCodecCapability, RtpEncodingParameters};
use crate::rtp_transceiver::{RtpTransceiverDirection, RtpTransceiverInit};
use crate::session_description::{SdpType, parse_sdp};
use crate::stats::{IceCandidateType, RtcStats};
use crate::video_track::RtcVideoTrack;

/// A host whose engine is reached directly, at the simulation's time.
struct SimHost {
    engine: Mutex<Option<Engine>>,
    now: Mutex<Instant>,
}

impl Host for SimHost {
    fn with_engine(&self, act: &mut dyn FnMut(&mut Engine, Instant)) {
        let now = *self.now.lock();
        if let Some(engine) = self.engine.lock().as_mut() {
            act(engine, now);
        }
    }

    fn look_at_engine(&self, look: &mut dyn FnMut(&Engine)) {
        self.engine.lock().as_ref().into_iter().for_each(look);
    }
}

struct Side {
    host: Arc<SimHost>,
    address: SocketAddr,
    events: Vec<Event>,
}

impl Side {
    fn new(now: Instant, address: &str) -> Self {
        Self::with(now, address, false)
    }

    /// A side whose address is its own, or one that a server relays, and then nothing else may be used.
    fn with(now: Instant, address: &str, relayed: bool) -> Self {
        let host = Arc::new(SimHost {
            engine: Mutex::new(None),
            now: Mutex::new(now),
        });
        let host_ref = HostRef::default();
        let known: Weak<SimHost> = Arc::downgrade(&host);
        host_ref.set(known);
        let wall = WallClock::new(now, Duration::from_secs(1_700_000_000));
        let mut engine = Engine::new(now, wall, host_ref, relayed).expect("an engine");
        let address: SocketAddr = address.parse().expect("an address");
        let (kind, url) = if relayed {
            ("relay raddr 0.0.0.0 rport 9", Some("turn:relay.example.org"))
        } else {
            ("host", None)
        };
        let line = format!(
            "candidate:1 1 udp 2130706431 {} {} typ {kind}",
            address.ip(),
            address.port()
        );
        engine.add_local_candidate(&line, url).expect("accepted");
        *host.engine.lock() = Some(engine);
        Self {
            host,
            address,
            events: Vec::new(),
        }
    }

    fn engine<R>(&self, act: impl FnOnce(&mut Engine, Instant) -> R) -> R {
        let now = *self.host.now.lock();
        act(self.host.engine.lock().as_mut().expect("an engine"), now)
    }

    /// The tracks told of since the last call.
    fn tracks(&mut self) -> Vec<Received> {
        let mut tracks = Vec::new();
        self.events.retain(|event| match event {
            Event::Track(_, received) => {
                tracks.push(received.clone());
                false
            }
            _ => true,
        });
        tracks
    }

    fn is_connected(&self) -> bool {
        self.engine(|engine, _| engine.connection == PeerConnectionState::Connected)
    }
}

struct InFlight {
    at: Instant,
    order: u64,
    to_b: bool,
    bytes: BytesMut,
}

impl PartialEq for InFlight {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}
impl Eq for InFlight {}
impl PartialOrd for InFlight {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for InFlight {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        // A heap gives the greatest first: earliest, then first sent.
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}

struct Network {
    a: Side,
    b: Side,
    now: Instant,
    flying: BinaryHeap<InFlight>,
    sent: u64,
    delay: Duration,
    /// Of RTP from A to B only, so that what is lost can be counted.
    loss: f64,
    lost_rtp: u64,
    random: SmallRng,
}

#[expect(
    clippy::disallowed_methods,
    reason = "an origin for instants; its value does not matter"
)]
fn origin() -> Instant {
    Instant::now()
}

impl Network {
    fn new() -> Self {
        let now = origin();
        Self {
            a: Side::new(now, "10.0.0.1:5000"),
            b: Side::new(now, "10.0.0.2:5000"),
            now,
            flying: BinaryHeap::new(),
            sent: 0,
            delay: Duration::from_millis(5),
            loss: 0.0,
            lost_rtp: 0,
            random: SmallRng::seed_from_u64(42),
        }
    }

    /// A offers, B answers, candidates are in the descriptions.
    fn negotiate(&mut self) {
        let offer = self.a.engine(|a, now| {
            let offer = a.create_offer(false).expect("an offer");
            a.set_local(now, &offer).expect("applied");
            offer
        });
        let answer = self.b.engine(|b, now| {
            b.set_remote(now, &offer).expect("applied");
            let answer = b.create_answer().expect("an answer");
            b.set_local(now, &answer).expect("applied");
            answer
        });
        self.a.engine(|a, now| a.set_remote(now, &answer).expect("applied"));
        self.settle();
    }

    /// Sends what is to be sent and hands over what is to be handed over, at this instant.
    fn settle(&mut self) {
        for to_b in [true, false] {
            let side = if to_b { &mut self.a } else { &mut self.b };
            let mut deliveries = Vec::new();
            let mut datagrams = Vec::new();
            {
                let mut guard = side.host.engine.lock();
                let engine = guard.as_mut().expect("an engine");
                loop {
                    let before = (datagrams.len(), side.events.len());
                    while let Some(transmit) = engine.poll_transmit() {
                        datagrams.push(transmit.message);
                    }
                    engine.drain(&mut side.events, &mut deliveries);
                    if (datagrams.len(), side.events.len()) == before {
                        break;
                    }
                }
            }
            for delivery in deliveries {
                match delivery {
                    Delivery::Packet(track, packet) => track.deliver(packet),
                    Delivery::Report(track, report) => track.deliver_report(report),
                    Delivery::Ended(track) => track.end(),
                    Delivery::KeyFrameRequest(ssrc) => {
                        if let Some((sender, layer)) = side.engine(|engine, _| engine.sender_of(ssrc)) {
                            sender.key_frame_requested(layer);
                        }
                    }
                }
            }
            for bytes in datagrams {
                let rtp = to_b && (128..192).contains(&bytes[0]) && !(192..=223).contains(&bytes[1]);
                if rtp && self.random.random_bool(self.loss) {
                    self.lost_rtp += 1;
                    continue;
                }
                self.sent += 1;
                self.flying.push(InFlight {
                    at: self.now + self.delay,
                    order: self.sent,
                    to_b,
                    bytes,
                });
            }
        }
    }

    /// Lets time pass.
    fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        loop {
            self.settle();
            let timeouts = [&self.a, &self.b].map(|side| side.engine(|engine, _| engine.poll_timeout()));
            let next = timeouts
                .into_iter()
                .flatten()
                .chain(self.flying.peek().map(|f| f.at))
                .min();
            let Some(next) = next.filter(|at| *at <= end) else {
                break;
            };
            self.now = self.now.max(next);
            *self.a.host.now.lock() = self.now;
            *self.b.host.now.lock() = self.now;
            while self.flying.peek().is_some_and(|f| f.at <= self.now) {
                let Some(datagram) = self.flying.pop() else { break };
                let (from, to) = if datagram.to_b {
                    (&self.a, &self.b)
                } else {
                    (&self.b, &self.a)
                };
                let transport = TransportContext {
                    local_addr: to.address,
                    peer_addr: from.address,
                    transport_protocol: TransportProtocol::UDP,
                    ecn: None,
                };
                to.engine(|engine, now| engine.handle_datagram(now, transport, datagram.bytes));
            }
            for side in [&self.a, &self.b] {
                side.engine(|engine, now| {
                    if engine.poll_timeout().is_some_and(|at| at <= now) {
                        engine.handle_timeout(now);
                    }
                });
            }
        }
        self.now = end;
        *self.a.host.now.lock() = end;
        *self.b.host.now.lock() = end;
    }

    fn connected() -> Self {
        let mut network = Self::new();
        network
            .a
            .engine(|a, _| a.create_data_channel("data", &DataChannelInit::default()))
            .expect("a channel");
        network.negotiate();
        network.run(Duration::from_secs(2));
        assert!(network.a.is_connected() && network.b.is_connected());
        network
    }
}

/// What a sink was given.
#[derive(Default)]
struct Heard {
    packets: Vec<RtpPacket>,
    reports: Vec<SenderReport>,
    ended: bool,
}

struct Sink(Arc<Mutex<Heard>>);

impl RtpSink for Sink {
    fn packet(&mut self, packet: RtpPacket) {
        self.0.lock().packets.push(packet);
    }
    fn sender_report(&mut self, report: SenderReport) {
        self.0.lock().reports.push(report);
    }
    fn ended(&mut self) {
        self.0.lock().ended = true;
    }
}

fn listen(received: &Received) -> Arc<Mutex<Heard>> {
    let heard = Arc::new(Mutex::new(Heard::default()));
    received.track.set_sink(Some(Box::new(Sink(Arc::clone(&heard)))));
    heard
}

fn video(id: &str) -> (Arc<crate::engine::local::LocalTrack>, MediaStreamTrack) {
    let local = crate::engine::local::LocalTrack::new(id, true);
    (Arc::clone(&local), RtcVideoTrack::new(Origin::Local(local)).into())
}

fn send_only(encodings: Vec<RtpEncodingParameters>) -> RtpTransceiverInit {
    RtpTransceiverInit {
        direction: RtpTransceiverDirection::SendOnly,
        stream_ids: Vec::new(),
        send_encodings: encodings,
    }
}

fn publish(network: &Network, id: &str, codec: &str) -> (Arc<crate::engine::local::LocalTrack>, Arc<SenderInner>) {
    let (local, track) = video(id);
    let transceiver = network
        .a
        .engine(|a, _| a.add_transceiver(Some(track), MediaType::Video, send_only(Vec::new())))
        .expect("added");
    let wanted: Vec<RtpCodecCapability> = codecs::capabilities(MediaType::Video)
        .codecs
        .into_iter()
        .filter(|c| c.mime_type == format!("video/{codec}"))
        .collect();
    transceiver.set_preferences(wanted);
    (local, Arc::clone(&transceiver.sender))
}

fn packet(sequence: u16) -> OutgoingPacket {
    OutgoingPacket {
        sequence_number: sequence,
        timestamp: u32::from(sequence) * 3000,
        marker: true,
        payload: Bytes::from(vec![sequence as u8; 200]),
        captured: None,
        stamp_capture: false,
    }
}

/// Sends `count` packets, one every `every`.
fn stream(network: &mut Network, track: &crate::engine::local::LocalTrack, from: u16, count: u16, every: Duration) {
    for n in 0..count {
        let written = track.write(0, &packet(from.wrapping_add(n))).expect("written");
        assert_eq!(written, Written::Sent);
        network.run(every);
    }
}

#[test]
fn channels_carry_messages_both_ways_and_meter_what_has_left() {
    let mut network = Network::new();
    let init = DataChannelInit {
        negotiated: true,
        id: 1,
        ..DataChannelInit::default()
    };
    let at_a = network
        .a
        .engine(|a, _| a.create_data_channel("x", &init))
        .expect("a channel");
    let at_b = network
        .b
        .engine(|b, _| b.create_data_channel("x", &init))
        .expect("a channel");
    network.negotiate();
    network.run(Duration::from_secs(1));
    assert_eq!(
        (at_a.state(), at_b.state()),
        (DataChannelState::Open, DataChannelState::Open)
    );
    let big = vec![7u8; 60_000];
    network.a.engine(|a, now| a.send(now, &at_a, &big, true)).expect("sent");
    network
        .b
        .engine(|b, now| b.send(now, &at_b, "grüß".as_bytes(), false))
        .expect("sent");
    assert!(
        network.a.engine(|a, now| a.send(now, &at_a, &[0xff], false)).is_err(),
        "text is UTF-8"
    );
    network.run(Duration::from_secs(2));
    let received = |side: &Side| {
        side.events.iter().find_map(|e| match e {
            Event::Message(_, data, binary) => Some((data.to_vec(), *binary)),
            _ => None,
        })
    };
    assert_eq!(received(&network.b), Some((big, true)));
    assert_eq!(received(&network.a), Some(("grüß".as_bytes().to_vec(), false)));
    let left: u64 = network
        .a
        .events
        .iter()
        .map(|e| if let Event::Sent(_, bytes) = e { *bytes } else { 0 })
        .sum();
    assert_eq!(left, 60_000);
    assert_eq!(at_a.buffered.load(std::sync::atomic::Ordering::Relaxed), 0);
}

#[test]
fn a_channel_opened_in_band_appears_on_the_other_side() {
    let mut network = Network::connected();
    let labels: Vec<String> = network
        .b
        .events
        .iter()
        .filter_map(|e| {
            if let Event::Channel(c) = e {
                Some(c.label.clone())
            } else {
                None
            }
        })
        .collect();
    assert_eq!(labels, ["data"]);
    network.a.engine(|a, _| a.close());
    network.run(Duration::from_secs(1));
    assert!(
        network
            .b
            .events
            .iter()
            .any(|e| matches!(e, Event::ChannelState(_, DataChannelState::Closed)))
    );
}

#[test]
fn published_packets_arrive_as_they_were_sent() {
    for codec in ["VP8", "VP9", "H264", "AV1"] {
        let mut network = Network::connected();
        let (track, _) = publish(&network, "cam", codec);
        network.negotiate();
        let received = network.b.tracks();
        assert_eq!(
            received.len(),
            1,
            "a track is told of with the description, not with its first packet"
        );
        assert_eq!(received[0].track.id(), "cam");
        let heard = listen(&received[0]);
        stream(&mut network, &track, 65_530, 100, Duration::from_millis(20));
        network.run(Duration::from_secs(2));
        let heard = heard.lock();
        assert_eq!(heard.packets.len(), 100, "{codec}");
        for (n, got) in heard.packets.iter().enumerate() {
            let sent = packet(65_530u16.wrapping_add(n as u16));
            assert_eq!(
                (got.header.sequence_number, got.header.timestamp),
                (sent.sequence_number, sent.timestamp)
            );
            assert_eq!(got.payload, sent.payload);
        }
        let negotiated = received[0].track.codecs();
        let used = negotiated
            .iter()
            .find(|c| c.payload_type == heard.packets[0].header.payload_type)
            .expect("negotiated");
        assert_eq!(used.mime_type, format!("video/{codec}"));
        assert!(
            heard.reports.len() >= 2,
            "sender reports arrive: {}",
            heard.reports.len()
        );
    }
}

/// A server that knows fewer profiles than we do, asked for receiving sections first, as the SDK does it: whatever is then
/// published has one payload type, which is the one that is expected.
#[test]
fn what_is_published_after_receiving_sections_has_the_payload_type_that_is_expected() {
    const UNKNOWN: [&str; 4] = ["108", "109", "112", "113"];
    for codec in ["VP8", "VP9", "H264", "AV1"] {
        let mut network = Network::new();
        for _ in 0..3 {
            let init = RtpTransceiverInit {
                direction: RtpTransceiverDirection::RecvOnly,
                stream_ids: Vec::new(),
                send_encodings: Vec::new(),
            };
            network
                .a
                .engine(|a, _| a.add_transceiver(None, MediaType::Video, init))
                .expect("added");
        }
        let poorer = |sdp: &str| {
            let keep = |line: &&str| {
                let value = line.split_once(':').map_or("", |(_, value)| value);
                !UNKNOWN.contains(&value.split(' ').next().unwrap_or_default())
            };
            let shorten = |line: &str| {
                let formats = line.split(' ').filter(|word| !UNKNOWN.contains(word));
                formats.collect::<Vec<_>>().join(" ") + "\r\n"
            };
            sdp.lines().filter(keep).map(shorten).collect::<String>()
        };
        let negotiate = |network: &mut Network| {
            let offer = network.a.engine(|a, now| {
                let offer = a.create_offer(false).expect("an offer");
                a.set_local(now, &offer).expect("applied");
                offer
            });
            let answer = network.b.engine(|b, now| {
                b.set_remote(now, &offer).expect("applied");
                let answer = b.create_answer().expect("an answer");
                b.set_local(now, &answer).expect("applied");
                SessionDescription::parse(&poorer(answer.sdp()), SdpType::Answer).expect("parses")
            });
            network.a.engine(|a, now| a.set_remote(now, &answer).expect("applied"));
            network.settle();
            offer
        };
        negotiate(&mut network);
        network.run(Duration::from_secs(2));
        let (track, sender) = publish(&network, "cam", codec);
        let offer = negotiate(&mut network);
        let offered = sdp::sections(&parse_sdp(offer.sdp()).expect("parses"));
        for section in offered.iter().filter(|section| section.video) {
            let types: Vec<u8> = section.codecs.iter().map(|c| c.payload_type).collect();
            let distinct: std::collections::HashSet<u8> = types.iter().copied().collect();
            assert_eq!(distinct.len(), types.len(), "{codec}: {types:?}");
        }
        let published = offered.last().expect("a section");
        assert_eq!(published.codecs.len(), 2, "one codec and its repair");
        let answered = sender.codec().expect("answered");
        assert_eq!(answered.mime_type, format!("video/{codec}"));
        let heard = listen(&network.b.tracks()[0]);
        stream(&mut network, &track, 0, 10, Duration::from_millis(20));
        network.run(Duration::from_millis(500));
        let heard = heard.lock();
        assert_eq!(heard.packets.len(), 10, "{codec}");
        assert_eq!(
            heard.packets[0].header.payload_type, answered.payload_type,
            "{codec}: what is sent is what the answer names first"
        );
    }
}

#[test]
fn sender_reports_place_the_stream_on_the_senders_clock() {
    let mut network = Network::connected();
    let (track, _) = publish(&network, "cam", "VP8");
    network.negotiate();
    let heard = listen(&network.b.tracks()[0]);
    stream(&mut network, &track, 0, 100, Duration::from_nanos(33_333_333));
    let heard = heard.lock();
    let (first, last) = (
        heard.reports.first().expect("a report"),
        heard.reports.last().expect("a report"),
    );
    let wall = (last.ntp_time - first.ntp_time) as f64 / f64::from(u32::MAX);
    let media = f64::from(last.rtp_time.wrapping_sub(first.rtp_time)) / 90_000.0;
    assert!(
        wall > 1.0 && (wall - media).abs() < 0.002,
        "{wall} s of wall clock, {media} s of media"
    );
}

#[test]
fn lost_packets_are_repaired_once_each_and_without_flooding() {
    for (loss, codec) in [(0.03, "VP8"), (0.05, "H264")] {
        let mut network = Network::connected();
        let (track, sender) = publish(&network, "cam", codec);
        network.negotiate();
        let received = network.b.tracks();
        let heard = listen(&received[0]);
        network.loss = loss;
        stream(&mut network, &track, 0, 6_000, Duration::from_millis(10));
        network.loss = 0.0;
        // A loss is seen when something comes after it.
        stream(&mut network, &track, 6_000, 1, Duration::from_secs(3));
        let heard = heard.lock();
        let distinct: std::collections::HashSet<u16> = heard.packets.iter().map(|p| p.header.sequence_number).collect();
        assert_eq!(distinct.len(), heard.packets.len(), "no packet is handed over twice");
        let lost_first_time = heard.packets.iter().filter(|p| p.repaired).count();
        assert!(lost_first_time > 100, "the network did lose packets: {lost_first_time}");
        assert_eq!(distinct.len(), 6_001, "everything is repaired");
        let counters = received[0].track.counters()[0];
        assert_eq!(counters.repaired as usize, lost_first_time);
        // Each lost packet is asked for once, and once more where the repair was lost too.
        let asked = counters.nacked as f64 / network.lost_rtp as f64;
        assert!(asked < 1.15, "{asked} requests for each lost packet");
        let ssrc = sender.layer_list()[0].ssrc;
        let (_, outbound) = network
            .a
            .engine(|a, _| a.rtp.lock().outbound_counters(ssrc))
            .expect("bound");
        assert_eq!(outbound.packets, 6_001);
        let quiet = counters.nacked;
        network.run(Duration::from_mins(1));
        assert_eq!(
            received[0].track.counters()[0].nacked,
            quiet,
            "nothing is asked for after the stream has ended"
        );
    }
}

#[test]
fn key_frames_are_asked_for_and_the_request_reaches_the_layer() {
    let mut network = Network::connected();
    let (track, _) = publish(&network, "cam", "VP8");
    let asked: Arc<Mutex<Vec<usize>>> = Arc::default();
    let listener = Arc::clone(&asked);
    crate::raw::LocalRtp::new(Arc::clone(&track))
        .on_key_frame_request(Some(Arc::new(move |layer| listener.lock().push(layer))));
    network.negotiate();
    let received = network.b.tracks();
    stream(&mut network, &track, 0, 5, Duration::from_millis(20));
    for _ in 0..3 {
        received[0].track.request_key_frame();
    }
    network.run(Duration::from_millis(100));
    assert_eq!(*asked.lock(), [0], "requests that come together are one");
    assert!(track.take_key_frame_request() && !track.take_key_frame_request());
    network.run(Duration::from_millis(300));
    received[0].track.request_key_frame();
    network.run(Duration::from_millis(100));
    assert_eq!(asked.lock().len(), 2);
}

/// Three people share one media section one after the other: what is sent for one must never reach a listener of another.
#[test]
fn a_reused_section_is_a_new_track() {
    let mut network = Network::connected();
    let (track, sender) = publish(&network, "TR_first", "VP8");
    network.negotiate();
    let mut listeners = Vec::new();
    for (turn, name) in ["TR_first", "TR_second", "TR_third"].into_iter().enumerate() {
        if turn > 0 {
            // The same section and sender, another msid: what an SFU does when it reuses a section.
            let previous = ["TR_first", "TR_second", "TR_third"][turn - 1];
            network.b.engine(|b, now| {
                let remote = b
                    .remote_description()
                    .expect("negotiated")
                    .sdp()
                    .replace(previous, name);
                let offer = SessionDescription::parse(&remote, SdpType::Offer).expect("parses");
                b.set_remote(now, &offer).expect("applied");
                let answer = b.create_answer().expect("an answer");
                b.set_local(now, &answer).expect("applied");
            });
            network.settle();
        }
        let told = network.b.tracks();
        assert_eq!(told.len(), 1, "each turn tells of one track");
        assert_eq!(told[0].track.id(), name);
        listeners.push((told[0].clone(), listen(&told[0])));
        stream(&mut network, &track, turn as u16 * 100, 100, Duration::from_millis(10));
        network.run(Duration::from_millis(200));
    }
    for (turn, (received, heard)) in listeners.iter().enumerate() {
        let heard = heard.lock();
        let expected: Vec<u16> = (turn as u16 * 100..turn as u16 * 100 + 100).collect();
        let got: Vec<u16> = heard.packets.iter().map(|p| p.header.sequence_number).collect();
        assert_eq!(got, expected, "turn {turn}");
        assert_eq!(heard.ended, turn < 2);
        assert_eq!(received.track.has_ended(), turn < 2);
    }
    assert!(sender.track().is_some());
}

#[test]
fn ended_tracks_leave_nothing_behind() {
    let mut network = Network::connected();
    for turn in 0..20u16 {
        let (track, sender) = publish(&network, &format!("TR_{turn}"), "VP8");
        network.negotiate();
        let heard = listen(&network.b.tracks()[0]);
        stream(&mut network, &track, 0, 20, Duration::from_millis(20));
        network.run(Duration::from_secs(1));
        assert_eq!(heard.lock().packets.len(), 20);
        network.a.engine(|a, _| a.remove_track(&sender)).expect("removed");
        network.negotiate();
        network.run(Duration::from_millis(100));
        assert!(heard.lock().ended, "a track ends with its section");
    }
    let kept = network.b.engine(|b, _| b.rtp.lock().sizes());
    assert_eq!(
        kept, [0; 4],
        "receiver reports do not grow with every track that has been"
    );
    let kept = network.a.engine(|a, _| (a.rtp.lock().sizes(), a.senders.len()));
    assert_eq!(kept, ([0; 4], 0));
}

#[test]
fn packets_from_before_the_description_are_not_lost() {
    let mut network = Network::connected();
    let (track, _) = publish(&network, "cam", "VP8");
    // A is told of B's answer and sends; B applies the offer's track only afterwards. To B the packets come early.
    let offer = network.a.engine(|a, now| {
        let offer = a.create_offer(false).expect("an offer");
        a.set_local(now, &offer).expect("applied");
        offer
    });
    let answer = network.b.engine(|b, now| {
        b.set_remote(now, &offer).expect("applied");
        let answer = b.create_answer().expect("an answer");
        b.set_local(now, &answer).expect("applied");
        // As if the description had not come yet.
        b.rtp.lock().forget_assignments();
        answer
    });
    network.a.engine(|a, now| a.set_remote(now, &answer).expect("applied"));
    network.settle();
    let received = network.b.tracks();
    stream(&mut network, &track, 0, 10, Duration::from_millis(5));
    network.run(Duration::from_millis(100));
    let heard = listen(&received[0]);
    assert!(heard.lock().packets.is_empty());
    network.b.engine(|b, _| b.apply_sections(&offer)).expect("applied");
    network.settle();
    assert_eq!(heard.lock().packets.len(), 10);
}

#[test]
fn simulcast_layers_are_sent_on_their_own_and_rest_when_told_to() {
    let network = Network::new();
    let (track, media) = video("cam");
    let encodings: Vec<RtpEncodingParameters> = ["q", "h", "f"]
        .map(|rid| RtpEncodingParameters {
            rid: rid.into(),
            ..Default::default()
        })
        .into();
    let transceiver = network
        .a
        .engine(|a, _| a.add_transceiver(Some(media), MediaType::Video, send_only(encodings)))
        .expect("added");
    let mut network = network;
    network.negotiate();
    network.run(Duration::from_secs(1));
    let offer = network.a.engine(|a, _| a.local_description()).expect("an offer");
    assert!(offer.sdp().contains("a=simulcast:send q;h;f"), "{}", offer.sdp());
    assert_eq!(track.write(2, &packet(1)).expect("written"), Written::Sent);
    assert!(matches!(
        track.write(3, &packet(1)),
        Err(crate::raw::RawError::NoSuchLayer { layer: 3, layers: 3 })
    ));
    let mut encodings = transceiver.sender.encodings();
    encodings[2].active = false;
    transceiver
        .sender
        .set_encodings(encodings.clone(), None)
        .expect("applied");
    assert_eq!(track.write(2, &packet(2)).expect("written"), Written::LayerPaused);
    assert_eq!(track.write(0, &packet(2)).expect("written"), Written::Sent);
    encodings[0].rid = "x".into();
    assert!(
        transceiver.sender.set_encodings(encodings, None).is_err(),
        "layers are not renamed"
    );
    track.set_enabled(false);
    assert_eq!(track.write(0, &packet(3)).expect("written"), Written::Disabled);
}

#[test]
fn a_sender_that_should_encrypt_sends_nothing() {
    let mut network = Network::connected();
    let (track, sender) = publish(&network, "cam", "VP8");
    network.negotiate();
    assert_eq!(track.write(0, &packet(1)).expect("written"), Written::Sent);
    let factory = crate::peer_connection_factory::PeerConnectionFactory::default();
    let cryptor = crate::native::frame_cryptor::FrameCryptor::new_for_rtp_sender(
        &factory,
        "me".into(),
        crate::native::frame_cryptor::EncryptionAlgorithm::AesGcm,
        crate::native::frame_cryptor::KeyProvider::default(),
        crate::rtp_sender::RtpSender::new(sender),
    );
    let told = Arc::new(Mutex::new(None));
    let listener = Arc::clone(&told);
    cryptor.on_state_change(Some(Box::new(move |_, state| *listener.lock() = Some(state))));
    assert_eq!(
        *told.lock(),
        Some(crate::native::frame_cryptor::EncryptionState::InternalError)
    );
    network.settle();
    let before = network.sent;
    assert_eq!(
        track.write(0, &packet(2)),
        Err(crate::raw::RawError::EncryptionNotBuilt)
    );
    network.settle();
    assert_eq!(network.sent, before, "nothing left in clear");
}

#[test]
fn an_offer_edited_by_the_sdk_is_accepted() {
    let network = Network::new();
    network.a.engine(|a, now| {
        let init = RtpTransceiverInit {
            direction: RtpTransceiverDirection::RecvOnly,
            stream_ids: Vec::new(),
            send_encodings: Vec::new(),
        };
        a.add_transceiver(None, MediaType::Audio, init).expect("added");
        let offer = a.create_offer(false).expect("an offer");
        let edited = offer.sdp().replace("minptime=10", "minptime=10;stereo=1");
        assert_ne!(edited, offer.sdp());
        a.set_local(
            now,
            &SessionDescription::parse(&edited, SdpType::Offer).expect("parses"),
        )
        .expect("applied");
    });
}

#[test]
fn ice_restarts_and_the_connection_goes_on() {
    let mut network = Network::connected();
    let (track, _) = publish(&network, "cam", "VP8");
    network.negotiate();
    let heard = listen(&network.b.tracks()[0]);
    stream(&mut network, &track, 0, 50, Duration::from_millis(10));
    let ufrag = |engine: &Engine| {
        let sdp = engine.local_description().expect("negotiated");
        sdp.sdp()
            .lines()
            .find(|l| l.starts_with("a=ice-ufrag"))
            .map(str::to_owned)
    };
    let before = network.a.engine(|a, _| ufrag(a));
    let offer = network.a.engine(|a, now| {
        let offer = a.create_offer(true).expect("an offer");
        a.set_local(now, &offer).expect("applied");
        offer
    });
    let answer = network.b.engine(|b, now| {
        b.set_remote(now, &offer).expect("applied");
        let answer = b.create_answer().expect("an answer");
        b.set_local(now, &answer).expect("applied");
        answer
    });
    network.a.engine(|a, now| a.set_remote(now, &answer).expect("applied"));
    network.run(Duration::from_secs(2));
    assert_ne!(
        network.a.engine(|a, _| ufrag(a)),
        before,
        "an ICE restart has new credentials"
    );
    assert!(network.a.is_connected() && network.b.is_connected());
    stream(&mut network, &track, 50, 50, Duration::from_millis(10));
    network.run(Duration::from_secs(1));
    assert_eq!(heard.lock().packets.len(), 100);
    let told = network
        .a
        .events
        .iter()
        .filter(|e| matches!(e, Event::Candidate(_)))
        .count();
    assert_eq!(told, 2, "candidates are told again under the new credentials");
}

#[test]
fn a_relayed_path_is_taken_at_once_and_told_as_such() {
    let mut network = Network::new();
    network.a = Side::with(network.now, "10.0.0.1:5000", true);
    network
        .a
        .engine(|a, _| a.create_data_channel("data", &DataChannelInit::default()))
        .expect("a channel");
    network.negotiate();
    // The core would wait two seconds for a path that costs less.
    network.run(Duration::from_millis(1500));
    assert!(network.a.is_connected() && network.b.is_connected());
    let stats = network.a.engine(Engine::stats);
    let local: Vec<_> = stats
        .iter()
        .filter_map(|stats| match stats {
            RtcStats::LocalCandidate(local) => Some(&local.local_candidate),
            _ => None,
        })
        .collect();
    let [local] = local[..] else { panic!("one candidate") };
    assert_eq!(local.candidate_type, Some(IceCandidateType::Relay));
    assert_eq!(local.url, "turn:relay.example.org");
    // One that is lost is not told of again.
    network.a.engine(|a, now| {
        let line = a.candidates[0].line.clone();
        a.forget_local_candidate(&line);
        a.add_local_candidate(
            "candidate:2 1 udp 1 10.0.0.1 5001 typ relay raddr 0.0.0.0 rport 9",
            None,
        )
        .expect("accepted");
        let offer = a.create_offer(true).expect("an offer");
        a.set_local(now, &offer).expect("applied");
    });
    network.a.events.clear();
    network.settle();
    let told: Vec<_> = network
        .a
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Candidate(candidate) => Some(candidate.candidate()),
            _ => None,
        })
        .collect();
    assert!(
        !told.is_empty() && told.iter().all(|line| line.contains(" 5001 ")),
        "{told:?}"
    );
}

#[test]
fn a_silent_network_is_noticed() {
    let mut network = Network::connected();
    network.flying.clear();
    network.b.engine(|b, _| b.close());
    // Its goodbye is lost as well: nothing comes any more.
    while network.b.engine(|b, _| b.poll_transmit()).is_some() {}
    network.run(Duration::from_secs(30));
    let states: Vec<PeerConnectionState> = network
        .a
        .events
        .iter()
        .filter_map(|e| if let Event::Connection(s) = e { Some(*s) } else { None })
        .collect();
    assert!(states.contains(&PeerConnectionState::Disconnected), "{states:?}");
    assert_eq!(states.last(), Some(&PeerConnectionState::Failed), "{states:?}");
}

#[test]
fn a_closed_connection_keeps_nothing_whoever_keeps_it() {
    let mut network = Network::connected();
    let rtp = network.a.engine(|a, _| Arc::downgrade(&a.rtp));
    assert!(rtp.strong_count() > 1, "the core's interceptor has it too");
    network.a.engine(|a, now| {
        a.let_go(now);
        assert!(!a.channels.is_empty(), "what is open is kept");
        a.close();
    });
    network.run(Duration::from_millis(100));
    network.a.engine(Engine::let_go);
    assert_eq!(rtp.strong_count(), 1, "the core is gone");
    network.a.engine(|a, now| {
        assert!(a.is_closed() && a.transceivers().is_empty() && a.create_offer(false).is_err());
        assert!(a.poll_transmit().is_none() && a.poll_timeout().is_none());
        a.stats(now);
    });
    let last = network.a.events.iter().rev().find_map(|event| match event {
        Event::Connection(state) => Some(*state),
        _ => None,
    });
    assert_eq!(last, Some(PeerConnectionState::Closed));
}
