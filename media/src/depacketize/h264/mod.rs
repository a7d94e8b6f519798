//! H.264 ([RFC 6184](https://www.rfc-editor.org/rfc/rfc6184)): single NAL units, STAP-A and FU-A, which is all that
//! WebRTC sends (packetization modes 0 and 1).

mod sps;

use bytes::Bytes;

use super::assembler::{Assembled, Outcome, VideoFormat};
use crate::{bits::BitReader, codec::Dims};

const START_CODE: [u8; 4] = [0, 0, 0, 1];

/// NAL unit types (ITU-T H.264 table 7-1, RFC 6184 table 1).
mod nal {
    pub(super) const SLICE: u8 = 1;
    pub(super) const IDR: u8 = 5;
    pub(super) const SPS: u8 = 7;
    pub(super) const PPS: u8 = 8;
    pub(super) const DELIMITER: u8 = 9;
    pub(super) const FILLER: u8 = 12;
    pub(super) const STAP_A: u8 = 24;
    pub(super) const FU_A: u8 = 28;
}

fn nal_type(first: u8) -> u8 {
    first & 0x1F
}

/// What one packet holds.
pub(super) enum Part {
    /// Whole NAL units.
    Whole(Vec<Bytes>),
    /// A piece of one: the header it is to have, and where in it the piece stands.
    Fragment {
        header: u8,
        start: bool,
        end: bool,
        data: Bytes,
    },
}

#[derive(Default)]
pub(super) struct H264 {
    sps: Option<Bytes>,
    pps: Option<Bytes>,
    /// An IDR picture came, and nothing is missing since.
    whole: bool,
}

impl VideoFormat for H264 {
    type Part = Part;

    fn part(&mut self, payload: &Bytes) -> Option<Part> {
        let first = *payload.first()?;
        match nal_type(first) {
            1..=23 => Some(Part::Whole(vec![payload.clone()])),
            nal::STAP_A => split_aggregate(payload).map(Part::Whole),
            nal::FU_A => {
                let second = *payload.get(1)?;
                Some(Part::Fragment {
                    header: first & 0xE0 | second & 0x1F,
                    start: second & 0x80 != 0,
                    end: second & 0x40 != 0,
                    data: payload.slice(2..),
                })
            }
            _ => None,
        }
    }

    fn assemble(&mut self, parts: Vec<Part>, head_sure: bool) -> Outcome {
        let units = match nal_units(parts) {
            Ok(units) => units,
            Err(outcome) => return outcome,
        };
        let mut picture = Picture::default();
        for unit in units {
            match nal_type(unit[0]) {
                nal::SPS => {
                    self.sps = Some(unit.clone());
                    picture.has_sps = true;
                }
                nal::PPS => {
                    self.pps = Some(unit.clone());
                    picture.has_pps = true;
                }
                nal::DELIMITER | nal::FILLER => continue,
                kind @ nal::SLICE..=nal::IDR => {
                    picture.idr |= kind == nal::IDR;
                    picture.first_slice.get_or_insert_with(|| unit.clone());
                }
                _ => {}
            }
            picture.units.push(unit);
        }
        self.finish_picture(picture, head_sure)
    }

    fn lost(&mut self) {
        self.whole = false;
    }
}

/// The NAL units of one access unit, as they are collected.
#[derive(Default)]
struct Picture {
    units: Vec<Bytes>,
    first_slice: Option<Bytes>,
    idr: bool,
    has_sps: bool,
    has_pps: bool,
}

impl H264 {
    fn finish_picture(&mut self, picture: Picture, head_sure: bool) -> Outcome {
        let Some(first_slice) = picture.first_slice else {
            return Outcome::Nothing;
        };
        if !head_sure && first_macroblock(&first_slice) != Some(0) {
            return Outcome::Incomplete;
        }
        if !picture.idr {
            return if self.whole {
                frame(&picture.units, false, None)
            } else {
                Outcome::Undecodable
            };
        }
        let (Some(sps), Some(pps)) = (&self.sps, &self.pps) else {
            return Outcome::Undecodable;
        };
        let Some(dims) = sps::dims(sps) else {
            return Outcome::Malformed;
        };
        // Parameter sets may come once, long before: with each key frame, it can be started from.
        let mut units = Vec::with_capacity(picture.units.len() + 2);
        if !picture.has_sps {
            units.push(sps.clone());
        }
        if !picture.has_pps {
            units.push(pps.clone());
        }
        units.extend(picture.units);
        self.whole = true;
        frame(&units, true, Some(dims))
    }
}

fn frame(units: &[Bytes], keyframe: bool, dims: Option<Dims>) -> Outcome {
    let mut data = Vec::with_capacity(units.iter().map(|unit| START_CODE.len() + unit.len()).sum());
    for unit in units {
        data.extend_from_slice(&START_CODE);
        data.extend_from_slice(unit);
    }
    Outcome::Frame(Assembled {
        data: data.into(),
        keyframe,
        dims,
    })
}

/// The units of a STAP-A, each behind 16 bits of length (RFC 6184 §5.7.1).
fn split_aggregate(payload: &Bytes) -> Option<Vec<Bytes>> {
    let mut units = Vec::new();
    let mut rest = &payload[1..];
    while !rest.is_empty() {
        let (len, after) = rest.split_first_chunk::<2>()?;
        let (unit, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
        if !unit.is_empty() {
            units.push(payload.slice_ref(unit));
        }
        rest = after;
    }
    Some(units)
}

/// Puts fragments together. None of the units is empty.
fn nal_units(parts: Vec<Part>) -> Result<Vec<Bytes>, Outcome> {
    let mut units = Vec::new();
    let mut open: Option<Vec<u8>> = None;
    for part in parts {
        match (part, &mut open) {
            (Part::Whole(whole), None) => units.extend(whole),
            (
                Part::Fragment {
                    header,
                    start: true,
                    end,
                    data,
                },
                None,
            ) => {
                let mut unit = vec![header];
                unit.extend_from_slice(&data);
                if end {
                    units.push(unit.into());
                } else {
                    open = Some(unit);
                }
            }
            (
                Part::Fragment {
                    start: false,
                    end,
                    data,
                    ..
                },
                Some(unit),
            ) => {
                unit.extend_from_slice(&data);
                if end {
                    units.extend(open.take().map(Bytes::from));
                }
            }
            // It continues what is not there.
            (Part::Fragment { start: false, .. }, None) if units.is_empty() => return Err(Outcome::Incomplete),
            _ => return Err(Outcome::Malformed),
        }
    }
    if open.is_some() {
        Err(Outcome::Malformed)
    } else {
        Ok(units)
    }
}

/// Whether a packet holds what a key frame begins with: a sequence parameter set, or the first piece of an IDR slice that
/// begins a picture.
pub(super) fn begins_keyframe(payload: &[u8]) -> bool {
    let begins = |unit: &[u8]| match unit.first().map(|first| nal_type(*first)) {
        Some(nal::SPS) => true,
        Some(nal::IDR) => first_macroblock(unit) == Some(0),
        _ => false,
    };
    match payload.first().map(|first| nal_type(*first)) {
        Some(nal::STAP_A) => {
            split_aggregate(&Bytes::copy_from_slice(payload)).is_some_and(|units| units.iter().any(|unit| begins(unit)))
        }
        Some(nal::FU_A) => payload.get(1).is_some_and(|second| {
            let start = second & 0x80 != 0;
            // The fragment's own header stands where the unit's would.
            start && nal_type(*second) == nal::IDR && first_macroblock(&payload[1..]) == Some(0)
        }),
        _ => begins(payload),
    }
}

/// The size in the sequence parameter set that a packet has, alone or beside other units.
pub(super) fn announced_dims(payload: &[u8]) -> Option<Dims> {
    match nal_type(*payload.first()?) {
        nal::SPS => sps::dims(payload),
        nal::STAP_A => {
            let units = split_aggregate(&Bytes::copy_from_slice(payload))?;
            units
                .iter()
                .find(|unit| nal_type(unit[0]) == nal::SPS)
                .and_then(|unit| sps::dims(unit))
        }
        _ => None,
    }
}

/// `first_mb_in_slice`: 0 in the first slice of a picture.
fn first_macroblock(slice: &[u8]) -> Option<u32> {
    BitReader::new(slice.get(1..)?).exp_golomb()
}
