//! Reaching a service step by step, so that one can say at which step it fails.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::http::tls_error;
use super::{Certificate, Client, ClientError, Roots};

const PATIENCE: Duration = Duration::from_secs(10);

/// A secure connection that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handshake {
    /// `TLS 1.3`.
    pub version: &'static str,
    /// Who vouches for the certificate.
    pub roots: Roots,
}

impl Client {
    /// The addresses of the service's host.
    pub async fn resolve(&self) -> Result<Vec<SocketAddr>, ClientError> {
        let unknown = || ClientError::UnknownHost(self.base().host_str().unwrap_or_default().to_owned());
        let (host, port) = (self.host_name(), self.base().port_or_known_default().unwrap_or_default());
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        let found: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await.map_err(|_| unknown())?.collect();
        if found.is_empty() { Err(unknown()) } else { Ok(found) }
    }

    /// Connects to the first of these addresses that answers.
    pub async fn reach(&self, addresses: &[SocketAddr]) -> Result<(TcpStream, SocketAddr), ClientError> {
        let mut reason = "it has no address".to_owned();
        for address in addresses {
            match tokio::time::timeout(PATIENCE, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok((stream, *address)),
                Ok(Err(error)) => reason = error.to_string(),
                Err(_) => reason = format!("no answer within {} seconds", PATIENCE.as_secs()),
            }
        }
        Err(ClientError::Unreachable { host: self.host(), reason })
    }

    /// Makes a connection secure. Nothing is sent over it.
    pub async fn shake_hands(&self, stream: TcpStream) -> Result<Handshake, ClientError> {
        let broken = |reason: String| ClientError::Tls { host: self.host(), reason };
        let name = ServerName::try_from(self.host_name().to_owned()).map_err(|error| broken(error.to_string()))?;
        let connected = tokio::time::timeout(PATIENCE, TlsConnector::from(Arc::clone(self.tls())).connect(name, stream));
        match connected.await {
            Ok(Ok(stream)) => {
                let version = match stream.get_ref().1.protocol_version() {
                    Some(rustls::ProtocolVersion::TLSv1_3) => "TLS 1.3",
                    _ => "TLS 1.2",
                };
                Ok(Handshake { version, roots: self.roots() })
            }
            Ok(Err(error)) => Err(match tls_error(&error) {
                Some(tls) => self.explain_tls(self.host(), tls),
                None => broken(error.to_string()),
            }),
            Err(_) => Err(ClientError::Timeout { host: self.host() }),
        }
    }

    /// The certificate that the server showed last, trusted or not.
    pub fn certificate(&self) -> Option<Certificate> {
        self.shown().map(|der| Certificate::read(&der))
    }

    /// The host without the brackets of an address.
    fn host_name(&self) -> &str {
        self.base().host_str().unwrap_or_default().trim_matches(['[', ']'])
    }
}
