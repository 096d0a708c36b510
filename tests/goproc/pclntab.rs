//! What the function table says about real binaries, judged by the Go runtime inside them and by `go tool nm`.

use anyhow::Context as _;
use anyhow::Result;
use leakwatch_goproc::image::Image;
use leakwatch_goproc::memory::ReadMemory as _;
use leakwatch_goproc::os::FileBytes;
use leakwatch_goproc::pclntab::Frame;
use leakwatch_goproc::pclntab::FunctionIds;
use leakwatch_goproc::pclntab::Header;
use leakwatch_goproc::pclntab::Pclntab;
use leakwatch_goproc::pclntab::find;
use leakwatch_goproc::pclntab::printed_name;
use leakwatch_test_support::toolchains;
use leakwatch_test_support::toolchains::Form;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::process::Command;

/// The table of an unstripped binary, whose symbols say where the tables and the inline trees are.
fn table(executable: &Path) -> Result<Pclntab<Vec<u8>>> {
    let file = FileBytes::from(File::open(executable)?);
    let image = Image::parse(&file)?;
    let names = ["runtime.pclntab", "runtime.text", "go.func.*", "go:func.*"];
    let symbols = image.symbols(&file, names)?;
    let from = |address: u64| -> Result<Vec<u8>> {
        let segment = image
            .segments()
            .iter()
            .find(|segment| segment.file_backed().contains(&address))
            .context("segment")?;
        let length = usize::try_from(segment.file_backed().end - address)?;
        Ok(file.read_vec(segment.file_offset + (address - segment.address), length)?)
    };
    let bytes = from(symbols[0].context("runtime.pclntab")?)?;
    let text = symbols[1].context("runtime.text")?;
    let trees = from(symbols[2].or(symbols[3]).context("go:func.*")?)?;
    Ok(Pclntab::parse(bytes, text)?.with_inline_trees(trees))
}

/// What the runtime of the program says about addresses, given as distances from `main.main`.
fn runtime_says(executable: &Path, directory: &Path, distances: &[i64]) -> Result<Vec<Frame>> {
    let mut input = String::new();
    for distance in distances {
        writeln!(input, "{distance}")?;
    }
    let path = directory.join("addresses");
    fs::write(&path, input)?;
    let output = Command::new(executable).stdin(File::open(path)?).output()?;
    anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout)?;
    text.lines()
        .map(|line| {
            let mut columns = line.split('\t');
            let mut column = || columns.next().context("column").map(str::to_owned);
            Ok(Frame {
                function: column()?,
                // Absent is empty for us and a question mark for the runtime.
                file: column()?.trim_start_matches('?').to_owned(),
                line: column()?.parse()?,
            })
        })
        .collect()
}

#[test]
fn names_files_and_lines_are_those_of_the_runtime() -> Result<()> {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    for release in toolchains::releases() {
        for form in [Form::Plain, Form::Pie] {
            let executable = toolchains::build("symbols", release, form, directory.path())?;
            let table = table(&executable)?;
            let main = table.function_named("main.main").context("main.main")?.entry;
            let mut distances = Vec::new();
            let mut ours = Vec::new();
            let mut inlined = 0;
            for function in table.functions() {
                // Every thirteenth address: all offsets into instructions come up. A return address behind the last one
                // would be the next function's.
                for pc in (function.entry..function.end - 1).step_by(13) {
                    let calls = table.calls(&function, pc);
                    assert_eq!(calls[0], table.innermost(&function, pc));
                    let frames = table.frames(pc);
                    assert_eq!(frames.len(), calls.len());
                    inlined += usize::from(calls.len() > 1);
                    for (call, frame) in calls.iter().zip(frames) {
                        distances.push(call.pc.cast_signed() - main.cast_signed());
                        ours.push(frame);
                    }
                }
            }
            assert!(inlined > 5000, "{inlined}");
            let theirs = runtime_says(&executable, directory.path(), &distances)?;
            assert_eq!(ours.len(), theirs.len());
            let first = table.functions().next().and_then(|function| table.full_name(&function));
            let first = first.unwrap_or_default();
            let mut different = 0;
            for ((ours, theirs), distance) in ours.iter().zip(&theirs).zip(&distances) {
                // To Go 1.19 the name at offset 0 is no name.
                let unnamed = theirs.function.is_empty() && ours.function == first;
                let theirs = if unnamed {
                    &Frame {
                        function: ours.function.clone(),
                        ..theirs.clone()
                    }
                } else {
                    theirs
                };
                if ours != theirs {
                    different += 1;
                    if different < 10 {
                        eprintln!("main.main{distance:+}: {ours:?}, the runtime says {theirs:?}");
                    }
                }
            }
            assert_eq!(different, 0, "of {} in {release} {form:?}", ours.len());
            println!(
                "{release} {form:?}: {} frames, {inlined} addresses of inlined code",
                ours.len()
            );
        }
    }
    Ok(())
}

#[test]
fn functions_are_those_of_the_symbol_table() -> Result<()> {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    for release in toolchains::releases() {
        let executable = toolchains::build("symbols", release, Form::Plain, directory.path())?;
        let table = table(&executable)?;
        let ours: BTreeMap<u64, String> = table
            .functions()
            .map(|function| (function.entry, table.full_name(&function).unwrap_or_default()))
            .collect();
        assert_eq!(ours.len(), table.header().functions);
        let mut names: BTreeMap<&str, u32> = BTreeMap::new();
        for name in ours.values() {
            *names.entry(name).or_default() += 1;
        }
        let output = Command::new("go").args(["tool", "nm"]).arg(&executable).output()?;
        let text = String::from_utf8(output.stdout)?;
        let mut compared = 0;
        for line in text.lines() {
            let columns: Vec<&str> = line.trim_start().splitn(3, ' ').collect();
            let [address, "t" | "T", name] = columns[..] else {
                continue;
            };
            let address = u64::from_str_radix(address, 16)?;
            if matches!(name, "runtime.text" | "runtime.etext") {
                // Bounds, not functions.
                continue;
            }
            // The symbol table tells two entries of one function apart; the function table does not.
            let plain = name.strip_suffix(".abi0").unwrap_or(name);
            let name = ours.get(&address).with_context(|| format!("{release} {line}"))?;
            // Before Go 1.21 the linker has shortened the names of the function table; nm writes dots for middle dots.
            assert_eq!(printed_name(name).replace('·', "."), printed_name(plain), "{release}");
            if names.get(plain) == Some(&1) {
                assert_eq!(
                    table.function_named(plain).map(|function| function.entry),
                    Some(address)
                );
            }
            compared += 1;
        }
        assert!(compared > 1000, "{compared}");
    }
    Ok(())
}

#[test]
fn the_table_is_found_without_symbols_and_sections() -> Result<()> {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    for release in toolchains::releases() {
        for form in [Form::Stripped, Form::StrippedPie] {
            let executable = toolchains::build("symbols", release, form, directory.path())?;
            let file = FileBytes::from(File::open(&executable)?);
            let image = Image::parse(&file)?;
            assert!(!image.has_symbols());
            let section = [".gopclntab", ".data.rel.ro.gopclntab"]
                .into_iter()
                .find_map(|name| image.section(name))
                .context("section")?;
            let mut bytes = Vec::new();
            file.file().read_to_end(&mut bytes)?;
            let found = image.segments().iter().find_map(|segment| {
                let start = usize::try_from(segment.file_offset).ok()?;
                let length = usize::try_from(segment.file_size).ok()?;
                let offset = find(&bytes[start..start + length])?;
                Some((segment.address + offset as u64, start + offset))
            });
            let (address, offset) = found.with_context(|| format!("{release} {form:?}"))?;
            assert_eq!(address, section.addresses.start, "{release} {form:?}");
            let header = Header::parse(&bytes[offset..])?;
            let text = image.section(".text").context(".text")?.addresses.start;
            if form == Form::Stripped && !matches!(*release, "go1.26.8" | "go1.27.3") {
                assert_eq!(header.text_start, text);
            }
            let table = Pclntab::parse(&bytes[offset..], text)?;
            let wrapper = FunctionIds::of(&table).wrapper;
            let minor: u8 = release.split('.').nth(1).context("minor")?.parse()?;
            // `abi.FuncIDWrapper` in the sources of each release.
            let expected = match minor {
                ..=21 => 21,
                22..=24 => 22,
                25.. => 23,
            };
            assert_eq!(wrapper, Some(expected), "{release}");
        }
    }
    Ok(())
}
