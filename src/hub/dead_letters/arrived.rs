//! Letters that lacked a record which is there now.

use sqlx::PgExecutor;
use uuid::Uuid;

/// Letters that died of a missing record which exists by now, under its code or one that it had before; for the sweep
/// to replay.
pub async fn arrived<'e>(db: impl PgExecutor<'e>) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "select d.id from hub.dead_letter d
         where d.state = 'dead' and d.missing_code is not null and d.reason = 'missing_reference'
           and (exists (select from hub.external_ref r
                        where r.connector = d.connector and r.entity = d.missing_entity
                          and r.external_code = d.missing_code)
                or exists (select from hub.external_ref_alias a
                           where a.connector = d.connector and a.entity = d.missing_entity
                             and a.external_code = d.missing_code))
         limit 1000"
    )
    .fetch_all(db)
    .await
}
