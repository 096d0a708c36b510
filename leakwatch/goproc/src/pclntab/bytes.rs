//! Little-endian reads that answer `None` outside the bytes.

use std::ops::Range;

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    array(bytes, at).map(u32::from_le_bytes)
}

pub(super) fn i32_at(bytes: &[u8], at: usize) -> Option<i32> {
    array(bytes, at).map(i32::from_le_bytes)
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    array(bytes, at).map(u64::from_le_bytes)
}

/// An offset or count of 8 bytes.
pub(super) fn usize_at(bytes: &[u8], at: usize) -> Option<usize> {
    u64_at(bytes, at)?.try_into().ok()
}

/// Entry `index` of a table of `u32` that starts at `start`.
pub(super) fn u32_entry(bytes: &[u8], start: usize, index: usize) -> Option<u32> {
    u32_at(bytes, start.checked_add(index.checked_mul(4)?)?)
}

/// The bytes from `at` to the next NUL.
pub(super) fn until_nul(bytes: &[u8], range: Range<usize>, at: usize) -> Option<&[u8]> {
    let tail = bytes.get(range)?.get(at..)?;
    tail.get(..memchr::memchr(0, tail)?)
}
