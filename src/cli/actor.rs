//! Who acts from the command line, for history and audit.

use std::fs;

/// `cli:<user of the machine>`; the number when the machine has no name for it.
pub(super) fn actor() -> String {
    let uid = rustix::process::getuid().as_raw().to_string();
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, number) = (fields.next()?, fields.nth(1)?);
        (number == uid).then(|| name.to_owned())
    });
    format!("cli:{}", name.unwrap_or(uid))
}
