//! The numbers of one target at one instant, and the form they have until their block is full: what changed since the row before.

use super::varint::CodecError;
use super::varint::Reader;
use super::varint::difference;
use super::varint::moved;
use super::varint::put;
use super::varint::unzigzag;
use super::varint::zigzag;
use crate::store::disk::column::Column;

/// Numbers of one target at one instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Milliseconds since the Unix epoch.
    pub at: u64,
    present: u64,
    values: [u64; Column::COUNT],
}

const _: () = assert!(Column::COUNT <= 64, "the columns of a row are bits of one number");

impl Row {
    /// No value is known.
    pub fn new(at: u64) -> Self {
        Self {
            at,
            present: 0,
            values: [0; Column::COUNT],
        }
    }

    /// The value of a column; none if it is missing.
    pub fn get(&self, column: Column) -> Option<u64> {
        self.at_place(column.number())
    }

    /// Whether the column of this number has a value.
    pub fn has(&self, number: usize) -> bool {
        self.at_place(number).is_some()
    }

    /// Sets the value of a column, or that it is missing.
    pub fn set(&mut self, column: Column, value: Option<u64>) {
        self.set_place(column.number(), value);
    }

    pub(crate) fn at_place(&self, place: usize) -> Option<u64> {
        let value = self.values.get(place)?;
        (self.present >> place & 1 == 1).then_some(*value)
    }

    pub(crate) fn set_place(&mut self, place: usize, value: Option<u64>) {
        if let Some(kept) = self.values.get_mut(place) {
            *kept = value.unwrap_or(0);
            self.present = self.present & !(1 << place) | u64::from(value.is_some()) << place;
        }
    }

    /// Appends the row as what differs from the one before.
    pub(crate) fn encode(&self, before: &Self, out: &mut Vec<u8>) {
        put(out, zigzag(difference(before.at, self.at)));
        let changed = (0..Column::COUNT).filter(|place| self.at_place(*place) != before.at_place(*place));
        let bits = changed.fold(0_u64, |bits, place| bits | 1 << place);
        put(out, bits);
        for place in places(bits) {
            match (self.at_place(place), before.values.get(place)) {
                (Some(value), Some(before)) => {
                    // Two numbers for one value in all 2^64 cases would not fit a varint: the sign of life stands alone.
                    out.push(1);
                    put(out, zigzag(difference(*before, value)));
                }
                _ => out.push(0),
            }
        }
    }

    /// Reads the row that follows another.
    pub(crate) fn decode(reader: &mut Reader<'_>, before: &Self) -> Result<Self, CodecError> {
        let mut row = before.clone();
        row.at = moved(before.at, reader.signed()?);
        let bits = reader.number()?;
        for place in places(bits) {
            let value = match reader.byte()? {
                0 => None,
                1 => Some(moved(
                    before.values.get(place).copied().unwrap_or(0),
                    unzigzag(reader.number()?),
                )),
                _ => return Err(CodecError::Inconsistent("row")),
            };
            row.set_place(place, value);
        }
        Ok(row)
    }
}

fn places(bits: u64) -> impl Iterator<Item = usize> {
    (0..64).filter(move |place| bits >> place & 1 == 1)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Rows in order, as they come from a target.
    pub(crate) fn rows(most: usize) -> impl Strategy<Value = Vec<Row>> {
        let value = prop_oneof![
            2 => Just(None),
            5 => (0..50_u64).prop_map(|pages| Some(pages * 4096)),
            1 => any::<u64>().prop_map(Some),
        ];
        let one = (1..20_000_u64, prop::collection::vec(value, Column::COUNT));
        prop::collection::vec(one, 1..most).prop_map(|all| {
            let mut at = 1_700_000_000_000;
            let mut rows = Vec::new();
            for (step, values) in all {
                at += step;
                let mut row = Row::new(at);
                for (place, value) in values.into_iter().enumerate() {
                    row.set_place(place, value);
                }
                rows.push(row);
            }
            rows
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn rows_are_read_as_they_were_written(rows in rows(20)) {
            let (mut out, mut before) = (Vec::new(), Row::new(0));
            for row in &rows {
                row.encode(&before, &mut out);
                before = row.clone();
            }
            let (mut reader, mut before) = (Reader::new(&out), Row::new(0));
            for row in &rows {
                before = Row::decode(&mut reader, &before).unwrap();
                prop_assert_eq!(&before, row);
            }
            prop_assert!(reader.is_empty());
        }
    }
}
