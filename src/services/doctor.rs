//! The connection doctor: examines a service step by step, and says of each step what it found, what that means and what to do.
//!
//! Each check has an id that stays the same, so that programs can rely on it. A check whose ground is missing is skipped and says so. Only the
//! probe writes, and only when it is told to; what it wrote is removed in every case, by the next sync if it was killed.

mod answers;
mod notes;
mod probe;
mod reach;

use serde::Serialize;
use serde_json::{Map, Value};
use tokio::sync::watch;
use utoipa::ToSchema;

use crate::client::{Client, ClientError, Root};
use crate::store::Store;

pub use self::notes::examines_with;

use self::notes::Notes;
use super::{Findings, Service};

/// What came of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It works, but the owner should know something.
    Warning,
    /// It does not work.
    Failed,
    /// It was not tried.
    Skipped,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Check {
    /// Stays the same from version to version.
    pub id: &'static str,
    /// What it is about, for people.
    pub title: &'static str,
    /// What came of it.
    pub status: Verdict,
    /// What that means and what to do, in plain sentences.
    pub text: String,
    /// The same for programs, where there is more to tell.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub details: Map<String, Value>,
}

impl Check {
    fn detail(&mut self, key: &str, value: impl Serialize) -> &mut Self {
        self.details.insert(key.to_owned(), serde_json::to_value(value).unwrap_or_default());
        self
    }
}

/// All checks, in their order: id and title.
const CHECKS: [(&str, &str); 19] = [
    ("dns", "DNS"),
    ("tcp", "connection"),
    ("tls", "TLS"),
    ("http", "HTTP"),
    ("server", "server"),
    ("login", "login"),
    ("dav", "WebDAV"),
    ("folder", "folder"),
    ("depth", "listing at once"),
    ("endpoints", "more ways to send"),
    ("names", "names"),
    ("quota", "room"),
    ("write", "write"),
    ("overwrite", "update"),
    ("mtime", "times"),
    ("checksums", "checksums"),
    ("streaming", "bodies without length"),
    ("cleanup", "cleaning up"),
    ("verify", "proof"),
];
/// Without these nothing works.
const CONNECTION: [&str; 8] = ["dns", "tcp", "tls", "http", "server", "login", "dav", "folder"];

/// What an examination found.
#[derive(Debug, Default)]
pub struct Checkup {
    /// All checks, in their order.
    pub checks: Vec<Check>,
    /// What kind of server it is, in one word.
    pub kind: String,
    /// Its version, if it tells.
    pub version: Option<String>,
    /// The folders directly in the service's folder.
    pub folders: usize,
    /// The files directly in it.
    pub files: usize,
    /// What the probe found, when it was made.
    pub findings: Option<Findings>,
    /// Who looks on.
    watched: Option<Watched>,
}

/// Where the checks are told as they happen.
pub type Watched = watch::Sender<Vec<Check>>;

impl Checkup {
    /// Whether nothing failed.
    pub fn is_well(&self) -> bool {
        !self.checks.iter().any(|check| check.status == Verdict::Failed)
    }

    /// Whether the service can be used at all.
    pub fn is_connected(&self) -> bool {
        !self.checks.iter().any(|check| check.status == Verdict::Failed && CONNECTION.contains(&check.id))
    }

    fn note(&mut self, id: &'static str, status: Verdict, text: impl Into<String>) -> &mut Check {
        let title = CHECKS.iter().find(|(known, _)| *known == id).map_or(id, |(_, title)| title);
        self.checks.push(Check { id, title, status, text: text.into(), details: Map::new() });
        self.tell();
        let last = self.checks.len() - 1;
        &mut self.checks[last]
    }

    fn ok(&mut self, id: &'static str, text: impl Into<String>) -> &mut Check {
        self.note(id, Verdict::Ok, text)
    }

    fn warn(&mut self, id: &'static str, text: impl Into<String>) -> &mut Check {
        self.note(id, Verdict::Warning, text)
    }

    fn fail(&mut self, id: &'static str, text: impl Into<String>) -> &mut Check {
        self.note(id, Verdict::Failed, text)
    }

    fn skip(&mut self, id: &'static str, text: impl Into<String>) -> &mut Check {
        self.note(id, Verdict::Skipped, text)
    }

    fn tell(&self) {
        if let Some(watched) = &self.watched {
            watched.send_replace(self.checks.clone());
        }
    }

    /// Skips what has not been tried, and brings everything into its order.
    fn finish(mut self, why: &str) -> Self {
        for (id, _) in CHECKS {
            if !self.checks.iter().any(|check| check.id == id) {
                self.skip(id, why);
            }
        }
        self.checks.sort_by_key(|check| CHECKS.iter().position(|(id, _)| *id == check.id));
        self.tell();
        self
    }
}

/// The id of the first check that was not made yet: the one that is being made, as far as anybody can tell.
pub fn next_check(checks: &[Check]) -> Option<&'static str> {
    let after = checks.iter().filter_map(|check| CHECKS.iter().position(|(id, _)| *id == check.id)).max().map_or(0, |at| at + 1);
    CHECKS.get(after).map(|(id, _)| *id)
}

/// Examines only the way to an address of which is known that there is no service, or none for this login: no password is sent. `missed` is the
/// check that is to blame when the way itself is whole, and the reason.
pub async fn examine_way(root: &Client, service: &Service, missed: (&'static str, String)) -> Vec<Check> {
    let mut checkup = Checkup::default();
    if reach::reach(&mut checkup, root, service).await {
        let (id, reason) = missed;
        if id == "dav" {
            checkup.skip("login", "not tried, because there is no WebDAV to talk to");
        }
        checkup.fail(id, reason);
    }
    checkup.checks
}

/// Examines a service. `root` is a client of its WebDAV root. Something is written there only when `write` allows it; otherwise it says why
/// not. Who looks on is told each check as it happens.
pub async fn examine(
    root: &Client,
    service: &Service,
    store: &Store,
    write: Result<(), &'static str>,
    watched: Option<Watched>,
) -> Checkup {
    let mut checkup = Checkup { kind: "unknown".into(), watched, ..Checkup::default() };
    if !reach::reach(&mut checkup, root, service).await {
        return checkup.finish("not tried, because there is no connection");
    }
    let product = reach::server(&mut checkup, root).await;
    let Some(found) = answers::log_in(&mut checkup, root, service, product.as_ref()).await else {
        return checkup.finish("not tried, because there is no WebDAV to talk to");
    };
    if checkup.kind == "unknown" {
        checkup.kind = if found.library_id.is_some() { "twinlens".into() } else { "webdav".into() };
    }
    let Some((place, folder)) = answers::folder(&mut checkup, root, service).await else {
        return checkup.finish("not tried, because the folder cannot be used");
    };
    answers::depth(&mut checkup, &folder).await;
    answers::endpoints(&mut checkup, root).await;
    answers::quota(&mut checkup, &folder).await;
    match write {
        Ok(()) => probe::probe(&mut checkup, &folder, Notes::new(store, service, place), service, &found).await,
        Err(why) => {
            for id in ["write", "overwrite", "mtime", "checksums", "streaming", "cleanup"] {
                checkup.skip(id, why);
            }
        }
    }
    checkup.finish("not tried")
}

/// Finds out anew how uploads to a folder work; nothing is told. None when it cannot be found out now.
pub async fn probe_again(folder: &Client, service: &Service, store: &Store) -> Result<Option<Findings>, ClientError> {
    let Some(root) = folder.look_at_root().await? else { return Ok(None) };
    let mut checkup = Checkup::default();
    let notes = Notes::new(store, service, service.sync.folder.clone());
    probe::probe(&mut checkup, folder, notes, service, &root).await;
    Ok(checkup.findings)
}

/// What kind of server this is, in one word, and its version if it tells. `is_node` is known from its listing.
pub async fn kind_of(client: &Client, is_node: bool) -> (String, Option<String>) {
    if is_node {
        return ("twinlens".into(), None);
    }
    let mut checkup = Checkup { kind: "unknown".into(), ..Checkup::default() };
    reach::server(&mut checkup, client).await;
    if checkup.kind == "unknown" { ("webdav".into(), None) } else { (checkup.kind, checkup.version) }
}

/// Whether it is one of our own kind.
fn is_node(root: &Root) -> bool {
    root.library_id.is_some()
}
