//! The published `rtc-rtcp`, with one function replaced: [`packet::unmarshal`].
//!
//! The published parser reads every SDES item type it does not know as END and then finds that the chunk's length does
//! not add up, so it refuses the whole compound. LiveKit's SFU sends item 15 (MID, RFC 9143 §15.1) in the same compound
//! as each sender report: without this crate no sender report ever reaches the interceptors, and no track can be placed
//! on the sender's clock.

pub use upstream::*;

pub mod packet {
    //! RTCP packets and compounds (RFC 3550 §6.1), as published, but tolerant of unknown SDES items.

    use bytes::{Buf, Bytes};
    pub use upstream::packet::{Packet, marshal};

    use rtc_shared::error::{Error, Result};

    const HEADER_LEN: usize = 4;
    const PT_SDES: u8 = 202;

    /// Parses one datagram's RTCP compound.
    ///
    /// Sub-packets are cut by their header's length, so one that cannot be parsed costs only itself. In SDES packets,
    /// items whose type RFC 3550 §6.5 does not define are dropped before parsing.
    ///
    /// # Errors
    /// `InvalidHeader` for an empty datagram, `PacketTooShort` where a length runs past the end, and the first
    /// sub-packet's own error where none of them could be parsed.
    pub fn unmarshal<B: Buf>(raw_data: &mut B) -> Result<Vec<Box<dyn Packet>>> {
        let mut compound = raw_data.copy_to_bytes(raw_data.remaining());
        let mut packets = Vec::with_capacity(2);
        let mut refused = None;
        while !compound.is_empty() {
            let mut one = cut_first(&mut compound)?;
            if one[1] == PT_SDES {
                one = super::sdes::without_unknown_items(&one).unwrap_or(one);
            }
            match upstream::packet::unmarshal(&mut one) {
                Ok(parsed) => packets.extend(parsed),
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        if packets.is_empty() {
            Err(refused.unwrap_or(Error::InvalidHeader))
        } else {
            Ok(packets)
        }
    }

    fn cut_first(compound: &mut Bytes) -> Result<Bytes> {
        let header = compound.get(..HEADER_LEN).ok_or(Error::PacketTooShort)?;
        let len = HEADER_LEN + 4 * usize::from(u16::from_be_bytes([header[2], header[3]]));
        if len > compound.len() {
            return Err(Error::PacketTooShort);
        }
        Ok(compound.split_to(len))
    }
}

mod sdes {
    use bytes::{BufMut, Bytes, BytesMut};

    /// The last item type RFC 3550 §6.5 defines (PRIV).
    const LAST_KNOWN_ITEM: u8 = 8;

    /// The same SDES packet without items of unknown type, or `None` where there is nothing to drop or the packet is
    /// not well formed (the caller then lets the published parser judge it).
    pub(crate) fn without_unknown_items(packet: &[u8]) -> Option<Bytes> {
        let count = packet[0] & 0x1f;
        let padded = packet[0] & 0x20 != 0;
        let mut out = BytesMut::with_capacity(packet.len());
        out.put_slice(&packet[..4]);
        let mut rest = &packet[4..];
        let mut dropped = false;
        for _ in 0..count {
            let (ssrc, mut items) = rest.split_at_checked(4)?;
            let start = out.len();
            out.put_slice(ssrc);
            loop {
                let kind = *items.first()?;
                if kind == 0 {
                    break;
                }
                let len = usize::from(*items.get(1)?);
                let (item, after) = items.split_at_checked(2 + len)?;
                if kind <= LAST_KNOWN_ITEM {
                    out.put_slice(item);
                } else {
                    dropped = true;
                }
                items = after;
            }
            // A chunk ends with at least one zero and fills its 32-bit word (RFC 3550 §6.5).
            let used = rest.len() - items.len();
            rest = rest.get(used + 4 - used % 4..)?;
            let written = out.len() - start;
            out.put_bytes(0, 4 - written % 4);
        }
        if !dropped || padded {
            return None;
        }
        let words = u16::try_from(out.len() / 4 - 1).ok()?;
        out[2..4].copy_from_slice(&words.to_be_bytes());
        Some(out.freeze())
    }
}

#[cfg(test)]
mod tests {
    use super::packet::unmarshal;
    use bytes::Bytes;
    use proptest::prelude::*;
    use upstream::sender_report::SenderReport;
    use upstream::source_description::SourceDescription;

    /// What LiveKit's SFU sends each second for each track: a sender report, then an SDES chunk with CNAME and MID.
    #[rustfmt::skip]
    fn well_formed() -> Vec<u8> {
        vec![
            0x80, 200, 0, 6,  0, 0, 0, 9,  1, 2, 3, 4,  5, 6, 7, 8,  0, 0, 1, 0,  0, 0, 0, 20,  0, 0, 7, 208,
            0x81, 202, 0, 4,  0, 0, 0, 9,  1, 4, b'P', b'A', b'_', b'x',  15, 1, b'3', 0, 0, 0,
        ]
    }

    #[test]
    fn a_sender_report_survives_the_mid_item_beside_it() {
        let packets = unmarshal(&mut Bytes::from(well_formed())).expect("the compound parses");
        let report = packets[0]
            .as_any()
            .downcast_ref::<SenderReport>()
            .expect("a sender report");
        assert_eq!((report.ssrc, report.rtp_time, report.packet_count), (9, 256, 20));
        let description = packets[1]
            .as_any()
            .downcast_ref::<SourceDescription>()
            .expect("an SDES packet");
        assert_eq!(description.chunks[0].items.len(), 1, "CNAME stays, MID goes");
        assert_eq!(&description.chunks[0].items[0].text[..], b"PA_x");
    }

    #[test]
    fn the_published_parser_still_refuses_it() {
        // When this fails, upstream has learnt to skip unknown items and this crate can go.
        assert!(upstream::packet::unmarshal(&mut Bytes::from(well_formed())).is_err());
    }

    #[test]
    fn one_bad_packet_does_not_cost_the_others() {
        let mut bytes = well_formed();
        bytes.extend_from_slice(&[0x81, 201, 0, 0]); // a receiver report that claims one block and holds none
        assert_eq!(unmarshal(&mut Bytes::from(bytes)).expect("the rest parses").len(), 2);
    }

    #[test]
    fn lengths_past_the_end_are_errors() {
        assert!(unmarshal(&mut Bytes::new()).is_err());
        assert!(unmarshal(&mut Bytes::from_static(&[0x80, 200, 0, 6, 0])).is_err());
        assert!(unmarshal(&mut Bytes::from_static(&[0x80])).is_err());
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            let _ = unmarshal(&mut Bytes::from(bytes));
        }

        #[test]
        fn never_panics_on_damaged_compounds(at in 0usize..48, value in any::<u8>()) {
            let mut bytes = well_formed();
            bytes[at] = value;
            let _ = unmarshal(&mut Bytes::from(bytes));
        }

        #[test]
        fn known_items_are_untouched(text in "[a-z]{0,40}", unknown in 9u8..=255, mid in "[0-9]{0,9}") {
            let mut chunk = vec![0, 0, 0, 9, 1, u8::try_from(text.len()).expect("short")];
            chunk.extend_from_slice(text.as_bytes());
            chunk.extend_from_slice(&[unknown, u8::try_from(mid.len()).expect("short")]);
            chunk.extend_from_slice(mid.as_bytes());
            chunk.resize(chunk.len() + 4 - chunk.len() % 4, 0);
            let mut bytes = vec![0x81, 202, 0, u8::try_from(chunk.len() / 4).expect("short")];
            bytes.extend_from_slice(&chunk);
            let packets = unmarshal(&mut Bytes::from(bytes)).expect("parses");
            let description = packets[0].as_any().downcast_ref::<SourceDescription>().expect("an SDES packet");
            prop_assert_eq!(&description.chunks[0].items[0].text[..], text.as_bytes());
            prop_assert_eq!(description.chunks[0].items.len(), 1);
        }
    }
}
