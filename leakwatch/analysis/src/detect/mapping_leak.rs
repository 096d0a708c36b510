//! Memory that was mapped (`mmap`) and never unmapped, while memory as a whole keeps growing.
//!
//! Source: the `mapping` profiles of a growth capture: mappings made since it began and still there, by the stack that made them, with the
//! bytes of them that became resident. Allocators map, too, a few large pieces: a leak here is many. See `docs/detectors/mapping_leak.md`.

use crate::detect::captured::Captured;
use crate::detect::captured::Sentences;
use crate::detect::evidence;
use crate::detect::facts::Facts;
use crate::detect::finding::Examination;
use crate::history::window;
use crate::model::profile::ProfileType;
use crate::model::stack::StackId;
use crate::model::verdict::VerdictClass;
use crate::short_name;

/// The class.
pub const CLASS: VerdictClass = VerdictClass::leak("mapping_leak");

/// Mappings that one stack has made and kept. Fewer are the arenas of an allocator, of which each serves many call sites.
const LEAST_MAPPINGS: i64 = 5;

/// Looks for mappings that pile up.
pub fn examine(facts: &Facts<'_>) -> Examination {
    let Some(trend) = facts.trend(ProfileType::Mapping) else {
        return Err("what the process maps was not captured".to_owned());
    };
    let captured = Captured::most(facts, ProfileType::Mapping, trend)?;
    let site = captured.call_site();
    let mappings = mappings_of(facts, captured.site.stack);
    if mappings < LEAST_MAPPINGS {
        return Err(format!(
            "{site} keeps {mappings} mapping(s), as an allocator does for others"
        ));
    }
    let (growth, until) = (captured.growth(), evidence::until_limit(facts));
    let sentences = Sentences {
        evidence: format!(
            "{site} mapped memory and did not unmap it, of which {growth} became resident in {} {}; {mappings} of its mappings are there",
            captured.span(),
            captured.interval()
        ),
        summary: format!(
            "{site} does not unmap what it maps: {growth} more resident ({}) in {mappings} mappings{until}.",
            captured.rate()
        ),
        advice: vec![
            format!(
                "Look where what {site} maps should be unmapped (munmap, the end of a thread, the end of generated code), on error paths too."
            ),
            "Compare the two profiles in the evidence: what grows between them is mapped still.".to_owned(),
        ],
        would_change_our_mind: format!(
            "{} stops mapping more while the service works as before (a pool that is full)",
            short_name::of(&captured.site.frame.function)
        ),
    };
    Ok(captured.finding(facts, sentences))
}

/// Mappings of a stack that are there.
fn mappings_of(facts: &Facts<'_>, stack: StackId) -> i64 {
    let newest = window::snapshots(facts.history, ProfileType::Mapping, facts.now).last();
    let value = newest.and_then(|snapshot| snapshot.values.get(stack));
    value.map_or(0, |value| value.inuse_objects)
}
