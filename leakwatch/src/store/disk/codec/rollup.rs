//! Rows over a span of time in one: lowest, highest, newest value, sum and number of values of each column. Rollups of rollups are the
//! rollups of all their rows.

use super::row::Row;
use crate::store::disk::column::Column;

/// What is kept of the values of one column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aggregate {
    /// The lowest.
    pub min: u64,
    /// The highest.
    pub max: u64,
    /// The newest.
    pub last: u64,
    /// Their sum, at most `u64::MAX`.
    pub sum: u64,
    /// How many.
    pub count: u64,
}

impl Aggregate {
    const fn of(value: u64) -> Self {
        Self {
            min: value,
            max: value,
            last: value,
            sum: value,
            count: 1,
        }
    }

    fn add(&mut self, later: &Self) {
        self.min = self.min.min(later.min);
        self.max = self.max.max(later.max);
        self.last = later.last;
        self.sum = self.sum.saturating_add(later.sum);
        self.count = self.count.saturating_add(later.count);
    }
}

/// The rows of one span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rollup {
    /// Begin of the span, milliseconds since the Unix epoch.
    pub from: u64,
    /// By number of the column; none where no row had a value.
    pub columns: Vec<Option<Aggregate>>,
}

impl Rollup {
    pub(crate) fn new(from: u64) -> Self {
        Self {
            from,
            columns: vec![None; Column::COUNT],
        }
    }

    /// What is kept of a column.
    pub fn get(&self, column: Column) -> Option<&Aggregate> {
        self.columns.get(column.number())?.as_ref()
    }

    fn add(&mut self, place: usize, later: &Aggregate) {
        match self.columns.get_mut(place) {
            Some(Some(aggregate)) => aggregate.add(later),
            Some(none) => *none = Some(*later),
            None => {}
        }
    }
}

/// Rows in order of time, by spans of `span` milliseconds.
pub(crate) fn of_rows<'a>(rows: impl IntoIterator<Item = &'a Row>, span: u64) -> Vec<Rollup> {
    let mut rollups: Vec<Rollup> = Vec::new();
    for row in rows {
        let rollup = span_of(&mut rollups, row.at, span);
        for place in 0..Column::COUNT {
            if let Some(value) = row.at_place(place) {
                rollup.add(place, &Aggregate::of(value));
            }
        }
    }
    rollups
}

/// Rollups of shorter spans in order of time, by spans of `span` milliseconds.
pub(crate) fn of_rollups<'a>(shorter: impl IntoIterator<Item = &'a Rollup>, span: u64) -> Vec<Rollup> {
    let mut rollups: Vec<Rollup> = Vec::new();
    for short in shorter {
        let rollup = span_of(&mut rollups, short.from, span);
        for (place, aggregate) in short.columns.iter().enumerate() {
            if let Some(aggregate) = aggregate {
                rollup.add(place, aggregate);
            }
        }
    }
    rollups
}

fn span_of(rollups: &mut Vec<Rollup>, at: u64, span: u64) -> &mut Rollup {
    let from = at - at % span.max(1);
    if rollups.last().is_none_or(|last| last.from != from) {
        rollups.push(Rollup::new(from));
    }
    let newest = rollups.len() - 1;
    &mut rollups[newest]
}

#[cfg(test)]
mod tests {
    use super::super::row::tests::rows;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn downsampling_equals_recomputation(rows in rows(60)) {
            let minutes = of_rows(&rows, 60_000);
            prop_assert_eq!(of_rollups(&minutes, 3_600_000), of_rows(&rows, 3_600_000));
            for minute in &minutes {
                let within: Vec<&Row> = rows.iter().filter(|row| row.at / 60_000 * 60_000 == minute.from).collect();
                for place in 0..Column::COUNT {
                    let values: Vec<u64> = within.iter().filter_map(|row| row.at_place(place)).collect();
                    let expected = values.last().map(|last| Aggregate {
                        min: *values.iter().min().unwrap(),
                        max: *values.iter().max().unwrap(),
                        last: *last,
                        sum: values.iter().fold(0, |sum: u64, value| sum.saturating_add(*value)),
                        count: values.len() as u64,
                    });
                    prop_assert_eq!(minute.columns[place], expected);
                }
            }
        }
    }
}
