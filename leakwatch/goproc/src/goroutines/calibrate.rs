//! Where the fields of a goroutine lie, told by the goroutines of a process themselves.
//!
//! What a field holds gives it away: a stack pointer lies in the stack, a start function begins where a function begins. A
//! layout that is known must agree; one that is not known is learned, when nothing else would fit.

use super::GoroutinesError;
use super::list;
use super::list::ListAddress;
use crate::layout::GoroutineLayout;
use crate::layout::STACK_HIGH;
use crate::layout::STACK_LOW;
use crate::memory::ReadMemory;
use crate::memory::u32_at;
use crate::memory::u64_at;
use crate::pclntab::Pclntab;
use crate::pclntab::TableBytes;
use std::collections::BTreeSet;
use std::ops::Range;

/// Goroutines looked at. Every program has at least five: its own first, and four of the runtime.
const SAMPLES: usize = 64;
const MIN_SAMPLES: usize = 4;

/// `runtime.g` has up to 456 bytes, and lies in an allocation of 480 or 512.
const BYTES: usize = 480;

/// A process that has started more goroutines has run for longer than any machine.
const MAX_ID: u64 = 1 << 48;

/// Why the layout of goroutines is not certain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CalibrationError {
    /// The list could not be read.
    #[error(transparent)]
    Goroutines(#[from] GoroutinesError),
    /// There are too few to tell chance from rule.
    #[error("{found} goroutines are too few to recognise their layout")]
    TooFew {
        /// How many could be read.
        found: usize,
    },
    /// The memory says otherwise.
    #[error("goroutines do not have {field} at offset {expected}, as this version of Go should")]
    Contradiction {
        /// The field.
        field: &'static str,
        /// Where it should be.
        expected: usize,
    },
    /// The version is not known, and no or several places would fit.
    #[error("{candidates} places could be {field} of a goroutine")]
    Unsettled {
        /// The field.
        field: &'static str,
        /// How many.
        candidates: usize,
    },
}

/// One goroutine as it lies in memory.
#[derive(Debug)]
struct Sample {
    address: u64,
    bytes: Vec<u8>,
}

impl Sample {
    fn word(&self, offset: usize) -> Option<u64> {
        u64_at(&self.bytes, offset)
    }

    fn stack(&self) -> Option<Range<u64>> {
        let stack = self.word(STACK_LOW)?..self.word(STACK_HIGH)?;
        (stack.start != 0 && stack.start < stack.end).then_some(stack)
    }

    /// The word is an address in the stack, or its end.
    fn is_in_stack(&self, offset: usize) -> bool {
        let address = self.word(offset);
        self.stack()
            .zip(address)
            .is_some_and(|(stack, address)| stack.contains(&address) || address == stack.end)
    }
}

/// Goroutines of one process, and its text to compare with.
#[derive(Debug)]
pub struct Calibration<'t, B> {
    /// Those with a stack.
    samples: Vec<Sample>,
    /// The first goroutine of the program.
    first: Sample,
    table: &'t Pclntab<B>,
    bias: u64,
}

impl<'t, B: TableBytes> Calibration<'t, B> {
    /// Reads the goroutines to look at.
    pub fn read<M: ReadMemory + ?Sized>(
        memory: &M,
        table: &'t Pclntab<B>,
        bias: u64,
        list: ListAddress,
    ) -> Result<Self, CalibrationError> {
        let sample = |address: u64| {
            let mut bytes = vec![0; BYTES];
            let read = memory.read_some(address, &mut bytes).ok()?;
            bytes.truncate(read);
            Some(Sample { address, bytes })
        };
        let array = memory.read_u64(list.array).map_err(GoroutinesError::from)?;
        let first = memory.read_u64(array).map_err(GoroutinesError::from)?;
        let listed = list::read(memory, list, SAMPLES as u64)?;
        let samples: Vec<Sample> = listed
            .addresses
            .into_iter()
            .filter_map(sample)
            .filter(|sample| sample.stack().is_some())
            .collect();
        match sample(first) {
            Some(first) if samples.len() >= MIN_SAMPLES => Ok(Self {
                samples,
                first,
                table,
                bias,
            }),
            _ => Err(CalibrationError::TooFew { found: samples.len() }),
        }
    }

    /// The layout that `expected` and the memory agree on, or that the memory alone tells when nothing is expected.
    pub fn settle(&self, expected: Option<&GoroutineLayout>) -> Result<GoroutineLayout, CalibrationError> {
        let of = |field: fn(&GoroutineLayout) -> usize| expected.map(field);
        let sched = settle("sched", of(|layout| layout.sched), &self.sched())?;
        let syscall_sp = settle("syscallsp", of(|layout| layout.syscall_sp), &self.syscall_sp(sched))?;
        let id = settle("goid", of(|layout| layout.id), &self.id())?;
        let start = settle("startpc", of(|layout| layout.start), &self.text(id, true))?;
        let created_at = settle("gopc", of(|layout| layout.created_at), &self.text(id, false))?;
        // The fields between have been neighbours of `goid` in all releases.
        let learned = GoroutineLayout {
            sched,
            syscall_sp,
            syscall_pc: syscall_sp + 8,
            status: id - 8,
            id,
            wait_since: id + 16,
            wait_reason: id + 24,
            created_at,
            start,
        };
        match expected {
            Some(expected) if *expected != learned => Err(CalibrationError::Contradiction {
                field: "status, wait time or reason",
                expected: expected.status,
            }),
            _ => Ok(learned),
        }
    }

    /// Offsets that all samples but a few have what is asked for: one may be in the middle of a change.
    fn offsets(&self, from: usize, fits: impl Fn(&Sample, usize) -> bool) -> Vec<usize> {
        let needed = self.samples.len() - self.samples.len() / 8;
        (from..BYTES)
            .step_by(8)
            .filter(|offset| self.samples.iter().filter(|sample| fits(sample, *offset)).count() >= needed)
            .collect()
    }

    /// Stack pointer, program counter and the goroutine's own address. The runtime clears the stack pointer of one that begins to run
    /// (`gogo`): threads that spin have it zero for all of their lives, and in a small program they are most of the goroutines.
    fn sched(&self) -> Vec<usize> {
        let fits = self.offsets(STACK_HIGH + 8, |sample, offset| {
            sample.word(offset + 16) == Some(sample.address)
                && (sample.is_in_stack(offset) || sample.word(offset) == Some(0))
                && sample.word(offset + 8).is_some_and(|pc| self.is_text(pc))
        });
        let is_ever_in_stack = |offset: &usize| self.samples.iter().any(|sample| sample.is_in_stack(*offset));
        fits.into_iter().filter(is_ever_in_stack).collect()
    }

    /// Behind the frame pointer, with which `sched` ends; zero, or like `sched` when in a system call.
    fn syscall_sp(&self, sched: usize) -> Vec<usize> {
        let frame_pointers = self.offsets(sched + 24, |sample, offset| {
            sample.is_in_stack(offset) || sample.word(offset) == Some(0)
        });
        // What follows `sched` may be zero in all goroutines of a program too: the frame pointer is not.
        let frame_pointer = frame_pointers
            .into_iter()
            .find(|offset| self.samples.iter().any(|sample| sample.is_in_stack(*offset)));
        let fits = |offset: usize| {
            self.samples.iter().all(|sample| {
                let (sp, pc) = (sample.word(offset), sample.word(offset + 8));
                (sp == Some(0)) || (sample.is_in_stack(offset) && pc.is_some_and(|pc| self.is_text(pc)))
            })
        };
        let offset = frame_pointer.map(|offset| offset + 8);
        offset.into_iter().filter(|offset| fits(*offset)).collect()
    }

    /// 1 in the first goroutine, other small numbers in all others; a status and a wait reason beside it.
    fn id(&self) -> Vec<usize> {
        let offsets = (STACK_HIGH + 8..BYTES).step_by(8);
        offsets
            .filter(|offset| self.first.word(*offset) == Some(1))
            .filter(|offset| {
                let ids: BTreeSet<u64> = self
                    .samples
                    .iter()
                    .filter_map(|sample| sample.word(*offset))
                    .filter(|id| (1..MAX_ID).contains(id))
                    .collect();
                ids.len() == self.samples.len()
            })
            .filter(|offset| {
                self.samples.iter().all(|sample| {
                    let status = u32_at(&sample.bytes, offset - 8);
                    status.is_some_and(|status| status & !0x1000 < 16)
                })
            })
            .collect()
    }

    /// An address in the text behind `goid`, that always or never is the entry of a function.
    fn text(&self, id: usize, entry: bool) -> Vec<usize> {
        self.offsets(id + 8, |sample, offset| {
            sample.word(offset).is_some_and(|address| {
                let linked = address.wrapping_sub(self.bias);
                self.table
                    .function_at(linked)
                    .is_some_and(|function| (function.entry == linked) == entry)
            })
        })
    }

    fn is_text(&self, address: u64) -> bool {
        self.table.function_at(address.wrapping_sub(self.bias)).is_some()
    }
}

fn settle(field: &'static str, expected: Option<usize>, candidates: &[usize]) -> Result<usize, CalibrationError> {
    match (expected, candidates) {
        (Some(expected), _) if candidates.contains(&expected) => Ok(expected),
        (Some(expected), _) => Err(CalibrationError::Contradiction { field, expected }),
        (None, [only]) => Ok(*only),
        (None, _) => Err(CalibrationError::Unsettled {
            field,
            candidates: candidates.len(),
        }),
    }
}
