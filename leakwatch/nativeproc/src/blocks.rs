//! A file read in blocks that are kept for a while: names of symbols are asked for one after the other, a few bytes each, and a system call
//! for every one of them takes longer than all the rest.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::os::unix::fs::FileExt as _;

const BLOCK: usize = 64 << 10;
/// Blocks kept: names that lie far apart are nearly all in them.
const MAX_BLOCKS: usize = 64;

/// The file and what was read of it last.
#[derive(Debug)]
pub struct Blocks {
    file: File,
    position: u64,
    /// By number.
    read: HashMap<u64, Vec<u8>>,
}

impl Blocks {
    /// Nothing read yet.
    pub fn of(file: File) -> Self {
        Self {
            file,
            position: 0,
            read: HashMap::new(),
        }
    }

    /// The block with this number: shorter at the end of the file, empty behind it.
    fn block(&mut self, number: u64) -> io::Result<&[u8]> {
        if !self.read.contains_key(&number) {
            if self.read.len() >= MAX_BLOCKS {
                self.read.clear();
            }
            let mut bytes = vec![0; BLOCK];
            let read = read_at(&self.file, &mut bytes, number.saturating_mul(BLOCK as u64))?;
            bytes.truncate(read);
            self.read.insert(number, bytes);
        }
        Ok(self.read.get(&number).map_or(&[], Vec::as_slice))
    }
}

impl Read for Blocks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = if buffer.len() >= BLOCK {
            read_at(&self.file, buffer, self.position)?
        } else {
            let number = self.position / BLOCK as u64;
            let offset = usize::try_from(self.position % BLOCK as u64).unwrap_or(BLOCK);
            let mut rest = self.block(number)?.get(offset..).unwrap_or_default();
            rest.read(buffer)?
        };
        self.position = self.position.saturating_add(read as u64);
        Ok(read)
    }
}

impl Seek for Blocks {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(offset) => self.file.metadata()?.len().checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

/// As much as there is.
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut read = 0;
    while let Some(rest) = buffer.get_mut(read..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset.saturating_add(read as u64)) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn any_part_is_what_it_is_in_the_file() {
        let length = BLOCK * (MAX_BLOCKS + 2) + 77;
        let bytes: Vec<u8> = (0..=250).cycle().step_by(31).take(length).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        let mut blocks = Blocks::of(file);
        assert_eq!(blocks.seek(SeekFrom::End(0)).unwrap(), length as u64);
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..2_000 {
            let start = random.usize(0..length);
            let wanted = random.usize(1..=(length - start).min(3 * BLOCK));
            let mut part = vec![0; wanted];
            blocks.seek(SeekFrom::Start(start as u64)).unwrap();
            blocks.read_exact(&mut part).unwrap();
            assert!(part == bytes[start..start + wanted], "{wanted} at {start}");
        }
        blocks.seek(SeekFrom::Start(length as u64 - 1)).unwrap();
        let mut part = [0; 2];
        assert_eq!(blocks.read(&mut part).unwrap(), 1);
        assert_eq!(blocks.read(&mut part).unwrap(), 0);
    }
}
