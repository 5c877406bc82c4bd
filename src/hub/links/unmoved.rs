//! Whether links are still what somebody remembers of them.

use sqlx::PgConnection;

use super::without_span;
use crate::canonical::{Hash, Version};

/// What a link is remembered to be.
#[derive(Debug, Clone, Copy)]
pub struct Remembered<'a> {
    pub id: i64,
    pub code: &'a str,
    /// As far as the record has one; so with the version.
    pub external_id: Option<&'a str>,
    pub version: Option<&'a Version>,
    pub hash: Hash,
}

/// The internal ids of these links, in the order of the question, when each is a link of the instance, stands there once and
/// is as it is remembered: then a record of each would change nothing. Else nothing.
///
/// The store is asked by the links' own ids and tells what it has in one row: a third of its work in
/// [`compare`](super::compare), which looks for codes.
pub async fn unmoved(
    db: &mut PgConnection,
    connector: &str,
    remembered: &[Remembered<'_>],
) -> Result<Option<Vec<i64>>, sqlx::Error> {
    let mut asked: Vec<usize> = (0..remembered.len()).collect();
    asked.sort_unstable_by_key(|place| remembered[*place].id);
    let ids: Vec<i64> = asked.iter().map(|place| remembered[*place].id).collect();
    let row = sqlx::query!(
        r#"select array_agg(id) as ids, array_agg(internal_id) as internal_ids,
                  string_agg(content_hash, ''::bytea) as hashes, array_agg(external_code) as codes,
                  array_agg(external_id) as "external_ids: Vec<Option<String>>",
                  array_agg(source_version) as "versions: Vec<Option<i64>>",
                  min(version_kind) as least_kind, max(version_kind) as greatest_kind
           from hub.external_ref
           where id = any ($2) and connector || '' = $1"#,
        connector,
        &ids,
    )
    .fetch_one(db);
    let row = without_span(row).await?;
    let (Some(ids), Some(internal_ids), Some(hashes)) = (row.ids, row.internal_ids, row.hashes) else {
        return Ok(None);
    };
    let (Some(codes), Some(external_ids), Some(versions)) = (row.codes, row.external_ids, row.versions) else {
        return Ok(None);
    };
    // A link without a hash leaves a gap, and one that is asked for twice is found once.
    if ids.len() != asked.len() || hashes.len() != asked.len() * size_of::<Hash>() {
        return Ok(None);
    }
    let kind = row.least_kind.filter(|kind| row.greatest_kind.as_ref() == Some(kind));
    let held = ids.iter().zip(internal_ids).zip(hashes.chunks_exact(size_of::<Hash>())).zip(&codes);
    let mut found = vec![0; asked.len()];
    for ((((id, internal_id), hash), code), (external_id, version)) in held.zip(external_ids.iter().zip(&versions)) {
        let place = asked.binary_search_by_key(id, |place| remembered[*place].id).ok().map(|at| asked[at]);
        let is_same = place.map(|place| &remembered[place]).is_some_and(|one| {
            *hash == one.hash
                && code == one.code
                && (one.external_id.is_none() || external_id.as_deref() == one.external_id)
                && one.version.is_none_or(|own| *version == Some(own.value) && kind.as_deref() == Some(&*own.kind))
        });
        match place {
            Some(place) if is_same => found[place] = internal_id,
            _ => return Ok(None),
        }
    }
    Ok(Some(found))
}
