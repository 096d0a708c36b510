//! Memory that follows the work done: it rose with the load and fell with it.
//!
//! Statistic: the part of what had come with the load that was left when it had fallen, of the place that grows or of the run as a whole. Work is counted as bytes
//! allocated. See `docs/detectors/load_driven.md`.

use crate::detect::evidence;
use crate::detect::facts::Facts;
use crate::detect::finding::Examination;
use crate::detect::finding::Finding;
use crate::format;
use crate::measure::motion::Motion;
use crate::model::verdict::Evidence;
use crate::model::verdict::VerdictClass;

/// The class.
pub const CLASS: VerdictClass = VerdictClass::other("load_driven");

/// Whether memory fell with the load does not say that nothing else grows meanwhile.
const CONFIDENCE: f64 = 0.85;

/// Looks for memory that follows the load.
pub fn examine(facts: &Facts<'_>) -> Examination {
    match facts.memory.motion {
        Motion::Flat => return Err("memory does not move".to_owned()),
        Motion::Growing => return Err("memory grows beyond what came and went with the load".to_owned()),
        _ => {}
    }
    if let Some(site) = facts.goroutine_suspect() {
        return Err(format!("goroutines pile up at {}", format::call_site(&site.frame)));
    }
    let Some(load) = facts.against_load() else {
        return Err("what the program does is not known over enough of its run".to_owned());
    };
    let growth = facts.memory.trend.as_ref().map_or(0.0, |trend| trend.growth().max(0.0));
    let (true, Some(kept)) = (load.explains(growth), load.kept) else {
        return Err("memory was not seen to fall with the load".to_owned());
    };
    Ok(Finding {
        confidence: CONFIDENCE,
        summary: format!(
            "Memory follows the load: when it fell, {} of what had come with it was left.",
            format::percent(kept.max(0.0))
        ),
        since: facts.memory.since().unwrap_or(facts.now),
        culprit: None,
        evidence: vec![Evidence {
            claim: format!(
                "the load varied by a factor of {:.1}; of what had come with it, {} was left at low load",
                load.varies,
                format::percent(kept.max(0.0))
            ),
            value: kept,
            unit: "ratio",
            weight: None,
            link: Some(evidence::memory_series()),
        }],
        advice: vec!["Nothing to fix; make sure that the limit has room for the highest load.".to_owned()],
        recommended_limit: None,
        would_change_our_mind: vec!["memory stays where it was when the load falls the next time".to_owned()],
    })
}
