//! Stacks of all goroutines, grouped: what `/debug/pprof/goroutine` shows, without stopping the program.
//!
//! A goroutine is read as header, stack, header. Nothing has moved in between when both headers agree; what has moved is
//! read once more by itself.

use super::Goroutines;
use super::GoroutinesError;
use super::census::earlier;
use super::header::Header;
use super::header::Status;
use super::list;
use super::system::Owner;
use super::system::Owners;
use super::unwind::End;
use super::unwind::Unwinder;
use crate::memory::MemoryError;
use crate::memory::ReadMemory;
use crate::memory::read_many;
use crate::pclntab::TableBytes;
use std::collections::BTreeMap;
use std::collections::HashMap;
use std::ops::Range;

/// Goroutines between whose two header reads little time passes.
const CHUNK: usize = 2048;

/// Bytes of a stack read at first, then where they were too few. Most stacks are still as small as they were made, 2 KiB.
const LENGTHS: [u64; 4] = [2 << 10, 8 << 10, 32 << 10, LONGEST];
/// The rest of a stack that is longer is not read.
const LONGEST: u64 = 256 << 10;

/// How much of a stack is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StackState {
    /// Down to the function the goroutine was started with.
    Complete,
    /// Down to code that Go cannot unwind either, or as far as stacks are read: 256 KiB, 1024 frames.
    Partial,
    /// Nothing but the start function: it runs, or moves faster than it can be read.
    Unreadable,
}

/// Goroutines with the same stack, state and creator. Addresses are those of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// One return address for each logical call, innermost first, inlined calls included and wrappers left out: the
    /// addresses that a profile prints. Look up one less.
    pub stack: Vec<u64>,
    /// How much of the stack this is.
    pub state: StackState,
    /// What they do.
    pub status: Status,
    /// Number of the reason why they wait, when they do.
    pub wait_reason: Option<u8>,
    /// Entry of the function they were started with.
    pub start: u64,
    /// Return address of the `go` statement that created them; zero for the first goroutine.
    pub created_at: u64,
    /// How many.
    pub count: u64,
    /// See [`super::CensusGroup::blocked_after`].
    pub blocked_after: Option<u64>,
}

/// All goroutines with their stacks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Snapshot {
    /// Largest first.
    pub groups: Vec<Group>,
    /// The sum of the groups.
    pub count: u64,
    /// The runtime's own goroutines, in no group.
    pub system: u64,
    /// Ended goroutines whose memory is kept for new ones.
    pub ended: u64,
    /// Goroutines whose header could not be read, or that ended while they were read.
    pub unreadable: u64,
    /// Goroutines whose stack moved during both attempts; they are in groups with [`StackState::Unreadable`].
    pub moving: u64,
    /// Goroutines whose stack was not kept, as there were too many distinct ones; like `moving`.
    pub over_bound: u64,
    /// Length of the runtime's list.
    pub listed: u64,
    /// Only every `stride`th goroutine was read, as there are more than the bound; all counts but `listed` are of those.
    pub stride: u64,
}

/// What groups are told apart by: frames as an index of distinct stacks, addresses of the process.
type Key = (Option<usize>, StackState, Status, Option<u8>, u64, u64);

/// Distinct stacks, as the physical frames on them.
#[derive(Debug, Default)]
struct Stacks {
    index: HashMap<Box<[u64]>, usize>,
    frames: usize,
}

impl Stacks {
    /// `None` when there is no room for one more.
    fn intern(&mut self, frames: &[u64], bound: usize) -> Option<usize> {
        if let Some(index) = self.index.get(frames) {
            return Some(*index);
        }
        self.frames += frames.len();
        if self.frames > bound {
            self.frames -= frames.len();
            return None;
        }
        let index = self.index.len();
        self.index.insert(frames.into(), index);
        Some(index)
    }
}

/// A stack as it was read: its number among the distinct ones.
#[derive(Debug, Clone, Copy)]
enum Read {
    /// `None` when there was no room to keep it.
    Known(StackState, Option<usize>),
    /// Its frames do not lead to its start function, or could not be read.
    Torn,
}

/// The work of one snapshot.
struct Reader<'r, 'p, M: ?Sized, B> {
    process: &'r Goroutines<'p, M, B>,
    unwinder: Unwinder<'p, B>,
    owners: Owners<'p, B>,
    stacks: Stacks,
    groups: HashMap<Key, (u64, Option<u64>)>,
    snapshot: Snapshot,
    /// Reused for every walk.
    frames: Vec<u64>,
}

impl<M: ReadMemory + ?Sized, B: TableBytes> Goroutines<'_, M, B> {
    /// Reads all stacks.
    pub fn snapshot(&self) -> Result<Snapshot, GoroutinesError> {
        self.memory.begin();
        let listed = list::read(self.memory, self.source.list, self.bounds.goroutines)?;
        self.stacks(&listed.addresses, listed.length, listed.stride)
    }

    /// Reads the stacks of some that are blocked: records by address, with the number that the goroutine must still have.
    pub fn snapshot_of(&self, records: &BTreeMap<u64, u64>) -> Result<Snapshot, GoroutinesError> {
        self.memory.begin();
        let addresses: Vec<u64> = records.keys().copied().collect();
        let headers = list::headers(self.memory, &self.source.layout, &addresses)?;
        let is_it = |header: &Header| header.status.is_blocked() && records.get(&header.address) == Some(&header.id);
        let still: Vec<u64> = headers
            .alive
            .iter()
            .filter(|header| is_it(header))
            .map(|header| header.address)
            .collect();
        self.stacks(&still, still.len() as u64, 1)
    }

    fn stacks(&self, addresses: &[u64], listed: u64, stride: u64) -> Result<Snapshot, GoroutinesError> {
        let mut reader = Reader {
            process: self,
            unwinder: Unwinder::new(self.table, self.bias),
            owners: Owners::new(self.table, self.bias),
            stacks: Stacks::default(),
            groups: HashMap::new(),
            snapshot: Snapshot {
                listed,
                stride,
                ..Snapshot::default()
            },
            frames: Vec::new(),
        };
        for addresses in addresses.chunks(CHUNK) {
            reader.chunk(addresses)?;
        }
        Ok(reader.finish())
    }
}

impl<M: ReadMemory + ?Sized, B: TableBytes> Reader<'_, '_, M, B> {
    fn chunk(&mut self, addresses: &[u64]) -> Result<(), MemoryError> {
        let (memory, layout) = (self.process.memory, &self.process.source.layout);
        let headers = list::headers(memory, layout, addresses)?;
        self.snapshot.ended += headers.ended;
        self.snapshot.unreadable += headers.unreadable;
        let mut stopped = Vec::with_capacity(headers.alive.len());
        for header in headers.alive {
            if self.owners.of(header.start) == Owner::Runtime {
                self.snapshot.system += 1;
            } else if header.status == Status::Running && !header.in_syscall {
                self.count(&header, StackState::Unreadable, None);
            } else {
                stopped.push(header);
            }
        }
        stopped.sort_by_key(|header| header.sp);
        let read = self.read(&stopped)?;
        // In the order of their addresses again, to be read together.
        let mut pairs: Vec<(Header, Read)> = stopped.into_iter().zip(read).collect();
        pairs.sort_by_key(|(header, _)| header.address);
        let addresses: Vec<u64> = pairs.iter().map(|(header, _)| header.address).collect();
        let later = list::headers(memory, layout, &addresses)?;
        let mut later = later.alive.into_iter().peekable();
        for (header, read) in pairs {
            let after = later.next_if(|after| after.address == header.address);
            let unmoved = after.is_some_and(|after| header.is_unmoved(&after));
            match read {
                Read::Known(state, stack) if unmoved => self.accept(&header, state, stack),
                _ => self.again(header.address)?,
            }
        }
        Ok(())
    }

    /// Reads one goroutine by itself: header, stack and header within microseconds.
    fn again(&mut self, address: u64) -> Result<(), MemoryError> {
        let (memory, layout) = (self.process.memory, &self.process.source.layout);
        let read_header = || Ok::<_, MemoryError>(list::headers(memory, layout, &[address])?.alive.pop());
        let Some(header) = read_header()? else {
            self.snapshot.unreadable += 1;
            return Ok(());
        };
        if header.status == Status::Running && !header.in_syscall {
            self.count(&header, StackState::Unreadable, None);
            return Ok(());
        }
        let read = self.read(std::slice::from_ref(&header))?;
        let after = read_header()?;
        let unmoved = after.is_some_and(|after| header.is_unmoved(&after));
        match read.first() {
            Some(Read::Known(state, stack)) if unmoved => self.accept(&header, *state, *stack),
            _ => {
                self.snapshot.moving += 1;
                self.count(&header, StackState::Unreadable, None);
            }
        }
        Ok(())
    }

    /// Reads and walks the stacks of goroutines in the order of their stack pointers.
    fn read(&mut self, headers: &[Header]) -> Result<Vec<Read>, MemoryError> {
        let mut results = vec![Read::Torn; headers.len()];
        let mut wanted: Vec<usize> = (0..headers.len()).collect();
        let bound = self.process.bounds.frames;
        for length in LENGTHS {
            let ranges: Vec<Range<u64>> = wanted
                .iter()
                .filter_map(|index| headers.get(*index))
                .map(|header| part(header, length))
                .collect();
            let mut short = Vec::new();
            let (unwinder, frames, stacks, process) =
                (&mut self.unwinder, &mut self.frames, &mut self.stacks, self.process);
            read_many(process.memory, &ranges, |position, bytes| {
                let index = wanted.get(position).copied();
                let found = index.and_then(|index| Some((index, headers.get(index)?, results.get_mut(index)?)));
                let (Some((index, header, result)), Ok(bytes)) = (found, bytes) else {
                    return;
                };
                match unwinder.walk(header, bytes, frames) {
                    End::Top { root } if process.begins_with(header, root) => {
                        *result = Read::Known(StackState::Complete, stacks.intern(frames, bound));
                    }
                    End::Top { .. } => {}
                    // An address outside the text: nothing to keep.
                    _ if frames.is_empty() => {}
                    End::Short(end) if end <= header.stack.end && length < LONGEST => short.push(index),
                    End::Short(end) if end > header.stack.end => {}
                    End::Partial | End::Short(_) => {
                        *result = Read::Known(StackState::Partial, stacks.intern(frames, bound));
                    }
                }
            })?;
            if short.is_empty() {
                break;
            }
            wanted = short;
        }
        Ok(results)
    }

    fn accept(&mut self, header: &Header, state: StackState, stack: Option<usize>) {
        if stack.is_none() {
            self.snapshot.over_bound += 1;
            self.count(header, StackState::Unreadable, None);
        } else {
            self.count(header, state, stack);
        }
    }

    fn count(&mut self, header: &Header, state: StackState, stack: Option<usize>) {
        let key = (
            stack,
            state,
            header.status,
            header.reason(),
            header.start,
            header.created_at,
        );
        let (count, after) = self.groups.entry(key).or_default();
        *count += 1;
        *after = earlier(*after, header.blocked_after);
    }

    fn finish(mut self) -> Snapshot {
        let mut stacks: Vec<Box<[u64]>> = vec![Box::default(); self.stacks.index.len()];
        for (frames, index) in self.stacks.index {
            if let Some(place) = stacks.get_mut(index) {
                *place = frames;
            }
        }
        let stacks: Vec<Vec<u64>> = stacks.iter().map(|frames| self.unwinder.logical(frames)).collect();
        for ((index, state, status, wait_reason, start, created_at), (count, blocked_after)) in self.groups {
            let start_address = self.process.linked(start);
            let stack = match index
                .and_then(|index| stacks.get(index))
                .filter(|stack| !stack.is_empty())
            {
                Some(stack) => stack.clone(),
                None => vec![start_address.saturating_add(1)],
            };
            if self.owners.of(start) == Owner::Finalizers && !self.owners.runs_program(&stack) {
                self.snapshot.system += count;
                continue;
            }
            self.snapshot.count += count;
            self.snapshot.groups.push(Group {
                stack,
                state,
                status,
                wait_reason,
                start: start_address,
                created_at: self.process.linked(created_at),
                count,
                blocked_after,
            });
        }
        self.snapshot.groups.sort_by(|one, other| {
            let order = |group: &Group| (std::cmp::Reverse(group.count), group.status, group.created_at);
            order(one).cmp(&order(other)).then_with(|| one.stack.cmp(&other.stack))
        });
        self.snapshot
    }
}

impl<M: ReadMemory + ?Sized, B: TableBytes> Goroutines<'_, M, B> {
    /// The outermost frame is the function that the goroutine was started with. One that C has created has none.
    fn begins_with(&self, header: &Header, root: u64) -> bool {
        header.start == 0 || root == self.linked(header.start)
    }
}

/// The first `length` bytes of a stack, from its innermost frame on.
fn part(header: &Header, length: u64) -> Range<u64> {
    let inside = header.stack.contains(&header.sp);
    // A stack pointer outside the stack is hostile, or torn.
    let end = if inside {
        header.stack.end.min(header.sp.saturating_add(length))
    } else {
        header.sp
    };
    header.sp..end
}
