//! What the program itself can write: man pages and completions.

use super::release::empty;
use anyhow::Context as _;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use xtask::tools;

/// Shells, and the names under which they look for completions.
const SHELLS: [(&str, &str); 3] = [("bash", "leakwatch"), ("zsh", "_leakwatch"), ("fish", "leakwatch.fish")];

/// Returns the directory with `man`, `completions` and a copy of the program.
pub(super) fn make(program: &Path) -> anyhow::Result<PathBuf> {
    // The manifest's list of assets names it.
    let stage = tools::workspace().join("target/dist-stage");
    empty(&stage)?;
    fs::copy(program, stage.join("leakwatch")).with_context(|| format!("copy {}", program.display()))?;
    for directory in ["man", "completions"] {
        fs::create_dir(stage.join(directory))?;
    }
    tools::run(
        Command::new(program)
            .args(["man", "--directory"])
            .arg(stage.join("man")),
    )?;
    for (shell, name) in SHELLS {
        let script = tools::output(Command::new(program).args(["completions", shell]))?;
        fs::write(stage.join("completions").join(name), script + "\n")?;
    }
    Ok(stage)
}
