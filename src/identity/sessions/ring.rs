//! Who a session belongs to, read from the store at most every [`FRESH`], so that a request costs no round trip.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use sqlx::PgPool;
use uuid::Uuid;

use crate::{identity::users::UserState, principal::Role};

/// How old an answer about a session may be.
pub const FRESH: Duration = Duration::from_secs(5);
/// Sessions that are remembered.
const MOST: usize = 50_000;

/// A session and its user as they stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    pub user_id: i64,
    pub role: Role,
    pub company: Option<i64>,
    pub epoch: i64,
    /// The user is active and the session neither revoked nor over.
    pub open: bool,
}

type Remembered = HashMap<Uuid, (Instant, Option<Arc<Live>>)>;

#[derive(Debug)]
pub struct SessionRing {
    pool: PgPool,
    fresh: Duration,
    known: Mutex<Remembered>,
}

impl SessionRing {
    pub fn new(pool: PgPool, fresh: Duration) -> SessionRing {
        SessionRing { pool, fresh, known: Mutex::default() }
    }

    pub async fn look_up(&self, session: Uuid) -> Result<Option<Arc<Live>>, sqlx::Error> {
        if let Some((at, live)) = self.lock().get(&session)
            && at.elapsed() < self.fresh
        {
            return Ok(live.clone());
        }
        // From before the question: what changes while it is under way is asked for again in time.
        let asked = Instant::now();
        let live = self.read(session).await?.map(Arc::new);
        let mut all = self.lock();
        if all.len() >= MOST {
            all.retain(|_, (at, _)| at.elapsed() < self.fresh);
        }
        if all.len() < MOST {
            all.insert(session, (asked, live.clone()));
        }
        Ok(live)
    }

    /// What this daemon itself has changed holds here at once.
    pub fn forget(&self, user_id: i64) {
        self.lock().retain(|_, (_, live)| live.as_ref().is_none_or(|live| live.user_id != user_id));
    }

    async fn read(&self, session: Uuid) -> Result<Option<Live>, sqlx::Error> {
        let row = sqlx::query!(
            r#"select u.id, u.role, u.state, u.company_id, u.session_epoch, s.revoked_at is not null as "revoked!"
               from identity.session s join identity.app_user u on u.id = s.user_id
               where s.id = $1"#,
            session,
        )
        .fetch_optional(&self.pool)
        .await?;
        // A role that this build does not know is nobody's.
        Ok(row.and_then(|row| {
            Some(Live {
                user_id: row.id,
                role: Role::parse(&row.role)?,
                company: row.company_id,
                epoch: row.session_epoch,
                open: row.state == UserState::Active.as_str() && !row.revoked,
            })
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Remembered> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
