//! A running Go process, ready to be read.

use crate::binary::Binary;
use crate::binary::BinaryError;
use crate::heap::CycleSource;
use crate::heap::HeapError;
use crate::heap::HeapReader;
use crate::heap::HeapSource;
use crate::heap::RecordFormat;
use crate::heap::Snapshot;
use crate::locate::HeapVariables;
use crate::locate::LocateError;
use crate::locate::Moduledata;
use crate::locate::Program;
use crate::memory::MemoryError;
use crate::memory::ReadMemory;
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
         `var _ = runtime.MemProfile` or the import of `net/http/pprof`"
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

/// A Go process whose runtime has been found.
#[derive(Debug)]
pub struct GoProcess<M = ProcessMemory> {
    memory: M,
    binary: Arc<Binary>,
    bias: u64,
    module: Moduledata,
    symbols: BTreeMap<&'static str, u64>,
    variables: HeapVariables,
    heap: Option<HeapReader>,
}

impl GoProcess {
    /// Opens a process of this machine.
    pub fn attach(pid: u32) -> Result<Self, AttachError> {
        let memory = ProcessMemory::open(pid)?;
        let file = FileBytes::executable(pid)?;
        let entry = os::entry_point(pid)?;
        let (binary, module) =
            Binary::open(file, &memory, entry).map_err(|source| AttachError::Binary { pid, source })?;
        Ok(Self::new(memory, Arc::new(binary), module, entry))
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
        let program = Program {
            memory: &memory,
            file: binary.file(),
            image: binary.image(),
            bias,
            module: &module,
            pclntab: binary.pclntab(),
            symbols: &symbols,
        };
        let variables = HeapVariables::find(&program, None);
        Self {
            memory,
            binary,
            bias,
            module,
            symbols,
            variables,
            heap: None,
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

    /// Reads its heap profile. The buckets are those of [`Self::heap_reader`].
    pub fn heap(&mut self) -> Result<Snapshot, NoHeap> {
        let rate = self.variables.rate.clone()?;
        let value = self.memory.read_u64(rate.address).map_err(|source| match source {
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
        if self.heap.is_none() {
            self.heap = Some(HeapReader::new(self.source(rate.address)?));
        }
        let Some(reader) = &mut self.heap else {
            return Err(HeapError::Gone.into());
        };
        Ok(reader.read(&self.memory)?)
    }

    /// The buckets, once the heap has been read.
    pub fn heap_reader(&self) -> Option<&HeapReader> {
        self.heap.as_ref()
    }

    fn source(&self, rate: u64) -> Result<HeapSource, NoHeap> {
        Ok(HeapSource {
            buckets: self.variables.buckets.clone()?.address,
            cycle: CycleSource::Profile(self.variables.cycle.clone()?.address),
            rate,
            format: None::<RecordFormat>,
            version: self.binary.version().to_owned(),
        })
    }
}
