//! What the sequence header and the first bits of a frame header say (AV1 specification §5.5 and §5.9).

use crate::{bits::BitReader, codec::Dims};

/// The largest frame of the sequence; `None` if the header is cut off.
pub(super) fn dims(payload: &[u8]) -> Option<Dims> {
    let mut bits = BitReader::new(payload);
    bits.skip(3 + 1)?; // seq_profile, still_picture
    if bits.bit()? {
        bits.skip(5)?; // reduced_still_picture_header: seq_level_idx
    } else {
        operating_points(&mut bits)?;
    }
    let (width_bits, height_bits) = (bits.bits(4)? + 1, bits.bits(4)? + 1);
    Some(Dims::new(bits.bits(width_bits)? + 1, bits.bits(height_bits)? + 1))
}

fn operating_points(bits: &mut BitReader<'_>) -> Option<()> {
    let mut decoder_model = None;
    if bits.bit()? {
        bits.skip(32 + 32)?; // num_units_in_display_tick, time_scale
        if bits.bit()? {
            variable_length(bits)?; // num_ticks_per_picture_minus_1
        }
        if bits.bit()? {
            let delay_bits = bits.bits(5)? as usize + 1;
            bits.skip(32 + 5 + 5)?;
            decoder_model = Some(delay_bits);
        }
    }
    let display_delay = bits.bit()?;
    for _ in 0..=bits.bits(5)? {
        bits.skip(12)?; // operating_point_idc
        if bits.bits(5)? > 7 {
            bits.bit()?; // seq_tier
        }
        if let Some(delay_bits) = decoder_model
            && bits.bit()?
        {
            bits.skip(2 * delay_bits + 1)?;
        }
        if display_delay && bits.bit()? {
            bits.skip(4)?;
        }
    }
    Some(())
}

/// `uvlc()` (§4.10.3).
fn variable_length(bits: &mut BitReader<'_>) -> Option<()> {
    let mut zeros = 0;
    while !bits.bit()? {
        zeros += 1;
    }
    if zeros < 32 { bits.skip(zeros) } else { Some(()) }
}

/// Whether a frame, or frame header, OBU begins a key frame. Sequences of reduced still pictures, where nothing says so,
/// are not sent in real time.
pub(super) fn is_key_frame(payload: &[u8]) -> bool {
    const KEY_FRAME: u32 = 0;
    let mut bits = BitReader::new(payload);
    bits.bit() == Some(false) && bits.bits(2) == Some(KEY_FRAME)
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    #[test]
    fn key_frames_are_told_by_their_first_bits() {
        assert!(is_key_frame(&[0b0001_0000]));
        assert!(!is_key_frame(&[0b0011_0000]), "inter");
        assert!(!is_key_frame(&[0b1000_0000]), "shows one that exists");
        assert!(!is_key_frame(&[]));
    }

    proptest! {
        #[test]
        fn any_header_is_read_or_not(payload in vec(any::<u8>(), 0..60)) {
            if let Some(dims) = super::dims(&payload) {
                prop_assert!(dims.width <= 1 << 16 && dims.height <= 1 << 16);
            }
        }
    }
}
