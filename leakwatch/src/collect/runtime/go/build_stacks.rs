//! The stacks of one executable in words, as far as they were met: all its processes share them.

use hashbrown::DefaultHashBuilder;
use hashbrown::HashMap;
use leakwatch_analysis::culprit::Build;
use leakwatch_analysis::culprit::Origin;
use leakwatch_analysis::model::decoded::ProfileContent;
use leakwatch_analysis::model::decoded::Summary;
use leakwatch_analysis::model::profile::Program;
use leakwatch_analysis::model::stack::Frame;
use leakwatch_analysis::model::stack::StackId;
use leakwatch_analysis::model::stack::StackTable;
use leakwatch_analysis::model::stack::StackTableFull;
use leakwatch_goproc::BinaryTable;
use leakwatch_goproc::heap::Frames;
use leakwatch_goproc::heap::KeepStacks;
use leakwatch_goproc::heap::Kept;
use leakwatch_goproc::heap::LogicalCall;
use std::borrow::Cow;
use std::hash::BuildHasher as _;
use std::hash::Hasher as _;
use std::sync::Arc;

/// Calls and stacks remembered by their addresses. A program has some thousand places that allocate; of more stacks than this, the others are put
/// in words again for each process that has them. Above seven eighths of a power of two a table doubles.
const MAX_REMEMBERED: usize = (1 << 18) / 8 * 7;
/// Calls in the table, those that stacks share counted once, before stacks are no longer kept whole: some 25 MiB. Half a million buckets of a
/// program take no more.
const MAX_WHOLE: usize = 1_700_000;
/// Calls kept of the stacks beyond: the innermost ones, which tell who has allocated, and for whom, and the outermost ones.
const FOLDED: (usize, usize) = (6, 6);
/// Calls in the table before only the innermost one is kept of the stacks beyond.
const MAX_FOLDED: usize = (1 << 21) / 8 * 7 - 1;

/// The stacks of one executable.
#[derive(Debug, Default)]
pub(super) struct BuildStacks {
    program: Program,
    stacks: StackTable,
    /// Calls by the addresses that they return to, in the file.
    calls: HashMap<u64, Call>,
    /// Stacks by the hash of their addresses in the file: two of a million share one of 64 bits with a chance of three in a hundred million.
    known: HashMap<u64, StackId>,
    hasher: DefaultHashBuilder,
    /// The calls of the stack that was looked up last, outermost first: the next one often has most of them.
    path: Vec<(u32, StackId)>,
    /// The calls of the stack that is being looked up.
    shown: Vec<u32>,
    /// Where its code is from, as far as that was learned, and the stacks that have code of its own.
    layout: Build,
    own: HashMap<u32, bool>,
}

/// What an address of a stack is.
#[derive(Clone, Copy, Debug)]
struct Call {
    /// Its frame, as a table of stacks takes it; none where none is shown.
    frame: Option<u32>,
    /// Whether runtime/pprof takes it for one of the runtime's.
    is_runtime: bool,
}

/// Which calls of a stack a profile shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Shown {
    /// Of a stack that has allocated: those of the runtime that lead to the allocation are left out, unless there are no others.
    Allocating,
    /// All.
    All,
}

/// What names the addresses of one process.
#[derive(Debug)]
pub(super) struct Names<'t> {
    frames: Frames<'t, BinaryTable>,
    /// What its addresses have more than those in the file.
    bias: u64,
}

impl<'t> Names<'t> {
    /// `bias` is what the addresses have more than those in the file of `frames`.
    pub(super) fn new(frames: Frames<'t, BinaryTable>, bias: u64) -> Self {
        Self { frames, bias }
    }
}

/// Keeps the stacks of the buckets of one process.
pub(super) struct HeapStacks<'t> {
    pub(super) build: &'t mut BuildStacks,
    pub(super) names: Names<'t>,
}

impl KeepStacks for HeapStacks<'_> {
    fn keep(&mut self, stack: &[u64]) -> Kept {
        self.build.heap(stack, &mut self.names)
    }
}

impl BuildStacks {
    /// None are known yet of the executable at this path, of this build.
    pub(super) fn new(exe: &str, build_id: &str) -> Self {
        Self {
            program: Program {
                file: exe.into(),
                build_id: build_id.into(),
            },
            ..Self::default()
        }
    }

    /// The stack of a bucket: return addresses in the process, innermost first.
    pub(super) fn heap(&mut self, stack: &[u64], names: &mut Names<'_>) -> Kept {
        self.keep(stack, Shown::Allocating, names)
    }

    /// The stack of a goroutine; likewise.
    pub(super) fn goroutine(&mut self, stack: &[u64], names: &mut Names<'_>) -> Kept {
        self.keep(stack, Shown::All, names)
    }

    /// Whether a frame of a stack is the program's own code.
    pub(super) fn is_own(&mut self, kept: Kept) -> bool {
        if let Some(known) = self.own.get(&kept.number) {
            return *known;
        }
        let stack = StackId::from_number(kept.number);
        if self.layout == Build::default() {
            self.layout = Build::learn(&self.stacks, [stack]);
        }
        let is_own = |frame: &Frame| self.layout.origin(frame) == Origin::Own;
        let own = self.stacks.frames(stack).any(is_own);
        if self.own.len() < MAX_REMEMBERED {
            self.own.insert(kept.number, own);
        }
        own
    }

    fn keep(&mut self, stack: &[u64], shown: Shown, names: &mut Names<'_>) -> Kept {
        let bias = names.bias;
        let hash = self.hash(stack, shown, bias);
        if let Some(known) = self.known.get(&hash) {
            return whole(*known);
        }
        let stack = match shown {
            Shown::Allocating => names.frames.expanded(stack),
            Shown::All => Cow::Borrowed(stack),
        };
        self.intern(hash, &stack, shown, bias, |address| names.look_up(address))
    }

    /// `look_up` names an address of the process, and tells whether it is one of the runtime's.
    fn intern(
        &mut self,
        hash: u64,
        stack: &[u64],
        shown: Shown,
        bias: u64,
        mut look_up: impl FnMut(u64) -> (Option<LogicalCall>, bool),
    ) -> Kept {
        let mut calls = std::mem::take(&mut self.shown);
        calls.clear();
        let kept = match self.show(stack, shown, bias, &mut look_up, &mut calls) {
            Ok(()) => self.keep_calls(&calls, hash),
            // These are not all.
            Err(_full) => Kept {
                is_whole: false,
                ..self.fold(&calls, (1, 0))
            },
        };
        self.shown = calls;
        kept
    }

    fn hash(&self, stack: &[u64], shown: Shown, bias: u64) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write_u8(shown as u8);
        for address in stack {
            hasher.write_u64(address.wrapping_sub(bias));
        }
        hasher.finish()
    }

    /// The frames that are shown of a stack, innermost first.
    fn show(
        &mut self,
        stack: &[u64],
        shown: Shown,
        bias: u64,
        look_up: &mut impl FnMut(u64) -> (Option<LogicalCall>, bool),
        frames: &mut Vec<u32>,
    ) -> Result<(), StackTableFull> {
        let mut is_leading = shown == Shown::Allocating;
        for address in stack {
            let call = self.call(*address, bias, look_up)?;
            is_leading &= call.is_runtime;
            if !is_leading {
                frames.extend(call.frame);
            }
        }
        if frames.is_empty() && shown == Shown::Allocating {
            return self.show(stack, Shown::All, bias, look_up, frames);
        }
        Ok(())
    }

    fn call(
        &mut self,
        address: u64,
        bias: u64,
        look_up: &mut impl FnMut(u64) -> (Option<LogicalCall>, bool),
    ) -> Result<Call, StackTableFull> {
        let in_file = address.wrapping_sub(bias);
        if let Some(known) = self.calls.get(&in_file) {
            return Ok(*known);
        }
        let (named, is_runtime) = look_up(address);
        let interned = named.map(|call| {
            let inlined = if call.inlined { StackTable::INLINED } else { 0 };
            Ok(self.stacks.intern_frame(&frame(&call))? | inlined)
        });
        let call = Call {
            frame: interned.transpose()?,
            is_runtime,
        };
        if self.calls.len() < MAX_REMEMBERED {
            self.calls.insert(in_file, call);
        }
        Ok(call)
    }

    fn keep_calls(&mut self, calls: &[u32], hash: u64) -> Kept {
        if self.stacks.len() + calls.len() > MAX_FOLDED {
            return self.fold(calls, (1, 0));
        }
        if self.stacks.len() + calls.len() > MAX_WHOLE {
            return self.fold(calls, FOLDED);
        }
        match self.intern_calls(calls) {
            Ok(stack) => {
                if self.known.len() < MAX_REMEMBERED {
                    self.known.insert(hash, stack);
                }
                whole(stack)
            }
            Err(_full) => self.fold(calls, (1, 0)),
        }
    }

    /// So many of the innermost and of the outermost calls alone, or none where there is no room for them.
    fn fold(&mut self, calls: &[u32], (inner, outer): (usize, usize)) -> Kept {
        let is_whole = calls.len() <= inner + outer;
        let kept = if is_whole {
            Cow::Borrowed(calls)
        } else {
            let innermost = calls.iter().take(inner);
            let outermost = calls.iter().skip(calls.len() - outer);
            innermost.chain(outermost).copied().collect()
        };
        match self.intern_calls(&kept) {
            Ok(stack) => Kept {
                is_whole,
                ..whole(stack)
            },
            Err(_full) => Kept {
                is_whole: false,
                ..whole(StackId::EMPTY)
            },
        }
    }

    fn intern_calls(&mut self, calls: &[u32]) -> Result<StackId, StackTableFull> {
        let mut caller = StackId::EMPTY;
        for (depth, frame) in calls.iter().rev().enumerate() {
            match self.path.get(depth) {
                Some((known, stack)) if known == frame => caller = *stack,
                _ => {
                    self.path.truncate(depth);
                    caller = self.stacks.intern_call(caller, *frame)?;
                    self.path.push((*frame, caller));
                }
            }
        }
        Ok(caller)
    }

    /// The profile of this summary of it.
    pub(super) fn content(&self, summary: Summary) -> Arc<ProfileContent> {
        Arc::new(ProfileContent {
            stacks: self.stacks.clone(),
            summary: Summary {
                program: self.program.clone(),
                ..summary
            },
        })
    }
}

impl Names<'_> {
    fn look_up(&mut self, address: u64) -> (Option<LogicalCall>, bool) {
        (self.frames.call(address), self.frames.is_runtime(address))
    }
}

fn whole(stack: StackId) -> Kept {
    Kept {
        number: stack.number(),
        is_whole: true,
    }
}

fn frame(call: &LogicalCall) -> Frame {
    Frame {
        function: call.frame.function.as_str().into(),
        file: call.frame.file.as_str().into(),
        line: call.frame.line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use leakwatch_goproc::pclntab;

    /// Addresses below 0x1000 are the runtime's, those from 0x9000 on lead nowhere, odd ones are inlined.
    fn look_up(bias: u64) -> impl FnMut(u64) -> (Option<LogicalCall>, bool) {
        move |address| {
            let in_file = address - bias;
            let call = LogicalCall {
                address,
                inlined: in_file % 2 == 1,
                frame: Arc::new(pclntab::Frame {
                    function: format!("main.f{in_file:x}"),
                    file: "/src/main.go".to_owned(),
                    line: 1,
                }),
            };
            ((in_file < 0x9000).then_some(call), in_file < 0x1000)
        }
    }

    fn keep(build: &mut BuildStacks, stack: &[u64], shown: Shown, bias: u64) -> Kept {
        let hash = build.hash(stack, shown, bias);
        build.intern(hash, stack, shown, bias, look_up(bias))
    }

    fn functions(build: &BuildStacks, kept: Kept) -> Vec<(&str, bool)> {
        let calls = build.stacks.calls(StackId::from_number(kept.number));
        calls.map(|(frame, inlined)| (&*frame.function, inlined)).collect()
    }

    #[test]
    fn processes_of_a_build_share_its_stacks_wherever_it_is_mapped() {
        let mut build = BuildStacks::default();
        let stack = |bias: u64| [bias + 0x2011, bias + 0x2020, bias + 0x3000];
        let first = keep(&mut build, &stack(0), Shown::All, 0);
        let bias = 0x5500_0000;
        let hash = build.hash(&stack(bias), Shown::All, bias);
        assert_eq!(build.known.get(&hash).map(|known| known.number()), Some(first.number));
        assert_eq!((build.stacks.len(), build.calls.len()), (3, 3));
        let expected = [("main.f2011", true), ("main.f2020", false), ("main.f3000", false)];
        assert_eq!(functions(&build, first), expected);
    }

    #[test]
    fn the_runtime_s_calls_that_lead_to_an_allocation_are_left_out() {
        let mut build = BuildStacks::default();
        let mut shown = |stack: &[u64], shown| {
            let kept = keep(&mut build, stack, shown, 0);
            let functions = functions(&build, kept);
            functions
                .into_iter()
                .map(|(function, _)| function.to_owned())
                .collect::<Vec<_>>()
        };
        let stack = [0x10, 0x20, 0x2000, 0x30, 0x3000, 0x9000];
        assert_eq!(
            shown(&stack, Shown::Allocating),
            ["main.f2000", "main.f30", "main.f3000"]
        );
        assert_eq!(shown(&stack, Shown::All).len(), 5);
        // There are no others, or none that have a name.
        assert_eq!(shown(&[0x10, 0x20], Shown::Allocating), ["main.f10", "main.f20"]);
        assert_eq!(shown(&[0x10, 0x9000], Shown::Allocating), ["main.f10"]);
        assert_eq!(shown(&[], Shown::Allocating).len(), 0);
    }

    /// Those that were found first are whole, of the others the innermost calls are there.
    #[test]
    fn very_many_deep_stacks_are_folded() {
        let mut build = BuildStacks::default();
        let (depth, count) = (500, 4_200);
        let mut kept = Vec::new();
        for index in 0..count {
            // No two have their outermost call in common.
            let inner = (1..depth).map(|call| 0x4000 + call % 50);
            let stack: Vec<u64> = inner.chain([0x2000 + index]).collect();
            kept.push(keep(&mut build, &stack, Shown::Allocating, 0));
        }
        let is_whole: Vec<bool> = kept.iter().map(|kept| kept.is_whole).collect();
        assert!(is_whole.is_sorted_by(|before, after| before >= after));
        assert!(is_whole[0] && !is_whole[is_whole.len() - 1]);
        let calls = |kept: Kept| functions(&build, kept).len();
        assert_eq!((calls(kept[0]), calls(kept[kept.len() - 1])), (500, 12));
        assert!(build.stacks.len() <= MAX_FOLDED);
        let last = functions(&build, kept[kept.len() - 1]);
        let outermost = format!("main.f{:x}", 0x2000 + count - 1);
        assert_eq!(last[11].0, outermost, "it is there: {last:?}");
    }
}
