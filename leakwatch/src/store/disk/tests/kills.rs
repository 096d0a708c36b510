//! A process that writes is killed at random moments. Whoever watched it knows what it had acknowledged: all of it is there afterwards, and nothing else.

use super::*;
use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Write as _;
use std::process::Command;
use std::process::Stdio;

const DIRECTORY: &str = "LEAKWATCH_TEST_STORE";
const FROM: &str = "LEAKWATCH_TEST_FROM";
const SLOW: &str = "LEAKWATCH_SLOW_TESTS";

/// The process that is killed: takes in ticks for ever and acknowledges each.
#[test]
#[ignore = "the other test starts it"]
fn writes_until_it_is_killed() {
    let Ok(directory) = std::env::var(DIRECTORY) else {
        return;
    };
    let mut now: u64 = std::env::var(FROM).unwrap().parse().unwrap();
    let mut store = open(Path::new(&directory), now);
    let mut out = std::io::stdout();
    // Nobody lets it get there.
    while now < u64::MAX / 2 {
        now += STEP;
        store.apply(&tick(now, 3));
        writeln!(out, "\nack {now}").unwrap();
        out.flush().unwrap();
    }
}

#[test]
fn nothing_acknowledged_is_lost_when_the_writer_is_killed() {
    let is_slow = std::env::var(SLOW).is_ok_and(|value| value == "1");
    let rounds = if is_slow { 200 } else { 6 };
    let directory = tempfile::tempdir().unwrap();
    let mut state = 3;
    let mut acknowledged = BEGIN;
    let mut from = BEGIN;
    let mut written: Vec<(u64, u64)> = Vec::new();
    for round in 0..rounds {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--ignored",
                "--exact",
                "--nocapture",
                "store::disk::tests::kills::writes_until_it_is_killed",
            ])
            .env(DIRECTORY, directory.path())
            .env(FROM, from.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = random(&mut state, 400) + 1;
        let mut seen = 0;
        let mut reader = BufReader::new(child.stdout.take().unwrap());
        let mut take = |line: &str| {
            line.trim()
                .strip_prefix("ack ")
                .map(|now| acknowledged = now.parse().unwrap())
                .is_some()
        };
        let mut line = String::new();
        while seen < lines && reader.read_line(&mut line).unwrap() > 0 {
            seen += u64::from(take(&line));
            line.clear();
        }
        child.kill().unwrap();
        // What was acknowledged before it died counts too.
        while reader.read_line(&mut line).unwrap() > 0 {
            take(&line);
            line.clear();
        }
        child.wait().unwrap();
        written.push((from, acknowledged));
        let store = open(directory.path(), acknowledged);
        let status = history(&store).status();
        assert!(
            status.losses.is_empty(),
            "round {round}: {:?} {:?}",
            status.losses,
            status.notes
        );
        let found = samples(&store, 2, 0, u64::MAX / 1_000_000);
        let last = found.rows.last().map_or(0, |row| row.at);
        assert!(
            (acknowledged..=acknowledged + STEP).contains(&last),
            "round {round}: {last} {acknowledged}"
        );
        let expected: Vec<Row> = (1..=(last - BEGIN) / STEP).map(|n| row(2, BEGIN + n * STEP)).collect();
        assert_eq!(found.rows, expected, "round {round}");
        from = last;
    }
    assert_eq!(written.len(), rounds);
    println!(
        "FIGURE {rounds} kills, {} ticks acknowledged, all there",
        (acknowledged - BEGIN) / STEP
    );
}
