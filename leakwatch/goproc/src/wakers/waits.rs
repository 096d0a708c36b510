//! What each goroutine waits for (`runtime.sudog`; runtime/chan.go, select.go, sema.go).

use super::Wakers;
use super::WakersError;
use crate::goroutines::Header;
use crate::goroutines::list;
use crate::memory::MemoryError;
use crate::memory::ReadMemory;
use crate::memory::read_many;
use crate::memory::u64_at;
use crate::spans::Span;
use crate::spans::Spans;
use std::collections::HashMap;
use std::ops::Range;

/// A goroutine that was seen blocked less long ago is not judged, in nanoseconds: it may be on its way.
const LEAST_AGE: u64 = 1_000_000_000;
/// A `select` has no more cases.
const MAX_CASES: usize = 1 << 16;
/// The first release in which a goroutine knows the semaphore that it waits for.
const KNOWS_SEMAPHORE: u32 = 26;

/// What has to happen for a goroutine to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wait {
    /// It goes on, or may at any time: it runs, sleeps, waits for the kernel, or cannot be judged.
    Alive,
    /// Nothing: it waits for nothing that there is.
    Forever,
    /// Somebody has to use one of these objects.
    Objects(Vec<u64>),
}

/// One goroutine.
#[derive(Debug, Clone)]
pub(super) struct Waiter {
    pub(super) header: Header,
    /// `g.waiting`.
    waiting: u64,
    pub(super) wait: Wait,
}

/// A place in a list of those that wait.
#[derive(Debug, Clone, Copy)]
struct Sudog {
    goroutine: u64,
    element: u64,
    channel: u64,
    link: u64,
}

/// All goroutines, with what they wait for.
#[derive(Debug, Default)]
pub(super) struct Waits {
    /// In the order of their addresses.
    pub(super) goroutines: Vec<Waiter>,
    by_address: HashMap<u64, u32>,
    sudogs: HashMap<u64, Sudog>,
}

/// Of which kind a reason to wait is, in Go's own words.
enum Reason {
    Nothing,
    Channel,
    Semaphore,
    Condition,
    Other,
}

impl Reason {
    fn of(text: Option<&str>) -> Self {
        match text {
            Some("chan receive (nil chan)" | "chan send (nil chan)" | "select (no cases)") => Self::Nothing,
            Some("chan receive" | "chan send" | "select") => Self::Channel,
            // Locks and groups had no reasons of their own once.
            Some(
                "semacquire" | "sync.Mutex.Lock" | "sync.RWMutex.RLock" | "sync.RWMutex.Lock" | "sync.WaitGroup.Wait",
            ) => Self::Semaphore,
            Some("sync.Cond.Wait") => Self::Condition,
            _ => Self::Other,
        }
    }
}

impl Waits {
    /// The number of the goroutine with this address.
    pub(super) fn number(&self, address: u64) -> Option<u32> {
        self.by_address.get(&address).copied()
    }

    pub(super) fn get(&self, number: u32) -> Option<&Waiter> {
        self.goroutines.get(usize::try_from(number).ok()?)
    }

    pub(super) fn is_sudog(&self, address: u64) -> bool {
        self.sudogs.contains_key(&address)
    }
}

impl<M: ReadMemory + ?Sized> Wakers<'_, M> {
    /// All goroutines there are, nothing else being known of them.
    pub(super) fn goroutines(&self) -> Result<Waits, WakersError> {
        let source = self.places.goroutines;
        let listed = list::read(self.memory, source.list, self.bounds.goroutines)?;
        if listed.stride != 1 {
            return Err(WakersError::TooMuch {
                what: "goroutines",
                found: listed.length,
                most: self.bounds.goroutines,
            });
        }
        let waiting = self.places.layout.goroutine_waiting;
        let length = source.layout.size().max(waiting + 8) as u64;
        let ranges: Vec<Range<u64>> = listed
            .addresses
            .iter()
            .map(|address| *address..address.saturating_add(length))
            .collect();
        let mut waits = Waits::default();
        let mut unreadable = None;
        read_many(self.memory, &ranges, |index, bytes| {
            match (bytes, listed.addresses.get(index)) {
                (Ok(bytes), Some(address)) => {
                    let header = Header::decode(*address, bytes, &source.layout);
                    if let Some((header, waiting)) = header.zip(u64_at(bytes, waiting)) {
                        waits.goroutines.push(Waiter {
                            header,
                            waiting,
                            wait: Wait::Alive,
                        });
                    }
                }
                (Err(error), _) => unreadable = Some(error),
                _ => {}
            }
        })?;
        // A goroutine that is not seen could be the one that wakes the others.
        if let Some(error) = unreadable {
            return Err(error.into());
        }
        for (number, waiter) in (0..).zip(&waits.goroutines) {
            waits.by_address.insert(waiter.header.address, number);
        }
        Ok(waits)
    }

    /// Finds out what they wait for. `now` is nanoseconds of `CLOCK_MONOTONIC`.
    pub(super) fn judge(&self, waits: &mut Waits, spans: &Spans, now: u64) -> Result<(), MemoryError> {
        let may_be_judged = |waiter: &Waiter| {
            let blocked = waiter
                .header
                .blocked_after
                .filter(|_| waiter.header.status.is_blocked());
            blocked.is_some_and(|since| now.checked_sub(since).is_some_and(|age| age >= LEAST_AGE))
        };
        let judged: Vec<usize> = (0..waits.goroutines.len())
            .filter(|index| waits.goroutines.get(*index).is_some_and(may_be_judged))
            .collect();
        if judged.is_empty() {
            return Ok(());
        }
        self.find_sudogs(waits, spans)?;
        // Before Go 1.26 a goroutine does not say which semaphore it waits for.
        let mut semaphores: HashMap<u64, Vec<u64>> = HashMap::new();
        for sudog in waits
            .sudogs
            .values()
            .filter(|sudog| sudog.channel == 0 && sudog.element != 0)
        {
            semaphores.entry(sudog.goroutine).or_default().push(sudog.element);
        }
        for index in judged {
            let Some(waiter) = waits.goroutines.get(index) else {
                continue;
            };
            let reason = self.places.goroutines.reasons.text(waiter.header.wait_reason);
            let knows = self.places.minor >= KNOWS_SEMAPHORE;
            let addresses = match Reason::of(reason) {
                Reason::Nothing => Some(Vec::new()),
                Reason::Channel => chain(waits, waiter, |sudog| sudog.channel),
                Reason::Semaphore | Reason::Condition if knows => {
                    chain(
                        waits,
                        waiter,
                        |sudog| if sudog.channel == 0 { sudog.element } else { 0 },
                    )
                }
                Reason::Semaphore => semaphores
                    .get(&waiter.header.address)
                    .filter(|found| found.len() == 1)
                    .cloned(),
                Reason::Condition | Reason::Other => None,
            };
            let wait = match addresses {
                None => Wait::Alive,
                Some(addresses) if addresses.is_empty() => Wait::Forever,
                // What lies outside of the heap, a variable, is never out of reach.
                Some(addresses) => addresses
                    .iter()
                    .map(|address| Some(spans.object(*address)?.1))
                    .collect::<Option<Vec<u64>>>()
                    .map_or(Wait::Alive, Wait::Objects),
            };
            if let Some(waiter) = waits.goroutines.get_mut(index) {
                waiter.wait = wait;
            }
        }
        Ok(())
    }

    /// Reads all objects that are as large as a sudog; one is whose first word is a goroutine.
    fn find_sudogs(&self, waits: &mut Waits, spans: &Spans) -> Result<(), MemoryError> {
        let layout = self.places.layout;
        // Size classes are multiples of 16 there (runtime/sizeclasses.go).
        let size = layout.sudog_size.next_multiple_of(16) as u64;
        let of_size: Vec<Range<u64>> = spans
            .all()
            .iter()
            .filter(|span| span.size == size && !span.is_noscan)
            .map(Span::objects)
            .collect();
        let Waits { by_address, sudogs, .. } = waits;
        let step = usize::try_from(size).unwrap_or(usize::MAX);
        read_many(self.memory, &of_size, |index, bytes| {
            let (Ok(bytes), Some(range)) = (bytes, of_size.get(index)) else {
                return;
            };
            for (object, address) in bytes.chunks_exact(step).zip((range.start..).step_by(step)) {
                let word = |offset| u64_at(object, offset);
                let goroutine = word(0).filter(|goroutine| by_address.contains_key(goroutine));
                let fields = (
                    goroutine,
                    word(layout.sudog_elem),
                    word(layout.sudog_channel),
                    word(layout.sudog_waitlink),
                );
                if let (Some(goroutine), Some(element), Some(channel), Some(link)) = fields {
                    let sudog = Sudog {
                        goroutine,
                        element,
                        channel,
                        link,
                    };
                    sudogs.insert(address, sudog);
                }
            }
        })
    }
}

/// What a goroutine waits for by its own list; none when any part of it is not known: then it is not judged.
fn chain(waits: &Waits, waiter: &Waiter, awaited: impl Fn(&Sudog) -> u64) -> Option<Vec<u64>> {
    let mut found = Vec::new();
    let mut next = waiter.waiting;
    while next != 0 {
        let sudog = waits.sudogs.get(&next)?;
        let address = awaited(sudog);
        if sudog.goroutine != waiter.header.address || address == 0 || found.len() >= MAX_CASES {
            return None;
        }
        found.push(address);
        next = sudog.link;
    }
    (!found.is_empty()).then_some(found)
}
