//! The archive: the static program with what belongs beside it, to be unpacked at `/`.

use super::binary::MUSL;
use super::release::Release;
use super::release::empty;
use super::release::tar;
use anyhow::Context as _;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use xtask::tools;

/// Files of the source, and where they go.
const FILES: [(&str, &str); 6] = [
    (
        "packaging/leakwatch.service",
        "usr/lib/systemd/system/leakwatch.service",
    ),
    ("packaging/leakwatch.sysusers", "usr/lib/sysusers.d/leakwatch.conf"),
    ("packaging/leakwatch.toml", "etc/leakwatch/leakwatch.toml"),
    ("LICENSE-APACHE", "usr/share/doc/leakwatch/LICENSE-APACHE"),
    ("LICENSE-MIT", "usr/share/doc/leakwatch/LICENSE-MIT"),
    ("packaging/prometheus/alerts.yml", "usr/share/doc/leakwatch/alerts.yml"),
];

pub(super) fn make(release: &Release, stage: &Path, program: &Path) -> anyhow::Result<PathBuf> {
    let tree = stage.join("archive");
    empty(&tree)?;
    let root = tools::workspace();
    for (from, to) in FILES {
        copy(&root.join(from), &tree.join(to))?;
    }
    copy(program, &tree.join("usr/bin/leakwatch"))?;
    for page in fs::read_dir(stage.join("man"))? {
        let page = page?;
        copy(&page.path(), &tree.join("usr/share/man/man1").join(page.file_name()))?;
    }
    for (name, to) in [
        ("leakwatch", "usr/share/bash-completion/completions/leakwatch"),
        ("_leakwatch", "usr/share/zsh/vendor-completions/_leakwatch"),
        ("leakwatch.fish", "usr/share/fish/vendor_completions.d/leakwatch.fish"),
    ] {
        copy(&stage.join("completions").join(name), &tree.join(to))?;
    }
    let archive = release.out.join(format!("leakwatch-{}-{MUSL}.tar", release.version));
    tar(release, &tree, &archive, &["etc", "usr"])?;
    // One thread: the bytes do not depend on how many processors there are.
    tools::run(Command::new("xz").args(["-6", "--threads=1", "--force"]).arg(&archive))?;
    Ok(archive.with_extension("tar.xz"))
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::copy(from, to).with_context(|| format!("copy {} to {}", from.display(), to.display()))?;
    Ok(())
}
