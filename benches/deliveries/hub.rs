//! The hub under measurement: the release binary with a private cluster, and one endpoint that is told everything.

use std::{
    process::{Child, Command},
    time::{Duration, Instant},
};

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tokio::sync::Mutex;

use crate::{
    Failure,
    cluster::{Cluster, KOPRU, interrupt},
};

pub struct Hub {
    cluster: Cluster,
    serve: Child,
    db: Mutex<PgConnection>,
}

/// Finished deliveries of one statement.
const SLICE: i64 = 100_000;

fn boxed(error: Box<dyn std::error::Error>) -> Failure {
    error.to_string().into()
}

impl Hub {
    pub async fn start(at_once: usize, receiver: &str) -> Result<Hub, Failure> {
        let cluster = Cluster::new("deliveries").map_err(boxed)?;
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let settings =
            [("KOPRU__WEBHOOKS__ALLOW", "127.0.0.0/8".to_owned()), ("KOPRU__WEBHOOKS__AT_ONCE", at_once.to_string())];
        let serve = cluster.serve(&format!("127.0.0.1:{port}")).envs(settings.clone()).spawn()?;
        cluster.ready().await.map_err(boxed)?;
        let added = Command::new(KOPRU)
            .current_dir(cluster.dir())
            .envs(settings)
            .args(["webhook-endpoints", "add", receiver, "--event", "*"])
            .output()?;
        if !added.status.success() {
            return Err(String::from_utf8_lossy(&added.stderr).into_owned().into());
        }
        let db = Mutex::new(cluster.connect().await?);
        Ok(Hub { cluster, serve, db })
    }

    pub fn url(&self) -> String {
        self.cluster.server_url().replace("/postgres", "/kopru")
    }

    /// Finished deliveries of the last days, each with its attempt.
    pub async fn fill_history(&self, count: i64) -> Result<(), Failure> {
        let mut db = self.db.lock().await;
        for from in (0..count).step_by(SLICE as usize) {
            let rows = SLICE.min(count - from);
            let fill = format!(
                "with done as (
                     insert into hub.delivery_history
                         (id, target, type, state, aggregate, aggregate_id, revision, origin, correlation_id, created_at,
                          attempts, claims, receipt)
                     select hub.new_id(), 'webhook:1', 'order.updated', 'done', 'order', {from} + n, 1, 'bench', 'bench',
                            clock_timestamp(), 1, 1, '204'
                     from generate_series(1, {rows}) n
                     returning id
                 )
                 insert into hub.attempt (id, message_id, number, owner, started_at, outcome, asked, answered)
                 select hub.new_id(), id, 1, id, clock_timestamp(), 'done', 'webhook-id, 200 bytes', '204' from done"
            );
            db.execute(AssertSqlSafe(fill)).await?;
        }
        if count > 0 {
            drop(db);
            self.cluster.settle().await.map_err(boxed)?;
        }
        Ok(())
    }

    /// So many events, as commands append them: noted for the router, which is rung when it sleeps.
    pub async fn happen(&self, count: i64) -> Result<(), Failure> {
        let events = format!(
            "with added as (
                 insert into hub.outbox_event
                     (id, type, aggregate, aggregate_id, revision, origin, bulk, payload, correlation_id, created_at)
                 select hub.new_id(), 'order.updated', 'order', nextval('bench_record'), 1, 'bench', false,
                        jsonb_build_object('id', n, 'number', 'VM-20261121-0001', 'customerId', 7, 'state', 'confirmed',
                                           'paymentMethod', 'account', 'total', 1234.5, 'currency', 'TRY', 'revision', 1),
                        'bench', clock_timestamp()
                 from generate_series(1, {count}) n
                 returning id
             ), noted as (
                 insert into hub.outbox_unrouted (event_id) select id from added returning 1
             )
             select pg_notify('hub_outbox', '')
             where exists (select from noted) and exists (select from hub.doorbell where name = 'router' and asleep)"
        );
        let mut db = self.db.lock().await;
        db.execute("create sequence if not exists bench_record start 1000000000").await?;
        db.execute(AssertSqlSafe(events)).await?;
        Ok(())
    }

    /// Waits until so many more deliveries than before the last call are finished.
    pub async fn until_finished(&self, count: i64) -> Result<(), Failure> {
        let open = "select (select count(*) from hub.outbox_unrouted) + (select count(*) from hub.delivery)";
        let until = Instant::now() + Duration::from_secs(600 + u64::try_from(count).unwrap_or(0) / 100);
        let mut db = PgConnection::connect(&self.url()).await?;
        while sqlx::query_scalar::<_, i64>(open).fetch_one(&mut db).await? > 0 {
            if Instant::now() > until {
                return Err("the deliveries did not end in time".into());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    pub fn stop(&mut self) -> Result<(), Failure> {
        interrupt(&mut self.serve).map_err(boxed)?;
        self.cluster.clone().remove().map_err(boxed)
    }
}
