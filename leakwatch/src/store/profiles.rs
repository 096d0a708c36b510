//! All profiles within one bound: values by stack, and the one table of stacks that targets, gone ones and post-mortems share.
//!
//! At the bound the least valuable goes first: of gone targets the oldest, then the small stacks of the oldest post-mortems and at last
//! these themselves, as long as all of them take more than half of it; then the snapshots between the first and the newest of whoever
//! has most. What is left and still too much is merged.

use crate::store::post_mortem::PostMortem;
use crate::store::target::StoredTarget;
use hashbrown::HashSet;
use leakwatch_analysis::history::SnapshotSeries;
use leakwatch_analysis::model::decoded::Interned;
use leakwatch_analysis::model::decoded::ProfileContent;
use leakwatch_analysis::model::decoded::Summary;
use leakwatch_analysis::model::profile::Snapshot;
use leakwatch_analysis::model::stack::Adopted;
use leakwatch_analysis::model::stack::StackTable;
use leakwatch_analysis::model::target::ProcessKey;
use leakwatch_analysis::model::values::Values;
use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;

/// A profile of so many stacks is not merged any further.
const LEAST_MERGED: usize = 4_096;

/// The stacks of all profiles, and what everything takes.
#[derive(Debug, Default)]
pub(super) struct Profiles {
    stacks: StackTable,
    /// The table as readers have it; none once it has grown.
    shared: Option<Arc<StackTable>>,
    /// Where the stacks of running programs are in it, those that were asked for last at the end.
    known: Vec<Known>,
    /// Bytes of the table after it was compacted last.
    compacted: usize,
    /// Bytes of values that were dropped since.
    dropped: usize,
    /// Bytes of all values when they were added up last.
    values: usize,
}

/// A running program whose profiles come again and again.
#[derive(Debug)]
struct Known {
    /// Where its stacks are in the table.
    stacks: Adopted,
    /// The heap profiles of its processes as they came last, and as they are kept; those that came last at the end.
    last: Vec<(ProcessKey, Interned)>,
}

impl Known {
    /// Processes of which the last profile is known: of more they are looked up whole.
    const MAX_LAST: usize = 16;

    fn take(&mut self, process: ProcessKey) -> Option<Interned> {
        let place = self.last.iter().position(|(of, _)| *of == process)?;
        Some(self.last.remove(place).1)
    }

    fn keep(&mut self, process: ProcessKey, last: Interned) {
        if self.last.len() >= Self::MAX_LAST {
            self.last.remove(0);
        }
        self.last.push((process, last));
    }

    /// What is kept of a profile is its target's as well.
    fn bytes(&self) -> usize {
        let last = self.last.iter().map(|(_, last)| last.there.bytes());
        self.stacks.bytes() + last.sum::<usize>()
    }
}

/// Whoever keeps profiles.
#[derive(Debug)]
pub(super) struct Kept<'a> {
    pub(super) targets: Vec<&'a mut StoredTarget>,
    pub(super) post_mortems: Vec<&'a mut Arc<PostMortem>>,
}

impl Profiles {
    /// Stacks that nobody uses any more are dropped once the table is so much larger than twice what was in use.
    const SLACK: usize = 1 << 20;

    /// Programs of which is known where their stacks are: more are looked up anew.
    const MAX_KNOWN: usize = 8;

    /// Looks up the stacks of a profile. Of a process whose heap profiles follow one another, only what differs from the one before.
    pub(super) fn intern(&mut self, content: &ProfileContent, of: Option<ProcessKey>) -> (Summary, Arc<StackTable>) {
        let before = self.stacks.len();
        let place = self.known.iter().position(|known| known.stacks.is_of(&content.stacks));
        let new = || Known {
            stacks: Adopted::of(&content.stacks),
            last: Vec::new(),
        };
        let mut known = place.map_or_else(new, |place| self.known.remove(place));
        let last = of.and_then(|process| known.take(process));
        let summary = content.intern_after(last.as_ref(), &mut self.stacks, &mut known.stacks);
        // Where there was no room, stacks share one: what belongs to which cannot be told the next time.
        if let Some(process) = of
            && summary.losses.len() == content.summary.losses.len()
        {
            let (there, here) = (content.summary.values.clone(), summary.values.clone());
            known.keep(process, Interned { there, here });
        }
        if self.known.len() >= Self::MAX_KNOWN {
            self.known.remove(0);
        }
        self.known.push(known);
        if self.stacks.len() != before {
            self.shared = None;
        }
        (summary, self.shared())
    }

    /// Bytes of all profiles, as of the last fitting.
    pub(super) fn bytes(&self) -> usize {
        self.values + self.bytes_of_stacks()
    }

    fn bytes_of_stacks(&self) -> usize {
        self.stacks.bytes() + self.bytes_of_known()
    }

    fn bytes_of_known(&self) -> usize {
        self.known.iter().map(Known::bytes).sum()
    }

    /// Drops what is least valuable until all fit: what had to go, by reason.
    pub(super) fn fit(&mut self, mut kept: Kept<'_>, bound: usize) -> BTreeMap<&'static str, u64> {
        let mut counts = BTreeMap::new();
        self.values = kept.bytes();
        self.forget_known(&kept, bound / 3);
        if self.stacks.bytes() > 2 * self.compacted + Self::SLACK {
            self.compact(&mut kept);
        }
        while self.bytes() > bound {
            // Some more than has to, so that this is not done again and again.
            let wanted = (bound - bound / 8).saturating_sub(self.bytes_of_stacks().min(bound / 2));
            let (before, stacks) = (self.values, self.stacks.len());
            while self.values > wanted.min(before - before / 8) {
                let dropped = kept
                    .drop_least_valuable(&mut self.stacks, bound)
                    .or_else(|| kept.merge_the_largest(&mut self.stacks))
                    .or_else(|| kept.drop_of_the_largest());
                let Some(reason) = dropped else { break };
                *counts.entry(reason).or_default() += 1;
                self.values = kept.bytes();
            }
            self.dropped += before - self.values;
            // Compacting goes through everything: only once it may be worth it.
            let is_compacted = (self.bytes() > bound || self.dropped > bound) && self.compact(&mut kept);
            if !is_compacted && self.stacks.len() != stacks {
                // Merged profiles have stacks that nobody's copy of the table has.
                self.shared = None;
                kept.share(&self.shared());
            }
            if self.values == before {
                break;
            }
        }
        counts
    }

    /// Forgets the programs that are gone and the profiles of processes that are; beyond the bound those that came least lately.
    fn forget_known(&mut self, kept: &Kept<'_>, bound: usize) {
        self.known.retain(|known| !known.stacks.is_orphan());
        let living = kept.targets.iter().flat_map(|target| target.history.living());
        let living: HashSet<ProcessKey> = living.map(|record| record.process.key).collect();
        for known in &mut self.known {
            known.last.retain(|(process, _)| living.contains(process));
        }
        while self.bytes_of_known() > bound {
            match self.known.iter_mut().find(|known| known.last.len() > 1) {
                Some(known) => drop(known.last.remove(0)),
                None => drop(self.known.remove(0)),
            }
        }
    }

    fn shared(&mut self) -> Arc<StackTable> {
        Arc::clone(self.shared.get_or_insert_with(|| Arc::new(self.stacks.clone())))
    }

    /// Drops stacks that are in no profile any more; false where they are not worth it.
    fn compact(&mut self, kept: &mut Kept<'_>) -> bool {
        self.dropped = 0;
        let mut lists = HashMap::new();
        kept.each_snapshot(|snapshot| drop(lists.insert(snapshot.values.address(), snapshot.values.clone())));
        let used = self.stacks.used(lists.values().flat_map(Values::stacks));
        drop(lists);
        if used.count() > self.stacks.len() / 4 * 3 {
            self.compacted = self.stacks.bytes();
            kept.forget_tables();
            return false;
        }
        let (stacks, moved) = self.stacks.compacted(&used);
        self.stacks = stacks;
        self.compacted = self.stacks.bytes();
        for known in &mut self.known {
            known.stacks.follow(&moved);
            known.last.clear();
        }
        self.shared = None;
        let shared = self.shared();
        kept.renumber(&moved);
        kept.share(&shared);
        kept.forget_tables();
        true
    }
}

impl Kept<'_> {
    fn each_snapshot(&self, mut visit: impl FnMut(&Snapshot)) {
        for target in &self.targets {
            for snapshot in target.history.series().flat_map(SnapshotSeries::as_slice) {
                visit(snapshot);
            }
        }
        for snapshot in self.post_mortems.iter().flat_map(|post_mortem| &post_mortem.profiles) {
            visit(snapshot);
        }
    }

    /// Bytes of all values, shared ones once.
    fn bytes(&self) -> usize {
        let mut sum = BytesOnce::default();
        self.each_snapshot(|snapshot| sum.add(&snapshot.values));
        sum.bytes
    }

    /// Bytes of what is kept of gone targets and in post-mortems.
    fn bytes_of_the_gone(&self) -> usize {
        let mut sum = BytesOnce::default();
        let gone = self.targets.iter().filter(|target| target.history.gone_at.is_some());
        let of_targets = gone
            .flat_map(|target| target.history.series())
            .flat_map(SnapshotSeries::as_slice);
        let of_post_mortems = self.post_mortems.iter().flat_map(|post_mortem| &post_mortem.profiles);
        for snapshot in of_targets.chain(of_post_mortems) {
            sum.add(&snapshot.values);
        }
        sum.bytes
    }

    /// Drops one thing; why it was there to be dropped, or none if there is nothing left.
    fn drop_least_valuable(&mut self, stacks: &mut StackTable, bound: usize) -> Option<&'static str> {
        if self.bytes_of_the_gone() > bound / 2 {
            let dropped = self.drop_of_the_gone(stacks);
            if dropped.is_some() {
                return dropped;
            }
        }
        self.thin_the_largest().or_else(|| self.drop_of_the_gone(stacks))
    }

    /// Of gone targets everything goes before post-mortems lose anything: these have the last profile. Of a post-mortem the small stacks go first.
    fn drop_of_the_gone(&mut self, stacks: &mut StackTable) -> Option<&'static str> {
        let gone = self
            .targets
            .iter_mut()
            .filter(|target| target.history.gone_at.is_some() && has_profiles(target));
        if let Some(oldest) = gone.min_by_key(|target| target.history.gone_at) {
            oldest.history.snapshots.clear();
            oldest.history.previous_snapshots.clear();
            oldest.view = None;
            return Some("profiles_of_gone_target_dropped");
        }
        let is_large = |snapshot: &Snapshot| snapshot.values.len() > LEAST_MERGED;
        let mut oldest_first = self.post_mortems.iter_mut();
        if let Some(oldest) = oldest_first.find(|post_mortem| post_mortem.profiles.iter().any(is_large)) {
            for snapshot in Arc::make_mut(oldest)
                .profiles
                .iter_mut()
                .filter(|snapshot| is_large(snapshot))
            {
                *snapshot = snapshot.merged(stacks, snapshot.values.len() / 4);
            }
            return Some("post_mortem_profiles_merged");
        }
        let mut oldest_first = self.post_mortems.iter_mut();
        let oldest = oldest_first.find(|post_mortem| !post_mortem.profiles.is_empty())?;
        Arc::make_mut(oldest).profiles.clear();
        Some("post_mortem_profiles_dropped")
    }

    fn thin_the_largest(&mut self) -> Option<&'static str> {
        let thick = self.targets.iter_mut().filter(|target| interior_bytes(target) > 0);
        let largest = thick.max_by_key(|target| interior_bytes(target))?;
        for series in largest.history.series_mut() {
            series.thin();
        }
        largest.view = None;
        Some("profiles_thinned")
    }

    /// Merges the small stacks of the largest snapshot, of a newest one only if there is no other.
    fn merge_the_largest(&mut self, stacks: &mut StackTable) -> Option<&'static str> {
        let mut largest: Option<(bool, usize, &mut Snapshot)> = None;
        for target in &mut self.targets {
            if target.history.series().all(|series| !has_large(series)) {
                continue;
            }
            target.view = None;
            for series in target.history.series_mut().filter(|series| has_large(series)) {
                let newest = series.as_slice().len().saturating_sub(1);
                for (place, snapshot) in series.as_mut_slice().iter_mut().enumerate() {
                    let rank = (place != newest, snapshot.values.len());
                    let is_larger = largest.as_ref().is_none_or(|(older, len, _)| rank > (*older, *len));
                    if rank.1 > LEAST_MERGED && is_larger {
                        largest = Some((rank.0, rank.1, snapshot));
                    }
                }
            }
        }
        let (_, len, snapshot) = largest?;
        *snapshot = snapshot.merged(stacks, len / 4);
        Some("profiles_merged")
    }

    fn drop_of_the_largest(&mut self) -> Option<&'static str> {
        let having = self.targets.iter_mut().filter(|target| has_profiles(target));
        let largest = having.max_by_key(|target| bytes_of(target))?;
        let has_more = |series: &SnapshotSeries| series.as_slice().len() > 1;
        if largest.history.series().any(has_more) || !largest.history.previous_snapshots.is_empty() {
            largest.history.previous_snapshots.clear();
            largest
                .history
                .snapshots
                .values_mut()
                .for_each(SnapshotSeries::keep_newest);
        } else {
            largest.history.snapshots.clear();
        }
        largest.view = None;
        Some("profiles_dropped")
    }

    /// Gives every value the number that its stack has in a compacted table.
    fn renumber(&mut self, moved: &Adopted) {
        let mut renumbered: HashMap<*const u8, Values> = HashMap::new();
        // The old values are kept until all are done: an address stands for one list.
        let mut old = Vec::new();
        // What a snapshot shares is most often with the one before.
        let mut before = Values::default();
        let mut renumber = |snapshot: &mut Snapshot| {
            let values = renumbered.entry(snapshot.values.address()).or_insert_with(|| {
                let here = |(stack, value)| Some((moved.stack(stack)?, value));
                let mut values: Values = snapshot.values.iter().filter_map(here).collect();
                values.share_with(&before);
                values
            });
            before = values.clone();
            old.push(std::mem::replace(&mut snapshot.values, values.clone()));
        };
        for target in self.targets.iter_mut().filter(|target| has_profiles(target)) {
            for series in target.history.series_mut() {
                series.as_mut_slice().iter_mut().for_each(&mut renumber);
            }
        }
        for post_mortem in having_profiles(&mut self.post_mortems) {
            post_mortem.profiles.iter_mut().for_each(&mut renumber);
        }
    }

    /// Gives whoever has profiles this copy of the table.
    fn share(&mut self, shared: &Arc<StackTable>) {
        for target in self.targets.iter_mut().filter(|target| has_profiles(target)) {
            target.history.stacks = Arc::clone(shared);
            target.view = None;
        }
        for post_mortem in having_profiles(&mut self.post_mortems) {
            post_mortem.stacks = Arc::clone(shared);
        }
    }

    /// Whoever has no profiles any more holds no table of stacks either.
    fn forget_tables(&mut self) {
        for target in self.targets.iter_mut().filter(|target| !has_profiles(target)) {
            if !target.history.stacks.is_empty() {
                target.history.stacks = Arc::default();
                target.view = None;
            }
        }
        for post_mortem in &mut self.post_mortems {
            if post_mortem.profiles.is_empty() && !post_mortem.stacks.is_empty() {
                Arc::make_mut(post_mortem).stacks = Arc::default();
            }
        }
    }
}

/// Adds up what values take; what several share counts once.
#[derive(Default)]
struct BytesOnce {
    seen: HashSet<*const u8>,
    bytes: usize,
}

impl BytesOnce {
    fn add(&mut self, values: &Values) {
        if self.seen.insert(values.address()) {
            self.bytes += values.own_bytes();
            let new = values.parts().filter(|(part, _)| self.seen.insert(*part));
            self.bytes += new.map(|(_, bytes)| bytes).sum::<usize>();
        }
    }
}

fn having_profiles<'a>(post_mortems: &'a mut [&mut Arc<PostMortem>]) -> impl Iterator<Item = &'a mut PostMortem> {
    let having = post_mortems
        .iter_mut()
        .filter(|post_mortem| !post_mortem.profiles.is_empty());
    having.map(|post_mortem| Arc::make_mut(post_mortem))
}

/// Whether a snapshot has so many stacks that merging the small ones is worth it.
fn has_large(series: &SnapshotSeries) -> bool {
    let mut snapshots = series.as_slice().iter();
    snapshots.any(|snapshot| snapshot.values.len() > LEAST_MERGED)
}

fn has_profiles(target: &StoredTarget) -> bool {
    target.history.series().any(|series| series.newest().is_some())
}

fn bytes_of(target: &StoredTarget) -> usize {
    let snapshots = target.history.series().flat_map(SnapshotSeries::as_slice);
    snapshots.map(|snapshot| snapshot.values.bytes()).sum()
}

/// Bytes of the snapshots between the first and the newest.
fn interior_bytes(target: &StoredTarget) -> usize {
    let interior = |series: &SnapshotSeries| {
        let snapshots = series.as_slice();
        let between = snapshots.get(1..snapshots.len().saturating_sub(1)).unwrap_or_default();
        between.iter().map(|snapshot| snapshot.values.bytes()).sum::<usize>()
    };
    target.history.series().map(interior).sum()
}
