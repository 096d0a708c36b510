//! What people rule for services: taken in, taken back, and ended when their time is over.

use super::judge;
use crate::store::event::EventKind;
use crate::store::event::RulingChange;
use crate::store::memory::Memory;
use leakwatch_analysis::model::ruling::Ruled;
use leakwatch_analysis::model::ruling::Ruling;
use leakwatch_analysis::model::target::TargetId;
use leakwatch_analysis::model::units::Timestamp;
use std::sync::Arc;

/// Takes in a ruling; `None` takes back the one with that id.
pub(super) fn take_in(memory: &mut Memory, at: Timestamp, id: &str, ruling: Option<Ruling>) {
    match ruling {
        Some(ruling) if Arc::make_mut(&mut memory.rulings).put(ruling.clone()) => {
            tell(memory, at, ruling, RulingChange::Made);
        }
        Some(_) => memory.count_loss("ruling_bound_reached", 1),
        None => end(memory, at, id, RulingChange::TakenBack),
    }
}

/// Ends those whose time is over.
pub(super) fn expire(memory: &mut Memory, at: Timestamp) {
    for id in memory.rulings.ended(at) {
        end(memory, at, &id, RulingChange::Expired);
    }
}

fn end(memory: &mut Memory, at: Timestamp, id: &str, change: RulingChange) {
    if let Some(ruling) = Arc::make_mut(&mut memory.rulings).remove(id) {
        tell(memory, at, ruling, change);
    }
}

fn tell(memory: &mut Memory, at: Timestamp, ruling: Ruling, change: RulingChange) {
    let judged_anew: Vec<TargetId> = match ruling.ruled {
        Ruled::Mute => Vec::new(),
        Ruled::Overrule(..) => memory
            .replicas(&ruling.service)
            .filter(|(_, stored)| stored.history.gone_at.is_none())
            .map(|(id, _)| id.clone())
            .collect(),
    };
    memory.push_event(at, None, EventKind::Ruling { ruling, change });
    for id in judged_anew {
        judge::judge(memory, &id, at);
        judge::bury(memory, &id, at);
    }
}
