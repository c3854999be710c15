//! Line charts, as SVG that needs nothing else.

use std::fmt::Write;

use crate::text::figure;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 220.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 28.0;

/// What the height of a point says.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scale {
    /// From 0.
    Linear,
    /// By powers of ten.
    Logarithmic,
}

/// One line of a chart.
pub(crate) struct Series {
    pub(crate) name: &'static str,
    pub(crate) points: Vec<(f64, f64)>,
}

/// A mark of the horizontal axis.
pub(crate) type Mark = (f64, String);

/// A chart of these lines. Points that are not finite, and those of a logarithmic scale that are not above 0, are left out.
pub(crate) fn chart(title: &str, scale: Scale, series: &[Series], marks: &[Mark]) -> String {
    let can_be_shown =
        |&(x, y): &(f64, f64)| x.is_finite() && y.is_finite() && (scale == Scale::Linear || y > 0.0);
    let all = || series.iter().flat_map(|one| &one.points).copied().filter(can_be_shown);
    if all().next().is_none() {
        return String::new();
    }
    let fold =
        |axis: fn((f64, f64)) -> f64, start, pick: fn(f64, f64) -> f64| all().map(axis).fold(start, pick);
    let (left, right) =
        (fold(|point| point.0, f64::MAX, f64::min), fold(|point| point.0, f64::MIN, f64::max));
    let highest = fold(|point| point.1, f64::MIN, f64::max);
    let (low, high, lines) = match scale {
        Scale::Linear => linear(highest),
        Scale::Logarithmic => logarithmic(fold(|point| point.1, f64::MAX, f64::min), highest),
    };
    let height = |value: f64| match scale {
        Scale::Linear => (value - low) / (high - low),
        Scale::Logarithmic => (value / low).log10() / (high / low).log10(),
    };
    let x = |value: f64| LEFT + (value - left) / (right - left).max(1e-9) * (WIDTH - LEFT - RIGHT);
    let y = |value: f64| TOP + (1.0 - height(value)) * (HEIGHT - TOP - BOTTOM);

    let mut svg = format!("<figure><figcaption>{title}");
    // A `String` takes all.
    if series.len() > 1 {
        let shown = series.iter().enumerate().filter(|(_, one)| one.points.iter().any(&can_be_shown));
        for (number, one) in shown {
            let _ = write!(svg, " <span class=\"key line{number}\">{}</span>", one.name);
        }
    }
    let _ = write!(
        svg,
        "</figcaption><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">"
    );
    for line in lines {
        let at = y(line);
        let _ = write!(svg, "<path class=\"grid\" d=\"M{LEFT} {at:.1}H{}\"/>", WIDTH - RIGHT);
        let _ = write!(
            svg,
            "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 6.0,
            at + 4.0,
            figure(Some(line))
        );
    }
    for (number, (at, label)) in marks.iter().enumerate() {
        let (at, below) = (x(*at), HEIGHT - 8.0);
        // The last one may be at the very edge.
        let anchor = if number > 0 && at > WIDTH - 4.0 * RIGHT { "end" } else { "middle" };
        let _ = write!(svg, "<text x=\"{at:.1}\" y=\"{below}\" text-anchor=\"{anchor}\">{label}</text>");
    }
    for (number, one) in series.iter().enumerate() {
        let points = one.points.iter().filter(|point| can_be_shown(point));
        let points: Vec<_> = points.map(|&(at, value)| format!("{:.1},{:.1}", x(at), y(value))).collect();
        // A line of one point is a dot.
        let points = if let [point] = &points[..] { vec![point.clone(); 2] } else { points };
        let _ = write!(svg, "<polyline class=\"line{number}\" points=\"{}\"/>", points.join(" "));
    }
    svg.push_str("</svg></figure>");
    svg
}

/// From 0 to a round number not below this, with lines between.
fn linear(highest: f64) -> (f64, f64, Vec<f64>) {
    let highest = highest.max(1e-3);
    let power = 10_f64.powf((highest / 4.0).log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0].map(|digit| digit * power);
    let step = step.into_iter().find(|step| step * 4.0 >= highest).unwrap_or(10.0 * power);
    let count = (highest / step).ceil();
    (0.0, count * step, (0..=count as u32).map(|line| f64::from(line) * step).collect())
}

/// The powers of ten around these.
fn logarithmic(lowest: f64, highest: f64) -> (f64, f64, Vec<f64>) {
    let (low, high) = (lowest.log10().floor() as i32, highest.log10().ceil() as i32);
    let high = high.max(low + 1);
    (10_f64.powi(low), 10_f64.powi(high), (low..=high).map(|power| 10_f64.powi(power)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_with_round_numbers() {
        assert_eq!(linear(1000.0), (0.0, 1000.0, vec![0.0, 250.0, 500.0, 750.0, 1000.0]));
        assert_eq!(linear(7.0).1, 8.0);
        assert_eq!(logarithmic(0.05, 3.0).2.len(), 4);
        assert_eq!(logarithmic(1.0, 1.0).2.len(), 2);
    }

    #[test]
    fn what_cannot_be_shown_is_left_out() {
        let points = vec![(0.0, 1.0), (1.0, 0.0), (2.0, f64::NAN), (3.0, 10.0)];
        let svg = chart("x", Scale::Logarithmic, &[Series { name: "y", points }], &[]);
        assert_eq!(svg.matches(',').count(), 2, "{svg}");
        assert_eq!(chart("x", Scale::Linear, &[], &[]), "");
    }
}
