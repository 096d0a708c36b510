//! The goroutines of a walk: counted, without stacks.

use super::walk::HeapWalk;
use crate::attach::GoProcess;
use crate::attach::NoGoroutines;
use crate::goroutines::CensusGroup;
use crate::goroutines::GoroutineBounds;
use crate::goroutines::Status;
use crate::memory::ReadMemory;

impl<M: ReadMemory> GoProcess<M> {
    /// The program's own goroutines of a walk, largest group first. Nothing is read of the process, unless nobody knows any more how the walk was
    /// to read them.
    pub fn final_goroutines(&mut self, walk: &HeapWalk) -> Result<Vec<CensusGroup>, NoGoroutines> {
        let goroutines = self.goroutines(GoroutineBounds::default())?;
        let mut groups: Vec<CensusGroup> = walk
            .groups
            .iter()
            .filter(|group| goroutines.is_of_program(group.start))
            .filter_map(|group| {
                let status = Status::from_raw(group.status.into())?;
                let reason = u8::try_from(group.wait_reason).ok();
                Some(CensusGroup {
                    start: goroutines.linked(group.start),
                    created_at: goroutines.linked(group.created_at),
                    status,
                    wait_reason: reason.filter(|reason| status.is_blocked() && *reason != 0),
                    count: group.count,
                    blocked_after: None,
                })
            })
            .collect();
        groups.sort_by_key(|group| {
            (
                std::cmp::Reverse(group.count),
                group.start,
                group.created_at,
                group.status,
            )
        });
        Ok(groups)
    }
}
