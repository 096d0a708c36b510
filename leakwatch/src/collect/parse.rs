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

/// A flat-keyed file (`memory.stat`, `memory.events`, `memory.oom_control`): lines `KEY VALUE`. Tells the value of each key of
/// `lines`; other keys are left out. A wanted key whose value is not a number makes the whole file malformed.
///
/// `lines` has the keys in the order of the file, so that each is mostly found where the one before ended.
pub(super) fn keyed<T: Copy>(text: &[u8], lines: &[(&str, T)], mut found: impl FnMut(T, u64)) -> Option<()> {
    let mut next = 0;
    for line in text.split(|byte| *byte == b'\n') {
        let Some(space) = line.iter().position(|byte| *byte == b' ') else {
            continue;
        };
        let (key, value) = line.split_at(space);
        if let Some((index, wanted)) = find(lines, next, key) {
            found(wanted, digits(value.trim_ascii())?);
            next = index + 1;
        }
    }
    Some(())
}

/// Finds a key, beginning at `start` and going around.
fn find<T: Copy>(lines: &[(&str, T)], start: usize, key: &[u8]) -> Option<(usize, T)> {
    let (before, after) = lines.split_at_checked(start)?;
    let rest = after.iter().chain(before).zip((start..lines.len()).chain(0..start));
    let mut matching = rest.filter(|((wanted, _), _)| wanted.as_bytes() == key);
    matching.next().map(|((_, found), index)| (index, *found))
}

/// `memory.pressure`: lines `some avg10=0.00 avg60=0.00 avg300=0.00 total=0`, with keys as `some avg10`. Averages become
/// hundredths of a percent.
pub(super) fn pressure<T: Copy>(text: &[u8], lines: &[(&str, T)], mut found: impl FnMut(T, u64)) -> Option<()> {
    let text = std::str::from_utf8(text).ok()?;
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        let kind = words.next()?;
        for word in words {
            let (name, value) = word.split_once('=')?;
            let is_wanted = |key: &str| key.strip_prefix(kind).and_then(|rest| rest.strip_prefix(' ')) == Some(name);
            if let Some((_, wanted)) = lines.iter().find(|(key, _)| is_wanted(key)) {
                let value =
                    match value.split_once('.') {
                        None => digits(value.as_bytes())?,
                        Some((whole, hundredths)) if hundredths.len() == 2 => digits(whole.as_bytes())?
                            .checked_mul(100)?
                            .checked_add(digits(hundredths.as_bytes())?)?,
                        Some(_) => return None,
                    };
                found(*wanted, value);
            }
        }
    }
    Some(())
}

/// `memory.numa_stat`: sums over the nodes, in bytes. v2 has lines `anon N0=1 N1=2` in bytes, v1 `anon=3 N0=1 N1=2` in pages.
pub(super) fn numa<T: Copy>(
    text: &[u8],
    page_bytes: u64,
    lines: &[(&str, T)],
    mut found: impl FnMut(T, u64),
) -> Option<()> {
    let text = std::str::from_utf8(text).ok()?;
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        let Some(first) = words.next() else { continue };
        let (key, pages) = match first.split_once('=') {
            Some((key, pages)) => (key, Some(pages)),
            None => (first, None),
        };
        let Some((_, wanted)) = lines.iter().find(|(wanted, _)| *wanted == key) else {
            continue;
        };
        let bytes = match pages {
            Some(pages) => digits(pages.as_bytes())?.checked_mul(page_bytes)?,
            None => words.try_fold(0_u64, |sum, word| {
                sum.checked_add(digits(word.split_once('=')?.1.as_bytes())?)
            })?,
        };
        found(*wanted, bytes);
    }
    Some(())
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

    fn collect(parse: impl FnOnce(&mut dyn FnMut(usize, u64)) -> Option<()>) -> Option<Vec<(usize, u64)>> {
        let mut values = Vec::new();
        parse(&mut |index, value| values.push((index, value)))?;
        Some(values)
    }

    #[test]
    fn flat_keyed_files() {
        let text = b"cache 10\nrss 20\ntotal_cache 30\n\nodd\nunder_oom 0\n";
        for (text, keys, values) in [
            (
                &text[..],
                ["cache", "total_cache", "absent"],
                Some(vec![(0, 10), (1, 30)]),
            ),
            // In whatever order.
            (text, ["total_cache", "absent", "cache"], Some(vec![(2, 10), (0, 30)])),
            (b"cache x\n", ["cache", "a", "b"], None),
            (b"cache x\n", ["rss", "a", "b"], Some(vec![])),
        ] {
            let lines: Vec<(&str, usize)> = keys.into_iter().zip(0..).collect();
            assert_eq!(collect(|found| keyed(text, &lines, found)), values, "{keys:?}");
        }
    }

    #[test]
    fn pressure_and_numbers_per_node() {
        let lines = [("some avg10", 0), ("some total", 1), ("full avg300", 2)];
        let text =
            b"some avg10=12.34 avg60=0.00 avg300=0.00 total=56\nfull avg10=0.00 avg60=0.00 avg300=100.00 total=7\n";
        assert_eq!(
            collect(|found| pressure(text, &lines, found)),
            Some(vec![(0, 1234), (1, 56), (2, 10_000)])
        );
        assert_eq!(
            collect(|found| pressure(b"some avg10=1.2 total=x\n", &lines, found)),
            None
        );
        let lines = [("anon", 0), ("hierarchical_anon", 1)];
        assert_eq!(
            collect(|found| numa(b"anon N0=1 N1=2\nfile N0=9 N1=9\n", 4096, &lines, found)),
            Some(vec![(0, 3)])
        );
        assert_eq!(
            collect(|found| numa(b"total=9 N0=9\nhierarchical_anon=3 N0=1 N1=2\n", 4096, &lines, found)),
            Some(vec![(1, 3 * 4096)])
        );
        assert_eq!(collect(|found| numa(b"anon N0\n", 4096, &lines, found)), None);
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
                collect(|found| keyed(text.as_bytes(), &[("slab", 0), ("anon", 1), ("file", 2)], found)),
                Some(vec![(1, values[0]), (2, values[1]), (0, values[2])])
            );
            let kib = values[0] / 1024;
            let text = format!("Name:\tx\nVmRSS:\t{}{kib} kB\n", " ".repeat(pad));
            prop_assert_eq!(status(text.as_bytes()).and_then(|status| status.rss), Some(Bytes::from_kib(kib)));
        }

        #[test]
        fn garbage_is_refused_or_read_never_worse(text in proptest::collection::vec(any::<u8>(), 0..256)) {
            number(&text);
            limit_v2(&text);
            let lines = [("a", 0), ("some avg10", 1)];
            collect(|found| keyed(&text, &lines, found));
            collect(|found| pressure(&text, &lines, found));
            collect(|found| numa(&text, 4096, &lines, found));
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
