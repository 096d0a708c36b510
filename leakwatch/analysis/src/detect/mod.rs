//! Detectors: each examines the same facts and either finds its class with a confidence, or says why it is not that. One row of the
//! table and one file per class; `verdict` picks one of the findings. Every threshold is explained in docs/detectors/.

pub mod finding;
mod suspect;
pub mod facts;
mod doubt;
mod evidence;
mod headroom;
mod outside;
mod by_runtime;
pub(crate) mod captured;
pub mod goroutine_leak;
pub mod go_heap_leak;
pub mod mapping_leak;
pub mod native_leak;
pub mod tmpfs;
pub mod kernel_memory;
pub mod undersized_limit;
pub mod warm_up;
pub mod load_driven;
pub mod managed_heap_growth;
pub mod growing;
pub mod stable;
pub mod not_enough_data;
pub mod table;
