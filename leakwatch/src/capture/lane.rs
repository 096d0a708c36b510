//! What captures can look at, and what each way of looking has in common.

use crate::capture::governor::Price;
use crate::capture::session::Session;
use crate::native::allocator::ProbePoint;
use crate::native::profile;
use crate::native::profile::StackRow;
use crate::native::profile::Title;
use crate::native::symbols::Symbols;
use crate::probes::native::NativeCounts;
use leakwatch_analysis::profile::ProfileType;
use leakwatch_analysis::units::Timestamp;
use std::sync::Arc;

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

/// Stacks in a profile at most, the largest.
const MAX_ROWS: usize = 8_192;

/// Profiles so far, encoded, and the number of stacks in them.
#[derive(Debug, Default)]
pub struct Seen {
    /// By type.
    pub profiles: Vec<(ProfileType, Arc<[u8]>)>,
    /// Distinct stacks.
    pub stacks: usize,
}

impl Seen {
    /// With a profile of these stacks, largest first; nobody is shown an empty one.
    pub(super) fn and(mut self, rows: &[StackRow], symbols: &mut Symbols, title: &Title<'_>) -> Self {
        self.stacks += rows.len();
        let largest = rows.get(..MAX_ROWS).unwrap_or(rows);
        if !largest.is_empty() {
            self.profiles
                .push((title.profile_type, profile::encode(largest, symbols, title)));
        }
        self
    }
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

    /// What was seen so far.
    fn seen(&mut self, exe: &str, at: Timestamp) -> Seen;
}
