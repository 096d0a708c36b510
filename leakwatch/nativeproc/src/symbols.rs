//! Names, files and lines of code addresses, while the process lives: from DWARF, symbol tables, separate debug files and perf maps.

use crate::bounds::FunctionBounds;
use crate::image;
use crate::image::MappedFile;
use blazesym::Pid;
use blazesym::symbolize::CodeInfo;
use blazesym::symbolize::Input;
use blazesym::symbolize::Reason;
use blazesym::symbolize::Sym;
use blazesym::symbolize::Symbolized;
use blazesym::symbolize::Symbolizer;
use blazesym::symbolize::source::Process;
use blazesym::symbolize::source::Source;
use leakwatch_analysis::culprit::native::is_runtime_object;
use leakwatch_analysis::model::stack::Frame;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::collections::HashSet;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

/// Bytes of remembered addresses and names: those of a large program's stacks are some tens of thousands.
const MAX_KNOWN_BYTES: usize = 8 << 20;
/// What an address, and what a text, takes beside its contents, about.
const ADDRESS_BYTES: usize = 64;
const TEXT_BYTES: usize = 48;

/// Where distributions put debugging information, by path and by build id.
const DEBUG_DIRECTORY: &str = "/usr/lib/debug";

/// Names what one process executes.
#[derive(Debug)]
pub struct Symbols {
    sources: Sources,
    debug_directories: Vec<PathBuf>,
    /// Keeps all that it has read and taken apart: made when first needed, and again after [`Self::forget_files`].
    symbolizer: Option<Symbolizer>,
    unnamed: Unnamed,
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
        let mut process = Process::new(Pid::from(pid));
        process.map_files = true;
        process.debug_syms = other_files;
        process.perf_map = other_files;
        let mut symbol_tables = process.clone();
        symbol_tables.debug_syms = false;
        let files = image::mapped_files(pid).unwrap_or_default();
        Self {
            sources: Sources { process, symbol_tables },
            debug_directories: debug_directories(pid, &files),
            symbolizer: None,
            unnamed: Unnamed {
                files,
                bounds: HashMap::new(),
            },
            known: Known::default(),
            missing: BTreeMap::new(),
        }
    }

    /// Forgets what was read of the files: it is read again for the next address that has no name yet. The names stay.
    pub fn forget_files(&mut self) {
        self.symbolizer = None;
        self.unnamed.bounds = HashMap::new();
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
            let symbolizer = self.symbolizer.get_or_insert_with(|| {
                Symbolizer::builder()
                    .set_debug_dirs(Some(&self.debug_directories))
                    .build()
            });
            let frames = self.sources.look_up(symbolizer, address).unwrap_or_else(|reason| {
                *self.missing.entry(reason).or_default() += 1;
                vec![self.unnamed.frame(address)]
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

/// Where names come from.
#[derive(Debug)]
struct Sources {
    process: Process,
    /// The same by symbol tables alone.
    symbol_tables: Process,
}

impl Sources {
    /// The frames, or the reason why there is no name.
    fn look_up(&self, symbolizer: &Symbolizer, address: u64) -> Result<Vec<Frame>, &'static str> {
        // Debugging information that cannot be read must not cost the name.
        let symbol = symbol(symbolizer, &self.process, address)
            .or_else(|_reason| symbol(symbolizer, &self.symbol_tables, address))?;
        let object = symbol.module.as_deref().map(|module| module.to_string_lossy());
        let object = object.as_deref().unwrap_or_default();
        let inlined = symbol.inlined.iter().rev();
        let mut frames: Vec<Frame> = inlined
            .map(|function| frame(&function.name, function.code_info.as_ref(), object))
            .collect();
        let by_table = self::symbol(symbolizer, &self.symbol_tables, address);
        let name = match &by_table {
            Ok(other) if qualifies(&other.name, &symbol.name) => &other.name,
            _ => &symbol.name,
        };
        frames.push(frame(name, symbol.code_info.as_deref(), object));
        Ok(frames)
    }
}

fn symbol<'s>(symbolizer: &'s Symbolizer, process: &Process, address: u64) -> Result<Sym<'s>, &'static str> {
    let source = Source::Process(process.clone());
    match symbolizer.symbolize_single(&source, Input::AbsAddr(address)) {
        Ok(Symbolized::Sym(symbol)) => Ok(symbol),
        Ok(Symbolized::Unknown(reason)) => Err(why(reason)),
        Err(error) => {
            tracing::debug!(%error, "an address cannot be named");
            Err("native_symbol_unreadable")
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
        Reason::IgnoredError => "native_symbol_unreadable",
        _ => "native_symbol_unsupported",
    }
}

/// Directories that may have the file that a debug link names: those of gdb's manual ("Separate Debug Files"), first in the root of the process,
/// where the daemon's own paths do not lead into a container, and then of this host. Only those that exist.
fn debug_directories(pid: u32, files: &[MappedFile]) -> Vec<PathBuf> {
    let root = PathBuf::from(format!("/proc/{pid}/root"));
    let inside = |path: &Path| root.join(path.strip_prefix("/").unwrap_or(path));
    let all = inside(Path::new(DEBUG_DIRECTORY));
    let mut directories = BTreeSet::new();
    for file in files {
        if let Some(parent) = Path::new(&file.path).parent() {
            let beside = inside(parent);
            directories.insert(beside.join(".debug"));
            directories.insert(all.join(parent.strip_prefix("/").unwrap_or(parent)));
            directories.insert(beside);
        }
        if let Some(first) = image::build_id(file).and_then(|id| id.first().copied()) {
            directories.insert(all.join(format!(".build-id/{first:02x}")));
        }
    }
    directories.extend([all, DEBUG_DIRECTORY.into()]);
    directories.into_iter().filter(|path| path.is_dir()).collect()
}

/// Whether a name is another one with the path to it. With line tables alone (`debug = "line-tables-only"`, `-gline-tables-only`) debugging
/// information says `record` where the symbol table says `ledger::Ledger::record`.
fn qualifies(name: &str, bare: &str) -> bool {
    let path = name.strip_suffix(bare);
    path.is_some_and(|path| path.ends_with("::"))
}

/// Code without symbols.
#[derive(Debug)]
struct Unnamed {
    files: Vec<MappedFile>,
    /// By place in `files`; read when first needed.
    bounds: HashMap<usize, Option<FunctionBounds>>,
}

impl Unnamed {
    /// Named by where its function begins, or, where nothing tells, by its offset in the file it was mapped from.
    fn frame(&mut self, address: u64) -> Frame {
        let found = self.files.iter().enumerate().find_map(|(index, file)| {
            let (range, offset) = file.mappings.iter().find(|(range, _)| range.contains(&address))?;
            Some((index, file, address - range.start + offset))
        });
        let Some((index, file, offset)) = found else {
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
