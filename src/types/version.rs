//! What a file is, as one side tells it.

use serde::{Deserialize, Serialize};

use super::{Digests, KnownDigests, Mtime};

/// A file of the library: its digests are always known, because the index has read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalVersion {
    /// Bytes.
    pub size: u64,
    /// Modification time on disk.
    pub mtime: Mtime,
    /// Of its bytes.
    pub digests: Digests,
}

impl LocalVersion {
    /// Whether a remote file is proven to be the same bytes: its digest says so and its size does not contradict. (A file of 0 bytes may
    /// carry the checksum that was announced for it.) None when no digest is known.
    pub fn is(&self, remote: &RemoteVersion) -> Option<bool> {
        match remote.size {
            Some(size) if size != self.size => Some(false),
            _ => remote.digests.agree(&self.digests.into()),
        }
    }
}

/// A file on a service, as the service lists it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RemoteVersion {
    /// Bytes (`getcontentlength`).
    pub size: Option<u64>,
    /// The entity tag without quotes (`getetag`); an equal one saves work, an unequal one only means "look".
    pub etag: Option<String>,
    /// The entity tag is a weak one: it tells versions apart, but no condition can be put on it (RFC 9110 section 13.1.1). Apache's are
    /// for a second after each change.
    pub weak: bool,
    /// `getlastmodified`, whole seconds.
    pub modified: Option<i64>,
    /// Digests the service told, or that were computed from its bytes.
    pub digests: KnownDigests,
}

impl RemoteVersion {
    /// Whether the service still holds what `earlier` described. Sizes must be equal; digests decide; without them an equal etag; without
    /// etags an equal size and time. What cannot be compared counts as changed: looking again costs less than a lost edit.
    pub fn unchanged_since(&self, earlier: &RemoteVersion) -> bool {
        // A server may keep a checksum that a client once told, for a file that has changed since; it cannot keep the size.
        if self.size != earlier.size {
            return false;
        }
        if let Some(agree) = self.digests.agree(&earlier.digests) {
            return agree;
        }
        match (&self.etag, &earlier.etag) {
            (Some(now), Some(then)) => now == then,
            _ => self.modified.is_some() && self.modified == earlier.modified,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_outweighs_an_etag() {
        let digests = KnownDigests::from(Digests::of(b"x"));
        let then = RemoteVersion { size: Some(1), etag: Some("a".into()), modified: Some(5), digests, ..Default::default() };
        let moved = RemoteVersion { etag: Some("b".into()), modified: Some(6), ..then.clone() };
        assert!(moved.unchanged_since(&then));
        let edited = RemoteVersion { digests: Digests::of(b"y").into(), ..then.clone() };
        assert!(!edited.unchanged_since(&then));
    }

    #[test]
    fn without_digests_the_etag_then_size_and_time() {
        let then = RemoteVersion { size: Some(1), etag: Some("a".into()), modified: Some(5), ..Default::default() };
        assert!(then.unchanged_since(&then));
        assert!(!RemoteVersion { etag: Some("b".into()), ..then.clone() }.unchanged_since(&then));
        assert!(!RemoteVersion { size: Some(2), ..then.clone() }.unchanged_since(&then));
        let bare = RemoteVersion { etag: None, ..then.clone() };
        assert!(bare.unchanged_since(&then));
        assert!(!RemoteVersion::default().unchanged_since(&RemoteVersion::default()));
    }
}
