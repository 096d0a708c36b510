//! What is known to messages and back. Reading is fallible: a file may be damaged, or of another version.

mod claim;
mod event;
mod post_mortem;
mod ruling;
mod run;
mod target;
mod verdict;

pub(in crate::store) use event::event_from;
pub(in crate::store) use event::event_to;
pub(in crate::store) use post_mortem::post_mortem_from;
pub(in crate::store) use post_mortem::post_mortem_to;
pub(in crate::store) use ruling::ruling_from;
pub(in crate::store) use ruling::ruling_to;
pub(in crate::store) use run::run_from;
pub(in crate::store) use run::run_to;
pub(in crate::store) use target::RestoredTarget;
pub(in crate::store) use target::state_from;
pub(in crate::store) use target::state_to;
pub(in crate::store) use verdict::verdict_from;
pub(in crate::store) use verdict::verdict_to;

use leakwatch_analysis::detect::table;
use leakwatch_analysis::history::WindowEnd;
use leakwatch_analysis::model::sample::Limit;
use leakwatch_analysis::model::units::Bytes;
use leakwatch_analysis::model::verdict::VerdictClass;

// Numbers on disk are positions in these tables: append only.
const WINDOW_ENDS: [WindowEnd; 3] = [WindowEnd::OomKill, WindowEnd::Restart, WindowEnd::LimitChange];

fn position<T: PartialEq>(table: &[T], value: &T) -> u32 {
    let place = table.iter().position(|known| known == value);
    place.and_then(|place| u32::try_from(place).ok()).unwrap_or(0)
}

fn entry<T: Copy>(table: &[T], place: u32) -> Option<T> {
    table.get(usize::try_from(place).ok()?).copied()
}

fn limit_from(limit: Option<u64>) -> Limit {
    limit.map_or(Limit::Max, |limit| Limit::Bytes(Bytes(limit)))
}

/// The class of that name, if this version has it.
fn class_from(name: &str) -> Option<VerdictClass> {
    table::classes().find(|class| class.name() == name)
}
