//! What all processes of one executable share: its headers, its symbols and its function table.
//!
//! Addresses here are those of the file; a process adds its load bias.

use crate::buildinfo;
use crate::image::Image;
use crate::image::ImageError;
use crate::layout::Layout;
use crate::layout::minor_release;
use crate::located::LocateError;
use crate::located::SYMBOLS;
use crate::memory::MemoryError;
use crate::memory::ReadMemory;
use crate::moduledata;
use crate::moduledata::Moduledata;
use crate::os::FileBytes;
use crate::paged::Paged;
use crate::pclntab::Pclntab;
use crate::pclntab::PclntabError;
use crate::pclntab::TableBytes;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The function table of the largest programs (hundreds of megabytes) has some 60 MB, of which few pages are kept.
const MAX_TABLE: u64 = 192 << 20;

/// Why an executable cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BinaryError {
    /// Its headers are not those of a program for this processor.
    #[error("read the executable")]
    Image(#[from] ImageError),
    /// It is a Go program, but its record is damaged.
    #[error("read the build info")]
    BuildInfo(#[from] buildinfo::BuildInfoError),
    /// It carries no record of the Go linker.
    #[error("not a Go program")]
    NotGo,
    /// It can be loaded anywhere, and the process does not say where (yet: it may just be starting).
    #[error("the process does not say where its executable is loaded")]
    NoEntry,
    /// Its tables were not found in the memory of the process.
    #[error("find the tables of the runtime")]
    Locate(#[from] LocateError),
    /// The function table is unreasonably large.
    #[error("the function table has {size} bytes, more than {MAX_TABLE}")]
    TableTooLarge {
        /// What the process says.
        size: u64,
    },
    /// The function table is not in the file.
    #[error("read the function table")]
    Table(#[source] MemoryError),
    /// The function table is damaged, or of an unknown kind.
    #[error("parse the function table")]
    Pclntab(#[from] PclntabError),
}

/// The bytes of an executable's tables, shared by all its processes.
#[derive(Debug)]
pub struct BinaryTable(Bytes);

#[derive(Debug)]
enum Bytes {
    /// In the file.
    File(Paged<FileBytes>),
    /// Not in the file (it is packed): as one process had them in memory.
    Memory(Vec<u8>),
}

impl TableBytes for BinaryTable {
    fn length(&self) -> usize {
        match &self.0 {
            Bytes::File(bytes) => bytes.length(),
            Bytes::Memory(bytes) => bytes.length(),
        }
    }

    fn copy(&self, at: usize, buffer: &mut [u8]) -> Option<()> {
        match &self.0 {
            Bytes::File(bytes) => bytes.copy(at, buffer),
            Bytes::Memory(bytes) => bytes.copy(at, buffer),
        }
    }
}

/// A Go executable.
#[derive(Debug)]
pub struct Binary {
    file: Arc<FileBytes>,
    image: Image,
    version: String,
    layout: Option<&'static Layout>,
    symbols: BTreeMap<&'static str, u64>,
    pclntab: Pclntab<BinaryTable>,
}

impl Binary {
    /// Reads what can be shared. The memory of one process is needed to find the tables; its load bias is `entry` (where
    /// the process started) less the entry point of the file.
    pub fn open<M: ReadMemory + ?Sized>(
        file: FileBytes,
        memory: &M,
        entry: Option<u64>,
    ) -> Result<(Self, Moduledata), BinaryError> {
        let file = Arc::new(file);
        let image = Image::parse(&*file)?;
        let Some(info) = buildinfo::read(file.file())? else {
            return Err(BinaryError::NotGo);
        };
        if image.position_independent() && entry.is_none() {
            return Err(BinaryError::NoEntry);
        }
        let bias = bias(&image, entry);
        let values = image.symbols(&*file, SYMBOLS)?;
        let symbols: BTreeMap<_, _> = SYMBOLS
            .into_iter()
            .zip(values)
            .filter_map(|(name, value)| Some((name, value?)))
            .collect();
        let module = moduledata::find(memory, &image, symbols.get("runtime.firstmoduledata").copied(), bias)?;
        let layout = minor_release(&info.version).and_then(Layout::of);
        let pclntab = table(memory, &image, &file, &module, bias, layout)?;
        let binary = Self {
            file,
            image,
            version: info.version,
            layout,
            symbols,
            pclntab,
        };
        Ok((binary, module))
    }

    /// Finds the tables in the memory of another process of the same executable.
    pub(crate) fn module<M: ReadMemory + ?Sized>(
        &self,
        memory: &M,
        entry: Option<u64>,
    ) -> Result<Moduledata, BinaryError> {
        if self.image.position_independent() && entry.is_none() {
            return Err(BinaryError::NoEntry);
        }
        let symbol = self.symbols.get("runtime.firstmoduledata").copied();
        Ok(moduledata::find(memory, &self.image, symbol, self.bias(entry))?)
    }

    /// `go1.24.11`, `devel go1.28-...`, perhaps followed by experiments.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Where this release keeps its fields; `None` for a release that is not known.
    pub fn layout(&self) -> Option<&'static Layout> {
        self.layout
    }

    /// The function table. Its addresses are those of the file.
    pub fn pclntab(&self) -> &Pclntab<BinaryTable> {
        &self.pclntab
    }

    /// What is added to an address of the file to get one of a process that started at `entry`.
    pub fn bias(&self, entry: Option<u64>) -> u64 {
        bias(&self.image, entry)
    }

    pub(crate) fn file(&self) -> &FileBytes {
        &self.file
    }

    pub(crate) fn image(&self) -> &Image {
        &self.image
    }

    /// Values of those of [`SYMBOLS`] which the symbol table has.
    pub(crate) fn symbols(&self) -> &BTreeMap<&'static str, u64> {
        &self.symbols
    }
}

fn bias(image: &Image, entry: Option<u64>) -> u64 {
    entry.map_or(0, |entry| entry.wrapping_sub(image.entry()))
}

/// The table from the file, which all processes share; its one relocated word, the start of the text, is in `module`.
fn table<M: ReadMemory + ?Sized>(
    memory: &M,
    image: &Image,
    file: &Arc<FileBytes>,
    module: &Moduledata,
    bias: u64,
    layout: Option<&Layout>,
) -> Result<Pclntab<BinaryTable>, BinaryError> {
    let size = module.pclntab.end - module.pclntab.start;
    let length = usize::try_from(size).ok().filter(|_| size <= MAX_TABLE);
    let length = length.ok_or(BinaryError::TableTooLarge { size })?;
    let linked = module.pclntab.start.wrapping_sub(bias);
    let paged = |address, length| {
        let offset = image.file_offset(address, length)?;
        Some(BinaryTable(Bytes::File(Paged::new(Arc::clone(file), offset, length))))
    };
    let bytes = match paged(linked, length) {
        Some(bytes) => bytes,
        None => BinaryTable(Bytes::Memory(
            memory
                .read_vec(module.pclntab.start, length)
                .map_err(BinaryError::Table)?,
        )),
    };
    let table = Pclntab::parse(bytes, module.text.start.wrapping_sub(bias))?;
    // Without inline trees names are less exact, but right.
    let trees = layout
        .and_then(|layout| module.function_data(layout.gofunc))
        .filter(|range| range.end - range.start <= MAX_TABLE)
        .and_then(|range| {
            let length = usize::try_from(range.end - range.start).ok()?;
            paged(range.start.wrapping_sub(bias), length)
        });
    Ok(match trees {
        Some(trees) => table.with_inline_trees(trees),
        None => table,
    })
}
