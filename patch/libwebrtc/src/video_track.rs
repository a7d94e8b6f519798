//! Video tracks.

use crate::native::packet_trailer::PacketTrailerHandler;

crate::media_stream_track::track_type!(RtcVideoTrack);

impl RtcVideoTrack {
    /// Accepted and not used: frames are not decoded, so there is nothing to attach a trailer's contents to.
    #[expect(clippy::needless_pass_by_value, reason = "upstream's signature")]
    pub fn set_packet_trailer_handler(&self, handler: PacketTrailerHandler) {
        log::debug!(
            "packet trailer of track {} stays in its frames (enabled: {})",
            self.id(),
            handler.enabled()
        );
    }

    pub fn packet_trailer_handler(&self) -> Option<PacketTrailerHandler> {
        None
    }
}
