//! Blocks: rows or rollups of one target, column by column, compressed. All columns of a block are compressed together, so that a target whose metrics
//! move alike takes little more than one whose metrics rest.
//!
//! | part | what |
//! |---|---|
//! | rows | number of rows |
//! | body | compressed: the column of instants, then number, length and bytes of each column that has a value |
//!
//! A column of a later version is skipped.

use super::column;
use super::rollup::Aggregate;
use super::rollup::Rollup;
use super::row::Row;
use super::varint::CodecError;
use super::varint::Reader;
use super::varint::difference;
use super::varint::moved;
use super::varint::put;
use super::varint::put_sized;
use super::varint::zigzag;
use crate::store::disk::column::Column;

/// Rows of a block at most.
pub(crate) const MAX_ROWS: usize = 4096;
/// Bytes of a body before compression at most.
const MAX_BODY: usize = 8 << 20;
/// Zstandard's default: higher levels cost more than they save on blocks of this size.
pub(crate) const LEVEL: i32 = 3;
/// Columns of a rollup for each of its values.
const PARTS: usize = 5;

/// Compresses bytes.
pub(crate) fn compress(bytes: &[u8], level: i32) -> Result<Vec<u8>, CodecError> {
    zstd::bulk::compress(bytes, level).map_err(|_error| CodecError::Compression)
}

/// Decompresses bytes, `bound` of them at most.
pub(crate) fn decompress(bytes: &[u8], bound: usize) -> Result<Vec<u8>, CodecError> {
    // What a hostile header promises is not allocated before it is there.
    let promised = zstd::bulk::Decompressor::upper_bound(bytes).unwrap_or(bound);
    if promised > bound {
        return Err(CodecError::OverBound { what: "bytes", bound });
    }
    zstd::bulk::decompress(bytes, promised).map_err(|_error| CodecError::Compression)
}

/// A block of rows.
pub(crate) fn encode_rows(rows: &[Row]) -> Result<Vec<u8>, CodecError> {
    let at: Vec<u64> = rows.iter().map(|row| row.at).collect();
    let columns = (0..Column::COUNT).map(|place| (place, rows.iter().map(|row| row.at_place(place)).collect()));
    encode(&at, columns)
}

/// The rows of a block.
pub(crate) fn decode_rows(block: &[u8]) -> Result<Vec<Row>, CodecError> {
    let (at, columns) = decode(block)?;
    let mut rows: Vec<Row> = at.into_iter().map(Row::new).collect();
    for (place, values) in columns {
        for (row, value) in rows.iter_mut().zip(values) {
            row.set_place(place, value);
        }
    }
    Ok(rows)
}

/// A block of rollups. The highest, the newest and the sum are told by how far they are above the lowest.
pub(crate) fn encode_rollups(rollups: &[Rollup]) -> Result<Vec<u8>, CodecError> {
    let at: Vec<u64> = rollups.iter().map(|rollup| rollup.from).collect();
    let columns = (0..Column::COUNT * PARTS).map(|place| {
        let part = |aggregate: &Aggregate| match place % PARTS {
            0 => aggregate.min,
            1 => aggregate.max.wrapping_sub(aggregate.min),
            2 => aggregate.last.wrapping_sub(aggregate.min),
            3 => aggregate.sum.wrapping_sub(aggregate.min.wrapping_mul(aggregate.count)),
            _ => aggregate.count,
        };
        let values = rollups.iter().map(|rollup| {
            let aggregate = rollup.columns.get(place / PARTS)?.as_ref();
            aggregate.map(part)
        });
        (place, values.collect())
    });
    encode(&at, columns)
}

/// The rollups of a block.
pub(crate) fn decode_rollups(block: &[u8]) -> Result<Vec<Rollup>, CodecError> {
    let (at, columns) = decode(block)?;
    let mut rollups: Vec<Rollup> = at.into_iter().map(Rollup::new).collect();
    let mut columns = columns.into_iter();
    while let Some((place, min)) = columns.next() {
        let mut part = |expected: usize| match columns.next() {
            Some((found, values)) if found == expected => Ok(values),
            _ => Err(CodecError::Inconsistent("parts of a rollup")),
        };
        if place % PARTS != 0 {
            return Err(CodecError::Inconsistent("parts of a rollup"));
        }
        let (max, last, sum, count) = (part(place + 1)?, part(place + 2)?, part(place + 3)?, part(place + 4)?);
        for (row, rollup) in rollups.iter_mut().enumerate() {
            let value = |values: &Vec<Option<u64>>| values.get(row).copied().flatten();
            let Some(min) = value(&min) else { continue };
            let (Some(max), Some(last), Some(sum), Some(count)) =
                (value(&max), value(&last), value(&sum), value(&count))
            else {
                return Err(CodecError::Inconsistent("parts of a rollup"));
            };
            if let Some(column) = rollup.columns.get_mut(place / PARTS) {
                *column = Some(Aggregate {
                    min,
                    max: min.wrapping_add(max),
                    last: min.wrapping_add(last),
                    sum: sum.wrapping_add(min.wrapping_mul(count)),
                    count,
                });
            }
        }
    }
    Ok(rollups)
}

fn encode(at: &[u64], columns: impl Iterator<Item = (usize, Vec<Option<u64>>)>) -> Result<Vec<u8>, CodecError> {
    if at.len() > MAX_ROWS {
        return Err(CodecError::OverBound {
            what: "rows",
            bound: MAX_ROWS,
        });
    }
    let mut body = Vec::new();
    // The interval is nearly always the same: what is kept is by how much it is not.
    let (mut before, mut step) = (0, 0);
    for at in at {
        let now = difference(before, *at);
        put(&mut body, zigzag(now.wrapping_sub(step)));
        (before, step) = (*at, now);
    }
    let mut bytes = Vec::new();
    for (place, values) in columns {
        if values.iter().any(Option::is_some) {
            bytes.clear();
            column::encode(&mut bytes, &values);
            put(&mut body, place as u64);
            put_sized(&mut body, &bytes);
        }
    }
    let mut block = Vec::new();
    put(&mut block, at.len() as u64);
    block.extend(compress(&body, LEVEL)?);
    Ok(block)
}

type Columns = Vec<(usize, Vec<Option<u64>>)>;

fn decode(block: &[u8]) -> Result<(Vec<u64>, Columns), CodecError> {
    let mut reader = Reader::new(block);
    let rows = reader.count("rows", MAX_ROWS)?;
    let body = decompress(reader.rest(), MAX_BODY)?;
    let mut reader = Reader::new(&body);
    let (mut before, mut step) = (0, 0_i64);
    let mut instants = Vec::with_capacity(rows);
    for _ in 0..rows {
        step = step.wrapping_add(reader.signed()?);
        before = moved(before, step);
        instants.push(before);
    }
    let mut columns = Vec::new();
    while !reader.is_empty() {
        let place = reader.count("columns", u16::MAX.into())?;
        let bytes = reader.sized()?;
        columns.push((place, column::decode(bytes, rows)?));
    }
    Ok((instants, columns))
}

#[cfg(test)]
mod tests {
    use super::super::rollup;
    use super::super::row::tests::rows;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn blocks_are_read_as_they_were_written(rows in rows(80)) {
            prop_assert_eq!(decode_rows(&encode_rows(&rows).unwrap()), Ok(rows.clone()));
            let minutes = rollup::of_rows(&rows, 60_000);
            prop_assert_eq!(decode_rollups(&encode_rollups(&minutes).unwrap()), Ok(minutes));
        }

        #[test]
        fn rubbish_never_does_more_than_be_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), at in any::<prop::sample::Index>()) {
            let _refused = decode_rows(&bytes);
            let mut block = encode_rows(&[Row::new(7), Row::new(9)]).unwrap();
            let at = at.index(block.len());
            block[at] ^= bytes.first().copied().unwrap_or(1);
            let _refused = decode_rows(&block);
            let _refused = decode_rollups(&block);
        }
    }

    #[test]
    fn a_steady_target_takes_next_to_nothing() {
        let rows: Vec<Row> = (0..120)
            .map(|n| {
                let mut row = Row::new(1_700_000_000_000 + n * 5000);
                row.set(Column::Charge, Some(64 << 20));
                row.set(Column::Anon, Some(32 << 20));
                row
            })
            .collect();
        let block = encode_rows(&rows).unwrap();
        assert!(block.len() < 60, "{} bytes", block.len());
    }
}
