//! Reading headers bit by bit. Past the end there is nothing: every read answers `None`.

#[derive(Debug, Clone)]
pub(crate) struct BitReader<'a> {
    bytes: &'a [u8],
    /// In bits.
    at: usize,
}

impl<'a> BitReader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(crate) fn bit(&mut self) -> Option<bool> {
        let byte = self.bytes.get(self.at / 8)?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Some(bit == 1)
    }

    /// `count` bits, at most 32, most significant first.
    pub(crate) fn bits(&mut self, count: u32) -> Option<u32> {
        debug_assert!(count <= 32);
        let mut value = 0;
        for _ in 0..count {
            value = value << 1 | u32::from(self.bit()?);
        }
        Some(value)
    }

    pub(crate) fn skip(&mut self, count: usize) -> Option<()> {
        self.at = self.at.checked_add(count).filter(|at| *at <= self.bytes.len() * 8)?;
        Some(())
    }

    /// How many bits have been read.
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    /// An unsigned Exp-Golomb code, `ue(v)` (ITU-T H.264 §9.1).
    pub(crate) fn exp_golomb(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while !self.bit()? {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        let suffix = self.bits(zeros)?;
        Some((1_u32 << zeros) - 1 + suffix)
    }

    /// A signed Exp-Golomb code, `se(v)` (ITU-T H.264 §9.1.1): 0, 1, -1, 2, -2 …
    pub(crate) fn signed_exp_golomb(&mut self) -> Option<i32> {
        let code = self.exp_golomb()?;
        let magnitude = i32::try_from(code / 2 + code % 2).ok()?;
        Some(if code % 2 == 1 { magnitude } else { -magnitude })
    }
}

/// Reads a LEB128 number of at most 32 bits: its value, and how many bytes it took (AV1 specification §4.10.5).
pub(crate) fn leb128(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0_u64;
    for (index, byte) in bytes.iter().enumerate().take(8) {
        value |= u64::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            let value = u32::try_from(value).ok()?;
            return Some((usize::try_from(value).ok()?, index + 1));
        }
    }
    None
}

/// Appends a LEB128 number.
pub(crate) fn put_leb128(bytes: &mut Vec<u8>, mut value: usize) {
    loop {
        let low = u8::try_from(value & 0x7F).unwrap_or_default();
        value >>= 7;
        if value == 0 {
            bytes.push(low);
            return;
        }
        bytes.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bits_come_most_significant_first() {
        let mut reader = BitReader::new(&[0b1010_0001, 0xFF]);
        assert_eq!(reader.bit(), Some(true));
        assert_eq!(reader.bits(3), Some(0b010));
        assert_eq!(reader.bits(8), Some(0b0001_1111));
        assert_eq!((reader.position(), reader.bits(5)), (12, None));
    }

    /// The table of ITU-T H.264 §9.1.
    #[test]
    fn exp_golomb_codes() {
        for (byte, value, signed) in [
            (0b1000_0000, 0, 0),
            (0b0100_0000, 1, 1),
            (0b0110_0000, 2, -1),
            (0b0010_0000, 3, 2),
            (0b0011_1000, 6, -3),
        ] {
            assert_eq!(BitReader::new(&[byte]).exp_golomb(), Some(value));
            assert_eq!(BitReader::new(&[byte]).signed_exp_golomb(), Some(signed));
        }
        assert_eq!(BitReader::new(&[0; 9]).exp_golomb(), None, "no end");
        assert_eq!(
            BitReader::new(&[0, 0, 0, 1, 255, 255, 255, 255]).exp_golomb(),
            Some(u32::MAX - 1)
        );
    }

    #[test]
    fn leb128_limits() {
        assert_eq!(leb128(&[0xE5, 0x8E, 0x26, 7]), Some((624_485, 3)));
        assert_eq!(leb128(&[0x80, 0x00]), Some((0, 2)), "zeros may lead");
        assert_eq!(leb128(&[0xFF, 0xFF, 0xFF, 0xFF, 0x7F]), None, "over 32 bits");
        assert_eq!(leb128(&[0x80]), None);
        assert_eq!(leb128(&[]), None);
    }

    proptest! {
        #[test]
        fn leb128_reads_back(value: u32) {
            let mut bytes = Vec::new();
            put_leb128(&mut bytes, value as usize);
            prop_assert_eq!(leb128(&bytes), Some((value as usize, bytes.len())));
        }
    }
}
