//! What a fault means for a piece of work, inbound or outbound: the one place where the retry policy and the breaker meet.

use std::time::Duration;

use chrono::{DateTime, Utc};
use kopru_sdk::{Cause, Fault};

use super::{
    breaker,
    engine::Engine,
    pages::Failure,
    retry::{Next, next_after},
    states::BreakerState,
};

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Again after this wait.
    Retry { after: Duration },
    /// Its system asks for patience: that was no try.
    Later { after: Duration },
    /// Its system is down: everything of that system is to be held.
    Hold,
    /// Credentials refused, or not as agreed: the system is to be paused, and everything of it held.
    Pause(Cause),
    /// No retry can mend it.
    Dead,
}

/// How often and since when something has been tried.
#[derive(Debug, Clone, Copy)]
pub struct Tries {
    /// Attempts with an outcome that counts, without this one.
    pub before: i32,
    /// How often it was asked for patience beside them.
    pub waited: i32,
    pub first_at: Option<DateTime<Utc>>,
}

/// Judges the fault of one call to `system`. What is remote is noted on its breaker.
pub async fn judge(engine: &Engine, system: &str, tries: Tries, fault: &Fault) -> Result<Verdict, sqlx::Error> {
    let settings = &engine.settings;
    let number = u32::try_from(tries.before + 1).unwrap_or(u32::MAX);
    match next_after(fault, &settings.retry) {
        Next::Retry | Next::FindFirst => {}
        // However often it asks for patience, the work is not to blame.
        Next::Wait { at_least } => {
            // Who does nothing else for days is given up like who fails.
            if engine.targets.get(system).is_some_and(|target| target.given_up_after().is_some()) {
                breaker::record_patience(&engine.pool, system, &fault.to_string()).await?;
            }
            let waited = u32::try_from(tries.waited).unwrap_or(0);
            let delay =
                settings.retry.delay_after(number.saturating_add(waited)).or(settings.retry.delays.last().copied());
            return Ok(Verdict::Later { after: delay.unwrap_or_default().max(at_least) });
        }
        Next::PauseConnector => return Ok(Verdict::Pause(fault.cause())),
        Next::DeadLetter => return Ok(Verdict::Dead),
    }
    let detail = fault.to_string();
    let state = note_fault(engine, system, &detail, settings.breaker_threshold).await?;
    if state == BreakerState::Closed {
        if let Some(delay) = settings.retry.delay_after(number) {
            return Ok(Verdict::Retry { after: delay });
        }
        // Out of attempts. It is the work's fault only if its system worked for others meanwhile.
        if breaker::answered_since(&engine.pool, system, tries.first_at).await? {
            return Ok(Verdict::Dead);
        }
        note_fault(engine, system, &detail, 1).await?;
    }
    Ok(Verdict::Hold)
}

async fn note_fault(engine: &Engine, system: &str, detail: &str, threshold: u32) -> Result<BreakerState, sqlx::Error> {
    breaker::record_fault(&engine.pool, system, detail, threshold, engine.probing(system)).await
}

/// A fault as it is kept.
pub fn failure_of(fault: &Fault) -> Failure {
    match fault {
        Fault::Permanent(refusal) => Failure {
            cause: fault.cause(),
            reason: refusal.reason.clone(),
            field: refusal.field.clone(),
            value: refusal.value.clone(),
            detail: refusal.detail.clone(),
        },
        other => Failure {
            cause: other.cause(),
            reason: other.class().to_owned(),
            field: None,
            value: None,
            detail: other.to_string(),
        },
    }
}
