//! The counters of a memory cgroup: which there are, and which of them a sample has.

mod set;
mod source;
mod table;

pub use crate::model::counter::set::Counters;
pub use crate::model::counter::set::CountersBuilder;
pub use crate::model::counter::source::CgroupVersion;
pub use crate::model::counter::source::Source;
pub use crate::model::counter::source::Unit;
pub use crate::model::counter::table::Counter;

use crate::model::counter::table::ROWS;
use crate::model::counter::table::Row;

impl Counter {
    /// All of them, in the order of the table.
    pub fn all() -> impl Iterator<Item = Self> {
        ROWS.iter().map(|row| row.counter)
    }

    /// Its number in recordings.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The counter with a number; none for one that this version does not know.
    pub fn from_number(number: u32) -> Option<Self> {
        let index = usize::try_from(number).ok()?.checked_sub(1)?;
        ROWS.get(index).map(|row| row.counter)
    }

    /// What it counts.
    pub fn unit(self) -> Option<Unit> {
        self.row().map(|row| row.unit)
    }

    /// Where it is read.
    pub fn source(self, version: CgroupVersion) -> Option<Source> {
        let row = self.row()?;
        match version {
            CgroupVersion::V1 => row.v1,
            CgroupVersion::V2 => row.v2,
        }
    }

    /// The counters in a file, in the order of its lines.
    pub fn in_file(version: CgroupVersion, file: &str) -> impl Iterator<Item = (&'static str, Self)> {
        ROWS.iter().filter_map(move |row| {
            let source = row.counter.source(version)?;
            (source.file == file).then_some((source.key, row.counter))
        })
    }

    fn row(self) -> Option<&'static Row> {
        ROWS.get(usize::from(self.number()).checked_sub(1)?)
    }
}

/// The name of a file that has counters, as the table has it.
pub fn file_name(name: &str) -> Option<&'static str> {
    let sources = ROWS.iter().flat_map(|row| [row.v2, row.v1]).flatten();
    sources.map(|source| source.file).find(|file| *file == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_has_its_number_and_a_source_of_its_own() {
        let mut seen = std::collections::BTreeSet::new();
        for (counter, number) in Counter::all().zip(1_u32..) {
            assert_eq!(
                Counter::from_number(number),
                Some(counter),
                "rows are numbered without a gap"
            );
            assert!(counter.unit().is_some());
            let sources =
                [CgroupVersion::V1, CgroupVersion::V2].map(|version| (version as u8, counter.source(version)));
            assert!(sources.iter().any(|(_, source)| source.is_some()), "{counter:?}");
            for (version, source) in sources {
                let Some(source) = source else { continue };
                assert!(seen.insert((version, source.file, source.key)), "{source:?} twice");
                assert_eq!(file_name(source.file), Some(source.file));
            }
        }
        assert_eq!(Counter::from_number(0), None);
        assert_eq!(Counter::from_number(10_000), None);
    }
}
