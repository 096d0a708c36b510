//! The tree of a flame graph, pruned to what a client can draw. Flat, because a stack from outside may be deeper than
//! any recursion here or in a client should go.

use crate::diff::rows::Diff;
use crate::model::stack::Frame;
use std::cmp::Reverse;
use std::collections::HashMap;

/// Frames below the root that are kept; Go's own default records 128 call sites, before inlining.
const MAX_DEPTH: u32 = 512;

/// Call tree of two profiles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree {
    /// The root first; every node comes after its parent, children of a node are sorted by name with "other" last.
    pub nodes: Vec<Node>,
}

/// What a node stands for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NodeName {
    /// Everything.
    Root,
    /// One frame, called by the parent. Call sites on different lines are different nodes.
    Frame(Frame),
    /// All pruned children of the parent together.
    Other,
}

/// One node. Values are exact sums, pruned or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// What it stands for.
    pub name: NodeName,
    /// Base, children included.
    pub base: i64,
    /// Compared profile, children included.
    pub compare: i64,
    /// Base of the stacks that end here.
    pub self_base: i64,
    /// Compared profile of the stacks that end here.
    pub self_compare: i64,
    /// Indices of the children in [`Tree::nodes`].
    pub children: Vec<usize>,
}

impl Node {
    const fn new(name: NodeName) -> Self {
        Self {
            name,
            base: 0,
            compare: 0,
            self_base: 0,
            self_compare: 0,
            children: Vec::new(),
        }
    }
}

/// A node while the whole tree is being summed.
#[derive(Default)]
struct Draft {
    /// Index of the parent, smaller than the own; the root is its own parent.
    parent: usize,
    /// Index in the stack table; unused in the root.
    frame: u32,
    depth: u32,
    base: i64,
    compare: i64,
    self_base: i64,
    self_compare: i64,
    /// Sum of absolute values: unlike a difference it never grows towards the leaves.
    weight: u64,
}

impl Diff<'_> {
    /// Both as one tree, root first, of at most `max_nodes` nodes (at least 2); the rest is summed into "other" nodes.
    pub fn tree(&self, max_nodes: usize) -> Tree {
        build(self, max_nodes)
    }
}

fn build(diff: &Diff<'_>, max_nodes: usize) -> Tree {
    let drafts = sum(diff);
    let kept = choose(&drafts, max_nodes.max(2));
    assemble(diff, &drafts, &kept)
}

fn sum(diff: &Diff<'_>) -> Vec<Draft> {
    let mut drafts = vec![Draft::default()];
    let mut children: HashMap<(usize, u32), usize> = HashMap::new();
    for row in diff.rows() {
        let weight = row.base.unsigned_abs().saturating_add(row.compare.unsigned_abs());
        let add = |drafts: &mut Vec<Draft>, index: usize, is_leaf: bool| {
            if let Some(node) = drafts.get_mut(index) {
                node.base = node.base.saturating_add(row.base);
                node.compare = node.compare.saturating_add(row.compare);
                node.weight = node.weight.saturating_add(weight);
                if is_leaf {
                    node.self_base = node.self_base.saturating_add(row.base);
                    node.self_compare = node.self_compare.saturating_add(row.compare);
                }
            }
        };
        let frames: Vec<u32> = diff.stacks().frame_indices(row.stack).collect();
        add(&mut drafts, 0, frames.is_empty());
        let mut parent = 0;
        for (depth, &frame) in (1..).zip(frames.iter().rev()) {
            let index = *children.entry((parent, frame)).or_insert_with(|| {
                drafts.push(Draft {
                    parent,
                    frame,
                    depth,
                    ..Draft::default()
                });
                drafts.len() - 1
            });
            add(&mut drafts, index, depth as usize == frames.len());
            parent = index;
        }
    }
    drafts
}

/// Which nodes stay: the heaviest, as many as fit with one "other" node for each of them that loses a child. A parent is
/// at least as heavy as its child and comes before it, so that the kept nodes form a tree.
fn choose(drafts: &[Draft], max_nodes: usize) -> Vec<bool> {
    let mut order: Vec<usize> = (0..drafts.len())
        .filter(|&index| drafts.get(index).is_some_and(|draft| draft.depth <= MAX_DEPTH))
        .collect();
    order.sort_by_key(|&index| (Reverse(drafts.get(index).map(|draft| draft.weight)), index));
    let keep = |count: usize| {
        let mut kept = vec![false; drafts.len()];
        for &index in order.iter().take(count) {
            if let Some(kept) = kept.get_mut(index) {
                *kept = true;
            }
        }
        kept
    };
    // Keeping one node more never makes the tree smaller: it may replace an "other" node and may need one itself.
    let (mut fits, mut bound) = (1, order.len() + 1);
    while fits + 1 < bound {
        let count = usize::midpoint(fits, bound);
        if count + others(drafts, &keep(count)) <= max_nodes {
            fits = count;
        } else {
            bound = count;
        }
    }
    keep(fits)
}

/// How many kept nodes lose a child.
fn others(drafts: &[Draft], kept: &[bool]) -> usize {
    let mut loses = vec![false; drafts.len()];
    for (draft, is_kept) in drafts.iter().zip(kept) {
        if !is_kept
            && kept.get(draft.parent) == Some(&true)
            && let Some(loses) = loses.get_mut(draft.parent)
        {
            *loses = true;
        }
    }
    loses.into_iter().filter(|loses| *loses).count()
}

fn assemble(diff: &Diff<'_>, drafts: &[Draft], kept: &[bool]) -> Tree {
    let mut nodes: Vec<Node> = Vec::new();
    // Place of each draft in `nodes`, and of each node's "other" child.
    let mut places: Vec<Option<usize>> = Vec::with_capacity(drafts.len());
    let mut other_of: HashMap<usize, usize> = HashMap::new();
    for (index, (draft, is_kept)) in drafts.iter().zip(kept).enumerate() {
        let parent = places.get(draft.parent).copied().flatten();
        if *is_kept {
            let name = match diff.stacks().frame(draft.frame) {
                Some(frame) if index > 0 => NodeName::Frame(frame.clone()),
                _ => NodeName::Root,
            };
            let place = nodes.len();
            nodes.push(Node {
                base: draft.base,
                compare: draft.compare,
                self_base: draft.self_base,
                self_compare: draft.self_compare,
                ..Node::new(name)
            });
            attach(&mut nodes, parent, place);
            places.push(Some(place));
            continue;
        }
        places.push(None);
        // Below the first pruned node everything is already in its sums.
        let Some(parent) = parent else { continue };
        let next = nodes.len();
        let other = *other_of.entry(parent).or_insert(next);
        if other == next {
            nodes.push(Node::new(NodeName::Other));
            attach(&mut nodes, Some(parent), other);
        }
        if let Some(node) = nodes.get_mut(other) {
            node.base = node.base.saturating_add(draft.base);
            node.compare = node.compare.saturating_add(draft.compare);
            node.self_base = node.base;
            node.self_compare = node.compare;
        }
    }
    sort_children(&mut nodes);
    Tree { nodes }
}

fn attach(nodes: &mut [Node], parent: Option<usize>, child: usize) {
    if let Some(parent) = parent.and_then(|parent| nodes.get_mut(parent)) {
        parent.children.push(child);
    }
}

fn sort_children(nodes: &mut [Node]) {
    for index in 0..nodes.len() {
        let mut children = nodes
            .get_mut(index)
            .map(|node| std::mem::take(&mut node.children))
            .unwrap_or_default();
        children.sort_by(|&a, &b| {
            nodes
                .get(a)
                .map(|node| &node.name)
                .cmp(&nodes.get(b).map(|node| &node.name))
        });
        if let Some(node) = nodes.get_mut(index) {
            node.children = children;
        }
    }
}
