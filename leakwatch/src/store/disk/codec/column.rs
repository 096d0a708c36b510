//! One metric over the rows of a block. Which rows have a value is told by the lengths of runs; the values are differences to the one before, and
//! runs of equal values are counted. A missing value takes part in neither: it never becomes zero.

use super::varint::CodecError;
use super::varint::Reader;
use super::varint::difference;
use super::varint::moved;
use super::varint::put;
use super::varint::unzigzag;
use super::varint::zigzag;

/// Most memory counters are multiples of the page size: so many low bits that are zero in all values are left out.
const MOST_SHIFT: u32 = 12;

/// Appends a column.
pub(crate) fn encode(out: &mut Vec<u8>, values: &[Option<u64>]) {
    let shift = values.iter().flatten().fold(MOST_SHIFT, |shift, value| {
        if *value == 0 {
            shift
        } else {
            shift.min(value.trailing_zeros())
        }
    });
    out.push((shift & 0xff) as u8);
    put_runs(out, values);
    let (mut before, mut equal) = (0_u64, 0_u64);
    for value in values.iter().flatten().map(|value| value >> shift) {
        if value == before {
            equal += 1;
            continue;
        }
        put_equal(out, &mut equal);
        put(out, zigzag(difference(before, value)));
        before = value;
    }
    put_equal(out, &mut equal);
}

/// Lengths of runs with and without values in turns, beginning with.
fn put_runs(out: &mut Vec<u8>, values: &[Option<u64>]) {
    let mut rest = values;
    let mut present = true;
    while !rest.is_empty() {
        let run = rest.iter().take_while(|value| value.is_some() == present).count();
        put(out, run as u64);
        rest = rest.get(run..).unwrap_or_default();
        present = !present;
    }
}

/// A difference of zero cannot stand alone: zero announces how many there are.
fn put_equal(out: &mut Vec<u8>, equal: &mut u64) {
    if *equal > 0 {
        out.push(0);
        put(out, *equal);
        *equal = 0;
    }
}

/// Reads a column of so many rows.
pub(crate) fn decode(bytes: &[u8], rows: usize) -> Result<Vec<Option<u64>>, CodecError> {
    let mut reader = Reader::new(bytes);
    let shift = u32::from(reader.byte()?);
    if shift > MOST_SHIFT {
        return Err(CodecError::Inconsistent("unit of a column"));
    }
    let mut values: Vec<Option<u64>> = Vec::with_capacity(rows);
    let mut present = true;
    while values.len() < rows {
        let run = reader.count("rows", rows - values.len())?;
        if run == 0 && !(present && values.is_empty()) {
            return Err(CodecError::Inconsistent("runs of a column"));
        }
        values.resize(values.len() + run, present.then_some(0));
        present = !present;
    }
    let (mut before, mut equal) = (0_u64, 0_u64);
    for value in values.iter_mut().flatten() {
        if equal == 0 {
            let token = reader.number()?;
            if token == 0 {
                equal = reader.number()?;
                if equal == 0 {
                    return Err(CodecError::Inconsistent("run of equal values"));
                }
            } else {
                before = moved(before, unzigzag(token));
            }
        }
        equal = equal.saturating_sub(1);
        *value = before.wrapping_shl(shift);
    }
    if equal > 0 || !reader.is_empty() {
        return Err(CodecError::Inconsistent("number of values"));
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn value() -> impl Strategy<Value = Option<u64>> {
        prop_oneof![
            2 => Just(None),
            2 => Just(Some(0)),
            4 => (0..1000_u64).prop_map(|pages| Some(pages * 4096)),
            1 => any::<u64>().prop_map(Some),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn a_column_is_read_as_it_was_written(values in prop::collection::vec(value(), 0..300)) {
            let mut out = Vec::new();
            encode(&mut out, &values);
            prop_assert_eq!(decode(&out, values.len()), Ok(values));
        }

        #[test]
        fn rubbish_is_refused_or_read_within_bounds(bytes in prop::collection::vec(any::<u8>(), 0..100), rows in 0..200_usize) {
            if let Ok(values) = decode(&bytes, rows) {
                prop_assert_eq!(values.len(), rows);
            }
        }
    }

    #[test]
    fn a_missing_value_is_not_zero_and_equal_values_take_no_room() {
        let mut out = Vec::new();
        encode(&mut out, &[Some(0), None, Some(0)]);
        assert_eq!(decode(&out, 3), Ok(vec![Some(0), None, Some(0)]));
        out.clear();
        encode(&mut out, &vec![Some(64 << 20); 10_000]);
        assert!(out.len() < 12, "{} bytes", out.len());
    }
}
