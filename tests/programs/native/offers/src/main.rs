//! Answers every request with the offers of one seller, about 3 kB of JSON, and keeps the last few thousand answers: a service whose
//! memory is steady and which allocates some dozen times for a request, on the allocator of the system.

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use serde::Serialize;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use tokio::net::TcpListener;

const OFFERS: usize = 24;
const ANSWERS_KEPT: usize = 4096;

#[derive(Serialize)]
struct Offer {
    article: String,
    seller: String,
    description: String,
    price_cents: usize,
}

#[derive(Default)]
struct Shop {
    requests: AtomicUsize,
    answers: Mutex<VecDeque<Arc<str>>>,
}

impl Shop {
    fn offers(&self, seller: usize) -> Vec<Offer> {
        let offer = |number| Offer {
            article: format!("article {}", seller * OFFERS + number),
            seller: format!("seller {seller}"),
            description: "in stock, sent today, ".repeat(1 + number % 4),
            price_cents: 99 + seller * 31 % 10_000 + number,
        };
        (0..OFFERS).map(offer).collect()
    }

    fn keep(&self, answer: Arc<str>) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if answers.len() >= ANSWERS_KEPT {
            answers.pop_front();
        }
        answers.push_back(answer);
    }
}

async fn answer(State(shop): State<Arc<Shop>>) -> impl IntoResponse {
    let seller = shop.requests.fetch_add(1, Ordering::Relaxed);
    let body = serde_json::to_string(&shop.offers(seller)).unwrap_or_default();
    shop.keep(body.as_str().into());
    ([(CONTENT_TYPE, "application/json")], body)
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("ready {}", listener.local_addr()?);
    let routes = Router::new().route("/", get(answer)).with_state(Arc::default());
    axum::serve(listener, routes).await
}
