//! Live properties: what the node itself tells of files and folders.

use std::fmt;
use std::time::SystemTime;

use crate::dav::multistatus::Found;
use crate::dav::names::{self, PropName};
use crate::dav::{checksum, propfind};
use crate::library::{Kind, LibraryError, Stat, View};
use crate::types::{Digests, Mtime, RelPath};

use super::Viewer;
use super::fs::Root;
use super::locks::{Locks, place_in};
use super::meta::FileTag;

/// Locks are exclusive or shared write locks (RFC 4918 section 15.10).
const SUPPORTEDLOCK: &str = "<d:lockentry><d:lockscope><d:exclusive/></d:lockscope><d:locktype><d:write/></d:locktype></d:lockentry>\
    <d:lockentry><d:lockscope><d:shared/></d:lockscope><d:locktype><d:write/></d:locktype></d:lockentry>";

/// The reports that a folder of the library answers (RFC 3253 section 3.1.5).
const SUPPORTED_REPORT_SET: &str = "<d:supported-report><d:report><d:sync-collection/></d:report></d:supported-report>";

/// A property that the node knows by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Live {
    ResourceType,
    ContentLength,
    ContentType,
    Etag,
    LastModified,
    DisplayName,
    SupportedLock,
    LockDiscovery,
    Checksums,
    ContentHash,
    SupportedReportSet,
    LibraryId,
}

/// All of them; the first ones are what every resource may have, and what `allprop` tells.
static LIVE: [(Live, PropName); 12] = [
    (Live::ResourceType, names::RESOURCETYPE),
    (Live::ContentLength, names::GETCONTENTLENGTH),
    (Live::ContentType, names::GETCONTENTTYPE),
    (Live::Etag, names::GETETAG),
    (Live::LastModified, names::GETLASTMODIFIED),
    (Live::SupportedLock, names::SUPPORTEDLOCK),
    (Live::LockDiscovery, names::LOCKDISCOVERY),
    (Live::DisplayName, names::DISPLAYNAME),
    (Live::Checksums, names::CHECKSUMS),
    (Live::ContentHash, names::CONTENT_HASH),
    (Live::SupportedReportSet, names::SUPPORTED_REPORT_SET),
    (Live::LibraryId, names::LIBRARY_ID),
];
const IN_ALLPROP: usize = 7;

/// A property that is asked for.
#[derive(Debug, Clone)]
struct Ask {
    name: PropName,
    live: Option<Live>,
}

impl Ask {
    fn of(name: PropName) -> Self {
        let live = LIVE.iter().find(|(_, known)| *known == name).map(|(live, _)| *live);
        Self { name, live }
    }
}

/// What a client wants to know of each resource, looked up once for all of them.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    props: Vec<Ask>,
    /// Dead properties too, and what is missing is not said.
    all: bool,
    /// Only the names.
    names: bool,
}

impl Asked {
    pub(super) fn of(request: propfind::Request) -> Self {
        let asks = |names: Vec<PropName>| names.into_iter().map(Ask::of);
        let every = || LIVE[..IN_ALLPROP].iter().map(|(live, name)| Ask { name: name.clone(), live: Some(*live) });
        match request {
            propfind::Request::Props(names) => Self { props: asks(names).collect(), all: false, names: false },
            propfind::Request::AllProp { include } => {
                let more = asks(include).filter(|ask| !every().any(|known| known.name == ask.name));
                Self { props: every().chain(more).collect(), all: true, names: false }
            }
            propfind::Request::PropName => Self { props: every().collect(), all: true, names: true },
        }
    }
}

/// For whom properties are told.
#[derive(Clone)]
pub(super) struct Teller {
    pub(super) viewer: Viewer,
    pub(super) locks: Locks,
}

/// One file or folder whose properties are told.
pub(super) struct Subject<'a> {
    /// The tree that it lies in; none for the folder that holds all trees.
    pub(super) root: Option<&'a Root>,
    pub(super) view: Option<&'a View>,
    /// The folder of the tree that holds it, and its name there; the tree's own root has no name.
    pub(super) folder: &'a RelPath,
    pub(super) name: &'a str,
    /// The name that it is shown under.
    pub(super) shown: &'a str,
    pub(super) stat: Stat,
    pub(super) digests: Option<Digests>,
    /// There are dead properties somewhere.
    pub(super) any_dead: bool,
}

impl Subject<'_> {
    fn path(&self) -> RelPath {
        if self.name.is_empty() { RelPath::root() } else { self.folder.join(self.name).unwrap_or_default() }
    }

    fn is_folder(&self) -> bool {
        self.stat.kind == Kind::Folder
    }

    /// Writes what is asked for.
    pub(super) fn tell(&self, asked: &Asked, teller: &Teller, found: &mut Found<'_>) -> Result<(), LibraryError> {
        let dead = match (self.any_dead, self.view) {
            (true, Some(view)) => view.properties().of(&self.path())?,
            _ => Vec::new(),
        };
        for ask in &asked.props {
            if let Some(property) = dead.iter().find(|property| property.name() == ask.name) {
                found.verbatim(&property.xml);
                continue;
            }
            let has = match ask.live {
                Some(live) if asked.names => self.has(live).then(|| found.name(&ask.name)).is_some(),
                Some(live) => self.tell_live(live, teller, found)?,
                None => false,
            };
            if !has && !asked.all {
                found.missing(&ask.name);
            } else if !has && ask.live.is_none() {
                // An include that is not there (RFC 4918 section 14.8).
                found.missing(&ask.name);
            }
        }
        for property in dead.iter().filter(|_| asked.all) {
            if asked.names {
                found.name(&property.name());
            } else if !asked.props.iter().any(|ask| ask.name == property.name()) {
                found.verbatim(&property.xml);
            }
        }
        Ok(())
    }

    /// Whether it has one of the properties that every resource may have.
    fn has(&self, live: Live) -> bool {
        !(self.is_folder() && matches!(live, Live::ContentLength | Live::ContentType))
    }

    /// Writes a live property; false when there is no such thing here.
    fn tell_live(&self, live: Live, teller: &Teller, found: &mut Found<'_>) -> Result<bool, LibraryError> {
        let folder = self.is_folder();
        match live {
            Live::ResourceType if folder => found.elements("d:resourcetype", "<d:collection/>"),
            Live::ResourceType => found.empty("d:resourcetype"),
            Live::ContentLength if !folder => found.plain("d:getcontentlength", self.stat.size),
            Live::ContentType if !folder => found.plain("d:getcontenttype", content_type(self.shown)),
            Live::Etag if folder => match (teller.viewer, self.view.and_then(View::changes)) {
                (Viewer::Client, Some(changes)) => {
                    found.plain("d:getetag", format_args!("&quot;{}&quot;", changes.folder_etag(&self.path())?))
                }
                _ => return Ok(false),
            },
            Live::Etag => found.plain("d:getetag", format_args!("&quot;{}&quot;", FileTag::of(&self.stat, self.digests))),
            Live::LastModified => found.plain("d:getlastmodified", HttpDate(self.stat.mtime)),
            Live::DisplayName => found.text("d:displayname", self.shown),
            Live::SupportedLock => found.elements("d:supportedlock", SUPPORTEDLOCK),
            Live::LockDiscovery => match self.root.map(|root| teller.locks.active(&place_in(root.name, &self.path()))) {
                Some(active) if !active.is_empty() => found.elements("d:lockdiscovery", &active),
                _ => found.empty("d:lockdiscovery"),
            },
            Live::Checksums => match self.digests {
                Some(digests) => {
                    found.elements("oc:checksums", &format!("<oc:checksum>{}</oc:checksum>", checksum::oc_checksum(&digests.sha1)))
                }
                None => return Ok(false),
            },
            Live::ContentHash => match self.digests {
                Some(digests) => found.plain("tl:content-hash", digests.content),
                None => return Ok(false),
            },
            Live::SupportedReportSet if folder && self.library().is_some() => {
                found.elements("d:supported-report-set", SUPPORTED_REPORT_SET)
            }
            Live::LibraryId if folder => match self.library() {
                Some(id) => found.plain("tl:library-id", id),
                None => return Ok(false),
            },
            Live::ContentLength | Live::ContentType | Live::SupportedReportSet | Live::LibraryId => return Ok(false),
        }
        Ok(true)
    }

    fn library(&self) -> Option<crate::types::LibraryId> {
        self.root.and_then(|root| root.library)
    }
}

/// The media type that a name promises.
pub(super) fn content_type(name: &str) -> &'static str {
    mime_guess::from_path(name).first_raw().unwrap_or("application/octet-stream")
}

/// An HTTP date (RFC 9110 section 5.6.7). The format has no years before 1970; what is older counts as that.
pub(super) struct HttpDate(pub(super) Mtime);

impl fmt::Display for HttpDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        httpdate::HttpDate::from(SystemTime::from(self.0.max(Mtime(0)))).fmt(f)
    }
}
