//! Encryption of remote passwords at rest.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use chacha20poly1305::aead::{Aead as _, KeyInit as _};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};

const NONCE: usize = 24;

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
    /// The system gave no random bytes, or encryption failed.
    #[error("encryption failed: {0}")]
    Failed(String),
}

/// The key in `secret.key`.
#[derive(Clone)]
pub struct SecretKey(XChaCha20Poly1305);

impl SecretKey {
    /// Reads the key file, or makes one that only its owner can read.
    pub fn open(path: &Path) -> Result<Self, SecretError> {
        let failed = |reason: String| SecretError::File { path: path.to_owned(), reason };
        let mut key = [0; 32];
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
            Ok(mut file) => {
                getrandom::fill(&mut key).map_err(|error| failed(error.to_string()))?;
                file.write_all(&key).and_then(|()| file.sync_all()).map_err(|error| failed(error.to_string()))?;
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                let mut file = OpenOptions::new().read(true).open(path).map_err(|error| failed(error.to_string()))?;
                file.read_exact(&mut key).map_err(|_| failed("it is shorter than 32 bytes".into()))?;
            }
            Err(error) => return Err(failed(error.to_string())),
        }
        Ok(Self(XChaCha20Poly1305::new(&key.into())))
    }

    /// Encrypts a text: a random nonce, then the ciphertext.
    pub fn seal(&self, text: &str) -> Result<Vec<u8>, SecretError> {
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).map_err(|error| SecretError::Failed(error.to_string()))?;
        let sealed = self.0.encrypt(&XNonce::from(nonce), text.as_bytes()).map_err(|error| SecretError::Failed(error.to_string()))?;
        Ok([&nonce[..], &sealed].concat())
    }

    /// Decrypts what [`SecretKey::seal`] made.
    pub fn open_sealed(&self, sealed: &[u8]) -> Result<String, SecretError> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE>().ok_or(SecretError::WrongKey)?;
        let text = self.0.decrypt(&XNonce::from(*nonce), sealed).map_err(|_| SecretError::WrongKey)?;
        String::from_utf8(text).map_err(|_| SecretError::WrongKey)
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
        let sealed = SecretKey::open(&path).unwrap().seal("päss").unwrap();
        assert!(!sealed.windows(4).any(|w| *w == "päss".as_bytes()[..4]));
        assert_eq!(SecretKey::open(&path).unwrap().open_sealed(&sealed).unwrap(), "päss");
        let other = SecretKey::open(&folder.path().join("other.key")).unwrap();
        assert!(matches!(other.open_sealed(&sealed), Err(SecretError::WrongKey)));
        assert!(matches!(other.open_sealed(b"short"), Err(SecretError::WrongKey)));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
