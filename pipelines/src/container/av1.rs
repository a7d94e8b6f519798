//! What a container says of AV1: the configuration record, made of the sequence header
//! ([AV1-ISOBMFF §2.3.3](https://aomediacodec.github.io/av1-isobmff/#av1codecconfigurationbox-syntax)).

use bytes::Bytes;

/// OBU type of a sequence header, and of the delimiter that a file has no use for.
const SEQUENCE_HEADER: u8 = 1;
const TEMPORAL_DELIMITER: u8 = 2;

/// The record for a stream that begins with this temporal unit, whose OBUs have sizes; `None` if it has no sequence
/// header that makes sense.
pub(crate) fn configuration(temporal_unit: &Bytes) -> Option<Bytes> {
    let (whole, body) = obus(temporal_unit).find(|(whole, _)| kind(whole) == SEQUENCE_HEADER)?;
    let mut record = Sequence::parse(&body)?.record().to_vec();
    record.extend_from_slice(&whole);
    Some(record.into())
}

/// The same without the delimiter that it may begin with.
pub(crate) fn without_delimiter(temporal_unit: &Bytes) -> Bytes {
    match obus(temporal_unit).next() {
        Some((whole, _)) if kind(&whole) == TEMPORAL_DELIMITER => temporal_unit.slice(whole.len()..),
        _ => temporal_unit.clone(),
    }
}

fn kind(obu: &[u8]) -> u8 {
    obu.first().map_or(0, |header| header >> 3 & 0xF)
}

/// OBUs with their headers, and their payloads (specification §5.3). Ends at the first that has no size.
fn obus(temporal_unit: &Bytes) -> impl Iterator<Item = (Bytes, Bytes)> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        let header = *temporal_unit.get(at)?;
        let (has_extension, has_size) = (header & 4 != 0, header & 2 != 0);
        let (length, size_len) = leb128(temporal_unit.get(at + 1 + usize::from(has_extension)..)?)?;
        let body = at + 1 + usize::from(has_extension) + size_len;
        let end = body
            .checked_add(length)
            .filter(|end| has_size && *end <= temporal_unit.len())?;
        let obu = (temporal_unit.slice(at..end), temporal_unit.slice(body..end));
        at = end;
        Some(obu)
    })
}

/// A number in groups of seven bits, and how many bytes it takes (§4.10.5).
fn leb128(bytes: &[u8]) -> Option<(usize, usize)> {
    let length = bytes.iter().take(4).position(|byte| byte & 0x80 == 0)? + 1;
    let value = bytes[..length]
        .iter()
        .rev()
        .fold(0, |value, byte| value << 7 | usize::from(byte & 0x7F));
    Some((value, length))
}

/// What of a sequence header the record repeats. Names as in §5.5.
#[derive(Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "they are the header's own bits")]
struct Sequence {
    profile: u8,
    level: u8,
    tier: bool,
    high_bitdepth: bool,
    twelve_bit: bool,
    mono_chrome: bool,
    subsampling: (bool, bool),
    chroma_sample_position: u8,
}

impl Sequence {
    fn parse(body: &[u8]) -> Option<Self> {
        let mut bits = Bits { bytes: body, at: 0 };
        let mut this = Self {
            profile: bits.byte(3)?,
            ..Self::default()
        };
        bits.skip(1)?; // still_picture
        let reduced = bits.bit()?;
        if reduced {
            this.level = bits.byte(5)?;
        } else {
            this.operating_points(&mut bits)?;
        }
        let (width_bits, height_bits) = (bits.read(4)? + 1, bits.read(4)? + 1);
        bits.skip(width_bits + height_bits)?;
        if !reduced && bits.bit()? {
            bits.skip(4 + 3)?; // lengths of frame ids
        }
        bits.skip(1 + 1 + 1)?; // use_128x128_superblock, enable_filter_intra, enable_intra_edge_filter
        if !reduced {
            tools(&mut bits)?;
        }
        bits.skip(1 + 1 + 1)?; // enable_superres, enable_cdef, enable_restoration
        this.color(&mut bits)?;
        Some(this)
    }

    fn operating_points(&mut self, bits: &mut Bits<'_>) -> Option<()> {
        let mut decoder_model = None;
        if bits.bit()? {
            bits.skip(32 + 32)?; // num_units_in_display_tick, time_scale
            if bits.bit()? {
                bits.variable_length()?; // num_ticks_per_picture_minus_1
            }
            if bits.bit()? {
                decoder_model = Some(bits.read(5)? + 1);
                bits.skip(32 + 5 + 5)?;
            }
        }
        let display_delay = bits.bit()?;
        for point in 0..=bits.read(5)? {
            bits.skip(12)?; // operating_point_idc
            let level = bits.byte(5)?;
            let tier = level > 7 && bits.bit()?;
            if point == 0 {
                (self.level, self.tier) = (level, tier);
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

    /// `color_config()` (§5.5.2).
    fn color(&mut self, bits: &mut Bits<'_>) -> Option<()> {
        const SRGB: (u32, u32, u32) = (1, 13, 0);
        self.high_bitdepth = bits.bit()?;
        self.twelve_bit = self.profile == 2 && self.high_bitdepth && bits.bit()?;
        self.mono_chrome = self.profile != 1 && bits.bit()?;
        let described = bits.bit()?;
        let description = if described {
            (bits.read(8)?, bits.read(8)?, bits.read(8)?)
        } else {
            (2, 2, 2)
        };
        if self.mono_chrome {
            self.subsampling = (true, true);
            return Some(());
        }
        if description == SRGB {
            return Some(());
        }
        bits.skip(1)?; // color_range
        self.subsampling = match (self.profile, self.twelve_bit) {
            (0, _) => (true, true),
            (1, _) => (false, false),
            (_, true) => {
                let x = bits.bit()?;
                (x, x && bits.bit()?)
            }
            (_, false) => (true, false),
        };
        if self.subsampling == (true, true) {
            self.chroma_sample_position = bits.byte(2)?;
        }
        Some(())
    }

    fn record(&self) -> [u8; 4] {
        const MARKER_AND_VERSION: u8 = 0x81;
        let flags = [
            self.tier,
            self.high_bitdepth,
            self.twelve_bit,
            self.mono_chrome,
            self.subsampling.0,
            self.subsampling.1,
        ];
        let flags = flags.into_iter().fold(0, |byte, flag| byte << 1 | u8::from(flag));
        [
            MARKER_AND_VERSION,
            self.profile << 5 | self.level,
            flags << 2 | self.chroma_sample_position,
            0,
        ]
    }
}

/// The tools that a sequence allows, of which none is in the record.
fn tools(bits: &mut Bits<'_>) -> Option<()> {
    bits.skip(1 + 1 + 1 + 1)?; // interintra and masked compound, warped motion, dual filter
    let order_hint = bits.bit()?;
    if order_hint {
        bits.skip(1 + 1)?; // enable_jnt_comp, enable_ref_frame_mvs
    }
    let may_use_screen_tools = bits.bit()? || bits.bit()?;
    if may_use_screen_tools && !bits.bit()? {
        bits.skip(1)?; // seq_force_integer_mv
    }
    if order_hint {
        bits.skip(3)?; // order_hint_bits_minus_1
    }
    Some(())
}

/// Reads bits, the highest first.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn bit(&mut self) -> Option<bool> {
        let byte = self.bytes.get(self.at / 8)?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Some(bit == 1)
    }

    fn read(&mut self, count: u32) -> Option<u32> {
        (0..count).try_fold(0, |value, _| Some(value << 1 | u32::from(self.bit()?)))
    }

    /// At most eight bits.
    fn byte(&mut self, count: u32) -> Option<u8> {
        u8::try_from(self.read(count)?).ok()
    }

    fn skip(&mut self, count: u32) -> Option<()> {
        self.at = self.at.checked_add(count as usize)?;
        (self.at <= self.bytes.len() * 8).then_some(())
    }

    /// `uvlc()` (§4.10.3).
    fn variable_length(&mut self) -> Option<()> {
        let mut zeros = 0;
        while !self.bit()? {
            zeros += 1;
        }
        if zeros < 32 { self.skip(zeros) } else { Some(()) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    /// Records as ffmpeg's MP4 muxer writes them for libaom's streams: 640x360 in 8 bits, 320x180 in 10, 320x180 in 4:4:4.
    const RECORDS: [&[u8]; 3] = [
        &[
            0x81, 0x01, 0x0C, 0, 0x0A, 0x0B, 0, 0, 0, 0x0C, 0xC4, 0xFF, 0x67, 0x36, 0xBE, 0x40, 0x10,
        ],
        &[
            0x81, 0x00, 0x4C, 0, 0x0A, 0x0B, 0, 0, 0, 0x04, 0x3C, 0xFE, 0xCC, 0xDA, 0xF9, 0x40, 0x40,
        ],
        &[
            0x81, 0x20, 0x00, 0, 0x0A, 0x0A, 0x20, 0, 0, 0x04, 0x3C, 0xFE, 0xCC, 0xDA, 0xF9, 0x02,
        ],
    ];

    #[test]
    fn the_record_is_what_another_writer_makes_of_the_same_header() {
        for record in RECORDS {
            // Behind a delimiter, before a frame.
            let unit = Bytes::from([&[0x12, 0][..], &record[4..], &[0x32, 2, 7, 7]].concat());
            assert_eq!(configuration(&unit).as_deref(), Some(record));
            assert_eq!(without_delimiter(&unit), unit[2..]);
        }
    }

    #[test]
    fn what_has_no_header_has_no_record() {
        assert_eq!(configuration(&Bytes::from_static(&[0x12, 0, 0x32, 2, 7, 7])), None);
        assert_eq!(configuration(&Bytes::from_static(b"no AV1 at all")), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(bytes in vec(any::<u8>(), 0..40)) {
            let _ = configuration(&bytes.clone().into());
            let _ = Sequence::parse(&bytes);
        }
    }
}
