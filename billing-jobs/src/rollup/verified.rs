//! Segments in memory, each held against its digest when it was read, so that the id-hours beside each other in a segment
//! and the two passes over each don't read it again.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use datafusion::execution::memory_pool::MemoryReservation;
use segments::{ReadError, Segment, read_bytes};
use store::Store;

#[derive(Debug)]
pub(super) struct Verified {
    store: Store,
    kept: Mutex<Kept>,
}

#[derive(Debug)]
struct Kept {
    /// The latest used last.
    segments: VecDeque<(String, Bytes)>,
    limit_bytes: usize,
    reservation: MemoryReservation,
}

impl Verified {
    /// Keeps at most `limit_bytes`, and less while the pool has less.
    pub(super) fn new(store: Store, limit_bytes: usize, reservation: MemoryReservation) -> Self {
        Self { store, kept: Mutex::new(Kept { segments: VecDeque::new(), limit_bytes, reservation }) }
    }

    pub(super) async fn read(&self, segment: &Segment) -> Result<Bytes, ReadError> {
        if let Some(bytes) = self.kept(|kept| kept.find(&segment.path)) {
            return Ok(bytes);
        }
        let bytes = read_bytes(&self.store, segment).await?;
        self.kept(|kept| kept.keep(&segment.path, &bytes));
        Ok(bytes)
    }

    fn kept<T>(&self, with: impl FnOnce(&mut Kept) -> T) -> T {
        with(&mut self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Kept {
    fn find(&mut self, path: &str) -> Option<Bytes> {
        let at = self.segments.iter().position(|(kept, _)| kept == path)?;
        let found = self.segments.remove(at)?;
        let bytes = found.1.clone();
        self.segments.push_back(found);
        Some(bytes)
    }

    fn keep(&mut self, path: &str, bytes: &Bytes) {
        if bytes.len() > self.limit_bytes || self.segments.iter().any(|(kept, _)| kept == path) {
            return;
        }
        while self.reservation.size() + bytes.len() > self.limit_bytes
            || self.reservation.try_grow(bytes.len()).is_err()
        {
            let Some((_, oldest)) = self.segments.pop_front() else { return };
            self.reservation.shrink(oldest.len());
        }
        self.segments.push_back((path.to_owned(), bytes.clone()));
    }
}
