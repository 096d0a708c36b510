//! What is known of who refers to whom: objects on the way from what is waited for, and what is alive of them.

use super::waits::Wait;
use super::waits::Waits;
use hashbrown::HashMap;

/// An object that leads to something that is waited for.
#[derive(Debug, Default)]
struct Node {
    is_alive: bool,
    /// What it refers to.
    targets: Vec<u32>,
    /// Goroutines that wait for it.
    waiters: Vec<u32>,
}

/// What is known of a goroutine.
#[derive(Debug, Default)]
struct Holder {
    is_alive: bool,
    /// What its stack and its own record refer to.
    targets: Vec<u32>,
}

/// Objects, goroutines and their references.
#[derive(Debug, Default)]
pub(super) struct Graph {
    numbers: HashMap<u64, u32>,
    nodes: Vec<Node>,
    holders: Vec<Holder>,
    references: usize,
}

impl Graph {
    /// All goroutines with what they wait for; what is waited for is returned.
    pub(super) fn new(waits: &Waits) -> (Self, Vec<u64>) {
        let mut graph = Self::default();
        let mut awaited = Vec::new();
        for (number, waiter) in (0..).zip(&waits.goroutines) {
            graph.holders.push(Holder {
                is_alive: waiter.wait == Wait::Alive,
                targets: Vec::new(),
            });
            let Wait::Objects(objects) = &waiter.wait else {
                continue;
            };
            for object in objects {
                if graph.add(*object) {
                    awaited.push(*object);
                }
                if let Some(node) = graph.node_mut(*object) {
                    node.waiters.push(number);
                }
            }
        }
        (graph, awaited)
    }

    /// Adds an object; answers whether it is new.
    pub(super) fn add(&mut self, object: u64) -> bool {
        let next = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
        let mut is_new = false;
        self.numbers.entry(object).or_insert_with(|| {
            is_new = true;
            next
        });
        if is_new {
            self.nodes.push(Node::default());
        }
        is_new
    }

    /// How many objects and references there are.
    pub(super) fn size(&self) -> usize {
        self.nodes.len() + self.references
    }

    pub(super) fn objects(&self) -> usize {
        self.nodes.len()
    }

    fn number(&self, object: u64) -> Option<u32> {
        self.numbers.get(&object).copied()
    }

    fn node(&self, object: u64) -> Option<&Node> {
        self.nodes.get(usize::try_from(self.number(object)?).ok()?)
    }

    fn node_mut(&mut self, object: u64) -> Option<&mut Node> {
        let number = usize::try_from(self.number(object)?).ok()?;
        self.nodes.get_mut(number)
    }

    fn holder_mut(&mut self, goroutine: u32) -> Option<&mut Holder> {
        self.holders.get_mut(usize::try_from(goroutine).ok()?)
    }

    /// Whether an object is known.
    pub(super) fn is_known(&self, object: u64) -> bool {
        self.numbers.contains_key(&object)
    }

    /// Whether an object is known to be alive.
    pub(super) fn is_alive(&self, object: u64) -> bool {
        self.node(object).is_some_and(|node| node.is_alive)
    }

    /// Whether a goroutine is alive. One that is not known is.
    pub(super) fn runs(&self, goroutine: u32) -> bool {
        let holder = usize::try_from(goroutine)
            .ok()
            .and_then(|index| self.holders.get(index));
        holder.is_none_or(|holder| holder.is_alive)
    }

    /// The objects that are not alive.
    pub(super) fn unreached(&self) -> Vec<u64> {
        let mut found: Vec<u64> = self
            .numbers
            .keys()
            .copied()
            .filter(|object| !self.is_alive(*object))
            .collect();
        found.sort_unstable();
        found
    }

    /// All references are in: what follows asks for them.
    pub(super) fn settle(&mut self) {
        let nodes = self.nodes.iter_mut().map(|node| &mut node.targets);
        for targets in nodes.chain(self.holders.iter_mut().map(|holder| &mut holder.targets)) {
            targets.sort_unstable();
            targets.dedup();
        }
    }

    /// Whether a reference from one object to another is known; only after [`Self::settle`].
    pub(super) fn is_reference(&self, object: u64, target: u64) -> bool {
        let target = self.number(target);
        let node = self.node(object);
        node.is_some_and(|node| target.is_some_and(|target| node.targets.binary_search(&target).is_ok()))
    }

    /// Whether it is known that a goroutine refers to an object; only after [`Self::settle`].
    pub(super) fn is_held(&self, goroutine: u32, target: u64) -> bool {
        let target = self.number(target);
        let holder = usize::try_from(goroutine)
            .ok()
            .and_then(|index| self.holders.get(index));
        holder.is_some_and(|holder| target.is_some_and(|target| holder.targets.binary_search(&target).is_ok()))
    }

    /// An object refers to another, which is known.
    pub(super) fn refer(&mut self, object: u64, target: u64) {
        let Some(number) = self.number(target) else {
            return;
        };
        let Some(node) = self.node_mut(object) else {
            return;
        };
        if node.is_alive {
            self.revive(target);
        } else if node.targets.last() != Some(&number) {
            node.targets.push(number);
            self.references += 1;
        }
    }

    /// A goroutine refers to an object, which is known.
    pub(super) fn hold(&mut self, goroutine: u32, target: u64) {
        let Some(number) = self.number(target) else {
            return;
        };
        if self.runs(goroutine) {
            self.revive(target);
        } else if let Some(holder) = self.holder_mut(goroutine)
            && holder.targets.last() != Some(&number)
        {
            holder.targets.push(number);
            self.references += 1;
        }
    }

    /// An object is alive, and with it all that it leads to.
    pub(super) fn revive(&mut self, object: u64) {
        let found = self.number(object);
        self.spread(found.into_iter().collect());
    }

    /// A goroutine is alive, and with it all that it leads to.
    pub(super) fn wake(&mut self, goroutine: u32) {
        let mut queue = Vec::new();
        self.wake_into(goroutine, &mut queue);
        self.spread(queue);
    }

    fn wake_into(&mut self, goroutine: u32, queue: &mut Vec<u32>) {
        if let Some(holder) = self.holder_mut(goroutine)
            && !holder.is_alive
        {
            holder.is_alive = true;
            queue.append(&mut holder.targets);
        }
    }

    fn spread(&mut self, mut queue: Vec<u32>) {
        while let Some(number) = queue.pop() {
            let node = usize::try_from(number)
                .ok()
                .and_then(|number| self.nodes.get_mut(number));
            let Some(node) = node.filter(|node| !node.is_alive) else {
                continue;
            };
            node.is_alive = true;
            // What is alive is not followed any further.
            queue.append(&mut node.targets);
            for waiter in std::mem::take(&mut node.waiters) {
                self.wake_into(waiter, &mut queue);
            }
        }
    }
}
