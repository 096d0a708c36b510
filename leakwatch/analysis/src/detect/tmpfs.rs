//! Files in memory, memfd and System V segments: they count against the limit until they are deleted, whoever made them, and outlive
//! the process that is killed for them. See `docs/detectors/tmpfs.md`.

use crate::detect::facts::Facts;
use crate::detect::finding::Examination;
use crate::detect::finding::Finding;
use crate::detect::outside::Part;
use crate::model::verdict::VerdictClass;

/// The class.
pub const CLASS: VerdictClass = VerdictClass::open("tmpfs");

/// What to do about them.
pub(super) const ADVICE: &str = "Look for files that are not removed in /dev/shm and other tmpfs mounts of the container, and for memfd and System V segments (`ipcs -m`): they count until they are deleted.";

/// Looks for shared memory that grows or fills the limit.
pub fn examine(facts: &Facts<'_>) -> Examination {
    let part = Part::of(facts, "shmem").map_err(|because| format!("shared memory (tmpfs): {because}"))?;
    let mut summary = part.sentence(facts, "Shared memory (tmpfs)");
    let runs = facts.runs();
    if matches!(part, Part::Fills(_)) && runs.killed > 0 {
        summary.push_str(" It outlives the process: a kill or a restart does not free it.");
    }
    Ok(Finding {
        confidence: part.confidence(facts),
        summary,
        since: facts.memory.since().unwrap_or(facts.history.window_start),
        culprit: None,
        evidence: vec![part.evidence("shared memory (tmpfs)", "shmem_bytes")],
        advice: vec![
            ADVICE.to_owned(),
            "Bound the mount (`size=` of tmpfs, `sizeLimit` of an emptyDir in memory), or put the files on a disk."
                .to_owned(),
        ],
        recommended_limit: None,
        would_change_our_mind: vec![
            "the files are removed, or come to a level: a cache or shared buffers that fill up".to_owned(),
        ],
    })
}
