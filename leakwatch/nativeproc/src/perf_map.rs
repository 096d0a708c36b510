//! The list of what a process has compiled at run time (`/tmp/perf-PID.map`, `tools/perf/Documentation/jit-interface.txt` of Linux): a line with
//! start, size and name of each function.

use crate::regular::Root;
use std::fs;
use std::io;
use std::io::Read as _;
use std::path::Path;

/// Read of a list; what comes later is not known. Node.js writes some 100 bytes a function.
const MAX_BYTES: u64 = 16 << 20;
/// Of a file that is larger the beginning is read.
const MAX_FILE: u64 = 4 << 30;
/// A function that lies in another one at most so many places before it is found.
const OVERLAPPING: usize = 16;

/// The functions, by their start.
#[derive(Debug, Default)]
pub struct PerfMap {
    text: Vec<u8>,
    /// Start, end, and where in the text the name is.
    functions: Vec<(u64, u64, std::ops::Range<usize>)>,
}

impl PerfMap {
    /// That of a process, in its root, by the number that it has in there. Empty where there is none.
    pub fn of_process(pid: u32) -> Self {
        Self::read(pid).unwrap_or_default()
    }

    fn read(pid: u32) -> io::Result<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let inside = innermost(&status).unwrap_or(pid);
        let path = format!("/tmp/perf-{inside}.map");
        let file = Root::of_process(pid)?.open(Path::new(&path), MAX_FILE)?;
        let mut text = Vec::new();
        file.take(MAX_BYTES).read_to_end(&mut text)?;
        Ok(Self::parse(text))
    }

    /// Lines that are none are passed over.
    pub fn parse(text: Vec<u8>) -> Self {
        let mut functions = Vec::new();
        let mut start = 0;
        for line in text.split(|byte| matches!(byte, b'\n' | b'\r')) {
            functions.extend(function(line).map(|(from, to, name)| (from, to, start + name..start + line.len())));
            start += line.len() + 1;
        }
        functions.sort_by_key(|(from, _, _)| *from);
        Self { text, functions }
    }

    /// The function at an address. What was compiled again at the same place is what came last.
    pub fn name(&self, address: u64) -> Option<String> {
        let after = self.functions.partition_point(|(from, _, _)| *from <= address);
        let before = self.functions.get(after.saturating_sub(OVERLAPPING)..after)?;
        let (_, _, name) = before.iter().rev().find(|(_, to, _)| address < *to)?;
        Some(String::from_utf8_lossy(self.text.get(name.clone())?).into_owned())
    }
}

/// Start, end, and where the name begins.
fn function(line: &[u8]) -> Option<(u64, u64, usize)> {
    let space = |from: usize| Some(from + line.get(from..)?.iter().position(|byte| *byte == b' ')?);
    let first = space(0)?;
    let second = space(first + 1)?;
    let number = |range: std::ops::Range<usize>| {
        let digits = std::str::from_utf8(line.get(range)?).ok()?;
        u64::from_str_radix(digits.strip_prefix("0x").unwrap_or(digits), 16).ok()
    };
    let from = number(0..first)?;
    let to = from.checked_add(number(first + 1..second)?)?;
    (second + 1 < line.len()).then_some((from, to, second + 1))
}

/// The number of a process in the innermost of its namespaces.
fn innermost(status: &str) -> Option<u32> {
    let numbers = status.lines().find_map(|line| line.strip_prefix("NStgid:"))?;
    numbers.split_whitespace().next_back()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_named_by_what_was_compiled_last() {
        let map = PerfMap::parse(
            b"1000 100 LazyCompile:~first a.js:1\nnonsense\n2000 10\n0x1100 0x20 second\r\n1000 80 again\nffffffffffffffff 2 wraps\n3000 10 \xff\n".to_vec(),
        );
        for (address, name) in [
            (0xfff, None),
            (0x1000, Some("again")),
            (0x1090, Some("LazyCompile:~first a.js:1")),
            (0x1100, Some("second")),
            (0x1120, None),
            (0x2000, None),
            (0x3000, Some("\u{fffd}")),
            (u64::MAX, None),
        ] {
            assert_eq!(map.name(address).as_deref(), name, "{address:x}");
        }
    }

    #[test]
    fn the_innermost_number_counts() {
        assert_eq!(innermost("Name:\tx\nNStgid:\t1337\t12\t1\nPid:\t1\n"), Some(1));
        assert_eq!(innermost("Name:\tNStgid: 7\n"), None);
    }
}
