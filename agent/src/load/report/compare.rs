//! What got worse between two tests, and whether that is more than chance.

use serde::{Deserialize, Serialize};

use super::LoadReport;
use crate::load::measure::{Packets, Pictures, Tick, Times};

/// Two results, side by side.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    pub changes: Vec<Change>,
    /// Differences between what was tested, which make the rest hard to read.
    pub warnings: Vec<String>,
}

/// One figure of both.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    pub name: String,
    pub unit: String,
    /// `None` if it was not measured.
    pub before: Option<f64>,
    pub after: Option<f64>,
    /// How likely a difference like this is if nothing had changed.
    pub p: f64,
    pub significance: Significance,
    /// Says how busy the machines were, not how good the meetings: it decides nothing.
    #[serde(default)]
    pub is_beside_the_point: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Significance {
    Same,
    Better,
    Worse,
    /// It was measured before, and now there is nothing to measure: counts as worse.
    Gone,
    /// It was not measured before.
    New,
}

/// With a dozen figures looked at, one in a hundred would be too often.
const ALPHA: f64 = 0.001;
/// A difference that is certain, and smaller than this share of the value, interests nobody.
const MATTERS: f64 = 0.05;

impl Comparison {
    pub fn got_worse(&self) -> bool {
        self.changes.iter().any(|change| {
            !change.is_beside_the_point && matches!(change.significance, Significance::Worse | Significance::Gone)
        })
    }
}

/// Compares by tests that assume no shape of the distributions (Mann–Whitney): of times that are measured once for each
/// participant, the times themselves; of what is measured for each packet, the medians of each second, because
/// neighbouring packets share their fate. Lost packets are compared second by second too, and shares that are measured
/// once in a test room by room, or by their counts (Fisher's exact test).
pub fn compare(before: &LoadReport, after: &LoadReport) -> Comparison {
    let mut changes = Vec::new();
    let mut by_value = |name: &str, pick: fn(&LoadReport) -> &Times| {
        let (one, two) = (values(pick(before)), values(pick(after)));
        let medians = (pick(before).quantile_ms(0.5), pick(after).quantile_ms(0.5));
        changes.extend(change(name, "ms", medians, || mann_whitney(&one, &two)));
    };
    by_value("join, median", |r| &r.times.join);
    by_value("first sound, median", |r| &r.times.first_audio);
    by_value("first picture, median", |r| &r.times.first_video);
    by_value("round trip, median", |r| &r.times.round_trip);
    let mut by_second = |name: &str, unit: &str, pick: fn(&Tick) -> Option<f64>| {
        let series = |report: &LoadReport| -> Vec<f64> { report.ticks.iter().filter_map(pick).collect() };
        let (one, two) = (series(before), series(after));
        changes.extend(change(name, unit, (mean(&one), mean(&two)), || {
            mann_whitney(&one, &two)
        }));
    };
    by_second("latency of sound, mean of the seconds' medians", "ms", |tick| {
        tick.audio_latency.quantile_ms(0.5)
    });
    by_second("latency of sound, mean of the seconds' 95 %", "ms", |tick| {
        tick.audio_latency.quantile_ms(0.95)
    });
    by_second("latency of pictures, mean of the seconds' medians", "ms", |tick| {
        tick.video_latency.quantile_ms(0.5)
    });
    by_second("latency of pictures, mean of the seconds' 95 %", "ms", |tick| {
        tick.video_latency.quantile_ms(0.95)
    });
    by_second("lost packets a second", "", |tick| Some(tick.lost as f64));
    by_second("freezes a second", "", |tick| Some(tick.freezes as f64));
    by_second("tester's CPU", "%", |tick| Some(tick.tester.cpu_percent));
    if let Some(cpu) = changes.last_mut() {
        cpu.is_beside_the_point = true;
    }
    let mut by_room = |name: &str, pick: fn(&Pictures) -> f64| {
        let shares = |report: &LoadReport| -> Vec<f64> {
            let rooms = report.rooms.values().map(|room| &room.pictures);
            let watched = rooms.filter(|pictures| pictures.watched > 0.0);
            watched
                .map(|pictures| pick(pictures) / pictures.watched * 100.0)
                .collect()
        };
        let (one, two) = (shares(before), shares(after));
        changes.extend(change(name, "%", (mean(&one), mean(&two)), || of_rooms(&one, &two)));
    };
    by_room("frozen, of the time watched", |pictures| pictures.frozen);
    by_room("in a smaller layer than asked for, of the time watched", |pictures| {
        pictures.layer_smaller
    });
    by_room("in a larger layer than asked for, of the time watched", |pictures| {
        pictures.layer_larger
    });
    let mut by_count = |name: &str, pick: fn(&LoadReport) -> (u64, u64)| {
        let share = |(part, whole): (u64, u64)| (whole > 0).then(|| part as f64 * 100.0 / whole as f64);
        let (one, two) = (pick(before), pick(after));
        changes.extend(change(name, "%", (share(one), share(two)), || fisher(one, two)));
    };
    by_count("failed joins", |r| (event(r, "joins_failed"), event(r, "joins_tried")));
    by_count("tracks of which nothing came", |r| {
        (r.received.missing(), r.received.tracks + r.received.not_subscribed)
    });
    Comparison {
        changes,
        warnings: warnings(before, after),
    }
}

fn event(report: &LoadReport, name: &str) -> u64 {
    report.events.get(name).copied().unwrap_or_default()
}

/// `None` if neither was measured.
fn change(
    name: &str,
    unit: &str,
    (before, after): (Option<f64>, Option<f64>),
    p: impl FnOnce() -> f64,
) -> Option<Change> {
    let (p, significance) = match (before, after) {
        (None, None) => return None,
        (Some(_), None) => (0.0, Significance::Gone),
        (None, Some(_)) => (0.0, Significance::New),
        (Some(before), Some(after)) => {
            let p = p();
            let matters = (after - before).abs() > MATTERS * before.abs().max(f64::EPSILON);
            let significance = if p >= ALPHA || !matters {
                Significance::Same
            } else if after > before {
                Significance::Worse
            } else {
                Significance::Better
            };
            (p, significance)
        }
    };
    Some(Change {
        name: name.to_owned(),
        unit: unit.to_owned(),
        before,
        after,
        p,
        significance,
        is_beside_the_point: false,
    })
}

/// Rooms are few, and each is a mean over many tracks and seconds: where there are too few for a test of ranks, a share
/// that is larger in every room of one than in any of the other, by a point, is taken for a difference.
fn of_rooms(one: &[f64], two: &[f64]) -> f64 {
    const A_POINT: f64 = 1.0;
    let p = mann_whitney(one, two);
    let range = |values: &[f64]| {
        let least = values.iter().copied().fold(f64::INFINITY, f64::min);
        (least, values.iter().copied().fold(f64::NEG_INFINITY, f64::max))
    };
    let ((least_one, most_one), (least_two, most_two)) = (range(one), range(two));
    if least_two > most_one + A_POINT || least_one > most_two + A_POINT {
        0.0
    } else {
        p
    }
}

/// The two-sided p value of Fisher's exact test: of so many, so many.
fn fisher((part_one, one): (u64, u64), (part_two, two): (u64, u64)) -> f64 {
    if one == 0 || two == 0 {
        return 1.0;
    }
    let parts = part_one + part_two;
    let chance =
        |first: u64| (ln_choose(one, first) + ln_choose(two, parts - first) - ln_choose(one + two, parts)).exp();
    let seen = chance(part_one);
    let possible = parts.saturating_sub(two)..=parts.min(one);
    let p: f64 = possible.map(chance).filter(|p| *p <= seen * (1.0 + 1e-7)).sum();
    p.min(1.0)
}

/// The logarithm of how many ways there are to choose `part` of `all`.
fn ln_choose(all: u64, part: u64) -> f64 {
    let part = part.min(all - part);
    (0..part).map(|n| ((all - n) as f64).ln() - ((n + 1) as f64).ln()).sum()
}

fn warnings(before: &LoadReport, after: &LoadReport) -> Vec<String> {
    let mut warnings = Vec::new();
    if before.scenario != after.scenario {
        warnings.push("the scenarios are not the same".to_owned());
    }
    for (which, report) in [("first", before), ("second", after)] {
        if !report.verdict.tester_behind.is_empty() {
            warnings.push(format!("in the {which} the tester was the bottleneck"));
        }
        if let Some(why) = &report.verdict.cut_short {
            warnings.push(format!("the {which} did not run to its end: {why}"));
        }
        if report.received.packets() == Packets::default() {
            warnings.push(format!("in the {which} nothing was received"));
        }
    }
    warnings
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Every recorded value in milliseconds, as fine as the histogram has them.
fn values(times: &Times) -> Vec<f64> {
    let recorded = times.0.iter_recorded();
    recorded
        .flat_map(|step| {
            let count = usize::try_from(step.count_at_value()).unwrap_or(0);
            std::iter::repeat_n(step.value_iterated_to() as f64 / 1e3, count)
        })
        .collect()
}

/// The two-sided p value of the Mann–Whitney U test, by its normal approximation with correction for ties and for
/// continuity. 1 where there is too little to tell.
fn mann_whitney(one: &[f64], two: &[f64]) -> f64 {
    const LEAST: usize = 5;
    if one.len() < LEAST || two.len() < LEAST {
        return 1.0;
    }
    let mut all: Vec<(f64, bool)> = one
        .iter()
        .map(|v| (*v, true))
        .chain(two.iter().map(|v| (*v, false)))
        .collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (n1, n2) = (one.len() as f64, two.len() as f64);
    let n = n1 + n2;
    let (mut rank_sum, mut ties, mut below) = (0.0, 0.0, 0usize);
    for same in all.chunk_by(|a, b| a.0.total_cmp(&b.0).is_eq()) {
        let count = same.len() as f64;
        let rank = below as f64 + f64::midpoint(count, 1.0);
        rank_sum += rank * same.iter().filter(|(_, first)| *first).count() as f64;
        ties += count * count * count - count;
        below += same.len();
    }
    let u = rank_sum - n1 * (n1 + 1.0) / 2.0;
    let variance = n1 * n2 / 12.0 * (n + 1.0 - ties / (n * (n - 1.0)));
    if variance <= 0.0 {
        return 1.0;
    }
    let z = ((u - n1 * n2 / 2.0).abs() - 0.5).max(0.0) / variance.sqrt();
    erfc(z / std::f64::consts::SQRT_2)
}

/// The complementary error function of what is not negative, to 1.2e-7 (Abramowitz and Stegun 7.1.26 refined, as in
/// Numerical Recipes' Chebyshev fit).
fn erfc(x: f64) -> f64 {
    const FIT: [f64; 10] = [
        -1.265_512_23,
        1.000_023_68,
        0.374_091_96,
        0.096_784_18,
        -0.186_288_06,
        0.278_868_07,
        -1.135_203_98,
        1.488_515_87,
        -0.822_152_23,
        0.170_872_77,
    ];
    let t = 1.0 / (1.0 + 0.5 * x);
    let fit = FIT.iter().rev().fold(0.0, |sum, term| sum * t + term);
    t * (fit - x * x).exp()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::tests::report;
    use super::*;

    #[test]
    fn the_same_twice_is_the_same() {
        let one = report(Duration::from_millis(5), 0);
        let comparison = compare(&one, &one);
        assert!(
            comparison.changes.iter().all(|c| c.significance == Significance::Same),
            "{comparison:?}"
        );
        assert!(comparison.warnings.is_empty());
    }

    #[test]
    fn slower_is_worse_one_way_and_better_the_other() {
        let (fast, slow) = (report(Duration::from_millis(5), 0), report(Duration::from_millis(9), 0));
        let worse = compare(&fast, &slow);
        let latency = |c: &Comparison| {
            c.changes
                .iter()
                .find(|c| c.name.starts_with("latency of sound"))
                .cloned()
                .unwrap()
        };
        assert_eq!(latency(&worse).significance, Significance::Worse);
        assert!(worse.got_worse());
        assert_eq!(latency(&compare(&slow, &fast)).significance, Significance::Better);
    }

    #[test]
    fn a_certain_difference_that_is_tiny_is_none() {
        let (one, two) = (
            report(Duration::from_millis(20), 0),
            report(Duration::from_micros(20_300), 0),
        );
        assert!(!compare(&one, &two).got_worse());
    }

    #[test]
    fn what_is_not_measured_any_more_is_told_and_counts_as_worse() {
        let before = report(Duration::from_millis(5), 0);
        let mut after = before.clone();
        after.times.first_video = Times::default();
        let gone = compare(&before, &after);
        let change = |c: &Comparison| c.changes.iter().find(|c| c.name.starts_with("first picture")).cloned();
        let told = change(&gone).expect("told");
        assert_eq!((told.after, told.significance), (None, Significance::Gone));
        assert!(gone.got_worse());
        let new = compare(&after, &before);
        assert_eq!(change(&new).expect("told").significance, Significance::New);
        assert!(!new.got_worse());
    }

    #[test]
    fn a_busier_tester_is_told_and_decides_nothing() {
        let before = report(Duration::from_millis(5), 0);
        let mut after = before.clone();
        for (n, tick) in after.ticks.iter_mut().enumerate() {
            tick.tester.cpu_percent = 90.0 + n as f64;
        }
        let comparison = compare(&before, &after);
        let cpu = comparison
            .changes
            .iter()
            .find(|c| c.name == "tester's CPU")
            .expect("told");
        assert_eq!(cpu.significance, Significance::Worse);
        assert!(!comparison.got_worse());
    }

    #[test]
    fn frozen_pictures_failed_joins_and_layers_are_compared() {
        let with = |frozen: f64, smaller: f64, failed: u64| {
            let mut report = report(Duration::from_millis(5), 0);
            let room = report.rooms.values().next().expect("a room").clone();
            for n in 0..5 {
                let mut room = room.clone();
                room.pictures.frozen = frozen + f64::from(n) * 0.1;
                room.pictures.layer_smaller = smaller;
                report.rooms.insert(n, room);
            }
            report.events.insert("joins_tried".into(), 100);
            report.events.insert("joins_failed".into(), failed);
            report
        };
        let worse = |before: &LoadReport, after: &LoadReport| -> Vec<String> {
            let changes = compare(before, after).changes;
            let worse = changes.into_iter().filter(|c| c.significance == Significance::Worse);
            worse.map(|c| c.name).collect()
        };
        let good = with(0.0, 0.0, 0);
        assert_eq!(
            worse(&good, &with(0.0, 0.0, 1)),
            Vec::<String>::new(),
            "one of a hundred is chance"
        );
        assert_eq!(worse(&good, &with(0.0, 0.0, 20)), ["failed joins"]);
        assert_eq!(worse(&good, &with(9.0, 0.0, 0)), ["frozen, of the time watched"]);
        assert_eq!(
            worse(&good, &with(0.0, 50.0, 0)),
            ["in a smaller layer than asked for, of the time watched"]
        );
    }

    /// Fisher's tea: 3 of 4 and 1 of 4 have p = 0.4857.
    #[test]
    fn exact_p_values_are_those_of_the_books() {
        assert!((fisher((3, 4), (1, 4)) - 0.485_714).abs() < 1e-5);
        assert!((fisher((0, 10), (0, 10)) - 1.0).abs() < 1e-9);
        assert!((fisher((1, 10), (11, 14)) - 0.002_759).abs() < 1e-5);
    }

    /// U is 7 of 7 and 7 values: z = (24.5 - 7 - 0.5) / 7.826, and p of both sides is 0.0298.
    #[test]
    fn p_values_are_those_of_the_tables() {
        let one = [1.0, 2.0, 3.0, 5.0, 7.0, 8.0, 9.0];
        let two = [4.0, 6.0, 10.0, 11.0, 12.0, 13.0, 14.0];
        let p = mann_whitney(&one, &two);
        assert!((p - 0.0298).abs() < 0.0002, "{p}");
        assert!((mann_whitney(&one, &one) - 1.0).abs() < 1e-3);
        assert!((erfc(1.0) - 0.157_299_2).abs() < 1e-6);
        assert!(
            (mann_whitney(&[1.0; 4], &[9.0; 4]) - 1.0).abs() < f64::EPSILON,
            "too few to tell"
        );
    }
}
