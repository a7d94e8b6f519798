//! What upstream offers on native platforms only.

pub mod frame_cryptor;
pub mod packet_trailer;

/// A random identifier in the textual form of a UUID (version 4, RFC 9562 §5.4).
pub fn create_random_uuid() -> String {
    let random = rand::random::<u128>();
    let versioned = (random & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{versioned:032x}");
    format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    )
}
