//! Growth of one series: a robust slope with an interval, and the shape of the growth. Pure numbers: must not know whose
//! memory it is. Fed by `window` (memory) and `growth` (profiles).
//!
//! Slope: Theil-Sen. Interval: the residual scale divided by the effective number of points, which autocorrelation makes
//! smaller than the actual one (the variance correction of Hamed and Rao, 1998, with a first-order model).
//! Shape: each candidate is `y = a + b*g(t)` for a basis `g`, so that one pass gives its squared error; BIC decides.

use crate::model::verdict::Estimate;
use crate::stats::robust;
use crate::stats::robust::count;

/// Most points a fit looks at: the quadratic steps stay below 2016 pairs.
pub const MAX_FIT_POINTS: usize = 64;
/// A more complex shape must beat a simpler one by this much: "strong" evidence on the scale of Kass and Raftery (1995).
const BIC_STRONG: f64 = 6.0;
/// Any trend must beat a constant by this much: "positive" evidence on the same scale.
const BIC_POSITIVE: f64 = 2.0;
/// A series that stays within this part of its level is flat; the search for a shape, which costs most, is spared.
const QUIET_PART: f64 = 0.01;
/// Fractions of the span that are tried as corner or time constant.
const CORNERS: [f64; 13] = [0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9];
/// Time constants of the saturating exponential as fractions of the span. Above 1 it cannot be told from a line.
const TIME_CONSTANTS: [f64; 6] = [0.08, 0.15, 0.25, 0.4, 0.6, 0.9];

/// How a series moves over its span.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shape {
    /// No trend.
    Flat,
    /// One slope all along.
    Linear,
    /// Flat, then growing since `at` (seconds on the series' axis).
    LateGrowth {
        /// Where the growth starts.
        at: f64,
    },
    /// Growing, then flat since `at`.
    Levelled {
        /// Where the growth stopped.
        at: f64,
    },
    /// Growing slower and slower towards `level`.
    Saturating {
        /// Where it would end.
        level: f64,
        /// Time constant in seconds.
        time_constant: f64,
    },
    /// One jump.
    Step {
        /// When.
        at: f64,
    },
}

/// What a fit found out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trend {
    /// First instant of the series, seconds.
    pub from: f64,
    /// Last instant, seconds.
    pub to: f64,
    /// Points fitted.
    pub points: usize,
    /// Theil-Sen slope per second over the whole span.
    pub slope: Estimate,
    /// The same over the last half of the span; equals `slope` when there are too few points.
    pub recent: Estimate,
    /// Fitted value at the start.
    pub first_level: f64,
    /// Fitted value at the end (median of the last quarter around the recent slope).
    pub level: f64,
    /// Robust standard deviation around the fit.
    pub noise: f64,
    /// The shape that explains the series best.
    pub shape: Shape,
    /// Slope per second at the end by the shape.
    pub end_slope: f64,
    /// BIC of the best shape that stops growing minus BIC of the best that goes on: negative speaks for stopping.
    pub bic_stopping: f64,
}

impl Trend {
    /// Length of the series in seconds.
    pub fn span(&self) -> f64 {
        self.to - self.from
    }

    /// Fitted growth over the span.
    pub fn growth(&self) -> f64 {
        self.level - self.first_level
    }

    /// Slope of the last half relative to that of the first; below 1 when growth slows down, 1 without growth.
    pub fn acceleration(&self) -> f64 {
        let before = 2.0 * self.growth() / self.span() - self.recent.estimate;
        if before > 0.0 {
            self.recent.estimate.max(0.0) / before
        } else {
            1.0
        }
    }

    /// Whether the series still grows at its end: significantly, and by a shape that goes on.
    pub fn grows(&self) -> bool {
        let goes_on = matches!(self.shape, Shape::Linear | Shape::LateGrowth { .. });
        goes_on && self.end_slope > 0.0 && (self.slope.low > 0.0 || self.recent.low > 0.0)
    }

    /// Whether it grew and the growth slows down or has ended.
    pub fn decelerates(&self) -> bool {
        matches!(self.shape, Shape::Levelled { .. } | Shape::Saturating { .. }) && self.growth() > 0.0
    }
}

/// Fits a series sorted by time. None below three points or without duration.
pub fn fit(series: &[(f64, f64)]) -> Option<Trend> {
    let reduced;
    let points = if series.len() > MAX_FIT_POINTS {
        reduced = blocks(series, MAX_FIT_POINTS);
        reduced.as_slice()
    } else {
        series
    };
    let (&(from, _), &(to, _)) = (points.first()?, points.last()?);
    if points.len() < 3 || to <= from {
        return None;
    }
    let (slope, residuals) = slope_with_interval(points)?;
    let half = points.partition_point(|point| point.0 < f64::midpoint(from, to));
    let late = points.get(half..).filter(|late| late.len() >= 4).unwrap_or(points);
    let (recent, _) = slope_with_interval(late)?;
    let noise = robust::robust_deviation(&residuals);
    let level = level_at(points, 0.75, to, recent.estimate)?;
    let (least, most) = points
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), point| {
            (least.min(point.1), most.max(point.1))
        });
    let choice = if most - least <= level.abs() * QUIET_PART {
        QUIET
    } else {
        choose_shape(points)
    };
    let first_level = first_level(points, &slope)?;
    let end_slope = match choice.shape {
        Shape::Linear => slope.estimate,
        _ => choice.end_slope,
    };
    Some(Trend {
        from,
        to,
        points: points.len(),
        slope,
        recent,
        first_level,
        level,
        noise,
        shape: choice.shape,
        end_slope,
        bic_stopping: choice.bic_stopping,
    })
}

/// Change from the first to the last quarter of a series and the level at its end, by medians: cheap, for parts of a whole whose
/// trend is known. None when empty.
pub fn change(series: &[(f64, f64)]) -> Option<(f64, f64)> {
    let quarter = (series.len() / 4).max(1);
    let median = |part: &mut dyn Iterator<Item = &(f64, f64)>| {
        let mut values: Vec<f64> = part.map(|point| point.1).collect();
        robust::median(&mut values)
    };
    let before = median(&mut series.iter().take(quarter))?;
    let after = median(&mut series.iter().rev().take(quarter))?;
    Some((after - before, after))
}

/// Lower envelope: the series cut into `n` blocks of equal duration, each reduced to its lowest point.
pub fn blocks(series: &[(f64, f64)], n: usize) -> Vec<(f64, f64)> {
    let (Some(&(from, _)), Some(&(to, _))) = (series.first(), series.last()) else {
        return Vec::new();
    };
    let width = ((to - from) / count(n.max(1))).max(f64::MIN_POSITIVE);
    let block_of = |t: f64| ((t - from) / width).floor().min(count(n.saturating_sub(1)));
    let mut lowest: Vec<(f64, f64)> = Vec::with_capacity(n + 1);
    for &point in series {
        match lowest.last_mut() {
            Some(low) if block_of(low.0) >= block_of(point.0) => {
                if point.1 < low.1 {
                    *low = point;
                }
            }
            _ => lowest.push(point),
        }
    }
    lowest
}

/// Theil-Sen slope with its 95 % interval, and the residuals around the line.
fn slope_with_interval(points: &[(f64, f64)]) -> Option<(Estimate, Vec<f64>)> {
    let slope = robust::theil_sen(points)?;
    let mut residuals: Vec<f64> = points.iter().map(|&(t, y)| y - slope * t).collect();
    let center = robust::median(&mut residuals.clone())?;
    for residual in &mut residuals {
        *residual -= center;
    }
    let n = count(points.len());
    let mean_t = points.iter().map(|point| point.0).sum::<f64>() / n;
    let spread_t = points.iter().map(|point| (point.0 - mean_t).powi(2)).sum::<f64>();
    // The robust scale sees nothing when most points lie exactly on the line; the mean absolute one then still does.
    let mean_absolute = residuals.iter().map(|residual| residual.abs()).sum::<f64>() / n * 1.2533;
    let scale = robust::robust_deviation(&residuals).max(mean_absolute);
    let effective = effective_points(&residuals);
    let error = scale / (spread_t * effective / n).sqrt();
    let half_width = robust::student_975(effective - 2.0) * error;
    let interval = Estimate {
        estimate: slope,
        low: slope - half_width,
        high: slope + half_width,
    };
    Some((interval, residuals))
}

/// Points that count as independent, by first-order autocorrelation of the residuals.
fn effective_points(residuals: &[f64]) -> f64 {
    let n = count(residuals.len());
    let rho = robust::lag1_autocorrelation(residuals).clamp(0.0, 0.95);
    (n * (1.0 - rho) / (1.0 + rho)).clamp(3.0, n.max(3.0))
}

/// Median of the last part of the series, carried along `slope` to the end.
fn level_at(points: &[(f64, f64)], part: f64, to: f64, slope: f64) -> Option<f64> {
    let from = points.first()?.0;
    let start = points.partition_point(|point| point.0 < from + (to - from) * part);
    let start = start.min(points.len().saturating_sub(3));
    let mut late: Vec<f64> = points.iter().skip(start).map(|&(t, y)| y + slope * (to - t)).collect();
    robust::median(&mut late)
}

fn first_level(points: &[(f64, f64)], slope: &Estimate) -> Option<f64> {
    let (from, to) = (points.first()?.0, points.last()?.0);
    let end = points
        .partition_point(|point| point.0 <= from + (to - from) * 0.25)
        .max(3);
    let mut early: Vec<f64> = points
        .iter()
        .take(end)
        .map(|&(t, y)| y - slope.estimate.max(0.0) * (t - from))
        .collect();
    robust::median(&mut early)
}

const QUIET: Choice = Choice {
    shape: Shape::Flat,
    end_slope: 0.0,
    bic_stopping: 0.0,
};

struct Choice {
    shape: Shape,
    end_slope: f64,
    bic_stopping: f64,
}

/// `y = a + b*g(t)` by least squares, `g` being the basis of the shape.
#[derive(Clone, Copy)]
struct Candidate {
    shape: Shape,
    squared_error: f64,
    a: f64,
    b: f64,
}

/// The basis function of a shape, `from` being the first instant.
fn basis(shape: Shape, from: f64, t: f64) -> f64 {
    match shape {
        Shape::Flat => 0.0,
        Shape::Linear => t,
        Shape::LateGrowth { at } => (t - at).max(0.0),
        Shape::Levelled { at } => t.min(at),
        Shape::Saturating { time_constant, .. } => 1.0 - (-(t - from) / time_constant).exp(),
        Shape::Step { at } => f64::from(t > at),
    }
}

fn regress(points: &[(f64, f64)], from: f64, shape: Shape) -> Option<Candidate> {
    let n = count(points.len());
    let (mut sum_g, mut sum_y) = (0.0, 0.0);
    for &(t, y) in points {
        sum_g += basis(shape, from, t);
        sum_y += y;
    }
    let (mean_g, mean_y) = (sum_g / n, sum_y / n);
    let (mut gg, mut gy, mut yy) = (0.0, 0.0, 0.0);
    for &(t, y) in points {
        let (dg, dy) = (basis(shape, from, t) - mean_g, y - mean_y);
        gg += dg * dg;
        gy += dg * dy;
        yy += dy * dy;
    }
    if gg <= 0.0 {
        return None;
    }
    let b = gy / gg;
    let a = mean_y - b * mean_g;
    let shape = match shape {
        Shape::Saturating { time_constant, .. } => Shape::Saturating {
            level: a + b,
            time_constant,
        },
        other => other,
    };
    Some(Candidate {
        shape,
        squared_error: (yy - b * gy).max(0.0),
        a,
        b,
    })
}

fn choose_shape(points: &[(f64, f64)]) -> Choice {
    let flat = QUIET;
    let (Some(&(from, _)), Some(&(to, _))) = (points.first(), points.last()) else {
        return flat;
    };
    let span = to - from;
    let Some(linear) = regress(points, from, Shape::Linear) else {
        return flat;
    };
    let rising = |shape: Shape| regress(points, from, shape).filter(|candidate| candidate.b > 0.0);
    let least = |candidates: &mut dyn Iterator<Item = Candidate>| {
        candidates.min_by(|a, b| a.squared_error.total_cmp(&b.squared_error))
    };
    let corners = || CORNERS.into_iter().map(|corner| from + span * corner);
    let late = least(&mut corners().filter_map(|at| rising(Shape::LateGrowth { at })));
    let stopping = least(
        &mut corners()
            .flat_map(|at| {
                [
                    rising(Shape::Levelled { at }),
                    regress(points, from, Shape::Step { at }),
                ]
            })
            .chain(TIME_CONSTANTS.into_iter().map(|fraction| {
                rising(Shape::Saturating {
                    level: 0.0,
                    time_constant: span * fraction,
                })
            }))
            .flatten(),
    );
    let best = least(&mut [Some(linear), late, stopping].into_iter().flatten()).unwrap_or(linear);
    let residuals: Vec<f64> = points
        .iter()
        .map(|&(t, y)| y - best.a - best.b * basis(best.shape, from, t))
        .collect();
    let n = effective_points(&residuals);
    let total = points.iter().map(|point| point.1.abs()).fold(0.0, f64::max);
    // Numbers that agree to a millionth are the same; keeps the logarithm finite.
    let floor = (total * 1e-6).powi(2) + f64::MIN_POSITIVE;
    let bic = |squared_error: f64, parameters: f64| {
        n * (squared_error / count(points.len()) + floor).ln() + parameters * n.ln()
    };
    let mean = points.iter().map(|point| point.1).sum::<f64>() / count(points.len());
    let constant = bic(points.iter().map(|point| (point.1 - mean).powi(2)).sum(), 1.0);
    let linear_bic = bic(linear.squared_error, 2.0);
    let complex = |candidate: Option<Candidate>| candidate.map_or(f64::INFINITY, |found| bic(found.squared_error, 3.0));
    let (late_bic, stopping_bic) = (complex(late), complex(stopping));
    let bic_stopping = if stopping.is_some() {
        stopping_bic - linear_bic.min(late_bic)
    } else {
        0.0
    };
    let chosen = [(late, late_bic), (stopping, stopping_bic)]
        .into_iter()
        .filter_map(|(candidate, bic)| Some((candidate?, bic)))
        .filter(|(_, bic)| *bic < linear_bic - BIC_STRONG)
        .min_by(|a, b| a.1.total_cmp(&b.1))
        .unwrap_or((linear, linear_bic));
    if chosen.1 > constant - BIC_POSITIVE {
        return Choice { bic_stopping, ..flat };
    }
    Choice {
        shape: chosen.0.shape,
        end_slope: end_slope(&chosen.0, span),
        bic_stopping,
    }
}

fn end_slope(candidate: &Candidate, span: f64) -> f64 {
    match candidate.shape {
        Shape::Linear | Shape::LateGrowth { .. } => candidate.b,
        Shape::Saturating { time_constant, .. } => candidate.b / time_constant * (-span / time_constant).exp(),
        Shape::Flat | Shape::Levelled { .. } | Shape::Step { .. } => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(n: u32, f: impl Fn(f64) -> f64) -> Vec<(f64, f64)> {
        (0..n)
            .map(|i| {
                let t = f64::from(i) * 5.0;
                // A fixed ripple stands for noise.
                let ripple = f64::from((i * 7919) % 13) - 6.0;
                (t, f(t) + ripple * 1e4)
            })
            .collect()
    }

    #[test]
    fn shapes_are_recognised() {
        let span = 300.0;
        let level = 5e7;
        for (name, expected, points) in [
            ("flat", "Flat", series(60, |_| level)),
            ("linear", "Linear", series(60, |t| level + 1e5 * t)),
            (
                "late",
                "LateGrowth",
                series(60, |t| level + 4e5 * (t - span * 0.5).max(0.0)),
            ),
            ("levelled", "Levelled", series(60, |t| level + 4e5 * t.min(span * 0.4))),
            (
                "saturating",
                "Saturating",
                series(60, |t| level + 4e7 * (1.0 - (-t / 60.0).exp())),
            ),
            (
                "step",
                "Step",
                series(60, |t| level + if t > 120.0 { 2e7 } else { 0.0 }),
            ),
        ] {
            let trend = fit(&points).unwrap();
            assert!(format!("{:?}", trend.shape).starts_with(expected), "{name}: {trend:?}");
        }
    }

    #[test]
    fn the_slope_of_a_line_is_inside_its_interval() {
        for rate in [5e4, 1e6, 5e7] {
            let trend = fit(&series(60, |t| 1e8 + rate * t)).unwrap();
            assert!(trend.slope.low <= rate && rate <= trend.slope.high, "{trend:?}");
            assert!(trend.grows());
        }
    }

    #[test]
    fn blocks_keep_the_lower_envelope_and_the_duration() {
        let saw: Vec<(f64, f64)> = (0..1000).map(|i| (f64::from(i), f64::from(i % 10))).collect();
        let low = blocks(&saw, 50);
        assert!(low.len() <= 51 && low.len() >= 49, "{}", low.len());
        assert!(low.iter().all(|point| point.1 < 1.0));
    }

    #[test]
    fn nothing_to_fit() {
        assert_eq!(fit(&[]), None);
        assert_eq!(fit(&[(1.0, 1.0), (1.0, 2.0), (1.0, 3.0)]), None);
    }
}
