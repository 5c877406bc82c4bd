//! A page's records beside their links.

use sqlx::PgConnection;

use super::{Link, LinkRow, without_span};
use crate::canonical::{Entity, Hash, Version};

/// What is asked about one code.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    pub code: &'a str,
    pub external_id: Option<&'a str>,
    pub hash: &'a Hash,
    pub version: Option<&'a Version>,
}

/// What a code has.
#[derive(Debug, Clone, PartialEq)]
pub enum Held {
    Nothing,
    /// A link of this content, and of this version and external id as far as they were given.
    Same {
        id: i64,
        internal_id: i64,
    },
    Other(Box<Link>),
}

/// Compares what codes have with what is about to be applied, in the order of the question. The store compares: of a link
/// that is the same, which nearly all are, nothing is sent but the ids.
pub async fn compare(
    db: &mut PgConnection,
    connector: &str,
    entity: Entity,
    asked: &[Asked<'_>],
) -> Result<Vec<Held>, sqlx::Error> {
    // A mapping has one kind of version; of any other the link is told.
    let kind = asked.iter().find_map(|one| one.version).map(|version| &version.kind);
    let is_comparable = |one: &Asked<'_>| one.version.is_none_or(|version| Some(&version.kind) == kind);
    let codes: Vec<&str> = asked.iter().map(|one| one.code).collect();
    let external_ids: Vec<Option<&str>> = asked.iter().map(|one| one.external_id).collect();
    let hashes: Vec<Option<&[u8]>> =
        asked.iter().map(|one| is_comparable(one).then_some(one.hash.as_slice())).collect();
    let versions: Vec<Option<i64>> = asked.iter().map(|one| one.version.map(|version| version.value)).collect();
    // `offset 0`: for each code a look into the index of codes, however few links the planner believes in. Those that are
    // the same come in one row: a thousand rows cost more than finding what they say.
    let rows = sqlx::query!(
        r#"with found as (
               select a.place, r.id, r.internal_id, r.other
               from unnest($3::text[], $4::text[], $5::bytea[], $6::bigint[]) with ordinality
                        as a (code, external_id, hash, version, place)
               cross join lateral (
                   select l.id, l.internal_id,
                          case when l.content_hash = a.hash
                                    and (a.external_id is null or l.external_id = a.external_id)
                                    and (a.version is null or l.version_kind = $7 and l.source_version = a.version)
                               then null else l end as other
                   from hub.external_ref l
                   where l.external_code = a.code and l.connector || '' = $1 and l.entity || '' = $2
                   offset 0
               ) r
           )
           select array_agg(place) as places, array_agg(id) as ids, array_agg(internal_id) as internal_ids,
                  null::bigint as place, null::bigint as id, null::bigint as internal_id, null as external_code,
                  null as external_id, null::bytea as "content_hash: Hash", null as version_kind,
                  null::bigint as source_version, null::timestamptz as last_synced_at, null::bigint as document_ordinal
           from found where other is null
           union all
           select null, null, null, place, id, internal_id, (other).external_code, (other).external_id,
                  (other).content_hash, (other).version_kind, (other).source_version, (other).last_synced_at,
                  (other).document_ordinal
           from found where not other is null"#,
        connector,
        entity.as_str(),
        codes as _,
        external_ids as _,
        hashes as _,
        &versions as _,
        kind.map(AsRef::as_ref) as Option<&str>,
    )
    .fetch_all(db);
    let mut held = vec![Held::Nothing; asked.len()];
    let mut put = |place: i64, one: Held| {
        let place = usize::try_from(place).ok().and_then(|place| place.checked_sub(1));
        if let Some(place) = place.and_then(|place| held.get_mut(place)) {
            *place = one;
        }
    };
    for row in without_span(rows).await? {
        if let (Some(places), Some(ids), Some(internal_ids)) = (row.places, row.ids, row.internal_ids) {
            for ((place, id), internal_id) in places.into_iter().zip(ids).zip(internal_ids) {
                put(place, Held::Same { id, internal_id });
            }
        }
        let known = (row.place, row.id, row.internal_id, row.external_code, row.last_synced_at, row.document_ordinal);
        let (
            Some(place),
            Some(id),
            Some(internal_id),
            Some(external_code),
            Some(last_synced_at),
            Some(document_ordinal),
        ) = known
        else {
            continue;
        };
        let link = LinkRow {
            id,
            internal_id,
            external_code,
            external_id: row.external_id,
            content_hash: row.content_hash,
            version_kind: row.version_kind,
            source_version: row.source_version,
            last_synced_at,
            document_ordinal,
        };
        put(place, Held::Other(Box::new(link.into())));
    }
    Ok(held)
}
