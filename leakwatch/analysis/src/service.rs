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

/// A process younger than this is starting up: what it holds says nothing about its siblings, nor they about it.
const LEAST_AGE_SECONDS: f64 = 60.0;

struct Replica {
    id: TargetId,
    level: f64,
    /// Bytes per second, 0 where it does not surely grow.
    rate: f64,
    /// Seconds over which that was seen.
    seconds: f64,
}

/// Finds the outlier among replicas that still run; none when they are alike or fewer than two.
pub fn outlier(replicas: &[&TargetHistory], now: Timestamp) -> Option<Outlier> {
    let measured: Vec<Replica> = replicas
        .iter()
        .filter(|history| history.gone_at.is_none_or(|gone| gone >= now) && history.living().next().is_some())
        .filter(|history| now.since(window::process_start(history)).as_secs_f64() >= LEAST_AGE_SECONDS)
        .filter_map(|history| {
            let trend = trend::fit(&window::memory(history, now))?;
            let seconds = trend.span();
            let grows = trend.grows() && seconds > 0.0;
            Some(Replica {
                id: history.target.id(),
                level: trend.level,
                rate: if grows { trend.growth().max(0.0) / seconds } else { 0.0 },
                seconds,
            })
        })
        .collect();
    // Of the time that all were watched.
    let seconds = measured
        .iter()
        .map(|replica| replica.seconds)
        .fold(f64::INFINITY, f64::min);
    let scored = measured.iter().enumerate().filter_map(|(i, replica)| {
        let others: Vec<&Replica> = measured
            .iter()
            .enumerate()
            .filter(|(j, _)| *j != i)
            .map(|(_, other)| other)
            .collect();
        (!others.is_empty()).then(|| judge(replica, &others, seconds))
    });
    scored
        .filter(|outlier| outlier.score >= LEAST_SCORE)
        .max_by(|a, b| a.score.total_cmp(&b.score).then_with(|| b.target.cmp(&a.target)))
}

fn judge(replica: &Replica, others: &[&Replica], seconds: f64) -> Outlier {
    let of = |value: &dyn Fn(&Replica) -> f64| -> (f64, f64) {
        let mut values: Vec<f64> = others.iter().map(|other| value(other)).collect();
        let spread = robust::robust_deviation(&values);
        (robust::median(&mut values).unwrap_or(0.0), spread)
    };
    let grown = |replica: &Replica| replica.rate * seconds;
    let (level, level_spread) = of(&|replica| replica.level);
    let (growth, growth_spread) = of(&grown);
    let natural = (level * NATURAL_SPREAD).max(MATERIAL_BYTES);
    let by_growth = (grown(replica) - growth) / growth_spread.max(natural / LEAST_SCORE);
    let by_level = (replica.level - level) / level_spread.max(natural);
    let siblings = match others.len() {
        1 => "its sibling".to_owned(),
        more => format!("the median of its {more} siblings"),
    };
    let (score, because) = if by_growth >= by_level {
        (
            by_growth,
            format!(
                "grows by {} ({} in {}) while {siblings} {} in the same time",
                format::rate(replica.rate),
                format::bytes(grown(replica)),
                format::duration(seconds),
                if growth < 1.0 {
                    "does not grow".to_owned()
                } else {
                    format!("grows by {}", format::bytes(growth))
                }
            ),
        )
    } else {
        (
            by_level,
            format!(
                "holds {} while {siblings} is {}",
                format::bytes(replica.level),
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
