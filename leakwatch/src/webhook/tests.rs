//! A receiver that fails, hangs, goes away and comes back gets everything, in order, once; what is beyond the bounds is counted.

use super::*;
use crate::store::Bounds;
use crate::store::memory::Memory;
use crate::webhook::queue::MOST;
use crate::webhook::queue::MOST_BYTES;
use std::net::SocketAddr;
use tempfile::TempDir;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::net::TcpStream;

const DEADLINE: Duration = Duration::from_mins(2);

/// Impatient, so that every way to fail is gone through at once.
const PACE: Pace = Pace {
    answer: Duration::from_millis(300),
    first: Duration::from_millis(10),
    most: Duration::from_millis(50),
};

fn webhook(directory: &TempDir, address: SocketAddr, format: WebhookFormat) -> (Webhook, Views, mpsc::Receiver<Input>) {
    let (inputs, lost) = mpsc::channel(16);
    let config = WebhookConfig {
        url: Some(format!("http://{address}/hook?secret=1").parse().unwrap()),
        format,
    };
    let views = Views::default();
    let made = Webhook::new(
        &config,
        directory.path(),
        "node-1".to_owned(),
        views.clone(),
        Clock::start(),
        inputs,
    );
    let webhook = Webhook {
        pace: PACE,
        ..made.unwrap().unwrap()
    };
    (webhook, views, lost)
}

/// Reads a request to the end of its body: the first line, and the body.
async fn request(stream: &mut TcpStream) -> (String, Vec<u8>) {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                line.to_lowercase()
                    .strip_prefix("content-length: ")?
                    .parse::<usize>()
                    .ok()
            });
            if body.len() >= length.unwrap() {
                return (head.lines().next().unwrap().to_owned(), body.as_bytes().to_vec());
            }
        }
        assert!(stream.read_buf(&mut bytes).await.unwrap() > 0, "{text}");
    }
}

async fn answer(stream: &mut TcpStream, status: &str) {
    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
    stream.write_all(answer.as_bytes()).await.unwrap();
}

async fn next(listener: &TcpListener) -> TcpStream {
    timeout(DEADLINE, listener.accept()).await.unwrap().unwrap().0
}

#[tokio::test]
async fn a_receiver_that_fails_hangs_and_comes_back_gets_all_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (webhook, _views, _lost) = webhook(&directory, address, WebhookFormat::Json);
    for number in 0..3 {
        webhook.push(number.to_string().as_bytes()).await;
    }
    let webhook = tokio::spawn(webhook.run());

    // It fails.
    for _ in 0..2 {
        let mut stream = next(&listener).await;
        let (line, body) = request(&mut stream).await;
        assert_eq!(
            (line.as_str(), body.as_slice()),
            ("POST /hook?secret=1 HTTP/1.1", &b"0"[..])
        );
        answer(&mut stream, "500 Internal Server Error").await;
    }
    // It hangs: the next try comes while the answer is still owed.
    let mut hanging = next(&listener).await;
    assert_eq!(request(&mut hanging).await.1, b"0");
    let mut broken = next(&listener).await;
    assert_eq!(request(&mut broken).await.1, b"0");
    // It goes away in the middle, and for a while altogether.
    drop((broken, hanging, listener));
    let listener = loop {
        match TcpListener::bind(address).await {
            Ok(listener) => break listener,
            Err(_in_use) => tokio::task::yield_now().await,
        }
    };
    // It is back.
    for number in 0..3 {
        let body = loop {
            let mut stream = next(&listener).await;
            let (_, body) = request(&mut stream).await;
            answer(&mut stream, "200 OK").await;
            // The answer may have been lost with the connection that it belonged to.
            if number == 0 || body != (number - 1).to_string().as_bytes() {
                break body;
            }
        };
        assert_eq!(body, number.to_string().as_bytes());
    }
    webhook.abort();
}

#[tokio::test]
async fn what_is_refused_is_dropped_and_counted_and_the_next_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (webhook, _views, mut lost) = webhook(&directory, listener.local_addr().unwrap(), WebhookFormat::Json);
    webhook.push(b"bad").await;
    webhook.push(b"good").await;
    let webhook = tokio::spawn(webhook.run());
    let mut stream = next(&listener).await;
    assert_eq!(request(&mut stream).await.1, b"bad");
    answer(&mut stream, "400 Bad Request").await;
    let mut stream = next(&listener).await;
    assert_eq!(request(&mut stream).await.1, b"good");
    let loss = timeout(DEADLINE, lost.recv()).await.unwrap();
    assert!(
        matches!(&loss, Some(Input::Loss(loss)) if loss.reason == "webhook_refused"),
        "{loss:?}"
    );
    webhook.abort();
}

#[test]
fn the_queue_outlives_the_daemon_and_is_bounded() {
    let directory = tempfile::tempdir().unwrap();
    let mut queue = Queue::open(directory.path()).unwrap();
    let dropped: u64 = (0..MOST + 3)
        .map(|number| queue.push(number.to_string().as_bytes()).unwrap())
        .sum();
    assert_eq!(dropped, 3, "the oldest");
    assert_eq!(queue.push(&vec![b'x'; MOST_BYTES + 1]).unwrap(), 1, "too large");
    std::fs::write(directory.path().join("new"), "half").unwrap();
    std::fs::write(directory.path().join("other.txt"), "not ours").unwrap();

    let mut again = Queue::open(directory.path()).unwrap();
    let mut told = Vec::new();
    while let Some((number, body)) = again.front() {
        told.push(String::from_utf8(body).unwrap());
        again.remove(number);
    }
    let expected: Vec<String> = (3..MOST + 3).map(|number| number.to_string()).collect();
    assert_eq!(told, expected);
    assert_eq!(again.push(b"later").unwrap(), 0);
    let (number, _) = again.front().unwrap();
    assert_eq!(number, (MOST + 3) as u64, "numbers go on");
}

/// Lets readers know of another kill.
fn kill(memory: &mut Memory, views: &Views, pid: u32) {
    let kind = EventKind::OomKill {
        post_mortem: format!("oom-{pid}"),
        victim_pid: pid,
        victim_comm: "shop".to_owned(),
    };
    memory.push_event(Clock::start().now(), None, kind);
    views.publish(memory.view());
}

/// Of a muted target nothing is told; what is told next is that of another.
#[test]
fn what_is_muted_is_not_told() {
    let directory = tempfile::tempdir().unwrap();
    let (webhook, views, _lost) = webhook(&directory, "127.0.0.1:9".parse().unwrap(), WebhookFormat::Json);
    let mut memory = Memory::new(Bounds::default());
    kill(&mut memory, &views, 1);
    let view = views.newest();
    let event = view.events().next().unwrap();
    assert!(webhook.told(&view, event).is_some());
    let muted = Event {
        muted: true,
        ..event.clone()
    };
    assert!(webhook.told(&view, &muted).is_none());
}

/// From the kill to what the receiver reads, in both forms; what happened before it was started is not told.
#[tokio::test]
async fn a_kill_is_told_in_both_forms() {
    for format in WebhookFormat::ALL {
        let directory = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (webhook, views, _lost) = webhook(&directory, listener.local_addr().unwrap(), format);
        let mut memory = Memory::new(Bounds::default());
        kill(&mut memory, &views, 1);
        assert_eq!(views.newest().events().count(), 1);
        let webhook = tokio::spawn(webhook.run());
        // It has looked what was there before once it is asked again.
        tokio::task::yield_now().await;
        kill(&mut memory, &views, 2);
        let mut stream = next(&listener).await;
        let body = String::from_utf8(request(&mut stream).await.1).unwrap();
        let expected: &[&str] = match format {
            WebhookFormat::Json => &[
                r#""kind":"oom_kill""#,
                r#""pid":2"#,
                r#""host":"node-1""#,
                r#""version":1"#,
            ],
            WebhookFormat::Alertmanager => &[
                r#""alertname":"OomKill""#,
                r#""instance":"node-1""#,
                r#""summary":"the OOM killer killed shop (pid 2)""#,
                r#""startsAt":""#,
                r#""endsAt":""#,
            ],
        };
        for part in expected {
            assert!(body.contains(part), "{part} is not in {body}");
        }
        answer(&mut stream, "200 OK").await;
        webhook.abort();
    }
}
