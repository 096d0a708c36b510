//! Memory of the kernel for a target: sockets, directory entries, page tables, stacks of threads. See `docs/detectors/kernel_memory.md`.

use crate::detect::facts::Facts;
use crate::detect::finding::Examination;
use crate::detect::finding::Finding;
use crate::detect::outside::Part;
use crate::format;
use crate::measure::charge;
use crate::model::counter::Counter;
use crate::model::verdict::VerdictClass;

/// The class.
pub const CLASS: VerdictClass = VerdictClass::open("kernel_memory");

/// Which part of it is meant, in the words of `memory.stat`.
const PARTS: [(Counter, &str); 4] = [
    (Counter::SlabUnreclaimable, "kernel objects that cannot be given up"),
    (Counter::KernelStack, "stacks of threads"),
    (Counter::PageTables, "page tables"),
    (Counter::Sock, "buffers of sockets"),
];
/// What is so much of it is named.
const MOST: f64 = 0.5;

/// Looks for memory of the kernel that grows or fills the limit.
pub fn examine(facts: &Facts<'_>) -> Examination {
    let part = Part::of(facts, "kernel").map_err(|because| format!("memory of the kernel: {because}"))?;
    let mut summary = part.sentence(facts, "Memory of the kernel");
    let is_told = split(facts);
    if is_told.is_none() {
        summary.push_str(
            " cgroup v1 does not tell how much of it could be given up: directory entries and inodes are, when the limit is reached; buffers of \
             sockets, page tables and stacks of threads are not.",
        );
    }
    if let Some(Some(largest)) = &is_told {
        summary.push_str(largest);
    }
    let (is_v1, hits) = (is_told.is_none(), facts.history.at_limit);
    let gave_way = hits.filter(|spell| is_v1 && spell.goes_on(facts.now) && !facts.dying && facts.runs().is_empty());
    if let Some(spell) = gave_way {
        summary.push_str(&format!(
            " It has been at its limit for {} and nothing was killed: so far the kernel gives back what is needed.",
            format::duration(spell.seconds())
        ));
    }
    let mut advice = vec![advice(facts)];
    if charge::may_be_given_up(facts.history) {
        advice.push(
            "Whether it would be given up: `echo 0 > memory.force_empty` in the cgroup makes the kernel try; the program may be slower for a while."
                .to_owned(),
        );
    }
    Ok(Finding {
        confidence: part.confidence(facts),
        summary,
        since: facts.memory.since().unwrap_or(facts.history.window_start),
        culprit: None,
        evidence: vec![part.evidence("memory of the kernel", "kernel_bytes")],
        advice,
        recommended_limit: None,
        would_change_our_mind: vec!["it falls when the limit is near: then it was a cache of the kernel".to_owned()],
    })
}

/// What most of it is, where the kernel tells; the outer none where it tells nothing of it (cgroup v1).
fn split(facts: &Facts<'_>) -> Option<Option<String>> {
    let memory = facts.history.newest.as_ref().ok()?;
    memory.counters.get(Counter::SlabReclaimable)?;
    let all = memory.kernel().ok()?.as_f64();
    let largest = PARTS
        .into_iter()
        .filter_map(|(counter, words)| Some((memory.counters.bytes(counter).ok()?, words)))
        .max_by_key(|(bytes, _)| *bytes);
    Some(
        largest
            .filter(|(bytes, _)| bytes.as_f64() >= all * MOST)
            .map(|(bytes, words)| format!(" {} of it: {words}.", format::bytes(bytes.as_f64()))),
    )
}

/// Where to look for what keeps it.
fn advice(facts: &Facts<'_>) -> String {
    if split(facts).is_none() {
        "Count open files, sockets and threads of the processes (`ls /proc/PID/fd /proc/PID/task | wc -l`). If they are few, it is most likely directory entries of files that are made, looked for and removed."
    } else {
        "Look at open sockets, files and processes: `kernel_stack`, `pagetables`, `sock` and `slab` of memory.stat say which of them it is."
    }
    .to_owned()
}
