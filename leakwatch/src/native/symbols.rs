//! Names, files and lines of code addresses, while the process lives: from DWARF, symbol tables, separate debug files and perf maps.

use crate::native::image;
use crate::native::image::MappedFile;
use blazesym::Pid;
use blazesym::symbolize::CodeInfo;
use blazesym::symbolize::Input;
use blazesym::symbolize::Symbolized;
use blazesym::symbolize::Symbolizer;
use blazesym::symbolize::source::Process;
use blazesym::symbolize::source::Source;
use leakwatch_analysis::stack::Frame;
use std::collections::HashMap;

/// Addresses remembered; those of a large program's stacks are some tens of thousands.
const MAX_REMEMBERED: usize = 131_072;

/// Names what one process executes.
#[derive(Debug)]
pub struct Symbols {
    symbolizer: Symbolizer,
    process: Process,
    files: Vec<MappedFile>,
    known: HashMap<u64, Vec<Frame>>,
}

impl Symbols {
    /// For the process with this id, as it is mapped now.
    pub fn of_process(pid: u32) -> Self {
        let mut process = Process::new(Pid::from(pid));
        process.map_files = true;
        Self {
            symbolizer: Symbolizer::new(),
            process,
            files: image::mapped_files(pid).unwrap_or_default(),
            known: HashMap::new(),
        }
    }

    /// The calls at a return address, innermost first: the functions inlined there, then the one that has the code. Without a
    /// symbol it is the file and the address.
    pub fn frames(&mut self, return_address: u64) -> &[Frame] {
        if self.known.len() >= MAX_REMEMBERED {
            self.known.clear();
        }
        self.known
            .entry(return_address)
            .or_insert_with(|| look_up(&self.symbolizer, &self.process, &self.files, return_address))
    }
}

fn look_up(symbolizer: &Symbolizer, process: &Process, files: &[MappedFile], return_address: u64) -> Vec<Frame> {
    // Inside the call.
    let address = return_address.saturating_sub(1);
    let source = Source::Process(process.clone());
    let Ok(Symbolized::Sym(symbol)) = symbolizer.symbolize_single(&source, Input::AbsAddr(address)) else {
        return vec![unnamed(files, address)];
    };
    let object = symbol.module.as_deref().map(|module| module.to_string_lossy());
    let object = object.as_deref().unwrap_or_default();
    let inlined = symbol.inlined.iter().rev();
    let mut frames: Vec<Frame> = inlined
        .map(|function| frame(&function.name, function.code_info.as_ref(), object))
        .collect();
    frames.push(frame(&symbol.name, symbol.code_info.as_deref(), object));
    frames
}

/// Code without a symbol: its offset in the file it was mapped from.
fn unnamed(files: &[MappedFile], address: u64) -> Frame {
    let found = files.iter().find_map(|file| {
        let (range, offset) = file.mappings.iter().find(|(range, _)| range.contains(&address))?;
        Some((file, address - range.start + offset))
    });
    let (file, offset) = found.map_or(("", address), |(file, offset)| (file.path.as_str(), offset));
    Frame {
        function: format!("{offset:#x}").into(),
        file: file.into(),
        line: 0,
    }
}

/// Without source lines the file is the object that the code is in.
fn frame(name: &str, place: Option<&CodeInfo<'_>>, object: &str) -> Frame {
    Frame {
        function: name.into(),
        file: place.map_or_else(|| object.into(), |place| place.to_path().to_string_lossy().into()),
        line: place.and_then(|place| place.line).unwrap_or(0),
    }
}
