//! What a program's own heap sampler tells by static probes arrives with its weights, and only while somebody listens.

use crate::programs::Program;
use crate::programs::alone;
use crate::programs::compile_with;
use leakwatch::capture::lanes::Observer;
use leakwatch::capture::lanes::usdt::UsdtSession;
use leakwatch_nativeproc::symbols::Symbols;
use leakwatch_test_support::debian;
use std::collections::BTreeMap;
use std::env::consts::ARCH;

#[test]
fn weights_and_releases_are_those_of_the_sampler() {
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    let headers = debian::unpacked("systemtap-sdt-dev").unwrap().join("usr/include");
    let headers = headers.join(format!("{ARCH}-linux-gnu"));
    let include = format!("-I{}", headers.display());
    let executable = compile_with("cc", "sampler.c", "sampler", &[&include, "-lm"], directory.path()).unwrap();
    let program = Program::start(&executable, &[], directory.path()).unwrap();
    let mut session = UsdtSession::start(program.pid()).unwrap();
    let names: Vec<&str> = session.sites().iter().map(|site| site.name.as_str()).collect();
    for name in ["otel_memory:alloc", "otel_memory:free", "ddheap:alloc", "ddheap:free"] {
        assert_eq!(names.iter().filter(|found| **found == name).count(), 2, "{names:?}");
    }
    let truth = program.run(|| session.poll()).unwrap();
    session.detach();
    println!("{:?}", session.counts());
    assert_eq!(Observer::losses(&session), []);

    let (rows, distance) = session.rows();
    let mut symbols = Symbols::of_process(program.pid());
    let mut seen: BTreeMap<String, (i64, i64)> = BTreeMap::new();
    for row in &rows {
        let frame = symbols.frames(row.addresses[0])[0].clone();
        assert!(frame.file.ends_with("sampler.c") && frame.line > 0, "{frame:?}");
        let (allocated, live) = seen.entry(frame.function.to_string()).or_default();
        *allocated += row.value.alloc_space;
        *live += row.value.inuse_space;
    }
    // The samples of each function, by their weights, to the byte.
    let mut samples = 0;
    for truth in &truth {
        let expected = (truth.alloc_space, truth.inuse_space);
        assert_eq!(seen.get(&truth.function).copied(), Some(expected), "{}", truth.function);
        assert!(truth.alloc_objects > 10, "{truth:?}");
        samples += truth.alloc_objects;
    }
    assert_eq!(i64::try_from(session.counts().samples), Ok(samples));
    assert_eq!(truth.len(), seen.len());
    // What the weights say about how they were drawn.
    assert!(distance.abs_diff(65_536) < 1_000, "{distance}");

    // Nobody listened before, four probes were listened to, nobody listens now.
    let output = program.finish().unwrap();
    let enabled: Vec<&str> = output.lines().filter(|line| line.starts_with("enabled ")).collect();
    assert_eq!(enabled.first(), Some(&"enabled 0"), "{output}");
    assert_ne!(enabled.get(1), Some(&"enabled 0"), "{output}");
    assert_eq!(enabled.get(2), Some(&"enabled 0"), "{output}");
}
