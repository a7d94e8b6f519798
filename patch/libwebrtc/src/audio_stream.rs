//! Decoded audio of a remote track: not built.

pub mod native {
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use futures_core::Stream;

    use crate::audio_frame::AudioFrame;

    /// Decoded audio of a remote track.
    ///
    /// Nothing is decoded here, and a stream that ended at once would be a silent fault, so there is no way to make one:
    /// the type exists because the SDK names it. Take the track's RTP with
    /// [`RemoteTrackExt::set_rtp_sink`](crate::raw::RemoteTrackExt::set_rtp_sink) and decode that.
    #[derive(Debug)]
    pub enum NativeAudioStream {}

    impl NativeAudioStream {
        pub fn close(&mut self) {
            match *self {}
        }
    }

    impl Stream for NativeAudioStream {
        type Item = AudioFrame<'static>;

        fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            match *self.get_mut() {}
        }
    }
}
