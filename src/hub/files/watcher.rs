//! Rounds over one folder: what lies still is taken, what was taken is worked off, what is finished is put away.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;
use uuid::Uuid;

use super::{
    FileRow, FilesError, Folder, apply, mapping_of, on_disk, shelf,
    sightings::{self, Sight, Sightings},
    store,
    survey::{Found, Reading, survey},
};
use crate::{
    hub::{engine::Engine, leases, meters},
    mapping::{Format, stream::Charset},
};

/// How often finished files are forgotten when their time is up.
const FORGET_EVERY: Duration = Duration::from_secs(3600);

/// What a round did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Round {
    /// Another process watches the folder.
    pub elsewhere: bool,
    /// Files that were moved into `work/`.
    pub taken: usize,
    /// Files that were put away.
    pub filed: usize,
    /// Files that wait for something, which their rows tell.
    pub waiting: usize,
}

/// Watches one folder.
pub struct Watcher {
    engine: Engine,
    folder: Arc<Folder>,
    sightings: Sightings,
    forgot: Option<Instant>,
}

/// Watches until the engine stops.
pub async fn watch(engine: Engine, folder: Arc<Folder>) {
    let mut watcher = Watcher::new(&engine, Arc::clone(&folder));
    let mut told = None;
    while !engine.stop.is_cancelled() {
        match watcher.round().await {
            Ok(_) => told = None,
            Err(FilesError::Stopped) => return,
            Err(error) => {
                // The same trouble is told once, not every few seconds.
                let text = error.to_string();
                if told.as_ref() != Some(&text) {
                    tracing::warn!(folder = folder.name, error = text, "a watched folder waits; it is tried again");
                }
                told = Some(text);
            }
        }
        tokio::select! {
            () = tokio::time::sleep(folder.every) => {}
            () = engine.stop.cancelled() => {}
        }
    }
}

impl Watcher {
    pub fn new(engine: &Engine, folder: Arc<Folder>) -> Watcher {
        Watcher { engine: engine.clone(), folder, sightings: Sightings::default(), forgot: None }
    }

    /// One look at the folder, and everything that follows from it.
    pub async fn round(&mut self) -> Result<Round, FilesError> {
        let mut round = Round::default();
        if !self.holds_lease().await? {
            self.sightings.forget();
            round.elsewhere = true;
            return Ok(round);
        }
        let folder = Arc::clone(&self.folder);
        on_disk(move || folder.prepare()).await?;
        let stuck = self.mend(&mut round).await?;
        round.taken = self.take().await?;
        for (id, name, sight) in self.in_work().await?.into_iter().filter(|(id, ..)| !stuck.contains(id)) {
            if self.engine.stop.is_cancelled() {
                return Err(FilesError::Stopped);
            }
            match self.work_off(id, &name, &sight).await {
                Ok(()) => round.filed += 1,
                Err(error) => self.tell(id, error, &mut round).await?,
            }
        }
        self.forget().await?;
        Ok(round)
    }

    async fn holds_lease(&self) -> Result<bool, FilesError> {
        let engine = &self.engine;
        Ok(leases::acquire(&engine.pool, &self.folder.lease(), engine.id, engine.settings.lease).await?)
    }

    /// What keeps one file keeps no other, unless it is nobody's folder any more.
    async fn tell(&self, id: Uuid, error: FilesError, round: &mut Round) -> Result<(), FilesError> {
        if matches!(error, FilesError::Stopped | FilesError::LeaseLost | FilesError::Database(_)) {
            return Err(error);
        }
        round.waiting += 1;
        let problem = error.to_string();
        tracing::debug!(folder = self.folder.name, file.id = %id, error = problem, "a file waits");
        let before = store::get(&self.engine.pool, id).await?.and_then(|file| file.problem);
        if before.as_ref() != Some(&problem) {
            tracing::warn!(folder = self.folder.name, file.id = %id, error = problem, "a file waits; it is tried again");
        }
        store::note_problem(&self.engine.pool, id, &problem).await?;
        Ok(())
    }

    /// Files that a crash left between two places, and those that a person asks for again.
    /// Answers those that have to wait.
    async fn mend(&self, round: &mut Round) -> Result<Vec<Uuid>, FilesError> {
        let mut stuck = Vec::new();
        for file in store::unfiled(&self.engine.pool, &self.folder.name).await? {
            let mended = match file.state.as_str() {
                "again" => self.take_back(&file).await,
                "done" | "failed" => self.put_away(&file).await,
                _ => self.look_for(&file).await,
            };
            match mended {
                Ok(filed) => round.filed += usize::from(filed),
                Err(error) => {
                    stuck.push(file.id);
                    self.tell(file.id, error, round).await?;
                }
            }
        }
        Ok(stuck)
    }

    /// What is in hand must be in `work/`; what is not may come back with a share that is away.
    async fn look_for(&self, file: &FileRow) -> Result<bool, FilesError> {
        let path = self.folder.work().join(&file.work_name);
        on_disk(move || fs::metadata(&path).map(|_| false).map_err(FilesError::disk("find", &path))).await
    }

    async fn take_back(&self, file: &FileRow) -> Result<bool, FilesError> {
        let (folder, row) = (Arc::clone(&self.folder), file.clone());
        if on_disk(move || shelf::take_back(&folder, &row)).await? {
            store::begin_again(&self.engine.pool, file.id).await?;
        } else {
            let name = file.kept_name.as_deref().unwrap_or(&file.work_name);
            store::stays(&self.engine.pool, file.id, &format!("{name} is not where it was put")).await?;
        }
        Ok(false)
    }

    /// Moves what lies still into `work/`, where its name begins with the id of its row.
    async fn take(&mut self) -> Result<usize, FilesError> {
        let folder = Arc::clone(&self.folder);
        let sights = on_disk(move || {
            let sights = sightings::list(&folder.dir).map_err(FilesError::disk("look into", &folder.dir))?;
            Ok(sights.into_iter().filter(|sight| folder.take_of(&sight.name).is_some()).collect::<Vec<_>>())
        })
        .await?;
        let settled = self.sightings.settled(sights, Instant::now(), self.folder.settle);
        if settled.is_empty() {
            return Ok(0);
        }
        let folder = Arc::clone(&self.folder);
        on_disk(move || {
            let mut taken = 0;
            for sight in sightings::closed(&folder.dir, settled) {
                let from = folder.dir.join(&sight.entry);
                let to = folder.work().join(format!("{}_{}", Uuid::now_v7(), shelf::short(&sight.name)));
                match fs::rename(&from, to) {
                    Ok(()) => taken += 1,
                    // Somebody has thought better of it.
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                    // The others have nothing to do with it.
                    Err(error) => {
                        let error = FilesError::disk("take", from)(error).to_string();
                        tracing::warn!(folder = folder.name, error, "a file cannot be taken; it is tried again");
                    }
                }
            }
            Ok(taken)
        })
        .await
    }

    /// What lies in `work/`, in the order in which it was taken: id, the file's own name, and how it lies there.
    async fn in_work(&self) -> Result<Vec<(Uuid, String, Sight)>, FilesError> {
        let folder = Arc::clone(&self.folder);
        on_disk(move || {
            let sights = sightings::list(&folder.work()).map_err(FilesError::disk("look into", folder.work()))?;
            let mut found: Vec<_> = sights
                .into_iter()
                .filter_map(|sight| {
                    let (id, name) = sight.name.split_once('_')?;
                    Some((id.parse::<Uuid>().ok()?, name.to_owned(), sight.clone()))
                })
                .collect();
            found.sort_by_key(|(id, ..)| *id);
            Ok(found)
        })
        .await
    }

    /// Takes a file to its end.
    async fn work_off(&self, id: Uuid, name: &str, sight: &Sight) -> Result<(), FilesError> {
        let db = &self.engine.pool;
        let path = self.folder.work().join(&sight.name);
        let mut file =
            store::ensure(db, id, &self.folder.name, name, &sight.name, &self.folder.instance, sight.size).await?;
        loop {
            match file.state.as_str() {
                "again" => store::begin_again(db, id).await?,
                "taken" => self.check(&file, path.clone()).await?,
                "applying" => {
                    let reading = self.reading(&file, &path).await?;
                    let applied = apply::apply(&self.engine, &self.folder, &file, &reading, path.clone()).await;
                    let whole = match applied {
                        Ok(()) => store::finish(db, id).await?,
                        Err(FilesError::Changed) => false,
                        Err(error) => return Err(error),
                    };
                    if !whole {
                        store::changed(db, id).await?;
                    }
                }
                _ => return self.put_away(&file).await.map(|_| ()),
            }
            let before = (file.state.clone(), file.records);
            file = store::get(db, id).await?.ok_or(sqlx::Error::RowNotFound)?;
            if (file.state.clone(), file.records) == before {
                // Another process is at it.
                return Err(FilesError::LeaseLost);
            }
        }
    }

    async fn check(&self, file: &FileRow, path: PathBuf) -> Result<(), FilesError> {
        let (engine, folder, name) = (self.engine.clone(), Arc::clone(&self.folder), file.name.clone());
        let found = on_disk(move || {
            survey(&folder, &|mapping| mapping_of(&engine, &folder, mapping), &name, &path, &engine.stop)
        })
        .await?;
        let db = &self.engine.pool;
        match found {
            Found::Sound(survey) => {
                tracing::info!(
                    folder = self.folder.name,
                    file.id = %file.id,
                    records = survey.records,
                    mapping = survey.mapping,
                    "a file is sound and is applied"
                );
                store::sound(db, file.id, &survey).await?;
            }
            Found::Broken { sha256, broken } => {
                tracing::warn!(folder = self.folder.name, file.id = %file.id, %broken, "a file is refused whole");
                store::broken(db, file.id, sha256.as_ref(), &broken).await?;
            }
        }
        Ok(())
    }

    /// How a sound file is read, as its row says.
    async fn reading(&self, file: &FileRow, path: &Path) -> Result<Reading, FilesError> {
        let name = file.mapping.clone().unwrap_or_default();
        let mapping = mapping_of(&self.engine, &self.folder, &name).ok_or(FilesError::UnknownMapping(name))?;
        let format = file.format.as_deref().and_then(Format::parse).unwrap_or(Format::Xml);
        let (path, label) = (path.to_owned(), file.encoding.clone().unwrap_or_default());
        on_disk(move || {
            let mut head = Vec::new();
            fs::File::open(&path)
                .and_then(|file| file.take(4).read_to_end(&mut head))
                .map_err(FilesError::disk("read", &path))?;
            // The first pass has found it readable.
            let charset = Charset::by_name(&label).and_then(|charset| charset.with_mark(&head));
            Ok(Reading { format, charset: charset.map_err(|_| FilesError::Changed)?, mapping })
        })
        .await
    }

    async fn put_away(&self, file: &FileRow) -> Result<bool, FilesError> {
        if !self.holds_lease().await? {
            return Err(FilesError::LeaseLost);
        }
        let failures = store::failures(&self.engine.pool, file.id).await?;
        let (folder, row) = (Arc::clone(&self.folder), file.clone());
        let kept_name = on_disk(move || shelf::put_away(&folder, &row, &failures)).await?;
        store::filed(&self.engine.pool, file.id, &kept_name).await?;
        meters::file(&self.folder.name, &file.state);
        tracing::info!(
            folder = self.folder.name,
            file.id = %file.id,
            state = file.state,
            records = file.records,
            created = file.created,
            updated = file.updated,
            unchanged = file.unchanged,
            failed = file.failed,
            "a file is put away"
        );
        Ok(true)
    }

    async fn forget(&mut self) -> Result<(), FilesError> {
        if self.forgot.is_some_and(|at| at.elapsed() < FORGET_EVERY) {
            return Ok(());
        }
        let days = u64::from(self.engine.settings.history_days);
        store::forget(&self.engine.pool, Duration::from_secs(days * 24 * 3600)).await?;
        self.forgot = Some(Instant::now());
        Ok(())
    }
}
