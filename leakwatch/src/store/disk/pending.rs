//! Rows of a target that no block has yet, as differences: a tenth of what they would take otherwise.

use super::codec::row::Row;
use super::codec::varint::CodecError;
use super::codec::varint::Reader;

/// Rows of one target.
#[derive(Debug)]
pub(crate) struct Pending {
    bytes: Vec<u8>,
    rows: usize,
    first: u64,
    last: Row,
}

impl Pending {
    pub(crate) fn new(row: &Row) -> Self {
        let mut pending = Self {
            bytes: Vec::new(),
            rows: 0,
            first: row.at,
            last: Row::new(0),
        };
        pending.push(row);
        pending
    }

    pub(crate) fn push(&mut self, row: &Row) {
        row.encode(&self.last, &mut self.bytes);
        self.last.clone_from(row);
        self.rows += 1;
    }

    pub(crate) fn len(&self) -> usize {
        self.rows
    }

    pub(crate) fn first(&self) -> u64 {
        self.first
    }

    pub(crate) fn last(&self) -> u64 {
        self.last.at
    }

    pub(crate) fn decode(&self) -> Result<Vec<Row>, CodecError> {
        let mut reader = Reader::new(&self.bytes);
        let mut rows: Vec<Row> = Vec::with_capacity(self.rows);
        let mut before = Row::new(0);
        for _ in 0..self.rows {
            before = Row::decode(&mut reader, &before)?;
            rows.push(before.clone());
        }
        Ok(rows)
    }
}
