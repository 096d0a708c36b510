//! The functions an allocator offers, by name: glibc's and POSIX's, jemalloc's and mimalloc's own, C++'s operators.

use crate::placement::Arguments;

/// Where a function has what the probe needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Signature {
    /// `(size, ...)`.
    Size,
    /// `(count, size)`.
    Product,
    /// `(alignment, size)`.
    Second,
    /// `(result, alignment, size)`, leaving the address at `result`.
    Result,
    /// `(old, size, ...)`.
    OldSize,
    /// `(old, count, size)`.
    OldProduct,
    /// `(address, ...)`, freed.
    Release,
}

impl Signature {
    /// The arguments that must still be in their registers at the probe.
    pub const fn arguments(self) -> Arguments {
        match self {
            Self::Size | Self::Release => Arguments::One,
            Self::Product | Self::Second | Self::OldSize => Arguments::Two,
            Self::Result | Self::OldProduct => Arguments::Three,
        }
    }
}

/// What allocators put before the names of the C library: none; jemalloc as it is built into programs, tikv-jemallocator; tcmalloc; mimalloc;
/// the C library's own.
const PREFIXES: [&str; 8] = ["", "je_", "_rjem_", "rjem_", "tc_", "mi_", "__libc_", "__"];

const FUNCTIONS: [(&str, Signature); 23] = [
    ("malloc", Signature::Size),
    ("valloc", Signature::Size),
    ("pvalloc", Signature::Size),
    // jemalloc: (size, flags) and (old, size, flags); the last two take flags and a size behind the address.
    ("mallocx", Signature::Size),
    ("rallocx", Signature::OldSize),
    ("dallocx", Signature::Release),
    ("sdallocx", Signature::Release),
    // mimalloc.
    ("zalloc", Signature::Size),
    ("malloc_small", Signature::Size),
    ("zalloc_small", Signature::Size),
    ("malloc_aligned", Signature::Size),
    ("zalloc_aligned", Signature::Size),
    ("realloc_aligned", Signature::OldSize),
    ("new", Signature::Size),
    ("calloc", Signature::Product),
    ("aligned_alloc", Signature::Second),
    ("memalign", Signature::Second),
    ("posix_memalign", Signature::Result),
    ("realloc", Signature::OldSize),
    ("reallocarray", Signature::OldProduct),
    ("free", Signature::Release),
    ("cfree", Signature::Release),
    ("free_sized", Signature::Release),
];

/// The allocating function that has this symbol, if it is one.
pub fn of_symbol(symbol: &str) -> Option<Signature> {
    if is_operator(symbol) {
        let is_new = symbol.starts_with("_Znwm") || symbol.starts_with("_Znam");
        return Some(if is_new { Signature::Size } else { Signature::Release });
    }
    PREFIXES.iter().find_map(|prefix| {
        let base = symbol.strip_prefix(prefix)?;
        // Without mimalloc's prefix these are anything.
        let own = matches!(
            base,
            "new"
                | "zalloc"
                | "malloc_small"
                | "zalloc_small"
                | "malloc_aligned"
                | "zalloc_aligned"
                | "realloc_aligned"
        );
        if own && *prefix != "mi_" {
            return None;
        }
        FUNCTIONS
            .iter()
            .find(|(name, _)| *name == base)
            .map(|(_, signature)| *signature)
    })
}

/// `operator new` and `operator delete`, with or without brackets, sizes, alignments and `nothrow`, on 64-bit machines.
pub fn is_operator(symbol: &str) -> bool {
    ["_Znwm", "_Znam", "_ZdlPv", "_ZdaPv"].iter().any(|start| {
        symbol.strip_prefix(start).is_some_and(|rest| {
            matches!(
                rest,
                "" | "m" | "RKSt9nothrow_t" | "St11align_val_t" | "mSt11align_val_t" | "St11align_val_tRKSt9nothrow_t"
            )
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (symbol, signature) in [
            ("malloc", Some(Signature::Size)),
            ("__libc_malloc", Some(Signature::Size)),
            ("je_calloc", Some(Signature::Product)),
            ("_rjem_sdallocx", Some(Signature::Release)),
            ("mi_zalloc", Some(Signature::Size)),
            ("tc_posix_memalign", Some(Signature::Result)),
            ("mi_new", Some(Signature::Size)),
            ("_Znwm", Some(Signature::Size)),
            ("_ZnamRKSt9nothrow_t", Some(Signature::Size)),
            ("_ZdlPvmSt11align_val_t", Some(Signature::Release)),
            ("new", None),
            ("zalloc", None),
            ("__zalloc", None),
            ("xmalloc", None),
            ("malloc_usable_size", None),
            ("freeaddrinfo", None),
            ("_ZnwmS_", None),
            ("", None),
        ] {
            assert_eq!(of_symbol(symbol), signature, "{symbol}");
        }
    }
}
