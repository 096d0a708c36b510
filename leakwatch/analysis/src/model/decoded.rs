//! What a profile says, on its way from where it was taken to the history it becomes a part of.

use crate::model::profile::ProfileLoss;
use crate::model::profile::Program;
use crate::model::profile::StackValue;
use crate::model::stack::Adopted;
use crate::model::stack::Frame;
use crate::model::stack::StackId;
use crate::model::stack::StackTable;
use crate::model::stack::StackTableFull;
use crate::model::values::Values;

/// A profile as analysis works on it: values by stack.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// What each stack holds.
    pub values: Values,
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
        self.intern_after(None, stacks, known)
    }

    /// The same, where a profile before is known of the same two tables: only what differs is looked up.
    pub fn intern_after(&self, before: Option<&Interned>, stacks: &mut StackTable, known: &mut Adopted) -> Summary {
        if let Some(values) = before.and_then(|before| before.next(self, stacks, known)) {
            return Summary {
                values,
                ..self.summary.clone()
            };
        }
        let mut sum = Summing::with_capacity(self.summary.values.len());
        for (stack, value) in &self.summary.values {
            let here = stacks.adopt(&self.stacks, stack, known);
            sum.add(stacks, here, self.stacks.frames(stack).next(), &value);
        }
        let mut summary = sum.finish(self.summary.period);
        // As it came: values lose bits of their variance, and equal profiles must have equal totals whichever way they were looked up.
        summary.total = self.summary.total;
        summary.program = self.summary.program.clone();
        summary.losses.splice(0..0, self.summary.losses.iter().cloned());
        summary
    }
}

/// A profile as it came, and with the stacks of another table: the next of the same process differs from it in little.
#[derive(Clone, Debug)]
pub struct Interned {
    /// As it came.
    pub there: Values,
    /// With the stacks of the other table, each still at its own.
    pub here: Values,
}

impl Interned {
    /// The profile after this one likewise. None where the table has no room for a stack that is new in it.
    fn next(&self, content: &ProfileContent, stacks: &mut StackTable, known: &mut Adopted) -> Option<Values> {
        let mut changes = Vec::new();
        let mut is_full = false;
        content.summary.values.each_change(&self.there, |stack, _, value| {
            // One that is not there any more has no value.
            let value = (value != StackValue::default()).then_some(value);
            match stacks.adopt(&content.stacks, stack, known) {
                Ok(here) => changes.push((here, value)),
                Err(_full) => is_full = true,
            }
        });
        changes.sort_by_key(|(stack, _)| *stack);
        (!is_full).then(|| self.here.with(&changes))
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
        if !self.values.is_sorted_by_key(|(stack, _)| *stack) {
            self.values.sort_by_key(|(stack, _)| *stack);
        }
        let folded = (self.folded > 0).then(|| ProfileLoss {
            reason: ProfileLoss::FOLDED.into(),
            samples: self.folded,
            value: self.folded_value,
        });
        Summary {
            values: Values::summed(self.values),
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
            .map(|(stack, value)| (stacks.frames(stack).count(), value.inuse_space))
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
        let before = Interned {
            there: content.summary.values.clone(),
            here: content.intern(&mut other, &mut known).values,
        };
        let mut content = content;
        let new = content.stacks.intern(&[frame("main.new"), frame("main.main")]).unwrap();
        let values = content.summary.values.iter().skip(1).chain([(new, value(9))]);
        content.summary.values = values.collect();
        // More bits than values keep.
        content.summary.total.inuse_variance = 0.1;
        let after = content.intern_after(Some(&before), &mut other, &mut known);
        let whole = content.intern(&mut other, &mut known);
        assert_eq!(after.values, whole.values);
        assert_eq!(after.values.len(), 3);
        assert_eq!([after.total, whole.total], [content.summary.total; 2]);
    }
}
