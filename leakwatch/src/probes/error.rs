//! Why no probe can run.

use aya::EbpfError;
use aya::maps::MapError;
use std::io;
use thiserror::Error;

/// Why no probe can run.
#[derive(Debug, Error)]
pub enum ProbeError {
    /// The daemon was built without bpf toolchain.
    #[error("the eBPF object is missing: build with cargo xtask build")]
    Placeholder,
    /// The kernel refused the object's maps.
    #[error("cannot load the eBPF object")]
    Load(#[source] EbpfError),
    /// Object and daemon do not belong together.
    #[error("the eBPF object has no map {name}")]
    NoSuchMap {
        /// Its name.
        name: &'static str,
    },
    /// A map of the object is not what it should be.
    #[error("map {name} of the eBPF object")]
    Map {
        /// Its name.
        name: &'static str,
        /// What is wrong.
        #[source]
        source: MapError,
    },
    /// A ring buffer cannot be waited for.
    #[error("cannot wait for ring buffer {name}")]
    Wait {
        /// Its name.
        name: &'static str,
        /// The cause.
        #[source]
        source: io::Error,
    },
}
