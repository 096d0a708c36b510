//! Packages of Debian: installed where programs are missing, or downloaded without touching the machine's own.

use crate::tools::run;
use crate::tools::step;
use std::env;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;

/// Installs the Debian packages of the programs that are not on `PATH`: pairs of program and package.
pub fn ensure_debian_packages(programs: &[(&str, &str)]) -> anyhow::Result<()> {
    let path = env::var_os("PATH").unwrap_or_default();
    let absent = |program: &str| !env::split_paths(&path).any(|dir| dir.join(program).is_file());
    let mut packages: Vec<&str> = programs
        .iter()
        .filter(|(program, _)| absent(program))
        .map(|(_, package)| *package)
        .collect();
    packages.dedup();
    if packages.is_empty() {
        return Ok(());
    }
    step(&format!("installing {}", packages.join(" ")), || {
        let apt = || {
            let mut command = Command::new("apt-get");
            // No service is started by installing it.
            command
                .arg("-q")
                .env("DEBIAN_FRONTEND", "noninteractive")
                .env("RUNLEVEL", "1");
            command.stdout(Stdio::null());
            command
        };
        run(apt().arg("update"))?;
        run(apt().args(["install", "-y", "--no-install-recommends"]).args(&packages))
    })
}

/// `apt-get` or `apt-cache` with an own configuration: the machine's packages and sources are left alone.
pub fn apt(program: &str, dir: &Path) -> Command {
    let mut command = Command::new(program);
    let set = |option: &str, value: &Path| format!("-o{option}={}", value.display());
    command.current_dir(dir).args([
        set("Dir::Etc::sourcelist", Path::new("/dev/null")),
        set("Dir::Etc::sourceparts", &dir.join("parts")),
        set("Dir::State::lists", &dir.join("lists")),
        set("Dir::State::status", Path::new("/dev/null")),
        set("Dir::Cache", dir),
        // Lets root download to a directory of its own.
        "-oAPT::Sandbox::User=root".to_owned(),
    ]);
    command
}
