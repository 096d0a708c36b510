//! What works on which kernel, as `tests/kernel/probes/matrix.rs` has said it in the machines: the table in `docs/kernels.md`.

use anyhow::Context as _;
use anyhow::ensure;
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use xtask::tools;

const MARK: &str = "MATRIX ";
/// Of these the way counts; of the others only whether.
const WAYS: [&str; 5] = [
    "cgroup_memory",
    "oom_victim_memory",
    "oom_victim_cgroup",
    "allocator probes, best",
    "allocator probes, single",
];
/// The row with the releases, which change while everything stays the same.
const RELEASE: &str = "kernel";
const TABLE: &str = "| | ";

/// The lines of one machine: what, and how.
pub(super) fn read(console: &str) -> Vec<(String, String)> {
    let lines = console.lines().filter_map(|line| line.split_once(MARK));
    let pairs = lines.filter_map(|(_, said)| said.trim_end().split_once(": "));
    pairs.map(|(what, how)| (what.to_owned(), how.to_owned())).collect()
}

/// Compares with the committed table, or writes it.
pub(super) fn keep(kernels: &[Vec<(String, String)>], write: bool) -> anyhow::Result<()> {
    let document = document(kernels);
    let path = path();
    if write {
        return fs::write(&path, document).with_context(|| format!("write {}", path.display()));
    }
    let Ok(committed) = fs::read_to_string(&path) else {
        tools::say(format!("there is no {}: cargo xtask vm-test --write", path.display()));
        return Ok(());
    };
    ensure!(
        rows(&committed) == rows(&document),
        "{} is not what these kernels say; `cargo xtask vm-test --write` does it:\n{document}",
        path.display()
    );
    Ok(())
}

fn path() -> PathBuf {
    tools::workspace().join("docs/kernels.md")
}

/// What has to be the same: the rows without the releases.
fn rows(document: &str) -> Vec<&str> {
    let rows = document.lines().filter(|line| line.starts_with('|'));
    rows.filter(|line| !line.starts_with(TABLE)).collect()
}

fn document(kernels: &[Vec<(String, String)>]) -> String {
    let how = |kernel: &[(String, String)], what: &str| {
        let found = kernel.iter().find(|(name, _)| name == what);
        found.map_or("not said", |(_, how)| how.as_str()).to_owned()
    };
    let names: Vec<&String> = kernels.first().into_iter().flatten().map(|(what, _)| what).collect();
    let releases: Vec<String> = kernels.iter().map(|kernel| how(kernel, RELEASE)).collect();
    let mut text = String::from(
        "# Kernels

What works on the kernels that Debian has, with cgroup v2, as the tests in the virtual machines of `cargo xtask vm-test` found it by doing it. Written by
`cargo xtask vm-test --write`. Every hook attaches on every one of them; the tests fail otherwise.

",
    );
    let lines = "---|".repeat(kernels.len());
    text.extend([TABLE, &releases.join(" | "), " |\n|---|", &lines, "\n"]);
    let mut reasons = BTreeSet::new();
    for what in names.into_iter().filter(|what| *what != RELEASE) {
        let cells = kernels.iter().map(|kernel| {
            let how = how(kernel, what);
            if let Some(reason) = how.strip_prefix("no: ") {
                reasons.insert(format!("- {what}, {}: {reason}\n", release(kernel)));
                return "no".to_owned();
            }
            let is_way = WAYS.contains(&what.as_str()) || how == "no" || how == "not said";
            if is_way { how } else { "yes".to_owned() }
        });
        let cells: Vec<String> = cells.collect();
        text.extend(["| ", what, " | ", &cells.join(" | "), " |\n"]);
    }
    if !reasons.is_empty() {
        text.push_str("\n## Why not\n\n");
        text.extend(reasons);
    }
    text
}

fn release(kernel: &[(String, String)]) -> &str {
    let found = kernel.iter().find(|(what, _)| what == RELEASE);
    found.map_or("", |(_, release)| release.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_a_column_for_each_kernel_and_a_reason_for_each_no() {
        let old = "test x ... MATRIX kernel: 5.10.0\r\nnoise\nMATRIX btf: 9 types\nMATRIX memory.peak: no\nMATRIX growth: no: too old\nMATRIX allocator probes, best: each by itself\n";
        let new = "MATRIX kernel: 7.0\nMATRIX btf: 10 types\nMATRIX memory.peak: yes\nMATRIX growth: yes\nMATRIX allocator probes, best: in one\n";
        let document = document(&[read(old), read(new)]);
        let expected = "| | 5.10.0 | 7.0 |
|---|---|---|
| btf | yes | yes |
| memory.peak | no | yes |
| growth | no | yes |
| allocator probes, best | each by itself | in one |

## Why not

- growth, 5.10.0: too old
";
        assert!(document.ends_with(expected), "{document}");
        assert_eq!(rows(&document).len(), 5);
    }
}
