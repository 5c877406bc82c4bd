//! The statements of a code list, written once for the tables that have its shape. They are macros since `sqlx::query!`
//! checks a statement against the database when it is compiled, and a table's name is part of that.

/// The commands and queries of one such table.
macro_rules! code_list {
    ($upsert:ident, $table:literal, $plural:literal) => {
        #[doc = concat!("Creates and changes ", $plural, "; see [`crate::commerce`] for what every upsert does.")]
        pub async fn $upsert(
            conn: &mut sqlx::PgConnection,
            cx: &$crate::commerce::WriteContext<'_>,
            rows: &[$crate::commerce::CodeListUpsert<'_>],
        ) -> Result<Vec<$crate::commerce::Outcome>, $crate::commerce::CommandError> {
            use $crate::commerce::{Outcome, claims, code_lists, outcome::Outcomes};

            let mut outcomes = Outcomes::new(rows.len());
            let mut entries = code_lists::prepare(cx, rows, &mut outcomes);
            let held = sqlx::query_as!(
                claims::Holder,
                "select p.code as \"key!\", p.id, p.code as \"code!\" from commerce." + $table + " p
                 where p.code = any ($1)",
                &entries.iter().map(|entry| entry.code.to_owned()).collect::<Vec<_>>(),
            )
            .fetch_all(&mut *conn)
            .await?;
            let refused = claims::codes(entries.iter().map(|entry| (entry.id, entry.code)), &held);
            entries = claims::drop_refused(entries, refused, |entry| entry.place, &mut outcomes);

            let (new, known): (Vec<_>, Vec<_>) = entries.iter().partition(|entry| entry.is_new);
            if !new.is_empty() {
                sqlx::query!(
                    "insert into commerce." + $table
                        + " (id, code, name, is_active, created_at, updated_at, created_by, updated_by)
                     select i.id, i.code, i.name, i.is_active, $5, $5, $6, $6
                     from unnest($1::bigint[], $2::text[], $3::text[], $4::boolean[]) as i (id, code, name, is_active)",
                    &new.iter().map(|entry| entry.id).collect::<Vec<_>>(),
                    &new.iter().map(|entry| entry.code).collect::<Vec<_>>() as _,
                    &new.iter().map(|entry| entry.name).collect::<Vec<_>>() as _,
                    &new.iter().map(|entry| entry.is_active).collect::<Vec<_>>(),
                    cx.by.now,
                    cx.by.origin,
                )
                .execute(&mut *conn)
                .await?;
                new.iter().for_each(|entry| outcomes.set(entry.place, Outcome::Created));
            }
            if !known.is_empty() {
                let seen = sqlx::query!(
                    "with current as materialized (
                        select p.id, i.place, i.code, i.name, i.is_active,
                            case when i.given & 1 <> 0 and p.code is distinct from i.code then 1 else 0 end
                            | case when i.given & 2 <> 0 and p.name is distinct from i.name then 2 else 0 end
                            | case when i.given & 4 <> 0 and p.is_active is distinct from i.is_active then 4 else 0 end
                            as changed
                        from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::boolean[])
                            as i (place, id, given, code, name, is_active)
                        join commerce." + $table + " p on p.id = i.id
                        order by p.id
                        for no key update of p
                    ), updated as (
                        update commerce." + $table + " p
                        set code = case when c.changed & 1 <> 0 then c.code else p.code end,
                            name = case when c.changed & 2 <> 0 then c.name else p.name end,
                            is_active = case when c.changed & 4 <> 0 then c.is_active else p.is_active end,
                            revision = p.revision + 1, updated_at = $7, updated_by = $8
                        from current c
                        where p.id = c.id and c.changed <> 0
                    )
                    select place as \"place!\", changed as \"changed!\" from current",
                    &known.iter().map(|entry| entry.place as i64).collect::<Vec<_>>(),
                    &known.iter().map(|entry| entry.id).collect::<Vec<_>>(),
                    &known.iter().map(|entry| entry.given).collect::<Vec<_>>(),
                    &known.iter().map(|entry| entry.code).collect::<Vec<_>>() as _,
                    &known.iter().map(|entry| entry.name).collect::<Vec<_>>() as _,
                    &known.iter().map(|entry| entry.is_active).collect::<Vec<_>>(),
                    cx.by.now,
                    cx.by.origin,
                )
                .fetch_all(&mut *conn)
                .await?;
                for row in seen {
                    outcomes.set(row.place as usize, if row.changed == 0 { Outcome::Unchanged } else { Outcome::Updated });
                }
            }
            Ok(outcomes.finish())
        }

        $crate::commerce::code_lists::keys!($table, $plural);
    };
}

/// Ids and codes of a table with a unique `code`.
macro_rules! keys {
    ($table:literal, $plural:literal) => {
        #[doc = concat!("Ids for that many new ", $plural, ", rising.")]
        pub async fn allocate_ids(conn: &mut sqlx::PgConnection, count: usize) -> Result<Vec<i64>, sqlx::Error> {
            sqlx::query_scalar!(
                "select nextval('commerce." + $table + "_id_seq') as \"id!\" from generate_series(1, $1::bigint)",
                count as i64,
            )
            .fetch_all(conn)
            .await
        }

        #[doc = concat!("Which of these codes are ", $plural, " already: place in the input, and id.")]
        pub async fn ids_by_code(
            conn: &mut sqlx::PgConnection,
            codes: &[&str],
        ) -> Result<Vec<(usize, i64)>, sqlx::Error> {
            let found = sqlx::query!(
                "select i.place as \"place!\", p.id
                 from unnest($1::text[]) with ordinality as i (code, place)
                 join commerce."
                    + $table
                    + " p on p.code = i.code
                 order by i.place",
                codes as _,
            )
            .fetch_all(conn)
            .await?;
            Ok(found.into_iter().map(|row| (row.place as usize - 1, row.id)).collect())
        }
    };
}

pub(crate) use {code_list, keys};
