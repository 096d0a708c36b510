//! The other classes: goroutine leaks, limits that are too small, kills in a row, several suspects, late leaks, missing profiles.

use super::MIB;
use super::Outcome;
use super::Setup;
use super::frame;
use super::process::GoroutineSite;
use super::process::HeapSite;
use super::process::Program;
use super::programs::Score;
use super::programs::blocked;
use super::programs::names;
use super::programs::program;
use super::programs::site;
use super::programs::steady;
use super::programs::tell;
use super::programs::with;
use super::run;
use crate::detect::go_heap_leak;
use crate::detect::goroutine_leak;
use crate::detect::growing;
use crate::detect::tmpfs;
use crate::detect::undersized_limit;
use crate::model::stack::Frame;
use crate::model::verdict::VerdictClass;

fn ends_as(score: &mut Score, outcome: &Outcome, class: VerdictClass, label: &str) {
    score.add(outcome.last().class == class, || format!("{label}:{}", tell(outcome)));
}

fn grows_in(score: &mut Score, outcome: &Outcome, leak: VerdictClass, label: &str) {
    score.add(names(outcome.last(), leak), || format!("{label}:{}", tell(outcome)));
}

fn culprit_of(outcome: &Outcome) -> String {
    let culprit = outcome.last().culprit.as_ref();
    culprit.map_or_else(|| "none".to_owned(), |culprit| culprit.frame.function.to_string())
}

#[test]
fn goroutines_that_pile_up() {
    let mut class = Score::new("goroutine leak");
    let mut place = Score::new("goroutine culprit");
    for seed in 0..3 {
        for per_second in [0.5, 5.0, 100.0] {
            for bytes_each in [0.0, 8192.0, 65_536.0] {
                for size in [12.0 * MIB, 200.0 * MIB] {
                    let leaked = move |t: f64| per_second * (t - 5.0).max(0.0);
                    let sites = if bytes_each > 0.0 {
                        let mut held = site("main.startWorker.func1", bytes_each, 0.0, move |t| {
                            leaked(t).floor() * bytes_each
                        });
                        held.stack.truncate(2);
                        held.stack.push(frame("runtime.goexit", 1));
                        with(steady(size), held)
                    } else {
                        steady(size)
                    };
                    let mut program = program(sites, size / 20.0);
                    program.goroutines.push(GoroutineSite {
                        stack: blocked("main.startWorker.func1"),
                        count: Box::new(move |t| leaked(t).floor()),
                    });
                    let outcome = run(&program, &Setup::new(Some(8192.0 * MIB), 240.0, seed));
                    let label = format!("{per_second}/s {bytes_each} B each {} MiB", size / MIB);
                    grows_in(&mut class, &outcome, goroutine_leak::CLASS, &label);
                    place.add(culprit_of(&outcome) == "main.startWorker.func1", || {
                        culprit_of(&outcome)
                    });
                }
            }
        }
    }
    class.report(0.96);
    place.report(0.96);
}

#[test]
fn limits_that_are_too_small() {
    let mut class = Score::new("undersized limit, looping");
    let mut plateau = Score::new("undersized limit, plateau");
    let mut never = Score::new("undersized: never a leak");
    let mut enough = Score::new("recommended limit suffices");
    let mut post_mortem = Score::new("undersized post-mortem no leak");
    for seed in 0..3 {
        for size in [12.0 * MIB, 60.0 * MIB, 700.0 * MIB] {
            for ramp in [8.0, 30.0] {
                // Twice the live heap does not fit, so every life ends at the same level.
                let build = || Program {
                    loads: Some(("main.loadIndex", ramp)),
                    ..program(
                        with(
                            steady(size * 0.3),
                            site("main.loadIndex", 4096.0, 0.0, move |t| size * 0.7 * (t / ramp).min(1.0)),
                        ),
                        size / 5.0,
                    )
                };
                let mut setup = Setup::new(Some(size * 1.6 + 6.0 * MIB), 400.0, seed);
                setup.restart_after_kill = true;
                let outcome = run(&build(), &setup);
                let label = format!("{} MiB ramp {ramp}", size / MIB);
                ends_as(&mut class, &outcome, undersized_limit::CLASS, &label);
                let alarm = outcome.first(|verdict| verdict.class.is_leak());
                never.add(alarm.is_none(), || format!("{label}:{}", tell(&outcome)));
                let alarm = outcome.post_mortems.iter().any(|verdict| verdict.class.is_leak());
                post_mortem.add(!alarm, || label.clone());
                if let Some(limit) = outcome.last().recommended_limit {
                    enough.add(
                        limit.as_f64() >= size * 2.0 + 6.0 * MIB && limit.as_f64() < size * 3.5 + 40.0 * MIB,
                        || format!("{label} {limit}"),
                    );
                }
                // GOMEMLIMIT keeps it alive just below the limit.
                let mut tight = build();
                tight.memory_limit = Some(size * 1.5);
                let outcome = run(&tight, &Setup::new(Some(size * 1.6 + 6.5 * MIB), 240.0, seed));
                ends_as(&mut plateau, &outcome, undersized_limit::CLASS, &label);
                let alarm = outcome.first(|verdict| verdict.class.is_leak());
                never.add(alarm.is_none(), || format!("{label} plateau:{}", tell(&outcome)));
            }
        }
    }
    class.report(0.94);
    plateau.report(0.94);
    never.report(1.0);
    post_mortem.report(1.0);
    enough.report(0.94);
}

/// A leak that is killed again and again stays a leak, whatever the last life looks like.
#[test]
fn leaks_that_are_killed_in_a_row() {
    let mut class = Score::new("looping leak at death");
    let mut never = Score::new("looping leak not undersized");
    let mut post_mortem = [
        Score::new("post-mortem of life 1"),
        Score::new("post-mortem of life 2"),
        Score::new("post-mortem of life 3"),
        Score::new("post-mortem later"),
    ];
    for seed in 0..3 {
        for (rate, limit) in [
            (2.0 * MIB, 256.0 * MIB),
            (15.0 * MIB, 1024.0 * MIB),
            (0.3 * MIB, 64.0 * MIB),
            (30.0 * MIB, 512.0 * MIB),
        ] {
            let sites = with(steady(limit * 0.1), site("main.leak", 2000.0, 0.0, move |t| rate * t));
            let mut setup = Setup::new(Some(limit), 700.0, seed);
            setup.restart_after_kill = true;
            let outcome = run(&program(sites, rate * 3.0), &setup);
            let label = format!("{} MiB/s in {} MiB", rate / MIB, limit / MIB);
            grows_in(&mut class, &outcome, go_heap_leak::CLASS, &label);
            let wrong = outcome.first(|verdict| verdict.class == undersized_limit::CLASS);
            never.add(wrong.is_none(), || format!("{label}:{}", tell(&outcome)));
            let told = outcome.post_mortems.iter();
            for (life, found) in told.enumerate().filter(|(life, _)| [0, 1, 2, 3, 6].contains(life)) {
                if let Some(score) = post_mortem.get_mut(life.min(3)) {
                    score.add(names(found, go_heap_leak::CLASS), || {
                        format!("{label} life {life} {:?}", found.class)
                    });
                }
            }
        }
    }
    for score in post_mortem {
        score.report(0.0);
    }
    class.report(0.5);
    never.report(0.75);
}

#[test]
fn suspects_and_late_leaks() {
    let mut several = Score::new("largest suspect first");
    let mut late = Score::new("late leak found");
    let mut small = Score::new("small objects, big buffer");
    let mut bursty = Score::new("bursty leak found");
    for seed in 0..4 {
        let sites = with(
            with(
                with(steady(80.0 * MIB), site("main.first", 300.0, 0.0, |t| 1.2 * MIB * t)),
                site("main.second", 5000.0, 0.0, |t| 0.5 * MIB * t),
            ),
            site("main.third", 64.0, 0.0, |t| 0.2 * MIB * t),
        );
        let outcome = run(&program(sites, 4.0 * MIB), &Setup::new(Some(1024.0 * MIB), 180.0, seed));
        several.add(
            culprit_of(&outcome) == "main.first" && outcome.last().evidence.len() >= 4,
            || tell(&outcome),
        );
        for since in [150.0, 600.0, 1500.0] {
            let sites = with(
                steady(80.0 * MIB),
                site("main.late", 700.0, 0.0, move |t| MIB * (t - since).max(0.0)),
            );
            let outcome = run(
                &program(sites, 8.0 * MIB),
                &Setup::new(Some(2048.0 * MIB), since + 240.0, seed),
            );
            late.add(
                names(outcome.last(), go_heap_leak::CLASS)
                    && outcome
                        .first(|verdict| names(verdict, go_heap_leak::CLASS))
                        .is_some_and(|at| at > since),
                || format!("since {since}:{}", tell(&outcome)),
            );
        }
        let sites = vec![
            site(
                "main.bigBuffer",
                4.0 * MIB,
                0.0,
                |t| if t > 0.5 { 64.0 * MIB } else { 0.0 },
            ),
            site("main.tiny", 64.0, 0.0, |t| 100.0 * 1024.0 * t),
        ];
        let outcome = run(&program(sites, 10.0 * MIB), &Setup::new(Some(512.0 * MIB), 420.0, seed));
        small.add(
            names(outcome.last(), go_heap_leak::CLASS) && culprit_of(&outcome) == "main.tiny",
            || tell(&outcome),
        );
        // Leaks only in the first 10 of every 30 seconds.
        let sites = with(
            steady(60.0 * MIB),
            site("main.burst", 3000.0, 0.0, |t| {
                2.0 * MIB * ((t / 30.0).floor() * 10.0 + (t % 30.0).min(10.0))
            }),
        );
        let outcome = run(&program(sites, 5.0 * MIB), &Setup::new(Some(1024.0 * MIB), 300.0, seed));
        grows_in(&mut bursty, &outcome, go_heap_leak::CLASS, "bursty");
    }
    several.report(1.0);
    late.report(0.9);
    small.report(1.0);
    bursty.report(1.0);
}

#[test]
fn growth_that_is_not_in_the_heap_is_not_called_a_heap_leak() {
    let mut outside = Score::new("growth outside the heap");
    let mut blind = Score::new("growth without profiles");
    for seed in 0..3 {
        for rate in [0.3 * MIB, 3.0 * MIB] {
            let mut native = program(steady(60.0 * MIB), 10.0 * MIB);
            native.outside = Box::new(move |t| 6.0 * MIB + rate * t);
            let outcome = run(&native, &Setup::new(Some(4096.0 * MIB), 300.0, seed));
            ends_as(&mut outside, &outcome, growing::CLASS, "outside");
            let mut setup = Setup::new(Some(4096.0 * MIB), 300.0, seed);
            setup.profile_interval = None;
            let sites = with(steady(60.0 * MIB), site("main.leak", 700.0, 0.0, move |t| rate * t));
            let outcome = run(&program(sites, 10.0 * MIB), &setup);
            let last = outcome.last();
            blind.add(
                last.class == growing::CLASS
                    && last
                        .missing
                        .iter()
                        .any(|(name, missing)| *name == "heap_profile" && missing.fix.is_some())
                    && last.growth_bytes_per_second.is_some_and(|growth| growth > rate / 2.0)
                    && last.time_to_limit.is_some(),
                || tell(&outcome),
            );
        }
    }
    outside.report(1.0);
    blind.report(1.0);
}

#[test]
fn a_bounded_program_by_steady_traffic_never_needs_a_limit() {
    let mut fine = Score::new("roomy limit not undersized");
    for seed in 0..3 {
        for part in [2.6, 4.0, 10.0] {
            let size = 60.0 * MIB;
            let outcome = run(
                &program(steady(size), size / 5.0),
                &Setup::new(Some(size * part), 300.0, seed),
            );
            let wrong = outcome.first(|verdict| verdict.class == undersized_limit::CLASS);
            fine.add(wrong.is_none(), || format!("x{part}:{}", tell(&outcome)));
        }
    }
    fine.report(1.0);
}

#[test]
fn files_in_a_tmpfs_are_told_from_heap() {
    let mut named = Score::new("tmpfs that fills is named");
    for seed in 0..3 {
        for rate in [0.1 * MIB, 2.0 * MIB] {
            let mut filling = program(steady(60.0 * MIB), 8.0 * MIB);
            filling.shared = Box::new(move |t| rate * t);
            let outcome = run(&filling, &Setup::new(Some(4096.0 * MIB), 300.0, seed));
            let last = outcome.last();
            let told = last.class == tmpfs::CLASS && last.summary.starts_with("Shared memory (tmpfs) grows");
            named.add(
                told && outcome.verdicts.iter().all(|(_, verdict)| !verdict.class.is_leak()),
                || tell(&outcome),
            );
        }
    }
    named.report(1.0);
}

fn library_frame(function: &str, file: &str) -> Frame {
    Frame {
        function: function.into(),
        file: format!("/root/go/pkg/mod/{file}").into(),
        line: 9,
    }
}

/// A client of a library that is made for each request and never closed: its goroutines have no code of the program's own in them.
#[test]
fn goroutines_of_a_library_are_told_with_who_makes_what_they_belong_to() {
    let transport = "google.golang.org/grpc@v1.60.0/internal/transport/http2_client.go";
    for (bytes, expected) in [(2_000.0, goroutine_leak::CLASS), (100_000.0, go_heap_leak::CLASS)] {
        let mut leaking = program(steady(40.0 * MIB), 8.0 * MIB);
        leaking.goroutines.push(GoroutineSite {
            stack: vec![
                frame("runtime.gopark", 1),
                frame("runtime.selectgo", 2),
                library_frame(
                    "google.golang.org/grpc/internal/transport.(*controlBuffer).get",
                    transport,
                ),
                library_frame(
                    "google.golang.org/grpc/internal/transport.(*loopyWriter).run",
                    transport,
                ),
                frame("runtime.goexit", 1),
            ],
            count: Box::new(|t| (20.0 * t).floor()),
        });
        leaking.heap.push(HeapSite {
            stack: vec![
                library_frame("google.golang.org/grpc/internal/transport.newHTTP2Client", transport),
                library_frame(
                    "google.golang.org/grpc.NewClient",
                    "google.golang.org/grpc@v1.60.0/clientconn.go",
                ),
                frame("main.dial", 42),
                frame("main.handle", 7),
                frame("runtime.goexit", 1),
            ],
            // More objects than are made for a goroutine alone, or one.
            object_size: if bytes > 10_000.0 { bytes / 20.0 } else { bytes },
            turnover: 0.0,
            live: Box::new(move |t| 20.0 * t * bytes),
        });
        let outcome = run(&leaking, &Setup::new(Some(4096.0 * MIB), 240.0, 3));
        let last = outcome.last();
        assert!(names(last, expected), "{bytes}: {}", tell(&outcome));
        let first = &last.advice[0];
        for word in ["main.dial (main.go:42)", "google.golang.org/grpc.NewClient", "close"] {
            assert!(first.contains(word), "{bytes}: {first}");
        }
    }
}
