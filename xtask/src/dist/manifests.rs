//! The Kubernetes manifests, judged by the published schemas.

use anyhow::Context as _;
use std::process::Command;
use xtask::tools;

/// The checker as a Python package; the schemas are inside.
const VERSION: &str = "1.37.0";
const FILES: [&str; 2] = ["namespace.yaml", "daemonset.yaml"];

pub(super) fn check() -> anyhow::Result<()> {
    let root = tools::cache_dir()?.join("tools/kubernetes-validate").join(VERSION);
    if !root.exists() {
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--target"]).arg(&root);
        tools::run(pip.arg(format!("kubernetes-validate=={VERSION}"))).context("install kubernetes-validate")?;
    }
    let mut validate = Command::new("python3");
    validate
        .current_dir(tools::workspace().join("packaging/kubernetes"))
        .env("PYTHONPATH", root)
        .args(["-m", "kubernetes_validate", "--strict"])
        .args(FILES);
    tools::run(&mut validate)
}
