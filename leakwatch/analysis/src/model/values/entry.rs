//! One stack with its value as bytes, behind the one before.

use crate::model::stack_value::StackValue;

/// All that is allocated is in use.
const ALL_IN_USE: u64 = 1;
/// It has a variance.
const SAMPLED: u64 = 2;
/// Bits of a token that are not the distance to the stack before.
const FLAGS: u32 = 2;

/// Appends one that is so far behind the stack before.
pub(super) fn put(out: &mut Vec<u8>, distance: u32, value: &StackValue) {
    let in_use = (value.inuse_objects, value.inuse_space);
    let is_all = in_use == (value.alloc_objects, value.alloc_space);
    let variance = single(value.inuse_variance);
    let is_sampled = variance.to_bits() != 0;
    let flags = if is_all { ALL_IN_USE } else { 0 } | if is_sampled { SAMPLED } else { 0 };
    put_number(out, u64::from(distance) << FLAGS | flags);
    put_signed(out, value.alloc_objects);
    put_signed(out, value.alloc_space);
    if !is_all {
        put_signed(out, value.inuse_objects);
        put_signed(out, value.inuse_space);
    }
    if is_sampled {
        out.extend(variance.to_le_bytes());
    }
}

/// Takes the next: how far it is behind the stack before, and its value.
pub(super) fn take(bytes: &mut &[u8]) -> Option<(u32, StackValue)> {
    let token = take_number(bytes)?;
    let (alloc_objects, alloc_space) = (take_signed(bytes)?, take_signed(bytes)?);
    let (inuse_objects, inuse_space) = if token & ALL_IN_USE == 0 {
        (take_signed(bytes)?, take_signed(bytes)?)
    } else {
        (alloc_objects, alloc_space)
    };
    let variance = if token & SAMPLED == 0 {
        0.0
    } else {
        let (variance, rest) = bytes.split_first_chunk()?;
        *bytes = rest;
        f32::from_le_bytes(*variance)
    };
    let value = StackValue {
        alloc_objects,
        alloc_space,
        inuse_objects,
        inuse_space,
        inuse_variance: variance.into(),
    };
    Some((u32::try_from(token >> FLAGS).ok()?, value))
}

#[expect(clippy::cast_possible_truncation, reason = "a variance is an estimate")]
fn single(variance: f64) -> f32 {
    (variance as f32).min(f32::MAX)
}

/// The sign becomes the lowest bit, so that small numbers of either sign are short.
fn put_signed(out: &mut Vec<u8>, number: i64) {
    put_number(out, ((number << 1) ^ (number >> 63)).cast_unsigned());
}

fn take_signed(bytes: &mut &[u8]) -> Option<i64> {
    let number = take_number(bytes)?;
    Some((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
}

/// LEB128.
fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}

fn take_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    let mut shift = 0;
    loop {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(number);
        }
        shift += 7;
    }
}
