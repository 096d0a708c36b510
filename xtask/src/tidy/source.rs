//! The sources and documents that the rules are about, and how a file's name becomes a module.

use anyhow::Context as _;
use std::fs;
use std::path::Path;

/// Folders with sources of our own.
const FOLDERS: [&str; 8] = [
    "leakwatch",
    "leakwatch-common",
    "leakwatch-ebpf",
    "bench",
    "demo",
    "xtask",
    "tests",
    "fuzz",
];

/// A file, by its path from the workspace with `/` between the parts.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) path: String,
    pub(super) text: String,
}

/// All Rust files, and all documents that people read.
pub(super) fn all(root: &Path) -> anyhow::Result<Vec<Source>> {
    let mut found = Vec::new();
    for folder in FOLDERS {
        collect(root, &root.join(folder), &["rs", "md"], &mut found)?;
    }
    collect(root, &root.join("docs"), &["md"], &mut found)?;
    for document in ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"] {
        if root.join(document).exists() {
            found.push(read(root, &root.join(document))?);
        }
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(found)
}

fn collect(root: &Path, dir: &Path, extensions: &[&str], found: &mut Vec<Source>) -> anyhow::Result<()> {
    for entry in fs::read_dir(dir).with_context(|| format!("list {}", dir.display()))? {
        let path = entry?.path();
        if path.is_dir() && !path.ends_with("target") {
            collect(root, &path, extensions, found)?;
        } else if path
            .extension()
            .is_some_and(|kind| extensions.iter().any(|wanted| kind == *wanted))
        {
            found.push(read(root, &path)?);
        }
    }
    Ok(())
}

fn read(root: &Path, path: &Path) -> anyhow::Result<Source> {
    let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    let path = path.strip_prefix(root).unwrap_or(path).display().to_string();
    Ok(Source { path, text })
}

impl Source {
    pub(super) fn is_rust(&self) -> bool {
        Path::new(&self.path).extension().is_some_and(|kind| kind == "rs")
    }

    /// The crate's folder of sources and the module in it: `leakwatch/src/api/mod.rs` is `api` of `leakwatch/src`.
    pub(super) fn module(&self) -> Option<(&str, Vec<&str>)> {
        let (krate, rest) = self
            .path
            .split_once("/src/")
            .map(|(before, rest)| (before.len() + 4, rest))?;
        let stem = rest.strip_suffix(".rs")?;
        let stem = stem.strip_suffix("/mod").unwrap_or(stem);
        let parts = match stem {
            "lib" => Vec::new(),
            _ => stem.split('/').collect(),
        };
        Some((self.path.get(..krate)?, parts))
    }

    /// Lines of code, numbered from 1, without comments and without the unit tests at the end.
    pub(super) fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let tests = self.text.lines().collect::<Vec<_>>().windows(2).position(|lines| {
            matches!(lines, [attribute, item] if is_test_only(attribute) && item.starts_with("mod ") && item.ends_with('{'))
        });
        self.text
            .lines()
            .zip(1..)
            .take(tests.unwrap_or(usize::MAX))
            .map(|(line, number)| (number, line))
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    /// Names of the modules that this file declares for tests alone.
    pub(super) fn test_modules(&self) -> Vec<&str> {
        let lines: Vec<&str> = self.text.lines().collect();
        let declared = lines.windows(2).filter_map(|lines| match lines {
            [attribute, item] if is_test_only(attribute) => declared_module(item),
            _ => None,
        });
        declared.collect()
    }
}

fn is_test_only(attribute: &str) -> bool {
    attribute.starts_with("#[cfg(test)]") || attribute.starts_with("#[cfg(any(test")
}

/// `NAME` of `mod NAME;`, whatever its visibility.
pub(super) fn declared_module(line: &str) -> Option<&str> {
    let (visibility, name) = line.split_once("mod ")?;
    let name = name.strip_suffix(';')?;
    (visibility.is_empty() || visibility.starts_with("pub")).then_some(name)
}
