//! Encryption of remote passwords at rest.
//!
//! The key is the one in `secret.key`, or comes from TWINLENS_SECRET: 32 bytes in hexadecimal or base64, or a passphrase from which a key is
//! derived. In the second case the state keeps a mark by which a wrong secret is noticed before anything is sealed with it.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use chacha20poly1305::aead::{Aead as _, KeyInit as _};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::store::documents::{SECRET, SERVICES};
use crate::store::{Store, StoreError};

const NONCE: usize = 24;
/// The name of the mark in the state.
const MARK: &str = "key";
/// What a mark says.
const CHECK: &str = "twinlens";
/// A passphrase with fewer characters is guessed too soon.
const SHORTEST: usize = 12;
/// What a document may demand of us: memory in KiB, passes, lanes.
const MOST: (u32, u32, u32) = (256 << 10, 16, 8);

/// What can go wrong with the key or what it protects.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The key file cannot be read or created.
    #[error("the key file {} cannot be used: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Another key than the one it was encrypted with.
    #[error("the stored password cannot be decrypted: secret.key is not the one it was stored with. Set the service's password again")]
    WrongKey,
    /// Another secret than the one of this state.
    #[error(
        "TWINLENS_SECRET is not the one with which the passwords of this node are sealed; nothing was changed. Set the right one; to change \
         it, run `twinlens service reseal` with the new one in TWINLENS_SECRET and the old one in TWINLENS_OLD_SECRET"
    )]
    WrongSecret,
    /// The secret is missing.
    #[error("the passwords of this node are sealed with TWINLENS_SECRET, which is not set; nothing was changed")]
    NotGiven,
    /// There is a secret, but the passwords are still under the file.
    #[error(
        "TWINLENS_SECRET is set, but the passwords of this node are sealed with secret.key; nothing was changed. Run `twinlens service \
         reseal` once, or leave TWINLENS_SECRET out"
    )]
    StillFile,
    /// The secret is too easy.
    #[error("TWINLENS_SECRET is 32 bytes in hexadecimal or base64, or a passphrase of at least 12 characters")]
    Weak,
    /// The system gave no random bytes, or encryption failed.
    #[error("encryption failed: {0}")]
    Failed(String),
    /// The state failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Seals texts under one key.
#[derive(Clone)]
pub(super) struct Sealer(XChaCha20Poly1305);

impl Sealer {
    fn of(key: &[u8; 32]) -> Self {
        Self(XChaCha20Poly1305::new(key.into()))
    }

    /// Encrypts a text: a random nonce, then the ciphertext.
    pub(super) fn seal(&self, text: &str) -> Result<Vec<u8>, SecretError> {
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).map_err(|error| SecretError::Failed(error.to_string()))?;
        let sealed = self.0.encrypt(&XNonce::from(nonce), text.as_bytes()).map_err(|error| SecretError::Failed(error.to_string()))?;
        Ok([&nonce[..], &sealed].concat())
    }

    /// Decrypts what [`Sealer::seal`] made.
    pub(super) fn open(&self, sealed: &[u8]) -> Result<String, SecretError> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE>().ok_or(SecretError::WrongKey)?;
        let text = self.0.decrypt(&XNonce::from(*nonce), sealed).map_err(|_| SecretError::WrongKey)?;
        String::from_utf8(text).map_err(|_| SecretError::WrongKey)
    }

    /// Of a key file. With `make` one is made that only its owner can read, where there is none.
    fn of_file(path: &Path, make: bool) -> Result<Self, SecretError> {
        let failed = |reason: String| SecretError::File { path: path.to_owned(), reason };
        let mut key = Zeroizing::new([0; 32]);
        let made = match make {
            true => OpenOptions::new().write(true).create_new(true).mode(0o600).open(path),
            false => Err(ErrorKind::AlreadyExists.into()),
        };
        match made {
            Ok(mut file) => {
                getrandom::fill(&mut key[..]).map_err(|error| failed(error.to_string()))?;
                file.write_all(&key[..]).and_then(|()| file.sync_all()).map_err(|error| failed(error.to_string()))?;
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                let mut file = OpenOptions::new().read(true).open(path).map_err(|error| failed(error.to_string()))?;
                file.read_exact(&mut key[..]).map_err(|_| failed("it is shorter than 32 bytes".into()))?;
            }
            Err(error) => return Err(failed(error.to_string())),
        }
        Ok(Self::of(&key))
    }
}

/// How a key is made from a passphrase (RFC 9106).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kdf {
    algorithm: String,
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    salt: String,
}

impl Kdf {
    /// With a salt of its own.
    pub(super) fn new() -> Result<Self, SecretError> {
        let mut salt = [0; 16];
        getrandom::fill(&mut salt).map_err(|error| SecretError::Failed(error.to_string()))?;
        Ok(Self { algorithm: "argon2id".into(), memory_kib: 64 << 10, passes: 3, lanes: 1, salt: STANDARD.encode(salt) })
    }

    /// The key of a passphrase; an error when that would cost more than is bearable, or is done in another way.
    pub(super) fn sealer(&self, passphrase: &str) -> Result<Sealer, SecretError> {
        let wrong = |reason: &str| SecretError::Failed(reason.to_owned());
        if self.algorithm != "argon2id" || self.memory_kib > MOST.0 || self.passes > MOST.1 || self.lanes > MOST.2 {
            return Err(wrong("the way in which its key is made is not known, or costs too much"));
        }
        let salt = STANDARD.decode(&self.salt).map_err(|_| wrong("the salt is no base64"))?;
        let params =
            Params::new(self.memory_kib, self.passes, self.lanes, Some(32)).map_err(|error| SecretError::Failed(error.to_string()))?;
        let mut key = Zeroizing::new([0; 32]);
        let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        argon.hash_password_into(passphrase.as_bytes(), &salt, &mut key[..]).map_err(|error| SecretError::Failed(error.to_string()))?;
        Ok(Sealer::of(&key))
    }
}

/// In the state, when its passwords are under TWINLENS_SECRET.
#[derive(Serialize, Deserialize)]
struct Mark {
    kdf: Kdf,
    check: Vec<u8>,
}

impl Mark {
    fn new(given: &str) -> Result<(Self, Sealer), SecretError> {
        let kdf = Kdf::new()?;
        let sealer = derive(given, &kdf)?;
        Ok((Self { kdf, check: sealer.seal(CHECK)? }, sealer))
    }

    fn read(store: &Store) -> Result<Option<Self>, StoreError> {
        SECRET.get(&store.read()?, MARK)
    }

    /// The key, if the secret is the right one.
    fn sealer(&self, given: &str) -> Result<Sealer, SecretError> {
        let sealer = derive(given, &self.kdf)?;
        match sealer.open(&self.check) {
            Ok(text) if text == CHECK => Ok(sealer),
            _ => Err(SecretError::WrongSecret),
        }
    }
}

/// The key of a secret as it was given.
fn derive(given: &str, kdf: &Kdf) -> Result<Sealer, SecretError> {
    let hex = crate::types::ContentHash::from_hex(given).map(|hash| hash.0);
    let key = hex.or_else(|| {
        let bytes = STANDARD.decode(given).or_else(|_| STANDARD_NO_PAD.decode(given)).ok()?;
        <[u8; 32]>::try_from(bytes).ok()
    });
    match key.map(Zeroizing::new) {
        Some(key) => Ok(Sealer::of(&key)),
        None if given.chars().count() < SHORTEST => Err(SecretError::Weak),
        None => kdf.sealer(given),
    }
}

enum Source {
    Ready(Sealer),
    /// The key costs time to derive, and most commands need none.
    Given(Mark, OnceLock<Sealer>),
    NotGiven,
    StillFile,
}

/// The key under which the passwords of a node are. Cheap to clone.
#[derive(Clone)]
pub struct SecretKey {
    file: PathBuf,
    given: Option<Arc<Zeroizing<String>>>,
    source: Arc<Source>,
}

impl SecretKey {
    /// The key of a state: that of the secret that was given, or the one in the key file, which is made when there is none. A secret that does
    /// not fit is an error when the key is needed, not before.
    pub fn open(store: &Store, file: &Path, given: Option<&str>) -> Result<Self, SecretError> {
        let source = match (Mark::read(store)?, given) {
            (None, None) => Source::Ready(Sealer::of_file(file, true)?),
            (Some(_), None) => Source::NotGiven,
            (Some(mark), Some(_)) => Source::Given(mark, OnceLock::new()),
            (None, Some(_)) if !SERVICES.all::<serde_json::Value>(&store.read()?)?.is_empty() => Source::StillFile,
            (None, Some(given)) => {
                let (mark, sealer) = Mark::new(given)?;
                store.write(move |tx| SECRET.put(tx, MARK, &mark))?;
                Source::Ready(sealer)
            }
        };
        let given = given.map(|given| Arc::new(Zeroizing::new(given.to_owned())));
        Ok(Self { file: file.to_owned(), given, source: Arc::new(source) })
    }

    /// Whether the key is there and the right one.
    pub fn check(&self) -> Result<(), SecretError> {
        self.sealer().map(drop)
    }

    pub(super) fn sealer(&self) -> Result<&Sealer, SecretError> {
        match (&*self.source, &self.given) {
            (Source::Ready(sealer), _) => Ok(sealer),
            (Source::Given(mark, ready), Some(given)) => match ready.get() {
                Some(sealer) => Ok(sealer),
                None => {
                    let sealer = mark.sealer(given)?;
                    Ok(ready.get_or_init(|| sealer))
                }
            },
            (Source::StillFile, _) => Err(SecretError::StillFile),
            (Source::NotGiven | Source::Given(..), _) => Err(SecretError::NotGiven),
        }
    }

    /// From the key that the passwords are under now to the one that they are to be under: that of the secret that was given, or of the key
    /// file. `old` is the secret before, where it is another one.
    pub(super) fn change(&self, store: &Store, old: Option<&str>) -> Result<KeyChange, SecretError> {
        let given = self.given.as_ref().map(|given| given.as_str());
        let before = match Mark::read(store)? {
            Some(mark) => mark.sealer(old.or(given).ok_or(SecretError::NotGiven)?)?,
            None => Sealer::of_file(&self.file, false)?,
        };
        let (mark, now) = match given {
            Some(given) => {
                let (mark, sealer) = Mark::new(given)?;
                (Some(mark), sealer)
            }
            None => (None, Sealer::of_file(&self.file, true)?),
        };
        Ok(KeyChange { before, now, mark })
    }

    /// Where the key comes from, for people.
    pub(super) fn origin(&self) -> &'static str {
        if self.given.is_some() { "TWINLENS_SECRET" } else { "secret.key" }
    }
}

/// A change of keys.
pub(super) struct KeyChange {
    before: Sealer,
    now: Sealer,
    mark: Option<Mark>,
}

impl KeyChange {
    /// Seals what was sealed with the key before.
    pub(super) fn anew(&self, sealed: &[u8]) -> Result<Vec<u8>, SecretError> {
        self.now.seal(&self.before.open(sealed)?)
    }

    /// Makes the change known, in the transaction that puts what was sealed anew.
    pub(super) fn tell(self, tx: &redb::WriteTransaction) -> Result<(), StoreError> {
        match self.mark {
            Some(mark) => SECRET.put(tx, MARK, &mark),
            None => SECRET.remove(tx, MARK).map(drop),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn only_the_same_key_opens() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret.key");
        let key = Sealer::of_file(&path, true).unwrap();
        let sealed = key.seal("pässword").unwrap();
        assert_ne!(key.seal("pässword").unwrap(), sealed);
        assert_eq!(Sealer::of_file(&path, true).unwrap().open(&sealed).unwrap(), "pässword");
        let other = Sealer::of_file(&folder.path().join("other.key"), true).unwrap();
        assert!(matches!(other.open(&sealed), Err(SecretError::WrongKey)));
        assert!(matches!(key.open(&sealed[..20]), Err(SecretError::WrongKey)));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(matches!(Sealer::of_file(&folder.path().join("none.key"), false), Err(SecretError::File { .. })));
    }

    #[test]
    fn a_secret_is_a_key_or_a_passphrase() {
        let kdf = Kdf::new().unwrap();
        let hex = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
        let base64 = "ABEiM0RVZneImaq7zN3u/wARIjNEVWZ3iJmqu8zd7v8=";
        let sealed = derive(hex, &kdf).unwrap().seal("x").unwrap();
        assert_eq!(derive(base64, &kdf).unwrap().open(&sealed).unwrap(), "x");
        assert_eq!(derive(base64.trim_end_matches('='), &kdf).unwrap().open(&sealed).unwrap(), "x");
        let sealed = derive("a long passphrase", &kdf).unwrap().seal("x").unwrap();
        assert_eq!(derive("a long passphrase", &kdf).unwrap().open(&sealed).unwrap(), "x");
        // The same words with another salt are another key.
        assert!(derive("a long passphrase", &Kdf::new().unwrap()).unwrap().open(&sealed).is_err());
        assert!(matches!(derive("too short", &kdf), Err(SecretError::Weak)));
        let greedy = Kdf { memory_kib: u32::MAX, ..kdf };
        assert!(matches!(greedy.sealer("a long passphrase"), Err(SecretError::Failed(_))));
    }
}
