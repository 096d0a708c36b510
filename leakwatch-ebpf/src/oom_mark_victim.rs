//! `oom:mark_victim`: the OOM killer chose a victim. Fires in the task whose allocation failed, the victim's `mm` locked.
//!
//! Two programs, of which the loader attaches one. The raw one sees the victim's `task_struct` and reads everything through BTF;
//! the other is for kernels without BTF, or whose tracepoint has a pid as its argument, and has the fields of the tracepoint.

use crate::final_heap;
use crate::kernel::Object;
use crate::kernel::offset;
use crate::maps;
use crate::memcg;
use aya_ebpf::EbpfContext;
use aya_ebpf::helpers::bpf_get_current_comm;
use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::helpers::generated::bpf_get_stack;
use aya_ebpf::helpers::generated::bpf_ktime_get_boot_ns;
use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::macros::tracepoint;
use aya_ebpf::programs::RawTracePointContext;
use aya_ebpf::programs::TracePointContext;
use core::ffi::c_void;
use leakwatch_common::config::ABSENT;
use leakwatch_common::event::OomMarkVictim;
use leakwatch_common::event::present;
use leakwatch_common::loss::LossReason;

/// The victim's task is the argument: Linux 6.9 and the long-term kernels it was backported to.
#[expect(clippy::needless_pass_by_value, reason = "what the macro calls it with")]
#[raw_tracepoint(tracepoint = "mark_victim")]
fn oom_mark_victim(ctx: RawTracePointContext) -> i32 {
    let Some(victim) = Object::at(ctx.arg::<u64>(0)) else {
        return 0;
    };
    emit(&ctx, |record| {
        record.victim_tid = victim.read(offset!(task_pid)).unwrap_or_default();
        fill_from_task(record, victim);
        fill_from_mm(record, victim);
    });
    0
}

/// The fields of the tracepoint; what only a task tells is there when the victim is the current process.
#[expect(clippy::needless_pass_by_value, reason = "what the macro calls it with")]
#[tracepoint(category = "oom", name = "mark_victim")]
fn oom_mark_victim_format(ctx: TracePointContext) -> u32 {
    emit(&ctx, |record| {
        record.victim_tid = field(&ctx, offset!(format_pid)).unwrap_or_default();
        if record.victim_tid == record.trigger_pid
            && let Some(victim) = Object::current_task()
        {
            fill_from_task(record, victim);
        }
        fill_from_format(record, &ctx);
    });
    0
}

/// Reserves a record, fills what every variant has, lets `fill` add the rest and submits.
#[inline(always)]
fn emit<C: EbpfContext>(ctx: &C, fill: impl FnOnce(&mut OomMarkVictim)) {
    let Some(mut entry) = maps::OOM_EVENTS.reserve::<OomMarkVictim>(0) else {
        maps::lose(LossReason::OomRingFull);
        return;
    };
    let record = zeroed(entry.as_mut_ptr());
    // SAFETY: helpers without arguments.
    record.boot_nanos = unsafe { bpf_ktime_get_boot_ns() };
    record.trigger_pid = (bpf_get_current_pid_tgid() >> 32) as u32;
    if let Ok(comm) = bpf_get_current_comm() {
        record.trigger_comm = comm;
    }
    fill(record);
    let size = u32::try_from(size_of_val(&record.kernel_frames)).unwrap_or_default();
    // SAFETY: writes at most `size` bytes into the reservation.
    let written = unsafe {
        bpf_get_stack(
            ctx.as_ptr(),
            record.kernel_frames.as_mut_ptr().cast::<c_void>(),
            size,
            0,
        )
    };
    // An error is negative.
    record.kernel_frame_count = u32::try_from(written).unwrap_or_default() / 8;
    entry.submit(0);
}

/// Word by word: the verifier follows this loop, and the compiler's `memset` would be a call per record.
#[inline(always)]
fn zeroed<'a>(record: *mut OomMarkVictim) -> &'a mut OomMarkVictim {
    let words = record.cast::<u64>();
    for index in 0..size_of::<OomMarkVictim>() / 8 {
        // SAFETY: within the reservation, which is aligned to eight.
        unsafe { words.wrapping_add(index).write_volatile(0) };
    }
    // SAFETY: every byte is initialised and any bits are a valid record.
    unsafe { &mut *record }
}

#[inline(always)]
fn fill_from_task(record: &mut OomMarkVictim, victim: Object) {
    if let Some(pid) = victim.read(offset!(task_tgid)) {
        record.victim_pid = pid;
        record.present |= present::PID;
    }
    if let Some(comm) = victim.read(offset!(task_comm)) {
        record.victim_comm = comm;
        record.present |= present::COMM;
    }
    if let Some(leader) = victim.follow(offset!(task_group_leader))
        && let Some(start) = leader.read(offset!(task_start_boottime))
    {
        record.start_boot_nanos = start;
        record.present |= present::START;
        if final_heap::is_due(record.victim_pid, start) {
            record.present |= present::FINAL_HEAP;
        }
    }
    if let Some(signal) = victim.follow(offset!(task_signal))
        && let Some(adj) = signal.read::<i16>(offset!(signal_oom_score_adj))
    {
        record.oom_score_adj = i32::from(adj);
        record.present |= present::OOM_SCORE_ADJ;
    }
    if let Some(memcg) = memcg::of_task(victim) {
        let (count, more) = memcg::walk(memcg, &mut record.memcg_levels);
        record.memcg_level_count = count;
        if more {
            maps::lose(LossReason::MemcgTooDeep);
        }
    }
}

#[inline(always)]
fn fill_from_mm(record: &mut OomMarkVictim, victim: Object) {
    let Some(mm) = victim.follow(offset!(task_mm)) else {
        return;
    };
    // A counter that is split over CPUs may be below zero by what the others hold.
    let pages = |offset| mm.read::<i64>(offset).map(|pages| pages.max(0).cast_unsigned());
    if let (Some(file), Some(anon), Some(shmem)) = (
        pages(offset!(mm_rss_file)),
        pages(offset!(mm_rss_anon)),
        pages(offset!(mm_rss_shmem)),
    ) {
        record.rss_file = file;
        record.rss_anon = anon;
        record.rss_shmem = shmem;
        record.present |= present::RSS | present::RSS_IN_PAGES;
    }
    if let Some(bytes) = mm.read(offset!(mm_pgtables_bytes)) {
        record.page_table_bytes = bytes;
        record.present |= present::PAGE_TABLES;
    }
}

#[inline(always)]
fn fill_from_format(record: &mut OomMarkVictim, ctx: &TracePointContext) {
    if let (Some(file), Some(anon), Some(shmem)) = (
        field(ctx, offset!(format_file_rss)),
        field(ctx, offset!(format_anon_rss)),
        field(ctx, offset!(format_shmem_rss)),
    ) {
        record.rss_file = file;
        record.rss_anon = anon;
        record.rss_shmem = shmem;
        record.present |= present::RSS;
    }
    if let Some(kib) = field::<u64>(ctx, offset!(format_pgtables)) {
        record.page_table_bytes = kib * 1024;
        record.present |= present::PAGE_TABLES;
    }
    if let Some(adj) = field::<i16>(ctx, offset!(format_oom_score_adj)) {
        record.oom_score_adj = i32::from(adj);
        record.present |= present::OOM_SCORE_ADJ;
    }
}

/// A field of the tracepoint's record.
#[inline(always)]
fn field<T>(ctx: &TracePointContext, offset: u32) -> Option<T> {
    if offset == ABSENT {
        return None;
    }
    // SAFETY: the loader took the offset from the tracepoint's own format; the helper checks the address.
    unsafe { ctx.read_at(offset as usize) }.ok()
}
