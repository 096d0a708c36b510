//! Two profiles, aligned by stack.

use crate::diff::variance;
use crate::model::profile::SampleType;
use crate::model::profile::StackValue;
use crate::model::stack::StackId;
use crate::model::stack::StackTable;
use std::collections::BTreeMap;

/// Two profiles, aligned by stack, seen through one sample type.
#[derive(Clone, Debug)]
pub struct Diff<'a> {
    stacks: &'a StackTable,
    sample_type: SampleType,
    rows: Vec<Row>,
}

/// One stack in both profiles.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    /// The stack.
    pub stack: StackId,
    /// Value in the base.
    pub base: i64,
    /// Value in the compared profile.
    pub compare: i64,
    /// Sampling variance of `compare - base`; `None` where the profile does not tell.
    pub variance: Option<f64>,
}

impl Row {
    /// Compare minus base.
    pub const fn delta(&self) -> i64 {
        self.compare.saturating_sub(self.base)
    }
}

impl<'a> Diff<'a> {
    /// Compares two lists of values. Values of a stack that is listed more than once are added, so that the profiles
    /// of several processes are merged by chaining their lists.
    pub fn new(
        stacks: &'a StackTable,
        sample_type: SampleType,
        base: impl IntoIterator<Item = (StackId, StackValue)>,
        compare: impl IntoIterator<Item = (StackId, StackValue)>,
    ) -> Self {
        let mut pairs: BTreeMap<StackId, (StackValue, StackValue)> = BTreeMap::new();
        for (stack, value) in base {
            pairs.entry(stack).or_default().0.add(&value);
        }
        for (stack, value) in compare {
            pairs.entry(stack).or_default().1.add(&value);
        }
        let rows = pairs
            .into_iter()
            .map(|(stack, (base, compare))| Row {
                stack,
                base: sample_type.value(&base),
                compare: sample_type.value(&compare),
                variance: variance::of_delta(sample_type, &base, &compare),
            })
            .collect();
        Self {
            stacks,
            sample_type,
            rows,
        }
    }

    /// The stacks' frames.
    pub const fn stacks(&self) -> &'a StackTable {
        self.stacks
    }

    /// What is compared.
    pub const fn sample_type(&self) -> SampleType {
        self.sample_type
    }

    /// Every stack, sorted.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Sum of the base.
    pub fn base_total(&self) -> i64 {
        self.rows.iter().fold(0, |sum, row| sum.saturating_add(row.base))
    }

    /// Sum of the compared profile.
    pub fn compare_total(&self) -> i64 {
        self.rows.iter().fold(0, |sum, row| sum.saturating_add(row.compare))
    }
}
