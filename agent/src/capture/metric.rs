//! Names of the figures that capture gives.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// RTP packets written to journals.
pub const PACKETS: &str = "greffier_capture_packets_total";
/// Bytes of RTP payload written to journals.
pub const BYTES: &str = "greffier_capture_bytes_total";
/// Packets that reached us and were dropped by us.
pub const PACKETS_LOST: &str = "greffier_capture_packets_lost_total";
/// Chat, data and events that reached us and were dropped by us.
pub const MESSAGES_LOST: &str = "greffier_capture_messages_lost_total";
/// Recordings that are in a room now.
pub const LIVE: &str = "greffier_recordings_live";
/// Peer connections in memory: one or two for each room that a bot is in.
pub const PEER_CONNECTIONS: &str = "greffier_peer_connections";
/// Bytes that recordings may still take on the disk.
pub const DISK_AVAILABLE: &str = "greffier_disk_available_bytes";
/// From the arrival of a batch's oldest packet to the end of the flush that holds it.
pub const FLUSH_SECONDS: &str = "greffier_journal_flush_seconds";
/// One fdatasync.
pub const SYNC_SECONDS: &str = "greffier_journal_sync_seconds";

/// Reads what is read when somebody asks, rather than told when it changes.
pub fn observe() {
    metrics::gauge!(PEER_CONNECTIONS).set(libwebrtc::raw::peer_connections() as f64);
}

/// Tells the exporter what the names mean.
pub fn describe() {
    describe_counter!(PACKETS, Unit::Count, "RTP packets written to journals");
    describe_counter!(BYTES, Unit::Bytes, "RTP payload written to journals");
    describe_counter!(
        PACKETS_LOST,
        Unit::Count,
        "Packets that reached us and were dropped by us"
    );
    describe_counter!(
        MESSAGES_LOST,
        Unit::Count,
        "Chat, data and events that reached us and were dropped by us"
    );
    describe_gauge!(LIVE, Unit::Count, "Recordings that are in a room now");
    describe_gauge!(
        PEER_CONNECTIONS,
        Unit::Count,
        "Peer connections in memory, one or two for each room that a bot is in"
    );
    describe_gauge!(
        DISK_AVAILABLE,
        Unit::Bytes,
        "Free bytes on the disk of the data directory"
    );
    describe_histogram!(
        FLUSH_SECONDS,
        Unit::Seconds,
        "Age of the oldest packet when it has been flushed"
    );
    describe_histogram!(SYNC_SECONDS, Unit::Seconds, "Duration of one fdatasync of a journal");
}
