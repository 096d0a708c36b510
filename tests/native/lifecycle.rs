//! Probes come and go while the program runs, forks, becomes another program and ends: nothing crashes, nothing is left behind.

use crate::programs::alone;
use crate::programs::compile;
use leakwatch::capture::lanes::DutyCycle as _;
use leakwatch::capture::lanes::native::Session;
use leakwatch_test_support::process::Running;
use leakwatch_test_support::process::Signal;
use leakwatch_test_support::wait::wait_until;
use std::env;
use std::fs;
use std::process::Command;
use std::time::Duration;

const DEADLINE: Duration = Duration::from_mins(3);

/// Descriptors of this process that belong to probes and their maps. Other tests of this program hold some as well, at other times.
fn descriptors() -> usize {
    let links = fs::read_dir("/proc/self/fd").into_iter().flatten();
    let links = links.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    let kinds = ["perf_event", "bpf_link", "bpf-map", "bpf-prog"];
    links
        .filter(|link| kinds.iter().any(|kind| link.to_string_lossy().contains(kind)))
        .count()
}

#[test]
fn a_busy_program_survives_probes_that_come_and_go() {
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    let executable = compile("forks", directory.path()).unwrap();
    let mut program = Running::start(Command::new(&executable), &directory.path().join("log")).unwrap();
    let children = |program: &Running| program.output().lines().filter(|line| *line == "child").count();
    wait_until("a child", DEADLINE, || Ok((children(&program) > 0).then_some(()))).unwrap();
    let before = descriptors();
    for round in 0..5 {
        let seen = children(&program);
        let mut session = Session::start(program.pid(), 4096).unwrap();
        wait_until("samples and a child while attached", DEADLINE, || {
            session.poll();
            let enough = session.counts().samples > 10 && children(&program) > seen;
            Ok(enough.then_some(()))
        })
        .unwrap();
        assert!(!session.rows().is_empty(), "round {round}");
        assert!(
            program.ended().unwrap().is_none(),
            "round {round}: {}",
            program.output()
        );
        drop(session);
        assert_eq!(descriptors(), before, "round {round}");
    }
    // Attached and detached as fast as can be, in windows of one capture and as captures of their own.
    let often = if env::var_os("LEAKWATCH_SLOW_TESTS").is_some() {
        1_000
    } else {
        20
    };
    let mut session = Session::start(program.pid(), 4096).unwrap();
    let attached = descriptors();
    for round in 0..often {
        session.pause();
        session.resume().unwrap();
        assert_eq!(descriptors(), attached, "round {round}");
        if round % 10 == 0 {
            drop(Session::start(program.pid(), 4096).unwrap());
            assert_eq!(descriptors(), attached, "round {round}");
        }
        assert!(
            program.ended().unwrap().is_none(),
            "round {round}: {}",
            program.output()
        );
    }
    let seen = children(&program);
    wait_until("another child", DEADLINE, || {
        Ok((children(&program) > seen).then_some(()))
    })
    .unwrap();
    drop(session);
    assert_eq!(descriptors(), before);
    // Becomes another program, and ends, while attached.
    let session = Session::start(program.pid(), 4096).unwrap();
    program.signal(Signal::USR1).unwrap();
    let status = program.wait(DEADLINE).unwrap();
    assert!(status.success(), "{status}: {}", program.output());
    drop(session);
    assert_eq!(descriptors(), before);
    assert!(!program.output().contains("bad child"), "{}", program.output());
}

#[test]
fn a_program_may_be_killed_while_it_is_probed() {
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    let executable = compile("forks", directory.path()).unwrap();
    let before = descriptors();
    let mut program = Running::start(Command::new(&executable), &directory.path().join("log")).unwrap();
    wait_until("a child", DEADLINE, || {
        Ok(program.output().contains("child").then_some(()))
    })
    .unwrap();
    let mut session = Session::start(program.pid(), 4096).unwrap();
    wait_until("samples", DEADLINE, || {
        session.poll();
        Ok((session.counts().samples > 10).then_some(()))
    })
    .unwrap();
    program.signal(Signal::KILL).unwrap();
    program.wait(DEADLINE).unwrap();
    session.pause();
    assert!(!session.rows().is_empty());
    // There is nobody left to attach to; that is said, not hung on.
    assert!(session.resume().is_err());
    drop(session);
    assert_eq!(descriptors(), before);
}
