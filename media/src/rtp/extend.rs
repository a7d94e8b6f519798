//! Wrap-around, solved once: 16-bit sequence numbers and 32-bit timestamps become 64-bit ones.

/// Extends RTP sequence numbers to 64 bits. Each is taken to be the one nearest to the newest so far, so packets may
/// come late or twice, within half a cycle (32,768 packets).
#[derive(Debug, Clone, Default)]
pub struct SequenceExtender {
    newest: Option<u64>,
}

impl SequenceExtender {
    /// Goes on where another left off: `newest` is an extended number near to those that come.
    pub fn resume(newest: u64) -> Self {
        Self { newest: Some(newest) }
    }

    /// Extended numbers begin one cycle up, so that packets before the first one have room below.
    pub fn extend(&mut self, sequence: u16) -> u64 {
        let extended = match self.newest {
            None => (1 << 16) | u64::from(sequence),
            Some(newest) => {
                #[expect(clippy::cast_possible_truncation, reason = "the low half is what was sent")]
                let ahead = sequence.wrapping_sub(newest as u16).cast_signed();
                newest.saturating_add_signed(i64::from(ahead))
            }
        };
        self.newest = self.newest.max(Some(extended));
        extended
    }
}

/// Extends RTP timestamps to 64 bits, likewise, but forwards whenever it can: a timestamp more than 2²² ticks
/// before the newest is taken as ahead of it. So a sender that starts its clock anew within a stream makes a jump ahead,
/// never one back, and the order of timestamps stays that of the packets.
#[derive(Debug, Clone, Default)]
pub struct TimestampExtender {
    newest: Option<u64>,
}

/// How far back a timestamp may be: 46 s of video, 87 s of Opus. No packet comes later than that.
const MAX_TICKS_BACK: u32 = 1 << 22;

impl TimestampExtender {
    /// Goes on where another left off: `newest` is an extended timestamp not far before those that come.
    pub fn resume(newest: u64) -> Self {
        Self { newest: Some(newest) }
    }

    pub fn extend(&mut self, timestamp: u32) -> u64 {
        let extended = self.peek(timestamp);
        self.newest = self.newest.max(Some(extended));
        extended
    }

    /// The same without taking note: for timestamps from elsewhere, as in a sender report.
    pub fn peek(&self, timestamp: u32) -> u64 {
        match self.newest {
            None => (1 << 32) | u64::from(timestamp),
            Some(newest) => {
                #[expect(clippy::cast_possible_truncation, reason = "the low half is what was sent")]
                let newest_sent = newest as u32;
                let back = newest_sent.wrapping_sub(timestamp);
                if back <= MAX_TICKS_BACK {
                    newest.saturating_sub(back.into())
                } else {
                    newest.saturating_add(timestamp.wrapping_sub(newest_sent).into())
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn extend_all(sequences: &[u16]) -> Vec<u64> {
        let mut extender = SequenceExtender::default();
        sequences
            .iter()
            .map(|sequence| extender.extend(*sequence) - (1 << 16))
            .collect()
    }

    #[test]
    fn sequence_numbers_wrap_upwards() {
        assert_eq!(extend_all(&[65534, 65535, 0, 1]), [65534, 65535, 65536, 65537]);
    }

    #[test]
    fn late_packets_belong_before_the_wrap() {
        assert_eq!(
            extend_all(&[65534, 0, 65535, 0, 2]),
            [65534, 65536, 65535, 65536, 65538]
        );
    }

    #[test]
    fn a_packet_before_the_first_one_has_room() {
        let mut extender = SequenceExtender::default();
        assert_eq!(extender.extend(0), 65536);
        assert_eq!(extender.extend(65535), 65535);
    }

    #[test]
    fn a_report_does_not_move_the_clock() {
        let mut extender = TimestampExtender::default();
        let first = extender.extend(u32::MAX - 10);
        assert_eq!(extender.peek(20), first + 31);
        assert_eq!(extender.peek(u32::MAX - 20), first - 10);
        assert_eq!(extender.extend(u32::MAX - 9), first + 1);
    }

    #[test]
    fn a_clock_set_back_jumps_ahead() {
        let mut extender = TimestampExtender::default();
        let first = extender.extend(3_000_000_000);
        let again = extender.extend(1000);
        assert_eq!(again - first, (1 << 32) - 3_000_000_000 + 1000);
        assert_eq!(extender.extend(4000), again + 3000);
    }

    proptest! {
        /// Any stream whose steps stay within half a cycle comes out as it was before it was cut to 16 bits.
        #[test]
        fn extension_undoes_truncation(first: u16, steps in vec(-1000_i64..32_000, 0..200)) {
            let mut extender = SequenceExtender::default();
            let mut newest = (1 << 16) | u64::from(first);
            prop_assert_eq!(extender.extend(first), newest);
            for step in steps {
                let sent = newest.saturating_add_signed(step);
                prop_assert_eq!(extender.extend(sent as u16), sent);
                newest = newest.max(sent);
            }
        }

        #[test]
        fn timestamps_likewise(first: u32, steps in vec(-4_000_000_i64..4_000_000_000, 0..200)) {
            let mut extender = TimestampExtender::default();
            let mut newest = (1 << 32) | u64::from(first);
            prop_assert_eq!(extender.extend(first), newest);
            for step in steps {
                let sent = newest.saturating_add_signed(step);
                prop_assert_eq!(extender.extend(sent as u32), sent);
                newest = newest.max(sent);
            }
        }

        #[test]
        fn extension_is_congruent_whatever_comes(sequences in vec(any::<u16>(), 0..300)) {
            let mut extender = SequenceExtender::default();
            for sequence in sequences {
                prop_assert_eq!(extender.extend(sequence) as u16, sequence);
            }
        }
    }
}
