//! TLS by rustls: certificate files that are read again when they change, or a self-signed certificate that is made once and kept.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::client::Fingerprint;

const SELF_SIGNED_CERTIFICATE: &str = "tls-certificate.pem";
const SELF_SIGNED_KEY: &str = "tls-key.pem";
/// The names that a self-signed certificate is good for, besides what the owner reaches the node by: whoever pins it need not care.
const NAMES: [&str; 2] = ["localhost", "twinlens.local"];

/// Where the certificate comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TlsFiles {
    /// The owner's files, in PEM.
    Given {
        /// The certificate and those that vouch for it.
        certificate: PathBuf,
        /// Its private key.
        key: PathBuf,
    },
    /// One of our own, kept in this folder.
    SelfSigned {
        /// The data folder.
        data: PathBuf,
    },
}

/// What can go wrong with a certificate.
#[derive(Debug, thiserror::Error)]
#[error("the TLS file {} cannot be used: {reason}", path.display())]
pub struct TlsError {
    path: PathBuf,
    reason: String,
}

fn failed(path: &Path, reason: impl ToString) -> TlsError {
    TlsError { path: path.to_owned(), reason: reason.to_string() }
}

/// A TLS configuration, and the fingerprint of its certificate as it is now.
pub(super) struct Tls {
    pub(super) config: Arc<ServerConfig>,
    pub(super) fingerprint: Fingerprint,
}

/// Reads or makes the certificate.
pub(super) fn open(files: &TlsFiles) -> Result<Tls, TlsError> {
    let (certificate, key) = match files {
        TlsFiles::Given { certificate, key } => (certificate.clone(), key.clone()),
        TlsFiles::SelfSigned { data } => self_signed(data)?,
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let reloading = Reloading::open(certificate.clone(), key, Arc::clone(&provider))?;
    let fingerprint = reloading.lock().key.cert.first().map(|certificate| Fingerprint::of(certificate));
    let fingerprint = fingerprint.ok_or_else(|| failed(&certificate, "there is no certificate in it"))?;
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|error| failed(&certificate, error))?;
    let mut config = config.with_no_client_auth().with_cert_resolver(Arc::new(reloading));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Tls { config: Arc::new(config), fingerprint })
}

/// The kept self-signed certificate; made when there is none.
fn self_signed(data: &Path) -> Result<(PathBuf, PathBuf), TlsError> {
    let (certificate, key) = (data.join(SELF_SIGNED_CERTIFICATE), data.join(SELF_SIGNED_KEY));
    if !certificate.exists() || !key.exists() {
        let made = rcgen::generate_simple_self_signed(NAMES.map(str::to_owned)).map_err(|error| failed(&certificate, error))?;
        write_private(&key, &made.signing_key.serialize_pem()).map_err(|error| failed(&key, error))?;
        fs::write(&certificate, made.cert.pem()).map_err(|error| failed(&certificate, error))?;
    }
    Ok((certificate, key))
}

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// The certificate in use; read again when its files have changed.
#[derive(Debug)]
struct Reloading {
    certificate: PathBuf,
    key: PathBuf,
    provider: Arc<CryptoProvider>,
    current: Mutex<Current>,
}

#[derive(Debug)]
struct Current {
    key: Arc<CertifiedKey>,
    /// The files that it was read from.
    files: Option<Stamps>,
    /// Changed files that could not be used; that is said once.
    refused: Option<Stamps>,
}

impl Reloading {
    fn open(certificate: PathBuf, key: PathBuf, provider: Arc<CryptoProvider>) -> Result<Self, TlsError> {
        // Looked at before they are read: what changes in between is read again.
        let files = stamps(&certificate, &key);
        let current = Current { key: read(&certificate, &key, &provider)?, files, refused: None };
        Ok(Self { certificate, key, provider, current: Mutex::new(current) })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a file looks like from outside: modification time, size, inode.
type Stamp = (SystemTime, u64, u64);
type Stamps = (Stamp, Stamp);

/// None when one of the files is not there.
fn stamps(certificate: &Path, key: &Path) -> Option<Stamps> {
    use std::os::unix::fs::MetadataExt as _;
    let stamp = |path: &Path| fs::metadata(path).and_then(|file| Ok((file.modified()?, file.len(), file.ino()))).ok();
    Some((stamp(certificate)?, stamp(key)?))
}

fn read(certificate: &Path, key: &Path, provider: &CryptoProvider) -> Result<Arc<CertifiedKey>, TlsError> {
    let chain = CertificateDer::pem_file_iter(certificate).map_err(|error| failed(certificate, error))?;
    let chain: Vec<_> = chain.collect::<Result<_, _>>().map_err(|error| failed(certificate, error))?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| failed(key, error))?;
    let certified = CertifiedKey::from_der(chain, private, provider).map_err(|error| failed(certificate, error))?;
    Ok(Arc::new(certified))
}

impl ResolvesServerCert for Reloading {
    /// The certificate for one connection. Looking whether the files have changed costs little beside a handshake.
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let now = stamps(&self.certificate, &self.key);
        let mut current = self.lock();
        if now.is_some() && now != current.files && now != current.refused {
            match read(&self.certificate, &self.key, &self.provider) {
                Ok(key) => {
                    tracing::info!("the certificate was read again");
                    (current.key, current.files, current.refused) = (key, now, None);
                }
                // Perhaps only one of the two files has been replaced yet: the old certificate is good until then.
                Err(error) => {
                    tracing::warn!(%error, "the changed certificate is not used");
                    current.refused = now;
                }
            }
        }
        Some(Arc::clone(&current.key))
    }
}
