//! What a profile says, on its way from where it was taken to the history it becomes a part of.

use crate::model::profile::ProfileLoss;
use crate::model::profile::Program;
use crate::model::profile::StackValue;
use crate::model::stack::Adopted;
use crate::model::stack::Frame;
use crate::model::stack::StackId;
use crate::model::stack::StackTable;
use crate::model::stack::StackTableFull;

/// A profile as analysis works on it: values by stack.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// Values by stack, sorted by stack, each stack once.
    pub values: Vec<(StackId, StackValue)>,
    /// Sum over all samples of the profile.
    pub total: StackValue,
    /// What one sample stands for, as pprof has it: for a heap the mean bytes between two samples.
    pub period: i64,
    /// What was run.
    pub program: Program,
    /// What is not there, or not at its own stack.
    pub losses: Vec<ProfileLoss>,
}

/// Values by stack, in a table of stacks of the profile's own: read, decoded or counted once, so that whoever keeps it has only to look
/// its stacks up among those it knows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProfileContent {
    /// The stacks.
    pub stacks: StackTable,
    /// Their values.
    pub summary: Summary,
}

impl ProfileContent {
    /// The same with the stacks of another table, which gets those that it does not have yet. `known` has what was found before of
    /// the same two tables.
    pub fn intern(&self, stacks: &mut StackTable, known: &mut Adopted) -> Summary {
        let mut sum = Summing::with_capacity(self.summary.values.len());
        for (stack, value) in &self.summary.values {
            let here = stacks.adopt(&self.stacks, *stack, known);
            sum.add(stacks, here, self.stacks.frames(*stack).next(), value);
        }
        let mut summary = sum.finish(self.summary.period);
        summary.program = self.summary.program.clone();
        summary.losses.splice(0..0, self.summary.losses.iter().cloned());
        summary
    }
}

/// Adds values up by stack. Nothing is left out: what a full table has no room for is put down to its innermost frame alone, or to
/// none, and counted.
#[derive(Debug, Default)]
pub struct Summing {
    values: Vec<(StackId, StackValue)>,
    total: StackValue,
    folded: u64,
    folded_value: StackValue,
}

impl Summing {
    /// With room for so many samples.
    pub fn with_capacity(samples: usize) -> Self {
        Self {
            values: Vec::with_capacity(samples),
            ..Self::default()
        }
    }

    /// Adds a sample. `stack` is what interning it in `stacks` came to, `innermost` its innermost frame.
    pub fn add(
        &mut self,
        stacks: &mut StackTable,
        stack: Result<StackId, StackTableFull>,
        innermost: Option<&Frame>,
        value: &StackValue,
    ) {
        let stack = stack.unwrap_or_else(|_full| {
            self.folded += 1;
            self.folded_value.add(value);
            let alone = innermost.map(std::slice::from_ref).unwrap_or_default();
            stacks.intern(alone).unwrap_or(StackId::EMPTY)
        });
        self.put(stack, value);
    }

    /// Adds a sample of a stack that is interned.
    pub fn put(&mut self, stack: StackId, value: &StackValue) {
        self.total.add(value);
        self.values.push((stack, *value));
    }

    /// The sum.
    pub fn finish(mut self, period: i64) -> Summary {
        self.values.sort_by_key(|(stack, _)| *stack);
        self.values.dedup_by(|(stack, value), (kept, sum)| {
            let is_same = stack == kept;
            if is_same {
                sum.add(value);
            }
            is_same
        });
        let folded = (self.folded > 0).then(|| ProfileLoss {
            reason: ProfileLoss::FOLDED.into(),
            samples: self.folded,
            value: self.folded_value,
        });
        Summary {
            values: self.values,
            total: self.total,
            period,
            program: Program::default(),
            losses: folded.into_iter().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(inuse_space: i64) -> StackValue {
        StackValue {
            inuse_space,
            ..StackValue::default()
        }
    }

    #[test]
    fn what_a_full_table_has_no_room_for_is_at_its_innermost_frame() {
        let frame = |function: &str| Frame {
            function: function.into(),
            file: "main.go".into(),
            line: 1,
        };
        let full = StackTableFull {
            what: "frames of stacks",
            bound: 0,
        };
        let mut stacks = StackTable::default();
        let whole = stacks.intern(&[frame("main.leaf"), frame("main.main")]);
        let mut sum = Summing::default();
        let leaf = frame("main.leaf");
        sum.add(&mut stacks, whole, Some(&leaf), &value(1));
        sum.add(&mut stacks, Err(full), Some(&leaf), &value(2));
        sum.add(&mut stacks, whole, Some(&leaf), &value(4));
        sum.add(&mut stacks, Err(full), None, &value(8));
        let summary = sum.finish(512);
        let told: Vec<(usize, i64)> = summary
            .values
            .iter()
            .map(|(stack, value)| (stacks.frames(*stack).count(), value.inuse_space))
            .collect();
        assert_eq!(told, [(0, 8), (2, 5), (1, 2)]);
        assert_eq!((summary.total, summary.period), (value(15), 512));
        let [folded] = &summary.losses[..] else {
            panic!("{:?}", summary.losses)
        };
        assert_eq!(
            (&*folded.reason, folded.samples, folded.value),
            (ProfileLoss::FOLDED, 2, value(10))
        );
        let content = ProfileContent { stacks, summary };
        let mut other = StackTable::default();
        let mut known = Adopted::of(&content.stacks);
        for _ in 0..2 {
            assert_eq!(content.intern(&mut other, &mut known), content.summary);
        }
    }
}
