//! Goroutines counted by what their headers say: no stack is read.

use super::Goroutines;
use super::GoroutinesError;
use super::header::Header;
use super::header::Status;
use super::list;
use super::system::Owner;
use super::system::Owners;
use crate::memory::ReadMemory;
use crate::pclntab::TableBytes;
use std::collections::BTreeMap;
use std::collections::HashMap;

/// Goroutines that their headers do not tell apart. Addresses are those of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CensusGroup {
    /// Entry of the function they were started with.
    pub start: u64,
    /// Return address of the `go` statement that created them; zero for the first goroutine.
    pub created_at: u64,
    /// What they do.
    pub status: Status,
    /// Number of the reason why they wait, when they do.
    pub wait_reason: Option<u8>,
    /// How many.
    pub count: u64,
    /// The one that has been blocked longest blocked after this moment, and before the end of the next garbage collection:
    /// nanoseconds of `CLOCK_MONOTONIC`. `None` when no collection but the first has seen any of them blocked.
    pub blocked_after: Option<u64>,
}

/// What groups are told apart by, in the order of [`CensusGroup`]; addresses of the process.
type Key = (u64, u64, Status, Option<u8>);

/// All goroutines at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Census {
    /// Largest first.
    pub groups: Vec<CensusGroup>,
    /// The sum of the groups.
    pub count: u64,
    /// The runtime's own goroutines, in no group.
    pub system: u64,
    /// Ended goroutines whose memory is kept for new ones.
    pub ended: u64,
    /// Headers that could not be read.
    pub unreadable: u64,
    /// Length of the runtime's list.
    pub listed: u64,
    /// Only every `stride`th goroutine was read, as there are more than the bound; all counts but `listed` are of those.
    pub stride: u64,
    /// The highest number of a goroutine: the runtime counts them up.
    pub newest: u64,
}

/// Goroutines that came after an earlier census.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Newcomers {
    /// How many of each start function and creator; addresses of the file.
    pub counts: BTreeMap<(u64, u64), u64>,
    /// Those that are blocked: records by address, with their numbers.
    pub blocked: BTreeMap<u64, u64>,
    /// Blocked ones beyond the bound, not in `blocked`.
    pub over_bound: u64,
}

/// Newcomers whose stacks can be read by themselves; where more have come, all stacks are better read again.
const MAX_NEWCOMERS: usize = 4096;

impl<M: ReadMemory + ?Sized, B: TableBytes> Goroutines<'_, M, B> {
    /// Counts the goroutines: some 0.1 µs each.
    pub fn census(&self) -> Result<Census, GoroutinesError> {
        Ok(self.census_since(u64::MAX)?.0)
    }

    /// The same, and which of them have a higher number than `newest` of an earlier census.
    pub fn census_since(&self, newest: u64) -> Result<(Census, Newcomers), GoroutinesError> {
        /// Headers decoded at a time.
        const CHUNK: usize = 8192;
        self.memory.begin();
        let listed = list::read(self.memory, self.source.list, self.bounds.goroutines)?;
        let mut owners = Owners::new(self.table, self.bias);
        let mut groups: HashMap<Key, (u64, Option<u64>)> = HashMap::new();
        let mut newcomers = Newcomers::default();
        let mut census = Census {
            listed: listed.length,
            stride: listed.stride,
            ..Census::default()
        };
        for addresses in listed.addresses.chunks(CHUNK) {
            let headers = list::headers(self.memory, &self.source.layout, addresses)?;
            census.ended += headers.ended;
            census.unreadable += headers.unreadable;
            for header in &headers.alive {
                if owners.of(header.start) != Owner::Program {
                    census.system += 1;
                    continue;
                }
                census.count += 1;
                census.newest = census.newest.max(header.id);
                if header.id > newest {
                    self.come(header, &mut newcomers);
                }
                let key = (header.start, header.created_at, header.status, header.reason());
                let (count, after) = groups.entry(key).or_default();
                *count += 1;
                *after = earlier(*after, header.blocked_after);
            }
        }
        census.groups = groups
            .into_iter()
            .map(
                |((start, created_at, status, wait_reason), (count, blocked_after))| CensusGroup {
                    start: self.linked(start),
                    created_at: self.linked(created_at),
                    status,
                    wait_reason,
                    count,
                    blocked_after,
                },
            )
            .collect();
        census.groups.sort_by_key(|group| {
            (
                std::cmp::Reverse(group.count),
                group.start,
                group.created_at,
                group.status,
            )
        });
        Ok((census, newcomers))
    }

    fn come(&self, header: &Header, newcomers: &mut Newcomers) {
        let place = (self.linked(header.start), self.linked(header.created_at));
        *newcomers.counts.entry(place).or_default() += 1;
        if !header.status.is_blocked() {
            return;
        }
        if newcomers.blocked.len() < MAX_NEWCOMERS {
            newcomers.blocked.insert(header.address, header.id);
        } else {
            newcomers.over_bound += 1;
        }
    }

    /// Whether a goroutine that was started at an address of the process is the program's own.
    pub(crate) fn is_of_program(&self, start: u64) -> bool {
        Owners::new(self.table, self.bias).of(start) == Owner::Program
    }

    /// An address of the process as the file has it; zero, which is no address, stays.
    pub(crate) fn linked(&self, address: u64) -> u64 {
        if address == 0 {
            0
        } else {
            address.wrapping_sub(self.bias)
        }
    }
}

impl Header {
    /// Why it waits, when it does.
    pub(super) fn reason(&self) -> Option<u8> {
        (self.status.is_blocked() && self.wait_reason != 0).then_some(self.wait_reason)
    }
}

/// The earlier of two times that may be absent.
pub(super) fn earlier(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    one.into_iter().chain(other).min()
}
