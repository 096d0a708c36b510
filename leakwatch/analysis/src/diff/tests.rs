//! Properties of every diff, on generated profiles.
#![expect(clippy::cast_precision_loss, reason = "statistics of small numbers")]

use super::*;
use crate::model::profile::SampleType;
use crate::model::profile::StackValue;
use crate::model::stack::Frame;
use crate::model::stack::StackId;
use crate::model::stack::StackTable;
use proptest::prelude::*;

fn frame(number: u32) -> Frame {
    Frame {
        function: format!("main.f{}", number / 3).into(),
        file: "main.go".into(),
        line: number,
    }
}

type Values = Vec<(StackId, StackValue)>;

/// Two profiles over one table, with repeated stacks, recursion, shared prefixes and negative values.
fn profiles() -> impl Strategy<Value = (StackTable, Values, Values)> {
    let value = (-5_000_i64..50_000, 0_i64..500, 0_i64..100_000, 0_i64..900).prop_map(
        |(inuse_space, inuse_objects, alloc_space, alloc_objects)| StackValue {
            alloc_objects,
            alloc_space,
            inuse_objects,
            inuse_space,
            inuse_variance: 10.0,
        },
    );
    let stack = proptest::collection::vec(0_u32..9, 0..7);
    let rows = proptest::collection::vec((stack, value, any::<bool>()), 0..60);
    rows.prop_map(|rows| {
        let mut table = StackTable::default();
        let (mut base, mut compare) = (Vec::new(), Vec::new());
        for (stack, value, is_base) in rows {
            let frames: Vec<Frame> = stack.into_iter().map(frame).collect();
            let row = (table.intern(&frames).unwrap(), value);
            if is_base { &mut base } else { &mut compare }.push(row);
        }
        (table, base, compare)
    })
}

fn sum(values: &Values, sample_type: SampleType) -> i64 {
    values.iter().map(|(_, value)| sample_type.value(value)).sum()
}

fn assert_sums(tree: &Tree) {
    for node in &tree.nodes {
        let children = node.children.iter().map(|&child| &tree.nodes[child]);
        assert_eq!(
            node.base,
            node.self_base + children.clone().map(|child| child.base).sum::<i64>()
        );
        assert_eq!(
            node.compare,
            node.self_compare + children.map(|child| child.compare).sum::<i64>()
        );
    }
}

proptest! {
    #[test]
    fn the_other_way_round_is_the_negative((table, base, compare) in profiles()) {
        for &sample_type in SampleType::of(crate::model::profile::ProfileType::Heap) {
            let forth = Diff::new(&table, sample_type, base.iter().copied(), compare.iter().copied());
            let back = Diff::new(&table, sample_type, compare.iter().copied(), base.iter().copied());
            for (forth, back) in forth.rows().iter().zip(back.rows()) {
                prop_assert_eq!((forth.stack, forth.delta()), (back.stack, -back.delta()));
            }
            let (forth, back) = (forth.top(usize::MAX), back.top(usize::MAX));
            prop_assert_eq!(forth.len(), back.len());
            for (forth, back) in forth.iter().zip(&back) {
                prop_assert_eq!(&forth.frame, &back.frame);
                prop_assert_eq!(forth.flat.delta, -back.flat.delta);
                prop_assert_eq!(forth.cum.delta, -back.cum.delta);
            }
        }
    }

    #[test]
    fn a_profile_does_not_differ_from_itself((table, base, _) in profiles()) {
        let diff = Diff::new(&table, SampleType::InuseSpace, base.iter().copied(), base.iter().copied());
        for function in diff.top(usize::MAX) {
            prop_assert_eq!(function.cum, Delta { delta: 0, interval: Some((0, 0)) });
        }
    }

    #[test]
    fn sums_survive_pruning((table, base, compare) in profiles(), max_nodes in 0_usize..80) {
        let diff = Diff::new(&table, SampleType::InuseSpace, base.iter().copied(), compare.iter().copied());
        let tree = diff.tree(max_nodes);
        prop_assert!(tree.nodes.len() <= max_nodes.max(2));
        assert_sums(&tree);
        prop_assert_eq!(tree.nodes[0].base, sum(&base, SampleType::InuseSpace));
        prop_assert_eq!(tree.nodes[0].compare, sum(&compare, SampleType::InuseSpace));
        prop_assert_eq!((tree.nodes[0].base, tree.nodes[0].compare), (diff.base_total(), diff.compare_total()));
        let whole = diff.tree(usize::MAX);
        assert_sums(&whole);
        prop_assert!(whole.nodes.iter().all(|node| node.name != NodeName::Other));
        // Nothing is pruned that would have fitted.
        if whole.nodes.len() <= max_nodes {
            prop_assert_eq!(&tree, &whole);
        }
        // Every child comes after its parent and has exactly one.
        let mut parents = vec![0; tree.nodes.len()];
        for (index, node) in tree.nodes.iter().enumerate() {
            for &child in &node.children {
                prop_assert!(child > index);
                parents[child] += 1;
            }
        }
        prop_assert!(parents.iter().skip(1).all(|&count| count == 1));
    }

    #[test]
    fn flat_differences_add_up_to_the_whole((table, base, compare) in profiles()) {
        // A stack without frames is in no function.
        let has_frames = |values: Values| -> Values {
            values.into_iter().filter(|(stack, _)| table.frames(*stack).next().is_some()).collect()
        };
        let (base, compare) = (has_frames(base), has_frames(compare));
        let diff = Diff::new(&table, SampleType::AllocSpace, base.iter().copied(), compare.iter().copied());
        let flat: i64 = diff.top(usize::MAX).iter().map(|function| function.flat.delta).sum();
        prop_assert_eq!(flat, sum(&compare, SampleType::AllocSpace) - sum(&base, SampleType::AllocSpace));
    }
}

#[test]
fn merged_processes_are_one_profile() {
    let mut table = StackTable::default();
    let stack = table.intern(&[frame(1)]).unwrap();
    let value = |inuse_space| StackValue {
        inuse_space,
        ..StackValue::default()
    };
    let (first, second) = ([(stack, value(3))], [(stack, value(4))]);
    let diff = Diff::new(&table, SampleType::InuseSpace, [], first.iter().chain(&second).copied());
    assert_eq!(diff.rows().len(), 1);
    assert_eq!(diff.compare_total(), 7);
}

#[test]
fn a_stack_deeper_than_a_client_can_draw_ends_in_other() {
    let mut table = StackTable::default();
    let stack = table.intern(&vec![frame(1); 2_000]).unwrap();
    let value = StackValue {
        inuse_space: 9,
        ..StackValue::default()
    };
    let values = [(stack, value)];
    let tree = Diff::new(&table, SampleType::InuseSpace, [], values.iter().copied()).tree(usize::MAX);
    let last = tree.nodes.last().unwrap();
    assert_eq!(
        (tree.nodes.len(), &last.name, last.self_compare),
        (514, &NodeName::Other, 9)
    );
}

/// 1,000 objects of 1 KiB stay, 100 more come: only the new ones are uncertain.
#[test]
fn objects_live_in_both_profiles_add_no_uncertainty() {
    let mut table = StackTable::default();
    let stack = table.intern(&[frame(1)]).unwrap();
    let at = |objects: i64| StackValue {
        alloc_objects: objects,
        alloc_space: objects * 1024,
        inuse_objects: objects,
        inuse_space: objects * 1024,
        inuse_variance: objects as f64 * 1024.0 * 524_288.0,
    };
    let (base, compare) = ([(stack, at(1000))], [(stack, at(1100))]);
    for sample_type in [SampleType::InuseSpace, SampleType::AllocSpace] {
        let top = Diff::new(&table, sample_type, base.iter().copied(), compare.iter().copied()).top(1);
        let (low, high) = top[0].flat.interval.unwrap();
        let half = 1.96 * (100.0 * 1024.0 * 524_288.0_f64).sqrt();
        assert!(
            ((high - low) as f64 / 2.0 / half - 1.0).abs() < 0.01,
            "{low} {high} {half}"
        );
    }
    // Another process under the same name: everything is uncertain.
    let top = Diff::new(
        &table,
        SampleType::InuseSpace,
        compare.iter().copied(),
        base.iter().copied(),
    )
    .top(1);
    let (low, high) = top[0].flat.interval.unwrap();
    let half = 1.96 * (2100.0 * 1024.0 * 524_288.0_f64).sqrt();
    assert!(
        ((high - low) as f64 / 2.0 / half - 1.0).abs() < 0.01,
        "{low} {high} {half}"
    );
}
