//! The proof that what arrived is what was sent.

use std::fmt;

use crate::types::{Evidence, KnownDigests, LocalVersion, RelPath, RemoteVersion};

/// Proof that the service holds what we sent: what a record in the baseline needs. Only [`verify`] makes one.
#[derive(Debug, Clone)]
pub struct Verified {
    path: RelPath,
    version: RemoteVersion,
    evidence: Evidence,
}

/// What a service answered to an upload that it says it took: evidence, not proof.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Receipt {
    /// The entity tag of the file.
    pub etag: Option<String>,
    /// What it said of the bytes, if it did.
    pub evidence: Option<Evidence>,
}

impl From<Option<String>> for Receipt {
    fn from(etag: Option<String>) -> Self {
        Self { etag, evidence: None }
    }
}

impl Verified {
    /// Where it is.
    pub fn path(&self) -> &RelPath {
        &self.path
    }

    /// What the service holds, with all digests: they are those of the bytes that were sent.
    pub fn version(&self) -> &RemoteVersion {
        &self.version
    }

    /// What the proof rests on.
    pub fn evidence(&self) -> Evidence {
        self.evidence
    }

    /// The same proof, resting on this as well.
    pub fn with(self, evidence: Evidence) -> Self {
        Self { evidence: self.evidence.max(evidence), ..self }
    }
}

/// Why an upload is not proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotProven {
    /// The service answered success and has no such file.
    Vanished,
    /// It stored another number of bytes.
    WrongSize {
        /// So many.
        stored: u64,
        /// Of so many.
        sent: u64,
    },
    /// It does not tell how many bytes it has.
    NoSize,
    /// Its checksum is not ours.
    WrongChecksum,
    /// It still has the earlier version.
    NotReplaced,
}

impl fmt::Display for NotProven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vanished => f.write_str(
                "the service said that it stored the file, but does not have it: usually a virus scanner removed it, or it stores with a delay; \
                 the log of the server says more",
            ),
            Self::WrongSize { stored: 0, sent } => write!(
                f,
                "the service stored 0 of {} bytes though it said that all went well: usually its web server does not pass request bodies \
                 on to PHP (FastCGI request buffering). With nginx set `fastcgi_request_buffering on`; with Apache and mod_proxy_fcgi add \
                 `SetEnv proxy-sendcl 1`",
                grouped(*sent)
            ),
            Self::WrongSize { stored, sent } if stored < sent => write!(
                f,
                "the service stored {} of {} bytes though it said that all went well: usually a limit on the size of requests \
                 (client_max_body_size, LimitRequestBody, upload_max_filesize, post_max_size), a proxy that cuts them, or a disk or quota that \
                 is full",
                grouped(*stored),
                grouped(*sent)
            ),
            Self::WrongSize { stored, sent } => write!(
                f,
                "the service stored {} bytes of a file of {}: usually a filter or a module of the web server that changes what passes through it",
                grouped(*stored),
                grouped(*sent)
            ),
            Self::NotReplaced => f.write_str(
                "the service said that the new version took the place of the earlier one, but still has the earlier one there: usually another \
                 program holds it open, or a cache before the server tells what was",
            ),
            Self::NoSize => f.write_str("the service does not tell how many bytes it stored"),
            Self::WrongChecksum => f.write_str(
                "the service has other bytes than were sent: its checksum differs. Usually a proxy, a virus scanner or a module of the web server \
                 changes what passes through it, or its disk is damaged",
            ),
        }
    }
}

/// 2481152 as 2,481,152.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Compares what was sent with what the service says it has now. A checksum that differs is no proof of anything but that something is wrong;
/// one that is equal proves no more than the size does, because some services only repeat what they were told: whoever knows better says so
/// with [`Verified::with`].
pub fn verify(path: &RelPath, sent: &LocalVersion, found: Option<RemoteVersion>) -> Result<Verified, NotProven> {
    verify_listed(sent, found.map(|found| (path.clone(), found)))
}

/// The same, for a file that the service may list under another form of its name.
pub fn verify_listed(sent: &LocalVersion, found: Option<(RelPath, RemoteVersion)>) -> Result<Verified, NotProven> {
    let (path, found) = found.ok_or(NotProven::Vanished)?;
    let stored = found.size.ok_or(NotProven::NoSize)?;
    if stored != sent.size {
        return Err(NotProven::WrongSize { stored, sent: sent.size });
    }
    if found.digests.agree(&sent.digests.into()) == Some(false) {
        return Err(NotProven::WrongChecksum);
    }
    let digests = KnownDigests::from(sent.digests);
    Ok(Verified { path, version: RemoteVersion { digests, ..found }, evidence: Evidence::Size })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Digests, Mtime};

    #[test]
    fn size_and_checksum_are_looked_at() {
        let path = RelPath::parse("a.jpg").unwrap();
        let sent = LocalVersion { size: 3, mtime: Mtime(0), digests: Digests::of(b"abc") };
        let found = |size, digests| RemoteVersion { size, digests, ..Default::default() };
        assert!(verify(&path, &sent, Some(found(Some(3), KnownDigests::default()))).is_ok());
        assert_eq!(verify(&path, &sent, None).unwrap_err(), NotProven::Vanished);
        let empty = verify(&path, &sent, Some(found(Some(0), Digests::of(b"abc").into()))).unwrap_err();
        assert_eq!(empty, NotProven::WrongSize { stored: 0, sent: 3 });
        let other = verify(&path, &sent, Some(found(Some(3), Digests::of(b"abd").into()))).unwrap_err();
        assert_eq!(other, NotProven::WrongChecksum);
        assert_eq!(verify(&path, &sent, Some(found(None, KnownDigests::default()))).unwrap_err(), NotProven::NoSize);
    }

    #[test]
    fn the_reason_names_the_bytes() {
        let reason = NotProven::WrongSize { stored: 0, sent: 2_481_152 }.to_string();
        assert!(reason.contains("stored 0 of 2,481,152 bytes"), "{reason}");
    }
}
