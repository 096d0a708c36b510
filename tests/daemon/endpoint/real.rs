//! Real Go programs, found by themselves, also in another network namespace.

use crate::endpoint::harness::Collecting;
use crate::endpoint::harness::process;
use crate::endpoint::harness::rule;
use crate::endpoint::harness::serve;
use leakwatch::collect::endpoint::Asked;
use leakwatch::collect::endpoint::EndpointConfig;
use leakwatch::input::TakenProfile;
use leakwatch_analysis::diff::Diff;
use leakwatch_analysis::model::profile::ProfileType;
use leakwatch_analysis::model::profile::SampleType;
use leakwatch_analysis::model::reading::MissingReason;
use leakwatch_test_support::programs::Go;
use leakwatch_test_support::wait::wait_until;
use std::collections::BTreeMap;
use std::io::BufRead as _;
use std::io::BufReader;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| Go::on_path().build("profiled", &directory("plain")).unwrap());

fn directory(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("endpoint").join(name);
    std::fs::create_dir_all(&directory).unwrap();
    directory
}

/// A program that serves its profiles; killed with the test.
struct Service {
    child: Child,
    address: SocketAddr,
}

impl Service {
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        Self {
            child,
            address: line.trim().parse().unwrap(),
        }
    }

    fn listening_on(program: &Path, address: &str) -> Self {
        Self::start(Command::new(program).args(["-rate=4096", "-listen", address]))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// Bytes or goroutines by function, cumulative.
fn cumulative(taken: &TakenProfile) -> BTreeMap<String, i64> {
    let content = taken.profile.as_ref().unwrap();
    let sample_type = SampleType::default_of(taken.profile_type);
    let diff = Diff::new(&content.stacks, sample_type, [], &content.summary.values);
    let functions = diff.top(usize::MAX);
    functions
        .into_iter()
        .map(|function| (function.frame.function.to_string(), function.cum.delta))
        .collect()
}

fn assert_profiled(heap: &BTreeMap<String, i64>, goroutines: &BTreeMap<String, i64>) {
    // 4,000 of 5,000 buffers of 1 to 4 KiB are left.
    let cache = heap["main.fillCache"];
    assert!((8 << 20..16 << 20).contains(&cache), "{heap:?}");
    assert_eq!(goroutines["main.wait"], 10, "{goroutines:?}");
}

#[tokio::test]
async fn a_program_is_found_by_its_ports() {
    let program = PROGRAM.as_path();
    for listen in ["127.0.0.1:0", "[::1]:0", ":0"] {
        let service = Service::listening_on(program, listen);
        let mut watched = process(service.child.id(), "found");
        watched.goroutine_leak = true;
        watched.go_version = "go1.26.8".to_owned();
        let mut collecting = Collecting::start(EndpointConfig::new(vec![], true), vec![watched]);
        let heap = collecting.next(ProfileType::Heap).await.unwrap();
        assert_eq!((heap.process.pid, heap.target.as_str()), (service.child.id(), "found"));
        let goroutines = collecting.next(ProfileType::Goroutine).await.unwrap();
        assert_profiled(&cumulative(&heap), &cumulative(&goroutines));
        let leak = collecting.next(ProfileType::GoroutineLeak).await.unwrap_err();
        assert_eq!(leak.reason, MissingReason::Unsupported, "{leak:?}");
        assert!(leak.detail.contains("go1.26.8"), "{leak:?}");
    }
}

#[tokio::test]
async fn goroutines_that_the_runtime_proves_leaked_are_taken() {
    // The experiment of Go 1.26 that Go 1.27 has for everyone.
    let directory = directory("leak");
    let program = &Go::on_path()
        .build_experiment("profiled", "goroutineleakprofile", &directory)
        .unwrap();
    let service = Service::listening_on(program, "127.0.0.1:0");
    let mut watched = process(service.child.id(), "leaking");
    watched.goroutine_leak = true;
    watched.go_version = "go1.26.8 X:goroutineleakprofile".to_owned();
    let mut collecting = Collecting::start(EndpointConfig::new(vec![], true), vec![watched.clone()]);
    let leak = collecting.next(ProfileType::GoroutineLeak).await.unwrap();
    // Nothing else comes where nothing else is asked for.
    watched.asked = Asked::LeakedGoroutines;
    let mut alone = Collecting::start(EndpointConfig::new(vec![], true), vec![watched]);
    assert_eq!(alone.next_type().await, ProfileType::GoroutineLeak);
    let leaked = cumulative(&leak);
    assert_eq!(leaked.get("main.leak.func1"), Some(&1), "{leaked:?}");
    assert_eq!(leaked.get("main.wait"), None, "{leaked:?}");
}

/// The container case: the same loopback address means another server here than there.
#[tokio::test]
async fn a_program_in_another_network_namespace_is_asked_there() {
    let program = PROGRAM.as_path();
    let visits = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&visits);
    let decoy = serve(move |_stream| {
        count.fetch_add(1, Ordering::Relaxed);
        std::future::ready(())
    })
    .await;
    let own_namespace = std::fs::metadata("/proc/self/ns/net").unwrap().ino();
    // Every step replaces the one before, so that the child is the program.
    let mut command = Command::new("unshare");
    command
        .args(["-n", "sh", "-c", "ip link set lo up && exec \"$0\" \"$@\""])
        .arg(program);
    command.args(["-rate=4096", "-listen", &decoy.to_string()]);
    let service = Service::start(&mut command);
    assert_eq!(service.address, decoy);
    let namespace = std::fs::metadata(format!("/proc/{}/ns/net", service.child.id()))
        .unwrap()
        .ino();
    assert_ne!(namespace, own_namespace);
    for config in [
        EndpointConfig::new(vec![], true),
        EndpointConfig::new(vec![rule("elsewhere", decoy)], false),
    ] {
        let mut collecting = Collecting::start(config, vec![process(service.child.id(), "elsewhere")]);
        let heap = collecting.next(ProfileType::Heap).await.unwrap();
        let goroutines = collecting.next(ProfileType::Goroutine).await.unwrap();
        assert_profiled(&cumulative(&heap), &cumulative(&goroutines));
    }
    assert_eq!(visits.load(Ordering::Relaxed), 0, "nothing foreign was spoken to");
    // A connecting thread may just be ending.
    wait_until(
        "no thread to be left in the other namespace",
        Duration::from_mins(2),
        || {
            let mut tasks = std::fs::read_dir("/proc/self/task")?.filter_map(Result::ok);
            let at_home = tasks.all(|task| {
                std::fs::metadata(task.path().join("ns/net")).map_or(true, |link| link.ino() == own_namespace)
            });
            Ok(at_home.then_some(()))
        },
    )
    .unwrap();
}

#[tokio::test]
async fn another_process_is_never_asked() {
    let program = PROGRAM.as_path();
    let service = Service::listening_on(program, "127.0.0.1:0");
    let visits = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&visits);
    let foreign = serve(move |_stream| {
        count.fetch_add(1, Ordering::Relaxed);
        std::future::ready(())
    })
    .await;
    // A rule that names a server of this test for the Go program.
    let config = EndpointConfig::new(vec![rule("misled", foreign)], false);
    let mut collecting = Collecting::start(config, vec![process(service.child.id(), "misled")]);
    let missing = collecting.next(ProfileType::Heap).await.unwrap_err();
    assert_eq!(missing.reason, MissingReason::Failed, "{missing:?}");
    assert!(missing.detail.contains("does not listen on"), "{missing:?}");
    // A pid that was given to another process.
    let mut stale = process(std::process::id(), "stale");
    stale.process.start_ticks -= 1;
    let config = EndpointConfig::new(vec![rule("stale", foreign)], true);
    let mut collecting = Collecting::start(config, vec![stale]);
    let missing = collecting.next(ProfileType::Heap).await.unwrap_err();
    assert_eq!(missing.reason, MissingReason::Gone, "{missing:?}");
    assert_eq!(visits.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_program_that_moves_is_found_again_and_one_that_exits_is_gone() {
    let program = PROGRAM.as_path();
    let service = Service::listening_on(program, "127.0.0.1:0");
    let pid = service.child.id();
    let mut watched = process(pid, "exits");
    watched.urgency = leakwatch::collect::endpoint::Urgency::NearLimit;
    let mut collecting = Collecting::start(EndpointConfig::new(vec![], true), vec![watched]);
    collecting.next(ProfileType::Heap).await.unwrap();
    drop(service);
    let missing = collecting.next(ProfileType::Heap).await.unwrap_err();
    assert_eq!(missing.reason, MissingReason::Gone, "{missing:?}");
    // Now another process of the target is there instead.
    let next = Service::listening_on(program, "127.0.0.1:0");
    collecting
        .watched
        .send(vec![process(next.child.id(), "exits")])
        .unwrap();
    assert_eq!(
        collecting.next(ProfileType::Heap).await.unwrap().process.pid,
        next.child.id()
    );
}

#[tokio::test]
async fn without_rules_and_discovery_nothing_is_asked_and_the_fix_is_told() {
    let program = PROGRAM.as_path();
    let service = Service::listening_on(program, "127.0.0.1:0");
    let config = EndpointConfig::new(vec![], false);
    let mut collecting = Collecting::start(config, vec![process(service.child.id(), "unknown")]);
    for profile_type in [ProfileType::Heap, ProfileType::Goroutine] {
        let missing = collecting.next(profile_type).await.unwrap_err();
        assert_eq!(missing.reason, MissingReason::NotConfigured, "{missing:?}");
        assert!(missing.fix.is_some_and(|fix| fix.contains("discover_endpoints")));
    }
    // The configuration is loaded again, with what was missing: no process has to be new for that.
    collecting.configs.send(EndpointConfig::new(vec![], true)).unwrap();
    let heap = collecting.next(ProfileType::Heap).await.unwrap();
    assert_eq!(heap.process.pid, service.child.id());
}
