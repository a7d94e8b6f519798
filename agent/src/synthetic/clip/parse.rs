//! Encoded frames out of the files ffmpeg writes: IVF, H264 byte streams, Ogg Opus.

use bytes::Bytes;
use greffier_media::codec::Codec;

/// The frames of a file of video, in order.
pub(super) fn video(codec: Codec, file: &Bytes) -> Result<Vec<Bytes>, String> {
    let frames = match codec {
        Codec::Vp8 | Codec::Vp9 | Codec::Av1 => ivf(file)?,
        Codec::H264 => annex_b(file),
        _ => return Err("it has no pictures".to_owned()),
    };
    if frames.is_empty() {
        return Err("there is no frame in it".to_owned());
    }
    Ok(frames)
}

/// Frames of an IVF file: a header of 32 bytes, then for each frame its length, a timestamp of 8 bytes, and its bytes.
fn ivf(file: &Bytes) -> Result<Vec<Bytes>, String> {
    const HEADER: usize = 32;
    const FRAME_HEADER: usize = 12;
    if !file.starts_with(b"DKIF") || file.len() < HEADER {
        return Err("it does not begin as an IVF file does".to_owned());
    }
    let mut frames = Vec::new();
    let mut at = HEADER;
    while let Some(length) = file.get(at..at + FRAME_HEADER).and_then(|head| head.first_chunk::<4>()) {
        let begin = at + FRAME_HEADER;
        let end = begin + usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX / 2);
        if end > file.len() {
            return Err(format!("frame {} is cut off", frames.len()));
        }
        frames.push(file.slice(begin..end));
        at = end;
    }
    Ok(frames)
}

const NAL_SLICE: u8 = 1;
const NAL_IDR: u8 = 5;
const NAL_DELIMITER: u8 = 9;

/// Access units of an H264 byte stream that has a delimiter before each (H.264 §7.4.1.2.3).
fn annex_b(file: &Bytes) -> Vec<Bytes> {
    let starts: Vec<usize> = nal_starts(file)
        .filter(|(_, kind)| *kind == NAL_DELIMITER)
        .map(|(at, _)| at)
        .collect();
    let ends = starts.iter().skip(1).copied().chain([file.len()]);
    starts
        .iter()
        .zip(ends)
        .map(|(begin, end)| file.slice(*begin..end))
        .collect()
}

/// Where NAL units begin (at their start code), and their types.
fn nal_starts(bytes: &[u8]) -> impl Iterator<Item = (usize, u8)> {
    bytes.windows(4).enumerate().filter_map(|(at, window)| match window {
        [0, 0, 1, header] => Some((at, header & 0x1F)),
        _ => None,
    })
}

/// Whether a frame can be decoded without another, as far as its own bytes tell.
pub(super) fn is_key_frame(codec: Codec, frame: &[u8]) -> bool {
    match codec {
        // RFC 6386 §9.1: the first bit is 0 for key frames.
        Codec::Vp8 => frame.first().is_some_and(|first| first & 1 == 0),
        Codec::Vp9 => vp9_is_key(frame),
        Codec::H264 => {
            let kinds = nal_starts(frame).map(|(_, kind)| kind);
            kinds.into_iter().find(|kind| matches!(*kind, NAL_SLICE | NAL_IDR)) == Some(NAL_IDR)
        }
        Codec::Av1 => av1_has_sequence_header(frame),
        _ => true,
    }
}

/// VP9 bitstream §6.2: frame marker (2 bits), profile (2, one reserved more if 3), `show_existing_frame`, `frame_type`.
fn vp9_is_key(frame: &[u8]) -> bool {
    let Some(&first) = frame.first() else { return false };
    let profile = (first >> 5 & 1) | (first >> 3 & 2);
    let at = if profile == 3 { 5 } else { 4 };
    let bit = |n: u32| first >> (7 - n) & 1;
    first >> 6 == 2 && bit(at) == 0 && bit(at + 1) == 0
}

/// An encoder for real time puts a sequence header before key frames and nowhere else.
fn av1_has_sequence_header(mut unit: &[u8]) -> bool {
    const SEQUENCE_HEADER: u8 = 1;
    while let Some((&header, rest)) = unit.split_first() {
        if header >> 3 & 0xF == SEQUENCE_HEADER {
            return true;
        }
        let rest = if header & 4 == 0 {
            rest
        } else {
            rest.get(1..).unwrap_or_default()
        };
        if header & 2 == 0 {
            return false;
        }
        let Some((size, rest)) = leb128(rest) else { return false };
        unit = rest.get(size..).unwrap_or_default();
    }
    false
}

fn leb128(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0;
    for (n, byte) in bytes.iter().take(8).enumerate() {
        value |= usize::from(byte & 0x7F) << (7 * n);
        if byte & 0x80 == 0 {
            return Some((value, &bytes[n + 1..]));
        }
    }
    None
}

/// The Opus packets of an Ogg file ([RFC 7845](https://www.rfc-editor.org/rfc/rfc7845)): all but its two headers.
pub(super) fn opus(file: &[u8]) -> Result<Vec<Bytes>, String> {
    let mut reader = ogg::PacketReader::new(std::io::Cursor::new(file));
    let mut packets = Vec::new();
    while let Some(packet) = reader.read_packet().map_err(|error| error.to_string())? {
        if !packet.data.starts_with(b"OpusHead") && !packet.data.starts_with(b"OpusTags") {
            packets.push(Bytes::from(packet.data));
        }
    }
    if packets.is_empty() {
        return Err("there is no packet in it".to_owned());
    }
    Ok(packets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ivf_frames_come_out_whole_and_a_torn_one_is_told() {
        let mut file = b"DKIF".to_vec();
        file.resize(32, 0);
        for frame in [&b"key"[..], b"delta"] {
            file.extend(u32::try_from(frame.len()).unwrap().to_le_bytes());
            file.extend([0; 8]);
            file.extend(frame);
        }
        let whole = Bytes::from(file.clone());
        assert_eq!(ivf(&whole).unwrap(), [&b"key"[..], b"delta"]);
        file.pop();
        assert!(ivf(&Bytes::from(file)).unwrap_err().contains("frame 1"));
        assert!(ivf(&Bytes::from_static(b"RIFF")).is_err());
    }

    #[test]
    fn access_units_begin_at_delimiters() {
        let file = Bytes::from_static(&[
            0, 0, 0, 1, 9, 0xF0, 0, 0, 1, 0x67, 1, 0, 0, 1, 0x65, 2, 0, 0, 0, 1, 9, 0xF0, 0, 0, 1, 0x41, 3,
        ]);
        let units = annex_b(&file);
        assert_eq!(units.len(), 2);
        assert!(is_key_frame(Codec::H264, &units[0]));
        assert!(!is_key_frame(Codec::H264, &units[1]));
    }

    #[test]
    fn key_frames_are_told_by_their_first_bits() {
        assert!(is_key_frame(Codec::Vp8, &[0x10]) && !is_key_frame(Codec::Vp8, &[0x11]));
        assert!(is_key_frame(Codec::Vp9, &[0x82]) && !is_key_frame(Codec::Vp9, &[0x86]));
        // A temporal delimiter, then a sequence header; and a frame alone.
        assert!(is_key_frame(Codec::Av1, &[0x12, 0, 0x0A, 1, 0]));
        assert!(!is_key_frame(Codec::Av1, &[0x12, 0, 0x32, 1, 0]));
    }
}
