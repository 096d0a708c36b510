//! What the parts of a release share: its version and time, and archives and hashes that depend on nothing else.

use anyhow::Context as _;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use xtask::tools;

/// What all parts need to know.
#[derive(Debug)]
pub(super) struct Release {
    pub(super) version: String,
    /// Seconds since the epoch that every file is of.
    pub(super) time: String,
    /// The files that are handed out.
    pub(super) out: PathBuf,
}

/// An empty directory.
pub(super) fn empty(directory: &Path) -> anyhow::Result<()> {
    if directory.exists() {
        fs::remove_dir_all(directory).with_context(|| format!("remove {}", directory.display()))?;
    }
    fs::create_dir_all(directory).with_context(|| format!("create {}", directory.display()))
}

/// A directory as a tar archive that depends on nothing but its names, contents and modes.
pub(super) fn tar(release: &Release, directory: &Path, archive: &Path, names: &[&str]) -> anyhow::Result<()> {
    let mut tar = Command::new("tar");
    tar.args([
        "--create",
        "--format=ustar",
        "--sort=name",
        "--owner=0",
        "--group=0",
        "--numeric-owner",
    ])
    .arg(format!("--mtime=@{}", release.time))
    .arg("--mode=u+rwX,go+rX,go-w")
    .arg("--file")
    .arg(archive)
    .arg("--directory")
    .arg(directory)
    .args(names);
    tools::run(&mut tar)
}

/// SHA-256 of a file, in hexadecimal digits.
pub(super) fn sha256(file: &Path) -> anyhow::Result<String> {
    let line = tools::output(Command::new("sha256sum").arg("--").arg(file))?;
    let digest = line
        .split_whitespace()
        .next()
        .map(|digest| digest.trim_start_matches('\\'));
    digest.map(str::to_owned).context("sha256sum printed nothing")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made twice, at other times and by files with other modes and in another order, an archive is the same.
    #[test]
    fn an_archive_depends_on_names_and_contents() {
        let hash = |order: [&str; 2], mode: u32, contents: &str| {
            use std::os::unix::fs::PermissionsExt as _;
            let directory = tempfile::tempdir().unwrap();
            let tree = directory.path().join("tree");
            fs::create_dir_all(tree.join("etc")).unwrap();
            for name in order {
                let file = tree.join("etc").join(name);
                fs::write(&file, contents).unwrap();
                fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            }
            let release = Release {
                version: "1".to_owned(),
                time: "1000000000".to_owned(),
                out: directory.path().to_owned(),
            };
            let archive = directory.path().join("a.tar");
            tar(&release, &tree, &archive, &["."]).unwrap();
            sha256(&archive).unwrap()
        };
        let one = hash(["a", "b"], 0o644, "x");
        assert_eq!(one, hash(["b", "a"], 0o600, "x"));
        assert_ne!(one, hash(["a", "b"], 0o644, "y"));
        assert_ne!(one, hash(["a", "b"], 0o755, "x"), "what can be executed stays so");
    }
}
