//! The order of the pages of a run: each is mapped on a task of its own and hands the right to write on to the next.

use std::{collections::VecDeque, sync::Arc};

use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::{RunError, Scope, apply::apply_in_turn, fetch::Fetched};
use crate::hub::{pages::Pending, runs::Tally};

/// Applies what is fetched until the pass is complete. Each page is mapped on a task of its own and then waits for its
/// turn, which the page before it hands on. Answers the turn behind the last page as well.
pub(super) async fn apply_pages(
    scope: &Arc<Scope>,
    mut fetched: mpsc::Receiver<Result<Fetched, RunError>>,
    stop: &CancellationToken,
    total: &mut Tally,
) -> (Turn, Result<(), RunError>) {
    let mut tasks: VecDeque<JoinHandle<Result<Tally, RunError>>> = VecDeque::new();
    let mut turn = Turn::first();
    let mut ended = false;
    loop {
        let next = tokio::select! {
            biased;
            Some(applied) = front(&mut tasks) => {
                tasks.pop_front();
                match applied {
                    Ok(tally) => total.add(&tally),
                    Err(error) => return (turn, Err(error)),
                }
                if ended && tasks.is_empty() {
                    return (turn, Ok(()));
                }
                continue;
            }
            next = fetched.recv(), if !ended => next,
        };
        let stopped = match next {
            Some(Ok(page)) if !stop.is_cancelled() => {
                ended = page.page.end;
                let (mine, following) = turn.pass_on();
                turn = following;
                tasks.push_back(tokio::spawn(apply_in_turn(Arc::clone(scope), page, mine).in_current_span()));
                continue;
            }
            Some(Err(error)) => error,
            None if !stop.is_cancelled() => RunError::Broken("the connector ended without a word".to_owned()),
            Some(Ok(_)) | None => RunError::Stopped,
        };
        // What was fetched before still goes in.
        return (turn, settle(tasks, total).await.and(Err(stopped)));
    }
}

/// What a page hands on to the next one: the right to write, and counters that were not written yet.
pub(super) struct Baton {
    pub(super) pending: Pending,
    pub(super) flushed: Instant,
}

/// A page's place in the order of the run.
pub(super) struct Turn(pub(super) oneshot::Receiver<Baton>);

/// A turn, and what its holder hands the baton on with.
pub(super) struct MyTurn {
    pub(super) before: oneshot::Receiver<Baton>,
    pub(super) after: oneshot::Sender<Baton>,
}

impl Turn {
    fn first() -> Turn {
        let (sender, receiver) = oneshot::channel();
        // The receiver is right here.
        let _ = sender.send(Baton { pending: Pending::default(), flushed: Instant::now() });
        Turn(receiver)
    }

    fn pass_on(self) -> (MyTurn, Turn) {
        let (after, next) = oneshot::channel();
        (MyTurn { before: self.0, after }, Turn(next))
    }
}

/// The result of the oldest page in hand.
async fn front(tasks: &mut VecDeque<JoinHandle<Result<Tally, RunError>>>) -> Option<Result<Tally, RunError>> {
    let task = tasks.front_mut()?;
    Some(task.await.unwrap_or_else(|error| Err(RunError::Broken(error.to_string()))))
}

/// Lets the pages in hand end.
async fn settle(mut tasks: VecDeque<JoinHandle<Result<Tally, RunError>>>, total: &mut Tally) -> Result<(), RunError> {
    while let Some(applied) = front(&mut tasks).await {
        tasks.pop_front();
        total.add(&applied?);
    }
    Ok(())
}
