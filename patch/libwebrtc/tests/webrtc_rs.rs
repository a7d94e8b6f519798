//! Two stacks that must understand each other: ours, and the async driver that webrtc-rs itself puts around the same core.
//! Over real sockets on this machine; each step is waited for, none for luck.

#![expect(clippy::disallowed_methods, reason = "a test's own helpers end with the test")]

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use libwebrtc::data_channel::DataChannelInit;
use libwebrtc::ice_candidate::IceCandidate;
use libwebrtc::media_stream_track::MediaStreamTrack;
use libwebrtc::peer_connection::{AnswerOptions, OfferOptions, PeerConnection};
use libwebrtc::peer_connection_factory::native::PeerConnectionFactoryExt;
use libwebrtc::peer_connection_factory::{PeerConnectionFactory, RtcConfiguration};
use libwebrtc::raw::{LocalTrackExt, OutgoingPacket, RemoteTrackExt, RtpPacket, RtpSink, SenderReport, Written};
use libwebrtc::rtp_transceiver::{RtpTransceiverDirection, RtpTransceiverInit};
use libwebrtc::session_description::{SdpType, SessionDescription};
use libwebrtc::video_source::native::NativeVideoSource;
use rtc::media_stream::MediaStreamTrack as RtcTrack;
use rtc::peer_connection::configuration::interceptor_registry::{Registry, register_default_interceptors};
use rtc::peer_connection::configuration::media_engine::{MIME_TYPE_VP8, MediaEngine};
use rtc::peer_connection::configuration::setting_engine::SettingEngineBuilder;
use rtc::peer_connection::event::RTCPeerConnectionIceEvent;
use rtc::peer_connection::sdp::RTCSessionDescription;
use rtc::peer_connection::transport::RTCIceCandidateInit;
use rtc::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc::rtp_transceiver::rtp_sender::{RTCRtpCodec, RTCRtpCodingParameters, RTCRtpEncodingParameters, RtpCodecKind};
use tokio::sync::mpsc;
use webrtc::data_channel::{DataChannel, DataChannelEvent};
use webrtc::media_stream::track_local::TrackLocal;
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;
use webrtc::media_stream::track_remote::{TrackRemote, TrackRemoteEvent};
use webrtc::peer_connection::{PeerConnection as Theirs, PeerConnectionBuilder, PeerConnectionEventHandler};

const PATIENCE: Duration = Duration::from_secs(20);

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .unwrap_or_else(|_| panic!("{what} did not happen in {PATIENCE:?}"))
}

/// What the other stack tells.
struct Handler {
    candidates: mpsc::Sender<RTCIceCandidateInit>,
    channels: mpsc::Sender<Arc<dyn DataChannel>>,
    tracks: mpsc::Sender<Arc<dyn TrackRemote>>,
}

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_ice_candidate(&self, event: RTCPeerConnectionIceEvent) {
        if let Ok(candidate) = event.candidate.to_json() {
            let _ = self.candidates.send(candidate).await;
        }
    }

    async fn on_data_channel(&self, channel: Arc<dyn DataChannel>) {
        let _ = self.channels.send(channel).await;
    }

    async fn on_track(&self, track: Arc<dyn TrackRemote>) {
        let _ = self.tracks.send(track).await;
    }
}

struct Pair {
    ours: PeerConnection,
    theirs: Arc<dyn Theirs>,
    channels: mpsc::Receiver<Arc<dyn DataChannel>>,
    tracks: mpsc::Receiver<Arc<dyn TrackRemote>>,
    our_tracks: mpsc::Receiver<MediaStreamTrack>,
}

async fn pair() -> Pair {
    let (candidates, mut their_candidates) = mpsc::channel::<RTCIceCandidateInit>(64);
    let (channels, channel_inbox) = mpsc::channel(8);
    let (tracks, track_inbox) = mpsc::channel(8);
    let mut media_engine = MediaEngine::default();
    media_engine.register_default_codecs().expect("codecs");
    let registry = register_default_interceptors(Registry::new(), &mut media_engine).expect("interceptors");
    let settings = SettingEngineBuilder::new()
        .with_multicast_dns_mode(rtc::ice::mdns::MulticastDnsMode::Disabled)
        .with_include_loopback_candidate(true)
        .build();
    let theirs: Arc<dyn Theirs> = Arc::new(
        Box::pin(
            PeerConnectionBuilder::new()
                .with_media_engine(media_engine)
                .with_setting_engine(settings)
                .with_interceptor_registry(registry)
                .with_handler(Arc::new(Handler {
                    candidates,
                    channels,
                    tracks,
                }))
                .with_udp_addrs(vec!["127.0.0.1:0".to_owned()])
                .build(),
        )
        .await
        .expect("their connection"),
    );
    let ours = PeerConnectionFactory::default()
        .create_peer_connection(RtcConfiguration::default())
        .expect("our connection");
    let (found, our_tracks) = mpsc::channel(8);
    ours.on_track(Some(Box::new(move |event| {
        let _ = found.try_send(event.track);
    })));
    let into = ours.clone();
    tokio::spawn(async move {
        while let Some(candidate) = their_candidates.recv().await {
            let mid = candidate.sdp_mid.unwrap_or_else(|| "0".to_owned());
            let parsed = IceCandidate::parse(&mid, 0, &candidate.candidate).expect("well formed");
            // Before the description the candidates are in the description.
            let _ = into.add_ice_candidate(parsed).await;
        }
    });
    Pair {
        ours,
        theirs,
        channels: channel_inbox,
        tracks: track_inbox,
        our_tracks,
    }
}

impl Pair {
    /// We offer, they answer.
    async fn we_offer(&self) {
        let offer = self.ours.create_offer(OfferOptions::default()).await.expect("an offer");
        self.ours.set_local_description(offer.clone()).await.expect("applied");
        let offer = RTCSessionDescription::offer(offer.to_string()).expect("an offer");
        self.theirs.set_remote_description(offer).await.expect("they apply it");
        let answer = self.theirs.create_answer(None).await.expect("their answer");
        self.theirs.set_local_description(answer).await.expect("they apply it");
        let answer = self.theirs.local_description().await.expect("their answer");
        let answer = SessionDescription::parse(&answer.sdp, SdpType::Answer).expect("parses");
        self.ours.set_remote_description(answer).await.expect("applied");
    }

    /// They offer, we answer.
    async fn they_offer(&self) {
        let offer = self.theirs.create_offer(None).await.expect("their offer");
        self.theirs.set_local_description(offer).await.expect("they apply it");
        let offer = self.theirs.local_description().await.expect("their offer");
        let offer = SessionDescription::parse(&offer.sdp, SdpType::Offer).expect("parses");
        self.ours.set_remote_description(offer).await.expect("applied");
        let answer = self
            .ours
            .create_answer(AnswerOptions::default())
            .await
            .expect("an answer");
        self.ours.set_local_description(answer.clone()).await.expect("applied");
        let answer = RTCSessionDescription::answer(answer.to_string()).expect("an answer");
        self.theirs.set_remote_description(answer).await.expect("they apply it");
    }
}

fn packet(sequence_number: u16) -> OutgoingPacket {
    OutgoingPacket {
        sequence_number,
        timestamp: u32::from(sequence_number) * 3000,
        marker: true,
        // A VP8 payload descriptor without extensions, start of a partition; then anything.
        payload: Bytes::from(vec![0x10, 0, 1, 2, 3]),
        captured: None,
        stamp_capture: false,
    }
}

/// Sends packets until told to stop; the connection may not be there when it begins.
fn keep_sending(rtp: libwebrtc::raw::LocalRtp) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        let mut pace = tokio::time::interval(Duration::from_millis(20));
        let mut next = 0u16;
        loop {
            pace.tick().await;
            if rtp.write(0, &packet(next)).expect("allowed") == Written::Sent {
                next = next.wrapping_add(1);
            }
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn we_offer_and_send_video_and_text() {
    let mut pair = Box::pin(pair()).await;
    let channel = pair
        .ours
        .create_data_channel("ours", DataChannelInit::default())
        .expect("a channel");
    let source = NativeVideoSource::default();
    let track = PeerConnectionFactory::default().create_video_track("cam", source);
    let rtp = track.rtp().expect("a local track");
    let (asked, mut requests) = mpsc::channel(8);
    rtp.on_key_frame_request(Some(Arc::new(move |layer| {
        let _ = asked.try_send(layer);
    })));
    let init = RtpTransceiverInit {
        direction: RtpTransceiverDirection::SendOnly,
        stream_ids: Vec::new(),
        send_encodings: Vec::new(),
    };
    pair.ours.add_transceiver(track.into(), init).expect("added");
    pair.we_offer().await;
    let sending = keep_sending(rtp);

    let theirs = within("their track", pair.tracks.recv()).await.expect("a track");
    let mut sequences = Vec::new();
    while sequences.len() < 50 {
        if let Some(TrackRemoteEvent::OnRtpPacket(packet)) = within("a packet", theirs.poll()).await {
            assert_eq!(&packet.payload[..], [0x10, 0, 1, 2, 3]);
            sequences.push(packet.header.sequence_number);
        }
    }
    assert!(
        sequences.windows(2).all(|w| w[1] == w[0].wrapping_add(1)),
        "{sequences:?}"
    );
    let media_ssrc = *theirs.ssrcs().await.first().expect("an SSRC");
    theirs
        .write_rtcp(vec![Box::new(PictureLossIndication {
            sender_ssrc: 0,
            media_ssrc,
        })])
        .await
        .expect("they ask for a key frame");
    assert_eq!(within("the request", requests.recv()).await, Some(0));
    sending.abort();

    let their_channel = within("their channel", pair.channels.recv()).await.expect("a channel");
    assert_eq!(their_channel.label().await.expect("a label"), "ours");
    channel.send(b"hello", true).expect("open");
    let heard = within("our message", async {
        loop {
            match their_channel.poll().await {
                Some(DataChannelEvent::OnMessage(message)) => return message.data,
                Some(_) => {}
                None => panic!("the channel closed"),
            }
        }
    })
    .await;
    assert_eq!(&heard[..], b"hello");
    let (answers, mut inbox) = mpsc::channel(1);
    channel.on_message(Some(Box::new(move |message| {
        let _ = answers.try_send(message.data.to_vec());
    })));
    their_channel
        .send(BytesMut::from(&b"back"[..]))
        .await
        .expect("they send");
    assert_eq!(
        within("their message", inbox.recv()).await.as_deref(),
        Some(&b"back"[..])
    );
    pair.ours.close();
    pair.theirs.close().await.expect("they close");
}

struct Forward(mpsc::Sender<RtpPacket>, mpsc::Sender<SenderReport>);

impl RtpSink for Forward {
    fn packet(&mut self, packet: RtpPacket) {
        let _ = self.0.try_send(packet);
    }
    fn sender_report(&mut self, report: SenderReport) {
        let _ = self.1.try_send(report);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn they_offer_and_send_video() {
    let mut pair = Box::pin(pair()).await;
    let ssrc = 4242;
    let codec = RTCRtpCodec {
        mime_type: MIME_TYPE_VP8.to_owned(),
        clock_rate: 90_000,
        ..RTCRtpCodec::default()
    };
    let coding = RTCRtpEncodingParameters {
        rtp_coding_parameters: RTCRtpCodingParameters {
            ssrc: Some(ssrc),
            ..RTCRtpCodingParameters::default()
        },
        codec,
        ..RTCRtpEncodingParameters::default()
    };
    let described = RtcTrack::new(
        "PA_x|TR_y".into(),
        "TR_y".into(),
        "cam".into(),
        RtpCodecKind::Video,
        vec![coding],
    );
    let local: Arc<dyn TrackLocal> = Arc::new(TrackLocalStaticRTP::new(described));
    pair.theirs.add_track(Arc::clone(&local)).await.expect("added");
    pair.they_offer().await;

    let track = within("our track", pair.our_tracks.recv()).await.expect("a track");
    assert_eq!(track.id(), "TR_y", "the track is there with the description");
    let (packets, mut inbox) = mpsc::channel(1024);
    let (reports, mut report_inbox) = mpsc::channel(16);
    track.set_rtp_sink(Some(Box::new(Forward(packets, reports))));
    let sending = tokio::spawn(async move {
        let mut pace = tokio::time::interval(Duration::from_millis(20));
        for sequence_number in 0u16.. {
            pace.tick().await;
            let header = rtc::rtp::Header {
                version: 2,
                ssrc,
                payload_type: 96,
                sequence_number,
                timestamp: u32::from(sequence_number) * 1800,
                ..rtc::rtp::Header::default()
            };
            // Refused until it is negotiated and connected.
            let _ = local
                .write_rtp(rtc::rtp::Packet {
                    header,
                    payload: Bytes::from_static(b"media"),
                })
                .await;
        }
    });
    let mut last: Option<u16> = None;
    for _ in 0..50 {
        let packet = within("a packet", inbox.recv()).await.expect("the sink is there");
        assert_eq!(packet.header.ssrc, ssrc);
        assert!(last.is_none_or(|last| packet.header.sequence_number == last.wrapping_add(1)));
        last = Some(packet.header.sequence_number);
    }
    let report = within("a sender report", report_inbox.recv())
        .await
        .expect("the sink is there");
    assert_eq!(report.ssrc, ssrc);
    let counters = track.counters();
    assert!(counters[0].packets >= 50 && counters[0].lost == 0, "{counters:?}");
    sending.abort();
    pair.ours.close();
    pair.theirs.close().await.expect("they close");
}
