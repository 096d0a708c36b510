//! The eBPF object of the hooks.

use super::error::ProbeError;
use super::log;
use super::plan::Plan;
use aya::Ebpf;
use aya::EbpfLoader;
use leakwatch_common::config::PROBE_CONFIG;
use zerocopy::IntoBytes as _;

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/leakwatch-ebpf.o"));

/// True if the object was missing when the daemon was built.
pub const PLACEHOLDER: bool = cfg!(leakwatch_ebpf_placeholder);

/// Creates the maps and tells the programs their offsets. Programs are loaded when they are attached.
pub(super) fn load(plan: &Plan) -> Result<Ebpf, ProbeError> {
    if PLACEHOLDER {
        return Err(ProbeError::Placeholder);
    }
    let mut loader = EbpfLoader::new();
    loader
        // The programs have no relocations against the kernel's types: do not read those a second time.
        .btf(None)
        .override_global(PROBE_CONFIG, plan.offsets.as_bytes(), true);
    log::set_level(&mut loader);
    for planned in &plan.hooks {
        loader.map_max_entries(planned.hook.ring.map, planned.ring_bytes);
    }
    loader.load(OBJECT).map_err(ProbeError::Load)
}
