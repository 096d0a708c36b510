//! Servers that hang, lie, flood and misdirect. Each must give its own reason in bounded time and memory.

use crate::endpoint::harness::Collecting;
use crate::endpoint::harness::DEADLINE;
use crate::endpoint::harness::process;
use crate::endpoint::harness::rule;
use crate::endpoint::harness::serve;
use flate2::Compression;
use flate2::write::GzEncoder;
use leakwatch::collect::endpoint::EndpointConfig;
use leakwatch_analysis::model::profile::ProfileType;
use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::reading::MissingReason;
use leakwatch_analysis::pprof;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;
use tokio::io::AsyncBufReadExt as _;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::io::BufReader;
use tokio::net::TcpStream;

const HEAP: &[u8] = include_bytes!("../../../fuzz/corpus/pprof/heap.pb.gz");
const GOROUTINE: &[u8] = include_bytes!("../../../fuzz/corpus/pprof/goroutine.pb.gz");

/// Long enough not to end what is no matter of time.
async fn ask(address: SocketAddr) -> Missing {
    ask_within(DEADLINE, address).await
}

async fn ask_within(total: Duration, address: SocketAddr) -> Missing {
    let mut config = EndpointConfig::new(vec![rule("hostile", address)], false);
    config.total_timeout = total;
    let mut collecting = Collecting::start(config, vec![process(std::process::id(), "hostile")]);
    collecting.next(ProfileType::Heap).await.unwrap_err()
}

/// Reads the request's head, so that the answer is not taken for one to nothing.
async fn request(stream: &mut TcpStream) -> Vec<String> {
    let mut lines = BufReader::new(stream).lines();
    let mut head = Vec::new();
    while let Ok(Some(line)) = lines.next_line().await {
        if line.is_empty() {
            break;
        }
        head.push(line);
    }
    head
}

/// Answers with these bytes and closes.
async fn answering(bytes: Vec<u8>) -> SocketAddr {
    let bytes = Arc::new(bytes);
    serve(move |mut stream| {
        let bytes = Arc::clone(&bytes);
        async move {
            request(&mut stream).await;
            // The collector may hang up first.
            let _sent = stream.write_all(&bytes).await;
        }
    })
    .await
}

fn ok(body: &[u8]) -> Vec<u8> {
    let mut answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
    answer.extend_from_slice(body);
    answer
}

fn head(head: &str) -> Vec<u8> {
    format!("HTTP/1.1 {head}\r\n\r\n").into_bytes()
}

/// 512 MiB in 512 KiB.
fn gzip_bomb() -> Vec<u8> {
    let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
    let block = vec![0; 1 << 20];
    for _ in 0..512 {
        bomb.write_all(&block).unwrap();
    }
    bomb.finish().unwrap()
}

#[tokio::test]
async fn every_wrong_answer_has_its_reason() {
    let many_headers = "X-Header: x\r\n".repeat(100_000);
    for (what, answer, reason, detail) in [
        ("nothing", vec![], MissingReason::Malformed, "connection closed"),
        (
            "noise",
            b"\xff\x00\x01 go away\r\n\r\n".to_vec(),
            MissingReason::Malformed,
            "invalid",
        ),
        (
            "another protocol",
            b"SSH-2.0-OpenSSH_9.9\r\n".to_vec(),
            MissingReason::Malformed,
            "invalid",
        ),
        (
            "garbage as profile",
            ok(b"garbage"),
            MissingReason::Malformed,
            "protobuf",
        ),
        (
            "a page",
            ok(b"<html><body>welcome</body></html>"),
            MissingReason::Malformed,
            "pro",
        ),
        ("an empty profile", ok(b""), MissingReason::Malformed, "string table"),
        (
            "half a profile",
            ok(&HEAP[..HEAP.len() / 2]),
            MissingReason::Malformed,
            "gzip",
        ),
        (
            "another profile",
            ok(GOROUTINE),
            MissingReason::Malformed,
            "no sample type alloc_objects but goroutine",
        ),
        (
            "a gzip bomb",
            ok(&gzip_bomb()),
            MissingReason::TooLarge,
            "decompressed bytes",
        ),
        (
            "less than announced",
            [head("200 OK\r\nContent-Length: 1000000"), HEAP.to_vec()].concat(),
            MissingReason::Malformed,
            "end of file",
        ),
        (
            "more than announced",
            ok_of_length(100, HEAP),
            MissingReason::Malformed,
            "gzip",
        ),
        (
            "1 TiB announced",
            head("200 OK\r\nContent-Length: 1099511627776"),
            MissingReason::TooLarge,
            "larger than",
        ),
        (
            "a length that is none",
            head("200 OK\r\nContent-Length: -5"),
            MissingReason::Malformed,
            "length",
        ),
        (
            "compressed twice",
            [
                head(&format!(
                    "200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}",
                    HEAP.len()
                )),
                HEAP.to_vec(),
            ]
            .concat(),
            MissingReason::Malformed,
            "content-encoded as gzip",
        ),
        (
            "too many headers",
            head(&format!("200 OK\r\n{many_headers}X: y")),
            MissingReason::Malformed,
            "",
        ),
        (
            "no such page",
            head("404 Not Found\r\nContent-Length: 0"),
            MissingReason::Unsupported,
            "404",
        ),
        (
            "no access",
            head("401 Unauthorized\r\nContent-Length: 0"),
            MissingReason::NotPermitted,
            "401",
        ),
        (
            "an error",
            head("500 Internal Server Error\r\nContent-Length: 0"),
            MissingReason::Failed,
            "500",
        ),
        (
            "another protocol from now on",
            head("101 Switching Protocols\r\nUpgrade: x"),
            MissingReason::Failed,
            "",
        ),
    ] {
        let missing = ask(answering(answer).await).await;
        assert_eq!(missing.reason, reason, "{what}: {missing:?}");
        assert!(missing.detail.contains(detail), "{what}: {missing:?}");
        assert!(missing.detail.contains("http://127.0.0.1:"), "{what}: {missing:?}");
    }
}

fn ok_of_length(length: usize, body: &[u8]) -> Vec<u8> {
    [head(&format!("200 OK\r\nContent-Length: {length}")), body.to_vec()].concat()
}

#[tokio::test]
async fn silence_and_slowness_end_in_a_timeout() {
    let silent = serve(|stream| async move {
        let _held = stream;
        std::future::pending::<()>().await;
    });
    let slow_head = serve(|mut stream| async move {
        request(&mut stream).await;
        let mut ticks = tokio::time::interval(Duration::from_millis(50));
        for byte in b"HTTP/1.1 200 OK\r\nX-Slow: ".iter().chain(std::iter::repeat(&b'x')) {
            ticks.tick().await;
            if stream.write_all(&[*byte]).await.is_err() {
                return;
            }
        }
    });
    let slow_body = serve(|mut stream| async move {
        request(&mut stream).await;
        let _sent = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
        let mut ticks = tokio::time::interval(Duration::from_millis(50));
        while stream.write_all(b"x").await.is_ok() {
            ticks.tick().await;
        }
    });
    let never_final = serve(|mut stream| async move {
        request(&mut stream).await;
        let mut ticks = tokio::time::interval(Duration::from_millis(1));
        while stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.is_ok() {
            ticks.tick().await;
        }
    });
    // The kernel completes the connection; nobody ever accepts it.
    let deaf = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let deaf_at = deaf.local_addr().unwrap();
    for address in [
        silent.await,
        slow_head.await,
        slow_body.await,
        never_final.await,
        deaf_at,
    ] {
        let missing = ask_within(Duration::from_secs(3), address).await;
        assert_eq!(missing.reason, MissingReason::Timeout, "{missing:?}");
        assert!(missing.detail.contains("within 3s"), "{missing:?}");
    }
}

#[tokio::test]
async fn a_flood_is_cut_off_at_the_bound() {
    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    let address = serve(move |mut stream| {
        let count = Arc::clone(&count);
        async move {
            request(&mut stream).await;
            let _sent = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
            let block = vec![0x1f; 1 << 20];
            for _ in 0..1024 {
                if stream.write_all(&block).await.is_err() {
                    return;
                }
                count.fetch_add(block.len(), Ordering::Relaxed);
            }
        }
    })
    .await;
    let missing = ask(address).await;
    assert_eq!(missing.reason, MissingReason::TooLarge, "{missing:?}");
    // 16 MiB, and what the kernel buffers on both sides.
    let sent = sent.load(Ordering::Relaxed);
    assert!(sent < 64 << 20, "{sent} bytes of 1 GiB were taken");
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let visits = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&visits);
    let other = serve(move |_stream| {
        count.fetch_add(1, Ordering::Relaxed);
        std::future::ready(())
    })
    .await;
    for status in ["301 Moved Permanently", "302 Found", "307 Temporary Redirect"] {
        let redirect = head(&format!(
            "{status}\r\nLocation: http://{other}/\u{9b}31m\r\nContent-Length: 0"
        ));
        let missing = ask(answering(redirect).await).await;
        assert_eq!(missing.reason, MissingReason::Failed, "{missing:?}");
        assert!(missing.detail.contains(&format!("to http://{other}/")), "{missing:?}");
        assert!(missing.detail.is_ascii(), "{missing:?}");
    }
    assert_eq!(visits.load(Ordering::Relaxed), 0);
}

/// Only plain GETs of three paths, one at a time, and the place is kept while it answers.
#[tokio::test]
async fn nothing_but_the_three_profiles_is_asked_for() {
    let (log, mut requests) = tokio::sync::mpsc::channel(64);
    let busy = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&most);
    let address = serve(move |mut stream| {
        let (log, busy, most) = (log.clone(), Arc::clone(&busy), Arc::clone(&seen));
        async move {
            let head = request(&mut stream).await;
            most.fetch_max(busy.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            let line = head.first().cloned().unwrap_or_default();
            let answer = match line.as_str() {
                "GET /debug/pprof/heap HTTP/1.1" => ok(HEAP),
                "GET /debug/pprof/goroutine HTTP/1.1" => ok(GOROUTINE),
                _ => self::head("404 Not Found\r\nContent-Length: 0"),
            };
            let _sent = stream.write_all(&answer).await;
            busy.fetch_sub(1, Ordering::SeqCst);
            log.send((line, head)).await.unwrap();
            // Until the collector hangs up.
            let _rest = stream.read_u8().await;
        }
    })
    .await;
    let mut watched = process(std::process::id(), "asked");
    watched.goroutine_leak = true;
    watched.urgency = leakwatch::collect::endpoint::Urgency::NearLimit;
    let config = EndpointConfig::new(vec![rule("asked", address)], false);
    let started = Instant::now();
    let mut collecting = Collecting::start(config, vec![watched]);
    let missing = collecting.next(ProfileType::GoroutineLeak).await.unwrap_err();
    assert_eq!(missing.reason, MissingReason::Unsupported, "{missing:?}");
    let heap = collecting.next(ProfileType::Heap).await.unwrap();
    assert_eq!(heap.profile, pprof::recorded(HEAP, ProfileType::Heap));
    assert!(
        started.elapsed() >= Duration::from_secs(5),
        "near its limit: every 5 s, not faster"
    );
    let goroutines = collecting.next(ProfileType::Goroutine).await.unwrap();
    assert_eq!(goroutines.profile, pprof::recorded(GOROUTINE, ProfileType::Goroutine));
    let mut lines = Vec::new();
    while let Ok((line, head)) = requests.try_recv() {
        assert!(
            head.iter()
                .any(|header| header.eq_ignore_ascii_case(&format!("host: {address}"))),
            "{head:?}"
        );
        lines.push(line);
    }
    let get = |name: &str| format!("GET /debug/pprof/{name} HTTP/1.1");
    assert_eq!(
        lines,
        [
            get("heap"),
            get("goroutine"),
            get("goroutineleak"),
            get("heap"),
            get("goroutine")
        ]
    );
    assert_eq!(most.load(Ordering::SeqCst), 1);
}
