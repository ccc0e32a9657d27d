//! Whom to trust: the system's authorities, or one certificate that the owner has seen.

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;

/// SHA-256 of a certificate, written as `AA:BB:...`.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, examples("3f786850e387550fdab836ed7e6dc881de23001b3f786850e387550fdab836ed"))]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Of a certificate in DER.
    pub fn of(certificate: &[u8]) -> Self {
        Self(Sha256::digest(certificate).into())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            write!(f, "{}{byte:02X}", if at == 0 { "" } else { ":" })?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Fingerprint {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let hex: String = text.chars().filter(|c| !matches!(c, ':' | ' ')).collect();
        let hash = crate::types::ContentHash::from_hex(&hex);
        hash.map(|hash| Self(hash.0)).ok_or_else(|| "a fingerprint is 64 hexadecimal digits, with or without colons".to_owned())
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> String {
        fingerprint.to_string()
    }
}

/// The certificate that a server showed last, for the message when it was refused.
pub(super) type Shown = Arc<Mutex<Option<CertificateDer<'static>>>>;

/// Who vouches for a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Roots {
    /// The owner, who has seen the certificate.
    Pinned,
    /// The authorities that the system trusts.
    System,
    /// Those that Mozilla trusts, which come with the program: where the system has none.
    Bundled,
}

/// A TLS configuration, for TLS 1.2 and newer, that trusts the system's authorities, or only the pinned certificate.
pub(super) fn config(pinned: Option<Fingerprint>, shown: Shown) -> Result<(ClientConfig, Roots), Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let (authorities, roots) = match pinned {
        Some(_) => (None, Roots::Pinned),
        None => authorities(&provider).map(|(verifier, roots)| (Some(verifier), roots))?,
    };
    let verifier = Verifier { authorities, pinned, shown, provider };
    // "Dangerous" is rustls's word for any verifier of one's own; ours only adds the pin and remembers what it saw.
    Ok((builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth(), roots))
}

fn authorities(provider: &Arc<CryptoProvider>) -> Result<(Arc<dyn ServerCertVerifier>, Roots), Error> {
    match rustls_platform_verifier::Verifier::new(Arc::clone(provider)) {
        Ok(system) => Ok((Arc::new(system), Roots::System)),
        Err(error) => {
            tracing::debug!(%error, "the system has no list of authorities");
            let roots = Arc::new(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() });
            let bundled = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(provider)).build();
            Ok((bundled.map_err(|error| Error::General(error.to_string()))?, Roots::Bundled))
        }
    }
}

#[derive(Debug)]
struct Verifier {
    authorities: Option<Arc<dyn ServerCertVerifier>>,
    pinned: Option<Fingerprint>,
    shown: Shown,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let found = Fingerprint::of(end_entity);
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = Some(end_entity.clone().into_owned());
        match (&self.authorities, self.pinned) {
            (_, Some(pinned)) if pinned == found => Ok(ServerCertVerified::assertion()),
            (Some(authorities), None) => authorities.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now),
            _ => Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure)),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
