//! The uncompressed header of a VP9 frame (VP9 Bitstream & Decoding Process Specification §6.2).

use crate::{bits::BitReader, codec::Dims};

const FRAME_MARKER: u32 = 2;
const SYNC_CODE: u32 = 0x0049_8342;
const COLOR_SPACE_RGB: u32 = 7;
const REFERENCE_SLOTS: usize = 8;

/// Sizes of the pictures in a decoder's reference slots: a frame may take its size from one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Sizes([Option<Dims>; REFERENCE_SLOTS]);

impl Sizes {
    /// As the decoder does after each frame.
    pub(super) fn update(&mut self, header: &FrameHeader) {
        for (slot, size) in self.0.iter_mut().enumerate() {
            if header.refresh >> slot & 1 == 1 {
                *size = header.dims;
            }
        }
    }
}

/// What is to know of a frame without decoding it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "flags of the header, as they stand there")]
pub(super) struct FrameHeader {
    pub(super) key: bool,
    pub(super) show_existing: bool,
    pub(super) show: bool,
    pub(super) error_resilient: bool,
    /// `None` if it is that of a reference we have not seen.
    pub(super) dims: Option<Dims>,
    /// Which reference slots it is kept in, a bit each.
    refresh: u8,
    /// Where the bit that says "shown" is.
    pub(super) show_at: usize,
    /// Where `intra_only` stands in the header of a hidden frame, and does not in that of a shown one.
    pub(super) intra_only_at: usize,
    /// Its length in bits; `None` if it could not be read to its end.
    pub(super) len: Option<usize>,
}

impl FrameHeader {
    /// `None` if this is no VP9 frame, or if it ends before its size.
    pub(super) fn parse(frame: &[u8], sizes: &Sizes) -> Option<Self> {
        let mut bits = BitReader::new(frame);
        if bits.bits(2)? != FRAME_MARKER {
            return None;
        }
        let profile = u32::from(bits.bit()?) | u32::from(bits.bit()?) << 1;
        if profile == 3 {
            bits.bit()?;
        }
        if bits.bit()? {
            let slot = bits.bits(3)? as usize;
            let dims = sizes.0[slot];
            return Some(Self {
                show_existing: true,
                show: true,
                dims,
                ..Self::default()
            });
        }
        let key = !bits.bit()?;
        let show_at = bits.position();
        let show = bits.bit()?;
        let error_resilient = bits.bit()?;
        let mut header = Self {
            key,
            show,
            error_resilient,
            show_at,
            intra_only_at: bits.position(),
            ..Self::default()
        };
        if key {
            sync_code(&mut bits)?;
            color_config(&mut bits, profile)?;
            header.refresh = 0xFF;
            header.dims = Some(frame_size(&mut bits)?);
            render_size(&mut bits)?;
        } else {
            let intra_only = !show && bits.bit()?;
            if !error_resilient {
                bits.skip(2)?; // reset_frame_context
            }
            if intra_only {
                sync_code(&mut bits)?;
                if profile > 0 {
                    color_config(&mut bits, profile)?;
                }
                header.refresh = u8::try_from(bits.bits(8)?).ok()?;
                header.dims = Some(frame_size(&mut bits)?);
                render_size(&mut bits)?;
            } else {
                header.refresh = u8::try_from(bits.bits(8)?).ok()?;
                header.dims = size_with_references(&mut bits, sizes)?;
                bits.skip(1)?; // allow_high_precision_mv
                if !bits.bit()? {
                    bits.skip(2)?; // raw_interpolation_filter
                }
            }
        }
        header.len = header
            .dims
            .and_then(|dims| rest(&mut bits, error_resilient, dims.width));
        Some(header)
    }
}

fn sync_code(bits: &mut BitReader<'_>) -> Option<()> {
    (bits.bits(24)? == SYNC_CODE).then_some(())
}

fn color_config(bits: &mut BitReader<'_>, profile: u32) -> Option<()> {
    if profile >= 2 {
        bits.bit()?; // ten_or_twelve_bit
    }
    let odd_profile = profile & 1 == 1;
    if bits.bits(3)? == COLOR_SPACE_RGB {
        if odd_profile {
            bits.bit()?;
        }
    } else {
        bits.bit()?; // color_range
        if odd_profile {
            bits.bits(3)?; // subsampling, reserved
        }
    }
    Some(())
}

fn frame_size(bits: &mut BitReader<'_>) -> Option<Dims> {
    Some(Dims::new(bits.bits(16)? + 1, bits.bits(16)? + 1))
}

fn render_size(bits: &mut BitReader<'_>) -> Option<()> {
    if bits.bit()? {
        bits.skip(32)?;
    }
    Some(())
}

/// `Some(None)`: it is that of a reference we have not seen.
#[expect(clippy::option_option, reason = "cut off, and not known, are different")]
fn size_with_references(bits: &mut BitReader<'_>, sizes: &Sizes) -> Option<Option<Dims>> {
    let mut slots = [0; 3];
    for slot in &mut slots {
        *slot = bits.bits(3)? as usize;
        bits.bit()?; // ref_frame_sign_bias
    }
    for slot in slots {
        if bits.bit()? {
            render_size(bits)?;
            return Some(sizes.0[slot]);
        }
    }
    let dims = frame_size(bits)?;
    render_size(bits)?;
    Some(Some(dims))
}

/// From after the sizes to the end; answers the length of the whole header in bits.
fn rest(bits: &mut BitReader<'_>, error_resilient: bool, width: u32) -> Option<usize> {
    if !error_resilient {
        bits.skip(2)?; // refresh_frame_context, frame_parallel_decoding_mode
    }
    bits.skip(2)?; // frame_context_idx
    loop_filter(bits)?;
    quantization(bits)?;
    segmentation(bits)?;
    tile_info(bits, width)?;
    bits.skip(16)?; // header_size_in_bytes
    Some(bits.position())
}

fn loop_filter(bits: &mut BitReader<'_>) -> Option<()> {
    const DELTAS: usize = 4 + 2;
    bits.skip(6 + 3)?; // level, sharpness
    if bits.bit()? && bits.bit()? {
        for _ in 0..DELTAS {
            skip_if_coded(bits, 7)?;
        }
    }
    Some(())
}

fn quantization(bits: &mut BitReader<'_>) -> Option<()> {
    bits.skip(8)?; // base_q_idx
    for _ in 0..3 {
        skip_if_coded(bits, 5)?;
    }
    Some(())
}

fn segmentation(bits: &mut BitReader<'_>) -> Option<()> {
    /// Bits of each feature, and whether a sign follows.
    const FEATURES: [(usize, usize); 4] = [(8, 1), (6, 1), (2, 0), (0, 0)];
    if !bits.bit()? {
        return Some(());
    }
    if bits.bit()? {
        for _ in 0..7 {
            skip_if_coded(bits, 8)?;
        }
        if bits.bit()? {
            for _ in 0..3 {
                skip_if_coded(bits, 8)?;
            }
        }
    }
    if bits.bit()? {
        bits.bit()?; // segmentation_abs_or_delta_update
        for _ in 0..8 {
            for (value, sign) in FEATURES {
                skip_if_coded(bits, value + sign)?;
            }
        }
    }
    Some(())
}

fn tile_info(bits: &mut BitReader<'_>, width: u32) -> Option<()> {
    let superblocks = width.div_ceil(64);
    let mut min_log2 = 0;
    while (64 << min_log2) < superblocks {
        min_log2 += 1;
    }
    let mut max_log2 = 1;
    while superblocks >> max_log2 >= 4 {
        max_log2 += 1;
    }
    max_log2 -= 1;
    let mut columns = min_log2;
    while columns < max_log2 && bits.bit()? {
        columns += 1;
    }
    skip_if_coded(bits, 1) // tile_rows
}

fn skip_if_coded(bits: &mut BitReader<'_>, count: usize) -> Option<()> {
    if bits.bit()? { bits.skip(count) } else { Some(()) }
}
