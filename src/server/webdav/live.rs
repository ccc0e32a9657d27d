//! Live properties (RFC 4918 section 4): what they are called, what must be looked up for them, and their values.

use crate::accounts::Rights;
use crate::dav::multistatus::Value;
use crate::dav::names::{self, DAV, OC, PropName};
use crate::dav::{checksum, etag, propfind, sync};
use crate::library::Kind;
use crate::types::Mtime;

use super::http_date;
use super::items::Item;
use super::locks::Locks;
use super::meta::Meta;

/// Locks are exclusive or shared write locks (RFC 4918 section 15.10).
const SUPPORTEDLOCK: &str = "<d:supportedlock>\
    <d:lockentry><d:lockscope><d:exclusive/></d:lockscope><d:locktype><d:write/></d:locktype></d:lockentry>\
    <d:lockentry><d:lockscope><d:shared/></d:lockscope><d:locktype><d:write/></d:locktype></d:lockentry>\
    </d:supportedlock>";

/// The reports that a folder of the library answers (RFC 3253 section 3.1.5).
const SUPPORTED_REPORT_SET: &str = "<d:supported-report-set><d:supported-report><d:report><d:sync-collection/></d:report></d:supported-report>\
    </d:supported-report-set>";

/// A live property.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Live {
    ResourceType,
    ContentLength,
    ContentType,
    Etag,
    LastModified,
    CreationDate,
    DisplayName,
    SupportedLock,
    LockDiscovery,
    SupportedReports,
    SyncToken,
    QuotaAvailable,
    QuotaUsed,
    Checksums,
    Id,
    FileId,
    Size,
    Permissions,
    Favorite,
    Owner,
    ShareTypes,
    DataFingerprint,
    HasPreview,
    CreationTime,
    IsEncrypted,
    MountType,
    ContentHash,
    LibraryId,
}

const LIVE: [(PropName, Live); 29] = [
    (names::RESOURCETYPE, Live::ResourceType),
    (names::GETCONTENTLENGTH, Live::ContentLength),
    (names::GETCONTENTTYPE, Live::ContentType),
    (names::GETETAG, Live::Etag),
    (names::GETLASTMODIFIED, Live::LastModified),
    (names::SUPPORTEDLOCK, Live::SupportedLock),
    (names::LOCKDISCOVERY, Live::LockDiscovery),
    (names::CREATIONDATE, Live::CreationDate),
    (names::DISPLAYNAME, Live::DisplayName),
    (names::SUPPORTED_REPORT_SET, Live::SupportedReports),
    (names::SYNC_TOKEN, Live::SyncToken),
    (names::QUOTA_AVAILABLE, Live::QuotaAvailable),
    (names::QUOTA_USED, Live::QuotaUsed),
    (names::CHECKSUMS, Live::Checksums),
    (names::ID, Live::Id),
    (names::FILEID, Live::FileId),
    (names::SIZE, Live::Size),
    (names::PERMISSIONS, Live::Permissions),
    (names::FAVORITE, Live::Favorite),
    (names::OWNER_ID, Live::Owner),
    (names::OWNER_DISPLAY_NAME, Live::Owner),
    (names::SHARE_TYPES, Live::ShareTypes),
    (names::DATA_FINGERPRINT, Live::DataFingerprint),
    (names::HAS_PREVIEW, Live::HasPreview),
    (names::CREATION_TIME, Live::CreationTime),
    (names::IS_ENCRYPTED, Live::IsEncrypted),
    (names::MOUNT_TYPE, Live::MountType),
    (names::CONTENT_HASH, Live::ContentHash),
    (names::LIBRARY_ID, Live::LibraryId),
];

/// So many of them, from the first, does `allprop` tell: what every resource may have and costs nothing.
const ALL: usize = 7;

impl Live {
    fn of(name: &PropName) -> Option<Self> {
        LIVE.iter().find(|(known, _)| known == name).map(|(_, live)| *live)
    }
}

/// What a request asks for, with every name looked up once.
pub(super) struct Wanted {
    /// Properties to tell, or to tell that they are missing.
    named: Vec<(PropName, Option<Live>)>,
    /// What every resource may have, and its dead properties.
    all: bool,
    /// Only the names are told.
    names_only: bool,
}

/// What has to be looked up for the values that are asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Needs {
    /// The numbers of files and folders; those without get one.
    pub(super) ids: bool,
    /// Whether they are favourites.
    pub(super) favorites: bool,
    /// What lies below folders.
    pub(super) folders: bool,
    /// When things were made.
    pub(super) created: bool,
    /// What room the disk has.
    pub(super) room: bool,
    /// Dead properties.
    pub(super) dead: bool,
}

impl Wanted {
    pub(super) fn new(request: propfind::Request) -> Self {
        let looked_up = |name: PropName| {
            let live = Live::of(&name);
            (name, live)
        };
        let named = |names: Vec<PropName>| names.into_iter().map(looked_up).collect();
        match request {
            propfind::Request::Props(names) => Self { named: named(names), all: false, names_only: false },
            propfind::Request::AllProp { include } => {
                let besides = include.into_iter().filter(|name| !LIVE[..ALL].iter().any(|(known, _)| known == name));
                Self { named: named(besides.collect()), all: true, names_only: false }
            }
            propfind::Request::PropName => Self { named: Vec::new(), all: true, names_only: true },
        }
    }

    pub(super) fn needs(&self) -> Needs {
        let asks = |lives: &[Live]| self.named.iter().any(|(_, live)| live.is_some_and(|live| lives.contains(&live)));
        Needs {
            ids: asks(&[Live::Id, Live::FileId]),
            favorites: asks(&[Live::Favorite]),
            folders: asks(&[Live::Size, Live::QuotaUsed, Live::SyncToken]),
            created: asks(&[Live::CreationDate, Live::CreationTime]),
            room: asks(&[Live::QuotaAvailable]),
            dead: self.all || self.named.iter().any(|(_, live)| live.is_none_or(may_be_dead)),
        }
    }

    /// The values that a resource has, and the names of what it should have and has not.
    pub(super) fn values(&self, item: &Item, meta: &Meta, locks: &Locks) -> (Vec<(PropName, Value)>, Vec<PropName>) {
        let (mut found, mut missing) = (Vec::with_capacity(self.named.len()), Vec::new());
        if self.all {
            found.extend(LIVE[..ALL].iter().filter_map(|(name, live)| Some((name.clone(), live_value(*live, item, meta, locks)?))));
            found.extend(item.properties.iter().map(|property| (property.name(), Value::Raw(property.xml.clone()))));
        }
        for (name, live) in &self.named {
            match value(name, *live, item, meta, locks) {
                Some(value) => found.push((name.clone(), value)),
                None => missing.push(name.clone()),
            }
        }
        if self.names_only {
            found.iter_mut().for_each(|(_, value)| *value = Value::Empty);
        }
        (found, missing)
    }
}

/// Live properties that a client may have given another value.
fn may_be_dead(live: Live) -> bool {
    live == Live::DisplayName
}

fn value(name: &PropName, live: Option<Live>, item: &Item, meta: &Meta, locks: &Locks) -> Option<Value> {
    if live.is_none_or(may_be_dead) {
        let dead = item.properties.iter().find(|property| property.local == *name.local && property.namespace == *name.namespace);
        if let Some(property) = dead {
            return Some(Value::Raw(property.xml.clone()));
        }
    }
    live_value(live?, item, meta, locks)
}

fn live_value(live: Live, item: &Item, meta: &Meta, locks: &Locks) -> Option<Value> {
    let folder = meta.stat.kind == Kind::Folder;
    let number = |value: u64| Some(Value::Text(value.to_string()));
    let text = |value: &str| Some(Value::Text(value.to_owned()));
    let of_library = item.scene.library.filter(|_| folder);
    match live {
        Live::ResourceType if folder => Some(Value::Element(PropName::owned(DAV, "collection"))),
        Live::ResourceType => Some(Value::Empty),
        Live::ContentLength if !folder => number(meta.stat.size),
        Live::ContentType if !folder => text(mime_guess::from_path(&item.name).first_raw().unwrap_or("application/octet-stream")),
        Live::Etag => meta.opaque_etag().map(|opaque| Value::Text(etag::quote(&opaque))),
        Live::LastModified => Some(Value::Text(http_date(meta.stat.mtime))),
        Live::CreationDate => item.created.and_then(internet_date).map(Value::Text),
        Live::DisplayName => text(&item.name),
        Live::SupportedLock => Some(Value::Raw(SUPPORTEDLOCK.to_owned())),
        Live::LockDiscovery => match locks.active(&item.place) {
            active if active.is_empty() => Some(Value::Empty),
            active => Some(Value::Raw(format!("<d:lockdiscovery>{active}</d:lockdiscovery>"))),
        },
        Live::SupportedReports => of_library.map(|_| Value::Raw(SUPPORTED_REPORT_SET.to_owned())),
        // RFC 6578 section 4: what a report of this moment would give.
        Live::SyncToken if folder => {
            item.scene.position(item.below?.changed).map(|(epoch, number)| Value::Text(sync::token(epoch, number)))
        }
        Live::QuotaAvailable if folder => item.scene.room.and_then(number),
        Live::QuotaUsed if folder => number(item.below?.totals.bytes),
        Live::Checksums => {
            meta.digests.map(|digests| Value::Texts(PropName::owned(OC, "checksum"), vec![checksum::oc_checksum(&digests.sha1)]))
        }
        Live::Id => Some(Value::Text(item.scene.oc_id(item.id?))),
        Live::FileId => number(item.id?),
        Live::Size if folder => number(item.below?.totals.bytes),
        Live::Size => number(meta.stat.size),
        Live::Permissions => Some(Value::Text(permissions(item.scene.rights, folder, item.is_root))),
        Live::Favorite => text(if item.favorite { "1" } else { "0" }),
        Live::Owner => text(&item.scene.user),
        Live::ShareTypes | Live::MountType => Some(Value::Empty),
        Live::DataFingerprint if folder => Some(Value::Text(item.scene.fingerprint.clone())),
        Live::HasPreview => text("false"),
        Live::CreationTime => Some(Value::Text(item.created.map_or(0, Mtime::seconds).to_string())),
        Live::IsEncrypted if folder => text("0"),
        Live::ContentHash => meta.digests.map(|digests| Value::Text(digests.content.to_string())),
        Live::LibraryId => of_library.map(|id| Value::Text(id.to_string())),
        _ => None,
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
        assert_eq!(Wanted::new(propfind::Request::Props(propfind::WANTED.to_vec())).needs(), Needs::default());
        let all = Wanted::new(propfind::Request::AllProp { include: vec![names::GETETAG, names::FILEID] });
        assert_eq!(all.needs(), Needs { ids: true, dead: true, ..Needs::default() });
        let one = |name: PropName| Wanted::new(propfind::Request::Props(vec![name])).needs();
        assert_eq!(one(names::QUOTA_AVAILABLE), Needs { room: true, ..Needs::default() });
        assert!(one(PropName::owned("urn:x", "y")).dead);
    }
}
