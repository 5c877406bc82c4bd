//! Readable secrets at rest: sealed with the installation's master key (AES-256-GCM), opened where they are used.
//!
//! Invariants
//! - What is sealed is bound to its context (the row that it stands in): moved elsewhere it does not open.
//! - The key never shows itself; a text that does not open says nothing of why.

use std::{
    fmt,
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rand::RngExt as _;

/// Of what a sealed text begins with: its form may change one day.
const MARK: &str = "s1.";

const KEY_LENGTH: usize = 32;

#[derive(Debug, thiserror::Error)]
pub enum SealError {
    #[error("cannot use the master key file {path}: {source}", path = .path.display())]
    File { path: PathBuf, source: io::Error },
    #[error(
        "the master key file {path} holds no key: each line must be 32 random bytes in base64url without padding \
         (43 characters), as `openssl rand 32 | basenc --base64url | tr -d =` makes them",
        path = .path.display()
    )]
    NoKey { path: PathBuf },
    #[error("the text could not be sealed")]
    Seal,
    #[error("a sealed text does not open: it was sealed with another master key, or changed")]
    Open,
}

/// Seals with the first key of the file and opens with any of them, so that a key can be replaced.
#[derive(Clone)]
pub struct Sealer(Arc<[RandomizedNonceKey]>);

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer(***)")
    }
}

impl Sealer {
    pub fn read(path: &Path) -> Result<Sealer, SealError> {
        let text = fs::read_to_string(path).map_err(|source| SealError::File { path: path.to_owned(), source })?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let keys: Option<Vec<RandomizedNonceKey>> = lines.map(key_of).collect();
        match keys {
            Some(keys) if !keys.is_empty() => Ok(Sealer(keys.into())),
            _ => Err(SealError::NoKey { path: path.to_owned() }),
        }
    }

    /// Makes the file, for its owner alone, if there is none.
    pub fn read_or_make(path: &Path) -> Result<Sealer, SealError> {
        let cannot = |source| SealError::File { path: path.to_owned(), source };
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir).map_err(cannot)?;
        }
        // Written whole under another name first: of two processes that begin together one key stands.
        let fresh = path.with_extension(format!("{:016x}", rand::rng().random::<u64>()));
        match fs::metadata(path) {
            Ok(_) => return Sealer::read(path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(cannot(error)),
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh).map_err(cannot)?;
        let written = file.write_all(format!("{}\n", fresh_key()).as_bytes()).and_then(|()| file.sync_all());
        let linked = written.and_then(|()| fs::hard_link(&fresh, path));
        let removed = fs::remove_file(&fresh);
        match linked {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(cannot(error)),
            _ => removed.map_err(cannot)?,
        }
        Sealer::read(path)
    }

    /// With a key that nobody else has; for tests.
    pub fn random() -> Result<Sealer, SealError> {
        let key = key_of(&fresh_key()).ok_or(SealError::Seal)?;
        Ok(Sealer(Arc::from([key])))
    }

    pub fn seal(&self, context: &str, plain: &[u8]) -> Result<String, SealError> {
        let key = self.0.first().ok_or(SealError::Seal)?;
        let mut body = plain.to_vec();
        let nonce =
            key.seal_in_place_append_tag(Aad::from(context.as_bytes()), &mut body).map_err(|_| SealError::Seal)?;
        let mut whole = nonce.as_ref().to_vec();
        whole.append(&mut body);
        Ok(format!("{MARK}{}", URL_SAFE_NO_PAD.encode(whole)))
    }

    pub fn open(&self, context: &str, sealed: &str) -> Result<Vec<u8>, SealError> {
        let text = sealed.strip_prefix(MARK).ok_or(SealError::Open)?;
        let whole = URL_SAFE_NO_PAD.decode(text).map_err(|_| SealError::Open)?;
        let (nonce, body) = whole.split_at_checked(NONCE_LEN).ok_or(SealError::Open)?;
        let opened = self.0.iter().find_map(|key| {
            let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
            let mut body = body.to_vec();
            let plain = key.open_in_place(nonce, Aad::from(context.as_bytes()), &mut body).ok()?;
            Some(plain.to_vec())
        });
        opened.ok_or(SealError::Open)
    }
}

fn key_of(line: &str) -> Option<RandomizedNonceKey> {
    let bytes = URL_SAFE_NO_PAD.decode(line).ok().filter(|bytes| bytes.len() == KEY_LENGTH)?;
    RandomizedNonceKey::new(&AES_256_GCM, &bytes).ok()
}

fn fresh_key() -> String {
    URL_SAFE_NO_PAD.encode(rand::rng().random::<[u8; KEY_LENGTH]>())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_sealed_text_opens_in_its_context_and_nowhere_else() {
        let sealer = Sealer::random().expect("a key");
        let sealed = sealer.seal("mail:1", b"top secret").expect("sealed");
        assert!(!sealed.contains("top"));
        assert_ne!(sealed, sealer.seal("mail:1", b"top secret").expect("sealed"), "two nonces");
        assert_eq!(sealer.open("mail:1", &sealed).expect("opens"), b"top secret");
        assert!(sealer.open("mail:2", &sealed).is_err());
        assert!(Sealer::random().expect("a key").open("mail:1", &sealed).is_err());
        for bad in ["", "s1.", "s1.AAAA", &sealed[3..], &sealed[..sealed.len() - 2]] {
            assert!(sealer.open("mail:1", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_key_is_made_once_for_its_owner_alone_and_an_older_one_still_opens() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("deep/master.key");
        let first = Sealer::read_or_make(&path).expect("made");
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        let sealed = first.seal("x", b"one").expect("sealed");
        assert_eq!(Sealer::read_or_make(&path).expect("found").open("x", &sealed).expect("opens"), b"one");
        assert_eq!(fs::read_dir(path.parent().expect("a parent")).expect("read").count(), 1, "nothing beside it");

        let old = fs::read_to_string(&path).expect("text");
        fs::write(&path, format!("{}\n{old}", fresh_key())).expect("written");
        let both = Sealer::read(&path).expect("two keys");
        assert_eq!(both.open("x", &sealed).expect("opens"), b"one");
        assert!(first.open("x", &both.seal("x", b"two").expect("sealed")).is_err(), "the first line seals");
    }

    #[test]
    fn a_file_without_a_key_is_told() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("master.key");
        assert!(matches!(Sealer::read(&path), Err(SealError::File { .. })));
        for text in ["", "short\n", "# only a comment\n"] {
            fs::write(&path, text).expect("written");
            assert!(matches!(Sealer::read(&path), Err(SealError::NoKey { .. })), "{text:?}");
        }
    }
}
