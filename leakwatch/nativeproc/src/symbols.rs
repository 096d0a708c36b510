//! Names, files and lines of code addresses, while the process lives: from DWARF, symbol tables, separate debug files and perf maps.

use crate::bounds::FunctionBounds;
use crate::image;
use crate::image::MappedFile;
use crate::names::NameFile;
use crate::names::NameFiles;
use crate::names::Roots;
use crate::perf_map::PerfMap;
use blazesym::symbolize::CodeInfo;
use blazesym::symbolize::Input;
use blazesym::symbolize::Reason;
use blazesym::symbolize::Sym;
use blazesym::symbolize::Symbolized;
use blazesym::symbolize::Symbolizer;
use blazesym::symbolize::source::Elf;
use blazesym::symbolize::source::Source;
use leakwatch_analysis::culprit::native::is_runtime_object;
use leakwatch_analysis::model::stack::Frame;
use std::collections::BTreeMap;
use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;

/// Bytes of remembered addresses and names: those of a large program's stacks are some tens of thousands.
const MAX_KNOWN_BYTES: usize = 8 << 20;
/// What an address, and what a text, takes beside its contents, about.
const ADDRESS_BYTES: usize = 64;
const TEXT_BYTES: usize = 48;

/// Names what one process executes.
#[derive(Debug)]
pub struct Symbols {
    pid: u32,
    other_files: bool,
    files: Vec<MappedFile>,
    /// Keeps all that it has read and taken apart: made when first needed, and again after [`Self::forget_files`].
    reading: Option<Reading>,
    known: Known,
    missing: BTreeMap<&'static str, u64>,
}

impl Symbols {
    /// For the process with this id, as it is mapped now.
    pub fn of_process(pid: u32) -> Self {
        Self::by(pid, true)
    }

    /// The same by what the mapped files have themselves: nothing is opened that somebody else may have put there to be waited for.
    pub fn of_mapped_files(pid: u32) -> Self {
        Self::by(pid, false)
    }

    fn by(pid: u32, other_files: bool) -> Self {
        Self {
            pid,
            other_files,
            files: image::mapped_files(pid).unwrap_or_default(),
            reading: None,
            known: Known::default(),
            missing: BTreeMap::new(),
        }
    }

    /// Forgets what was read of the files: it is read again for the next address that has no name yet. The names stay.
    pub fn forget_files(&mut self) {
        self.reading = None;
    }

    /// Addresses that have no name, by reason.
    pub fn missing(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.missing.iter().map(|(reason, count)| (*reason, *count))
    }

    /// The calls at a return address, innermost first: the functions inlined there, then the one that has the code. Without a
    /// symbol it is the file and the address of the function.
    pub fn frames(&mut self, return_address: u64) -> &[Frame] {
        if !self.known.frames.contains_key(&return_address) {
            // Inside the call.
            let address = return_address.saturating_sub(1);
            let (pid, other_files) = (self.pid, self.other_files);
            let reading = self.reading.get_or_insert_with(|| Reading::of(pid, other_files));
            let frames = reading.look_up(&self.files, address).unwrap_or_else(|reason| {
                *self.missing.entry(reason).or_default() += 1;
                vec![reading.unnamed(&self.files, address)]
            });
            self.known.add(return_address, frames);
        }
        self.known.frames.get(&return_address).map_or(&[], Vec::as_slice)
    }
}

/// The names found so far. Texts are kept once: most addresses are in few files, and in few functions.
#[derive(Debug, Default)]
struct Known {
    frames: HashMap<u64, Vec<Frame>>,
    texts: HashSet<Arc<str>>,
    bytes: usize,
}

impl Known {
    /// Forgets the others where there is no room: their names are looked up again.
    fn add(&mut self, address: u64, mut frames: Vec<Frame>) {
        if self.bytes >= MAX_KNOWN_BYTES {
            *self = Self::default();
        }
        for frame in &mut frames {
            frame.function = self.text(&frame.function);
            frame.file = self.text(&frame.file);
        }
        frames.shrink_to_fit();
        self.bytes += ADDRESS_BYTES + frames.len() * size_of::<Frame>();
        self.frames.insert(address, frames);
    }

    fn text(&mut self, text: &Arc<str>) -> Arc<str> {
        if let Some(known) = self.texts.get(text) {
            return Arc::clone(known);
        }
        self.bytes += TEXT_BYTES + text.len();
        self.texts.insert(Arc::clone(text));
        Arc::clone(text)
    }
}

/// Where names come from; what is by place in the list of files is read when it is first needed.
#[derive(Debug)]
struct Reading {
    symbolizer: Symbolizer,
    roots: Roots,
    names: HashMap<usize, NameFiles>,
    perf_map: PerfMap,
    bounds: HashMap<usize, Option<FunctionBounds>>,
}

impl Reading {
    fn of(pid: u32, other_files: bool) -> Self {
        Self {
            // It is given open files that name no others.
            symbolizer: Symbolizer::builder().set_debug_dirs(Some([""; 0])).build(),
            roots: if other_files {
                Roots::of_process(pid)
            } else {
                Roots::default()
            },
            names: HashMap::new(),
            perf_map: if other_files {
                PerfMap::of_process(pid)
            } else {
                PerfMap::default()
            },
            bounds: HashMap::new(),
        }
    }

    /// The frames, or the reason why there is no name.
    fn look_up(&mut self, files: &[MappedFile], address: u64) -> Result<Vec<Frame>, &'static str> {
        let found = match place(files, address) {
            Some((index, file, offset)) => {
                let roots = &self.roots;
                let names = self.names.entry(index).or_insert_with(|| NameFiles::of(file, roots));
                in_file(&self.symbolizer, names, offset, &file.path)
            }
            None => Err("native_symbol_unmapped"),
        };
        found.or_else(|reason| {
            let name = self.perf_map.name(address).ok_or(reason)?;
            Ok(vec![frame(&name, None, "")])
        })
    }

    /// Named by where its function begins, or, where nothing tells, by its offset in the file it was mapped from.
    fn unnamed(&mut self, files: &[MappedFile], address: u64) -> Frame {
        let Some((index, file, offset)) = place(files, address) else {
            return Frame {
                function: format!("{address:#x}").into(),
                file: "".into(),
                line: 0,
            };
        };
        let bounds = self
            .bounds
            .entry(index)
            .or_insert_with(|| FunctionBounds::of_file(file).ok());
        let start = bounds.as_ref().and_then(|bounds| bounds.start(address));
        Frame {
            function: format!("{:#x}", start.unwrap_or(offset)).into(),
            file: file.path.as_str().into(),
            line: 0,
        }
    }
}

/// The file that has an address, its place in the list, and the offset in it.
fn place(files: &[MappedFile], address: u64) -> Option<(usize, &MappedFile, u64)> {
    files.iter().enumerate().find_map(|(index, file)| {
        let (range, offset) = file.mappings.iter().find(|(range, _)| range.contains(&address))?;
        Some((index, file, (address - range.start).checked_add(*offset)?))
    })
}

/// The frames at an offset of a file.
fn in_file(symbolizer: &Symbolizer, names: &NameFiles, offset: u64, object: &str) -> Result<Vec<Frame>, &'static str> {
    let address = names.address(offset);
    let separate = names
        .separate
        .as_ref()
        .zip(address)
        .map_or(Err(UNREADABLE), |(file, address)| {
            symbol(symbolizer, file, file.debugging, Input::VirtOffset(address))
        });
    let own = |debugging| {
        let file = names.own.as_ref().ok_or(UNREADABLE)?;
        symbol(symbolizer, file, debugging && file.debugging, Input::FileOffset(offset))
    };
    // Debugging information that cannot be read must not cost the name.
    let symbol = separate.or_else(|_reason| own(true)).or_else(|_reason| own(false))?;
    let inlined = symbol.inlined.iter().rev();
    let mut frames: Vec<Frame> = inlined
        .map(|function| frame(&function.name, function.code_info.as_ref(), object))
        .collect();
    let by_table = own(false);
    let name = match &by_table {
        Ok(other) if qualifies(&other.name, &symbol.name) => &other.name,
        _ => &symbol.name,
    };
    frames.push(frame(name, symbol.code_info.as_deref(), object));
    Ok(frames)
}

const UNREADABLE: &str = "native_symbol_unreadable";

fn symbol<'s>(
    symbolizer: &'s Symbolizer,
    file: &NameFile,
    debugging: bool,
    input: Input<u64>,
) -> Result<Sym<'s>, &'static str> {
    let mut elf = Elf::new(&file.path);
    elf.debug_syms = debugging;
    match symbolizer.symbolize_single(&Source::Elf(elf), input) {
        Ok(Symbolized::Sym(symbol)) => Ok(symbol),
        Ok(Symbolized::Unknown(reason)) => Err(why(reason)),
        Err(error) => {
            tracing::debug!(%error, "an address cannot be named");
            Err(UNREADABLE)
        }
    }
}

/// The reason under which an address without a name is counted.
fn why(reason: Reason) -> &'static str {
    match reason {
        Reason::Unmapped => "native_symbol_unmapped",
        Reason::InvalidFileOffset => "native_symbol_no_code",
        Reason::MissingComponent => "native_symbol_no_file",
        Reason::MissingSyms => "native_symbol_no_symbols",
        Reason::UnknownAddr => "native_symbol_not_in_table",
        Reason::IgnoredError => UNREADABLE,
        _ => "native_symbol_unsupported",
    }
}

/// Whether a name is another one with the path to it. With line tables alone (`debug = "line-tables-only"`, `-gline-tables-only`) debugging
/// information says `record` where the symbol table says `ledger::Ledger::record`.
fn qualifies(name: &str, bare: &str) -> bool {
    let path = name.strip_suffix(bare);
    path.is_some_and(|path| path.ends_with("::"))
}

/// Without source lines, and for the C library even with them, the file is the object that the code is in.
fn frame(name: &str, place: Option<&CodeInfo<'_>>, object: &str) -> Frame {
    let place = place.filter(|_| !is_runtime_object(object));
    Frame {
        function: name.into(),
        file: place.map_or_else(|| object.into(), |place| place.to_path().to_string_lossy().into()),
        line: place.and_then(|place| place.line).unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_a_name_says_why() {
        let documented = include_str!("../../../docs/operating.md");
        for reason in [
            Reason::Unmapped,
            Reason::InvalidFileOffset,
            Reason::MissingComponent,
            Reason::MissingSyms,
            Reason::Unsupported,
            Reason::UnknownAddr,
            Reason::IgnoredError,
        ] {
            assert!(documented.contains(&format!("`{}`", why(reason))), "{reason:?}");
        }
        let mut symbols = Symbols::of_process(std::process::id());
        assert_eq!(symbols.frames(17).len(), 1);
        assert_eq!(symbols.frames(17).len(), 1);
        assert!(symbols.missing().eq([("native_symbol_unmapped", 1)]));
    }

    #[test]
    fn names_are_bounded_kept_once_and_found_again() {
        let mut known = Known::default();
        let named = |number: usize| Frame {
            function: format!("function {number}").into(),
            file: "file.c".into(),
            line: 1,
        };
        known.add(1, vec![named(1)]);
        known.add(2, vec![named(1)]);
        assert!(Arc::ptr_eq(
            &known.frames[&1][0].function,
            &known.frames[&2][0].function
        ));
        for number in 0..200_000 {
            known.add(number, vec![named(usize::try_from(number).unwrap())]);
            assert!(known.bytes <= MAX_KNOWN_BYTES + 1_024 && known.frames.contains_key(&number));
        }
        assert!(known.frames.len() < 200_000);

        let mut symbols = Symbols::of_process(std::process::id());
        let here = names_are_bounded_kept_once_and_found_again as fn() as usize as u64 + 4;
        let before = symbols.frames(here).to_vec();
        symbols.forget_files();
        assert_eq!(symbols.frames(here), before);
        symbols.known = Known::default();
        assert_eq!(symbols.frames(here), before);
    }

    #[test]
    fn a_path_is_taken_from_the_symbol_table() {
        assert!(qualifies("ledger::Ledger::record", "record"));
        assert!(qualifies("<ledger::Ledger as ledger::Keep>::record", "record"));
        for name in ["record", "ledger::Ledger::forget", "ledger::rerecord", "record::ledger"] {
            assert!(!qualifies(name, "record"), "{name}");
        }
    }
}
