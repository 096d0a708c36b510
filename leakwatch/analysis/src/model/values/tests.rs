//! Values come back as they went in, chunks are shared, and what was asked for is found: against a plain map.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn numbers() -> impl Strategy<Value = i64> {
    prop_oneof![Just(0), 0..1000_i64, Just(-1), any::<i64>()]
}

fn list() -> impl Strategy<Value = BTreeMap<u32, StackValue>> {
    let value =
        (numbers(), numbers(), numbers(), prop::bool::ANY, 0.0..1e12_f32).prop_map(|(a, b, c, is_all, variance)| {
            StackValue {
                alloc_objects: a,
                alloc_space: b,
                inuse_objects: if is_all { a } else { c },
                inuse_space: if is_all { b } else { c },
                inuse_variance: if a == 0 { 0.0 } else { variance.into() },
            }
        });
    prop::collection::btree_map(prop_oneof![0..2_000_u32, any::<u32>()], value, 0..200)
}

fn made(list: &BTreeMap<u32, StackValue>) -> Values {
    list.iter()
        .map(|(stack, value)| (StackId::from_number(*stack), *value))
        .collect()
}

proptest! {
    #[test]
    fn what_is_put_in_comes_out(list in list(), other in list(), asked in prop::collection::btree_set(0..2_100_u32, 0..50)) {
        let values = made(&list);
        prop_assert_eq!(values.len(), list.len());
        let all: BTreeMap<u32, StackValue> = values.iter().map(|(stack, value)| (stack.number(), value)).collect();
        prop_assert_eq!(&all, &list);
        let asked: Vec<StackId> = asked.into_iter().map(StackId::from_number).collect();
        let found: Vec<(StackId, StackValue)> = values.pick(&asked).collect();
        let known: Vec<_> = asked.iter().filter_map(|stack| Some((*stack, *list.get(&stack.number())?))).collect();
        prop_assert_eq!(found, known);
        // Half of both.
        let before: BTreeMap<u32, StackValue> = list.iter().chain(other.iter().step_by(2)).map(|(stack, value)| (*stack, *value)).collect();
        let mut before_values = made(&before);
        before_values.share_with(&values);
        prop_assert_eq!(before_values.len(), before.len());
        let mut told = BTreeMap::new();
        values.each_change(&before_values, |stack, from, to| {
            told.insert(stack.number(), (from, to));
        });
        let zero = StackValue::default();
        let expected: BTreeMap<u32, (StackValue, StackValue)> = before
            .keys()
            .filter(|stack| before.get(stack) != list.get(stack))
            .map(|stack| (*stack, (before[stack], list.get(stack).copied().unwrap_or(zero))))
            .collect();
        prop_assert_eq!(&told, &expected);
        let changes: Vec<(StackId, Option<StackValue>)> = expected
            .keys()
            .map(|stack| (StackId::from_number(*stack), list.get(stack).copied()))
            .collect();
        let changed = before_values.with(&changes);
        prop_assert_eq!(changed.len(), values.len());
        prop_assert!(changed == values, "{changed:?}");
    }
}

#[test]
fn profiles_share_what_did_not_change_and_take_little() {
    let value = |stack: u32, more: i64| StackValue {
        alloc_objects: 8_192,
        alloc_space: 524_320 + more,
        inuse_objects: 8_192,
        inuse_space: 524_320 + more,
        inuse_variance: f64::from(stack),
    };
    let of = |more: i64| -> Values {
        let stacks = (1..200_000_u32).step_by(2);
        // One changes, and a new one comes, far from one another.
        let changed = stacks.map(|stack| (stack, if stack == 301 { more } else { 0 }));
        let mut list: Vec<(u32, i64)> = changed.collect();
        if more > 0 {
            list.insert(50_001, (100_002, 0));
        }
        list.into_iter()
            .map(|(stack, more)| (StackId::from_number(stack), value(stack, more)))
            .collect()
    };
    let before = of(0);
    let mut same = of(0);
    assert!(before.bytes() < 14 * before.len(), "{}", before.bytes());
    same.share_with(&before);
    assert_eq!(same.address(), before.address());
    let mut after = of(1);
    after.share_with(&before);
    let known: Vec<_> = before.parts().collect();
    assert_eq!(known.len(), 1, "what is new is one block");
    let new: Vec<_> = after.parts().filter(|part| !known.contains(part)).collect();
    let bytes: usize = new.iter().map(|(_, bytes)| bytes).sum();
    assert!(!new.is_empty() && bytes < before.bytes() / 20, "{new:?}");
    let mut changes = 0;
    after.each_change(&before, |_, _, _| changes += 1);
    assert_eq!(changes, 2);
}

/// Each profile changes a few of its chunks, so that the first block is of less and less use.
#[test]
fn blocks_are_not_kept_for_little() {
    let value = |inuse_space: i64| StackValue {
        inuse_space,
        ..StackValue::default()
    };
    let all: Vec<(StackId, StackValue)> = (1..20_000)
        .map(|stack| (StackId::from_number(stack), value(1_000)))
        .collect();
    let fresh = Values::from(all);
    let mut newest = fresh.clone();
    for round in 0..200 {
        let changes: Vec<(StackId, Option<StackValue>)> = (0..500)
            .map(|at| (StackId::from_number(round * 100 + at + 1), Some(value(1_001))))
            .filter(|(stack, _)| newest.get(*stack).is_some())
            .collect();
        newest = newest.with(&changes);
        assert!(
            newest.bytes() < 2 * fresh.bytes() + 4_096,
            "{} in round {round}",
            newest.bytes()
        );
    }
    assert_eq!(newest.len(), fresh.len());
    assert!(newest.iter().all(|(_, now)| now == value(1_001)));
    assert!(
        newest
            .parts()
            .all(|(at, _)| fresh.parts().all(|(of_fresh, _)| at != of_fresh))
    );
}
