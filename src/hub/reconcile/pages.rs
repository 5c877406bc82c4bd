//! One page of a reconciliation: how its records' rows were, and what their source would make of them.

use std::collections::HashMap;

use serde_json::{Map, Value, json};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{FindingKind, KEPT};
use crate::{
    canonical::Entity,
    commerce,
    hub::{
        links,
        pages::{Verdict, rejected},
    },
    mapping::Mapped,
};

type Rows = HashMap<i64, Map<String, Value>>;

/// The rows of a page's records before anything was done.
pub(in crate::hub) struct Held(Rows);

/// What a page has shown.
#[derive(Debug, Default)]
pub(in crate::hub) struct Compared {
    same: i64,
    findings: Vec<(FindingKind, String, Option<Value>, Option<String>)>,
    codes: Vec<String>,
}

impl Held {
    pub(in crate::hub) async fn read(
        tx: &mut PgConnection,
        connector: &str,
        entity: Entity,
        mapped: &Mapped<'_>,
    ) -> Result<Held, sqlx::Error> {
        let codes: Vec<&str> = mapped.changes.iter().map(|change| change.code.as_ref()).collect();
        let ids: Vec<i64> =
            links::by_code(tx, connector, entity, &codes).await?.into_values().map(|link| link.internal_id).collect();
        Ok(Held(commerce::snapshots(tx, entity, &ids).await?))
    }

    /// Looks at the rows again, in the same transaction.
    pub(in crate::hub) async fn compare(
        mut self,
        tx: &mut PgConnection,
        entity: Entity,
        mapped: &Mapped<'_>,
        verdicts: &[Verdict],
    ) -> Result<Compared, sqlx::Error> {
        let changed = verdicts.iter().filter_map(|verdict| match verdict {
            Verdict::Updated(id) => Some(*id),
            _ => None,
        });
        let mut after = commerce::snapshots(tx, entity, &changed.collect::<Vec<_>>()).await?;
        let mut compared = Compared::default();
        for (change, verdict) in mapped.changes.iter().zip(verdicts) {
            let code = change.code.as_ref().to_owned();
            let (kind, fields, detail) = match verdict {
                Verdict::Created(_) => (FindingKind::MissingHere, None, None),
                Verdict::Updated(id) => {
                    let row = |rows: &mut Rows| rows.remove(id).unwrap_or_default();
                    (FindingKind::Differs, Some(differing(row(&mut self.0), row(&mut after))), None)
                }
                Verdict::Deferred(waits) => {
                    let names: Vec<String> = waits.iter().map(|(entity, code)| format!("{entity} {code}")).collect();
                    (FindingKind::Refused, None, Some(format!("waits for {}", names.join(", "))))
                }
                Verdict::Refused(failure) => (FindingKind::Refused, None, Some(failure.detail.clone())),
                Verdict::Unchanged(_) => {
                    compared.same += 1;
                    compared.codes.push(code);
                    continue;
                }
                // Of an order that is not ours, or overtaken meanwhile by a newer document.
                Verdict::Stale(id) => {
                    compared.same += i64::from(id.is_some());
                    compared.codes.push(code);
                    continue;
                }
                Verdict::Superseded(_) => {
                    compared.codes.push(code);
                    continue;
                }
            };
            compared.codes.push(code.clone());
            compared.findings.push((kind, code, fields, detail));
        }
        for record in &mapped.rejected {
            let code = record.code.clone().unwrap_or_else(|| format!("#{}", record.ordinal));
            compared.codes.extend(record.code.clone());
            compared.findings.push((FindingKind::Refused, code, None, Some(rejected(record).detail)));
        }
        Ok(compared)
    }
}

/// Field by field, as the store has it and as the source has it.
fn differing(ours: Map<String, Value>, mut theirs: Map<String, Value>) -> Value {
    let mut fields = Map::new();
    for (field, ours) in ours {
        let theirs = theirs.remove(&field).unwrap_or_default();
        if ours != theirs {
            fields.insert(field, json!({ "ours": ours, "theirs": theirs }));
        }
    }
    Value::Object(fields)
}

impl Compared {
    pub(in crate::hub) async fn note(self, tx: &mut PgConnection, run_id: Uuid) -> Result<(), sqlx::Error> {
        let count = |kind: FindingKind| self.findings.iter().filter(|(found, ..)| *found == kind).count() as i64;
        let kinds: Vec<&str> = self.findings.iter().map(|(kind, ..)| kind.as_str()).collect();
        let codes: Vec<&str> = self.findings.iter().map(|(_, code, ..)| code.as_str()).collect();
        let fields: Vec<Option<&Value>> = self.findings.iter().map(|(_, _, fields, _)| fields.as_ref()).collect();
        let details: Vec<Option<&str>> = self.findings.iter().map(|(.., detail)| detail.as_deref()).collect();
        sqlx::query!(
            "insert into hub.reconciliation_seen as s (run_id, code, times)
             select $1, code, count(*) from unnest($2::text[]) as c (code) group by code
             on conflict (run_id, code) do update set times = s.times + excluded.times",
            run_id,
            &self.codes,
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!(
            "insert into hub.reconciliation_finding (run_id, kind, code, fields, detail)
             select $1, f.kind, f.code, f.fields, f.detail
             from unnest($2::text[], $3::text[], $4::jsonb[], $5::text[]) as f (kind, code, fields, detail)
             where (select count(*) from hub.reconciliation_finding o where o.run_id = $1 and o.kind = f.kind) < $6
             on conflict do nothing",
            run_id,
            &kinds as _,
            &codes as _,
            &fields as _,
            &details as _,
            KEPT,
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!(
            "update hub.reconciliation
             set checked = checked + $2, same = same + $3, differing = differing + $4, missing_here = missing_here + $5,
                 refused = refused + $6
             where run_id = $1",
            run_id,
            self.codes.len() as i64,
            self.same,
            count(FindingKind::Differs),
            count(FindingKind::MissingHere),
            count(FindingKind::Refused),
        )
        .execute(tx)
        .await?;
        Ok(())
    }
}
