//! The line of the program on which goroutines wait.

use super::Group;
use crate::pclntab::Frame;
use crate::pclntab::Pclntab;
use crate::pclntab::TableBytes;

/// Packages that wait on behalf of others, as prefixes of function names.
const ON_BEHALF: [&str; 6] = ["runtime.", "runtime/", "internal/", "sync.", "syscall.", "time.Sleep"];

impl Group {
    /// The innermost call that is not of a package which only carries waiting out: of the program, or of a library like
    /// `net`. The innermost call of all where there is no such call; `None` without a stack.
    pub fn waits_at<B: TableBytes>(&self, table: &Pclntab<B>) -> Option<Frame> {
        let frames = || self.stack.iter().filter_map(|address| call(table, *address));
        frames()
            .find(|frame| !ON_BEHALF.iter().any(|package| frame.function.starts_with(package)))
            .or_else(|| frames().next())
    }
}

/// The one logical call that an address of a profile stands for.
fn call<B: TableBytes>(table: &Pclntab<B>, address: u64) -> Option<Frame> {
    let pc = address.checked_sub(1)?;
    let function = table.function_at(pc)?;
    Some(table.frame(&function, &table.innermost(&function, pc)))
}
