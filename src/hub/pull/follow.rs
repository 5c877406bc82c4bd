//! Following a run through the store, whichever process works it off.

use std::time::Duration;

use uuid::Uuid;

use crate::hub::{
    engine::Engine,
    runs::{self, Run},
    states::RunState,
};

/// How often the row is read.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// How long a run that was broken off may take to be taken up by somebody else.
const TAKEN_UP_WITHIN: u32 = 15;

/// What a person who follows a run sees: the row as it stands, until it is final. A run that another process goes on
/// with is followed there, and its counters are those of all of it.
pub async fn follow(engine: &Engine, id: Uuid, mut seen: impl FnMut(&Run)) -> Result<Option<Run>, sqlx::Error> {
    let db = &engine.pool;
    let (mut id, mut before) = (id, Vec::new());
    let mut waited = 0;
    loop {
        let Some(mut run) = runs::get(db, id).await? else { return Ok(None) };
        let heir = if run.finished_at.is_some() { runs::heir(db, id).await? } else { None };
        if let Some(heir) = heir {
            before.push(run);
            (id, waited) = (heir, 0);
            continue;
        }
        before.iter().for_each(|earlier| run.count_in(earlier));
        seen(&run);
        let broken_off = run.state == RunState::Interrupted.as_str() && run.cause.as_deref() == Some("ours");
        if run.finished_at.is_some() {
            // Nobody goes on with what we ourselves have stopped.
            if !broken_off || waited >= TAKEN_UP_WITHIN || engine.stop.is_cancelled() {
                return Ok(Some(run));
            }
            waited += 1;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
