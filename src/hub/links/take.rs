//! The records of one item beside their links, which come locked.

use sqlx::PgConnection;

use super::{Asked, Held, LinkRow};
use crate::canonical::{Entity, Hash};

/// The same as [`compare`](super::compare) for records of several entities in one question, where most are going to be
/// written: links that are not the same are locked, in the order of the question, and need no [`lock`](super::lock).
/// `None`: another writer was faster with one of them.
pub async fn take(
    db: &mut PgConnection,
    connector: &str,
    asked: &[(Entity, Asked<'_>)],
) -> Result<Option<Vec<Held>>, sqlx::Error> {
    let entities: Vec<&str> = asked.iter().map(|(entity, _)| entity.as_str()).collect();
    let codes: Vec<&str> = asked.iter().map(|(_, one)| one.code).collect();
    let external_ids: Vec<Option<&str>> = asked.iter().map(|(_, one)| one.external_id).collect();
    let hashes: Vec<&[u8]> = asked.iter().map(|(_, one)| one.hash.as_slice()).collect();
    let versions: Vec<Option<i64>> = asked.iter().map(|(_, one)| one.version.map(|version| version.value)).collect();
    let kinds: Vec<Option<&str>> =
        asked.iter().map(|(_, one)| one.version.map(|version| version.kind.as_ref())).collect();
    // A lock that was waited for shows the row as it is by then, and all else the statement sees as it was when it began: so
    // what is locked is held against that.
    let rows = sqlx::query!(
        r#"with seen as materialized (
               select a.place, l.*
               from unnest($2::text[], $3::text[], $4::text[], $5::bytea[], $6::bigint[], $7::text[]) with ordinality
                        as a (entity, code, external_id, hash, version, kind, place)
               cross join lateral (
                   select r.*, coalesce(r.content_hash = a.hash
                                        and (a.external_id is null or r.external_id = a.external_id)
                                        and (a.version is null or r.version_kind = a.kind and r.source_version = a.version),
                                        false) as is_same
                   from hub.external_ref r
                   where r.external_code = a.code and r.connector || '' = $1 and r.entity || '' = a.entity
                   offset 0
               ) l
           ), locked as materialized (
               select s.place, l.*
               from seen s
               cross join lateral (select r.* from hub.external_ref r where r.id = s.id and not s.is_same for update) l
           )
           select s.place as "place!", s.id as "id!", s.internal_id as "internal_id!",
                  s.external_code as "external_code!", s.external_id, s.content_hash as "content_hash: Hash",
                  s.version_kind, s.source_version, s.last_synced_at as "last_synced_at!",
                  s.document_ordinal as "document_ordinal!", s.is_same as "is_same!",
                  (l.external_code, l.external_id, l.content_hash, l.source_version, l.last_synced_at,
                   l.document_ordinal) is not distinct from
                  (s.external_code, s.external_id, s.content_hash, s.source_version, s.last_synced_at,
                   s.document_ordinal) as "is_still!"
           from seen s left join locked l on l.place = s.place"#,
        connector,
        entities as _,
        codes as _,
        external_ids as _,
        hashes as _,
        &versions as _,
        kinds as _,
    )
    .fetch_all(db)
    .await?;
    let mut held = vec![Held::Nothing; asked.len()];
    for row in rows {
        let place = usize::try_from(row.place).ok().and_then(|place| place.checked_sub(1));
        let Some(slot) = place.and_then(|place| held.get_mut(place)) else { continue };
        *slot = match (row.is_same, row.is_still) {
            (true, _) => Held::Same { id: row.id, internal_id: row.internal_id },
            (false, false) => return Ok(None),
            (false, true) => Held::Other(Box::new(
                LinkRow {
                    id: row.id,
                    internal_id: row.internal_id,
                    external_code: row.external_code,
                    external_id: row.external_id,
                    content_hash: row.content_hash,
                    version_kind: row.version_kind,
                    source_version: row.source_version,
                    last_synced_at: row.last_synced_at,
                    document_ordinal: row.document_ordinal,
                }
                .into(),
            )),
        };
    }
    Ok(Some(held))
}
