//! The hub under measurement: the release binary with a private cluster and a watched folder.

use std::{
    error::Error,
    ops::Deref,
    path::{Path, PathBuf},
    process::Child,
    time::Duration,
};

use sqlx::Row;

use crate::cluster::{Cluster, interrupt, peak_rss_kib};

pub struct Hub {
    cluster: Cluster,
    serve: Child,
}

impl Deref for Hub {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        &self.cluster
    }
}

/// What became of one file.
pub struct Taken {
    pub records: i64,
    pub created: i64,
    /// From its receipt until it was put away.
    pub seconds: f64,
    pub check_seconds: f64,
}

impl Taken {
    pub fn rate(&self) -> u64 {
        (self.records as f64 / self.seconds) as u64
    }
}

impl Hub {
    pub async fn start() -> Result<Hub, Box<dyn Error>> {
        let cluster = Cluster::new("files")?;
        std::fs::create_dir_all(cluster.dir().join("inbox"))?;
        let serve = cluster
            .serve("127.0.0.1:0")
            .env("KOPRU__FILES__INBOX__DIR", "inbox")
            .env("KOPRU__FILES__INBOX__INSTANCE", "logo")
            .env("KOPRU__FILES__INBOX__SETTLE_SECS", "0")
            .env("KOPRU__FILES__INBOX__EVERY_SECS", "1")
            .spawn()?;
        let hub = Hub { cluster, serve };
        hub.ready().await?;
        Ok(hub)
    }

    /// Where a file is written before it is dropped.
    pub fn aside(&self) -> PathBuf {
        self.dir().join("ITEMS.xml")
    }

    /// The file that was put away.
    pub fn kept(&self) -> Result<PathBuf, Box<dyn Error>> {
        let kept = std::fs::read_dir(self.dir().join("inbox/done"))?.flatten().map(|entry| entry.path());
        let mut files = kept.filter(|path| path.extension().is_some_and(|ending| ending == "xml"));
        files.next().ok_or_else(|| "nothing was put away".into())
    }

    /// Drops a file and waits until it is put away.
    pub async fn take(&self, file: &Path) -> Result<Taken, Box<dyn Error>> {
        let mut db = self.connect().await?;
        let before: i64 = sqlx::query_scalar("select count(*) from hub.file").fetch_one(&mut db).await?;
        std::fs::rename(file, self.dir().join("inbox/ITEMS.xml"))?;
        loop {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let row = sqlx::query(
                "select state, detail, records, created, filed_at is not null as filed,
                        extract(epoch from filed_at - received_at)::float8 as seconds,
                        extract(epoch from checked_at - received_at)::float8 as check_seconds
                 from hub.file where (select count(*) from hub.file) > $1 order by id desc limit 1",
            )
            .bind(before)
            .fetch_optional(&mut db)
            .await?;
            let Some(row) = row.filter(|row| row.get("filed")) else { continue };
            if row.get::<String, _>("state") != "done" {
                return Err(format!("the file was refused: {:?}", row.get::<Option<String>, _>("detail")).into());
            }
            let (records, created) = (row.get("records"), row.get("created"));
            return Ok(Taken {
                records,
                created,
                seconds: row.get("seconds"),
                check_seconds: row.get("check_seconds"),
            });
        }
    }

    pub fn peak_rss_kib(&self) -> Result<u64, Box<dyn Error>> {
        peak_rss_kib(&self.serve)
    }

    pub fn stop(mut self) -> Result<(), Box<dyn Error>> {
        interrupt(&mut self.serve)?;
        self.cluster.remove()
    }
}
