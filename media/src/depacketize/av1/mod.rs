//! AV1 ([RTP Payload Format For AV1](https://aomediacodec.github.io/av1-rtp-spec/)).

mod sequence;

use bytes::Bytes;

use super::assembler::{Assembled, Outcome, VideoFormat};
use crate::{
    bits::{leb128, put_leb128},
    codec::Dims,
};

/// OBU types (AV1 Bitstream & Decoding Process Specification §6.2.2).
mod obu {
    pub(super) const SEQUENCE_HEADER: u8 = 1;
    pub(super) const TEMPORAL_DELIMITER: u8 = 2;
    pub(super) const FRAME_HEADER: u8 = 3;
    pub(super) const FRAME: u8 = 6;
    pub(super) const TILE_LIST: u8 = 8;
    pub(super) const PADDING: u8 = 15;
}

const HAS_EXTENSION: u8 = 0x04;
const HAS_SIZE: u8 = 0x02;

fn obu_type(header: u8) -> u8 {
    header >> 3 & 0x0F
}

/// OBU elements of one packet, with what its aggregation header says of their ends (§4.4).
pub(super) struct Part {
    /// Z: the first one continues the last of the packet before.
    continues: bool,
    /// Y: the last one goes on in the next packet.
    goes_on: bool,
    elements: Vec<Bytes>,
}

#[derive(Default)]
pub(super) struct Av1 {
    /// A key frame came, and nothing is missing since.
    whole: bool,
}

impl VideoFormat for Av1 {
    type Part = Part;

    fn part(&mut self, payload: &Bytes) -> Option<Part> {
        let header = *payload.first()?;
        let (continues, goes_on, count) = (header & 0x80 != 0, header & 0x40 != 0, header >> 4 & 3);
        let mut elements = Vec::new();
        let mut at = 1;
        while at < payload.len() {
            // W elements, of which the last has no length; or, if W is 0, any number, each with a length.
            let last = count != 0 && elements.len() + 1 == usize::from(count);
            let len = if last {
                payload.len() - at
            } else {
                let (len, size) = leb128(&payload[at..])?;
                at += size;
                len
            };
            let end = at.checked_add(len).filter(|end| *end <= payload.len())?;
            elements.push(payload.slice(at..end));
            at = end;
        }
        let as_announced = count == 0 || elements.len() == usize::from(count);
        (as_announced && !elements.is_empty()).then_some(Part {
            continues,
            goes_on,
            elements,
        })
    }

    fn assemble(&mut self, parts: Vec<Part>, _head_sure: bool) -> Outcome {
        let units = match join_elements(parts) {
            Ok(units) => units,
            Err(outcome) => return outcome,
        };
        let mut data = Vec::with_capacity(units.iter().map(|unit| unit.len() + 4).sum());
        let mut seen = Seen::default();
        for unit in &units {
            let Some(unit) = Obu::parse(unit) else {
                return Outcome::Malformed;
            };
            match unit.kind() {
                obu::TEMPORAL_DELIMITER | obu::TILE_LIST | obu::PADDING => continue,
                obu::SEQUENCE_HEADER => match sequence::dims(unit.payload) {
                    Some(dims) => seen.sequence = Some(dims),
                    None => return Outcome::Malformed,
                },
                obu::FRAME | obu::FRAME_HEADER if !seen.frame => {
                    seen.frame = true;
                    seen.key = sequence::is_key_frame(unit.payload);
                }
                _ => {}
            }
            unit.write_with_size(&mut data);
        }
        if data.is_empty() {
            return Outcome::Nothing;
        }
        // The sequence header comes with each key frame (§5), and is its beginning: if it is there, nothing is missing
        // before it.
        let keyframe = seen.key && seen.sequence.is_some();
        self.whole |= keyframe;
        if !self.whole {
            return Outcome::Undecodable;
        }
        Outcome::Frame(Assembled {
            data: data.into(),
            keyframe,
            dims: seen.sequence.filter(|_| keyframe),
        })
    }

    fn lost(&mut self) {
        self.whole = false;
    }
}

/// The size in the sequence header that a packet has.
pub(super) fn announced_dims(payload: &[u8]) -> Option<Dims> {
    let part = Av1::default().part(&Bytes::copy_from_slice(payload))?;
    let mut units = part.elements.iter().filter_map(|unit| Obu::parse(unit));
    units
        .find(|unit| unit.kind() == obu::SEQUENCE_HEADER)
        .and_then(|unit| sequence::dims(unit.payload))
}

#[derive(Default)]
struct Seen {
    sequence: Option<Dims>,
    frame: bool,
    key: bool,
}

/// One OBU, taken apart.
struct Obu<'a> {
    header: u8,
    extension: Option<u8>,
    payload: &'a [u8],
}

impl<'a> Obu<'a> {
    /// With a size field or without one; `None` if the size does not fit, or nothing is there.
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (&header, mut rest) = bytes.split_first()?;
        let mut extension = None;
        if header & HAS_EXTENSION != 0 {
            let (&byte, after) = rest.split_first()?;
            (extension, rest) = (Some(byte), after);
        }
        if header & HAS_SIZE != 0 {
            let (len, size) = leb128(rest)?;
            rest = rest[size..].get(..len)?;
        }
        Some(Self {
            header,
            extension,
            payload: rest,
        })
    }

    fn kind(&self) -> u8 {
        obu_type(self.header)
    }

    fn write_with_size(&self, data: &mut Vec<u8>) {
        data.push(self.header | HAS_SIZE);
        data.extend(self.extension);
        put_leb128(data, self.payload.len());
        data.extend_from_slice(self.payload);
    }
}

/// Puts fragments together.
fn join_elements(parts: Vec<Part>) -> Result<Vec<Bytes>, Outcome> {
    let mut units: Vec<Bytes> = Vec::new();
    let mut open: Option<Vec<u8>> = None;
    for (index, part) in parts.into_iter().enumerate() {
        if part.continues != open.is_some() {
            return Err(if index == 0 {
                Outcome::Incomplete
            } else {
                Outcome::Malformed
            });
        }
        let last = part.elements.len() - 1;
        for (position, element) in part.elements.into_iter().enumerate() {
            let unfinished = position == last && part.goes_on;
            match &mut open {
                Some(unit) => unit.extend_from_slice(&element),
                None if unfinished => open = Some(element.to_vec()),
                None => {
                    if !element.is_empty() {
                        units.push(element);
                    }
                    continue;
                }
            }
            if !unfinished {
                units.extend(open.take().map(Bytes::from));
            }
        }
    }
    if open.is_some() {
        Err(Outcome::Malformed)
    } else {
        Ok(units)
    }
}
