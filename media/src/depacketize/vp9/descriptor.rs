//! The payload descriptor before each packet's share of a layer frame (RFC 9628 §4.2).

/// Reference indices a picture may have in flexible mode.
const MAX_REFERENCES: usize = 3;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "the flags of the first byte")]
pub(crate) struct Vp9Descriptor {
    /// P: it refers to earlier pictures.
    pub(crate) inter_picture: bool,
    /// F: references are listed in each packet.
    pub(crate) flexible: bool,
    /// B: the first packet of a layer frame.
    pub(crate) begin: bool,
    /// E: the last packet of a layer frame.
    pub(crate) end: bool,
    /// Where the picture id is, its value, and whether it has 15 bits rather than 7.
    pub(crate) picture_id: Option<(usize, u16, bool)>,
    pub(crate) layer: Option<LayerIndices>,
    /// Where TL0PICIDX is, and what it says; non-flexible mode with layers only.
    pub(crate) tl0: Option<(usize, u8)>,
    references: [u8; MAX_REFERENCES],
    reference_count: usize,
    /// How long the descriptor is, in bytes.
    pub(crate) len: usize,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct LayerIndices {
    pub(crate) temporal: u8,
    /// U: upper layers may be switched to from here.
    pub(crate) switching_up: bool,
    pub(crate) spatial: u8,
    /// D: it refers to the layer below, of the same picture.
    pub(crate) inter_layer: bool,
}

impl Vp9Descriptor {
    /// `None` if the payload ends inside it, or right after it, or if it lists more than it may.
    pub(crate) fn parse(payload: &[u8]) -> Option<Self> {
        let mut cursor = Cursor { payload, at: 0 };
        let flags = cursor.byte()?;
        let flag = |bit: u8| flags & bit != 0;
        let mut descriptor = Self {
            inter_picture: flag(0x40),
            flexible: flag(0x10),
            begin: flag(0x08),
            end: flag(0x04),
            ..Self::default()
        };
        if flag(0x80) {
            let position = cursor.at;
            let id = u16::from(cursor.byte()?);
            let long = id & 0x80 != 0;
            let id = if long {
                (id & 0x7F) << 8 | u16::from(cursor.byte()?)
            } else {
                id
            };
            descriptor.picture_id = Some((position, id, long));
        }
        if flag(0x20) {
            let byte = cursor.byte()?;
            descriptor.layer = Some(LayerIndices {
                temporal: byte >> 5,
                switching_up: byte & 0x10 != 0,
                spatial: byte >> 1 & 7,
                inter_layer: byte & 1 != 0,
            });
            if !descriptor.flexible {
                descriptor.tl0 = Some((cursor.at, cursor.byte()?));
            }
        }
        if descriptor.flexible && descriptor.inter_picture {
            loop {
                let byte = cursor.byte()?;
                *descriptor.references.get_mut(descriptor.reference_count)? = byte >> 1;
                descriptor.reference_count += 1;
                if byte & 1 == 0 {
                    break;
                }
            }
        }
        if flag(0x02) {
            cursor.skip_scalability_structure()?;
        }
        descriptor.len = cursor.at;
        (cursor.at < payload.len()).then_some(descriptor)
    }

    pub(crate) fn spatial_layer(&self) -> u8 {
        self.layer.map_or(0, |layer| layer.spatial)
    }

    pub(crate) fn inter_layer(&self) -> bool {
        self.layer.is_some_and(|layer| layer.inter_layer)
    }

    /// How many pictures back each reference of flexible mode is.
    pub(crate) fn references(&self) -> impl Iterator<Item = u8> {
        self.references.into_iter().take(self.reference_count)
    }
}

struct Cursor<'a> {
    payload: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn byte(&mut self) -> Option<u8> {
        let byte = self.payload.get(self.at).copied()?;
        self.at += 1;
        Some(byte)
    }

    /// Sizes of the layers and the pattern of references: both also follow from what is sent.
    fn skip_scalability_structure(&mut self) -> Option<()> {
        let head = self.byte()?;
        let layers = usize::from(head >> 5) + 1;
        if head & 0x10 != 0 {
            self.at += 4 * layers;
        }
        if head & 0x08 != 0 {
            for _ in 0..self.byte()? {
                let picture = self.byte()?;
                self.at += usize::from(picture >> 2 & 3);
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    #[test]
    fn non_flexible_mode_with_layers() {
        let descriptor = Vp9Descriptor::parse(&[0b1110_1100, 0x81, 0x23, 0b0101_0011, 0x99, 0]).unwrap();
        assert_eq!(descriptor.picture_id, Some((1, 0x0123, true)));
        let layer = LayerIndices {
            temporal: 2,
            switching_up: true,
            spatial: 1,
            inter_layer: true,
        };
        assert_eq!(descriptor.layer, Some(layer));
        assert_eq!(descriptor.tl0, Some((4, 0x99)));
        assert!(descriptor.inter_picture && descriptor.begin && descriptor.end && !descriptor.flexible);
        assert_eq!(descriptor.len, 5);
    }

    #[test]
    fn flexible_mode_lists_references() {
        let descriptor = Vp9Descriptor::parse(&[0b1101_1000, 0x05, 0b0000_0011, 0b0000_0100, 0xAA]).unwrap();
        assert_eq!(descriptor.picture_id, Some((1, 5, false)));
        assert_eq!(descriptor.references().collect::<Vec<_>>(), [1, 2]);
        assert_eq!(descriptor.len, 4);
        let four = [0b1101_1000, 0x05, 3, 5, 7, 9, 0xAA];
        assert_eq!(Vp9Descriptor::parse(&four), None, "at most three");
    }

    #[test]
    fn the_scalability_structure_is_skipped() {
        // Two layers with sizes; two pictures in the group, with one and two references; two reserved bits set.
        let ss = [
            0b0011_1011,
            1,
            64,
            0,
            180,
            2,
            128,
            1,
            104,
            2,
            0b0000_0100,
            1,
            0b0010_1000,
            1,
            2,
        ];
        let payload = [&[0b0000_1010][..], &ss, &[0xFF]].concat();
        assert_eq!(Vp9Descriptor::parse(&payload).unwrap().len, payload.len() - 1);
        for len in 0..payload.len() {
            assert_eq!(Vp9Descriptor::parse(&payload[..len]), None, "{len}");
        }
    }

    proptest! {
        #[test]
        fn any_payload_parses_or_not(payload in vec(any::<u8>(), 0..40)) {
            if let Some(descriptor) = Vp9Descriptor::parse(&payload) {
                prop_assert!(descriptor.len < payload.len());
            }
        }
    }
}
