//! Places for connections: as many as the daemon serves at once. Who only waits, has sent half a request or lies idle, makes room for who comes; who is
//! being answered does not.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use tokio::sync::Notify;

/// All places.
#[derive(Debug)]
pub(super) struct Places {
    most: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    number: u64,
    /// Oldest first.
    connections: BTreeMap<u64, Arc<Connection>>,
}

#[derive(Debug, Default)]
struct Connection {
    /// Answers under way.
    answers: AtomicUsize,
    leave: Notify,
}

/// The place of one connection, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    number: u64,
    connection: Arc<Connection>,
}

/// An answer under way, until its last byte is handed over.
#[derive(Debug)]
pub(super) struct Answering(Arc<Connection>);

impl Places {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            taken: Mutex::default(),
        })
    }

    /// A place; none while all connections are being answered.
    pub(super) fn take(self: &Arc<Self>) -> Option<Place> {
        let mut taken = self.lock();
        if taken.connections.len() >= self.most {
            let waits = |connection: &Connection| connection.answers.load(Ordering::Acquire) == 0;
            let oldest = taken.connections.iter().find(|(_, connection)| waits(connection));
            let number = oldest.map(|(number, _)| *number)?;
            if let Some(connection) = taken.connections.remove(&number) {
                connection.leave.notify_one();
            }
        }
        taken.number += 1;
        let (number, connection) = (taken.number, Arc::new(Connection::default()));
        taken.connections.insert(number, Arc::clone(&connection));
        drop(taken);
        Some(Place {
            places: Arc::clone(self),
            number,
            connection,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Until it has to make room.
    pub(super) async fn needed(&self) {
        self.connection.leave.notified().await;
    }

    /// A request is complete.
    pub(super) fn answer(&self) -> Answering {
        self.connection.answers.fetch_add(1, Ordering::AcqRel);
        Answering(Arc::clone(&self.connection))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.lock().connections.remove(&self.number);
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.answers.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_waits_makes_room_and_who_is_answered_does_not() {
        let places = Places::new(2);
        let (first, second) = (places.take().unwrap(), places.take().unwrap());
        let answering = first.answer();
        let third = places.take().unwrap();
        second.needed().await;
        let also = third.answer();
        assert!(places.take().is_none(), "both are being answered");
        drop(also);
        let fourth = places.take().unwrap();
        third.needed().await;
        drop((second, third, fourth));
        // What made room before gives nothing back a second time.
        let _busy = places.take().unwrap().answer();
        drop(answering);
        drop(first);
        assert_eq!(places.lock().connections.len(), 0);
    }
}
