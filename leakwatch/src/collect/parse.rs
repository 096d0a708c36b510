//! The texts of cgroup control files and of `/proc/PID/status`, parsed without allocating.
//!
//! Pure. Fallible on any input: a text that does not have the documented form gives `None`, never a wrong number.

use leakwatch_analysis::model::sample::Limit;
use leakwatch_analysis::model::units::Bytes;

/// The largest limit of cgroup v1: `PAGE_COUNTER_MAX` pages, which stands for "no limit".
const V1_NO_LIMIT: u64 = 0x7fff_ffff_ffff_0000;

/// One decimal number and nothing else: `memory.current`, `memory.usage_in_bytes`.
pub(super) fn number(text: &[u8]) -> Option<u64> {
    digits(text.trim_ascii())
}

/// `memory.max` (v2): `max` or a number.
pub(super) fn limit_v2(text: &[u8]) -> Option<Limit> {
    match text.trim_ascii() {
        b"max" => Some(Limit::Max),
        text => digits(text).map(|bytes| Limit::Bytes(Bytes(bytes))),
    }
}

/// `memory.limit_in_bytes` (v1): no limit is a number at or above the machine's memory.
pub(super) fn limit_v1(bytes: u64, machine: Option<Bytes>) -> Limit {
    if bytes >= machine.map_or(V1_NO_LIMIT, |machine| machine.0.min(V1_NO_LIMIT)) {
        Limit::Max
    } else {
        Limit::Bytes(Bytes(bytes))
    }
}

/// `cgroup.procs`: one process id per line. Zero stands for a process outside our pid namespace and is left out.
pub(super) fn pids(text: &[u8], pids: &mut Vec<u32>) -> Option<()> {
    for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let pid = u32::try_from(digits(line)?).ok()?;
        if pid != 0 {
            pids.push(pid);
        }
    }
    Some(())
}

/// Values of `keys` in a flat-keyed file (`memory.stat`, `memory.events`, `memory.oom_control`): lines `KEY VALUE`.
/// A key that is not there is `None`; a key whose value is not a number makes the whole file malformed.
pub(super) fn flat_keyed<const N: usize>(text: &[u8], keys: [&str; N]) -> Option<[Option<u64>; N]> {
    let mut values = [None; N];
    for line in text.split(|byte| *byte == b'\n') {
        let Some(space) = line.iter().position(|byte| *byte == b' ') else {
            continue;
        };
        let (key, value) = line.split_at(space);
        for (wanted, slot) in keys.iter().zip(&mut values) {
            if wanted.as_bytes() == key {
                *slot = Some(digits(value.trim_ascii())?);
            }
        }
    }
    Some(values)
}

/// What a sample needs of `/proc/PID/status`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Status<'a> {
    /// `Name`, with the kernel's escapes; the first line, and the only one a program can choose.
    pub(super) name: &'a [u8],
    /// `VmRSS`; absent for kernel threads and zombies.
    pub(super) rss: Option<Bytes>,
    /// `RssAnon` (Linux 4.5+).
    pub(super) anon: Option<Bytes>,
    /// `RssFile`.
    pub(super) file: Option<Bytes>,
    /// `RssShmem`.
    pub(super) shmem: Option<Bytes>,
    /// `VmSwap`.
    pub(super) swap: Option<Bytes>,
}

/// `/proc/PID/status`. The name may hold anything but a line feed, which the kernel escapes.
pub(super) fn status(text: &[u8]) -> Option<Status<'_>> {
    let mut lines = text.split(|byte| *byte == b'\n');
    let mut status = Status {
        name: lines.next()?.strip_prefix(b"Name:\t")?,
        ..Status::default()
    };
    for line in lines {
        // All wanted keys begin so; most lines of the file do not.
        if !line.starts_with(b"Vm") && !line.starts_with(b"Rss") {
            continue;
        }
        let colon = line.iter().position(|byte| *byte == b':')?;
        let (key, value) = line.split_at(colon);
        let slot = match key {
            b"VmRSS" => &mut status.rss,
            b"RssAnon" => &mut status.anon,
            b"RssFile" => &mut status.file,
            b"RssShmem" => &mut status.shmem,
            b"VmSwap" => &mut status.swap,
            _ => continue,
        };
        let kib = value.strip_prefix(b":")?.strip_suffix(b" kB")?.trim_ascii();
        *slot = Some(Bytes::from_kib(digits(kib)?));
    }
    Some(status)
}

fn digits(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |value, byte| {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit <= 9)?;
        value.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_and_limits() {
        for (text, value) in [
            ("0\n", Some(0)),
            ("18446744073709551615\n", Some(u64::MAX)),
            ("18446744073709551616\n", None),
            ("-1\n", None),
            ("max\n", None),
            ("", None),
            ("\n", None),
            ("12 34\n", None),
        ] {
            assert_eq!(number(text.as_bytes()), value, "{text:?}");
        }
        assert_eq!(limit_v2(b"max\n"), Some(Limit::Max));
        assert_eq!(limit_v2(b"maximum\n"), None);
        assert_eq!(limit_v2(b"67108864\n"), Some(Limit::Bytes(Bytes::from_mib(64))));
        let machine = Some(Bytes::from_mib(1024));
        assert_eq!(limit_v1(9_223_372_036_854_771_712, None), Limit::Max);
        assert_eq!(limit_v1(1 << 30, machine), Limit::Max);
        assert_eq!(
            limit_v1((1 << 30) - 4096, machine),
            Limit::Bytes(Bytes((1 << 30) - 4096))
        );
    }

    #[test]
    fn flat_keyed_files() {
        let text = b"cache 10\nrss 20\ntotal_cache 30\n\nodd\nunder_oom 0\n";
        assert_eq!(
            flat_keyed(text, ["cache", "total_cache", "absent"]),
            Some([Some(10), Some(30), None])
        );
        assert_eq!(flat_keyed(b"cache x\n", ["cache"]), None);
        assert_eq!(flat_keyed(b"cache x\n", ["rss"]), Some([None]));
    }

    #[test]
    fn process_ids() {
        let mut list = Vec::new();
        assert_eq!(pids(b"1\n0\n4194304\n", &mut list), Some(()));
        assert_eq!(list, [1, 4_194_304]);
        assert_eq!(pids(b"1\nx\n", &mut Vec::new()), None);
        assert_eq!(pids(b"99999999999\n", &mut Vec::new()), None);
    }

    #[test]
    fn status_of_processes_kernel_threads_and_liars() {
        let text = b"Name:\tshop\nUmask:\t0022\nVmPeak:\t  100 kB\nVmRSS:\t      12 kB\nRssAnon:\t       7 kB\n\
            RssFile:\t       4 kB\nRssShmem:\t       1 kB\nVmSwap:\t       3 kB\nThreads:\t1\n";
        let parsed = status(text).expect("a status");
        assert_eq!(parsed.name, b"shop");
        let kib = |status: Status<'_>| {
            [status.rss, status.anon, status.file, status.shmem, status.swap]
                .map(|bytes| bytes.map(|bytes| bytes.0 / 1024))
        };
        assert_eq!(kib(parsed), [Some(12), Some(7), Some(4), Some(1), Some(3)]);
        let kernel_thread = status(b"Name:\tkthreadd\nState:\tS (sleeping)\n").expect("a status");
        assert_eq!(kib(kernel_thread), [None; 5]);
        // a name cannot forge a line: the kernel writes `\n` as a backslash and an n
        let liar = status(b"Name:\tVmRSS:\\n1 kB\nVmRSS:\t 2 kB\n").expect("a status");
        assert_eq!(liar.rss, Some(Bytes::from_kib(2)));
        for malformed in [
            &b""[..],
            b"VmRSS:\t1 kB\n",
            b"Name:\tx\nVmRSS:\t1 MB\n",
            b"Name:\tx\nVmRSS\n",
        ] {
            assert_eq!(status(malformed), None, "{malformed:?}");
        }
    }

    proptest! {
        #[test]
        fn what_the_kernel_writes_is_read_back(values in proptest::collection::vec(any::<u64>(), 3), pad in 0_usize..8) {
            let text = format!("anon {}\nfile {}\nslab {}\n", values[0], values[1], values[2]);
            prop_assert_eq!(
                flat_keyed(text.as_bytes(), ["slab", "anon", "file"]),
                Some([Some(values[2]), Some(values[0]), Some(values[1])])
            );
            let kib = values[0] / 1024;
            let text = format!("Name:\tx\nVmRSS:\t{}{kib} kB\n", " ".repeat(pad));
            prop_assert_eq!(status(text.as_bytes()).and_then(|status| status.rss), Some(Bytes::from_kib(kib)));
        }

        #[test]
        fn garbage_is_refused_or_read_never_worse(text in proptest::collection::vec(any::<u8>(), 0..256)) {
            number(&text);
            limit_v2(&text);
            flat_keyed(&text, ["a", "b"]);
            status(&text);
            let mut list = Vec::new();
            pids(&text, &mut list);
            prop_assert!(list.len() <= text.len());
            let mut named = b"Name:\t".to_vec();
            named.extend_from_slice(&text);
            status(&named);
        }
    }
}
