//! Memory of the allocator (malloc and its kin) that is not freed, while memory as a whole keeps growing: by the calls of the allocator;
//! where these do not explain it, and mappings do not either, by the pages that were touched. See `docs/detectors/native_leak.md`.

mod by_calls;
mod by_pages;

use crate::detect::facts::Facts;
use crate::detect::finding::Examination;
use crate::detect::mapping_leak;
use crate::model::verdict::VerdictClass;

/// The class.
pub const CLASS: VerdictClass = VerdictClass::leak("native_leak");

/// Looks for a leak of native memory.
pub fn examine(facts: &Facts<'_>) -> Examination {
    by_calls::examine(facts).or_else(|because| {
        if mapping_leak::examine(facts).is_ok() {
            return Err(because);
        }
        by_pages::examine(facts).map_err(|by_pages| format!("{because}; {by_pages}"))
    })
}
