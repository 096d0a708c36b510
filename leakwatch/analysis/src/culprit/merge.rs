//! A profile in less room: small stacks end at the frame that their growth is attributed to.

use crate::culprit::Build;
use crate::model::decoded::Summing;
use crate::model::profile::ProfileLoss;
use crate::model::profile::SampleType;
use crate::model::profile::Snapshot;
use crate::model::profile::StackValue;
use crate::model::stack::StackTable;
use std::cmp::Reverse;

impl Snapshot {
    /// The same with the `keep` largest of its stacks as they are. The others lose the frames that called their culprit: totals, and what
    /// each call site holds, stay what they are.
    #[must_use]
    pub fn merged(&self, stacks: &mut StackTable, keep: usize) -> Self {
        let build = if self.profile_type.is_of_capture() {
            Build::learn_native(stacks, self.values.iter().map(|(stack, _)| *stack))
        } else {
            Build::learn(stacks, self.values.iter().map(|(stack, _)| *stack))
        };
        let sample_type = SampleType::default_of(self.profile_type);
        let weight = |value: &StackValue| {
            (
                sample_type.value(value).unsigned_abs(),
                value.alloc_space.unsigned_abs(),
            )
        };
        let mut largest_first: Vec<usize> = (0..self.values.len()).collect();
        largest_first.sort_by_key(|&place| Reverse(self.values.get(place).map(|(_, value)| weight(value))));
        let mut sum = Summing::with_capacity(self.values.len());
        let (mut samples, mut merged) = (0, StackValue::default());
        for (rank, place) in largest_first.into_iter().enumerate() {
            let Some((stack, value)) = self.values.get(place) else {
                continue;
            };
            if rank < keep {
                sum.add(stacks, Ok(*stack), None, value);
                continue;
            }
            let culprit = build.culprit(stacks.frames(*stack));
            let depth = stacks
                .frames(*stack)
                .position(|frame| culprit.is_some_and(|culprit| std::ptr::eq(culprit, frame)));
            let inner: Vec<u32> = stacks
                .frame_indices(*stack)
                .take(depth.map_or(1, |depth| depth + 1))
                .collect();
            let innermost = stacks.frames(*stack).next().cloned();
            let short = stacks.intern_indices(&inner);
            samples += 1;
            merged.add(value);
            sum.add(stacks, short, innermost.as_ref(), value);
        }
        let mut summary = sum.finish(self.period);
        // Merged again: what was merged before is among it.
        let before = self.losses.iter().filter(|loss| loss.reason != ProfileLoss::MERGED);
        summary.losses.extend(before.cloned());
        if samples > 0 {
            summary.losses.push(ProfileLoss {
                reason: ProfileLoss::MERGED.into(),
                samples,
                value: merged,
            });
        }
        Self {
            values: summary.values.into(),
            losses: summary.losses.into(),
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::profile::ProfileSource;
    use crate::model::profile::ProfileType;
    use crate::model::profile::Program;
    use crate::model::stack::Frame;
    use crate::model::target::ProcessKey;
    use crate::model::target::TargetId;
    use crate::model::units::Timestamp;
    use std::collections::BTreeMap;

    fn frame(function: String, file: &str) -> Frame {
        Frame {
            function: function.into(),
            file: file.into(),
            line: 1,
        }
    }

    /// What each call site holds.
    fn by_site(stacks: &StackTable, snapshot: &Snapshot) -> BTreeMap<String, i64> {
        let mut sites = BTreeMap::new();
        for (stack, value) in snapshot.values.iter() {
            let culprit = Build::default().culprit(stacks.frames(*stack)).unwrap();
            *sites.entry(culprit.function.to_string()).or_default() += value.inuse_space;
        }
        sites
    }

    #[test]
    fn call_sites_hold_what_they_held_and_the_largest_stacks_are_whole() {
        let mut stacks = StackTable::default();
        let mut sum = Summing::default();
        for number in 0..1_000_i64 {
            let stack = [
                frame("bytes.growSlice".to_owned(), "/usr/local/go/src/bytes/buffer.go"),
                frame(format!("main.leak{}", number % 7), "/src/main.go"),
                frame(format!("main.caller{number}"), "/src/main.go"),
            ];
            let value = StackValue {
                inuse_space: number,
                ..StackValue::default()
            };
            let id = stacks.intern(&stack);
            sum.add(&mut stacks, id, None, &value);
        }
        let summary = sum.finish(1);
        let snapshot = Snapshot {
            target: TargetId::from_text("t"),
            process: ProcessKey { pid: 1, start_ticks: 1 },
            profile_type: ProfileType::Heap,
            at: Timestamp::from_unix_seconds(1),
            source: ProfileSource::Snapshot,
            values: summary.values.into(),
            total: summary.total,
            period: 1,
            program: Program::default(),
            losses: [].into(),
        };
        let merged = snapshot.merged(&mut stacks, 100);
        assert_eq!(merged.values.len(), 107);
        assert_eq!(by_site(&stacks, &merged), by_site(&stacks, &snapshot));
        let whole = merged
            .values
            .iter()
            .filter(|(stack, _)| stacks.frames(*stack).count() == 3);
        assert!(whole.clone().count() == 100 && whole.clone().all(|(_, value)| value.inuse_space >= 900));
        let [loss] = &merged.losses[..] else {
            panic!("{:?}", merged.losses)
        };
        assert_eq!((&*loss.reason, loss.samples), (ProfileLoss::MERGED, 900));
        let again = merged.merged(&mut stacks, 10);
        assert_eq!(
            (again.values.len(), again.losses.len()),
            (10, 1),
            "the merged ones are the largest"
        );
        assert_eq!(by_site(&stacks, &again), by_site(&stacks, &snapshot));
    }
}
