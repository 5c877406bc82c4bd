//! The private PostgreSQL, through the real program: shared, killed, recovered, stopped, and explained.

use std::{
    fs,
    path::Path,
    process::Child,
    thread,
    time::{Duration, Instant},
};

use kopru::{
    config::{Config, Sources},
    database::Database,
};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::kopru::{Kopru, Run, servers_below};

fn config(kopru: &Kopru) -> Config {
    Config::load(&Sources::none().set("data.dir", kopru.data_dir().display().to_string())).expect("valid")
}

async fn answers(database: &Database) -> bool {
    sqlx::query("select 1").execute(&database.pool).await.is_ok()
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let since = Instant::now();
    while !holds() {
        assert!(since.elapsed() < Duration::from_secs(120), "waited in vain until {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

fn is_ready(kopru: &Kopru) -> bool {
    fs::read_to_string(kopru.data_dir().join("postgres/postmaster.pid"))
        .is_ok_and(|text| text.lines().nth(7).is_some_and(|status| status.trim() == "ready"))
}

fn signal(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a pid")).expect("a pid");
    kill_process(pid, signal).expect("signal");
}

/// Kills a `kopru migrate` with -9 while its server runs, and leaves that server behind.
fn orphan_a_server(kopru: &Kopru) -> Pid {
    for _ in 0..20 {
        let mut child = kopru.command(&["migrate"]).spawn().expect("kopru runs");
        wait_until("the server is ready", || is_ready(kopru) || matches!(child.try_wait(), Ok(Some(_))));
        if matches!(child.try_wait(), Ok(None)) {
            signal(&child, Signal::KILL);
        }
        child.wait().expect("it ended");
        if let (true, [pid]) = (is_ready(kopru), kopru.servers().as_slice()) {
            return *pid;
        }
        // It was stopping already: once more.
        wait_until("the server stopped", || kopru.servers().is_empty());
    }
    panic!("no kill came at the right moment");
}

#[test]
fn a_command_makes_starts_and_stops_its_own_server() {
    let kopru = Kopru::new();
    kopru.run(&["migrate"]).expect(0);
    assert_eq!(kopru.servers(), []);
    assert!(!kopru.data_dir().join("socket").exists(), "the socket's directory is gone with the server");

    let doctor = kopru.run(&["doctor", "--json"]).expect(0).json();
    assert_eq!(doctor["ok"], true);
    assert_eq!(kopru.servers(), []);
    let conf = fs::read_to_string(kopru.data_dir().join("postgres/postgresql.conf")).expect("readable");
    assert!(conf.contains("lc_messages = 'C.UTF-8'"), "the locale is C.UTF-8");
}

#[tokio::test]
async fn the_server_is_private_durable_and_in_utc() {
    let kopru = Kopru::new();
    let database = Database::open(&config(&kopru)).await.expect("opens");
    for (name, value) in [
        ("listen_addresses", ""),
        ("fsync", "on"),
        ("synchronous_commit", "on"),
        ("data_checksums", "on"),
        ("server_encoding", "UTF8"),
        ("timezone", "UTC"),
        ("application_name", "kopru"),
        ("unix_socket_permissions", "0700"),
    ] {
        let is: String = sqlx::query_scalar("select current_setting($1)")
            .bind(name)
            .fetch_one(&database.pool)
            .await
            .expect("a setting");
        assert_eq!(is, value, "{name}");
    }
    let socket = fs::metadata(kopru.data_dir().join("socket")).expect("the socket's directory");
    assert_eq!(std::os::unix::fs::MetadataExt::mode(&socket) & 0o777, 0o700);
    let [pid] = kopru.servers()[..] else { panic!("one server") };
    let owner = fs::metadata(format!("/proc/{}", pid.as_raw_nonzero())).expect("it runs");
    assert_ne!(std::os::unix::fs::MetadataExt::uid(&owner), 0, "never as root");
    database.close().await;
    assert_eq!(kopru.servers(), []);
}

#[tokio::test]
async fn the_last_one_out_stops_the_server() {
    let kopru = Kopru::new();
    let database = Database::open(&config(&kopru)).await.expect("opens");
    let servers = kopru.servers();
    assert_eq!(servers.len(), 1);

    let second = Database::open(&config(&kopru)).await.expect("shares");
    kopru.run(&["doctor"]).expect(0);
    second.close().await;
    assert_eq!(kopru.servers(), servers, "somebody uses it still");
    assert!(answers(&database).await);

    database.close().await;
    assert_eq!(kopru.servers(), []);
}

#[tokio::test]
async fn a_dropped_store_stops_the_server_too() {
    let kopru = Kopru::new();
    drop(Database::open(&config(&kopru)).await.expect("opens"));
    assert_eq!(kopru.servers(), []);
}

#[test]
fn processes_that_start_at_once_share_one_new_cluster() {
    let kopru = Kopru::new();
    let children: Vec<_> = (0..5).map(|_| kopru.command(&["migrate"]).spawn().expect("kopru runs")).collect();
    for child in children {
        Run::from(child.wait_with_output().expect("it ended")).expect(0);
    }
    assert_eq!(kopru.servers(), []);
}

#[test]
fn a_killed_process_leaves_a_server_that_the_next_one_adopts_and_stops() {
    let kopru = Kopru::new();
    let orphan = orphan_a_server(&kopru);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let database = Database::open(&config(&kopru)).await.expect("adopts");
        assert_eq!(kopru.servers(), [orphan]);
        assert!(answers(&database).await);
        database.close().await;
    });
    assert_eq!(kopru.servers(), []);
}

#[test]
fn the_remains_of_a_killed_server_are_cleared() {
    let kopru = Kopru::new();
    let orphan = orphan_a_server(&kopru);
    kill_process(orphan, Signal::KILL).expect("kill the server");
    wait_until("the server is gone", || kopru.servers().is_empty());
    assert!(kopru.data_dir().join("postgres/postmaster.pid").exists(), "its files lie about");
    kopru.run(&["migrate"]).expect(0);
    assert_eq!(kopru.servers(), []);

    // The number of the dead server may by now belong to somebody else: to this test, for example.
    let pid_file = kopru.data_dir().join("postgres/postmaster.pid");
    fs::write(&pid_file, format!("{}\n/elsewhere\n", std::process::id())).expect("write");
    kopru.run(&["migrate"]).expect(0);
}

#[test]
fn kills_at_any_moment_of_the_first_start_are_survived() {
    let kopru = Kopru::new();
    let mut pause = Duration::from_millis(3);
    while pause < Duration::from_secs(2) {
        let mut child = kopru.command(&["migrate"]).spawn().expect("kopru runs");
        thread::sleep(pause);
        let _ = child.kill();
        child.wait().expect("it ended");
        pause = pause * 3 / 2;
    }
    kopru.run(&["migrate"]).expect(0);
    assert_eq!(kopru.servers(), []);
    // The initdb of a killed process lives on for a moment, and a later start clears what it left.
    wait_until("nothing unfinished is left", || {
        kopru.run(&["migrate"]).expect(0);
        let mut entries = fs::read_dir(kopru.data_dir()).expect("listed").flatten();
        !entries.any(|entry| entry.file_name().to_string_lossy().contains("unfinished"))
    });
}

#[tokio::test]
async fn a_server_that_dies_under_us_is_started_again() {
    let kopru = Kopru::new();
    let database = Database::open(&config(&kopru)).await.expect("opens");
    let [killed] = kopru.servers()[..] else { panic!("one server") };
    kill_process(killed, Signal::KILL).expect("kill the server");
    let since = Instant::now();
    while kopru.servers().is_empty() || kopru.servers() == [killed] || !answers(&database).await {
        assert!(since.elapsed() < Duration::from_secs(120), "not started again");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    database.close().await;
    assert_eq!(kopru.servers(), []);
}

#[test]
fn an_interrupted_command_stops_its_server() {
    let kopru = Kopru::new();
    kopru.run(&["migrate"]).expect(0);
    let child = kopru.command(&["migrate"]).spawn().expect("kopru runs");
    wait_until("the server is there", || !kopru.servers().is_empty());
    signal(&child, Signal::INT);
    let run = Run::from(child.wait_with_output().expect("it ended"));
    assert!(matches!(run.code, Some(130 | 0)), "{run:?}");
    assert_eq!(kopru.servers(), []);
}

#[test]
fn a_data_directory_of_another_major_version_is_explained() {
    let kopru = Kopru::new();
    kopru.run(&["migrate"]).expect(0);
    fs::write(kopru.data_dir().join("postgres/PG_VERSION"), "9\n").expect("write");
    let run = kopru.run(&["migrate"]).expect(1);
    for part in ["made by PostgreSQL 9", "pg_upgrade", "another data directory"] {
        assert!(run.stderr.contains(part), "{}", run.stderr);
    }
    let doctor = kopru.run(&["doctor"]).expect(1);
    assert!(doctor.stdout.contains("made by PostgreSQL 9"), "{}", doctor.stdout);
}

#[test]
fn a_server_that_cannot_start_says_why() {
    let kopru = Kopru::new();
    kopru.run(&["migrate"]).expect(0);
    let conf = kopru.data_dir().join("postgres/postgresql.auto.conf");
    fs::write(conf, "no_such_setting = 1\n").expect("write");
    let run = kopru.run(&["migrate"]).expect(1);
    assert!(run.stderr.contains("FATAL") && run.stderr.contains("postgres.log"), "{}", run.stderr);
    assert_eq!(kopru.servers(), []);
}

#[test]
fn foreign_files_are_left_alone() {
    let kopru = Kopru::new();
    let dir = kopru.data_dir().join("postgres");
    fs::create_dir_all(&dir).expect("made");
    fs::write(dir.join("holiday.jpg"), "").expect("write");
    let run = kopru.run(&["migrate"]).expect(1);
    assert!(run.stderr.contains("not a PostgreSQL data directory"), "{}", run.stderr);
    assert!(dir.join("holiday.jpg").exists());
}

#[test]
fn a_directory_that_postgres_cannot_reach_is_replaced_by_one_that_it_can() {
    if !is_root() {
        return;
    }
    let kopru = Kopru::new();
    kopru.open_to_all(0o700);
    let run = kopru.run(&["migrate"]).expect(0);
    let outside = fs::read_link(kopru.data_dir().join("postgres")).expect("a signpost");
    let base = outside.parent().map(Path::to_owned).expect("a parent");
    assert!(base.starts_with("/var/tmp") && run.stderr.contains(&base.display().to_string()), "{}", run.stderr);
    assert_eq!(servers_below(&base), []);

    // The next run finds it and has nothing new to tell; so does one for which the way has become open.
    assert_eq!(kopru.run(&["doctor"]).expect(0).stderr, "");
    kopru.open_to_all(0o755);
    assert!(kopru.run(&["migrate"]).expect(0).stdout.contains("up to date"));
    fs::remove_dir_all(base).expect("removed");
}

#[test]
fn a_cluster_that_became_unreachable_is_not_replaced_by_an_empty_one() {
    if !is_root() {
        return;
    }
    let kopru = Kopru::new();
    kopru.run(&["migrate"]).expect(0);
    kopru.open_to_all(0o700);
    let run = kopru.run(&["migrate"]).expect(1);
    assert!(run.stderr.contains("chmod o+x"), "{}", run.stderr);
}

#[test]
fn a_long_path_gets_a_short_socket() {
    let kopru = Kopru::new();
    let deep = kopru.path().join("d".repeat(120));
    let run = kopru.run(&["migrate", "--data-dir", &deep.display().to_string()]).expect(0);
    assert!(run.stdout.starts_with("/tmp/kopru-"), "{}", run.stdout);
    assert_eq!(kopru.servers(), []);
}
