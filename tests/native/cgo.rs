//! Stacks of C that was called from Go go on with the goroutine's: who called it is part of the answer.

use crate::programs::alone;
use crate::verdicts::tools;
use leakwatch::capture::lanes::native::Session;
use leakwatch_nativeproc::symbols::Symbols;
use leakwatch_test_support::process::Running;
use leakwatch_test_support::toolchains::newest_or_all;
use leakwatch_test_support::wait::wait_until;
use std::process::Command;
use std::time::Duration;

const DEADLINE: Duration = Duration::from_mins(3);

#[test]
fn the_stack_of_c_goes_on_with_the_goroutine_s() {
    let _alone = alone();
    for release in newest_or_all() {
        check(release);
    }
}

#[expect(clippy::unwrap_used, reason = "called by a test only")]
#[expect(clippy::print_stdout, reason = "the stack, for the person who runs the test")]
fn check(release: &str) {
    let directory = tempfile::tempdir().unwrap();
    let command = tools::cgo(release, directory.path()).unwrap();
    let program = Running::start(Command::new(&command[0]), &directory.path().join("output")).unwrap();
    wait_until(
        "sessions",
        DEADLINE,
        || Ok((!program.output().is_empty()).then_some(())),
    )
    .unwrap();
    let mut session = Session::start(program.pid(), 4096).unwrap();
    let mut symbols = Symbols::of_process(program.pid());
    let mut functions = |addresses: &[u64]| -> Vec<String> {
        let frames = addresses.iter().flat_map(|address| symbols.frames(*address).to_vec());
        frames.map(|frame| frame.function.to_string()).collect()
    };
    // The strings are small: it is a matter of chance when one of them is sampled.
    let (kept, freed) = wait_until("samples of both ways into C", DEADLINE, || {
        session.poll();
        let rows = session.rows();
        if session.counts().samples <= 500 {
            return Ok(None);
        }
        let mut stacks = rows.iter().map(|row| functions(&row.addresses));
        let kept = stacks.next();
        let freed = stacks.find(|stack| stack.iter().any(|frame| frame == "main._Cfunc_CString"));
        Ok(kept.zip(freed))
    })
    .unwrap();
    session.detach();
    println!("{release}: {}", kept.join(" < "));
    let wanted = [
        "remember",
        "runtime.asmcgocall",
        "runtime.cgocall",
        "main.login",
        "main.main",
        "runtime.main",
    ];
    let mut frames = kept.iter();
    let found = wanted
        .iter()
        .all(|wanted| frames.any(|frame| frame.starts_with(wanted)));
    assert!(found, "{kept:?}");
    assert!(freed.iter().any(|frame| frame == "main.login"), "{freed:?}");
    assert_eq!(session.losses(), []);
}
