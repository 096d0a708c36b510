//! Step 2: which part of the charge grows.

use crate::detect::facts::Facts;
use crate::format;
use crate::investigate::steps::reply::Reply;
use crate::investigate::steps::reply::StepRow;
use crate::measure::charge;
use crate::measure::motion::MATERIAL_BYTES;
use crate::model::investigation::Answer;
use crate::model::investigation::StepId;
use crate::model::verdict::Evidence;
use crate::model::verdict::EvidenceLink;
use crate::model::verdict::Verdict;

pub(super) const STEP: StepRow = StepRow {
    id: StepId::Ledger,
    question: "Is it anonymous memory (heap, stacks) that grows?",
    explanation: "The charge splits into anonymous memory (heaps and stacks), page cache (file), shared memory and tmpfs (shmem: looks \
             like cache, cannot be dropped) and kernel memory (page tables, sockets, slab). Which part grows decides where to look \
             next: only anonymous growth can be a heap or goroutine leak.",
    answer,
};

fn answer(facts: &Facts<'_>, _: &Verdict) -> Reply {
    let series = ["anon_bytes", "file_bytes", "shmem_bytes", "kernel_bytes"];
    let changes = charge::changes(facts.history);
    if changes.is_empty() {
        let mut reply = Reply::new(Answer::Unknown, 0.0, "No split of the charge is available.").series(&series);
        if let Ok(memory) = &facts.history.newest
            && let Err(missing) = memory.anon()
        {
            reply.missing.push(("memory_stat", missing));
        }
        return reply;
    }
    let told: Vec<String> = changes
        .iter()
        .map(|part| {
            format!(
                "{} {}",
                part.name,
                format::change(part.level - part.change, part.level, format::bytes)
            )
        })
        .collect();
    let largest = changes.iter().max_by(|a, b| a.change.total_cmp(&b.change));
    let grew = largest.filter(|part| part.change >= MATERIAL_BYTES);
    let mut reply = match grew.map(|part| part.name) {
        Some("anon") => Reply::new(
            Answer::Yes,
            Reply::certainty(facts.memory.observed),
            format!("Mostly anonymous memory grows: {}.", told.join(", ")),
        ),
        Some(name) => Reply::new(
            Answer::No,
            Reply::certainty(facts.memory.observed),
            format!("Mostly {name} grows: {}.", told.join(", ")),
        ),
        None if facts.memory.observed <= 0.0 => {
            Reply::new(Answer::Unknown, 0.0, "Too few samples yet to see which part grows.")
        }
        None => Reply::new(
            Answer::No,
            Reply::certainty(facts.memory.observed),
            format!("No part grows by more than 1 MiB: {}.", told.join(", ")),
        ),
    };
    for part in &changes {
        reply.evidence.push(Evidence {
            claim: format!("change of {} over the window", part.name),
            value: part.change,
            unit: "bytes",
            weight: None,
            link: Some(EvidenceLink::Series(series.to_vec())),
        });
    }
    reply.series(&series)
}
