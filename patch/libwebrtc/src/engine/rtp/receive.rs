//! Reception of one RTP stream: order, repair, reports. No sockets, no clock.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rtc::rtcp::reception_report::ReceptionReport;

use super::repair::Repair;
use crate::engine::remote::RemoteTrack;
use crate::raw::{InboundCounters, SenderReport};

/// More than this at once is a jump (a new source behind the same SSRC, an outage), not loss that repair could mend.
const MAX_GAP: u64 = 512;
/// How far back a packet can be told from its copy, in packets.
const WINDOW: u64 = 2048;
/// Extended sequence numbers start here, so that packets older than the first one still have one.
const FIRST_CYCLE: u64 = 1 << 16;

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Deliver,
    Duplicate,
}

struct LastReport {
    /// Middle 32 bits of the NTP timestamp (RFC 3550 §6.4.1, LSR).
    lsr: u32,
    arrival: Instant,
}

/// The sequence-number side of one stream.
struct Order {
    first: u64,
    highest: u64,
    /// One bit per sequence number of the last [`WINDOW`].
    seen: Vec<u64>,
}

impl Order {
    fn new(sequence: u16) -> Self {
        let first = FIRST_CYCLE + u64::from(sequence);
        Self {
            first,
            highest: first,
            seen: vec![0; (WINDOW / 64) as usize],
        }
    }

    fn extend(&self, sequence: u16) -> u64 {
        let delta = sequence.wrapping_sub(self.highest as u16).cast_signed();
        self.highest.saturating_add_signed(i64::from(delta))
    }

    fn bit(sequence: u64) -> (usize, u64) {
        let slot = sequence % WINDOW;
        ((slot / 64) as usize, 1 << (slot % 64))
    }

    fn is_seen(&self, sequence: u64) -> bool {
        let (word, bit) = Self::bit(sequence);
        self.seen[word] & bit != 0
    }

    fn mark(&mut self, sequence: u64) {
        let (word, bit) = Self::bit(sequence);
        self.seen[word] |= bit;
    }

    fn advance_to(&mut self, sequence: u64) {
        if sequence - self.highest >= WINDOW {
            self.seen.fill(0);
        } else {
            for passed in self.highest + 1..=sequence {
                let (word, bit) = Self::bit(passed);
                self.seen[word] &= !bit;
            }
        }
        self.highest = sequence;
    }
}

/// One received stream of a track.
pub(crate) struct InboundStream {
    pub track: Arc<RemoteTrack>,
    ssrc: u32,
    clock_rate: u32,
    nack: bool,
    order: Option<Order>,
    repair: Repair,
    counters: InboundCounters,
    jitter_ticks: f64,
    last_transit: Option<(u32, Instant)>,
    last_report: Option<LastReport>,
    /// Expected and received at the previous report, for the fraction lost.
    previous: (u64, u64),
    heard_since_report: bool,
    pli_at: Option<Instant>,
}

impl InboundStream {
    pub fn new(track: Arc<RemoteTrack>, ssrc: u32, clock_rate: u32, nack: bool) -> Self {
        Self {
            track,
            ssrc,
            clock_rate,
            nack,
            order: None,
            repair: Repair::default(),
            counters: InboundCounters {
                ssrc,
                ..InboundCounters::default()
            },
            jitter_ticks: 0.0,
            last_transit: None,
            last_report: None,
            previous: (0, 0),
            heard_since_report: false,
            pli_at: None,
        }
    }

    /// The codec can become known (or change) with a later description.
    pub fn renegotiated(&mut self, clock_rate: u32, nack: bool) {
        self.clock_rate = clock_rate;
        self.nack = nack;
    }

    /// Accounts for a packet that arrived at `now`. `payload_len` in bytes, padding excluded.
    pub fn receive(
        &mut self,
        now: Instant,
        sequence: u16,
        timestamp: u32,
        payload_len: usize,
        repaired: bool,
    ) -> Verdict {
        let order = self.order.get_or_insert_with(|| Order::new(sequence));
        let extended = order.extend(sequence);
        if extended > order.highest {
            let gap = extended - order.highest - 1;
            if gap > MAX_GAP {
                self.repair.give_up(&mut self.counters, |_| true);
                // Not loss: the stream goes on from here.
                order.first += gap;
            } else if self.nack {
                self.repair.missing(now, order.highest + 1..extended);
            }
            order.advance_to(extended);
        } else if extended + WINDOW <= order.highest || order.is_seen(extended) {
            self.counters.duplicates += 1;
            return Verdict::Duplicate;
        } else {
            self.repair.found(now, extended, &mut self.counters);
            // Older than what came first: the stream began earlier than it seemed.
            order.first = order.first.min(extended);
        }
        order.mark(extended);
        self.counters.packets += 1;
        self.counters.bytes += payload_len as u64;
        self.heard_since_report = true;
        if repaired {
            self.counters.repaired += 1;
        } else {
            self.update_jitter(now, timestamp);
        }
        Verdict::Deliver
    }

    /// RFC 3550 §A.8, with the difference of transit times taken between consecutive packets.
    fn update_jitter(&mut self, now: Instant, timestamp: u32) {
        if let Some((last_timestamp, last_arrival)) = self.last_transit {
            let between = now.saturating_duration_since(last_arrival).as_secs_f64() * f64::from(self.clock_rate);
            let media = f64::from(timestamp.wrapping_sub(last_timestamp).cast_signed());
            // A jump of more than ten seconds is a new timeline, not jitter.
            let difference = (between - media).abs();
            if difference < 10.0 * f64::from(self.clock_rate) {
                self.jitter_ticks += (difference - self.jitter_ticks) / 16.0;
            }
        }
        self.last_transit = Some((timestamp, now));
    }

    pub fn sender_report(&mut self, report: &SenderReport) {
        self.last_report = Some(LastReport {
            lsr: (report.ntp_time >> 16) as u32,
            arrival: report.arrival,
        });
    }

    /// When [`Self::requests`] has something to say next.
    pub fn next_request(&self) -> Option<Instant> {
        self.repair.next_request()
    }

    /// Sequence numbers to ask for now. What has been asked for often enough is given up.
    pub fn requests(&mut self, now: Instant) -> Vec<u16> {
        self.repair.requests(now, &mut self.counters)
    }

    /// The report block of RFC 3550 §6.4.1, if anything was heard since the last one.
    pub fn report(&mut self, now: Instant) -> Option<ReceptionReport> {
        if !std::mem::take(&mut self.heard_since_report) {
            return None;
        }
        let order = self.order.as_ref()?;
        let expected = order.highest - order.first + 1;
        let received = self.counters.packets;
        let (expected_before, received_before) = std::mem::replace(&mut self.previous, (expected, received));
        let expected_now = expected.saturating_sub(expected_before);
        let lost_now = expected_now.saturating_sub(received.saturating_sub(received_before));
        let fraction = (lost_now * 256).checked_div(expected_now).unwrap_or(0).min(255);
        let (lsr, delay) = self.last_report.as_ref().map_or((0, 0), |last| {
            (
                last.lsr,
                (now.saturating_duration_since(last.arrival).as_secs_f64() * 65536.0) as u32,
            )
        });
        Some(ReceptionReport {
            ssrc: self.ssrc,
            fraction_lost: fraction as u8,
            total_lost: expected.saturating_sub(received).min(0x7f_ffff) as u32,
            last_sequence_number: (order.highest - FIRST_CYCLE) as u32,
            jitter: self.jitter_ticks as u32,
            last_sender_report: lsr,
            delay,
        })
    }

    /// Whether a key-frame request may be sent now: at most one in 200 ms.
    pub fn take_pli(&mut self, now: Instant) -> bool {
        let due = self
            .pli_at
            .is_none_or(|at| now.saturating_duration_since(at) >= Duration::from_millis(200));
        if due {
            self.pli_at = Some(now);
            self.counters.plis += 1;
        }
        due
    }

    pub fn counters(&self) -> InboundCounters {
        let expected = self.order.as_ref().map_or(0, |o| o.highest - o.first + 1);
        InboundCounters {
            lost: expected.cast_signed() - self.counters.packets.cast_signed(),
            jitter: self.jitter_ticks / f64::from(self.clock_rate.max(1)),
            ..self.counters
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::repair::MAX_TRIES;
    use super::*;
    use proptest::prelude::*;

    fn stream() -> InboundStream {
        InboundStream::new(RemoteTrack::detached("TR_a", true), 1, 90_000, true)
    }

    fn at(start: Instant, ms: u64) -> Instant {
        start + Duration::from_millis(ms)
    }

    /// Time enters a test once, as an opaque origin.
    #[expect(
        clippy::disallowed_methods,
        reason = "an origin for instants; its value does not matter"
    )]
    fn origin() -> Instant {
        Instant::now()
    }

    #[test]
    fn copies_are_dropped_and_late_packets_are_not() {
        let (mut s, t) = (stream(), origin());
        for (sequence, verdict) in [
            (10, Verdict::Deliver),
            (10, Verdict::Duplicate),
            (12, Verdict::Deliver),
            (11, Verdict::Deliver),
            (11, Verdict::Duplicate),
            (9, Verdict::Deliver),
        ] {
            assert_eq!(s.receive(t, sequence, 0, 100, false), verdict, "{sequence}");
        }
        let counters = s.counters();
        assert_eq!((counters.packets, counters.duplicates, counters.lost), (4, 2, 0));
    }

    #[test]
    fn a_gap_is_asked_for_until_it_is_filled_and_not_more_often() {
        let (mut s, t) = (stream(), origin());
        s.receive(t, 65534, 0, 100, false);
        s.receive(t, 2, 0, 100, false);
        assert!(s.requests(at(t, 9)).is_empty(), "packets may only have changed places");
        assert_eq!(s.requests(at(t, 10)), [65535, 0, 1]);
        assert!(s.requests(at(t, 60)).is_empty());
        assert_eq!(s.receive(at(t, 70), 0, 0, 100, true), Verdict::Deliver);
        assert_eq!(s.requests(at(t, 125)), [65535, 1]);
        let mut asked = 0;
        for ms in (130..5_000).step_by(10) {
            asked += s.requests(at(t, ms)).len();
        }
        assert_eq!(
            asked,
            2 * usize::from(MAX_TRIES - 2),
            "each of the two is asked for six times in all, then given up"
        );
        assert_eq!(s.counters().unrepaired, 2);
        assert_eq!(
            s.next_request(),
            None,
            "nothing is asked for after the stream has ended"
        );
    }

    #[test]
    fn what_two_requests_do_not_bring_is_overdue() {
        let (mut s, t) = (stream(), origin());
        s.receive(t, 0, 0, 100, false);
        s.receive(t, 2, 0, 100, false);
        for ms in [10, 120, 229] {
            s.requests(at(t, ms));
        }
        assert_eq!(s.counters().overdue, 0);
        s.requests(at(t, 230));
        assert_eq!((s.counters().overdue, s.counters().unrepaired), (1, 0));
        for ms in (240..5_000).step_by(10) {
            s.requests(at(t, ms));
        }
        let counters = s.counters();
        assert_eq!((counters.overdue, counters.unrepaired), (1, 1), "counted once");
        assert_eq!(counters.came_overdue, 0);
    }

    #[test]
    fn a_far_server_has_longer_to_answer() {
        let (mut s, t) = (stream(), origin());
        let mut now = 0;
        // Each packet of odd number is lost, asked for, and comes 300 ms later.
        for sequence in (0..40).step_by(2) {
            s.receive(at(t, now), sequence, 0, 100, false);
            for _ in 0..30 {
                now += 10;
                s.requests(at(t, now));
            }
            if sequence > 0 {
                s.receive(at(t, now), sequence - 1, 0, 100, true);
            }
        }
        // What is not known yet is learnt by the first.
        let counters = s.counters();
        assert_eq!((counters.overdue, counters.came_overdue, counters.lost), (1, 1, 0));
    }

    #[test]
    fn a_jump_is_a_new_beginning() {
        let (mut s, t) = (stream(), origin());
        s.receive(t, 0, 0, 100, false);
        s.receive(t, 5_000, 0, 100, false);
        assert!(s.requests(at(t, 1_000)).is_empty());
        assert_eq!(s.counters().lost, 0);
    }

    #[test]
    fn reports_name_only_streams_that_were_heard() {
        let (mut s, t) = (stream(), origin());
        assert!(s.report(t).is_none());
        for sequence in (0..100).filter(|s| s % 4 != 1) {
            s.receive(t, sequence, 0, 100, false);
        }
        s.sender_report(&SenderReport {
            arrival: t,
            ssrc: 1,
            ntp_time: 0x1111_2222_3333_4444,
            rtp_time: 0,
            packet_count: 0,
            octet_count: 0,
        });
        let report = s.report(at(t, 500)).expect("packets were heard");
        assert_eq!(
            (report.fraction_lost, report.total_lost, report.last_sequence_number),
            (64, 25, 99)
        );
        assert_eq!((report.last_sender_report, report.delay), (0x2222_3333, 32_768));
        assert!(
            s.report(at(t, 1_000)).is_none(),
            "a silent stream is not reported: reports do not grow with dead tracks"
        );
    }

    #[test]
    fn jitter_is_that_of_rfc_3550() {
        let (mut s, t) = (stream(), origin());
        // Every packet 10 ms late or early by turns: |D| is 10 ms each time, so the estimate approaches 10 ms.
        for n in 0..1_000u32 {
            let late = if n % 2 == 0 { 0 } else { 10 };
            s.receive(at(t, u64::from(n) * 20 + late), n as u16, n * 1_800, 100, false);
        }
        assert!((s.counters().jitter - 0.010).abs() < 0.000_5, "{}", s.counters().jitter);
    }

    proptest! {
        /// Whatever the order and the copies: each sequence number is delivered once, and what came is what is counted.
        #[test]
        fn each_packet_is_delivered_once(order in proptest::collection::vec(0u16..400, 1..800), start in any::<u16>()) {
            let (mut s, t) = (stream(), origin());
            let mut delivered = std::collections::HashSet::new();
            for sequence in order {
                match s.receive(t, start.wrapping_add(sequence), 0, 10, false) {
                    Verdict::Deliver => prop_assert!(delivered.insert(sequence)),
                    Verdict::Duplicate => prop_assert!(delivered.contains(&sequence)),
                }
            }
            prop_assert_eq!(s.counters().packets, delivered.len() as u64);
        }
    }
}
