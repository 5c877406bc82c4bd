//! A password as the command line takes it: typed without being shown, or a line of standard input. So it is in no list
//! of processes and in no history of a shell.

use std::{
    io::{self, BufRead, IsTerminal},
    thread,
};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::sync::oneshot;

use super::failure::Failure;
use crate::identity::passwords::Password;

pub(super) async fn ask() -> Result<Password, Failure> {
    if !io::stdin().is_terminal() {
        return checked(line().await?);
    }
    let _hidden = Hidden::begin()?;
    eprint!("Password: ");
    let first = line().await?;
    eprint!("\nThe same again: ");
    let second = line().await?;
    eprintln!();
    if first != second {
        return Err(Failure::Usage("these were two different passwords; nothing was changed".to_owned()));
    }
    checked(first)
}

fn checked(password: String) -> Result<Password, Failure> {
    if password.is_empty() {
        return Err(Failure::Usage("type a password, or give it on standard input, as in `< FILE`".to_owned()));
    }
    Ok(Password::new(password))
}

/// On a thread that nobody waits for: a signal ends the command while it reads.
async fn line() -> Result<String, Failure> {
    let (send, receive) = oneshot::channel();
    thread::spawn(move || {
        let mut line = String::new();
        let read = io::stdin().lock().read_line(&mut line).map(|_| line);
        let _ = send.send(read);
    });
    let cannot = |error: &dyn std::fmt::Display| Failure::Failed(format!("cannot read a password: {error}"));
    let line = receive.await.map_err(|error| cannot(&error))?.map_err(|error| cannot(&error))?;
    let password = line.strip_suffix('\n').unwrap_or(&line);
    Ok(password.strip_suffix('\r').unwrap_or(password).to_owned())
}

/// The terminal shows nothing that is typed until this is dropped.
struct Hidden(Termios);

impl Hidden {
    fn begin() -> Result<Hidden, Failure> {
        let cannot = |error| Failure::Failed(format!("cannot hide what is typed: {error}; use `< FILE`"));
        let before = tcgetattr(io::stdin()).map_err(cannot)?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        // What was typed before is thrown away: it was shown.
        tcsetattr(io::stdin(), OptionalActions::Flush, &quiet).map_err(cannot)?;
        Ok(Hidden(before))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}
