//! The factory, and the configuration of what it makes.

use std::fmt;

use crate::engine::codecs;
use crate::peer_connection::PeerConnection;
use crate::rtp_parameters::RtpCapabilities;
use crate::{MediaType, RtcError};

#[derive(Debug, Clone)]
pub struct IceServer {
    pub urls: Vec<String>,
    pub username: String,
    pub password: String,
}

#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub enum ContinualGatheringPolicy {
    GatherOnce,
    GatherContinually,
}

#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub enum IceTransportsType {
    Relay,
    NoHost,
    All,
}

#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RtcConfiguration {
    pub ice_servers: Vec<IceServer>,
    pub continual_gathering_policy: ContinualGatheringPolicy,
    pub ice_transport_type: IceTransportsType,
    /// Not used: SCTP is negotiated in the ordinary way, which servers that offer the short cut accept.
    pub enable_sctp_snap: bool,
}

impl Default for RtcConfiguration {
    fn default() -> Self {
        Self {
            ice_servers: Vec::new(),
            continual_gathering_policy: ContinualGatheringPolicy::GatherContinually,
            ice_transport_type: IceTransportsType::All,
            enable_sctp_snap: false,
        }
    }
}

/// Makes peer connections. It holds nothing: threads are shared by the process.
#[derive(Clone, Default)]
pub struct PeerConnectionFactory {}

impl fmt::Debug for PeerConnectionFactory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerConnectionFactory").finish()
    }
}

impl PeerConnectionFactory {
    /// There is no playout here, so its delay is zero in any case.
    pub fn with_zero_playout_delay() -> Self {
        Self::default()
    }

    pub fn with_options(zero_playout_delay: bool, enable_warp: bool) -> Self {
        log::trace!("factory, zero playout delay: {zero_playout_delay}, warp: {enable_warp}");
        Self::default()
    }

    /// # Errors
    /// When no media thread can be started, or the configuration asks for something this build cannot do.
    #[expect(clippy::needless_pass_by_value, reason = "upstream's signature")]
    pub fn create_peer_connection(&self, config: RtcConfiguration) -> Result<PeerConnection, RtcError> {
        PeerConnection::new(&config)
    }

    pub fn get_rtp_sender_capabilities(&self, media_type: MediaType) -> RtpCapabilities {
        codecs::capabilities(media_type)
    }

    pub fn get_rtp_receiver_capabilities(&self, media_type: MediaType) -> RtpCapabilities {
        codecs::capabilities(media_type)
    }
}

pub mod native {
    use std::sync::Arc;

    use super::PeerConnectionFactory;
    use crate::audio_source::native::NativeAudioSource;
    use crate::audio_track::RtcAudioTrack;
    use crate::engine::local::LocalTrack;
    use crate::media_stream_track::Origin;
    use crate::video_source::native::NativeVideoSource;
    use crate::video_track::RtcVideoTrack;

    /// Calls of an audio device module. There are no audio devices here: none is found, none can be chosen or started.
    macro_rules! no_device {
        ($($name:ident($($arg:ident: $ty:ty),*) -> $ret:ty = $answer:expr;)+) => {
            $(
                #[doc = "There is no audio device."]
                fn $name(&self $(, $arg: $ty)*) -> $ret {
                    $( let _ = $arg; )*
                    $answer
                }
            )+
        };
    }

    pub trait PeerConnectionFactoryExt {
        fn create_video_track(&self, label: &str, source: NativeVideoSource) -> RtcVideoTrack;
        fn create_audio_track(&self, label: &str, source: NativeAudioSource) -> RtcAudioTrack;
        /// A track of a microphone that is not there: it stays silent.
        fn create_device_audio_track(&self, label: &str) -> RtcAudioTrack;

        no_device! {
            playout_devices() -> i16 = 0;
            recording_devices() -> i16 = 0;
            playout_device_name(index: u16) -> String = String::new();
            recording_device_name(index: u16) -> String = String::new();
            playout_device_guid(index: u16) -> String = String::new();
            recording_device_guid(index: u16) -> String = String::new();
            set_playout_device(index: u16) -> bool = false;
            set_recording_device(index: u16) -> bool = false;
            set_playout_device_by_guid(guid: &str) -> bool = false;
            set_recording_device_by_guid(guid: &str) -> bool = false;
            stop_recording() -> bool = false;
            init_recording() -> bool = false;
            start_recording() -> bool = false;
            recording_is_initialized() -> bool = false;
            stop_playout() -> bool = false;
            init_playout() -> bool = false;
            start_playout() -> bool = false;
            playout_is_initialized() -> bool = false;
            builtin_aec_is_available() -> bool = false;
            builtin_agc_is_available() -> bool = false;
            builtin_ns_is_available() -> bool = false;
            enable_builtin_aec(enable: bool) -> bool = false;
            enable_builtin_agc(enable: bool) -> bool = false;
            enable_builtin_ns(enable: bool) -> bool = false;
            set_adm_recording_enabled(enabled: bool) -> () = ();
            adm_recording_enabled() -> bool = false;
            set_adm_playout_enabled(enabled: bool) -> () = ();
            adm_playout_enabled() -> bool = false;
            acquire_platform_adm() -> bool = false;
            release_platform_adm() -> () = ();
            platform_adm_ref_count() -> i32 = 0;
            is_platform_adm_active() -> bool = false;
        }
    }

    impl PeerConnectionFactoryExt for PeerConnectionFactory {
        fn create_video_track(&self, label: &str, source: NativeVideoSource) -> RtcVideoTrack {
            let track = LocalTrack::new(label, true);
            source.attach(Arc::clone(&track));
            RtcVideoTrack::new(Origin::Local(track))
        }

        fn create_audio_track(&self, label: &str, source: NativeAudioSource) -> RtcAudioTrack {
            log::trace!("audio track at {} Hz", source.sample_rate());
            RtcAudioTrack::new(Origin::Local(LocalTrack::new(label, false)))
        }

        fn create_device_audio_track(&self, label: &str) -> RtcAudioTrack {
            log::error!("a microphone was asked for and there is none: track {label} stays silent");
            RtcAudioTrack::new(Origin::Local(LocalTrack::new(label, false)))
        }
    }
}
