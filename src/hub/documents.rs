//! Queued documents: deferred records that are due again, and replays. Mapped with today's mapping and applied through
//! the same way as a page, in one transaction with their outcomes.

use std::collections::HashMap;

use kopru_sdk::Cause;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    dead_letters::{self, NewLetter},
    deferral,
    engine::Engine,
    keyed,
    mappings::{self, unmapped},
    messages::{self, Claimed, Finish, NewMessage, unpack},
    pages::{ApplyError, Failure, Fate, Items, ItemsContext, Receipt, Verdict, missing_of, rejected},
    states::MessageState,
};
use crate::{
    canonical::Entity,
    commerce::WriteContext,
    mapping::{Effective, Format, Mapped, Unmapped},
    outbox::Provenance,
};

pub fn format_word(word: &str) -> &'static str {
    parse_format(word).as_str()
}

/// What the store holds was written by [`Format::as_str`].
pub(super) fn parse_format(word: &str) -> Format {
    Format::parse(word).unwrap_or(Format::Json)
}

/// Works off claimed documents of one connector, stream and mapping.
pub async fn work(
    engine: &Engine,
    connector: &str,
    mapping_name: Option<&str>,
    claimed: &[Claimed],
    isolate: bool,
) -> Result<(), ApplyError> {
    let started_at = engine.database_now().await?;
    // A replay that was asked for because of an answer is mapped with that answer.
    mappings::overlay::refresh(&engine.pool, &engine.library).await?;
    let mut tx = keyed::begin(&engine.pool).await?;
    let ids: Vec<Uuid> = claimed.iter().map(|message| message.id).collect();
    let ours = messages::still_ours(&mut tx, engine.id, &ids).await?;
    let claimed: Vec<&Claimed> = claimed.iter().filter(|message| ours.contains(&message.id)).collect();
    let ids: Vec<Uuid> = ours.into_iter().collect();
    let bodies: Vec<Result<Vec<u8>, std::io::Error>> = claimed.iter().map(|message| unpack(&message.body)).collect();
    let mapping = mapping_name.and_then(|name| engine.library.get_for(connector, name));

    let mut plan = Plan::default();
    let mut mapped: Vec<Option<Vec<Mapped<'_>>>> = Vec::with_capacity(claimed.len());
    for (place, (message, body)) in claimed.iter().zip(&bodies).enumerate() {
        let result = match (&mapping, body) {
            (None, _) => Err(ours_failure(
                "mapping_missing",
                format!("the mapping `{}` is not in the library", mapping_name.unwrap_or("")),
            )),
            (_, Err(error)) => Err(ours_failure("payload_unreadable", error.to_string())),
            (Some(mapping), Ok(body)) => mapping
                .map_with_parts(parse_format(&message.format), body)
                .map_err(|unreadable| data_failure("unreadable", unreadable.to_string())),
        };
        match result {
            Ok(mut document) => {
                // An edited document that says no version is as old as the one that it was made from.
                let own = document.iter_mut().take(1).filter(|_| message.dead_letter_id.is_some());
                for change in own.flat_map(|mapped| &mut mapped.changes) {
                    change.version = change.version.take().or_else(|| message.version());
                }
                if let Some(record) = document.iter().find_map(|mapped| mapped.rejected.first()) {
                    plan.dead(place, rejected(record), None);
                } else if document.iter().all(|mapped| mapped.changes.is_empty()) {
                    // Skipped by the mapping of today: nothing to do is an answer too.
                    plan.finish(place, Finish::Final { state: MessageState::Done, internal_id: None, failure: None });
                }
                mapped.push(Some(document));
            }
            Err(failure) => {
                plan.dead(place, failure, None);
                mapped.push(None);
            }
        }
    }

    if let Some(mapping) = &mapping {
        let stream = claimed.first().and_then(|message| message.stream.as_deref());
        let scope = Scope { connector, stream, mapping, isolate };
        apply_documents(engine, &mut tx, &scope, &claimed, &mapped, &mut plan).await?;
    }
    let hash = mapping.as_ref().map(|mapping| mapping.hash().to_owned());
    if let Some(hash) = &hash {
        messages::mapped_with(&mut tx, &ids, hash).await?;
    }
    plan.write(engine, &mut tx, &claimed, &bodies, hash.as_deref(), started_at).await?;
    if let Some(mapping) = &mapping {
        let found: Vec<Unmapped> =
            mapped.iter().flatten().flatten().flat_map(|document| document.unmapped.clone()).collect();
        unmapped::count(&mut tx, connector, mapping, &found).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// What the documents of a batch share.
struct Scope<'a> {
    connector: &'a str,
    stream: Option<&'a str>,
    mapping: &'a Effective,
    isolate: bool,
}

async fn apply_documents(
    engine: &Engine,
    tx: &mut PgConnection,
    scope: &Scope<'_>,
    claimed: &[&Claimed],
    mapped: &[Option<Vec<Mapped<'_>>>],
    plan: &mut Plan,
) -> Result<(), ApplyError> {
    let Scope { connector, stream, mapping, isolate } = *scope;
    let mut items = Items::new(claimed.len(), None);
    for (place, document) in mapped.iter().enumerate() {
        let Some(document) = document else { continue };
        if !plan.is_settled(place) {
            let receipt = Receipt { at: claimed[place].received_at, first: claimed[place].ordinal };
            items.add(mapping, document, receipt, |_| place);
        }
    }
    if items.is_settled() {
        return Ok(());
    }
    let replaying: Vec<Uuid> = claimed.iter().filter_map(|message| message.dead_letter_id).collect();
    let context = ItemsContext {
        connector,
        stream,
        write: WriteContext::source(Provenance {
            origin: connector,
            bulk: false,
            correlation_id: &claimed[0].correlation_id,
            place: None,
            now: engine.clock.now(),
        }),
        isolate,
        replaying: &replaying,
        stands_alone: false,
    };
    let fates = items.apply(tx, engine, &context).await?;
    for (place, fate) in fates.into_iter().enumerate() {
        let Some(Fate { verdict, part }) = fate else { continue };
        let entity = part
            .checked_sub(1)
            .and_then(|part| mapping.parts().get(part))
            .map_or(mapping.entity(), |part| part.entity());
        let claim = claimed[place];
        let done = |state, internal_id| Finish::Final { state, internal_id, failure: None };
        match verdict {
            Verdict::Created(id) | Verdict::Updated(id) => plan.finish(place, done(MessageState::Done, Some(id))),
            Verdict::Unchanged(_) => plan.finish(place, done(MessageState::Unchanged, None)),
            Verdict::Stale(_) if claim.dead_letter_id.is_some() => {
                plan.finish(place, done(MessageState::Superseded, None));
            }
            Verdict::Stale(_) => plan.finish(place, done(MessageState::Stale, None)),
            Verdict::Superseded(_) => plan.finish(place, done(MessageState::Superseded, None)),
            Verdict::Deferred(waits_for) => plan.wait(place, claim, entity, waits_for),
            Verdict::Refused(failure) => {
                let missing = missing_of(&failure, entity);
                plan.dead(place, *failure, missing);
            }
        }
    }
    Ok(())
}

fn ours_failure(reason: &str, detail: String) -> Failure {
    Failure { cause: Cause::Ours, reason: reason.to_owned(), field: None, value: None, detail }
}

fn data_failure(reason: &str, detail: String) -> Failure {
    Failure { cause: Cause::Data, reason: reason.to_owned(), field: None, value: None, detail }
}

/// What becomes of each document, gathered before any of it is written.
#[derive(Default)]
struct Plan {
    finishes: HashMap<usize, Finish>,
    letters: HashMap<usize, (Failure, Option<(Entity, String)>)>,
    waits: HashMap<usize, Vec<(Entity, String)>>,
}

impl Plan {
    fn is_settled(&self, place: usize) -> bool {
        self.finishes.contains_key(&place)
    }

    fn finish(&mut self, place: usize, finish: Finish) {
        self.finishes.insert(place, finish);
    }

    fn dead(&mut self, place: usize, failure: Failure, missing: Option<(Entity, String)>) {
        let state = MessageState::Dead;
        self.finish(place, Finish::Final { state, internal_id: None, failure: Some(failure.clone()) });
        self.letters.insert(place, (failure, missing));
    }

    /// Still missing: waits on, unless its time is up or it is a replay, whose letter says what it lacks.
    fn wait(&mut self, place: usize, claim: &Claimed, entity: Entity, waits_for: Vec<(Entity, String)>) {
        let is_replay = claim.dead_letter_id.is_some();
        match waits_for.first() {
            Some((target, code)) if claim.gives_up || is_replay => {
                let field = entity
                    .fields()
                    .iter()
                    .position(|field| matches!(field.kind, crate::canonical::FieldType::Ref(of) if of == *target));
                let failure = super::pages::missing_reference(entity, field.unwrap_or(usize::MAX), *target, code);
                self.dead(place, failure, Some((*target, code.clone())));
            }
            _ => {
                self.waits.insert(place, waits_for);
            }
        }
    }

    async fn write(
        self,
        engine: &Engine,
        tx: &mut PgConnection,
        claimed: &[&Claimed],
        bodies: &[Result<Vec<u8>, std::io::Error>],
        mapping_hash: Option<&str>,
        started_at: chrono::DateTime<chrono::Utc>,
    ) -> Result<(), ApplyError> {
        for (place, waits_for) in &self.waits {
            deferral::wait_again(tx, claimed[*place], waits_for, engine.settings.defer_for).await?;
        }
        let mut fresh = Vec::new();
        for (place, (failure, missing)) in &self.letters {
            let claim = claimed[*place];
            match claim.dead_letter_id {
                Some(letter) => {
                    dead_letters::reopen(tx, letter, failure, missing.as_ref(), mapping_hash).await?;
                }
                None => {
                    let message = NewMessage {
                        id: claim.id,
                        kind: messages::DOCUMENT.into(),
                        connector: claim.connector.clone(),
                        stream: claim.stream.clone(),
                        entity: claim.entity.as_deref().and_then(Entity::parse).map(Entity::as_str),
                        key: claim.key.clone(),
                        version: claim.version(),
                        mapping: claim.mapping.clone(),
                        mapping_hash: mapping_hash.map(str::to_owned),
                        format: format_word(&claim.format),
                        body: bodies[*place].as_ref().map_or_else(|_| claim.body.clone(), Clone::clone),
                        correlation_id: claim.correlation_id.clone(),
                        run_id: claim.run_id,
                        dead_letter_id: None,
                        received_at: claim.received_at,
                        ordinal: claim.ordinal,
                    };
                    let carried = dead_letters::carried_by(engine, &message);
                    let (failure, missing) = (failure.clone(), missing.clone());
                    fresh.push(NewLetter { message, failure, missing, attempts: claim.attempts + 1, carried });
                }
            }
        }
        dead_letters::record(tx, &fresh).await?;
        let mut replayed = Vec::new();
        let mut overtaken = Vec::new();
        for (place, finish) in &self.finishes {
            if let (Some(letter), Finish::Final { state, .. }) = (claimed[*place].dead_letter_id, finish) {
                match state {
                    MessageState::Dead => {}
                    MessageState::Superseded | MessageState::Stale => overtaken.push(letter),
                    _ => replayed.push(letter),
                }
            }
        }
        dead_letters::resolve(tx, &replayed, "replayed", "hub", None).await?;
        dead_letters::resolve(tx, &overtaken, "superseded", "hub", None).await?;
        let outcomes: Vec<(&Claimed, Finish)> =
            self.finishes.into_iter().map(|(place, finish)| (claimed[place], finish)).collect();
        messages::finish(tx, engine.id, started_at, &outcomes).await?;
        Ok(())
    }
}
