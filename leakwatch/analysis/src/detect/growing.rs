//! Something surely grows, and whether it ends by itself is not decided. The place is named by the detectors of leaks where they find
//! it; here is growth whose place is not known yet. See `docs/detectors/growing.md`.

use crate::detect::evidence;
use crate::detect::facts::Facts;
use crate::detect::finding::Examination;
use crate::detect::finding::Finding;
use crate::detect::not_enough_data;
use crate::detect::outside;
use crate::format;
use crate::measure::charge;
use crate::model::verdict::VerdictClass;

/// The class.
pub const CLASS: VerdictClass = VerdictClass::open("growing");

/// Growth over less time may be start-up.
const LEAST_SECONDS: f64 = 60.0;
/// A trend that is significant at 95 % is wrong once in forty times on the side of growth.
const CHANCE: f64 = 0.025;

/// Looks for growth of memory as a whole.
pub fn examine(facts: &Facts<'_>) -> Examination {
    if !facts.memory.grows() {
        return Err("memory as a whole does not keep growing".to_owned());
    }
    if facts.memory.observed < LEAST_SECONDS {
        return Err(format!("watched for {} only", format::duration(facts.memory.observed)));
    }
    Ok(Finding {
        confidence: (1.0 - CHANCE) * facts.memory.observed / (facts.memory.observed + 5.0),
        summary: summary(facts),
        since: facts.memory.since().unwrap_or(facts.history.window_start),
        culprit: None,
        evidence: evidence::memory_growth(facts, |_| String::new()).into_iter().collect(),
        advice: advice(facts),
        recommended_limit: None,
        would_change_our_mind: vec!["memory levels off, or falls with the load".to_owned()],
    })
}

fn summary(facts: &Facts<'_>) -> String {
    let rate = format::rate(facts.growth_rate().unwrap_or(0.0));
    if let Some(part) = charge::growing_outside_of_heaps(facts.history) {
        return outside::grows(facts, &part);
    }
    if let Some(heap) = not_enough_data::unseen_live_heap(facts) {
        return heap;
    }
    match facts.is_go {
        Some(true) if not_enough_data::lacks_heap_profile(facts) => format!(
            "Memory grows by {rate}, but no heap profile is available to say what grows: it may be live heap, garbage or memory outside the Go heap."
        ),
        Some(false) => {
            format!("Memory grows by {rate} in a program that is not Go; what grows inside it cannot be told yet.")
        }
        _ => format!("Memory grows by {rate}; where in the program is not known yet."),
    }
}

/// What mends a profile that is missing; to wait, unless that has no end.
fn advice(facts: &Facts<'_>) -> Vec<String> {
    let mut advice = not_enough_data::fixes(facts);
    if facts.thrashing().is_none() {
        advice.push("Wait: the answer changes as soon as a profile or another run decides.".to_owned());
    }
    advice
}
