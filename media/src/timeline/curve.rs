//! Piecewise linear curves through noisy points.

use std::collections::BTreeMap;

/// Points are thinned out to one per so many nanoseconds.
pub(super) const BLOCK: i64 = 10_000_000_000;

/// Clocks drift apart by no more than one part in so many: 500 ppm. Crystals keep to 100 ppm; this leaves room.
const MAX_DRIFT: i64 = 2_000;

/// A curve through points in ascending order, constant outside of them; zero if there are none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Curve(Vec<(i64, i64)>);

impl Curve {
    /// `points` ascend strictly in `x`.
    pub(super) fn new(points: Vec<(i64, i64)>) -> Self {
        debug_assert!(points.is_sorted_by(|a, b| a.0 < b.0));
        Self(points)
    }

    pub(super) fn points(&self) -> &[(i64, i64)] {
        &self.0
    }

    pub(super) fn at(&self, x: i64) -> i64 {
        let after = self.0.partition_point(|point| point.0 <= x);
        match (after.checked_sub(1).map(|before| self.0[before]), self.0.get(after)) {
            (None, None) => 0,
            (Some((_, y)), None) | (None, Some(&(_, y))) => y,
            (Some((x0, y0)), Some((x1, y1))) => {
                let rise = i128::from(y1 - y0) * i128::from(x - x0) / i128::from(x1 - x0);
                y0 + i64::try_from(rise).unwrap_or(0)
            }
        }
    }

    /// The same, nowhere steeper than a quarter: added to the identity, it still ascends.
    pub(super) fn flattened(mut self) -> Self {
        for index in 1..self.0.len() {
            let (x0, y0) = self.0[index - 1];
            let (x1, y1) = &mut self.0[index];
            let steepest = (*x1 - x0) / 4;
            *y1 = (*y1).clamp(y0 - steepest, y0 + steepest);
        }
        self
    }
}

/// The least of many points, block by block.
#[derive(Debug, Clone, Default)]
pub(super) struct Minima(BTreeMap<i64, (i64, i64)>);

impl Minima {
    pub(super) fn add(&mut self, x: i64, y: i64) {
        let least = self.0.entry(x.div_euclid(BLOCK)).or_insert((x, y));
        if y < least.1 {
            *least = (x, y);
        }
    }

    /// The least of the last blocks: what can be expected now.
    pub(super) fn recent(&self) -> Option<i64> {
        self.0.values().rev().take(2).map(|(_, y)| *y).min()
    }

    /// The highest curve under all points that follows no change faster than clocks drift. What stands above it came
    /// late.
    pub(super) fn lower_envelope(&self) -> Curve {
        let mut points: Vec<_> = self.0.values().copied().collect();
        let limit = |from: (i64, i64), to: &mut (i64, i64)| {
            let drift = (to.0 - from.0).abs() / MAX_DRIFT;
            to.1 = to.1.min(from.1.saturating_add(drift));
        };
        for index in 1..points.len() {
            let from = points[index - 1];
            limit(from, &mut points[index]);
        }
        for index in (1..points.len()).rev() {
            let from = points[index];
            limit(from, &mut points[index - 1]);
        }
        Curve::new(points)
    }
}

/// The median of a few numbers, of an even count the lesser of the two in the middle; `None` of none.
pub(super) fn median(numbers: impl IntoIterator<Item = i64>) -> Option<i64> {
    let mut numbers: Vec<_> = numbers.into_iter().collect();
    let middle = numbers.len().saturating_sub(1) / 2;
    (!numbers.is_empty()).then(|| *numbers.select_nth_unstable(middle).1)
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    const SECOND: i64 = 1_000_000_000;

    #[test]
    fn between_points_it_is_a_line_and_outside_it_is_level() {
        let curve = Curve::new(vec![(0, 10), (100, 30)]);
        assert_eq!([-5, 0, 50, 100, 500].map(|x| curve.at(x)), [10, 10, 20, 30, 30]);
        assert_eq!(Curve::default().at(7), 0);
    }

    #[test]
    fn the_envelope_follows_drift_and_ignores_delay() {
        let mut minima = Minima::default();
        for second in 0..300 {
            let drift = second * 100_000; // 100 ppm
            let jam = if (100..160).contains(&second) { 400_000_000 } else { 0 };
            minima.add(second * SECOND, drift + jam + (second * 7919 % 13) * 1_000_000);
        }
        let envelope = minima.lower_envelope();
        for second in 0..300 {
            let off = envelope.at(second * SECOND) - second * 100_000;
            assert!((-5_000_000..20_000_000).contains(&off), "{second} s: {off} ns");
        }
    }

    #[test]
    fn the_middle_one() {
        assert_eq!(median([5, 1, 900]), Some(5));
        assert_eq!(median([900, 5]), Some(5));
        assert_eq!(median([]), None);
    }

    proptest! {
        #[test]
        fn time_and_a_flat_curve_ascend(
            points in vec((1_i64..20_000_000_000, any::<i32>()), 0..20),
            at in vec(-10_000_000_000_i64..200_000_000_000, 2..20),
        ) {
            let mut x = 0;
            let points = points.into_iter().map(|(step, y)| { x += step; (x, i64::from(y)) }).collect();
            let curve = Curve::new(points).flattened();
            let mut at = at;
            at.sort_unstable();
            prop_assert!(at.windows(2).all(|pair| pair[0] + curve.at(pair[0]) <= pair[1] + curve.at(pair[1])));
        }

        #[test]
        fn the_envelope_is_under_all_points(points in vec((0_i64..400_000_000_000, any::<i32>()), 1..60)) {
            let mut minima = Minima::default();
            for (x, y) in &points {
                minima.add(*x, i64::from(*y));
            }
            let least: BTreeMap<_, _> = minima.0.values().copied().collect();
            let envelope = minima.lower_envelope();
            for (x, y) in least {
                prop_assert!(envelope.at(x) <= y);
            }
        }
    }
}
