//! Stacks of the programs of a service, written once in a partition. A stack has the number of its place, which it keeps as long as the partition exists:
//! restarts of the daemon change nothing. Profiles name their stacks by frames, so equal frames are what makes equal stacks.

use super::block::compress;
use super::block::decompress;
use super::varint::CodecError;
use super::varint::Reader;
use super::varint::put;
use super::varint::put_sized;
use leakwatch_analysis::model::stack::Frame;
use leakwatch_analysis::model::stack::StackId;
use leakwatch_analysis::model::stack::StackTable;
use std::sync::Arc;

/// Bytes of the stacks of a frame before compression at most.
const MAX_BODY: usize = 128 << 20;
const LEVEL: i32 = 3;

/// What a table has beyond its first `frames` frames and `stacks` stacks.
pub(crate) fn encode(table: &StackTable, frames: usize, stacks: usize) -> Result<Vec<u8>, CodecError> {
    let mut body = Vec::new();
    let new_frames: Vec<&Frame> = table.all_frames().skip(frames).collect();
    put(&mut body, new_frames.len() as u64);
    for frame in new_frames {
        put_sized(&mut body, frame.function.as_bytes());
        put_sized(&mut body, frame.file.as_bytes());
        put(&mut body, frame.line.into());
    }
    put(&mut body, (table.len() - stacks) as u64);
    for (place, (caller, frame)) in table.all_stacks().enumerate().skip(stacks) {
        // Most stacks are called by the one before.
        put(&mut body, (place as u64).saturating_sub(u64::from(caller.number())));
        let inlined = frame & StackTable::INLINED != 0;
        put(
            &mut body,
            u64::from(frame & !StackTable::INLINED) << 1 | u64::from(inlined),
        );
    }
    compress(&body, LEVEL)
}

/// Stacks as they are read back: numbers as written, whatever the table makes of them.
#[derive(Debug, Default)]
pub(crate) struct Stacks {
    pub(crate) table: StackTable,
    /// By place on disk.
    frames: Vec<u32>,
    numbered: Vec<StackId>,
}

impl Stacks {
    /// Adds what another frame of the file has.
    pub(crate) fn extend(&mut self, bytes: &[u8]) -> Result<(), CodecError> {
        let body = decompress(bytes, MAX_BODY)?;
        let mut reader = Reader::new(&body);
        for _ in 0..reader.count("frames", StackTable::MAX_FRAMES)? {
            let frame = Frame {
                function: text(&mut reader)?,
                file: text(&mut reader)?,
                line: u32::try_from(reader.number()?).map_err(|_large| CodecError::LongNumber)?,
            };
            let here = self.table.intern_frame(&frame);
            self.frames
                .push(here.map_err(|_full| over("frames", StackTable::MAX_FRAMES))?);
        }
        for _ in 0..reader.count("stacks", StackTable::MAX_NODES)? {
            let caller = self
                .numbered
                .len()
                .checked_sub(reader.count("stacks", StackTable::MAX_NODES)?);
            let caller = caller.ok_or(CodecError::Inconsistent("caller of a stack"))?;
            let caller = match caller.checked_sub(1) {
                None => StackId::EMPTY,
                Some(place) => *self
                    .numbered
                    .get(place)
                    .ok_or(CodecError::Inconsistent("caller of a stack"))?,
            };
            let token = reader.number()?;
            let frame = usize::try_from(token >> 1)
                .ok()
                .and_then(|place| self.frames.get(place));
            let frame = *frame.ok_or(CodecError::Inconsistent("frame of a stack"))?;
            let inlined = if token & 1 == 1 { StackTable::INLINED } else { 0 };
            let here = self.table.intern_call(caller, frame | inlined);
            self.numbered
                .push(here.map_err(|_full| over("stacks", StackTable::MAX_NODES))?);
        }
        Ok(())
    }

    /// The stack of a number on disk.
    pub(crate) fn stack(&self, number: u32) -> Option<StackId> {
        match number.checked_sub(1) {
            None => Some(StackId::EMPTY),
            Some(place) => self.numbered.get(place as usize).copied(),
        }
    }
}

fn over(what: &'static str, bound: usize) -> CodecError {
    CodecError::OverBound { what, bound }
}

fn text(reader: &mut Reader<'_>) -> Result<Arc<str>, CodecError> {
    let text = std::str::from_utf8(reader.sized()?).map_err(|_error| CodecError::Inconsistent("text"))?;
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stacks_keep_their_numbers_whenever_they_were_written() {
        let frame = |name: &str, line| Frame {
            function: name.into(),
            file: "main.go".into(),
            line,
        };
        let mut table = StackTable::default();
        let mut read = Stacks::default();
        for round in 1..5_u32 {
            let (frames, stacks) = (table.all_frames().count(), table.len());
            for leaf in 0..round * 3 {
                let inlined = table.intern_frame(&frame("main.helper", leaf)).unwrap() | StackTable::INLINED;
                let caller = table
                    .intern(&[frame("main.work", leaf % 2), frame("main.main", 1)])
                    .unwrap();
                table.intern_call(caller, inlined).unwrap();
            }
            read.extend(&encode(&table, frames, stacks).unwrap()).unwrap();
        }
        assert_eq!(read.table, table);
        for number in 0..=u32::try_from(table.len()).unwrap() {
            assert_eq!(read.stack(number), table.by_number(number));
        }
        assert_eq!(read.stack(u32::MAX), None);
        assert!(Stacks::default().extend(&[1, 2, 3]).is_err());
    }
}
