//! Nobody works on what may be somebody else's by now. A process that was stopped for a while, or lost the store, still has its calls
//! in hand, and some of them wait for their turn inside a connector: they must not go out after another process took them over.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Instant,
};

use uuid::Uuid;

use super::super::engine::Engine;

/// Work that goes on only while its lease is known to run; `None`: it was let go.
pub struct Fenced<'a, F> {
    work: Pin<Box<F>>,
    engine: &'a Engine,
    delivery: Uuid,
}

impl<'a, F: Future> Fenced<'a, F> {
    pub fn new(engine: &'a Engine, delivery: Uuid, work: F) -> Self {
        Fenced { work: Box::pin(work), engine, delivery }
    }
}

impl<F: Future> Future for Fenced<'_, F> {
    type Output = Option<F::Output>;

    /// Looked at before each step of the work: of what waited, the first step afterwards is the call.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.engine.leased_until(self.delivery).is_none_or(|until| Instant::now() > until) {
            return Poll::Ready(None);
        }
        self.work.as_mut().poll(cx).map(Some)
    }
}
