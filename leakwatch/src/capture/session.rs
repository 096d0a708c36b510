//! One capture of one process while it runs: what was sampled so far, by stack.

use crate::native::allocator;
use crate::native::allocator::Allocators;
use crate::native::estimate;
use crate::native::estimate::Sampled;
use crate::native::profile::StackRow;
use crate::native::unwind::Frames;
use crate::native::unwind::Place;
use crate::native::unwind::StackUnwinder;
use crate::probes::native::NativeCounts;
use crate::probes::native::NativeProbes;
use crate::probes::native::NativeSettings;
use crate::probes::native::Way;
use leakwatch_analysis::profile::StackValue;
use leakwatch_analysis::sample::Missing;
use leakwatch_analysis::sample::MissingReason;
use leakwatch_analysis::sample::Reading;
use std::collections::BTreeMap;
use std::collections::HashMap;

/// Objects followed when sampling: 100 GiB live at the default mean.
const SAMPLED_OBJECTS: u32 = 262_144;
/// Objects followed when every call is taken.
const EXACT_OBJECTS: u32 = 4 << 20;

/// Probes on a process and the stacks seen so far.
#[derive(Debug)]
pub struct Session {
    allocators: Allocators,
    mean_bytes: u64,
    probes: NativeProbes,
    unwinder: StackUnwinder,
    stacks: HashMap<u64, Frames>,
}

impl Session {
    /// Looks for the allocators of the process and attaches to them. `mean_bytes` between samples; 1 takes every call.
    pub fn start(pid: u32, mean_bytes: u64) -> Reading<Self> {
        Self::start_in(pid, mean_bytes, false)
    }

    /// The same as on a kernel before 6.13, for comparison.
    pub fn start_single(pid: u32, mean_bytes: u64) -> Reading<Self> {
        Self::start_in(pid, mean_bytes, true)
    }

    fn start_in(pid: u32, mean_bytes: u64, single: bool) -> Reading<Self> {
        let failed = |error: crate::native::image::ImageError| Missing::new(MissingReason::Failed, error.to_string());
        let allocators = allocator::find(pid)?;
        let unwinder = StackUnwinder::of_process(pid).map_err(failed)?;
        let settings = NativeSettings {
            mean_bytes,
            live_objects: if mean_bytes <= 1 {
                EXACT_OBJECTS
            } else {
                SAMPLED_OBJECTS
            },
            code: StackUnwinder::code_ranges(pid).map_err(failed)?,
            single,
        };
        Ok(Self {
            probes: NativeProbes::attach(pid, &allocators.points, &settings)?,
            allocators,
            mean_bytes,
            unwinder,
            stacks: HashMap::new(),
        })
    }

    /// Takes in the stacks that are new. To be called several times a second, so that they find room.
    pub fn poll(&mut self) {
        let (unwinder, stacks) = (&mut self.unwinder, &mut self.stacks);
        self.probes.drain_stacks(|stack| {
            if !unwinder.knows(stack.instruction)
                && let Err(error) = unwinder.look_again()
            {
                tracing::debug!(%error, "the process is gone");
            }
            let place = Place {
                instruction: stack.instruction,
                stack_pointer: stack.stack_pointer,
                frame_pointer: stack.frame_pointer,
                memory: stack.memory,
            };
            stacks.insert(stack.fingerprint, unwinder.unwind(&place));
        });
    }

    /// Detaches; what was sampled can still be read.
    pub fn detach(&mut self) {
        self.probes.detach();
    }

    /// What is probed.
    pub fn allocators(&self) -> &Allocators {
        &self.allocators
    }

    /// How the probes are attached.
    pub fn way(&self) -> &Way {
        self.probes.way()
    }

    /// Mean bytes between samples.
    pub fn mean_bytes(&self) -> u64 {
        self.mean_bytes
    }

    /// Hits and samples so far.
    pub fn counts(&self) -> NativeCounts {
        self.probes.counts()
    }

    /// Losses so far, by reason; stacks that end before their outermost frame among them.
    pub fn losses(&self) -> Vec<(&'static str, u64)> {
        let mut losses = self.probes.losses();
        let cut = self.stacks.values().filter(|frames| !frames.complete).count() as u64;
        if cut > 0 {
            losses.push(("native_stack_cut", cut));
        }
        losses
    }

    /// Values of every stack, largest live bytes first. Objects allocated before the attach are not known and not in it.
    pub fn rows(&mut self) -> Vec<StackRow> {
        self.poll();
        let mut values: BTreeMap<&[u64], StackValue> = BTreeMap::new();
        let totals = self.probes.totals();
        for totals in &totals {
            let addresses = self.stacks.get(&totals.fingerprint);
            let sampled = Sampled {
                size: totals.size,
                allocs: totals.allocs,
                alloc_bytes: totals.alloc_bytes,
                frees: totals.frees,
                free_bytes: totals.free_bytes,
            };
            let value = values
                .entry(addresses.map_or(&[], |frames| &frames.addresses))
                .or_default();
            value.add(&estimate::scale(&sampled, self.mean_bytes));
        }
        let mut rows: Vec<StackRow> = values
            .into_iter()
            .map(|(addresses, value)| StackRow {
                addresses: addresses.to_vec(),
                object_size: mean_size(&value),
                value,
            })
            .collect();
        rows.sort_by_key(|row| std::cmp::Reverse((row.value.inuse_space, row.value.alloc_space)));
        rows
    }
}

fn mean_size(value: &StackValue) -> u64 {
    let size = value.alloc_space.checked_div(value.alloc_objects).unwrap_or(0);
    u64::try_from(size).unwrap_or(0)
}
