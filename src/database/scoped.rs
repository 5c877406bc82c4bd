//! Transactions that see one company's rows: the second line behind the conditions of the queries.
//!
//! The database itself holds a dealer's transaction to the rows of its company: it runs as the role `kopru_dealer`, which
//! the policies of the tables are made for, and may only read. A table that the role has no right to fails loudly.

use sqlx::{PgConnection, PgPool, Postgres, Transaction};

use crate::{principal::Scope, transaction};

/// A transaction in which nothing outside of `scope` can be seen. For reads: a dealer's one cannot write.
pub async fn read_within(pool: &PgPool, scope: Scope) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
    let mut tx = transaction::begin(pool).await?;
    confine(&mut tx, scope).await?;
    Ok(tx)
}

/// The same for a transaction that was begun already: from here to its end. The house is not confined.
pub async fn confine(conn: &mut PgConnection, scope: Scope) -> Result<(), sqlx::Error> {
    if scope.is_house() {
        return Ok(());
    }
    // A scope that covers nobody names a company that no row has.
    sqlx::query!(
        "select set_config('role', 'kopru_dealer', true) as role, set_config('kopru.company', $1, true) as company",
        scope.company_id().to_string(),
    )
    .fetch_one(conn)
    .await?;
    Ok(())
}
