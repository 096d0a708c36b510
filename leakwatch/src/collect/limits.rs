//! The tightest limit on the way from each cgroup of a walk to the root, and who has it.

use crate::identity::cgroup::CgroupWalk;
use leakwatch_analysis::model::reading::Reading;
use leakwatch_analysis::model::sample::Limit;
use leakwatch_analysis::model::units::Bytes;

/// Limits of the directories that were looked at so far: parents come before their children.
#[derive(Debug)]
pub(super) struct Limits<'w> {
    walk: &'w CgroupWalk,
    /// Of each directory whether others are below it.
    shared: Vec<bool>,
    found: Vec<Found>,
}

/// The tightest limit of a directory.
#[derive(Clone, Debug)]
struct Found {
    limit: Reading<Limit>,
    /// Whose it is: so many levels up.
    levels: u64,
    /// What cannot be reclaimed of the memory of the cgroup that has it, if others share it.
    held: Option<Bytes>,
}

/// Who has the tightest limit of a cgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Holder {
    /// So many levels up.
    pub(super) levels: u64,
    /// What cannot be reclaimed of all its memory.
    pub(super) held: Option<Bytes>,
}

impl<'w> Limits<'w> {
    pub(super) fn of(walk: &'w CgroupWalk) -> Self {
        let mut shared = vec![false; walk.directories.len()];
        for parent in walk.directories.iter().filter_map(|directory| directory.parent) {
            if let Some(shared) = shared.get_mut(parent) {
                *shared = true;
            }
        }
        Self {
            walk,
            shared,
            found: Vec::with_capacity(walk.directories.len()),
        }
    }

    /// Nothing is known of the next directory.
    pub(super) fn unknown(&mut self) {
        self.found.push(Found {
            limit: Ok(Limit::Max),
            levels: 0,
            held: None,
        });
    }

    /// The tightest limit of the next directory, which has this one of its own. What it holds is only asked for if it has one and there are cgroups below it.
    pub(super) fn tightest(
        &mut self,
        index: usize,
        own: Reading<Limit>,
        held: impl FnOnce() -> Option<Bytes>,
    ) -> Reading<Limit> {
        let directory = self.walk.directories.get(index);
        let inherited = directory
            .and_then(|directory| directory.parent)
            .and_then(|parent| self.found.get(parent));
        let found = match (own, inherited) {
            (Ok(own), Some(above)) if is_tighter(&above.limit, own) => Found {
                levels: above.levels + 1,
                ..above.clone()
            },
            (Ok(Limit::Bytes(own)), _) => Found {
                limit: Ok(Limit::Bytes(own)),
                levels: 0,
                held: if self.shared.get(index) == Some(&true) {
                    held()
                } else {
                    None
                },
            },
            (own, _) => Found {
                limit: own,
                levels: 0,
                held: None,
            },
        };
        let limit = found.limit.clone();
        self.found.push(found);
        limit
    }

    /// Who has the tightest limit of a directory that was looked at; none without one.
    pub(super) fn holder(&self, index: usize) -> Option<Holder> {
        let found = self.found.get(index)?;
        let is_limited = matches!(found.limit, Ok(Limit::Bytes(_)));
        is_limited.then_some(Holder {
            levels: found.levels,
            held: found.held,
        })
    }
}

/// Whether the limit of a parent is tighter than one's own. One that is not known is passed on: below it none is known.
fn is_tighter(above: &Reading<Limit>, own: Limit) -> bool {
    match (above, own) {
        (Err(_), _) | (Ok(Limit::Bytes(_)), Limit::Max) => true,
        (Ok(Limit::Max), _) => false,
        (Ok(Limit::Bytes(above)), Limit::Bytes(own)) => *above < own,
    }
}
