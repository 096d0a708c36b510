//! Where the stacks of buckets go: they are handed over once, when their buckets are found, so that whoever wants them can keep them in a form of
//! its own.

/// A stack that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The keeper's own number for it.
    pub number: u32,
    /// Whether all of its calls are kept.
    pub is_whole: bool,
}

/// Keeps stacks.
pub trait KeepStacks {
    /// Keeps a stack: return addresses in the process, innermost first, one for each logical call.
    fn keep(&mut self, stack: &[u64]) -> Kept;
}

/// Keeps them as they come, by their places: for programs that read a heap once.
impl KeepStacks for Vec<Vec<u64>> {
    fn keep(&mut self, stack: &[u64]) -> Kept {
        let number = u32::try_from(self.len()).unwrap_or(u32::MAX);
        self.push(stack.to_vec());
        Kept { number, is_whole: true }
    }
}
