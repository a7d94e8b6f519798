//! What is said of other machines that played.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::load::measure::{Measured, TesterHealth};

/// One machine that played some of the rooms.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MachineReport {
    pub name: String,
    /// How far its clock was before ours at the start; the common start is as exact as this is known.
    pub clock_offset_ms: f64,
    pub clock_error_ms: f64,
    /// At its worst.
    pub tester: TesterHealth,
    /// Packets, of all who played there.
    pub sent: u64,
    pub received: u64,
    pub expected: u64,
    /// Why it did not play to the end; then the three counts above are not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

impl MachineReport {
    pub(in crate::load) fn new(name: String, offset_micros: i64, error: Duration) -> Self {
        Self {
            name,
            clock_offset_ms: offset_micros as f64 / 1e3,
            clock_error_ms: error.as_secs_f64() * 1e3,
            ..Self::default()
        }
    }

    pub(in crate::load) fn saw(&mut self, tester: &TesterHealth) {
        let worst = &mut self.tester;
        worst.cpu_percent = worst.cpu_percent.max(tester.cpu_percent);
        worst.rss_mebibytes = worst.rss_mebibytes.max(tester.rss_mebibytes);
        worst.socket_drops += tester.socket_drops;
        worst.send_lag_ms = worst.send_lag_ms.max(tester.send_lag_ms);
        worst.loop_lag_ms = worst.loop_lag_ms.max(tester.loop_lag_ms);
        worst.machine_percent = worst.machine_percent.max(tester.machine_percent);
    }

    pub(in crate::load) fn measured(&mut self, measured: &Measured) {
        let packets = measured.received().packets();
        (self.received, self.expected) = (packets.received, packets.expected);
        self.sent = measured.sent.packets;
    }

    /// In one line.
    pub fn sentence(&self) -> String {
        let tester = &self.tester;
        let mut sentence = format!(
            "{}: {} packets sent, {} of {} received; clock {:+.1} ms ± {:.1} ms; at most {:.0} % CPU, {:.0} MiB, {:.0} ms late",
            self.name,
            self.sent,
            self.received,
            self.expected,
            self.clock_offset_ms,
            self.clock_error_ms,
            tester.cpu_percent,
            tester.rss_mebibytes,
            tester.send_lag_ms.max(tester.loop_lag_ms)
        );
        if let Some(failure) = &self.failure {
            sentence.push_str("; it did not play to the end: ");
            sentence.push_str(failure);
        }
        sentence
    }
}
