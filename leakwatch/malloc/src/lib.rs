//! The C library's allocator, of this process itself: how much of what it holds is allocated, and giving the rest back to the system.
//!
//! The standard library has no way to ask either. The calls are those of glibc (`malloc.h`); with any other C library nothing is known and
//! nothing is done.

/// What the allocator holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeapUse {
    /// Bytes that are allocated, with what the allocator adds to each.
    pub allocated: u64,
    /// Bytes that it keeps for later, resident or not.
    pub unused: u64,
}

/// How the allocator is to work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// As few arenas as that.
    pub arenas: i32,
    /// Nothing is kept of a block of so many bytes or more once it is released.
    pub own_mapping_bytes: i32,
    /// So much is kept for later at the end of an arena, where the C library gives it back by itself.
    pub kept_bytes: i32,
}

/// To be called before other threads are started. False where the C library does not know one of the settings.
#[cfg(target_env = "gnu")]
pub fn configure(settings: Settings) -> bool {
    let set = |parameter, value| {
        // SAFETY: changes settings under the allocator's own lock.
        unsafe { libc::mallopt(parameter, value) == 1 }
    };
    set(libc::M_ARENA_MAX, settings.arenas)
        && set(libc::M_MMAP_THRESHOLD, settings.own_mapping_bytes)
        && set(libc::M_TRIM_THRESHOLD, settings.kept_bytes)
}

/// Gives back what is unused, page by page; true if there was any.
#[cfg(target_env = "gnu")]
pub fn give_back() -> bool {
    // SAFETY: takes the lock of each arena in turn.
    unsafe { libc::malloc_trim(0) == 1 }
}

/// What it holds now; none where that is not known. Goes through all unused blocks.
#[cfg(target_env = "gnu")]
pub fn heap_use() -> Option<HeapUse> {
    // SAFETY: takes the lock of each arena in turn, and answers a structure of numbers.
    let info = unsafe { libc::mallinfo2() };
    Some(HeapUse {
        // The second are blocks with a mapping of their own.
        allocated: (info.uordblks as u64).saturating_add(info.hblkhd as u64),
        unused: info.fordblks as u64,
    })
}

/// Not with this C library.
#[cfg(not(target_env = "gnu"))]
pub fn configure(_settings: Settings) -> bool {
    false
}

/// Not with this C library.
#[cfg(not(target_env = "gnu"))]
pub fn give_back() -> bool {
    false
}

/// Not with this C library.
#[cfg(not(target_env = "gnu"))]
pub fn heap_use() -> Option<HeapUse> {
    None
}

#[cfg(all(test, target_env = "gnu"))]
mod tests {
    use super::*;
    use std::hint::black_box;

    #[test]
    fn what_is_allocated_shows_and_what_is_released_is_unused_or_gone() {
        // Below the size that gets a mapping of its own, and more in sum than other tests of this process have.
        let blocks: Vec<Vec<u8>> = (0..4_096).map(|_| vec![1; 16 << 10]).collect();
        let total = 64 << 20;
        let with = heap_use().unwrap();
        assert!(with.allocated >= total, "{with:?}");
        drop(black_box(blocks));
        let without = heap_use().unwrap();
        assert!(
            without.allocated <= with.allocated - total / 2,
            "{with:?} then {without:?}"
        );
        give_back();
        assert!(heap_use().unwrap().allocated <= with.allocated - total / 2);
    }
}
