//! Redundant audio ([RFC 2198](https://www.rfc-editor.org/rfc/rfc2198)): each packet repeats the ones before it.

use bytes::Bytes;

use crate::ErrorKind;

/// One RED payload, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Red {
    /// What the packet is about.
    pub primary: Bytes,
    /// What earlier packets were about, oldest first.
    pub redundant: Vec<RedBlock>,
}

/// A copy of an earlier payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedBlock {
    /// How much earlier its timestamp is than the packet's, in ticks; 14 bits.
    pub timestamp_offset: u16,
    pub data: Bytes,
}

impl Red {
    /// Takes a payload apart; the blocks are slices of it.
    pub fn parse(payload: &Bytes) -> Result<Self, RedError> {
        const MORE: u8 = 0x80;
        let mut headers = Vec::new();
        let mut at = 0;
        loop {
            let first = *payload.get(at).ok_or(RedError::Header)?;
            if first & MORE == 0 {
                at += 1;
                break;
            }
            // |1| payload type (7) | timestamp offset (14) | length (10) |
            let header = payload.get(at..at + 4).ok_or(RedError::Header)?;
            let timestamp_offset = u16::from(header[1]) << 6 | u16::from(header[2]) >> 2;
            let len = usize::from(header[2] & 0x03) << 8 | usize::from(header[3]);
            headers.push((timestamp_offset, len));
            at += 4;
        }
        let mut redundant = Vec::with_capacity(headers.len());
        for (timestamp_offset, len) in headers {
            let end = at + len;
            if end > payload.len() {
                return Err(RedError::Block);
            }
            redundant.push(RedBlock {
                timestamp_offset,
                data: payload.slice(at..end),
            });
            at = end;
        }
        Ok(Self {
            primary: payload.slice(at..),
            redundant,
        })
    }
}

/// Why bytes are not a RED payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RedError {
    #[error("the payload ends inside its block headers")]
    Header,
    #[error("a redundant block is longer than the payload")]
    Block,
}

impl RedError {
    pub fn kind(self) -> ErrorKind {
        ErrorKind::Invalid
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    #[test]
    fn blocks_come_oldest_first() {
        let payload = Bytes::from_static(&[
            0x80 | 0x6F,
            0x1E,
            0x00,
            0x02, // 1920 ticks earlier, 2 bytes
            0x80 | 0x6F,
            0x0F,
            0x00,
            0x01, // 960 ticks earlier, 1 byte
            111,  // the primary
            1,
            2,
            3,
            4,
            5,
            6,
        ]);
        let red = Red::parse(&payload).unwrap();
        let blocks: Vec<_> = red
            .redundant
            .iter()
            .map(|block| (block.timestamp_offset, &block.data[..]))
            .collect();
        assert_eq!(blocks, [(1920, &[1, 2][..]), (960, &[3][..])]);
        assert_eq!(red.primary, [4, 5, 6][..]);
    }

    #[test]
    fn lengths_have_ten_bits() {
        let mut payload = vec![0x80 | 0x6F, 0xFF, 0xFF, 0xFF, 111];
        payload.extend([7; 1023]);
        let red = Red::parse(&payload.into()).unwrap();
        assert_eq!(
            (red.redundant[0].timestamp_offset, red.redundant[0].data.len()),
            (16_383, 1023)
        );
        assert!(red.primary.is_empty());
    }

    #[test]
    fn cut_payloads_are_refused() {
        let parse = |bytes: &'static [u8]| Red::parse(&Bytes::from_static(bytes));
        assert_eq!(parse(&[]), Err(RedError::Header));
        assert_eq!(parse(&[0xEF, 0, 0]), Err(RedError::Header));
        assert_eq!(parse(&[0xEF, 0, 0, 1]), Err(RedError::Header));
        assert_eq!(parse(&[0xEF, 0, 0, 2, 111, 9]), Err(RedError::Block));
    }

    proptest! {
        #[test]
        fn any_payload_is_taken_apart_or_refused(payload in vec(any::<u8>(), 0..60)) {
            let len = payload.len();
            if let Ok(red) = Red::parse(&payload.into()) {
                prop_assert!(red.primary.len() + red.redundant.iter().map(|block| block.data.len()).sum::<usize>() < len);
            }
        }
    }
}
