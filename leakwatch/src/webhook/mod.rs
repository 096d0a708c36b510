//! Tells a receiver of claimed leaks and OOM kills. What is to be told waits on disk, bounded, until the receiver has taken it: it may fail, hang and come
//! back, and the daemon may be started again meanwhile. Nothing here holds up the engine or its readers.

mod post;
mod queue;

use crate::clock::Clock;
use crate::config::WebhookConfig;
use crate::config::WebhookFormat;
use crate::dto::notification;
use crate::input::Input;
use crate::store::event::Event;
use crate::store::event::EventKind;
use crate::store::view::View;
use crate::store::view::Views;
use crate::webhook::post::Answer;
use crate::webhook::post::Receiver;
use crate::webhook::queue::Queue;
use leakwatch_analysis::model::event::Loss;
use std::io;
use std::path::Path;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio::time::timeout;

/// Time between two looks for events.
const PERIOD: Duration = Duration::from_secs(1);

/// How patient it is.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// With one answer.
    answer: Duration,
    /// Before the second try; each later one waits twice as long as the one before.
    first: Duration,
    /// At most.
    most: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            answer: Duration::from_secs(10),
            first: Duration::from_secs(1),
            most: Duration::from_mins(5),
        }
    }
}

/// Tells the receiver.
#[derive(Debug)]
pub(crate) struct Webhook {
    receiver: Receiver,
    format: WebhookFormat,
    host: String,
    views: Views,
    clock: Clock,
    inputs: mpsc::Sender<Input>,
    queue: Mutex<Queue>,
    /// Something is in the queue that was empty.
    filled: Notify,
    pace: Pace,
}

impl Webhook {
    /// None where no receiver is configured. The queue is in the state directory.
    pub(crate) fn new(
        config: &WebhookConfig,
        state_dir: &Path,
        host: String,
        views: Views,
        clock: Clock,
        inputs: mpsc::Sender<Input>,
    ) -> io::Result<Option<Self>> {
        let Some(url) = &config.url else {
            return Ok(None);
        };
        Ok(Some(Self {
            receiver: Receiver::new(url.clone()),
            format: config.format,
            host,
            views,
            clock,
            inputs,
            queue: Mutex::new(Queue::open(&state_dir.join("webhook"))?),
            filled: Notify::new(),
            pace: Pace::default(),
        }))
    }

    /// Runs until the engine is gone.
    pub(crate) async fn run(self) {
        tokio::select! {
            () = self.collect() => {}
            () = self.deliver() => {}
        }
    }

    /// Queues what happens from now on.
    async fn collect(&self) {
        let newest = |view: &View| view.events().next_back().map(|event| event.id);
        let mut seen = newest(&self.views.newest()).unwrap_or(0);
        while !self.inputs.is_closed() {
            sleep(PERIOD).await;
            let view = self.views.newest();
            let new: Vec<&Event> = view.events().rev().take_while(|event| event.id > seen).collect();
            for event in new.into_iter().rev() {
                if let Some(body) = self.told(&view, event) {
                    self.push(&body).await;
                }
            }
            seen = newest(&view).unwrap_or(seen);
        }
    }

    /// The body that tells of an event, if it is one to tell of.
    fn told(&self, view: &View, event: &Event) -> Option<Vec<u8>> {
        if event.muted {
            return None;
        }
        let is_told = match &event.kind {
            EventKind::OomKill { .. } => true,
            EventKind::VerdictChange { to, .. } => to.is_leak(),
            _ => false,
        };
        is_told.then(|| match self.format {
            WebhookFormat::Json => notification::json(view, event, &self.host),
            WebhookFormat::Alertmanager => notification::alertmanager(view, event, &self.host),
        })
    }

    async fn push(&self, body: &[u8]) {
        let pushed = self.queue().push(body);
        self.filled.notify_one();
        match pushed {
            Ok(0) => {}
            Ok(dropped) => self.lose("webhook_queue_full", dropped).await,
            Err(error) => {
                tracing::warn!(%error, "a notification could not be queued");
                self.lose("webhook_queue_unwritable", 1).await;
            }
        }
    }

    /// Hands the oldest over until it is taken, then the next.
    async fn deliver(&self) {
        let mut delay = self.pace.first;
        while !self.inputs.is_closed() {
            let front = self.queue().front();
            let Some((number, body)) = front else {
                self.filled.notified().await;
                continue;
            };
            let answer = timeout(self.pace.answer, self.receiver.post(body)).await;
            match answer.unwrap_or_else(|_elapsed| Answer::Failed("no answer in time".to_owned())) {
                Answer::Taken => {
                    self.queue().remove(number);
                    delay = self.pace.first;
                }
                Answer::Refused(status) => {
                    tracing::warn!(receiver = %self.receiver, %status, "a notification was refused and is dropped");
                    self.queue().remove(number);
                    self.lose("webhook_refused", 1).await;
                }
                Answer::Failed(why) => {
                    tracing::warn!(receiver = %self.receiver, why, "a notification was not taken, it is tried again");
                    // Many daemons have the same receiver: they do not all come back at once.
                    sleep(delay.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
                    delay = (delay * 2).min(self.pace.most);
                }
            }
        }
    }

    fn queue(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn lose(&self, reason: &'static str, count: u64) {
        let loss = Loss {
            at: self.clock.now(),
            reason: reason.into(),
            count,
        };
        // The engine is gone: nobody is there to be told.
        drop(self.inputs.send(Input::Loss(loss)).await);
    }
}

#[cfg(test)]
mod tests;
