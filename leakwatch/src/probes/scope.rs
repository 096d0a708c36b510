//! Which memory ran out, told by who called the OOM killer: the kernel stack at the kill against `/proc/kallsyms`.

use leakwatch_analysis::model::event::OomScope;
use std::collections::BTreeMap;
use std::io;
use std::io::BufRead;

/// What a function on the stack says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// It asks the OOM killer for memory of a cgroup.
    Memcg,
    /// It asks for memory of the machine.
    Global,
    /// It kills the victim. Without it a task that was exiting anyway was given access to memory reserves: no kill.
    Kill,
}

/// Functions as they are called in `mm/oom_kill.c`, `mm/memcontrol.c`, `mm/memcontrol-v1.c`, `mm/page_alloc.c` and `drivers/tty/sysrq.c`
/// of Linux 5.8 to 7. The innermost one decides the scope: a charge can happen while the machine's memory is allocated, not the other
/// way round.
const ROLES: [(&str, Role); 12] = [
    ("__oom_kill_process", Role::Kill),
    ("mem_cgroup_out_of_memory", Role::Memcg),
    ("mem_cgroup_oom_synchronize", Role::Memcg),
    ("mem_cgroup_oom", Role::Memcg),
    ("try_charge_memcg", Role::Memcg),
    ("try_charge", Role::Memcg),
    ("memory_max_write", Role::Memcg),
    ("mem_cgroup_resize_max", Role::Memcg),
    ("__alloc_pages_may_oom", Role::Global),
    ("__alloc_pages_slowpath", Role::Global),
    ("pagefault_out_of_memory", Role::Global),
    ("moom_callback", Role::Global),
];

/// Address ranges of the functions that matter here.
#[derive(Clone, Debug, Default)]
pub struct OomCallers {
    /// Start → end and role.
    ranges: BTreeMap<u64, (u64, Role)>,
}

/// The evidence that the stack of a kill gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OomEvidence {
    /// Which memory ran out, if a known caller is on the stack.
    pub scope: Option<OomScope>,
    /// False if the victim was exiting anyway and nothing was killed.
    pub killed: bool,
}

impl OomCallers {
    /// Reads `/proc/kallsyms`. Empty where addresses are hidden (`kernel.kptr_restrict`).
    pub fn parse(kallsyms: impl BufRead) -> io::Result<Self> {
        let mut starts = Vec::new();
        let mut found = Vec::new();
        for line in kallsyms.lines() {
            let line = line?;
            let mut words = line.split_ascii_whitespace();
            let (Some(address), Some("t" | "T"), Some(name), None) =
                (words.next(), words.next(), words.next(), words.next())
            else {
                continue;
            };
            let Ok(address) = u64::from_str_radix(address, 16) else {
                continue;
            };
            starts.push(address);
            // Compilers add `.constprop.0`, `.isra.0`, `.part.0` and `.cold`.
            let name = name.split('.').next().unwrap_or(name);
            if let Some((_, role)) = ROLES.iter().find(|(known, _)| *known == name)
                && address != 0
            {
                found.push((address, *role));
            }
        }
        starts.sort_unstable();
        let ranges = found.into_iter().map(|(start, role)| {
            let after = starts.partition_point(|&other| other <= start);
            (start, (starts.get(after).copied().unwrap_or(u64::MAX), role))
        });
        Ok(Self {
            ranges: ranges.collect(),
        })
    }

    /// True if nothing is known.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Judges a stack of return addresses, innermost first.
    pub fn judge(&self, frames: &[u64]) -> OomEvidence {
        let roles = || frames.iter().filter_map(|&address| self.role(address));
        let scope = roles().find_map(|role| match role {
            Role::Memcg => Some(OomScope::Memcg),
            Role::Global => Some(OomScope::Global),
            Role::Kill => None,
        });
        // Where the compiler inlined the killing function its absence says nothing.
        let kill_known = self.ranges.values().any(|(_, role)| *role == Role::Kill);
        let killed = !kill_known || scope.is_none() || roles().any(|role| role == Role::Kill);
        OomEvidence { scope, killed }
    }

    fn role(&self, address: u64) -> Option<Role> {
        // A return address points behind the call, which may be the last instruction of a function that never returns.
        let (_, (end, role)) = self.ranges.range(..address).next_back()?;
        (address <= *end).then_some(*role)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KALLSYMS: &str = "\
ffffffff81000100 T out_of_memory
ffffffff81000200 t __oom_kill_process
ffffffff81000300 t oom_kill_process
ffffffff81000400 t mem_cgroup_out_of_memory
ffffffff81000500 t try_charge_memcg.part.0
ffffffff81000600 t __alloc_pages_slowpath.constprop.0
ffffffff81000700 T pagefault_out_of_memory
ffffffff81000800 T handle_mm_fault
ffffffff81000900 d try_charge
ffffffffc0000000 t try_charge	[module]
";

    #[test]
    fn the_innermost_caller_decides() {
        let callers = OomCallers::parse(KALLSYMS.as_bytes()).unwrap();
        let (kill, memcg, charge, slow, fault) = (0x210, 0x410, 0x510, 0x610, 0x710);
        for (frames, scope, killed) in [
            (
                vec![kill, 0x310, 0x110, memcg, charge, 0x810],
                Some(OomScope::Memcg),
                true,
            ),
            (vec![kill, 0x310, 0x110, slow, 0x810], Some(OomScope::Global), true),
            (vec![kill, 0x310, 0x110, memcg, fault], Some(OomScope::Memcg), true),
            // A charge while the machine's memory is being allocated.
            (vec![kill, 0x310, 0x110, charge, slow], Some(OomScope::Memcg), true),
            // The call is the last instruction of the function.
            (vec![kill, 0x310, 0x110, 0x700], Some(OomScope::Global), true),
            // Exiting anyway.
            (vec![0x110, memcg, charge], Some(OomScope::Memcg), false),
            (vec![0x810], None, true),
            (vec![], None, true),
        ] {
            let frames: Vec<u64> = frames.iter().map(|offset| 0xffff_ffff_8100_0000 + offset).collect();
            assert_eq!(callers.judge(&frames), OomEvidence { scope, killed }, "{frames:x?}");
        }
    }

    #[test]
    fn hidden_addresses_say_nothing() {
        let hidden = "0000000000000000 t mem_cgroup_out_of_memory\n0000000000000000 t __oom_kill_process\n";
        let callers = OomCallers::parse(hidden.as_bytes()).unwrap();
        assert!(callers.is_empty());
        assert_eq!(
            callers.judge(&[0xffff_ffff_8100_0410]),
            OomEvidence {
                scope: None,
                killed: true
            }
        );
    }
}
