//! RTP as it comes off the wire: a view of one packet, the numbers in it made whole, and what sender reports say.
//!
//! Parsing borrows and copies nothing: capture looks at every packet on its hot path.

mod extend;
mod report;

use std::ops::Range;

pub use extend::{SequenceExtender, TimestampExtender};
pub use report::{SenderClock, SenderReport, sender_reports};

use crate::ErrorKind;

const FIXED_HEADER_LEN: usize = 12;

/// The profile of one-byte header extensions ([RFC 8285 §4.2](https://www.rfc-editor.org/rfc/rfc8285#section-4.2)).
const ONE_BYTE_PROFILE: u16 = 0xBEDE;
/// The profile of two-byte header extensions, whose last four bits are the application's
/// ([RFC 8285 §4.3](https://www.rfc-editor.org/rfc/rfc8285#section-4.3)).
const TWO_BYTE_PROFILE: u16 = 0x1000;
const TWO_BYTE_PROFILE_MASK: u16 = 0xFFF0;

/// One RTP packet, as a view of its bytes ([RFC 3550 §5.1](https://www.rfc-editor.org/rfc/rfc3550#section-5.1)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RtpPacket<'a> {
    bytes: &'a [u8],
    /// Where the header extension's body is; empty if there is none.
    extension: (usize, usize),
    payload: (usize, usize),
}

impl<'a> RtpPacket<'a> {
    /// Checks all lengths once, so that nothing after it can fail.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, RtpError> {
        let Some(header) = bytes.first_chunk::<FIXED_HEADER_LEN>() else {
            return Err(RtpError::TooShort);
        };
        if header[0] >> 6 != 2 {
            return Err(RtpError::Version(header[0] >> 6));
        }
        let (padded, extended, sources) = (header[0] & 0x20 != 0, header[0] & 0x10 != 0, header[0] & 0x0F);
        let mut at = FIXED_HEADER_LEN + 4 * usize::from(sources);
        let mut extension = (at, at);
        if extended {
            let words = bytes.get(at + 2..at + 4).ok_or(RtpError::TooShort)?;
            let len = 4 * usize::from(u16::from_be_bytes([words[0], words[1]]));
            extension = (at + 4, at + 4 + len);
            at = extension.1;
        }
        if at > bytes.len() {
            return Err(RtpError::TooShort);
        }
        let mut end = bytes.len();
        if padded {
            let padding = usize::from(bytes[end - 1]);
            if padding == 0 || padding > end - at {
                return Err(RtpError::Padding);
            }
            end -= padding;
        }
        Ok(Self {
            bytes,
            extension,
            payload: (at, end),
        })
    }

    /// The last packet of a video frame; the first one after silence for audio.
    pub fn marker(&self) -> bool {
        self.bytes[1] & 0x80 != 0
    }

    /// 7 bits.
    pub fn payload_type(&self) -> u8 {
        self.bytes[1] & 0x7F
    }

    pub fn sequence(&self) -> u16 {
        u16::from_be_bytes([self.bytes[2], self.bytes[3]])
    }

    pub fn timestamp(&self) -> u32 {
        u32::from_be_bytes([self.bytes[4], self.bytes[5], self.bytes[6], self.bytes[7]])
    }

    pub fn ssrc(&self) -> u32 {
        u32::from_be_bytes([self.bytes[8], self.bytes[9], self.bytes[10], self.bytes[11]])
    }

    /// Contributing sources.
    pub fn csrcs(&self) -> impl ExactSizeIterator<Item = u32> + 'a {
        let count = usize::from(self.bytes[0] & 0x0F);
        let list = &self.bytes[FIXED_HEADER_LEN..FIXED_HEADER_LEN + 4 * count];
        list.chunks_exact(4)
            .map(|csrc| u32::from_be_bytes([csrc[0], csrc[1], csrc[2], csrc[3]]))
    }

    /// Without padding. Empty for a packet that is padding alone.
    pub fn payload(&self) -> &'a [u8] {
        &self.bytes[self.payload_range()]
    }

    /// Where the payload is in the packet, to cut it out of shared bytes.
    pub fn payload_range(&self) -> Range<usize> {
        self.payload.0..self.payload.1
    }

    /// The header extension elements, in order. Stops without a word where they make no sense, as
    /// [RFC 8285 §4.1](https://www.rfc-editor.org/rfc/rfc8285#section-4.1) would have it.
    pub fn extensions(&self) -> Extensions<'a> {
        let (start, end) = self.extension;
        let form = if start == end {
            Form::None
        } else {
            match u16::from_be_bytes([self.bytes[start - 4], self.bytes[start - 3]]) {
                ONE_BYTE_PROFILE => Form::OneByte,
                profile if profile & TWO_BYTE_PROFILE_MASK == TWO_BYTE_PROFILE => Form::TwoByte,
                _ => Form::None,
            }
        };
        Extensions {
            form,
            rest: &self.bytes[start..end],
        }
    }

    /// The data of one header extension element, by the id that was negotiated for it.
    pub fn extension(&self, id: u8) -> Option<&'a [u8]> {
        self.extensions()
            .find_map(|(found, data)| (found == id).then_some(data))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    None,
    OneByte,
    TwoByte,
}

/// Header extension elements: id and data.
#[derive(Debug, Clone)]
pub struct Extensions<'a> {
    form: Form,
    rest: &'a [u8],
}

impl<'a> Iterator for Extensions<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        const PADDING: u8 = 0;
        /// Ends a list of one-byte elements.
        const STOP: u8 = 15;
        loop {
            let (&first, rest) = self.rest.split_first()?;
            if first == PADDING {
                self.rest = rest;
                continue;
            }
            let (id, len, rest) = match self.form {
                Form::None => return None,
                Form::OneByte if first >> 4 == STOP => return None,
                Form::OneByte => (first >> 4, usize::from(first & 0x0F) + 1, rest),
                Form::TwoByte => {
                    let (&len, rest) = rest.split_first()?;
                    (first, usize::from(len), rest)
                }
            };
            let (data, rest) = rest.split_at_checked(len)?;
            self.rest = rest;
            return Some((id, data));
        }
    }
}

/// Why bytes are not an RTP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RtpError {
    #[error("the packet ends inside its header")]
    TooShort,
    #[error("RTP version {0}, not 2")]
    Version(u8),
    #[error("the packet's padding is longer than the packet, or not there")]
    Padding,
}

impl RtpError {
    pub fn kind(self) -> ErrorKind {
        ErrorKind::Invalid
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        digits
            .chunks(2)
            .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    #[test]
    fn the_fixed_header() {
        let bytes = hex("80 e0 1234 89abcdef deadbeef  0a0b0c");
        let packet = RtpPacket::parse(&bytes).unwrap();
        assert!(packet.marker());
        assert_eq!(packet.payload_type(), 0x60);
        assert_eq!(packet.sequence(), 0x1234);
        assert_eq!(packet.timestamp(), 0x89AB_CDEF);
        assert_eq!(packet.ssrc(), 0xDEAD_BEEF);
        assert_eq!(packet.csrcs().count(), 0);
        assert_eq!(packet.payload(), [10, 11, 12]);
        assert_eq!(packet.payload_range(), 12..15);
        assert_eq!(packet.extensions().count(), 0);
    }

    #[test]
    fn contributing_sources_and_extension_come_before_the_payload() {
        let bytes = hex("92 60 0001 00000002 00000003  00000004 00000005  bede0001 10ff0000  aa");
        let packet = RtpPacket::parse(&bytes).unwrap();
        assert_eq!(packet.csrcs().collect::<Vec<_>>(), [4, 5]);
        assert_eq!(packet.extension(1), Some(&[0xFF][..]));
        assert_eq!(packet.payload(), [0xAA]);
    }

    /// The example of RFC 8285 §4.2: elements with 1, 2 and 4 bytes, and padding between.
    #[test]
    fn one_byte_extensions() {
        let bytes = hex("90 60 0001 00000002 00000003  bede0003  10 aa  21 bbbb 00 00  33 cccccccc");
        let packet = RtpPacket::parse(&bytes).unwrap();
        let found: Vec<_> = packet.extensions().map(|(id, data)| (id, data.len())).collect();
        assert_eq!(found, [(1, 1), (2, 2), (3, 4)]);
        assert_eq!(packet.extension(2), Some(&[0xBB, 0xBB][..]));
        assert_eq!(packet.extension(9), None);
    }

    /// The example of RFC 8285 §4.3: an empty element, padding, ids above 14.
    #[test]
    fn two_byte_extensions() {
        let bytes = hex("90 60 0001 00000002 00000003  1000 0003  0100 1001 aa 00  f3 04 bbbbbbbb");
        let packet = RtpPacket::parse(&bytes).unwrap();
        let found: Vec<_> = packet.extensions().map(|(id, data)| (id, data.len())).collect();
        assert_eq!(found, [(1, 0), (16, 1), (0xF3, 4)]);
    }

    #[test]
    fn extensions_that_make_no_sense_end_quietly() {
        for (why, extension) in [
            ("one-byte element longer than the block", "bede0001 1faabbcc"),
            ("stop id", "bede0001 f0aabbcc"),
            ("two-byte element longer than the block", "10000001 01ffaabb"),
            ("another profile", "abcd0001 10aabbcc"),
            ("empty block", "bede0000"),
        ] {
            let bytes = hex(&format!("90 60 0001 00000002 00000003 {extension} 77"));
            let packet = RtpPacket::parse(&bytes).unwrap();
            assert_eq!(packet.extensions().count(), 0, "{why}");
            assert_eq!(packet.payload(), [0x77], "{why}");
        }
    }

    #[test]
    fn padding_is_no_payload() {
        let bytes = hex("a0 60 0001 00000002 00000003  aabb 000003");
        assert_eq!(RtpPacket::parse(&bytes).unwrap().payload(), [0xAA, 0xBB]);
        let all_padding = hex("a0 60 0001 00000002 00000003  00000004");
        assert!(RtpPacket::parse(&all_padding).unwrap().payload().is_empty());
    }

    #[test]
    fn bad_packets_are_refused() {
        for (bytes, error) in [
            ("", RtpError::TooShort),
            ("80 60 0001 00000002 000000", RtpError::TooShort),
            ("40 60 0001 00000002 00000003", RtpError::Version(1)),
            ("81 60 0001 00000002 00000003 0000", RtpError::TooShort),
            ("90 60 0001 00000002 00000003 bede", RtpError::TooShort),
            ("90 60 0001 00000002 00000003 bede0002 00000000", RtpError::TooShort),
            ("a0 60 0001 00000002 00000003 00", RtpError::Padding),
            ("a0 60 0001 00000002 00000003 05", RtpError::Padding),
            ("a0 60 0001 00000002 00000003", RtpError::Padding),
        ] {
            assert_eq!(RtpPacket::parse(&hex(bytes)), Err(error), "{bytes}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_parse_or_fail(bytes in vec(any::<u8>(), 0..100)) {
            if let Ok(packet) = RtpPacket::parse(&bytes) {
                prop_assert!(packet.payload().len() + FIXED_HEADER_LEN <= bytes.len());
                let _ = (packet.csrcs().count(), packet.extensions().count(), packet.extension(3));
            }
        }
    }
}
