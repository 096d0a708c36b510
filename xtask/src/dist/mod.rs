//! Everything that is handed out: a Debian package, an archive with a static program, an OCI image, and their hashes. The same source
//! makes the same bytes: times are those of the commit, owners are root, names are in order, and no path of this machine is inside.

mod archive;
mod binary;
mod deb;
mod image;
mod manifests;
mod stage;

use anyhow::Context as _;
use std::env;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use xtask::build_ebpf;
use xtask::debian;
use xtask::tools;

/// Programs that are needed, with their Debian packages.
const PROGRAMS: [(&str, &str); 3] = [("musl-gcc", "musl-tools"), ("xz", "xz-utils"), ("lintian", "lintian")];

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Directory that the files are put into
    #[arg(long, value_name = "DIR", default_value = "target/dist")]
    out: PathBuf,
}

/// What all parts need to know.
#[derive(Debug)]
struct Release {
    version: String,
    /// Seconds since the epoch that every file is of.
    time: String,
    /// The files that are handed out.
    out: PathBuf,
}

pub(crate) fn main(arguments: &Arguments) -> anyhow::Result<()> {
    debian::ensure_debian_packages(&PROGRAMS)?;
    build_ebpf::ensure()?;
    let release = Release {
        version: version()?,
        time: time()?,
        out: tools::workspace().join(&arguments.out),
    };
    tools::step("checking the Kubernetes manifests", manifests::check)?;
    empty(&release.out)?;
    let dynamic = tools::step("building the daemon for Debian", || binary::build(binary::GNU))?;
    let fixed = tools::step("building the static daemon", || binary::build(binary::MUSL))?;
    let stage = tools::step("writing man pages and completions", || stage::make(&dynamic))?;
    let mut files = vec![
        tools::step("making the Debian package", || deb::make(&release, &stage))?,
        tools::step("making the archive", || archive::make(&release, &stage, &fixed))?,
        tools::step("making the image", || image::make(&release, &fixed))?,
    ];
    files.sort();
    sums(&release.out, &files)?;
    for file in &files {
        tools::say(format!("{}", file.display()));
    }
    Ok(())
}

/// The version of the workspace.
fn version() -> anyhow::Result<String> {
    let metadata = tools::output(tools::cargo().args(["metadata", "--no-deps", "--format-version=1", "--locked"]))?;
    let metadata: serde_json::Value = serde_json::from_str(&metadata)?;
    let packages = metadata.get("packages").and_then(serde_json::Value::as_array);
    let daemon = packages
        .into_iter()
        .flatten()
        .find(|package| package.get("name").is_some_and(|name| name == "leakwatch"));
    let version = daemon.and_then(|package| package.get("version")?.as_str());
    version.map(str::to_owned).context("cargo metadata without leakwatch")
}

/// `$SOURCE_DATE_EPOCH`, else the time of the commit.
fn time() -> anyhow::Result<String> {
    if let Ok(time) = env::var("SOURCE_DATE_EPOCH") {
        return Ok(time);
    }
    let mut git = Command::new("git");
    tools::output(git.current_dir(tools::workspace()).args(["log", "-1", "--format=%ct"]))
        .context("without git, SOURCE_DATE_EPOCH has to be set")
}

/// An empty directory.
fn empty(directory: &Path) -> anyhow::Result<()> {
    if directory.exists() {
        fs::remove_dir_all(directory).with_context(|| format!("remove {}", directory.display()))?;
    }
    fs::create_dir_all(directory).with_context(|| format!("create {}", directory.display()))
}

/// A directory as a tar archive that depends on nothing but its names, contents and modes.
fn tar(release: &Release, directory: &Path, archive: &Path, names: &[&str]) -> anyhow::Result<()> {
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
fn sha256(file: &Path) -> anyhow::Result<String> {
    let line = tools::output(Command::new("sha256sum").arg("--").arg(file))?;
    let digest = line
        .split_whitespace()
        .next()
        .map(|digest| digest.trim_start_matches('\\'));
    digest.map(str::to_owned).context("sha256sum printed nothing")
}

/// Writes `SHA256SUMS`, which `sha256sum --check` reads.
fn sums(out: &Path, files: &[PathBuf]) -> anyhow::Result<()> {
    let mut lines = String::new();
    for file in files {
        let name = file.strip_prefix(out).unwrap_or(file).display();
        let digest = sha256(file)?;
        lines.extend([&digest, "  ", &name.to_string(), "\n"]);
    }
    let path = out.join("SHA256SUMS");
    fs::write(&path, lines).with_context(|| format!("write {}", path.display()))
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
