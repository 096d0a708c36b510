//! A profile in less room: of small stacks the calls between their outermost ones and the frame that their growth is attributed to are left out.

use crate::culprit::Build;
use crate::model::decoded::Summing;
use crate::model::profile::ProfileLoss;
use crate::model::profile::SampleType;
use crate::model::profile::Snapshot;
use crate::model::profile::StackValue;
use crate::model::stack::StackId;
use crate::model::stack::StackTable;
use hashbrown::HashSet;
use std::cmp::Reverse;

/// How many of the outermost calls of small stacks are kept: as many as leave few enough stacks.
const OUTERMOST: [usize; 7] = [64, 32, 16, 8, 4, 2, 1];

/// A stack with calls left out: the outermost ones, and the innermost.
type Short = (StackId, Vec<u32>);

impl Snapshot {
    /// The same with the `keep` largest of its stacks as they are, and at most as many others. These lose calls between the outermost and their culprit: totals,
    /// what each call site holds, and what is held below each of the outermost calls that are kept, stay what they are.
    #[must_use]
    pub fn merged(&self, stacks: &mut StackTable, keep: usize) -> Self {
        let build = if self.profile_type.is_of_capture() {
            Build::learn_native(stacks, self.values.stacks())
        } else {
            Build::learn(stacks, self.values.stacks())
        };
        let sample_type = SampleType::default_of(self.profile_type);
        let weight = |value: &StackValue| {
            (
                sample_type.value(value).unsigned_abs(),
                value.alloc_space.unsigned_abs(),
            )
        };
        let mut values: Vec<(StackId, StackValue)> = self.values.iter().collect();
        values.sort_by_key(|(_, value)| Reverse(weight(value)));
        let small = values.split_off(keep.min(values.len()));
        let mut sum = Summing::with_capacity(values.len());
        for (stack, value) in &values {
            sum.put(*stack, value);
        }
        let inner: Vec<usize> = small
            .iter()
            .map(|(stack, _)| calls_to_culprit(stacks, &build, *stack))
            .collect();
        let outermost = outermost(
            stacks,
            small.iter().map(|(stack, _)| *stack).zip(inner.iter().copied()),
            keep,
        );
        let (mut samples, mut merged) = (0, StackValue::default());
        let mut path = Vec::new();
        for ((stack, value), inner) in small.iter().zip(&inner) {
            path.clear();
            path.extend(stacks.path(*stack));
            if inner + outermost >= path.len() {
                sum.put(*stack, value);
                continue;
            }
            let outer = path
                .get(path.len() - outermost)
                .map_or(StackId::EMPTY, |(stack, _)| *stack);
            let mut inner = path.iter().take(*inner).rev();
            let short = inner.try_fold(outer, |caller, (_, frame)| stacks.intern_call(caller, *frame));
            let innermost = stacks.frames(*stack).next().cloned();
            samples += 1;
            merged.add(value);
            sum.add(stacks, short, innermost.as_ref(), value);
        }
        let mut summary = sum.finish(self.period);
        let (before, mut losses): (Vec<_>, Vec<_>) =
            (self.losses.iter().cloned()).partition(|loss| loss.reason == ProfileLoss::MERGED);
        losses.append(&mut summary.losses);
        let now = (samples > 0).then(|| ProfileLoss {
            reason: ProfileLoss::MERGED.into(),
            samples,
            value: merged,
        });
        // Merged again: what was merged before is most often among it.
        losses.extend(
            before
                .into_iter()
                .chain(now)
                .max_by_key(|loss| (weight(&loss.value), loss.samples)),
        );
        Self {
            values: summary.values,
            losses: losses.into(),
            ..self.clone()
        }
    }
}

/// How many of the innermost calls of a stack lead to its culprit, this included.
fn calls_to_culprit(stacks: &StackTable, build: &Build, stack: StackId) -> usize {
    let culprit = build.culprit(stacks.frames(stack));
    let place = stacks
        .frames(stack)
        .position(|frame| culprit.is_some_and(|culprit| std::ptr::eq(culprit, frame)));
    place.unwrap_or(0) + 1
}

/// How many of the outermost calls of these stacks can be kept, with so many of the innermost ones, so that at most `most` different ones are left; none where even
/// one is too much.
fn outermost(stacks: &StackTable, small: impl Iterator<Item = (StackId, usize)>, most: usize) -> usize {
    let mut seen: Vec<(usize, HashSet<Short>)> = OUTERMOST.map(|depth| (depth, HashSet::new())).into();
    let mut path = Vec::new();
    for (stack, inner) in small {
        path.clear();
        path.extend(stacks.path(stack));
        seen.retain_mut(|(depth, shorts)| {
            let is_whole = inner + *depth >= path.len();
            let outer = if is_whole { 0 } else { path.len() - *depth };
            let outer = path.get(outer).map_or(StackId::EMPTY, |(stack, _)| *stack);
            let inner = if is_whole { 0 } else { inner };
            shorts.insert((outer, path.iter().take(inner).map(|(_, frame)| *frame).collect()));
            shorts.len() <= most
        });
    }
    seen.first().map_or(0, |(depth, _)| *depth)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::decoded::Summary;
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

    fn snapshot(summary: Summary) -> Snapshot {
        Snapshot {
            target: TargetId::from_text("t"),
            process: ProcessKey { pid: 1, start_ticks: 1 },
            profile_type: ProfileType::Heap,
            at: Timestamp::from_unix_seconds(1),
            source: ProfileSource::Snapshot,
            values: summary.values,
            total: summary.total,
            period: 1,
            program: Program::default(),
            losses: [].into(),
        }
    }

    /// What each call site holds.
    fn by_site(stacks: &StackTable, snapshot: &Snapshot) -> BTreeMap<String, i64> {
        let mut sites = BTreeMap::new();
        for (stack, value) in &snapshot.values {
            let culprit = Build::default().culprit(stacks.frames(stack)).unwrap();
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
        let snapshot = snapshot(summary);
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

    /// Programs of few outer calls, many inner ones: what is held below the outer calls is told as before.
    #[test]
    fn outermost_calls_hold_what_they_held() {
        let mut stacks = StackTable::default();
        let mut sum = Summing::default();
        for number in 0..4_096_i64 {
            let mut stack = vec![frame("main.keep".to_owned(), "/src/main.go")];
            // Twelve calls tell them apart, the innermost first.
            let branch = |bit: i64| frame(format!("main.branch{bit}{}", number >> bit & 1), "/src/main.go");
            stack.extend((0..12).map(branch));
            stack.push(frame("main.main".to_owned(), "/src/main.go"));
            let value = StackValue {
                inuse_space: number % 100,
                ..StackValue::default()
            };
            let id = stacks.intern(&stack);
            sum.add(&mut stacks, id, None, &value);
        }
        let summary = sum.finish(1);
        let snapshot = snapshot(summary);
        let merged = snapshot.merged(&mut stacks, 100);
        assert!((100..=200).contains(&merged.values.len()), "{}", merged.values.len());
        let below = |snapshot: &Snapshot, function: &str| -> i64 {
            let values = snapshot.values.iter();
            let of = values.filter(|(stack, _)| stacks.frames(*stack).any(|frame| &*frame.function == function));
            of.map(|(_, value)| value.inuse_space).sum()
        };
        for function in [
            "main.keep",
            "main.main",
            "main.branch110",
            "main.branch111",
            "main.branch101",
            "main.branch91",
        ] {
            assert_eq!(below(&merged, function), below(&snapshot, function), "{function}");
        }
        assert_ne!(
            below(&merged, "main.branch01"),
            below(&snapshot, "main.branch01"),
            "it says that it is merged"
        );
        assert!(!merged.is_complete());
    }
}
