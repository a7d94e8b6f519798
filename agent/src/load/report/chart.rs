//! Charts as SVG, drawn for a page that fetches nothing.

use std::fmt::Write as _;

use super::junit::escape;

/// A line over the seconds of a test.
pub(super) struct Line<'a> {
    pub name: &'a str,
    /// A CSS colour.
    pub colour: &'a str,
    /// Second and value; where there is none, the line is interrupted.
    pub points: Vec<(f64, Option<f64>)>,
}

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 220.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 28.0;

/// Steps of an axis: 1, 2 or 5 times a power of ten, about five of them.
fn step(range: f64) -> f64 {
    let rough = (range / 5.0).max(1e-9);
    let power = 10f64.powf(rough.log10().floor());
    let factor = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .find(|f| f * power >= rough)
        .unwrap_or(10.0);
    factor * power
}

fn number(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude >= 1e6 {
        format!("{:.1}M", value / 1e6)
    } else if magnitude >= 1e4 {
        format!("{:.0}k", value / 1e3)
    } else if magnitude >= 10.0 || value.fract().abs() < f64::EPSILON {
        format!("{value:.0}")
    } else {
        format!("{value:.2}")
    }
}

/// Lines over time, from the start to `last`: charts of one page have one axis, and can be read one below the other.
pub(super) fn lines(title: &str, unit: &str, last: f64, lines: &[Line<'_>]) -> String {
    let points = || lines.iter().flat_map(|line| &line.points);
    let last = last.max(1.0);
    let highest = points().filter_map(|(_, y)| *y).fold(0.0, f64::max);
    let highest = if highest > 0.0 { highest * 1.05 } else { 1.0 };
    let x = |second: f64| LEFT + second / last * (WIDTH - LEFT - RIGHT);
    let y = |value: f64| HEIGHT - BOTTOM - value / highest * (HEIGHT - TOP - BOTTOM);
    let mut svg = begin(title, unit);
    grid(&mut svg, highest, y);
    let mut second = 0.0;
    while second <= last {
        // Writing to a string cannot fail.
        let _ = write!(
            svg,
            r#"<text x="{:.1}" y="{}" class="x">{} s</text>"#,
            x(second),
            HEIGHT - 8.0,
            number(second)
        );
        second += step(last);
    }
    for line in lines {
        let mut path = String::new();
        let mut pen_down = false;
        for (second, value) in line.points.iter().filter(|(second, _)| *second <= last) {
            let Some(value) = value else {
                pen_down = false;
                continue;
            };
            let command = if pen_down { 'L' } else { 'M' };
            let _ = write!(path, "{command}{:.1} {:.1}", x(*second), y(*value));
            pen_down = true;
        }
        let (colour, name) = (line.colour, escape(line.name));
        let _ = write!(
            svg,
            r#"<path d="{path}" stroke="{colour}"><title>{name}</title></path>"#
        );
    }
    let mut legend = String::new();
    for line in lines {
        let (colour, name) = (line.colour, escape(line.name));
        let _ = write!(legend, r#"<span><i style="background:{colour}"></i>{name}</span>"#);
    }
    format!("{svg}</svg><p class=\"legend\">{legend}</p></figure>")
}

/// A distribution: values on a scale of their own (they grow by a constant factor), and how many there are of each.
pub(super) fn bars(title: &str, unit: &str, bars: &[(f64, u64)], colour: &str) -> String {
    let first = bars.iter().position(|(_, count)| *count > 0).unwrap_or(0);
    let last = bars.iter().rposition(|(_, count)| *count > 0).map_or(0, |at| at + 1);
    let bars = bars.get(first..last.max(first)).unwrap_or_default();
    let all: u64 = bars.iter().map(|(_, count)| *count).sum();
    let share = |count: u64| count as f64 * 100.0 / all.max(1) as f64;
    let highest = bars.iter().map(|(_, count)| share(*count)).fold(1.0, f64::max) * 1.05;
    let y = |value: f64| HEIGHT - BOTTOM - value / highest * (HEIGHT - TOP - BOTTOM);
    let mut svg = begin(title, "%");
    grid(&mut svg, highest, y);
    let width = (WIDTH - LEFT - RIGHT) / bars.len().max(1) as f64;
    let every = bars.len().div_ceil(10).max(1);
    for (n, (value, count)) in bars.iter().enumerate() {
        let (left, top) = (LEFT + n as f64 * width, y(share(*count)));
        let height = HEIGHT - BOTTOM - top;
        let label = number(*value);
        let _ = write!(
            svg,
            r#"<rect x="{left:.1}" y="{top:.1}" width="{:.1}" height="{height:.1}" fill="{colour}"><title>up to {label} {unit}: {count}</title></rect>"#,
            (width - 1.0).max(1.0)
        );
        if n % every == 0 {
            let _ = write!(
                svg,
                r#"<text x="{:.1}" y="{}" class="x">{label}</text>"#,
                left + width / 2.0,
                HEIGHT - 8.0
            );
        }
    }
    format!("{svg}</svg><p class=\"legend\"><span>{unit}; {all} values</span></p></figure>")
}

fn begin(title: &str, unit: &str) -> String {
    let title = escape(title);
    format!(
        r#"<figure><figcaption>{title} <small>{}</small></figcaption><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{title}">"#,
        escape(unit)
    )
}

fn grid(svg: &mut String, highest: f64, y: impl Fn(f64) -> f64) {
    let step = step(highest);
    let mut value = 0.0;
    while value <= highest {
        let at = y(value);
        let _ = write!(
            svg,
            r#"<line x1="{LEFT}" x2="{}" y1="{at:.1}" y2="{at:.1}"/><text x="{}" y="{:.1}" class="y">{}</text>"#,
            WIDTH - RIGHT,
            LEFT - 6.0,
            at + 4.0,
            number(value)
        );
        value += step;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_have_round_steps() {
        for (range, expected) in [(1.0, 0.2), (7.0, 2.0), (48.0, 10.0), (900.0, 200.0), (0.03, 0.01)] {
            assert!((step(range) - expected).abs() < 1e-9, "{range}: {}", step(range));
        }
    }

    #[test]
    fn a_line_is_interrupted_where_there_is_no_value() {
        let points = vec![(0.0, Some(1.0)), (1.0, Some(2.0)), (2.0, None), (3.0, Some(1.0))];
        let svg = lines(
            "<t>",
            "ms",
            3.0,
            &[Line {
                name: "n",
                colour: "red",
                points,
            }],
        );
        let path = svg
            .split("<path d=\"")
            .nth(1)
            .and_then(|rest| rest.split('"').next())
            .expect("a path");
        assert_eq!(path.matches('M').count(), 2);
        assert!(svg.contains("&lt;t&gt;") && !svg.contains("<t>"));
    }

    #[test]
    fn empty_charts_are_drawn_too() {
        assert!(bars("t", "ms", &[], "red").contains("0 values"));
        assert!(lines("t", "ms", 0.0, &[]).contains("<svg"));
    }
}
