//! Names of functions and files, and the line of an instruction.

use super::Pclntab;
use super::bytes::TableBytes;
use super::bytes::u32_entry;
use super::bytes::until_nul;
use super::function::Function;
use std::borrow::Cow;

impl<B: TableBytes> Pclntab<B> {
    /// The full name of a function, as the linker knows it (`main.(*list[go.shape.int]).push`).
    pub fn full_name(&self, function: &Function) -> Option<String> {
        self.name_at(function.name)
    }

    /// The name at an offset into the function names.
    pub(super) fn name_at(&self, offset: u32) -> Option<String> {
        let at = self.header.function_names.checked_add(usize::try_from(offset).ok()?)?;
        until_nul(self.bytes(), at, self.header.units)
    }

    /// File and line of the instruction at `pc` (`runtime.funcline1`). Inlining is respected: the position is the one of
    /// the innermost function at `pc`.
    pub fn position(&self, function: &Function, pc: u64) -> Option<(String, u32)> {
        let file = self.value(function, function.pcfile, pc)?;
        let line = u32::try_from(self.value(function, function.pcln, pc)?).ok()?;
        let number = function.unit.checked_add(u32::try_from(file).ok()?)?;
        let number = usize::try_from(number).ok()?;
        if number >= (self.header.file_names - self.header.units) / 4 {
            return None;
        }
        let offset = u32_entry(self.bytes(), self.header.units, number)?;
        let at = self.header.file_names.checked_add(usize::try_from(offset).ok()?)?;
        Some((until_nul(self.bytes(), at, self.header.values)?, line))
    }
}

/// The name as profiles and panics print it: type arguments are left out (`runtime.funcNameForPrint`).
pub fn printed_name(full: &str) -> Cow<'_, str> {
    let bounds = full.find('[').and_then(|open| Some((open, full.rfind(']')?)));
    match bounds.map(|(open, close)| (full.get(..open), full.get(close + 1..))) {
        Some((Some(before), Some(after))) if before.len() + after.len() < full.len() => {
            Cow::Owned(format!("{before}[...]{after}"))
        }
        _ => Cow::Borrowed(full),
    }
}

#[cfg(test)]
mod tests {
    use super::printed_name;

    #[test]
    fn type_arguments_are_not_printed() {
        let cases = [
            ("main.main", "main.main"),
            ("main.F[go.shape.int]", "main.F[...]"),
            ("main.(*List[go.shape.[]uint8]).Push", "main.(*List[...]).Push"),
            ("main.F[...].func1", "main.F[...].func1"),
            ("main.F[go.shape.struct { A map[string]int }].G[...].1", "main.F[...].1"),
            ("odd]name[", "odd]name["),
            ("open[", "open["),
            ("", ""),
        ];
        for (full, printed) in cases {
            assert_eq!(printed_name(full), printed);
        }
    }
}
