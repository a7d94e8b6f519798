//! What the tester itself cost, for each track that was received.

use serde::{Deserialize, Serialize};

use super::LoadReport;
use crate::load::measure::Tick;

/// Means over the seconds in which the load stood: at least nine tenths of the most tracks were subscribed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    pub tracks: f64,
    /// Of one core, over all processes that played.
    pub cpu_percent: f64,
    pub rss_mebibytes: f64,
}

impl Cost {
    fn over(ticks: &[Tick]) -> Option<Self> {
        let most = ticks.iter().map(|tick| tick.tracks).max().filter(|most| *most > 0)?;
        let standing: Vec<&Tick> = ticks.iter().filter(|tick| tick.tracks * 10 >= most * 9).collect();
        let mean =
            |value: fn(&Tick) -> f64| standing.iter().map(|tick| value(tick)).sum::<f64>() / standing.len() as f64;
        Some(Self {
            tracks: mean(|tick| tick.tracks as f64),
            cpu_percent: mean(|tick| tick.tester.cpu_percent),
            rss_mebibytes: mean(|tick| tick.tester.rss_mebibytes),
        })
    }

    pub fn cpu_percent_per_track(&self) -> f64 {
        self.cpu_percent / self.tracks
    }

    pub fn rss_mebibytes_per_track(&self) -> f64 {
        self.rss_mebibytes / self.tracks
    }
}

impl LoadReport {
    /// `None` if nothing was ever subscribed.
    pub fn cost(&self) -> Option<Cost> {
        Cost::over(&self.ticks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::measure::TesterHealth;

    #[test]
    fn only_seconds_at_full_load_count() {
        let tick = |tracks, cpu_percent| Tick {
            tracks,
            tester: TesterHealth {
                cpu_percent,
                rss_mebibytes: 32.0,
                ..TesterHealth::default()
            },
            ..Tick::default()
        };
        let ticks = [tick(0, 300.0), tick(64, 12.0), tick(64, 20.0), tick(10, 90.0)];
        let cost = Cost::over(&ticks).expect("tracks");
        assert!((cost.cpu_percent_per_track() - 0.25).abs() < 1e-9);
        assert!((cost.rss_mebibytes_per_track() - 0.5).abs() < 1e-9);
        assert_eq!(Cost::over(&ticks[..1]), None);
    }
}
