//! A number for the contents of files: whether something must be made again that was made from them.

use crate::tools;
use anyhow::Context as _;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

/// The number of files and folders of the workspace, in hexadecimal: FNV-1a over the paths and contents of all files. It tells
/// accidents apart, not attacks.
pub fn hash(paths: &[&str]) -> anyhow::Result<String> {
    let root = tools::workspace();
    let mut files = Vec::new();
    for path in paths {
        collect(&root.join(path), &mut files)?;
    }
    files.sort();
    files.dedup();
    let mut hash = Fnv::default();
    for file in files {
        let name = file.strip_prefix(&root).unwrap_or(&file);
        hash.add(name.as_os_str().as_encoded_bytes());
        let bytes = fs::read(&file).with_context(|| format!("read {}", file.display()))?;
        hash.add(&bytes.len().to_le_bytes());
        hash.add(&bytes);
    }
    Ok(format!("{:016x}", hash.0))
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    if path.is_file() {
        files.push(path.to_owned());
        return Ok(());
    }
    for entry in fs::read_dir(path).with_context(|| format!("list {}", path.display()))? {
        let entry = entry?.path();
        // What a build leaves behind is no input.
        if !entry.ends_with("target") && !entry.ends_with("artifacts") {
            collect(&entry, files)?;
        }
    }
    Ok(())
}

struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_is_that_of_the_algorithm() {
        for (bytes, expected) in [
            (&b""[..], 0xcbf2_9ce4_8422_2325),
            (b"a", 0xaf63_dc4c_8601_ec8c),
            (b"foobar", 0x8594_4171_f739_67e8),
        ] {
            let mut hash = Fnv::default();
            hash.add(bytes);
            assert_eq!(hash.0, expected, "{bytes:?}");
        }
    }
}
