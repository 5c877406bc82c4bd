//! Looks at the mapping files and at the answers every few seconds, and takes over what is sound.
//!
//! The files are compared by content, since network shares tell nobody of a change. An edit is taken over when two
//! looks in a row found it the same, so that a file is not read half written; a person who sends SIGHUP says that it
//! is whole.

use std::{
    path::Path,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::{task::JoinHandle, time::Instant};
use uuid::Uuid;

use super::{
    overlay,
    state::{self, State},
    unmapped, waiting,
};
use crate::{
    audit::Actor,
    hub::{engine::Engine, meters},
    mapping::{Files, Library, Problem},
};

/// How many errors of an edit are told; the rest is told by `kopru mapping check`.
const TOLD: usize = 3;

/// How long the files may take to be read. A share that hangs must not keep the answers from being taken over.
const PATIENCE: Duration = Duration::from_secs(10);

/// What was mapped just before new rules came may fail after they were looked through for.
const CATCH_UP: Duration = Duration::from_secs(60);

/// Looks until the engine stops.
pub async fn watch(engine: Engine) {
    let mut watcher = Watcher::default();
    loop {
        let urgent = engine.reload_asked.swap(false, Ordering::AcqRel);
        watcher.look(&engine, urgent).await;
        tokio::select! {
            () = tokio::time::sleep(engine.settings.mappings_every) => {}
            () = engine.mappings_changed.notified() => {}
            () = engine.stop.cancelled() => return,
        }
    }
}

/// What one daemon knows between two looks.
#[derive(Debug, Default)]
pub struct Watcher {
    /// Content of the last look that differs from what is in force.
    seen: Option<String>,
    /// Content that was refused; it is not tried again.
    refused: Option<String>,
    error: Option<String>,
    told: Option<State>,
    /// When what failed for a code that is known now was looked for, and under which rules.
    caught_up: Option<((String, i64), Instant)>,
    /// The files are being read.
    reading: Option<JoinHandle<Found>>,
}

/// What a look at the directory found.
#[derive(Debug)]
enum Found {
    Same,
    Changed { hash: String, files: Files },
    Unreadable(String),
}

impl Watcher {
    /// One look. `urgent`: somebody says that the files are whole.
    pub async fn look(&mut self, engine: &Engine, urgent: bool) {
        self.look_at_files(engine, urgent).await;
        if let Err(error) = self.look_at_store(engine).await {
            tracing::debug!(%error, "the answers for unmapped codes could not be read; those that are held stay in force");
        }
    }

    /// Why the last edit is not in force.
    pub fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }

    async fn look_at_files(&mut self, engine: &Engine, urgent: bool) {
        let Some(dir) = engine.settings.mappings_dir.clone() else { return };
        let reading = self.reading.get_or_insert_with(|| {
            let (dir, held) = (dir.clone(), Arc::clone(engine.library.now().library()));
            tokio::task::spawn_blocking(move || find(&dir, &held))
        });
        let Ok(found) = tokio::time::timeout(PATIENCE, reading).await else {
            return self.settle(Some(format!("the directory {} does not answer", dir.display())));
        };
        self.reading = None;
        match found {
            Ok(Found::Same) => {
                (self.seen, self.refused) = (None, None);
                self.settle(None);
            }
            Ok(Found::Unreadable(error)) => {
                self.seen = None;
                self.settle(Some(error));
            }
            Ok(Found::Changed { hash, files }) => {
                let known = self.refused.as_ref() == Some(&hash) && !urgent;
                let whole = urgent || self.seen.as_ref() == Some(&hash);
                self.seen = Some(hash.clone());
                if known || !whole {
                    return;
                }
                match tokio::task::spawn_blocking(move || files.library()).await {
                    Ok(Ok(library)) => match lacking(engine, &library) {
                        None => {
                            engine.library.put_library(Arc::new(library));
                            tracing::info!(hash = &hash[..12], "an edit of the mappings is in force");
                            (self.seen, self.refused) = (None, None);
                            self.settle(None);
                        }
                        Some(error) => self.refuse(hash, error),
                    },
                    Ok(Err(problems)) => self.refuse(hash, told(&problems)),
                    Err(error) => self.refuse(hash, error.to_string()),
                }
            }
            Err(error) => self.settle(Some(error.to_string())),
        }
    }

    fn refuse(&mut self, hash: String, error: String) {
        self.refused = Some(hash);
        self.settle(Some(error));
    }

    /// Logged once for each change.
    fn settle(&mut self, error: Option<String>) {
        if error == self.error {
            return;
        }
        match &error {
            Some(error) => {
                tracing::error!(error, "an edit of the mappings is not taken over; the old ones stay in force");
            }
            None => tracing::info!("the mapping files are sound again"),
        }
        meters::mappings_refused(error.is_some());
        self.error = error;
    }

    async fn look_at_store(&mut self, engine: &Engine) -> Result<(), sqlx::Error> {
        let db = &engine.pool;
        overlay::refresh(db, &engine.library).await?;
        let in_force = engine.library.now();
        let rules = (in_force.library().hash().to_owned(), in_force.overlay_version());
        let current = |(at, when): &((String, i64), Instant)| *at == rules && when.elapsed() < CATCH_UP;
        if !self.caught_up.as_ref().is_some_and(current) {
            let correlation_id = Uuid::now_v7().to_string();
            let by = Actor::new("hub", &correlation_id);
            match waiting::replay_known(db, &engine.library, by).await {
                Ok(0) => {}
                Ok(letters) => tracing::info!(letters, "codes became known; what failed for them is replayed"),
                Err(error) => tracing::warn!(%error, "letters whose codes became known could not be replayed"),
            }
            unmapped::forget_known(db, &engine.library).await?;
            self.caught_up = Some((rules, Instant::now()));
        }
        let source = engine.settings.mappings_dir.as_ref().filter(|dir| dir.is_dir());
        let source = source.map_or_else(|| "built in".to_owned(), |dir| dir.display().to_string());
        let state = State::of(&in_force, &source, self.error());
        if self.told.as_ref() != Some(&state) || !state::is_stored(db, engine.id).await? {
            state::store(db, engine.id, &state).await?;
            self.told = Some(state);
        }
        Ok(())
    }
}

fn find(dir: &Path, held: &Library) -> Found {
    let gone = |place: &str| {
        Found::Unreadable(format!("{place} is not there any more: bring it back, or restart for the built-in mappings"))
    };
    // A directory that is not there says that the built-in mappings hold; one that was there and has gone does not: a
    // share that is not mounted looks the same. So it is with the folder of a system.
    if !dir.is_dir() {
        return if held.own().is_empty() { Found::Same } else { gone(&format!("the directory {}", dir.display())) };
    }
    match Files::in_force(Some(dir)) {
        Ok(files) => {
            if let Some((_, place)) = held.own().iter().find(|(system, _)| !files.own().contains_key(*system)) {
                return gone(place);
            }
            let hash = files.hash();
            if hash == held.hash() { Found::Same } else { Found::Changed { hash, files } }
        }
        Err(problems) => Found::Unreadable(told(&problems)),
    }
}

/// A stream that would be without its mapping.
fn lacking(engine: &Engine, library: &Library) -> Option<String> {
    let streams = engine.instances.values().flat_map(|instance| {
        instance.streams.iter().filter(|stream| stream.enabled).map(move |stream| (instance, stream))
    });
    let lacking: Vec<String> = streams
        .filter(|(_, stream)| library.get(&stream.mapping).is_none())
        .map(|(instance, stream)| format!("{}.{} needs {}", instance.name, stream.spec.name, stream.mapping))
        .collect();
    (!lacking.is_empty()).then(|| format!("mappings are missing: {}; bring the files back", lacking.join(", ")))
}

fn told(problems: &[Problem]) -> String {
    let mut text = problems.iter().take(TOLD).map(ToString::to_string).collect::<Vec<_>>().join("; ");
    if problems.len() > TOLD {
        text.push_str(&format!("; {} more, see `kopru mapping check`", problems.len() - TOLD));
    }
    text
}
