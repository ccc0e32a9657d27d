//! Listings of any length, read while they come: everything below a folder, and what changed there since a token.

use std::collections::BTreeSet;
use std::io::{self, BufRead, Read};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Buf as _, Bytes};
use http::{HeaderMap, HeaderValue, StatusCode};
use reqwest::Response;
use tokio::sync::mpsc;

use crate::dav::multistatus::{Item, Items, Resource};
use crate::dav::xml::XmlError;
use crate::dav::{href, propfind, sync};
use crate::types::{RelPath, RemoteVersion};

use super::listing::{not_a_folder, version_of};
use super::{Client, ClientError};

/// What is told at once.
const BATCH: usize = 1000;
/// Pieces of an answer, and batches, that wait for whoever is slower.
const WAITING: usize = 4;
/// So many libraries are told of.
const LIBRARIES: usize = 64;

/// What a service tells of one thing below a folder.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    /// A folder, with its entity tag.
    Folder(RelPath, Option<String>),
    /// A file.
    File(RelPath, RemoteVersion),
    /// Nothing is there any more. Only in answers about changes.
    Gone(RelPath),
    /// A folder belongs to the library of this id. Told once for each library.
    Library(String),
    /// Something of which nothing could be told, with the reason.
    Unusable(RelPath, String),
    /// A name that no library can hold, as sent, with the reason.
    Unnamable(String, String),
}

/// An answer on its way. It is complete only when [`Members::next`] has said that it ended.
pub struct Members {
    batches: mpsc::Receiver<Result<Batch, ClientError>>,
    token: Option<String>,
    cut: bool,
}

#[derive(Default)]
struct Batch {
    told: Vec<Told>,
    token: Option<String>,
    /// The service has more to tell than fits one answer.
    cut: bool,
    ended: bool,
}

impl Members {
    /// The next things; none at the end of a complete answer.
    pub async fn next(&mut self) -> Result<Option<Vec<Told>>, ClientError> {
        let batch =
            self.batches.recv().await.unwrap_or_else(|| Err(ClientError::Malformed(XmlError::Malformed("it ends early".into()))))?;
        self.token = batch.token.or(self.token.take());
        self.cut |= batch.cut;
        Ok((!batch.ended || !batch.told.is_empty()).then_some(batch.told))
    }

    /// The token of the state that was told, once the answer has ended.
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// Whether there is more to ask for with the token.
    pub fn is_cut(&self) -> bool {
        self.cut
    }
}

impl Client {
    /// Begins to list everything below the folder, by Depth: infinity. None when there is no such folder. Many servers refuse.
    pub async fn list_all(&self) -> Result<Option<Members>, ClientError> {
        let mut headers = HeaderMap::new();
        headers.insert("depth", HeaderValue::from_static("infinity"));
        let answer = self.ask("PROPFIND", (&RelPath::root(), true), headers, propfind::body(&propfind::WANTED)).await?;
        Ok(answer.map(|response| self.read(response, Kind::Everything)))
    }

    /// Begins to ask what changed below the folder since a token (RFC 6578). None when the service does not take the token: everything has to
    /// be looked at then.
    pub async fn changes(&self, token: &str) -> Result<Option<Members>, ClientError> {
        let mut headers = HeaderMap::new();
        headers.insert("depth", HeaderValue::from_static("0"));
        let answer = self.ask("REPORT", (&RelPath::root(), true), headers, sync::body(token, &propfind::WANTED)).await;
        match answer {
            Ok(answer) => Ok(answer.map(|response| self.read(response, Kind::Changes))),
            // The precondition valid-sync-token, or a server that has forgotten what a report is.
            Err(ClientError::Status { status: StatusCode::FORBIDDEN | StatusCode::CONFLICT | StatusCode::BAD_REQUEST, .. })
            | Err(ClientError::NotDav { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn read(&self, response: Response, kind: Kind) -> Members {
        let (bytes, pieces) = mpsc::channel(WAITING);
        let (tell, batches) = mpsc::channel(WAITING);
        let failure = Arc::<Mutex<Option<ClientError>>>::default();
        tokio::spawn(pump(self.clone(), response, bytes, Arc::clone(&failure)));
        let client = self.clone();
        tokio::task::spawn_blocking(move || {
            let source = Pieces { pieces, piece: Bytes::new() };
            let answer = Answer { client: &client, kind, tell: &tell, seen_itself: false, libraries: BTreeSet::new() };
            if let Err(error) = answer.read(source) {
                // What broke the connection says more than that the document is not whole.
                let error = failure.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or(error);
                let _ = tell.blocking_send(Err(error));
            }
        });
        Members { batches, token: None, cut: false }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Everything,
    Changes,
}

/// Hands on what comes, as fast as it is taken. An error is left in `failure`.
async fn pump(client: Client, mut response: Response, bytes: mpsc::Sender<io::Result<Bytes>>, failure: Arc<Mutex<Option<ClientError>>>) {
    loop {
        let piece = match response.chunk().await {
            Ok(Some(piece)) => Ok(piece),
            Ok(None) => return,
            Err(error) => {
                *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(client.explain(&error));
                Err(io::Error::other("the connection broke"))
            }
        };
        let broke = piece.is_err();
        // Whoever reads may have had enough.
        if bytes.send(piece).await.is_err() || broke {
            return;
        }
    }
}

/// The pieces of an answer as something that a parser can read. Blocks.
struct Pieces {
    pieces: mpsc::Receiver<io::Result<Bytes>>,
    piece: Bytes,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut ready = self.fill_buf()?;
        let read = ready.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}

impl BufRead for Pieces {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.piece.is_empty() {
            match self.pieces.blocking_recv() {
                Some(piece) => self.piece = piece?,
                None => break,
            }
        }
        Ok(&self.piece)
    }

    fn consume(&mut self, amount: usize) {
        self.piece.advance(amount.min(self.piece.len()));
    }
}

struct Answer<'a> {
    client: &'a Client,
    kind: Kind,
    tell: &'a mpsc::Sender<Result<Batch, ClientError>>,
    seen_itself: bool,
    libraries: BTreeSet<String>,
}

impl Answer<'_> {
    fn read(mut self, source: Pieces) -> Result<(), ClientError> {
        let unreadable = |error| self.client.not_a_multistatus(error);
        let mut batch = Batch::default();
        for item in Items::new(source).map_err(unreadable)? {
            match item.map_err(unreadable)? {
                Item::SyncToken(token) => batch.token = Some(token),
                Item::Resource(resource) => batch.cut |= self.take(*resource, &mut batch.told)?,
            }
            if batch.told.len() >= BATCH && self.tell.blocking_send(Ok(std::mem::take(&mut batch))).is_err() {
                return Ok(());
            }
        }
        if self.kind == Kind::Everything && !self.seen_itself {
            return Err(not_a_folder(self.client, &RelPath::root()));
        }
        let _ = self.tell.blocking_send(Ok(batch)).and_then(|()| self.tell.blocking_send(Ok(Batch { ended: true, ..Batch::default() })));
        Ok(())
    }

    /// Takes one thing; true when it says that the answer was cut.
    fn take(&mut self, resource: Resource, told: &mut Vec<Told>) -> Result<bool, ClientError> {
        let path = match href::relative_to(self.client.base_path(), &resource.href) {
            Ok(path) => path,
            Err(href::HrefError::Outside) => return Err(ClientError::Outside(resource.href)),
            Err(error) => {
                told.push(Told::Unnamable(resource.href, format!("its name {error}")));
                return Ok(false);
            }
        };
        if let Some(id) = resource.library_id.as_ref().filter(|id| self.libraries.len() < LIBRARIES && !self.libraries.contains(*id)) {
            self.libraries.insert(id.clone());
            told.push(Told::Library(id.clone()));
        }
        let failed = resource.status.filter(|code| !(200..300).contains(code));
        if path.is_root() {
            match (self.kind, failed) {
                // RFC 6578 section 3.6.
                (Kind::Changes, Some(507)) => return Ok(true),
                (Kind::Changes, _) => {}
                (Kind::Everything, None) if resource.is_collection => self.seen_itself = true,
                (Kind::Everything, _) => return Err(not_a_folder(self.client, &path)),
            }
            return Ok(false);
        }
        told.push(match failed {
            Some(404) if self.kind == Kind::Changes => Told::Gone(path),
            Some(status) => Told::Unusable(path, format!("the service answered {status}")),
            None if !resource.has_type => Told::Unusable(path, "the service did not tell what it is".into()),
            None if resource.is_collection => Told::Folder(path, resource.etag),
            None => Told::File(path, version_of(resource)),
        });
        Ok(false)
    }
}
