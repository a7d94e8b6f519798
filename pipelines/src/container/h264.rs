//! H.264 as files want it: units with their lengths before them, parameter sets in a record of their own
//! (ISO/IEC 14496-15 §5).

use bytes::Bytes;

const SPS: u8 = 7;
const PPS: u8 = 8;
const ACCESS_UNIT_DELIMITER: u8 = 9;

/// What a decoder must know before the first slice.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ParameterSets {
    pub sps: Vec<Bytes>,
    pub pps: Vec<Bytes>,
}

impl ParameterSets {
    /// Those in one access unit, in Annex B form; `None` if it lacks either kind.
    pub fn of(access_unit: &Bytes) -> Option<Self> {
        let mut sets = Self::default();
        for unit in units(access_unit) {
            let list = match kind(&unit) {
                Some(SPS) if unit.len() >= 4 => &mut sets.sps,
                Some(PPS) => &mut sets.pps,
                _ => continue,
            };
            if !list.contains(&unit) {
                list.push(unit);
            }
        }
        (!sets.sps.is_empty() && !sets.pps.is_empty()).then_some(sets)
    }

    /// Profile, compatibility and level, as the first sequence parameter set has them.
    pub fn profile(&self) -> [u8; 3] {
        self.sps
            .first()
            .and_then(|sps| Some([*sps.get(1)?, *sps.get(2)?, *sps.get(3)?]))
            .unwrap_or_default()
    }

    /// An `AVCDecoderConfigurationRecord` with lengths of four bytes, for containers that take it as it is.
    pub fn record(&self) -> Vec<u8> {
        let [profile, compatibility, level] = self.profile();
        // A count has five bits for sequence parameter sets, of which three are ones, and eight for the others.
        let few = |sets: &[Bytes], most: usize| sets.iter().take(most).cloned().collect::<Vec<_>>();
        let (sps, pps) = (few(&self.sps, 31), few(&self.pps, 255));
        let mut record = vec![1, profile, compatibility, level, 0xFF];
        for (list, marker) in [(&sps, 0xE0), (&pps, 0)] {
            record.push(u8::try_from(list.len()).unwrap_or(u8::MAX) | marker);
            for set in list {
                record.extend(u16::try_from(set.len()).unwrap_or(u16::MAX).to_be_bytes());
                record.extend_from_slice(set);
            }
        }
        record
    }
}

/// Replaces start codes by lengths of four bytes. Parameter sets stay where they are: a player that does not follow changes
/// of the track's description finds them here.
pub(super) fn with_lengths(access_unit: &Bytes) -> Bytes {
    let mut out = Vec::with_capacity(access_unit.len() + 16);
    for unit in units(access_unit).filter(|unit| kind(unit) != Some(ACCESS_UNIT_DELIMITER)) {
        out.extend(u32::try_from(unit.len()).unwrap_or(u32::MAX).to_be_bytes());
        out.extend_from_slice(&unit);
    }
    out.into()
}

fn kind(unit: &[u8]) -> Option<u8> {
    unit.first().map(|header| header & 0x1F)
}

/// The units between start codes of three or four bytes, without zeros at their end.
fn units(access_unit: &Bytes) -> impl Iterator<Item = Bytes> + '_ {
    let mut at = next_start(access_unit, 0).map(|start| start + 3);
    std::iter::from_fn(move || {
        let from = at?;
        let next = next_start(access_unit, from);
        at = next.map(|start| start + 3);
        let mut end = next.unwrap_or(access_unit.len());
        while end > from && access_unit[end - 1] == 0 {
            end -= 1;
        }
        Some(access_unit.slice(from..end))
    })
    .filter(|unit| !unit.is_empty())
}

/// Where the next `00 00 01` begins.
fn next_start(bytes: &[u8], from: usize) -> Option<usize> {
    // The third byte of a start code is 1, and most bytes are larger: look at every third.
    let mut at = from + 2;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            0 => at += 1,
            1 if bytes[at - 1] == 0 && bytes[at - 2] == 0 => return Some(at - 2),
            _ => at += 3,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    const UNIT: &[u8] = &[
        0, 0, 0, 1, 0x09, 0xF0, 0, 0, 0, 1, 0x67, 0x42, 0xC0, 0x1F, 9, 0, 0, 0, 1, 0x68, 7, 0, 0, 1, 0x65, 1, 2, 3,
    ];

    #[test]
    fn start_codes_become_lengths() {
        let unit = Bytes::from_static(UNIT);
        assert_eq!(
            with_lengths(&unit),
            [
                0, 0, 0, 5, 0x67, 0x42, 0xC0, 0x1F, 9, 0, 0, 0, 2, 0x68, 7, 0, 0, 0, 4, 0x65, 1, 2, 3
            ][..]
        );
    }

    #[test]
    fn parameter_sets_are_found() {
        let sets = ParameterSets::of(&Bytes::from_static(UNIT)).unwrap();
        assert_eq!(sets.profile(), [0x42, 0xC0, 0x1F]);
        assert_eq!(
            sets.record(),
            [
                1, 0x42, 0xC0, 0x1F, 0xFF, 0xE1, 0, 5, 0x67, 0x42, 0xC0, 0x1F, 9, 1, 0, 2, 0x68, 7
            ]
        );
        assert_eq!(ParameterSets::of(&Bytes::from_static(&[0, 0, 1, 0x41, 5])), None);
    }

    proptest! {
        /// Any units, none of which holds a start code or ends in zero, come back.
        #[test]
        fn units_come_back(input in vec(vec(1_u8.., 1..20), 0..6)) {
            let mut stream = Vec::new();
            for unit in &input {
                stream.extend([0, 0, 0, 1]);
                stream.extend(unit);
            }
            let found: Vec<_> = units(&stream.into()).map(|unit| unit.to_vec()).collect();
            prop_assert_eq!(found, input);
        }

        #[test]
        fn any_bytes_are_walked(bytes in vec(0_u8..4, 0..200)) {
            let _ = with_lengths(&bytes.into());
        }
    }
}
