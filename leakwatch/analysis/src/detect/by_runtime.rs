//! Advice that depends on the runtime: what makes a program collect before its limit is reached. A runtime that is not known gets none.

use crate::detect::facts::Facts;
use crate::model::runtime::ManagedRuntimeName;
use crate::model::runtime::Runtime;

/// How the heap of the main process is bounded, if its runtime manages one. Sources: `runtime` of Go (GOMEMLIMIT), `java(1)`, and the
/// documentation of Node.js, which sets aside a quarter of the memory for what is not in its old generation.
pub(super) fn bound_the_heap(facts: &Facts<'_>) -> Option<&'static str> {
    match runtime(facts)? {
        Runtime::Go { .. } => Some("Or make the program collect earlier: GOMEMLIMIT at 90 % of the limit."),
        Runtime::Managed(managed) => match managed.name {
            ManagedRuntimeName::Jvm => Some(
                "Or give the heap less (-Xmx, or -XX:MaxRAMPercentage), so that it fits below the limit together with metaspace, threads and direct buffers.",
            ),
            ManagedRuntimeName::Node => Some("Or bound the heap: --max-old-space-size at 75 % of the limit, in MiB."),
            ManagedRuntimeName::Python => None,
        },
        Runtime::Native => None,
    }
}

/// The runtime of the process that holds most memory, or that held it when there is none any more.
fn runtime<'a>(facts: &Facts<'a>) -> Option<&'a Runtime> {
    let history = facts.history;
    let record = history.main_process().or_else(|| history.main_sampled())?;
    record.process.runtime.as_ref().ok()
}
