//! Growth that slows down towards a level: caches that fill to a bound, lazy initialisation, the first minutes of a service.
//!
//! Statistic: BIC of a levelling shape (saturating exponential, or line then flat) against a line, from `trend`.
//! See `docs/detectors/warm_up.md`.

use crate::detect::doubt::LEAST_ACCELERATION;
use crate::detect::evidence;
use crate::detect::facts::Facts;
use crate::detect::finding::Examination;
use crate::detect::finding::Finding;
use crate::detect::headroom;
use crate::format;
use crate::measure::course;
use crate::measure::motion::Motion;
use crate::model::verdict::Evidence;
use crate::model::verdict::VerdictClass;
use crate::stats::trend::Shape;

/// The class.
pub const CLASS: VerdictClass = VerdictClass::open("warm_up");

const LEAST_SECONDS: f64 = 45.0;
/// A level above that of earlier runs by this part is another one.
const BAND: f64 = 1.15;
/// By one earlier run that levelled off, and by several.
const AS_BEFORE: (f64, f64) = (0.85, 0.95);
/// BIC differences above this add nothing.
const FULL_SUPPORT: f64 = 20.0;

/// Looks for a warm-up.
pub fn examine(facts: &Facts<'_>) -> Examination {
    let Some(trend) = &facts.memory.trend else {
        return Err("too few samples for the shape of the growth".to_owned());
    };
    if let Some(finding) = as_before(facts) {
        return Ok(finding);
    }
    if facts.memory.motion != Motion::Levelling || facts.memory.observed < LEAST_SECONDS {
        return Err(match facts.memory.motion {
            Motion::Growing => format!(
                "growth does not slow down: {} over the last half of the time, {} over all of it",
                format::rate(trend.recent.estimate),
                format::rate(trend.slope.estimate)
            ),
            Motion::Flat | Motion::Returning => "memory does not grow any more".to_owned(),
            _ => "no growth that slows down".to_owned(),
        });
    }
    if let Some(site) = facts.goroutine_suspect() {
        return Err(format!("goroutines pile up at {}", format::call_site(&site.frame)));
    }
    if let Some(site) = facts
        .leaking_sites()
        .find(|site| site.acceleration >= LEAST_ACCELERATION)
    {
        return Err(format!(
            "memory slows down, but what {} retains does not",
            format::call_site(&site.frame)
        ));
    }
    let towards = match trend.shape {
        Shape::Saturating { level, .. } => level,
        _ => trend.level,
    };
    if headroom::is_cut_off(facts) {
        return Err("growth has come to rest at the limit, which stops anything".to_owned());
    }
    if facts.limit.is_some_and(|limit| towards > limit.as_f64()) {
        return Err(format!(
            "growth slows down, but towards {}, which is above the limit",
            format::bytes(towards)
        ));
    }
    let support = (-trend.bic_stopping / FULL_SUPPORT).clamp(0.0, 1.0);
    let confidence = (0.55 + 0.35 * support) * (facts.memory.observed / (facts.memory.observed + 5.0));
    let claim = format!(
        "growth fell from {} to {} and tends towards {}",
        format::rate(trend.slope.estimate.max(trend.recent.estimate)),
        format::rate(trend.end_slope),
        format::bytes(towards)
    );
    Ok(Finding {
        confidence,
        summary: if facts.memory.growth_rate().is_some_and(|rate| rate > 0.0) {
            format!(
                "Memory still grows but slows down, towards about {}: warming up, not leaking.",
                format::bytes(towards)
            )
        } else {
            format!(
                "Memory grew and has come to rest at about {}: warmed up, not leaking.",
                format::bytes(towards)
            )
        },
        since: facts.memory.since().unwrap_or(facts.now),
        culprit: None,
        evidence: vec![Evidence {
            claim,
            value: trend.end_slope,
            unit: "bytes_per_second",
            weight: None,
            link: Some(evidence::memory_series()),
        }],
        advice: vec![format!(
            "Nothing to fix; make sure that the limit leaves room above {}.",
            format::bytes(towards)
        )],
        recommended_limit: None,
        would_change_our_mind: vec![format!(
            "memory passes {} and goes on growing",
            format::bytes(towards * 1.1)
        )],
    })
}

/// Growth within the band of earlier runs of the service that levelled off, however straight it is.
fn as_before(facts: &Facts<'_>) -> Option<Finding> {
    if !matches!(facts.memory.motion, Motion::Growing | Motion::Levelling) {
        return None;
    }
    let levels = course::levelled(facts.history, facts.replicas);
    let (level, age) = levels.iter().copied().max_by(|a, b| a.0.total_cmp(&b.0))?;
    if facts.memory.level > level * BAND || facts.goroutine_suspect().is_some() {
        return None;
    }
    let told = format!(
        "{} earlier run(s) of this service levelled off at {} after {}",
        levels.len(),
        format::bytes(level),
        format::duration(age)
    );
    Some(Finding {
        confidence: if levels.len() > 1 { AS_BEFORE.1 } else { AS_BEFORE.0 },
        summary: format!(
            "Memory grows as before: {told}; this one is at {} after {}.",
            format::bytes(facts.memory.level),
            format::duration(facts.age())
        ),
        since: facts.memory.since().unwrap_or(facts.now),
        culprit: None,
        evidence: vec![Evidence {
            claim: told,
            value: level,
            unit: "bytes",
            weight: None,
            link: Some(evidence::memory_series()),
        }],
        advice: vec![format!(
            "Nothing to fix; make sure that the limit leaves room above {}.",
            format::bytes(level)
        )],
        recommended_limit: None,
        would_change_our_mind: vec![format!(
            "memory passes {} and goes on growing",
            format::bytes(level * BAND)
        )],
    })
}
