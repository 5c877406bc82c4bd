//! Customers found, entered and edited by people of the house.

use kopru::{
    commerce::{
        Patch,
        customers::{
            AddressLine, CustomerUpsert,
            directory::{self, CustomerFilter},
            editing::{self, CustomerEditError, Saved},
        },
    },
    page::PageRequest,
    principal::{Permission, Permissions, Role, Scope},
};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::support::{
    database::TestDatabase,
    dealers::{customer, number, somebody},
};

async fn enter(pool: &PgPool, row: CustomerUpsert<'_>) -> Result<Saved, CustomerEditError> {
    let mut tx = pool.begin().await.expect("begin");
    let saved = editing::enter(&mut tx, &somebody().by, Permissions::all(), row).await?;
    tx.commit().await.expect("commit");
    Ok(saved)
}

async fn edit(
    pool: &PgPool,
    may: Permissions,
    row: CustomerUpsert<'_>,
    owner: Option<&str>,
) -> Result<Saved, CustomerEditError> {
    let mut tx = pool.begin().await.expect("begin");
    let saved = editing::edit(&mut tx, &somebody().by, may, None, row, owner).await?;
    tx.commit().await.expect("commit");
    Ok(saved)
}

fn named<'a>(code: &'a str, title: &'a str) -> CustomerUpsert<'a> {
    CustomerUpsert { code, title: Patch::Set(title), ..CustomerUpsert::default() }
}

async fn audited(pool: &PgPool) -> Vec<Value> {
    sqlx::query_scalar(
        "select detail || jsonb_build_object('action', action, 'actor', actor) from identity.audit_event order by id",
    )
    .fetch_all(pool)
    .await
    .expect("audit")
}

#[tokio::test]
async fn a_customer_is_entered_edited_and_audited() {
    let database = TestDatabase::new().await;
    let pool = &database.pool;
    let address = AddressLine { city: Some("İstanbul"), ..AddressLine::default() };
    let entered = enter(
        pool,
        CustomerUpsert {
            credit_limit: Patch::Set(number("1000.50")),
            email: Patch::Set("a@b.example"),
            addresses: Patch::Set(vec![address]),
            ..named("B-1", "Öz Çağrı Elektronik")
        },
    )
    .await
    .expect("entered");
    assert_eq!(
        entered.changed,
        ["addresses", "code", "creditLimit", "currency", "email", "isActive", "isPerson", "title"]
    );
    let again = enter(pool, named("B-1", "Another")).await.expect_err("taken");
    assert!(matches!(&again, CustomerEditError::Refused(violation) if violation.rule == "unique"), "{again:?}");

    let change = CustomerUpsert {
        id: entered.id,
        credit_limit: Patch::Set(number("2500")),
        email: Patch::Clear,
        is_approved: Patch::Set(true),
        ..CustomerUpsert::default()
    };
    let saved = edit(pool, Permissions::all(), change.clone(), None).await.expect("edited");
    assert_eq!(saved.changed, ["creditLimit", "email", "isApproved"]);
    assert_eq!(edit(pool, Permissions::all(), change, None).await.expect("nothing to do").changed, [""; 0]);
    let audited = audited(pool).await;
    assert_eq!(audited.len(), 2, "{audited:?}");
    assert_eq!(
        audited[1],
        json!({
            "action": "customer.edited", "actor": "user:7", "changed": ["creditLimit", "email", "isApproved"],
            "before": { "creditLimit": number_json("1000.5"), "isApproved": false },
            "after": { "creditLimit": 2500, "isApproved": true },
        })
    );
    assert!(!audited[0].to_string().contains("a@b.example"), "what may be personal is named alone");
}

fn number_json(text: &str) -> Value {
    serde_json::from_str(text).expect("a number")
}

#[tokio::test]
async fn what_a_source_owns_is_changed_there() {
    let database = TestDatabase::new().await;
    let (pool, id) = (&database.pool, customer(&database.pool, "120.34.0187", Some(500)).await);
    let row = |credit_limit| CustomerUpsert { id, credit_limit, ..CustomerUpsert::default() };
    let refused = edit(pool, Permissions::all(), row(Patch::Set(number("900"))), Some("logo")).await;
    assert_eq!(
        refused.expect_err("refused").to_string(),
        "creditLimit of this customer come from logo; change them there"
    );
    // Approval is the house's own word, and what says what is there already is no change.
    let approved = CustomerUpsert { is_approved: Patch::Set(false), ..row(Patch::Set(number("500"))) };
    assert_eq!(edit(pool, Permissions::all(), approved, Some("logo")).await.expect("edited").changed, ["isApproved"]);
}

#[tokio::test]
async fn each_kind_of_change_takes_its_permission() {
    let database = TestDatabase::new().await;
    let (pool, id) = (&database.pool, customer(&database.pool, "A", None).await);
    let base = || CustomerUpsert { id, ..CustomerUpsert::default() };
    let credit = CustomerUpsert { payment_term_days: Patch::Set(30), ..base() };
    let title = CustomerUpsert { title: Patch::Set("Yeni"), ..base() };
    let withdrawn = CustomerUpsert { is_approved: Patch::Set(false), ..base() };
    let (sales, finance) = (Role::SalesManager.permissions(), Role::FinanceManager.permissions());
    let needs = |outcome: Result<Saved, CustomerEditError>| match outcome {
        Err(CustomerEditError::NotYours { permission, .. }) => permission,
        other => panic!("expected a refusal, got {other:?}"),
    };
    assert_eq!(needs(edit(pool, sales, credit.clone(), None).await), Permission::CreditEdit);
    assert_eq!(needs(edit(pool, finance, title.clone(), None).await), Permission::CustomersEdit);
    assert_eq!(needs(edit(pool, finance, withdrawn.clone(), None).await), Permission::CustomersApprove);
    edit(pool, finance, credit, None).await.expect("edited");
    edit(pool, sales, title, None).await.expect("edited");
    edit(pool, sales, withdrawn, None).await.expect("edited");
    assert_eq!(audited(pool).await.len(), 3, "what was refused left nothing");
}

#[tokio::test]
async fn bad_values_are_refused_with_their_field() {
    let database = TestDatabase::new().await;
    let (pool, id) = (&database.pool, customer(&database.pool, "A", None).await);
    let base = || CustomerUpsert { id, ..CustomerUpsert::default() };
    let long = "x".repeat(201);
    let rows = [
        ("creditLimit", "too_many_decimals", CustomerUpsert { credit_limit: Patch::Set(number("1.00001")), ..base() }),
        ("creditLimit", "negative", CustomerUpsert { credit_limit: Patch::Set(number("-1")), ..base() }),
        ("creditLimit", "out_of_range", CustomerUpsert { credit_limit: Patch::Set(number("1e20")), ..base() }),
        ("title", "required", CustomerUpsert { title: Patch::Set(""), ..base() }),
        ("title", "too_long", CustomerUpsert { title: Patch::Set(&long), ..base() }),
        ("title", "control_character", CustomerUpsert { title: Patch::Set("a\0b"), ..base() }),
        ("priceTier", "unknown_value", CustomerUpsert { price_tier: Patch::Set("D"), ..base() }),
        ("currency", "format", CustomerUpsert { currency: Patch::Set("tl"), ..base() }),
        ("paymentTermDays", "out_of_range", CustomerUpsert { payment_term_days: Patch::Set(-1), ..base() }),
        ("discountRate", "out_of_range", CustomerUpsert { discount_rate: Patch::Set(number("101")), ..base() }),
    ];
    for (field, rule, row) in rows {
        match edit(pool, Permissions::all(), row, None).await {
            Err(CustomerEditError::Refused(violation)) => assert_eq!((violation.field, violation.rule), (field, rule)),
            other => panic!("{field}: {other:?}"),
        }
    }
    let nobody = CustomerUpsert { id: id + 99, ..CustomerUpsert::default() };
    assert!(matches!(edit(pool, Permissions::all(), nobody, None).await, Err(CustomerEditError::NotFound)));
    let odd = "Robert'); DROP TABLE customer;-- <b>ığüşöçİ</b> 🛒";
    edit(pool, Permissions::all(), CustomerUpsert { title: Patch::Set(odd), ..base() }, None).await.expect("edited");
    let mut conn = pool.acquire().await.expect("a connection");
    let shown = directory::find(&mut conn, Scope::company(id), id).await.expect("the store").expect("it is there");
    assert_eq!(shown.head.title, odd);
}

#[tokio::test]
async fn customers_are_found_however_they_are_spelt() {
    let database = TestDatabase::new().await;
    let pool = &database.pool;
    for (code, title) in [
        ("120.01", "Işık Güvenlik"),
        ("120.02", "IŞIKLAR Elektronik"),
        ("120.03", "Çınar"),
        ("120.04", "%100 Depo"),
        ("120.05", "Muñoz Łódź"),
    ] {
        enter(pool, named(code, title)).await.expect("entered");
    }
    let mut conn = pool.acquire().await.expect("a connection");
    let mut found = async |search: &str, scope| -> Vec<String> {
        let filter = CustomerFilter { search: Some(search.to_owned()), ..CustomerFilter::default() };
        let page = PageRequest::new(Some(100), None).expect("a page");
        let list = directory::list(&mut conn, scope, &filter, &page).await.expect("a page");
        list.items.into_iter().map(|item| item.code).collect()
    };
    for (search, codes) in [
        ("isik", vec!["120.01", "120.02"]),
        ("IŞIK guvenlik", vec!["120.01"]),
        ("çinar", vec!["120.03"]),
        ("%", vec!["120.04"]),
        ("_", vec![]),
        ("Muñoz Łódź", vec!["120.05"]),
        ("munoz", vec!["120.05"]),
        ("120.0", vec!["120.04", "120.03", "120.01", "120.02", "120.05"]),
        ("", vec!["120.04", "120.03", "120.01", "120.02", "120.05"]),
        ("' or 1=1 --", vec![]),
        ("\0", vec!["120.04", "120.03", "120.01", "120.02", "120.05"]),
    ] {
        assert_eq!(found(search, Scope::house()).await, codes, "{search:?}");
    }
    let own: i64 = sqlx::query_scalar("select id from commerce.customer where code = '120.03'")
        .fetch_one(pool)
        .await
        .expect("an id");
    assert_eq!(found("", Scope::company(own)).await, ["120.03"]);
    assert_eq!(found("isik", Scope::company(own)).await, [""; 0]);

    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let page = PageRequest::new(Some(1), cursor).expect("a page");
        let listed =
            directory::list(&mut conn, Scope::house(), &CustomerFilter::default(), &page).await.expect("a page");
        seen.extend(listed.items.into_iter().map(|item| item.code));
        cursor = listed.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, ["120.04", "120.03", "120.01", "120.02", "120.05"]);
}
