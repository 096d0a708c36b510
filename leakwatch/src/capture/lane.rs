//! What captures can look at, and what each way of looking has in common.

use crate::capture::governor::Price;
use crate::capture::profile::StackRow;
use crate::capture::session::Session;
use crate::probes::native::NativeCounts;
use leakwatch_analysis::model::profile::ProfileType;
use leakwatch_nativeproc::allocator::ProbePoint;

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// The calls of the allocator.
    Native,
    /// Page faults and system calls that map memory.
    Growth,
    /// What the program's own heap sampler tells.
    Usdt,
}

impl Lane {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Native, Self::Growth, Self::Usdt];

    /// Name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Growth => "growth",
            Self::Usdt => "usdt",
        }
    }

    /// From the wire name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|lane| lane.name() == name)
    }

    /// The profile that is shown of it.
    pub const fn profile_type(self) -> ProfileType {
        match self {
            Self::Native | Self::Usdt => ProfileType::Native,
            Self::Growth => ProfileType::Growth,
        }
    }
}

/// What was counted so far, for a profile of its type; named by nobody yet.
#[derive(Debug)]
pub struct Counted {
    /// The type.
    pub profile_type: ProfileType,
    /// Mean bytes between samples.
    pub period: u64,
    /// The stacks, largest first.
    pub rows: Vec<StackRow>,
}

/// Probes on a process while a capture runs.
pub trait Observer {
    /// The functions that are probed, if it is functions.
    fn points(&self) -> &[ProbePoint];

    /// What a hit costs on this host.
    fn price(&self) -> Price;

    /// Whether allocations, and releases, are probed where the processor is single-stepped.
    fn single_stepped(&self) -> (bool, bool);

    /// The lane that can be detached for a while, if it is that: what it counts is weighed.
    fn in_windows(&mut self) -> Option<&mut Session>;

    /// Takes in what is new. To be called several times a second.
    fn poll(&mut self);

    /// Hits and samples so far: `entries` have the price of an allocation, `frees` that of a release.
    fn counts(&self) -> NativeCounts;

    /// Losses so far, by reason.
    fn losses(&self) -> Vec<(&'static str, u64)>;

    /// Detaches; what was seen can still be read.
    fn detach(&mut self);

    /// What was counted so far.
    fn counted(&mut self) -> Vec<Counted>;
}
