//! What people of the house change in a customer by hand.
//!
//! Invariants
//! - The same command as a source's: nothing is written here that a push could not write.
//! - A customer that comes from a source is that source's: a change of what the source owns is refused with the names of
//!   the fields and of the owner. What equals the stored value is no change.
//! - Credit limit and terms of payment, approval, and all else take a permission each.
//! - Every change leaves one audit row. Terms stand in it with their values before and after; what may be personal is
//!   named alone.

use serde_json::{Map, Value, json};
use sqlx::PgConnection;

use super::{CustomerUpsert, allocate_ids, ids_by_code, upsert_customers};
use crate::{
    audit,
    canonical::Entity,
    commerce::{
        CommandError, Outcome, Patch, Violation, WriteContext,
        check::{exact, required, violation},
        ownership::{CustomerField, Field, Owner},
        snapshots,
    },
    money,
    outbox::Provenance,
    principal::{Permission, Permissions},
};

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum CustomerEditError {
    #[error("there is no such customer")]
    NotFound,
    #[error("{0}")]
    Refused(Violation),
    #[error("{} of this customer come from {owner}; change them there", .fields.join(", "))]
    SourceOwned { fields: Vec<String>, owner: String },
    #[error("{} may be changed only with the permission {}", .fields.join(", "), .permission.as_str())]
    NotYours { fields: Vec<String>, permission: Permission },
    #[error(transparent)]
    Command(#[from] CommandError),
}

impl From<sqlx::Error> for CustomerEditError {
    fn from(error: sqlx::Error) -> CustomerEditError {
        CustomerEditError::Command(error.into())
    }
}

/// A customer that was saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    pub id: i64,
    /// By their canonical names; none: nothing was changed.
    pub changed: Vec<String>,
}

/// Which permission a change of a field takes.
fn permission_for(field: &str) -> Permission {
    match field {
        "creditLimit" | "paymentTermCode" | "paymentTermDays" => Permission::CreditEdit,
        "isApproved" => Permission::CustomersApprove,
        _ => Permission::CustomersEdit,
    }
}

/// Fields whose values stand in the audit row.
const TERMS: [&str; 9] = [
    "creditLimit",
    "currency",
    "discountRate",
    "isActive",
    "isApproved",
    "paymentTermCode",
    "paymentTermDays",
    "priceTier",
    "tradingGroup",
];

/// Enters a customer. Its code must be nobody's.
pub async fn enter(
    conn: &mut PgConnection,
    by: &Provenance<'_>,
    may: Permissions,
    customer: CustomerUpsert<'_>,
) -> Result<Saved, CustomerEditError> {
    let code = customer.code.trim_end_matches(' ');
    if code.is_empty() {
        return Err(CustomerEditError::Refused(required("code")));
    }
    if code.contains('\0') {
        return Err(CustomerEditError::Refused(violation("code", "control_character", "", "holds a NUL character")));
    }
    if !ids_by_code(conn, &[code]).await?.is_empty() {
        return Err(CustomerEditError::Refused(violation("code", "unique", code, "is another customer's")));
    }
    let id = allocate_ids(conn, 1).await?.into_iter().next().unwrap_or_default();
    save(conn, by, may, CustomerUpsert { id, is_new: true, code, ..customer }, None).await
}

/// Changes a customer: `customer` says what, its id which. `owner` is the instance that it comes from, if it comes from one.
pub async fn edit(
    conn: &mut PgConnection,
    by: &Provenance<'_>,
    may: Permissions,
    code: Option<&str>,
    customer: CustomerUpsert<'_>,
    owner: Option<&str>,
) -> Result<Saved, CustomerEditError> {
    let stored = sqlx::query_scalar!(
        "select code from commerce.customer where id = $1 and deleted_at is null for no key update",
        customer.id
    )
    .fetch_optional(&mut *conn)
    .await?
    .ok_or(CustomerEditError::NotFound)?;
    let code = code.map(|code| code.trim_end_matches(' ')).unwrap_or(&stored);
    if code.contains('\0') {
        return Err(CustomerEditError::Refused(violation("code", "control_character", "", "holds a NUL character")));
    }
    save(conn, by, may, CustomerUpsert { is_new: false, code, ..customer }, owner).await
}

async fn save(
    conn: &mut PgConnection,
    by: &Provenance<'_>,
    may: Permissions,
    customer: CustomerUpsert<'_>,
    owner: Option<&str>,
) -> Result<Saved, CustomerEditError> {
    let (id, is_new) = (customer.id, customer.is_new);
    if let Patch::Set(limit) = customer.credit_limit {
        exact("creditLimit", limit, money::AMOUNT).map_err(CustomerEditError::Refused)?;
    }
    let before = snapshots(conn, Entity::Customer, &[id]).await?.remove(&id).unwrap_or_default();
    let outcomes = upsert_customers(conn, &WriteContext::person(*by), &[customer]).await?;
    if let Some(Outcome::Refused(violation)) = outcomes.into_iter().next() {
        return Err(CustomerEditError::Refused(violation));
    }
    let after = snapshots(conn, Entity::Customer, &[id]).await?.remove(&id).unwrap_or_default();
    let changed = changed(&before, &after, is_new);
    if let Some(owner) = owner {
        refuse_owned(&changed, owner)?;
    }
    refuse_forbidden(&changed, may)?;
    if changed.is_empty() {
        return Ok(Saved { id, changed });
    }
    let terms = |row: &Map<String, Value>| -> Map<String, Value> {
        let told = |name: &String| TERMS.contains(&name.as_str());
        let value = |name: &String| (name.clone(), row.get(name).cloned().unwrap_or(Value::Null));
        changed.iter().filter(|name| told(name)).map(value).collect()
    };
    let entry = audit::Entry {
        action: if is_new { "customer.created" } else { "customer.edited" },
        subject_kind: "customer",
        subject: id.to_string(),
        detail: json!({ "changed": changed, "before": terms(&before), "after": terms(&after) }),
    };
    audit::record(conn, by.actor(), &[entry]).await?;
    Ok(Saved { id, changed })
}

/// The fields that are other than they were. Of a new customer, those that say more than that it is new.
fn changed(before: &Map<String, Value>, after: &Map<String, Value>, is_new: bool) -> Vec<String> {
    let other = |name: &&String| {
        let value = &after[name.as_str()];
        match before.get(name.as_str()) {
            Some(stored) => stored != value,
            None => !(is_new && (value.is_null() || (name.as_str() == "isApproved" && value == &Value::Bool(false)))),
        }
    };
    let known = |name: &&String| CustomerField::ALL.iter().any(|field| field.name() == name.as_str());
    after.keys().filter(known).filter(other).cloned().collect()
}

fn refuse_owned(changed: &[String], owner: &str) -> Result<(), CustomerEditError> {
    let owned = |name: &&String| {
        CustomerField::ALL.iter().any(|field| field.name() == name.as_str() && field.owner() == Owner::Source)
    };
    let fields: Vec<String> = changed.iter().filter(owned).cloned().collect();
    if fields.is_empty() { Ok(()) } else { Err(CustomerEditError::SourceOwned { fields, owner: owner.to_owned() }) }
}

fn refuse_forbidden(changed: &[String], may: Permissions) -> Result<(), CustomerEditError> {
    let needed = [Permission::CustomersEdit, Permission::CreditEdit, Permission::CustomersApprove];
    for permission in needed.into_iter().filter(|permission| !may.contains(*permission)) {
        let fields: Vec<String> = changed.iter().filter(|name| permission_for(name) == permission).cloned().collect();
        if !fields.is_empty() {
            return Err(CustomerEditError::NotYours { fields, permission });
        }
    }
    Ok(())
}
