//! The systemd unit, judged by systemd itself, without a systemd that runs.

use anyhow::Result;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use tempfile::TempDir;

/// Ten times what `systemd-analyze security` may say; it says it in tenths.
const MOST_EXPOSED: &str = "30";

/// The unit with a program that exists, or none and a line that says so.
#[expect(
    clippy::print_stdout,
    reason = "the output of a test is where a person looks for what it skipped"
)]
fn unit(directory: &Path) -> Result<Option<PathBuf>> {
    if Command::new("systemd-analyze")
        .arg("--version")
        .stdout(Stdio::null())
        .status()
        .is_err()
    {
        println!("SKIP systemd-analyze is not installed");
        return Ok(None);
    }
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/leakwatch.service"))?;
    let here = text.replace(
        "ExecStart=/usr/bin/leakwatch ",
        &format!("ExecStart={} ", crate::LEAKWATCH),
    );
    assert_ne!(here, text, "the unit does not start /usr/bin/leakwatch");
    let path = directory.join("leakwatch.service");
    fs::write(&path, here)?;
    Ok(Some(path))
}

/// What is not understood is told and otherwise passed over, so that anything that is told is a fault.
#[test]
fn systemd_understands_every_line() -> Result<()> {
    let directory = TempDir::new()?;
    let Some(unit) = unit(directory.path())? else {
        return Ok(());
    };
    let output = Command::new("systemd-analyze")
        .args(["verify", "--man=no"])
        .arg(&unit)
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    // Of other units of this machine nothing is to be learnt.
    let ours: Vec<&str> = said.lines().filter(|line| line.contains("leakwatch")).collect();
    assert!(output.status.success() && ours.is_empty(), "{said}");
    Ok(())
}

#[test]
fn the_unit_allows_no_more_than_it_needs() -> Result<()> {
    let directory = TempDir::new()?;
    let Some(unit) = unit(directory.path())? else {
        return Ok(());
    };
    let output = Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--no-pager"])
        .arg(format!("--threshold={MOST_EXPOSED}"))
        .arg(&unit)
        .output()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    Ok(())
}

/// The names of capabilities in a line, without `CAP_`.
fn capabilities(line: &str) -> Vec<String> {
    let mut names: Vec<String> = line
        .split(|character: char| !character.is_ascii_uppercase() && character != '_')
        .map(|name| name.trim_start_matches("CAP_").to_owned())
        .filter(|name| name.len() > 2)
        .collect();
    names.sort();
    names
}

/// A node of Kubernetes allows what a unit allows, and the document gives the reason for each.
#[test]
fn unit_manifest_and_document_name_the_same_capabilities() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let line = |file: &str, start: &str| -> Result<String> {
        let text = fs::read_to_string(root.join(file))?;
        let line = text.lines().map(str::trim).find_map(|line| line.strip_prefix(start));
        Ok(line.unwrap_or_default().to_owned())
    };
    let of_unit = capabilities(&line("packaging/leakwatch.service", "CapabilityBoundingSet=")?);
    let of_manifest = capabilities(&line("packaging/kubernetes/daemonset.yaml", "add: ")?);
    assert!(
        of_unit.len() > 4 && of_unit == of_manifest,
        "{of_unit:?} and {of_manifest:?}"
    );
    let document = fs::read_to_string(root.join("docs/service.md"))?;
    for name in of_unit {
        let row = format!("`CAP_{name}`");
        assert!(
            document
                .lines()
                .any(|line| line.starts_with('|') && line.contains(&row)),
            "{row}"
        );
    }
    Ok(())
}
