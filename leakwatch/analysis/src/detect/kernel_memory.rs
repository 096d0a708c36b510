//! Memory of the kernel for a target: sockets, directory entries, page tables, stacks of threads. See `docs/detectors/kernel_memory.md`.

use crate::detect::facts::Facts;
use crate::detect::finding::Examination;
use crate::detect::finding::Finding;
use crate::detect::outside::Part;
use crate::format;
use crate::measure::charge;
use crate::model::counter::Counter;
use crate::model::units::Bytes;
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
    let summary = part.sentence(facts, "Memory of the kernel") + &split(facts) + &gave_way(facts);
    let mut advice = vec![advice(facts).to_owned()];
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

/// Whether the kernel tells how much of it could be given up: on cgroup v1 it does not.
fn is_told(facts: &Facts<'_>) -> bool {
    let newest = facts.history.newest.as_ref();
    newest.is_ok_and(|memory| memory.counters.get(Counter::SlabReclaimable).is_some())
}

/// What most of it is, or that it is not told.
fn split(facts: &Facts<'_>) -> String {
    let Some(memory) = facts.history.newest.as_ref().ok().filter(|_| is_told(facts)) else {
        return " cgroup v1 does not tell how much of it could be given up: directory entries and inodes are, when the limit is reached; buffers of sockets, \
                page tables and stacks of threads are not."
            .to_owned();
    };
    let all = memory.kernel().map_or(f64::INFINITY, Bytes::as_f64);
    let parts = PARTS
        .into_iter()
        .filter_map(|(counter, words)| Some((memory.counters.bytes(counter).ok()?, words)));
    let largest = parts.max_by_key(|(bytes, _)| *bytes);
    let most = largest.filter(|(bytes, _)| bytes.as_f64() >= all * MOST);
    most.map_or_else(String::new, |(bytes, words)| format!(" {bytes} of it: {words}."))
}

/// That the limit was reached on cgroup v1, and nothing came of it.
fn gave_way(facts: &Facts<'_>) -> String {
    let spell = facts.history.at_limit.filter(|spell| spell.goes_on(facts.now));
    let spell = spell.filter(|_| !is_told(facts) && !facts.dying && facts.runs().is_empty());
    spell.map_or_else(String::new, |spell| {
        format!(
            " It has been at its limit for {} and nothing was killed: so far the kernel gives back what is needed.",
            format::duration(spell.seconds())
        )
    })
}

/// Where to look for what keeps it.
fn advice(facts: &Facts<'_>) -> &'static str {
    if is_told(facts) {
        "Look at open sockets, files and processes: `kernel_stack`, `pagetables`, `sock` and `slab` of memory.stat say which of them it is."
    } else {
        "Count open files, sockets and threads of the processes (`ls /proc/PID/fd /proc/PID/task | wc -l`). If they are few, it is most likely directory entries of files that are made, looked for and removed."
    }
}
