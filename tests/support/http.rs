//! Requests to a daemon on loopback.

use anyhow::Context as _;
use anyhow::Result;
use serde_json::Value;
use std::net::TcpListener;
use std::time::Duration;
use ureq::Agent;

/// Profiles of many thousand goroutines are larger than the library's default bound of 10 MiB.
const MAX_BODY: u64 = 256 << 20;

/// A client for one base address (`http://127.0.0.1:7411`).
#[derive(Debug)]
pub struct Client {
    agent: Agent,
    base: String,
}

/// Status, content type and body.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// `Content-Type`, empty when absent.
    pub content_type: String,
    /// The body.
    pub body: Vec<u8>,
}

impl Client {
    /// A client; nothing is connected yet.
    pub fn new(base: impl Into<String>) -> Self {
        let config = Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(30)))
            .http_status_as_error(false)
            .build();
        Self {
            agent: config.into(),
            base: base.into(),
        }
    }

    /// `GET`, whatever the status.
    pub fn get(&self, path: &str) -> Result<Answer> {
        let url = format!("{}{path}", self.base);
        let mut response = self.agent.get(&url).call().with_context(|| format!("GET {url}"))?;
        let content_type = response.headers().get("content-type");
        Ok(Answer {
            status: response.status().as_u16(),
            content_type: content_type
                .and_then(|value| value.to_str().ok())
                .unwrap_or("")
                .to_owned(),
            body: response.body_mut().with_config().limit(MAX_BODY).read_to_vec()?,
        })
    }

    /// `GET` that must succeed: the body.
    pub fn bytes(&self, path: &str) -> Result<Vec<u8>> {
        let answer = self.get(path)?;
        anyhow::ensure!(
            answer.status == 200,
            "GET {path}: {}: {}",
            answer.status,
            String::from_utf8_lossy(&answer.body)
        );
        Ok(answer.body)
    }

    /// `GET` of JSON that must succeed.
    pub fn json(&self, path: &str) -> Result<Value> {
        serde_json::from_slice(&self.bytes(path)?).with_context(|| format!("GET {path}: not JSON"))
    }

    /// `POST` of JSON: status and body.
    pub fn post(&self, path: &str, body: &Value) -> Result<Answer> {
        let url = format!("{}{path}", self.base);
        let request = self.agent.post(&url).content_type("application/json");
        let mut response = request.send(body.to_string()).with_context(|| format!("POST {url}"))?;
        Ok(Answer {
            status: response.status().as_u16(),
            content_type: String::new(),
            body: response.body_mut().read_to_vec()?,
        })
    }

    /// The address given at the start.
    pub fn base(&self) -> &str {
        &self.base
    }
}

/// A loopback port that was free a moment ago.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
