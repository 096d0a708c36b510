//! Profiles: values by the number of a stack, as what differs from the profile before. A stack that does not change takes nothing.

use super::block::compress;
use super::block::decompress;
use super::varint::CodecError;
use super::varint::Reader;
use super::varint::put;
use super::varint::unzigzag;
use super::varint::zigzag;
use leakwatch_analysis::model::profile::StackValue;

/// Stacks of a profile at most.
pub(crate) const MAX_STACKS: usize = 1 << 22;
/// Bytes of a profile before compression at most.
const MAX_BODY: usize = 128 << 20;
const LEVEL: i32 = 3;

/// Values by number of the stack, sorted, each stack once.
pub(crate) type Numbered = Vec<(u32, StackValue)>;

#[expect(
    clippy::cast_possible_truncation,
    reason = "a variance is an estimate: 24 bits are kept of it"
)]
fn bits(value: &StackValue) -> [i64; 5] {
    [
        value.alloc_objects,
        value.alloc_space,
        value.inuse_objects,
        value.inuse_space,
        i64::from((value.inuse_variance as f32).to_bits()),
    ]
}

fn value([alloc_objects, alloc_space, inuse_objects, inuse_space, variance]: [i64; 5]) -> StackValue {
    let variance = u32::try_from(variance).map_or(0.0, f32::from_bits);
    StackValue {
        alloc_objects,
        alloc_space,
        inuse_objects,
        inuse_space,
        inuse_variance: if variance.is_finite() { variance.into() } else { 0.0 },
    }
}

/// What turns `base` into `values`.
pub(crate) fn encode(base: &[(u32, StackValue)], values: &[(u32, StackValue)]) -> Result<Vec<u8>, CodecError> {
    let mut stacks = Vec::new();
    let mut columns: [Vec<u8>; 5] = Default::default();
    let (mut count, mut before) = (0_u64, 0_u32);
    let mut change = |stack: u32, from: [i64; 5], to: Option<[i64; 5]>| {
        count += 1;
        put(&mut stacks, u64::from(stack - before) << 1 | u64::from(to.is_none()));
        before = stack;
        if let Some(to) = to {
            for ((column, from), to) in columns.iter_mut().zip(from).zip(to) {
                put(column, zigzag(to.wrapping_sub(from)));
            }
        }
    };
    let mut old = base.iter().peekable();
    for (stack, new) in values {
        while let Some((gone, was)) = old.next_if(|(known, _)| known < stack) {
            change(*gone, bits(was), None);
        }
        let was = old.next_if(|(known, _)| known == stack).map(|(_, was)| bits(was));
        let new = bits(new);
        if was != Some(new) {
            change(*stack, was.unwrap_or_default(), Some(new));
        }
    }
    for (gone, was) in old {
        change(*gone, bits(was), None);
    }
    let mut body = Vec::new();
    put(&mut body, count);
    body.extend(stacks);
    for column in &columns {
        body.extend(column);
    }
    compress(&body, LEVEL)
}

/// Applies what `encode` made of two profiles to the first.
pub(crate) fn decode(base: &[(u32, StackValue)], bytes: &[u8]) -> Result<Numbered, CodecError> {
    let body = decompress(bytes, MAX_BODY)?;
    let mut reader = Reader::new(&body);
    let count = reader.count("stacks", MAX_STACKS.min(body.len()))?;
    let mut changes: Vec<(u32, bool)> = Vec::with_capacity(count);
    let mut before = 0_u32;
    for place in 0..count {
        let token = reader.number()?;
        let gap = u32::try_from(token >> 1).map_err(|_large| CodecError::LongNumber)?;
        if gap == 0 && place > 0 {
            return Err(CodecError::Inconsistent("order of stacks"));
        }
        before = before.checked_add(gap).ok_or(CodecError::LongNumber)?;
        changes.push((before, token & 1 == 1));
    }
    let set = changes.iter().filter(|(_, gone)| !gone).count();
    let mut columns: [Vec<i64>; 5] = Default::default();
    for column in &mut columns {
        column.reserve_exact(set);
        for _ in 0..set {
            column.push(unzigzag(reader.number()?));
        }
    }
    if !reader.is_empty() {
        return Err(CodecError::Inconsistent("number of values"));
    }
    let mut values = Vec::with_capacity(base.len() + set);
    let mut old = base.iter().peekable();
    let mut taken = 0;
    for (stack, gone) in changes {
        while let Some(kept) = old.next_if(|(known, _)| *known < stack) {
            values.push(*kept);
        }
        let was = old.next_if(|(known, _)| *known == stack).map(|(_, was)| bits(was));
        if !gone {
            let mut now = was.unwrap_or_default();
            for (now, column) in now.iter_mut().zip(&columns) {
                *now = now.wrapping_add(column.get(taken).copied().unwrap_or(0));
            }
            taken += 1;
            values.push((stack, value(now)));
        }
    }
    values.extend(old);
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn profile() -> impl Strategy<Value = Numbered> {
        let number = prop_oneof![Just(0_i64), 0..1000_i64, any::<i64>()];
        let one = (
            number.clone(),
            number.clone(),
            number,
            (0.0..1e18_f32).prop_map(f64::from),
        );
        prop::collection::btree_map(0..60_u32, one, 0..40).prop_map(|map| {
            let value = |(a, b, c, variance): (i64, i64, i64, f64)| StackValue {
                alloc_objects: a,
                alloc_space: b,
                inuse_objects: c,
                inuse_space: a,
                inuse_variance: variance,
            };
            map.into_iter().map(|(stack, of)| (stack, value(of))).collect()
        })
    }

    proptest! {
        #[test]
        fn a_profile_is_read_as_it_was_written(base in profile(), values in profile(), rubbish in prop::collection::vec(any::<u8>(), 0..50)) {
            let delta = encode(&base, &values).unwrap();
            prop_assert_eq!(decode(&base, &delta), Ok(values.clone()));
            prop_assert_eq!(decode(&values, &encode(&values, &values).unwrap()), Ok(values));
            let _refused = decode(&base, &rubbish);
        }
    }
}
