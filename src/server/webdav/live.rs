//! Live properties: what the node itself tells of files and folders.

use std::fmt;
use std::time::SystemTime;

use crate::accounts::Rights;
use crate::dav::multistatus::Found;
use crate::dav::names::{self, PropName};
use crate::dav::{checksum, propfind};
use crate::library::{Kind, LibraryError, Stat, View};
use crate::types::{Digests, Mtime, RelPath};

use super::Viewer;
use super::fs::Root;
use super::locks::{Locks, place_in};
use super::meta::FileTag;
use super::scene::{Scene, sync_token};

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
    CreationDate,
    DisplayName,
    SupportedLock,
    LockDiscovery,
    SupportedReportSet,
    SyncToken,
    QuotaAvailable,
    QuotaUsed,
    Checksums,
    Id,
    FileId,
    Size,
    Permissions,
    Favorite,
    OwnerId,
    OwnerDisplayName,
    ShareTypes,
    DataFingerprint,
    HasPreview,
    CreationTime,
    IsEncrypted,
    MountType,
    ContentHash,
    LibraryId,
}

/// All of them; the first ones are what every resource may have, and what `allprop` tells.
static LIVE: [(Live, PropName); 29] = [
    (Live::ResourceType, names::RESOURCETYPE),
    (Live::ContentLength, names::GETCONTENTLENGTH),
    (Live::ContentType, names::GETCONTENTTYPE),
    (Live::Etag, names::GETETAG),
    (Live::LastModified, names::GETLASTMODIFIED),
    (Live::SupportedLock, names::SUPPORTEDLOCK),
    (Live::LockDiscovery, names::LOCKDISCOVERY),
    (Live::DisplayName, names::DISPLAYNAME),
    (Live::CreationDate, names::CREATIONDATE),
    (Live::SyncToken, names::SYNC_TOKEN),
    (Live::QuotaAvailable, names::QUOTA_AVAILABLE),
    (Live::QuotaUsed, names::QUOTA_USED),
    (Live::Checksums, names::CHECKSUMS),
    (Live::Id, names::ID),
    (Live::FileId, names::FILEID),
    (Live::Size, names::SIZE),
    (Live::Permissions, names::PERMISSIONS),
    (Live::Favorite, names::FAVORITE),
    (Live::OwnerId, names::OWNER_ID),
    (Live::OwnerDisplayName, names::OWNER_DISPLAY_NAME),
    (Live::ShareTypes, names::SHARE_TYPES),
    (Live::DataFingerprint, names::DATA_FINGERPRINT),
    (Live::HasPreview, names::HAS_PREVIEW),
    (Live::CreationTime, names::CREATION_TIME),
    (Live::IsEncrypted, names::IS_ENCRYPTED),
    (Live::MountType, names::MOUNT_TYPE),
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

    /// Whether a client may have set it.
    fn may_be_dead(&self) -> bool {
        self.live.is_none_or(|live| live == Live::DisplayName)
    }
}

/// What has to be looked up for a whole answer or folder, because of what is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Needs {
    /// The numbers of files and folders; those without get one.
    pub(super) ids: bool,
    /// Which are the user's favourites.
    pub(super) favorites: bool,
    /// What room the disk has.
    pub(super) room: bool,
    /// Dead properties.
    pub(super) dead: bool,
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

    pub(super) fn needs(&self) -> Needs {
        let asks = |lives: &[Live]| self.props.iter().any(|ask| ask.live.is_some_and(|live| lives.contains(&live)));
        Needs {
            ids: asks(&[Live::Id, Live::FileId]),
            favorites: asks(&[Live::Favorite]),
            room: asks(&[Live::QuotaAvailable]),
            dead: self.all || self.props.iter().any(Ask::may_be_dead),
        }
    }
}

/// For whom properties are told.
#[derive(Clone)]
pub(super) struct Teller {
    pub(super) viewer: Viewer,
    pub(super) user: String,
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
    /// There are dead properties somewhere, and they may be asked for.
    pub(super) any_dead: bool,
    pub(super) scene: Option<&'a Scene>,
    /// Its number, as far as that matters.
    pub(super) number: Option<u64>,
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
            let set = dead.iter().find(|property| ask.may_be_dead() && property.name() == ask.name);
            if let Some(property) = set {
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
            _ => return self.tell_more(live, teller, found),
        }
        Ok(true)
    }

    /// The same for what is seldom asked for, and what ownCloud's and Nextcloud's clients want to know.
    fn tell_more(&self, live: Live, teller: &Teller, found: &mut Found<'_>) -> Result<bool, LibraryError> {
        let folder = self.is_folder();
        match (live, self.scene) {
            (Live::CreationDate, _) => match self.created().and_then(internet_date) {
                Some(date) => found.plain("d:creationdate", date),
                None => return Ok(false),
            },
            (Live::SyncToken, _) if folder => match self.view.map(|view| sync_token(view, &self.path())).transpose()?.flatten() {
                Some(token) => found.plain("d:sync-token", token),
                None => return Ok(false),
            },
            (Live::QuotaAvailable, Some(Scene { room: Some(room), .. })) if folder => found.plain("d:quota-available-bytes", room),
            (Live::QuotaUsed, _) if folder => match self.bytes_below()? {
                Some(bytes) => found.plain("d:quota-used-bytes", bytes),
                None => return Ok(false),
            },
            (Live::Size, _) if folder => match self.bytes_below()? {
                Some(bytes) => found.plain("oc:size", bytes),
                None => return Ok(false),
            },
            (Live::Size, _) => found.plain("oc:size", self.stat.size),
            (Live::Id, Some(scene)) => match self.number {
                Some(number) => found.plain("oc:id", scene.oc_id(number)),
                None => return Ok(false),
            },
            (Live::FileId, _) => match self.number {
                Some(number) => found.plain("oc:fileid", number),
                None => return Ok(false),
            },
            (Live::Permissions, _) => found.plain("oc:permissions", self.permissions()),
            (Live::Favorite, scene) => {
                let is = scene.is_some_and(|scene| scene.is_favorite(self.number));
                found.plain("oc:favorite", u8::from(is));
            }
            (Live::OwnerId, _) => found.text("oc:owner-id", &teller.user),
            (Live::OwnerDisplayName, _) => found.text("oc:owner-display-name", &teller.user),
            (Live::ShareTypes, _) => found.empty("oc:share-types"),
            (Live::DataFingerprint, Some(scene)) if folder => found.plain("oc:data-fingerprint", scene.fingerprint()),
            (Live::HasPreview, _) => found.plain("nc:has-preview", false),
            (Live::CreationTime, _) => found.plain("nc:creation_time", self.created().map_or(0, Mtime::seconds)),
            (Live::IsEncrypted, _) if folder => found.plain("nc:is-encrypted", 0),
            (Live::MountType, _) => found.empty("nc:mount-type"),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Bytes of everything in a folder of the library.
    fn bytes_below(&self) -> Result<Option<u64>, LibraryError> {
        let Some(changes) = self.view.and_then(View::changes) else { return Ok(None) };
        Ok(Some(changes.folders().get(&self.path())?.map_or(0, |folder| folder.totals.bytes)))
    }

    fn created(&self) -> Option<Mtime> {
        self.root.and_then(|root| root.tree.created(&self.path()))
    }

    fn permissions(&self) -> String {
        match self.root {
            Some(root) => permissions(root.rights, self.is_folder(), self.path() == root.base),
            None => permissions(Rights::READ, true, true),
        }
    }

    fn library(&self) -> Option<crate::types::LibraryId> {
        self.root.and_then(|root| root.library)
    }
}

/// A date as RFC 3339 has it (RFC 4918 section 15.1).
fn internet_date(time: Mtime) -> Option<String> {
    jiff::Timestamp::from_second(time.seconds()).ok().map(|time| time.to_string())
}

/// What may be done with a file or folder, as ownCloud's clients read it: G read, D delete, N rename, V move, W change a file, CK make files
/// and folders in a folder. S and M, for what is shared or mounted, would make them pass it over.
fn permissions(rights: Rights, folder: bool, is_root: bool) -> String {
    let own = !is_root;
    let letters = [
        ("G", rights.read),
        ("D", rights.delete && own),
        ("NV", rights.change && own),
        ("W", rights.change && !folder),
        ("CK", rights.add && folder),
    ];
    letters.iter().filter(|(_, may)| *may).map(|(letter, _)| *letter).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_are_what_the_rights_allow() {
        assert_eq!(permissions(Rights::ALL, false, false), "GDNVW");
        assert_eq!(permissions(Rights::ALL, true, false), "GDNVCK");
        assert_eq!(permissions(Rights::ALL, true, true), "GCK");
        assert_eq!(permissions(Rights::READ, true, false), "G");
        assert_eq!(permissions(Rights { add: true, ..Rights::READ }, true, false), "GCK");
        assert_eq!(permissions(Rights { delete: true, ..Rights::READ }, false, false), "GD");
        assert_eq!(permissions(Rights::NONE, false, false), "");
    }

    #[test]
    fn only_what_is_asked_for_is_looked_up() {
        assert_eq!(Asked::of(propfind::Request::Props(propfind::WANTED.to_vec())).needs(), Needs::default());
        let all = Asked::of(propfind::Request::AllProp { include: vec![names::GETETAG, names::FILEID] });
        assert_eq!(all.needs(), Needs { ids: true, dead: true, ..Needs::default() });
        let one = |name: PropName| Asked::of(propfind::Request::Props(vec![name])).needs();
        assert_eq!(one(names::QUOTA_AVAILABLE), Needs { room: true, ..Needs::default() });
        assert!(one(PropName::owned("urn:x", "y")).dead);
    }
}
