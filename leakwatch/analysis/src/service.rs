//! Which replica of a service is the odd one out: the one that grows or holds far more than its siblings.
//!
//! Statistic: distance from the median of the others in units of their robust spread, for growth and for level. With two
//! replicas the spread is unknown: then growth of one against flatness of the other decides.

use crate::format;
use crate::history::TargetHistory;
use crate::history::window;
use crate::measure::motion::MATERIAL_BYTES;
use crate::model::target::TargetId;
use crate::model::units::Timestamp;
use crate::stats::robust;
use crate::stats::trend;

/// Robust deviations from the others' median: 3.5 is the usual cut for the modified z-score (Iglewicz and Hoaglin, 1993).
const LEAST_SCORE: f64 = 3.5;
/// Replicas under balanced load differ by this part of their level without meaning.
const NATURAL_SPREAD: f64 = 0.1;

/// The odd one out.
#[derive(Clone, Debug, PartialEq)]
pub struct Outlier {
    /// Which target.
    pub target: TargetId,
    /// Why, with the numbers.
    pub because: String,
    /// Robust deviations from the others.
    pub score: f64,
}

struct Replica {
    id: TargetId,
    level: f64,
    growth: f64,
    rate: f64,
}

/// Finds the outlier among replicas that still run; none when they are alike or fewer than two.
pub fn outlier(replicas: &[&TargetHistory], now: Timestamp) -> Option<Outlier> {
    let measured: Vec<Replica> = replicas
        .iter()
        .filter(|history| history.gone_at.is_none_or(|gone| gone >= now))
        .filter_map(|history| {
            let trend = trend::fit(&window::memory(history, now))?;
            Some(Replica {
                id: history.target.id(),
                level: trend.level,
                growth: if trend.grows() { trend.growth().max(0.0) } else { 0.0 },
                rate: trend.recent.estimate,
            })
        })
        .collect();
    let scored = measured.iter().enumerate().filter_map(|(i, replica)| {
        let others: Vec<&Replica> = measured
            .iter()
            .enumerate()
            .filter(|(j, _)| *j != i)
            .map(|(_, other)| other)
            .collect();
        (!others.is_empty()).then(|| judge(replica, &others))
    });
    scored
        .filter(|outlier| outlier.score >= LEAST_SCORE)
        .max_by(|a, b| a.score.total_cmp(&b.score).then_with(|| b.target.cmp(&a.target)))
}

fn judge(replica: &Replica, others: &[&Replica]) -> Outlier {
    let of = |value: fn(&Replica) -> f64| -> (f64, f64) {
        let mut values: Vec<f64> = others.iter().map(|other| value(other)).collect();
        let spread = robust::robust_deviation(&values);
        (robust::median(&mut values).unwrap_or(0.0), spread)
    };
    let (level, level_spread) = of(|replica| replica.level);
    let (growth, growth_spread) = of(|replica| replica.growth);
    let natural = (level * NATURAL_SPREAD).max(MATERIAL_BYTES);
    let by_growth = (replica.growth - growth) / growth_spread.max(natural / LEAST_SCORE);
    let by_level = (replica.level - level) / level_spread.max(natural);
    let (score, because) = if by_growth >= by_level {
        (
            by_growth,
            format!(
                "grows by {} ({} so far) while the median of its {} siblings grows by {}",
                format::rate(replica.rate),
                format::bytes(replica.growth),
                others.len(),
                format::bytes(growth)
            ),
        )
    } else {
        (
            by_level,
            format!(
                "holds {} while the median of its {} siblings is {}",
                format::bytes(replica.level),
                others.len(),
                format::bytes(level)
            ),
        )
    };
    Outlier {
        target: replica.id.clone(),
        because,
        score,
    }
}
