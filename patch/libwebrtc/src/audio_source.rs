//! Sources of local audio.

/// Hz.
pub const DEFAULT_SAMPLE_RATE: u32 = 48_000;
pub const DEFAULT_NUM_CHANNELS: u32 = 1;

#[derive(Default, Debug, Clone, Copy)]
pub struct AudioSourceOptions {
    pub echo_cancellation: bool,
    pub noise_suppression: bool,
    pub auto_gain_control: bool,
}

#[non_exhaustive]
#[derive(Debug, Clone)]
pub enum RtcAudioSource {
    /// Fed by the application: encoded Opus, through [`LocalTrackExt::rtp`](crate::raw::LocalTrackExt::rtp).
    Native(native::NativeAudioSource),
    /// A microphone. There is none here: such a track stays silent.
    Device,
}

impl RtcAudioSource {
    pub fn set_audio_options(&self, options: AudioSourceOptions) {
        if let Self::Native(source) = self {
            source.set_audio_options(options);
        }
    }

    pub fn audio_options(&self) -> AudioSourceOptions {
        match self {
            Self::Native(source) => source.audio_options(),
            Self::Device => AudioSourceOptions::default(),
        }
    }

    pub fn sample_rate(&self) -> u32 {
        match self {
            Self::Native(source) => source.sample_rate(),
            Self::Device => DEFAULT_SAMPLE_RATE,
        }
    }

    pub fn num_channels(&self) -> u32 {
        match self {
            Self::Native(source) => source.num_channels(),
            Self::Device => DEFAULT_NUM_CHANNELS,
        }
    }
}

pub mod native {
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::AudioSourceOptions;
    use crate::RtcError;
    use crate::audio_frame::AudioFrame;

    /// A source whose RTP the application writes itself.
    #[derive(Debug, Clone)]
    pub struct NativeAudioSource {
        options: Arc<Mutex<AudioSourceOptions>>,
        sample_rate: u32,
        num_channels: u32,
    }

    impl NativeAudioSource {
        /// `sample_rate` in Hz; `queue_size_ms` is of no use, as nothing is queued.
        pub fn new(options: AudioSourceOptions, sample_rate: u32, num_channels: u32, queue_size_ms: u32) -> Self {
            log::trace!("audio source, queue of {queue_size_ms} ms not used");
            Self {
                options: Arc::new(Mutex::new(options)),
                sample_rate,
                num_channels,
            }
        }

        pub fn clear_buffer(&self) {}

        /// # Errors
        /// Always: nothing encodes PCM here.
        #[expect(clippy::unused_async, reason = "upstream's signature")]
        pub async fn capture_frame(&self, frame: &AudioFrame<'_>) -> Result<(), RtcError> {
            Err(RtcError::internal(format!(
                "{} samples of PCM were captured, and nothing encodes PCM in this build: write Opus packets through raw::LocalRtp",
                frame.data.len()
            )))
        }

        pub fn set_audio_options(&self, options: AudioSourceOptions) {
            *self.options.lock() = options;
        }

        pub fn audio_options(&self) -> AudioSourceOptions {
            *self.options.lock()
        }

        pub fn sample_rate(&self) -> u32 {
            self.sample_rate
        }

        pub fn num_channels(&self) -> u32 {
            self.num_channels
        }
    }
}
