//! `kopru user …` by the real program, and keys in a file.

use std::{
    fs::File,
    io::{Read, Write},
    process::{Command, Stdio},
};

use rustix::{
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{LocalModes, tcgetattr},
};
use serde_json::Value;

use crate::support::{
    database::TestDatabase,
    kopru::{Kopru, Run},
    people::{self, PASSWORD},
};

async fn installation() -> (TestDatabase, Kopru) {
    let database = TestDatabase::new().await;
    let kopru = Kopru::new();
    kopru.write("config.toml", &format!("[database]\nurl = \"{}\"\n", database.url));
    (database, kopru)
}

fn with_input(mut command: Command, input: &str) -> Run {
    let mut child = command.stdin(Stdio::piped()).spawn().expect("kopru runs");
    // A command that refuses its arguments reads nothing.
    let _ = child.stdin.take().expect("its input").write_all(input.as_bytes());
    child.wait_with_output().expect("it ends").into()
}

fn create(kopru: &Kopru, args: &[&str], password: &str) -> Run {
    with_input(kopru.command(&[&["--json", "user", "create"], args].concat()), &format!("{password}\n"))
}

#[tokio::test]
async fn users_are_made_listed_disabled_and_given_links() {
    let (database, kopru) = installation().await;
    let company = people::company(&database.pool, "120.01.001").await;
    let made = create(&kopru, &["--email", "ADMIN@kopru.test", "--role", "super_admin"], PASSWORD).expect(0).json();
    assert_eq!((&made["email"], &made["state"]), (&"admin@kopru.test".into(), &"active".into()));
    let dealer = ["--email", "o@bayi.test", "--role", "dealer_owner", "--company", "120.01.001", "--name", "Ayşe Öz"];
    assert_eq!(create(&kopru, &dealer, PASSWORD).expect(0).json()["companyId"], company);
    create(&kopru, &["--email", "admin@kopru.test", "--role", "super_admin"], PASSWORD).expect(1);

    let list = kopru.run(&["--json", "user", "list", "--limit", "1"]).expect(0).json();
    let cursor = list["nextCursor"].as_str().expect("there is more");
    let rest = kopru.run(&["--json", "user", "list", "--cursor", cursor]).expect(0).json();
    assert_eq!((&rest["items"][0]["fullName"], &rest["nextCursor"]), (&"Ayşe Öz".into(), &Value::Null));
    let of_company = kopru.run(&["--json", "user", "list", "--company", "120.01.001"]).expect(0).json();
    assert_eq!(of_company["items"].as_array().map(Vec::len), Some(1));
    assert!(kopru.run(&["user", "list"]).expect(0).stdout.contains("dealer_owner"));

    let last = kopru.run(&["user", "disable", "o@bayi.test"]).expect(1);
    assert!(last.stderr.contains("last active owner"), "{}", last.stderr);
    let second = ["--email", "v@bayi.test", "--role", "dealer_viewer", "--company", "120.01.001"];
    create(&kopru, &second, PASSWORD).expect(0);
    let disabled = kopru.run(&["--json", "user", "disable", "v@bayi.test"]).expect(0).json();
    assert_eq!(disabled["state"], "disabled");
    assert!(kopru.run(&["user", "reset-link", "v@bayi.test"]).expect(1).stderr.contains("kopru user enable"));
    kopru.run(&["user", "enable", "v@bayi.test"]).expect(0);
    let link = kopru.run(&["--json", "user", "reset-link", "v@bayi.test"]).expect(0).json();
    let token = link["token"].as_str().expect("a token");
    assert!(link["link"].as_str().expect("a link").ends_with(&format!("/reset-password#token={token}")));
    let stored: i64 =
        sqlx::query_scalar("select count(*) from identity.link_token t where position($1 in t::text) > 0")
            .bind(&token[4..])
            .fetch_one(&database.pool)
            .await
            .expect("a count");
    assert_eq!(stored, 0);
    let mut whole = kopru.command(&["user", "reset-link", "v@bayi.test"]);
    let whole = Run::from(whole.env("KOPRU__HTTP__PUBLIC_URL", "https://bayi.test/").output().expect("kopru runs"));
    let link = whole.expect(0).stdout;
    assert!(link.starts_with("https://bayi.test/reset-password#token=klt_"), "{link}");
    kopru.run(&["user", "reset-link", "nobody@bayi.test"]).expect(1);

    let books = kopru.run(&["--json", "audit", "list", "--kind", "user"]).expect(0).json();
    let actions: Vec<_> = books["items"].as_array().expect("a list").iter().map(|row| &row["action"]).collect();
    assert_eq!(
        actions,
        [
            "user.reset_link_made",
            "user.reset_link_made",
            "user.changed",
            "user.changed",
            "user.created",
            "user.created",
            "user.created"
        ]
    );
    assert!(books["items"][0]["actor"].as_str().expect("text").starts_with("cli:"));
}

#[tokio::test]
async fn a_password_that_is_typed_is_not_shown() {
    let (_database, kopru) = installation().await;
    let (status, shown, echoes) = typed(&kopru, [PASSWORD, "Other-2026"]);
    assert_eq!(status, Some(2), "two different ones: {shown}");
    assert!(echoes, "the terminal is as it was");
    let (status, shown, echoes) = typed(&kopru, [PASSWORD, PASSWORD]);
    assert_eq!(status, Some(0), "{shown}");
    assert!(echoes && shown.contains("Password: ") && !shown.contains(PASSWORD), "{shown}");
    assert!(kopru.run(&["user", "list"]).expect(0).stdout.contains("t@kopru.test"));
}

/// `user create` at a terminal: how it ended, what the terminal showed, whether it shows again what is typed.
fn typed(kopru: &Kopru, answers: [&str; 2]) -> (Option<i32>, String, bool) {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&terminal).expect("granted");
    unlockpt(&terminal).expect("unlocked");
    let name = ptsname(&terminal, Vec::new()).expect("its name").into_string().expect("text");
    let slave = File::options().read(true).write(true).open(name).expect("its other side");
    let mut command = kopru.command(&["user", "create", "--email", "t@kopru.test", "--role", "super_admin"]);
    command.stdin(slave.try_clone().expect("once more")).stderr(slave);
    let mut child = command.spawn().expect("kopru runs");
    drop(command);
    let mut terminal = File::from(terminal);
    let mut shown = Vec::new();
    let mut byte = [0];
    for (prompt, answer) in ["Password: ", "again: "].into_iter().zip(answers) {
        while !shown.ends_with(prompt.as_bytes()) {
            terminal.read_exact(&mut byte).expect("a prompt");
            shown.push(byte[0]);
        }
        terminal.write_all(format!("{answer}\n").as_bytes()).expect("typed");
    }
    let status = child.wait().expect("it ends").code();
    let echoes = tcgetattr(&terminal).expect("its state").local_modes.contains(LocalModes::ECHO);
    // To its end, which is an error here.
    while terminal.read_exact(&mut byte).is_ok() {
        shown.push(byte[0]);
    }
    (status, String::from_utf8_lossy(&shown).into_owned(), echoes)
}

#[tokio::test]
async fn what_makes_no_sense_is_wrong_usage_and_says_what_would() {
    let (_database, kopru) = installation().await;
    for (args, password, says) in [
        (&["--email", "a@b.de", "--role", "admin"][..], PASSWORD, "dealer_owner"),
        (&["--email", "a@b.de"], PASSWORD, "--role"),
        (&["--email", "nobody", "--role", "super_admin"], PASSWORD, "no e-mail address"),
        (&["--email", "a@b.de", "--role", "super_admin"], "", "standard input"),
        (&["--email", "a@b.de", "--role", "super_admin"], "short", "8 characters"),
        (&["--email", "a@b.de", "--role", "dealer_owner"], PASSWORD, "name the company"),
        (&["--email", "a@b.de", "--role", "super_admin", "--phone", "x"], PASSWORD, "telephone"),
    ] {
        let run = create(&kopru, args, password).expect(2);
        assert!(run.stderr.contains(says), "{args:?}: {}", run.stderr);
    }
    let missing =
        create(&kopru, &["--email", "a@b.de", "--role", "dealer_owner", "--company", "X"], PASSWORD).expect(1);
    assert!(missing.stderr.contains("`X`"), "{}", missing.stderr);
    assert_eq!(kopru.run(&["--json", "user", "list"]).expect(0).json()["items"], serde_json::json!([]));
    kopru.run(&["user", "list", "--limit", "1000"]).expect(2);
    kopru.run(&["user", "list", "--cursor", "x"]).expect(2);
}
