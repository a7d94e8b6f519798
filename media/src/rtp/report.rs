//! Sender reports: the only link between a stream's timestamps and its sender's wall clock.

use crate::time::{ClockRate, NtpTime, WallTime};

const SENDER_REPORT: u8 = 200;

/// The sender's part of a sender report ([RFC 3550 §6.4.1](https://www.rfc-editor.org/rfc/rfc3550#section-6.4.1)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SenderReport {
    pub ssrc: u32,
    /// The sender's wall clock when it sent this; zero if it has none.
    pub ntp: NtpTime,
    /// The same instant on the stream's own clock.
    pub rtp_timestamp: u32,
    /// Sent so far, modulo 2³².
    pub packets: u32,
    /// Payload bytes sent so far, modulo 2³².
    pub octets: u32,
}

impl SenderReport {
    /// Reads one from an RTCP packet of its kind; `None` for any other, or a shorter one.
    pub fn parse(packet: &[u8]) -> Option<Self> {
        if packet.len() < 28 || packet[0] >> 6 != 2 || packet[1] != SENDER_REPORT {
            return None;
        }
        let word = |at: usize| u32::from_be_bytes([packet[at], packet[at + 1], packet[at + 2], packet[at + 3]]);
        Some(Self {
            ssrc: word(4),
            ntp: NtpTime(u64::from(word(8)) << 32 | u64::from(word(12))),
            rtp_timestamp: word(16),
            packets: word(20),
            octets: word(24),
        })
    }
}

/// The sender reports in a compound RTCP packet, in order. Walks by length and looks into nothing else, so what it does
/// not know cannot stop it; a length that leads outside ends it.
pub fn sender_reports(compound: &[u8]) -> impl Iterator<Item = SenderReport> + '_ {
    let mut rest = compound;
    std::iter::from_fn(move || {
        let header = rest.first_chunk::<4>()?;
        let len = 4 * (usize::from(u16::from_be_bytes([header[2], header[3]])) + 1);
        let (packet, after) = rest.split_at_checked(len)?;
        rest = after;
        Some(packet)
    })
    .filter_map(SenderReport::parse)
}

/// What the sender's wall clock says of a timestamp, by its latest report: good enough to be kept beside a packet while it
/// is captured. [`Timeline`](crate::timeline::Timeline) does it with care, afterwards.
#[derive(Debug, Clone)]
pub struct SenderClock {
    rate: ClockRate,
    latest: Option<(u32, WallTime)>,
}

impl SenderClock {
    pub fn new(rate: ClockRate) -> Self {
        Self { rate, latest: None }
    }

    /// Takes note of a report of the stream. One without a wall clock changes nothing.
    pub fn report(&mut self, report: &SenderReport) {
        if let Some(wall) = report.ntp.to_wall() {
            self.latest = Some((report.rtp_timestamp, wall));
        }
    }

    /// `None` before the first report. Within half a cycle of timestamps around it (6 hours of Opus).
    pub fn wall(&self, timestamp: u32) -> Option<WallTime> {
        let (reported, wall) = self.latest?;
        let ahead = timestamp.wrapping_sub(reported).cast_signed();
        let nanos = self.rate.nanos(ahead.unsigned_abs().into());
        Some(WallTime::from_nanos(match ahead {
            0.. => wall.as_nanos().saturating_add(nanos),
            _ => wall.as_nanos().saturating_sub(nanos),
        }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn report(ssrc: u32) -> Vec<u8> {
        let mut bytes = vec![0x80, 200, 0, 6];
        for word in [ssrc, 0xEC00_0000, 0x8000_0000, 90_000, 7, 700] {
            bytes.extend(u32::to_be_bytes(word));
        }
        bytes
    }

    #[test]
    fn a_report_is_found_among_others() {
        // A receiver report, a sender report, an SDES with an item nobody knows, another sender report.
        let receiver_report = [0x80, 201, 0, 1, 0, 0, 0, 9];
        let sdes = [0x81, 202, 0, 3, 0, 0, 0, 1, 15, 3, b'm', b'i', b'd', 0, 0, 0];
        let compound = [&receiver_report[..], &report(1), &sdes, &report(2)].concat();
        let found: Vec<_> = sender_reports(&compound).collect();
        assert_eq!(found.iter().map(|report| report.ssrc).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(found[0].ntp, NtpTime(0xEC00_0000_8000_0000));
        assert_eq!(
            (found[0].rtp_timestamp, found[0].packets, found[0].octets),
            (90_000, 7, 700)
        );
    }

    #[test]
    fn a_cut_compound_gives_what_is_whole() {
        let compound = [report(1), report(2)].concat();
        for len in 0..compound.len() {
            assert_eq!(sender_reports(&compound[..len]).count(), len / 28);
        }
    }

    #[test]
    fn a_report_dates_the_timestamps_around_it() {
        let mut clock = SenderClock::new(ClockRate::OPUS);
        assert_eq!(clock.wall(0), None);
        let wall = WallTime::from_millis(1_760_000_000_000);
        let mut report = SenderReport::parse(&report(1)).unwrap();
        report.ntp = NtpTime::from_wall(wall);
        report.rtp_timestamp = u32::MAX;
        clock.report(&report);
        report.ntp = NtpTime(0);
        clock.report(&report);
        assert_eq!(
            clock.wall(47_999),
            Some(WallTime::from_millis(1_760_000_001_000)),
            "over the wrap"
        );
        assert_eq!(
            clock.wall(u32::MAX - 48_000),
            Some(WallTime::from_millis(1_759_999_999_000))
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_walked(bytes in vec(any::<u8>(), 0..100)) {
            let _ = sender_reports(&bytes).count();
        }
    }
}
