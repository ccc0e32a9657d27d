//! Taking connections, and ending in order.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use crate::client::Fingerprint;

use super::super::tls::{self, TlsError, TlsFiles};
use super::App;
use super::connection::{Connection, Shared};
use super::limits::{Limits, Places};
use super::outside::Outside;

/// How long requests that are under way may take when the node stops.
const GRACE: Duration = Duration::from_secs(30);
/// How many connections the system keeps for us until we take them; it may allow fewer.
const QUEUE: u32 = 4096;
/// The pause when the system gives no more connections: others end meanwhile.
const BREATH: Duration = Duration::from_millis(100);
/// How often that is said, at the most.
const SAY: Duration = Duration::from_secs(10);

/// How the node meets the network.
#[derive(Debug, Clone, Default)]
pub struct Front {
    /// Serve TLS with this certificate.
    pub tls: Option<TlsFiles>,
    /// Proxies, and the addresses that clients use.
    pub outside: Outside,
    /// What a client may take.
    pub limits: Limits,
}

/// A server at work. Dropping it does not stop it; [`Running::stop`] does.
pub struct Running {
    address: SocketAddr,
    fingerprint: Option<Fingerprint>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Running {
    /// Where it listens, as a URL without a path.
    pub fn url(&self) -> String {
        let scheme = if self.fingerprint.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// Of its certificate, when it serves TLS.
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        self.fingerprint
    }

    /// Takes no new connections, lets requests under way end, and returns when all is quiet.
    pub async fn stop(self) {
        // An error means that the task has ended already.
        let _ = self.stop.send(true);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the server ended unexpectedly");
        }
    }
}

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The listener.
    #[error("the server cannot start: {0}")]
    Listener(#[from] io::Error),
    /// The certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// A listener whose queue holds a whole crowd: who does not fit into it tries again only after a second.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // The address of a server that has just ended is free.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(QUEUE)
}

/// Serves on a listener until it is stopped.
pub fn start(listener: TcpListener, app: App, front: Front) -> Result<Running, StartError> {
    let Front { tls, outside, limits } = front;
    let address = listener.local_addr()?;
    let tls = tls.as_ref().map(tls::open).transpose()?;
    let fingerprint = tls.as_ref().map(|tls| tls.fingerprint);
    let requests = Arc::new(Semaphore::new(limits.max_requests.clamp(1, Semaphore::MAX_PERMITS)));
    let shared = Shared { app, limits, outside, requests, tls: tls.map(|tls| TlsAcceptor::from(tls.config)), hinted: false.into() };
    let (stop, stopped) = watch::channel(false);
    let task = tokio::spawn(accept(listener, Arc::new(shared), stopped));
    Ok(Running { address, fingerprint, stop, task })
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, mut stopped: watch::Receiver<bool>) {
    let places = Places::new(&shared.limits);
    // Every connection holds a receiver until it has ended.
    let (ending, _) = watch::channel(false);
    let mut said: Option<Instant> = None;
    loop {
        let next = async {
            let permit = places.free().await;
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            next = next => next,
            _ = stopped.changed() => break,
        };
        let (stream, from) = match accepted {
            Ok(accepted) => accepted,
            Err(error) if is_the_clients(&error) => continue,
            Err(error) => {
                if said.is_none_or(|said| said.elapsed() >= SAY) {
                    tracing::warn!(%error, "connections cannot be taken at the moment; they wait");
                    said = Some(Instant::now());
                }
                tokio::time::sleep(BREATH).await;
                continue;
            }
        };
        let from = from.ip().to_canonical();
        let exempt = from.is_loopback() || shared.outside.trusts(from);
        let Some(place) = permit.and_then(|permit| places.take(permit, from, exempt)) else {
            tracing::debug!(%from, "an address has too many connections, another is not taken");
            continue;
        };
        let connection = Connection { shared: Arc::clone(&shared), from, place };
        tokio::spawn(serve(connection, stream, ending.subscribe()));
    }
    drop(listener);
    shared.app.api.stop();
    ending.send_replace(true);
    if tokio::time::timeout(GRACE, ending.closed()).await.is_err() {
        tracing::warn!("some requests did not end in time and were broken off");
    }
}

async fn serve(connection: Connection, stream: TcpStream, stopped: watch::Receiver<bool>) {
    // Without it small answers wait for acknowledgements; failing to set it costs only speed.
    let _ = stream.set_nodelay(true);
    connection.serve(stream, stopped).await;
}

/// The connection was gone before it was accepted (accept(2)): no reason to pause.
fn is_the_clients(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}
