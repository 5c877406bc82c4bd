//! One item or many through the intake, and what is answered.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use axum::{http::StatusCode, response::Response};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Pushed, document::Document};
use crate::{
    canonical::Entity,
    http::{
        caller::Caller,
        idempotency::{Answer, Idempotent, Stop},
        problem::{FieldError, Problem},
    },
    hub::{
        engine::Engine,
        handover::Announced,
        intake::{self, IntakeError, Item, ItemStatus, Submission, Submitted},
        keyed::by_key,
        links, meters,
        pages::{ApplyError, Failure},
        patience::{Patience, Try},
        runs::Tally,
    },
    identity::people::Visit,
    mapping::{Format, OnMissing},
};

/// Who pushes, in which request.
pub(super) struct Sender {
    pub(super) engine: Engine,
    pub(super) caller: Caller,
    pub(super) request: Idempotent,
    pub(super) visit: Visit,
    /// Of stock levels: the reading that they are of.
    pub(super) reading: Option<i64>,
}

/// What one push came to.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct PushedOne {
    /// Always true; a failure is a problem document that carries `success: false` and `error`.
    pub(super) success: bool,
    pub(super) external_code: String,
    /// The hub's id of the record.
    pub(super) id: Option<i64>,
    /// The same as `id`.
    pub(super) vesmarket_id: Option<i64>,
    pub(super) is_new: bool,
    /// `created`, `updated`, `unchanged`; `stale` when a newer version is there already.
    pub(super) status: &'static str,
}

/// What a bulk came to, in the order of the request. The counts add up to `totalCount`.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct PushedMany {
    /// Nothing failed.
    is_success: bool,
    total_count: usize,
    created_count: usize,
    updated_count: usize,
    unchanged_count: usize,
    stale_count: usize,
    duplicate_count: usize,
    failed_count: usize,
    items: Vec<PushedItem>,
    /// What is wrong with the items that failed.
    errors: Vec<FieldError>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct PushedItem {
    /// Null when the item has none.
    external_code: Option<String>,
    entity_id: Option<i64>,
    is_new: bool,
    is_success: bool,
    /// `created`, `updated`, `unchanged`, `stale`, `duplicate` (a later item of this request has the same code) or
    /// `failed`.
    status: &'static str,
    error: Option<String>,
    /// Which rule was broken, for programs: `missing_reference`.
    code: Option<String>,
    /// Under which the item is kept until it is mended.
    dead_letter_id: Option<Uuid>,
}

/// What a try needs; tries may be many.
struct Push {
    engine: Engine,
    instance: String,
    visit: Visit,
    pushed: Pushed,
    body: Bytes,
    bulk: bool,
    /// By the first try: what came first stays first, however often it has to be tried again.
    received_at: OnceLock<DateTime<Utc>>,
    reading: Option<i64>,
    /// Of a short form: the code of the product that the answer names.
    product: Option<String>,
    /// Of the try that was the last.
    tally: Mutex<Option<Tally>>,
}

/// Refuses a key whose system is not configured: nobody has said what that may create.
pub(super) fn require_instance(engine: &Engine, caller: &Caller) -> Result<(), Problem> {
    let instance = &caller.instance;
    if engine.instances.contains_key(instance) {
        return Ok(());
    }
    let known = engine.instance_names();
    let known = if known.is_empty() { "none is".to_owned() } else { known.join(", ") };
    let detail = format!(
        "this API key speaks for `{instance}`, and no such system is configured and switched on (configured: {known}); \
         configure [connectors.{instance}], or use a key of a configured one"
    );
    Err(Problem::new(
        StatusCode::FORBIDDEN,
        "instance_not_configured",
        "The API key's system is not configured",
        detail,
    ))
}

pub(super) async fn one(sender: Sender, pushed: Pushed, document: Document) -> Result<Response, Problem> {
    sender.caller.require("integration:write")?;
    require_instance(&sender.engine, &sender.caller)?;
    let body = document.one().map_err(unsuccessful)?;
    run(sender, pushed, &document.0, body, false, None).await
}

pub(super) async fn many(sender: Sender, pushed: Pushed, document: Document) -> Result<Response, Problem> {
    sender.caller.require("integration:write")?;
    require_instance(&sender.engine, &sender.caller)?;
    document.many(pushed.list).map_err(unsuccessful)?;
    let body = document.0.clone();
    run(sender, pushed, &document.0, body, true, None).await
}

/// A short form: parts of a product, named by the product's code.
pub(super) async fn part(sender: Sender, pushed: Pushed, document: Document) -> Result<Response, Problem> {
    #[derive(Deserialize)]
    struct Named {
        #[serde(default)]
        code: serde_json::Value,
    }
    sender.caller.require("integration:write")?;
    require_instance(&sender.engine, &sender.caller)?;
    let body = document.one().map_err(unsuccessful)?;
    let named: Option<Named> = serde_json::from_slice(&document.0).ok();
    let product = match named.map(|named| named.code) {
        Some(serde_json::Value::String(code)) => code.trim_end_matches(' ').to_owned(),
        Some(serde_json::Value::Number(code)) => code.to_string(),
        _ => String::new(),
    };
    run(sender, pushed, &document.0, body, false, Some(product)).await
}

async fn run(
    sender: Sender,
    pushed: Pushed,
    sent: &[u8],
    body: Bytes,
    bulk: bool,
    product: Option<String>,
) -> Result<Response, Problem> {
    let Sender { engine, caller, request, visit, reading } = sender;
    let received_at = OnceLock::new();
    let instance = caller.instance.clone();
    let tally = Mutex::default();
    // Of what else is pushed the header says nothing.
    let reading = reading.filter(|_| pushed.entity == Entity::Stock);
    let push = Push { engine, instance, visit, pushed, body, bulk, received_at, reading, product, tally };
    let push = Arc::new(push);
    let mut patience = Patience::default();
    let answer = request
        .run(&caller.actor(), sent, |tx| {
            let (push, turn) = (Arc::clone(&push), patience.next_try());
            Box::pin(async move { push.attempt(tx, turn).await })
        })
        .await;
    if let Some(tally) = push.lock_tally().take() {
        meters::submitted(&push.instance, pushed.stream, &tally);
    }
    answer
}

impl Push {
    async fn attempt(&self, tx: &mut PgConnection, turn: Try) -> Result<Answer, Stop> {
        let now = by_key(tx).await?;
        let submission = Submission {
            connector: &self.instance,
            stream: self.pushed.stream,
            mapping: self.pushed.mapping,
            format: Format::Json,
            body: &self.body,
            correlation_id: &self.visit.correlation_id,
            origin: &self.instance,
            run_id: None,
            on_missing: Some(OnMissing::Fail),
            keep_failed: self.bulk,
            bulk: false,
            received_at: *self.received_at.get_or_init(|| now),
            first: 0,
            isolate: turn.isolates,
            recalls: turn.is_first,
            // What is refused is answered as a problem, and that undoes everything.
            stands_alone: !self.bulk && turn.is_first,
        };
        let announced =
            self.reading.map(|number| Announced { engine: &self.engine, connector: &self.instance, number });
        if let Some(announced) = announced
            && !announced.stands(tx).await?
        {
            return Err(unsuccessful(overtaken(announced.number)).into());
        }
        let submitted = intake::submit(tx, &self.engine, &submission).await?;
        if let Some(announced) = announced {
            let taken = [ItemStatus::Created, ItemStatus::Updated, ItemStatus::Unchanged];
            let current = submitted.items.iter().filter(|item| taken.contains(&item.status));
            announced.wrote(tx, &current.filter_map(|item| item.internal_id).collect::<Vec<_>>()).await?;
        }
        *self.lock_tally() = Some(submitted.tally);
        if self.bulk {
            return Ok(Answer::json(StatusCode::OK, &many_of(submitted, self.pushed.list))?);
        }
        let Some(item) = submitted.items.into_iter().next() else {
            return Err(self.left_out().into());
        };
        let mut answer = one_of(item)?;
        if let Some(product) = &self.product {
            let link = links::find(&mut *tx, &self.instance, Entity::Product, product).await?;
            answer.id = link.map(|link| link.internal_id);
            answer.vesmarket_id = answer.id;
            answer.external_code.clone_from(product);
            answer.is_new = false;
            if answer.status == ItemStatus::Created.as_str() {
                answer.status = ItemStatus::Updated.as_str();
            }
        }
        Ok(Answer::json(StatusCode::OK, &answer)?)
    }

    fn lock_tally(&self) -> MutexGuard<'_, Option<Tally>> {
        // Counters are whole whatever happened to who held them.
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The mapping leaves out what carries nothing for it.
    fn left_out(&self) -> Problem {
        let field = if self.pushed.entity == Entity::Stock { "quantity" } else { "listPrice" };
        failed(vec![FieldError {
            field: field.to_owned(),
            code: "missing_field".into(),
            message: "the field is required, and the document gives nothing for it".to_owned(),
        }])
    }
}

fn one_of(item: Item) -> Result<PushedOne, Problem> {
    if let Some(failure) = &item.failure {
        return Err(failed(vec![FieldError {
            field: item.source.unwrap_or_default(),
            code: failure.reason.clone().into(),
            message: failure.detail.clone(),
        }]));
    }
    Ok(PushedOne {
        success: true,
        external_code: item.code.unwrap_or_default(),
        id: item.internal_id,
        vesmarket_id: item.internal_id,
        is_new: item.is_new,
        status: item.status.as_str(),
    })
}

/// Levels of a reading that is not the last one.
fn overtaken(number: i64) -> Problem {
    let detail = format!(
        "reading {number} is not the one that this system began last; begin one (POST /api/integration/stock/readings), read the \
         stock, and push with its number"
    );
    Problem::new(StatusCode::CONFLICT, "reading_overtaken", "Another reading of the stock was begun", detail)
}

/// A refusal as whoever pushes reads it.
pub(super) fn unsuccessful(problem: Problem) -> Problem {
    let error = problem.detail().to_owned();
    problem.member("success", false).member("error", error)
}

/// The problem of an item that stands alone.
fn failed(errors: Vec<FieldError>) -> Problem {
    let error = errors.first().map(|error| said(&error.field, &error.code, &error.message)).unwrap_or_default();
    Problem::invalid(errors).member("success", false).member("error", error)
}

/// What is wrong, in one sentence. A missing reference names what is missing by itself.
fn said(field: &str, rule: &str, detail: &str) -> String {
    if field.is_empty() || rule == "missing_reference" { detail.to_owned() } else { format!("{field}: {detail}") }
}

fn many_of(submitted: Submitted, list: &str) -> PushedMany {
    let mut errors = Vec::new();
    let mut items = Vec::with_capacity(submitted.items.len());
    for item in submitted.items {
        let mut error = None;
        if let Some(Failure { reason, detail, .. }) = item.failure.as_deref() {
            let field = item.source.as_deref().unwrap_or_default();
            let place = format!("{list}[{}]", item.ordinal);
            errors.push(FieldError {
                field: if field.is_empty() { place } else { format!("{place}.{field}") },
                code: reason.clone().into(),
                message: detail.clone(),
            });
            error = Some(said(field, reason, detail));
        }
        items.push(PushedItem {
            external_code: item.code,
            entity_id: item.internal_id,
            is_new: item.is_new,
            is_success: item.failure.is_none(),
            status: item.status.as_str(),
            error,
            code: item.failure.map(|failure| failure.reason),
            dead_letter_id: item.dead_letter_id,
        });
    }
    let count = |status: ItemStatus| items.iter().filter(|item| item.status == status.as_str()).count();
    PushedMany {
        is_success: errors.is_empty(),
        total_count: items.len(),
        created_count: count(ItemStatus::Created),
        updated_count: count(ItemStatus::Updated),
        unchanged_count: count(ItemStatus::Unchanged),
        stale_count: count(ItemStatus::Stale),
        duplicate_count: count(ItemStatus::Duplicate),
        failed_count: count(ItemStatus::Failed),
        errors,
        items,
    }
}

impl From<IntakeError> for Stop {
    fn from(error: IntakeError) -> Stop {
        match error {
            IntakeError::Apply(error) => error.into(),
            IntakeError::Unreadable(unreadable) => unsuccessful(Problem::bad_request(unreadable.to_string())).into(),
            error @ IntakeError::UnknownMapping(_) => Problem::internal(error).into(),
        }
    }
}

impl From<ApplyError> for Stop {
    fn from(error: ApplyError) -> Stop {
        match error {
            ApplyError::Conflict | ApplyError::Recalled | ApplyError::Unguarded => Stop::Again(Box::new(error)),
            ApplyError::Database(error) => error.into(),
            error => Problem::internal(error).into(),
        }
    }
}
