//! The picture's size, from a sequence parameter set (ITU-T H.264 §7.3.2.1.1).

use crate::{bits::BitReader, codec::Dims};

/// Larger than any level allows; what claims more is damaged.
const MAX_SIDE: u32 = 16_384;

/// `None` if the set is cut off or claims what cannot be. `unit` is the NAL unit, header included.
pub(super) fn dims(unit: &[u8]) -> Option<Dims> {
    let bytes = without_emulation_prevention(unit.get(1..)?);
    let mut bits = BitReader::new(&bytes);
    let profile = bits.bits(8)?;
    bits.skip(8 + 8)?; // constraint flags, level
    bits.exp_golomb()?; // seq_parameter_set_id
    let mut chroma_format = 1;
    if matches!(
        profile,
        100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135
    ) {
        chroma_format = high_profile_fields(&mut bits)?;
    }
    bits.exp_golomb()?; // log2_max_frame_num_minus4
    picture_order_count(&mut bits)?;
    bits.exp_golomb()?; // max_num_ref_frames
    bits.bit()?; // gaps_in_frame_num_value_allowed_flag
    let width_in_macroblocks = bits.exp_golomb()?.checked_add(1)?;
    let height_in_map_units = bits.exp_golomb()?.checked_add(1)?;
    let frames_only = bits.bit()?;
    if !frames_only {
        bits.bit()?; // mb_adaptive_frame_field_flag
    }
    bits.bit()?; // direct_8x8_inference_flag
    let field_factor = if frames_only { 1 } else { 2 };
    let width = width_in_macroblocks.checked_mul(16).filter(|side| *side <= MAX_SIDE)?;
    let height = height_in_map_units
        .checked_mul(16 * field_factor)
        .filter(|side| *side <= MAX_SIDE)?;
    if !bits.bit()? {
        return Some(Dims::new(width, height));
    }
    // Cropping, in units of chroma samples (§7.4.2.1.1).
    let (unit_x, unit_y) = match chroma_format {
        1 => (2, 2 * field_factor),
        2 => (2, field_factor),
        _ => (1, field_factor),
    };
    let mut crop = |unit: u32| {
        let (near, far) = (bits.exp_golomb()?, bits.exp_golomb()?);
        near.checked_add(far)?.checked_mul(unit)
    };
    let (cut_x, cut_y) = (crop(unit_x)?, crop(unit_y)?);
    match (width.checked_sub(cut_x)?, height.checked_sub(cut_y)?) {
        (0, _) | (_, 0) => None,
        (width, height) => Some(Dims::new(width, height)),
    }
}

/// What profiles above Main have before the rest; answers `chroma_format_idc`.
fn high_profile_fields(bits: &mut BitReader<'_>) -> Option<u32> {
    const YUV444: u32 = 3;
    let chroma_format = bits.exp_golomb()?;
    if chroma_format > YUV444 {
        return None;
    }
    if chroma_format == YUV444 && bits.bit()? {
        // separate_colour_plane_flag: cropping is then in luma samples
        skip_bit_depths_and_scaling(bits, chroma_format)?;
        return Some(0);
    }
    skip_bit_depths_and_scaling(bits, chroma_format)?;
    Some(chroma_format)
}

fn skip_bit_depths_and_scaling(bits: &mut BitReader<'_>, chroma_format: u32) -> Option<()> {
    bits.exp_golomb()?; // bit_depth_luma_minus8
    bits.exp_golomb()?; // bit_depth_chroma_minus8
    bits.bit()?; // qpprime_y_zero_transform_bypass_flag
    if bits.bit()? {
        let lists = if chroma_format == 3 { 12 } else { 8 };
        for list in 0..lists {
            if bits.bit()? {
                skip_scaling_list(bits, if list < 6 { 16 } else { 64 })?;
            }
        }
    }
    Some(())
}

fn skip_scaling_list(bits: &mut BitReader<'_>, size: u32) -> Option<()> {
    let mut next = 8;
    for _ in 0..size {
        if next == 0 {
            break;
        }
        // The scale is kept modulo 256 (§7.3.2.1.1.1).
        next = (next + bits.signed_exp_golomb()?.rem_euclid(256)) % 256;
    }
    Some(())
}

fn picture_order_count(bits: &mut BitReader<'_>) -> Option<()> {
    match bits.exp_golomb()? {
        0 => {
            bits.exp_golomb()?; // log2_max_pic_order_cnt_lsb_minus4
        }
        1 => {
            bits.bit()?; // delta_pic_order_always_zero_flag
            bits.exp_golomb()?; // offset_for_non_ref_pic
            bits.exp_golomb()?; // offset_for_top_to_bottom_field
            for _ in 0..bits.exp_golomb().filter(|count| *count <= 255)? {
                bits.exp_golomb()?; // offset_for_ref_frame
            }
        }
        2 => {}
        _ => return None,
    }
    Some(())
}

/// Takes out the 3 of each 0 0 3 (ITU-T H.264 §7.4.1).
fn without_emulation_prevention(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(bytes.len());
    let mut zeros = 0;
    for &byte in bytes {
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        plain.push(byte);
    }
    plain
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    /// Sets made by x264.
    #[test]
    fn sizes_of_real_sets() {
        for (what, unit, width, height) in [
            (
                "baseline, 360 lines cropped from 368",
                "6742c016d900a02ff970110000030001000003000a0f162e48",
                640,
                360,
            ),
            (
                "high, cropped",
                "67640028acd940780227e5c044000003000400000300283c60c658",
                1920,
                1080,
            ),
            (
                "4:2:2, cropped both ways",
                "677a0015bcd941b1fe4f0110000003001000000300a0f162d960",
                426,
                240,
            ),
            (
                "4:4:4, cropped by single samples",
                "67f4000c919b282a33c7c5e022000003000200000300141e28532c",
                322,
                182,
            ),
            (
                "interlaced",
                "6764001eacd940b424d8088000000300800000190f8a14cb",
                720,
                576,
            ),
        ] {
            let unit: Vec<u8> = (0..unit.len())
                .step_by(2)
                .map(|at| u8::from_str_radix(&unit[at..at + 2], 16).unwrap())
                .collect();
            assert_eq!(super::dims(&unit), Some(Dims::new(width, height)), "{what}");
            assert_eq!(super::dims(&unit[..8]), None, "{what}, cut off");
        }
    }

    #[test]
    fn emulation_prevention_is_taken_out() {
        assert_eq!(
            without_emulation_prevention(&[1, 0, 0, 3, 1, 0, 0, 3, 3, 3]),
            [1, 0, 0, 1, 0, 0, 3, 3]
        );
    }

    proptest! {
        #[test]
        fn any_set_is_read_or_not(unit in vec(any::<u8>(), 0..80)) {
            if let Some(dims) = super::dims(&unit) {
                prop_assert!((1..=MAX_SIDE).contains(&dims.width) && (1..=MAX_SIDE).contains(&dims.height));
            }
        }
    }
}
