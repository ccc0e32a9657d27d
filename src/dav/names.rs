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
