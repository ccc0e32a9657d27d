//! Namespaces and property names.

use std::borrow::Cow;

/// RFC 4918.
pub const DAV: &str = "DAV:";
/// ownCloud's and Nextcloud's properties.
pub const OC: &str = "http://owncloud.org/ns";
/// Nextcloud's own.
pub const NC: &str = "http://nextcloud.org/ns";
/// Twinlens's own.
pub const TL: &str = "urn:twinlens:dav";

/// A property's namespace and local name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PropName {
    /// The namespace; empty for none.
    pub namespace: Cow<'static, str>,
    /// The name within it.
    pub local: Cow<'static, str>,
}

impl PropName {
    const fn known(namespace: &'static str, local: &'static str) -> Self {
        Self { namespace: Cow::Borrowed(namespace), local: Cow::Borrowed(local) }
    }

    /// A name read from a document.
    pub fn owned(namespace: &str, local: &str) -> Self {
        Self { namespace: Cow::Owned(namespace.to_owned()), local: Cow::Owned(local.to_owned()) }
    }

    /// Whether this is the DAV: name `local`.
    pub(super) fn is_dav(&self, local: &str) -> bool {
        self.namespace == DAV && self.local == local
    }

    /// The prefix that our documents bind to the namespace; none for a foreign one.
    pub fn prefix(&self) -> Option<&'static str> {
        match &*self.namespace {
            DAV => Some("d"),
            OC => Some("oc"),
            NC => Some("nc"),
            TL => Some("tl"),
            _ => None,
        }
    }
}

/// RFC 4918 section 15.9.
pub const RESOURCETYPE: PropName = PropName::known(DAV, "resourcetype");
/// RFC 4918 section 15.4.
pub const GETCONTENTLENGTH: PropName = PropName::known(DAV, "getcontentlength");
/// RFC 4918 section 15.5.
pub const GETCONTENTTYPE: PropName = PropName::known(DAV, "getcontenttype");
/// RFC 4918 section 15.6.
pub const GETETAG: PropName = PropName::known(DAV, "getetag");
/// RFC 4918 section 15.7.
pub const GETLASTMODIFIED: PropName = PropName::known(DAV, "getlastmodified");
/// RFC 4918 section 15.2.
pub const DISPLAYNAME: PropName = PropName::known(DAV, "displayname");
/// RFC 4918 section 15.10.
pub const SUPPORTEDLOCK: PropName = PropName::known(DAV, "supportedlock");
/// RFC 4918 section 15.8.
pub const LOCKDISCOVERY: PropName = PropName::known(DAV, "lockdiscovery");
/// RFC 3253 section 3.1.5.
pub const SUPPORTED_REPORT_SET: PropName = PropName::known(DAV, "supported-report-set");
/// ownCloud: `SHA1:... MD5:...`, separated by spaces, in `oc:checksum` elements.
pub const CHECKSUMS: PropName = PropName::known(OC, "checksums");
/// The BLAKE3-256 of a file, in hexadecimal.
pub const CONTENT_HASH: PropName = PropName::known(TL, "content-hash");
/// The id of the library that a collection belongs to.
pub const LIBRARY_ID: PropName = PropName::known(TL, "library-id");
/// RFC 4918 section 15.1.
pub const CREATIONDATE: PropName = PropName::known(DAV, "creationdate");
/// RFC 6578 section 4.
pub const SYNC_TOKEN: PropName = PropName::known(DAV, "sync-token");
/// RFC 4331 section 3.
pub const QUOTA_AVAILABLE: PropName = PropName::known(DAV, "quota-available-bytes");
/// RFC 4331 section 4.
pub const QUOTA_USED: PropName = PropName::known(DAV, "quota-used-bytes");
/// ownCloud: the file id with the server's instance id behind it.
pub const ID: PropName = PropName::known(OC, "id");
/// ownCloud: a number that stays with a file or folder.
pub const FILEID: PropName = PropName::known(OC, "fileid");
/// ownCloud: bytes, of a folder those of everything in it.
pub const SIZE: PropName = PropName::known(OC, "size");
/// ownCloud: a letter for each thing that may be done.
pub const PERMISSIONS: PropName = PropName::known(OC, "permissions");
/// ownCloud: 1 for what the user marked.
pub const FAVORITE: PropName = PropName::known(OC, "favorite");
/// ownCloud: whose it is.
pub const OWNER_ID: PropName = PropName::known(OC, "owner-id");
/// ownCloud: the same for people to read.
pub const OWNER_DISPLAY_NAME: PropName = PropName::known(OC, "owner-display-name");
/// ownCloud: how it is shared.
pub const SHARE_TYPES: PropName = PropName::known(OC, "share-types");
/// ownCloud: changes when the server's state was lost or restored.
pub const DATA_FINGERPRINT: PropName = PropName::known(OC, "data-fingerprint");
/// Nextcloud: whether there is a preview picture.
pub const HAS_PREVIEW: PropName = PropName::known(NC, "has-preview");
/// Nextcloud: when it was made, in seconds since 1970; 0 when that is not known.
pub const CREATION_TIME: PropName = PropName::known(NC, "creation_time");
/// Nextcloud: whether a folder is encrypted end to end.
pub const IS_ENCRYPTED: PropName = PropName::known(NC, "is-encrypted");
/// Nextcloud: what kind of storage a folder is mounted from.
pub const MOUNT_TYPE: PropName = PropName::known(NC, "mount-type");
