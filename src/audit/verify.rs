//! Walks the chain and finds the first place that does not hold.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{PgExecutor, PgPool};
use utoipa::ToSchema;
use uuid::Uuid;

use super::chain::{self, BEGINNING, Hash, Row};

/// Seals that are in memory at once.
const PAGE: i64 = 1_000;

/// Where the chain ends. Noted elsewhere, it proves later that nothing before it was made anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AuditHead)]
pub struct Head {
    pub place: i64,
    /// In hexadecimal digits.
    pub hash: String,
    pub sealed_at: DateTime<Utc>,
}

/// Rows that wait for the sealer.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AuditUnsealed)]
pub struct Unsealed {
    pub count: i64,
    pub oldest_at: Option<DateTime<Utc>>,
    /// Of the oldest; 0 when none waits.
    pub oldest_secs: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// The row, or its seal, is not what was sealed.
    Changed,
    /// The row, its seal or the end of the chain is gone.
    Missing,
    /// The row is as it was sealed, but not in this place.
    Moved,
    /// The row came in beside the books: it neither has a seal nor waits for one.
    Unlisted,
}

/// The first thing that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AuditBroken)]
pub struct Broken {
    /// In the chain; null where it has none.
    pub place: Option<i64>,
    /// The row; null where not even that is known.
    pub id: Option<Uuid>,
    /// `changed`, `missing`, `moved` or `unlisted`
    #[schema(value_type = String)]
    pub what: What,
    pub detail: String,
}

/// A beginning of the chain that was old enough to go; what is left begins behind it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AuditCut)]
pub struct Cut {
    /// The last place that went.
    pub place: i64,
    /// Its hash in hexadecimal digits: what the next seal was made from.
    pub hash: String,
    pub cut_at: DateTime<Utc>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AuditVerdict)]
pub struct Verdict {
    pub ok: bool,
    /// The first place that was looked at.
    pub from: i64,
    /// How many seals hold, from there on.
    pub verified: i64,
    pub unsealed: Unsealed,
    /// Null: nothing was old enough to go.
    pub cut: Option<Cut>,
    /// Null when even the head is gone.
    pub head: Option<Head>,
    pub broken: Option<Broken>,
}

/// A head that somebody noted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Noted {
    pub place: i64,
    pub hash: String,
}

pub async fn head<'e>(db: impl PgExecutor<'e>) -> Result<Option<Head>, sqlx::Error> {
    sqlx::query_as!(Head, r#"select place, encode(hash, 'hex') as "hash!", sealed_at from identity.audit_head"#)
        .fetch_optional(db)
        .await
}

pub async fn unsealed<'e>(db: impl PgExecutor<'e>) -> Result<Unsealed, sqlx::Error> {
    sqlx::query_as!(
        Unsealed,
        r#"select count(*) as "count!", min(at) as oldest_at,
                  greatest(coalesce(extract(epoch from clock_timestamp() - min(at)), 0), 0)::float8 as "oldest_secs!"
           from identity.audit_unsealed"#
    )
    .fetch_one(db)
    .await
}

/// Where the chain that is left begins.
async fn cut(pool: &PgPool) -> Result<Option<Cut>, sqlx::Error> {
    sqlx::query_as!(
        Cut,
        r#"select place, encode(hash, 'hex') as "hash!", cut_at from identity.audit_cut order by place desc limit 1"#
    )
    .fetch_optional(pool)
    .await
}

/// Looks at the chain from this place on (the first is 1), and at what stands beside it. Beside a sealer at work it goes
/// as far as the chain went when it began.
pub async fn verify(pool: &PgPool, from: i64, noted: Option<&Noted>) -> Result<Verdict, sqlx::Error> {
    let cut = cut(pool).await?;
    let from = from.max(cut.as_ref().map_or(1, |cut| cut.place + 1));
    let head = head(pool).await?;
    let mut walk = Walk { pool, place: from - 1, hash: BEGINNING };
    let mut broken = walk.begin(cut.as_ref()).await?;
    if broken.is_none() {
        broken = walk.run(head.as_ref()).await?;
    }
    let verified = walk.place - (from - 1);
    if broken.is_none() {
        broken = match noted {
            Some(noted) => against(pool, noted, head.as_ref(), cut.as_ref()).await?,
            None => None,
        };
    }
    if broken.is_none() {
        broken = beside(pool).await?;
    }
    let unsealed = unsealed(pool).await?;
    Ok(Verdict { ok: broken.is_none(), from, verified, unsealed, cut, head, broken })
}

/// How far the chain was found to hold.
struct Walk<'p> {
    pool: &'p PgPool,
    place: i64,
    hash: Hash,
}

impl Walk<'_> {
    /// Takes the seal before the first place as given.
    async fn begin(&mut self, cut: Option<&Cut>) -> Result<Option<Broken>, sqlx::Error> {
        if self.place == 0 {
            return Ok(None);
        }
        if let Some(cut) = cut.filter(|cut| cut.place == self.place) {
            self.hash = chain::of_hex(&cut.hash);
            return Ok(None);
        }
        let before = sqlx::query_scalar!("select hash from identity.audit_seal where place = $1", self.place);
        match before.fetch_optional(self.pool).await? {
            Some(hash) => {
                self.hash = chain::of_column(&hash);
                Ok(None)
            }
            None => Ok(Some(no_seal(self.place))),
        }
    }

    async fn run(&mut self, head: Option<&Head>) -> Result<Option<Broken>, sqlx::Error> {
        let Some(head) = head else {
            let detail = "the head of the chain is gone: how far it went is not known any more";
            return Ok(Some(broken(None, None, What::Missing, detail)));
        };
        while self.place < head.place {
            if let Some(broken) = self.page(head.place).await? {
                return Ok(Some(broken));
            }
        }
        if self.place == head.place && chain::hex(&self.hash) != head.hash {
            let detail = "the head of the chain is not the hash of its last seal";
            return Ok(Some(broken(Some(head.place), None, What::Changed, detail)));
        }
        // One statement sees the seals and the head of one moment.
        let beyond = sqlx::query!(
            "select s.place, s.event_id from identity.audit_seal s
             where s.place > (select place from identity.audit_head) order by s.place limit 1"
        );
        Ok(beyond.fetch_optional(self.pool).await?.map(|seal| {
            let detail = "a seal stands behind the head of the chain";
            broken(Some(seal.place), Some(seal.event_id), What::Moved, detail)
        }))
    }

    async fn page(&mut self, last: i64) -> Result<Option<Broken>, sqlx::Error> {
        let seals = sqlx::query!(
            r#"select s.place, s.event_id, s.content, s.hash,
                      e.id as "id?", e.at as "at?", e.actor as "actor?", e.action as "action?",
                      e.subject_kind as "subject_kind?", e.subject as "subject?",
                      e.correlation_id as "correlation_id?", e.address::text as address, e.agent as "agent?",
                      e.detail::text as detail
               from identity.audit_seal s left join identity.audit_event e on e.id = s.event_id
               where s.place > $1 and s.place <= $2 order by s.place limit $3"#,
            self.place,
            last,
            PAGE,
        )
        .fetch_all(self.pool)
        .await?;
        if seals.is_empty() {
            return Ok(Some(no_seal(self.place + 1)));
        }
        for seal in seals {
            if seal.place != self.place + 1 {
                return Ok(Some(no_seal(self.place + 1)));
            }
            let found = |what, detail| Ok(Some(broken(Some(seal.place), Some(seal.event_id), what, detail)));
            let row = (|| {
                Some(Row {
                    id: seal.id?,
                    at: seal.at?,
                    actor: seal.actor?,
                    action: seal.action?,
                    subject_kind: seal.subject_kind?,
                    subject: seal.subject?,
                    correlation_id: seal.correlation_id?,
                    address: seal.address,
                    agent: seal.agent,
                    detail: seal.detail?,
                })
            })();
            let Some(row) = row else { return found(What::Missing, "the row is gone, its seal is there") };
            let content = row.content();
            if content != chain::of_column(&seal.content) {
                return found(What::Changed, "the row is not what was sealed");
            }
            let hash = chain::seal(&self.hash, seal.place, seal.event_id, &content);
            if hash != chain::of_column(&seal.hash) {
                return found(What::Moved, "the row is whole, but was not sealed in this place");
            }
            (self.place, self.hash) = (seal.place, hash);
        }
        Ok(None)
    }
}

/// A head that was noted before the last cut says nothing any more.
async fn against(
    pool: &PgPool,
    noted: &Noted,
    head: Option<&Head>,
    cut: Option<&Cut>,
) -> Result<Option<Broken>, sqlx::Error> {
    if cut.is_some_and(|cut| noted.place < cut.place) {
        return Ok(None);
    }
    let found = sqlx::query_scalar!(
        r#"select encode(hash, 'hex') as "hash!" from identity.audit_seal where place = $1
           union all select encode(hash, 'hex') from identity.audit_cut where place = $1"#,
        noted.place
    )
    .fetch_optional(pool)
    .await?;
    Ok(match (found, head) {
        (Some(hash), _) if hash.eq_ignore_ascii_case(&noted.hash) => None,
        (Some(_), _) => {
            let detail = "the chain was made anew: this is not the hash that was noted";
            Some(broken(Some(noted.place), None, What::Changed, detail))
        }
        (None, head) => {
            let end = head.map_or(0, |head| head.place);
            let detail = format!("the chain ends at {end}, before the place that was noted");
            Some(broken(Some(noted.place), None, What::Missing, &detail))
        }
    })
}

/// Rows that went before their seal, and rows that came in without a note.
async fn beside(pool: &PgPool) -> Result<Option<Broken>, sqlx::Error> {
    let gone = sqlx::query_scalar!(
        "select u.event_id from identity.audit_unsealed u
         where not exists (select from identity.audit_event e where e.id = u.event_id) order by 1 limit 1"
    );
    if let Some(id) = gone.fetch_optional(pool).await? {
        return Ok(Some(broken(None, Some(id), What::Missing, "the row was gone before it was sealed")));
    }
    let unlisted = sqlx::query_scalar!(
        "select e.id from identity.audit_event e
         where not exists (select from identity.audit_seal s where s.event_id = e.id)
           and not exists (select from identity.audit_unsealed u where u.event_id = e.id)
         limit 1"
    );
    let detail = "the row neither has a seal nor waits for one";
    Ok(unlisted.fetch_optional(pool).await?.map(|id| broken(None, Some(id), What::Unlisted, detail)))
}

fn no_seal(place: i64) -> Broken {
    broken(Some(place), None, What::Missing, "the seal is gone")
}

fn broken(place: Option<i64>, id: Option<Uuid>, what: What, detail: &str) -> Broken {
    Broken { place, id, what, detail: detail.to_owned() }
}
