//! A running Go process, ready to be read: what was found of its runtime, and the readings themselves.
//!
//! Attaching opens files and reads; the process does not notice. What could not be found at first (there was no garbage
//! collection yet, no allocation was sampled yet) is searched again when it is asked for.

mod goroutines;
mod wakers;

pub use goroutines::NoGoroutines;
pub use wakers::NoLook;

use crate::binary::Binary;
use crate::binary::BinaryError;
use crate::binary::BinaryTable;
use crate::gc;
use crate::gc::GcError;
use crate::gc::GcNumbers;
use crate::goroutines::GoroutineSource;
use crate::goroutines::ListAddress;
use crate::heap::CycleSource;
use crate::heap::Frames;
use crate::heap::HeapError;
use crate::heap::HeapReader;
use crate::heap::HeapSource;
use crate::heap::KeepStacks;
use crate::heap::Snapshot;
use crate::layout::Layout;
use crate::locate::GcVariables;
use crate::locate::GoroutineVariables;
use crate::locate::HeapVariables;
use crate::locate::Program;
use crate::located::LocateError;
use crate::memory::MemoryError;
use crate::memory::ReadMemory;
use crate::moduledata::Moduledata;
use crate::os;
use crate::os::FileBytes;
use crate::os::OpenError;
use crate::os::ProcessMemory;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Why a process cannot be read at all.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// Its files in `/proc` cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Its executable cannot be used.
    #[error("process {pid}")]
    Binary {
        /// The process.
        pid: u32,
        /// Why.
        #[source]
        source: BinaryError,
    },
}

/// Why a process has no heap profile now. Goroutines and numbers of the garbage collector may be readable all the same.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoHeap {
    /// No function that reads the profile is linked in, so the linker has turned profiling off.
    #[error(
        "the program does not profile its heap: nothing in it refers to the memory profile. One line does: \
         `import _ \"net/http/pprof\"`, or `func init() {{ runtime.MemProfile(nil, false) }}` where no endpoint is wanted"
    )]
    NotLinked,
    /// The program has set the sampling rate to zero.
    #[error("the program has turned heap profiling off (runtime.MemProfileRate is {rate})")]
    RateZero {
        /// What it is set to.
        rate: i64,
    },
    /// A variable was not found.
    #[error(transparent)]
    Locate(#[from] LocateError),
    /// The profile could not be read.
    #[error(transparent)]
    Heap(#[from] HeapError),
}

/// Why a process has no numbers of its garbage collector.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoGc {
    /// The layout of this release is not known, and the memory does not tell it.
    #[error("the layout of {version} is not known")]
    UnknownVersion {
        /// The version, as the linker recorded it.
        version: String,
    },
    /// A variable was not found; before the first collection there is nothing to tell it by.
    #[error(transparent)]
    Locate(#[from] LocateError),
    /// The numbers could not be read.
    #[error(transparent)]
    Gc(#[from] GcError),
}

/// A Go process whose runtime has been found.
#[derive(Debug)]
pub struct GoProcess<M = ProcessMemory> {
    memory: M,
    binary: Arc<Binary>,
    bias: u64,
    module: Moduledata,
    symbols: BTreeMap<&'static str, u64>,
    gc: Option<GcVariables>,
    variables: HeapVariables,
    heap: Option<HeapReader>,
    goroutines: Option<GoroutineSource>,
    /// Address of the runtime's record of its heap.
    spans: Option<u64>,
}

impl GoProcess {
    /// Opens a process of this machine.
    pub fn attach(pid: u32) -> Result<Self, AttachError> {
        let memory = ProcessMemory::open(pid)?;
        let file = FileBytes::executable(pid)?;
        let entry = os::entry_point(pid)?;
        let failed = |source| AttachError::Binary { pid, source };
        let (binary, module) = Binary::open(file, &memory, entry).map_err(failed)?;
        Ok(Self::new(memory, Arc::new(binary), module, entry))
    }

    /// Opens a process that runs an executable which is known from another one. The caller has made sure that it is the
    /// same file (device, inode and time of change).
    pub fn attach_known(pid: u32, binary: &Arc<Binary>) -> Result<Self, AttachError> {
        let memory = ProcessMemory::open(pid)?;
        let entry = os::entry_point(pid)?;
        let module = binary
            .module(&memory, entry)
            .map_err(|source| AttachError::Binary { pid, source })?;
        Ok(Self::new(memory, Arc::clone(binary), module, entry))
    }
}

impl<M: ReadMemory> GoProcess<M> {
    fn new(memory: M, binary: Arc<Binary>, module: Moduledata, entry: Option<u64>) -> Self {
        let bias = binary.bias(entry);
        let symbols: BTreeMap<_, _> = binary
            .symbols()
            .iter()
            .map(|(name, value)| (*name, value.wrapping_add(bias)))
            .collect();
        let program = program(&memory, &binary, bias, &module, &symbols);
        let gc = binary.layout().map(|layout| GcVariables::find(&program, layout));
        let variables = HeapVariables::find(&program, collections(&memory, binary.layout(), gc.as_ref()));
        Self {
            memory,
            binary,
            bias,
            module,
            symbols,
            gc,
            variables,
            heap: None,
            goroutines: None,
            spans: None,
        }
    }

    /// What it shares with other processes of the same executable.
    pub fn binary(&self) -> &Arc<Binary> {
        &self.binary
    }

    /// Its memory.
    pub fn memory(&self) -> &M {
        &self.memory
    }

    /// What is added to an address of the file to get one of the process.
    pub fn bias(&self) -> u64 {
        self.bias
    }

    /// Where its text, data and tables are.
    pub fn module(&self) -> &Moduledata {
        &self.module
    }

    /// Where the variables of its heap profile are, and how they were found.
    pub fn heap_variables(&self) -> &HeapVariables {
        &self.variables
    }

    /// Where the variables of its garbage collector are, and how they were found; `None` for an unknown release.
    pub fn gc_variables(&self) -> Option<&GcVariables> {
        self.gc.as_ref()
    }

    /// Finds the list of its goroutines. `id` is the offset of a goroutine's number.
    pub fn goroutine_variables(&self, id: usize) -> Result<GoroutineVariables, LocateError> {
        let program = program(&self.memory, &self.binary, self.bias, &self.module, &self.symbols);
        GoroutineVariables::find(&program, id)
    }

    /// Where the list of its goroutines is, in the form in which the reader of goroutines wants it.
    pub fn goroutine_list(&self, id: usize) -> Result<ListAddress, LocateError> {
        let variables = self.goroutine_variables(id)?;
        Ok(ListAddress {
            array: variables.array.address,
            length: variables.length.address,
        })
    }

    /// Reads the numbers of its garbage collector.
    pub fn gc(&mut self) -> Result<GcNumbers, NoGc> {
        self.memory.begin();
        let Some(layout) = self.binary.layout() else {
            return Err(NoGc::UnknownVersion {
                version: self.binary.version().to_owned(),
            });
        };
        let known = self.gc.take().filter(|gc| gc.controller.is_ok() && gc.memstats.is_ok());
        let variables = if let Some(known) = known {
            known
        } else {
            let program = program(&self.memory, &self.binary, self.bias, &self.module, &self.symbols);
            GcVariables::find(&program, layout)
        };
        let variables = self.gc.insert(variables);
        let controller = variables.controller.clone()?.address;
        let memstats = variables.memstats.clone()?.address;
        Ok(gc::read(&self.memory, controller, memstats, layout)?)
    }

    /// Reads its heap profile. The buckets are those of [`Self::heap_reader`]; `stacks` gets the stacks of those that are new.
    pub fn heap(&mut self, stacks: &mut dyn KeepStacks) -> Result<Snapshot, NoHeap> {
        self.memory.begin();
        let rate = self.variables.rate.clone()?.address;
        let value = self.memory.read_u64(rate).map_err(|source| match source {
            MemoryError::Gone => HeapError::Gone,
            source => HeapError::Variable {
                what: "runtime.MemProfileRate",
                source,
            },
        })?;
        let value = value.cast_signed();
        if value <= 0 {
            return Err(if self.variables.profiling_linked {
                NoHeap::RateZero { rate: value }
            } else {
                NoHeap::NotLinked
            });
        }
        let mut reader = match self.heap.take() {
            Some(reader) => reader,
            None => HeapReader::new(self.heap_source(rate)?),
        };
        let snapshot = reader.read(&self.memory, stacks);
        self.heap = Some(reader);
        Ok(snapshot?)
    }

    /// Names the calls in the stacks of its buckets.
    pub fn heap_frames(&self) -> Frames<'_, BinaryTable> {
        Frames::new(self.binary.pclntab(), self.bias)
    }

    /// The buckets, once the heap has been read.
    pub fn heap_reader(&self) -> Option<&HeapReader> {
        self.heap.as_ref()
    }

    fn heap_source(&mut self, rate: u64) -> Result<HeapSource, NoHeap> {
        if self.variables.buckets.is_err() || self.variables.cycle.is_err() {
            let program = program(&self.memory, &self.binary, self.bias, &self.module, &self.symbols);
            let layout = self.binary.layout();
            self.gc = layout.map(|layout| GcVariables::find(&program, layout));
            self.variables = HeapVariables::find(&program, collections(&self.memory, layout, self.gc.as_ref()));
        }
        let layout = self.binary.layout();
        let numgc = numgc(layout, self.gc.as_ref());
        let cycle = match (&self.variables.cycle, numgc) {
            (Ok(located), _) => CycleSource::Profile(located.address),
            (Err(_), Some(numgc)) => CycleSource::Collections(numgc),
            (Err(error), None) => return Err(error.clone().into()),
        };
        Ok(HeapSource {
            buckets: self.variables.buckets.clone()?.address,
            cycle,
            rate,
            format: layout.map(|layout| layout.record),
            version: self.binary.version().to_owned(),
        })
    }
}

fn program<'p, M: ReadMemory>(
    memory: &'p M,
    binary: &'p Binary,
    bias: u64,
    module: &'p Moduledata,
    symbols: &'p BTreeMap<&'static str, u64>,
) -> Program<'p, M, FileBytes> {
    Program {
        memory,
        file: binary.file(),
        image: binary.image(),
        bias,
        module,
        pclntab: binary.pclntab(),
        symbols,
    }
}

/// Address of `memstats.numgc`.
fn numgc(layout: Option<&Layout>, gc: Option<&GcVariables>) -> Option<u64> {
    let memstats = gc?.memstats.as_ref().ok()?.address;
    memstats.checked_add(layout?.memstats.numgc as u64)
}

/// How many garbage collections there were.
fn collections<M: ReadMemory>(memory: &M, layout: Option<&Layout>, gc: Option<&GcVariables>) -> Option<u32> {
    memory.read_u32(numgc(layout, gc)?).ok()
}
