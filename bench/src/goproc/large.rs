//! A Go program of 100 MB with the proportions of real ones: a good quarter of it is the function table.

use anyhow::Context as _;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use xtask::tools;

const PACKAGES: usize = 60;
const FUNCTIONS: usize = 2000;

/// Bytes of data in it: what is embedded by programs with a user interface.
const EMBEDDED: usize = 14 << 20;

/// Builds it once; the first time takes minutes.
pub(super) fn ensure(release: &str) -> anyhow::Result<PathBuf> {
    let executable = tools::cache_dir()?.join(format!("bench/large-{release}"));
    if executable.exists() {
        return Ok(executable);
    }
    tools::step("building a program of 100 MB (only the first time)", || {
        let directory = tempfile::tempdir()?;
        write(directory.path()).context("write its source")?;
        let built = directory.path().join("large");
        let mut go = Command::new("go");
        go.args(["build", "-trimpath", "-ldflags", "-s -w", "-o"])
            .arg(&built)
            .arg(".");
        go.current_dir(directory.path())
            .env("GOTOOLCHAIN", release)
            .env("GOWORK", "off")
            .env("CGO_ENABLED", "0");
        tools::run(&mut go)?;
        fs::create_dir_all(executable.parent().context("cache")?)?;
        // Whole or not at all, whatever interrupts us.
        let partial = executable.with_extension("partial");
        fs::copy(&built, &partial)?;
        Ok(fs::rename(&partial, &executable)?)
    })?;
    Ok(executable)
}

fn write(directory: &Path) -> anyhow::Result<()> {
    fs::write(directory.join("go.mod"), "module example.com/large\n\ngo 1.19\n")?;
    let mut imports = String::new();
    let mut calls = String::new();
    for package in 0..PACKAGES {
        let folder = directory.join(format!("service{package}"));
        fs::create_dir(&folder)?;
        fs::write(folder.join("service.go"), service(package)?)?;
        writeln!(imports, "\t\"example.com/large/service{package}\"")?;
        writeln!(
            calls,
            "\tfor _, handle := range service{package}.Handlers {{ result, _ := handle(new(service{package}.Handler), \
             []int{{1, 2}}, \"a\"); total += result }}"
        )?;
    }
    fs::write(directory.join("data"), vec![b'.'; EMBEDDED])?;
    let main = format!(
        "package main\n\nimport (\n{imports}\t_ \"embed\"\n\t\"fmt\"\n\t_ \"net/http/pprof\"\n\t\"time\"\n)\n\n//go:embed data\nvar \
         data string\n\nfunc main() {{\n\ttotal := len(data)\n{calls}\tfmt.Println(\"ready\", total)\n\ttime.Sleep(24 * \
         time.Hour)\n}}\n"
    );
    Ok(fs::write(directory.join("main.go"), main)?)
}

/// One package: methods with branches, an inlined call and an error that is wrapped, as services have them by thousands.
fn service(package: usize) -> anyhow::Result<String> {
    let mut text = format!(
        "package service{package}\n\nimport \"fmt\"\n\ntype Handler struct {{ limit, count int; name string }}\n\nfunc clamp(value, \
         limit int) int {{ if value > limit {{ return limit }}; return value }}\n\n"
    );
    for function in 0..FUNCTIONS {
        writeln!(
            text,
            "func (h *Handler) HandleRequest{function}(values []int, name string) (int, error) {{
	total := clamp(len(values), h.limit)
	for index, value := range values {{
		if value > total+{function} {{
			total += value * {factor}
			h.count++
		}} else if index%{modulus} == 1 {{
			total ^= clamp(value, total)
		}}
	}}
	if total == {answer} {{
		return 0, fmt.Errorf(\"request {function} of %s: %d\", name, total)
	}}
	return total, nil
}}
",
            factor = function % 13 + 2,
            modulus = function % 7 + 2,
            answer = function * package + 1,
        )?;
    }
    writeln!(text, "var Handlers = []func(*Handler, []int, string) (int, error){{")?;
    for function in 0..FUNCTIONS {
        writeln!(text, "\t(*Handler).HandleRequest{function},")?;
    }
    writeln!(text, "}}")?;
    Ok(text)
}
