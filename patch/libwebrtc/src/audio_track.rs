//! Audio tracks.

crate::media_stream_track::track_type!(RtcAudioTrack);
