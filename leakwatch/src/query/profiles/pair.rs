//! Two profiles in one table of stacks, so that they can be compared.

use crate::query::profiles::profile::Profile;
use leakwatch_analysis::model::profile::ProfileLoss;
use leakwatch_analysis::model::profile::Snapshot;
use leakwatch_analysis::model::profile::StackValue;
use leakwatch_analysis::model::stack::Adopted;
use leakwatch_analysis::model::stack::Frame;
use leakwatch_analysis::model::stack::StackId;
use leakwatch_analysis::model::stack::StackTable;
use leakwatch_analysis::model::stack::StackTableFull;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Two profiles in one table.
#[derive(Debug)]
pub struct Pair {
    /// The one that the other is compared with.
    pub base: Snapshot,
    /// The other.
    pub compare: Snapshot,
    /// Their stacks.
    pub stacks: Arc<StackTable>,
    /// Whether they are of different builds: then lines were left out, for they move.
    pub by_function: bool,
}

impl Pair {
    /// Brings two profiles together: stacks of equal frames are one stack.
    pub fn new(base: Profile, compare: Profile) -> Self {
        let builds = [&base, &compare].map(|profile| &*profile.snapshot.program.build_id);
        let by_function = builds.iter().all(|build| !build.is_empty()) && builds.first() != builds.last();
        if Arc::ptr_eq(&base.stacks, &compare.stacks) && !by_function {
            return Self {
                base: base.snapshot,
                compare: compare.snapshot,
                stacks: base.stacks,
                by_function,
            };
        }
        let mut stacks = StackTable::default();
        let [base, compare] = [base, compare].map(|profile| moved(&mut stacks, profile, by_function));
        Self {
            base,
            compare,
            stacks: Arc::new(stacks),
            by_function,
        }
    }
}

/// Looks the stacks of a profile up in a table, with or without the lines of their frames. Those for which there is no room become one without frames.
fn moved(table: &mut StackTable, profile: Profile, without_lines: bool) -> Snapshot {
    let Profile { mut snapshot, stacks } = profile;
    let mut known = Adopted::of(&stacks);
    let mut values: BTreeMap<StackId, StackValue> = BTreeMap::new();
    let mut lost = 0;
    for (stack, value) in &snapshot.values {
        let here = if without_lines {
            by_function(table, &stacks, stack)
        } else {
            table.adopt(&stacks, stack, &mut known)
        };
        let here = here.unwrap_or_else(|_full| {
            lost += 1;
            StackId::EMPTY
        });
        values.entry(here).or_default().add(&value);
    }
    snapshot.values = values.into_iter().collect();
    if lost > 0 {
        let more = ProfileLoss::of(ProfileLoss::FOLDED, lost);
        snapshot.losses = snapshot.losses.iter().cloned().chain(more).collect();
    }
    snapshot
}

fn by_function(table: &mut StackTable, there: &StackTable, stack: StackId) -> Result<StackId, StackTableFull> {
    let calls: Vec<(&Frame, bool)> = there.calls(stack).collect();
    calls
        .into_iter()
        .rev()
        .try_fold(StackId::EMPTY, |caller, (frame, inlined)| {
            let frame = table.intern_frame(&Frame {
                line: 0,
                ..frame.clone()
            })?;
            let inlined = if inlined { StackTable::INLINED } else { 0 };
            table.intern_call(caller, frame | inlined)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use leakwatch_analysis::model::profile::ProfileSource;
    use leakwatch_analysis::model::profile::ProfileType;
    use leakwatch_analysis::model::profile::Program;
    use leakwatch_analysis::model::target::ProcessKey;
    use leakwatch_analysis::model::target::TargetId;
    use leakwatch_analysis::model::units::Timestamp;

    /// Stacks of one function each, by their lines.
    fn profile(build: &str, lines: &[u32]) -> Profile {
        let mut stacks = StackTable::default();
        let mut value = |line: &u32| {
            let frame = |function: &str, line| Frame {
                function: function.into(),
                file: "main.go".into(),
                line,
            };
            let stack = stacks
                .intern(&[frame("main.fill", *line), frame("main.main", 1)])
                .unwrap();
            let value = StackValue {
                inuse_space: i64::from(*line),
                ..StackValue::default()
            };
            (stack, value)
        };
        let values = lines.iter().map(&mut value).collect();
        Profile {
            snapshot: Snapshot {
                target: TargetId::from_text("t"),
                process: ProcessKey { pid: 1, start_ticks: 1 },
                profile_type: ProfileType::Heap,
                at: Timestamp::from_unix_seconds(1),
                source: ProfileSource::Snapshot,
                values,
                total: StackValue::default(),
                period: 1,
                program: Program {
                    file: "/p".into(),
                    build_id: build.into(),
                },
                losses: [].into(),
            },
            stacks: Arc::new(stacks),
        }
    }

    fn by_stack(pair: &Pair, snapshot: &Snapshot) -> Vec<(Vec<(String, u32)>, i64)> {
        let named = |stack| {
            let frames = pair.stacks.frames(stack);
            frames.map(|frame| (frame.function.to_string(), frame.line)).collect()
        };
        let values = snapshot.values.iter();
        values.map(|(stack, value)| (named(stack), value.inuse_space)).collect()
    }

    #[test]
    fn two_tables_become_one_and_lines_count_within_a_build_only() {
        let stack = |line, outer| vec![("main.fill".to_owned(), line), ("main.main".to_owned(), outer)];
        let same = Pair::new(profile("a", &[10, 20]), profile("a", &[20, 30]));
        assert!(!same.by_function);
        assert_eq!(by_stack(&same, &same.base), [(stack(10, 1), 10), (stack(20, 1), 20)]);
        let mut compare = by_stack(&same, &same.compare);
        compare.sort();
        assert_eq!(compare, [(stack(20, 1), 20), (stack(30, 1), 30)]);
        assert_eq!(same.stacks.len(), 4, "what both have is there once");

        let other = Pair::new(profile("a", &[10, 20]), profile("b", &[21, 31]));
        assert!(other.by_function);
        assert_eq!(by_stack(&other, &other.base), [(stack(0, 0), 30)]);
        assert_eq!(by_stack(&other, &other.compare), [(stack(0, 0), 52)]);
        let untold = Pair::new(profile("", &[10]), profile("b", &[10]));
        assert!(!untold.by_function, "who does not know the build assumes the same");
    }
}
