//! A probe in a function, and what a hit of it costs.

/// What the kernel does with the probed instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Execution {
    /// The kernel does its work itself: about 0.5 µs for a hit.
    Emulated,
    /// The processor executes a copy of it with the trap flag set: two exceptions, 11 to 16 µs for a hit.
    SingleStepped,
}

/// Where to probe a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    /// Bytes from the entry.
    pub offset: u64,
    /// What a hit there costs.
    pub execution: Execution,
    /// Whether the only argument is in the register of the second there: mimalloc moves it before its first branch.
    pub moved: bool,
}

/// The entry as it is, where nothing better is known.
pub const AT_ENTRY: Placement = Placement {
    offset: 0,
    execution: Execution::SingleStepped,
    moved: false,
};

/// Registers that hold arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arguments {
    /// Only the first: `malloc`, `free`.
    One,
    /// The first two: `calloc`, `realloc`.
    Two,
    /// The first three: `posix_memalign`, `reallocarray`.
    Three,
}

impl Arguments {
    pub(super) const fn count(self) -> usize {
        match self {
            Self::One => 1,
            Self::Two => 2,
            Self::Three => 3,
        }
    }
}

/// Instructions looked at from the entry.
pub(super) const MAX_INSTRUCTIONS: usize = 24;
