//! Sharing, copies, moving to other tables, bounds.

use super::*;
use proptest::prelude::*;

fn frame(function: &str, line: u32) -> Frame {
    Frame {
        function: function.into(),
        file: "main.go".into(),
        line,
    }
}

#[test]
fn equal_stacks_get_one_id_and_share_their_callers() {
    let mut table = StackTable::default();
    let stack = [frame("main.leaf", 7), frame("main.main", 3)];
    let id = table.intern(&stack).unwrap();
    assert_eq!(table.intern(&[frame("main.leaf", 7), frame("main.main", 3)]), Ok(id));
    assert_ne!(table.intern(&[frame("main.leaf", 8), frame("main.main", 3)]), Ok(id));
    assert_eq!(table.frames(id).cloned().collect::<Vec<_>>(), stack);
    assert_eq!(table.outermost_first(id), [&stack[1], &stack[0]]);
    assert_eq!(table.len(), 3, "main, and two leaves that it calls");
    assert_eq!(table.intern(&[]), Ok(StackId::EMPTY));
    assert_eq!(table.frames(StackId::EMPTY).count(), 0);
}

#[test]
fn a_copy_stays_as_it_was_and_can_be_added_to() {
    let mut table = StackTable::default();
    let main = table.intern(&[frame("main.main", 1)]).unwrap();
    let mut copy = table.clone();
    let leaf = table.intern(&[frame("main.leaf", 2), frame("main.main", 1)]).unwrap();
    assert_eq!((copy.len(), copy.frames(leaf).count()), (1, 0));
    assert_eq!(copy.intern(&[frame("main.main", 1)]), Ok(main));
    assert_eq!(copy.intern(&[frame("main.leaf", 2), frame("main.main", 1)]), Ok(leaf));
    assert_eq!(copy, table);
}

#[test]
fn a_full_table_says_what_it_is_full_of_and_still_knows_its_stacks() {
    let mut table = StackTable::default();
    let known = table.intern(&[frame("main.main", 1)]).unwrap();
    let long = "x".repeat(StackTable::MAX_TEXT_BYTES);
    assert_eq!(table.intern(&[frame(&long, 1)]).unwrap_err().what, "bytes of names");
    let mut caller = known;
    let full = loop {
        match table.intern_call(caller, 0) {
            Ok(deeper) => caller = deeper,
            Err(full) => break full,
        }
    };
    assert_eq!((full.what, table.len()), ("frames of stacks", StackTable::MAX_NODES));
    assert_eq!(table.intern(&[frame("main.main", 1)]), Ok(known));
}

/// Stacks of few functions, so that many share their callers.
fn stacks() -> impl Strategy<Value = Vec<Vec<Frame>>> {
    let frame = (0..6_u32, 0..3_u32).prop_map(|(function, line)| frame(&format!("main.f{function}"), line));
    prop::collection::vec(prop::collection::vec(frame, 0..8), 1..40)
}

proptest! {
    #[test]
    fn stacks_stay_themselves_in_another_table_and_in_a_compacted_one(stacks in stacks(), keep in prop::collection::vec(any::<bool>(), 40)) {
        let mut table = StackTable::default();
        let ids: Vec<StackId> = stacks.iter().map(|stack| table.intern(stack).unwrap()).collect();
        let (mut other, mut known) = (StackTable::default(), Adopted::of(&table));
        other.intern(&[frame("main.other", 1)]).unwrap();
        for (id, stack) in ids.iter().zip(&stacks) {
            let there = other.adopt(&table, *id, &mut known).unwrap();
            prop_assert_eq!(&other.frames(there).cloned().collect::<Vec<_>>(), stack);
            prop_assert_eq!(known.stack(*id), Some(there));
        }
        prop_assert!(known.is_of(&table.clone()) && !known.is_of(&other));
        // A copy that goes on by itself gives its own numbers.
        let mut copy = table.clone();
        copy.intern(&[frame("main.other", 1)]).unwrap();
        prop_assert!(known.is_of(&table) && !known.is_of(&copy));
        let (fewer, moved) = other.compacted(&other.used(ids.iter().zip(&keep).filter_map(|(id, keep)| known.stack(*id).filter(|_| *keep))));
        known.follow(&moved);
        for (id, stack) in ids.iter().zip(&stacks) {
            if let Some(here) = known.stack(*id) {
                prop_assert_eq!(&fewer.frames(here).cloned().collect::<Vec<_>>(), stack);
            }
        }
        let mut grown = fewer;
        for (id, stack) in ids.iter().zip(&stacks) {
            let here = grown.adopt(&table, *id, &mut known).unwrap();
            prop_assert_eq!(&grown.frames(here).cloned().collect::<Vec<_>>(), stack);
        }
        let used: Vec<(StackId, &Vec<Frame>)> = ids.iter().copied().zip(&stacks).zip(keep).filter_map(|(used, keep)| keep.then_some(used)).collect();
        let (compacted, moved) = table.compacted(&table.used(used.iter().map(|(id, _)| *id)));
        prop_assert!(compacted.len() <= table.len());
        let mut places = Vec::new();
        for (id, stack) in used {
            let here = moved.stack(id).unwrap();
            prop_assert_eq!(&compacted.frames(here).cloned().collect::<Vec<_>>(), stack);
            places.push((id, here));
        }
        places.sort_unstable();
        prop_assert!(places.is_sorted_by_key(|(_, here)| *here), "sorted values stay sorted");
        let mut again = compacted.clone();
        for (_, here) in places {
            let frames: Vec<Frame> = compacted.frames(here).cloned().collect();
            prop_assert_eq!(again.intern(&frames), Ok(here));
        }
    }
}
