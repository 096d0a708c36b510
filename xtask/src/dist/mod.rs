//! Everything that is handed out: a Debian package, an archive with a static program, an OCI image, a list of what
//! they are made of, and their hashes. The same source
//! makes the same bytes: times are those of the commit, owners are root, names are in order, and no path of this machine is inside.

mod archive;
mod binary;
mod deb;
mod image;
mod manifests;
mod release;
mod sbom;
mod stage;

use anyhow::Context as _;
use release::Release;
use release::empty;
use release::sha256;
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
        tools::step("listing what it is made of", || sbom::make(&release))?,
    ];
    files.sort();
    sums(&release.out, &files)?;
    for file in &files {
        tools::say(format!("{}", file.display()));
    }
    Ok(())
}

/// The Debian package and its next revision, of the same program, built unless there is one: for what an upgrade does.
pub(crate) fn two_revisions(out: &Path, program: Option<&Path>) -> anyhow::Result<[PathBuf; 2]> {
    let release = Release {
        version: version()?,
        time: time()?,
        out: out.to_owned(),
    };
    let program = if let Some(program) = program {
        program.to_owned()
    } else {
        build_ebpf::ensure()?;
        tools::step("building the daemon for Debian", || binary::build(binary::GNU))?
    };
    let stage = stage::make(&program)?;
    Ok([deb::pack(&release, &stage, 1)?, deb::pack(&release, &stage, 2)?])
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
