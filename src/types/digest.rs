//! Content hashes.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha1::Digest as _;

macro_rules! digest {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub struct $name(pub [u8; $len]);

        impl $name {
            /// Parses lower- or upper-case hexadecimal of exactly the right length.
            pub fn from_hex(text: &str) -> Option<Self> {
                let text = text.as_bytes();
                if text.len() != 2 * $len {
                    return None;
                }
                let mut bytes = [0; $len];
                for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
                    let high = char::from(pair[0]).to_digit(16)?;
                    let low = char::from(pair[1]).to_digit(16)?;
                    *byte = (high * 16 + low) as u8;
                }
                Some(Self(bytes))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut text = [0; 2 * $len];
                f.write_str(hex_into(&self.0, &mut text))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

digest!(
    /// BLAKE3-256 of a file's bytes: its identity.
    ContentHash,
    32
);
digest!(
    /// SHA-1 of a file's bytes, for the outside world (OC-Checksum, PhotoPrism). Not an identity by itself.
    Sha1,
    20
);

impl ContentHash {
    /// The entity tag a node serves for this content: short enough (32 hex digits) that Nextcloud keeps it as it is.
    pub fn etag(&self) -> String {
        hex_into(&self.0[..16], &mut [0; 32]).to_owned()
    }
}

/// Writes bytes as hexadecimal digits, two for each. A listing of ten thousand files writes as many digests.
fn hex_into<'a>(bytes: &[u8], text: &'a mut [u8]) -> &'a str {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    str::from_utf8(text).unwrap_or_default()
}

/// Both digests of a file, computed in one read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Digests {
    /// The identity.
    pub content: ContentHash,
    /// What other servers understand.
    pub sha1: Sha1,
}

impl Digests {
    /// The digests of bytes in memory.
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = Hasher::default();
        hasher.update(bytes);
        hasher.finish()
    }
}

/// Computes [`Digests`] piece by piece.
#[derive(Clone, Default)]
pub struct Hasher {
    content: blake3::Hasher,
    sha1: sha1::Sha1,
}

impl Hasher {
    /// From this length of a piece on a second thread is worth its price.
    pub const LONG: usize = 512 << 10;

    /// Takes the next bytes; of a long piece both digests are computed at the same time.
    pub fn update(&mut self, bytes: &[u8]) {
        let Self { content, sha1 } = self;
        if bytes.len() < Self::LONG {
            content.update(bytes);
            sha1.update(bytes);
        } else {
            rayon::join(|| sha1.update(bytes), || content.update(bytes));
        }
    }

    /// The digests of all bytes so far.
    pub fn finish(self) -> Digests {
        Digests { content: ContentHash(*self.content.finalize().as_bytes()), sha1: Sha1(self.sha1.finalize().into()) }
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hasher")
    }
}

/// What is known of a remote file's digests: perhaps nothing, perhaps only one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct KnownDigests {
    /// BLAKE3, as another node tells it.
    pub content: Option<ContentHash>,
    /// SHA-1, as an ownCloud-compatible server tells it.
    pub sha1: Option<Sha1>,
}

impl KnownDigests {
    /// True when there is nothing to compare with.
    pub fn is_empty(&self) -> bool {
        self.content.is_none() && self.sha1.is_none()
    }

    /// Whether these are the digests of the same bytes; none when they have no kind in common.
    /// The stronger digest decides when both kinds are known.
    pub fn agree(&self, other: &KnownDigests) -> Option<bool> {
        match (self.content, other.content) {
            (Some(a), Some(b)) => Some(a == b),
            _ => Some(self.sha1? == other.sha1?),
        }
    }
}

impl From<Digests> for KnownDigests {
    fn from(digests: Digests) -> Self {
        Self { content: Some(digests.content), sha1: Some(digests.sha1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers() {
        let digests = Digests::of(b"abc");
        assert_eq!(digests.sha1.to_string(), "a9993e364706816aba3e25717850c26c9cd0d89d");
        assert!(digests.content.to_string().starts_with("6437b3ac38465133ffb63b75273a8db5"));
        assert_eq!(Sha1::from_hex(&digests.sha1.to_string()), Some(digests.sha1));
        assert_eq!(Sha1::from_hex("xyz"), None);
        assert_eq!(Sha1::from_hex(&"é".repeat(20)), None);
    }

    #[test]
    fn agreement_needs_a_common_kind() {
        let all = KnownDigests::from(Digests::of(b"a"));
        let sha1_only = KnownDigests { content: None, ..all };
        let content_only = KnownDigests { sha1: None, ..all };
        assert_eq!(all.agree(&sha1_only), Some(true));
        assert_eq!(content_only.agree(&sha1_only), None);
        assert_eq!(all.agree(&KnownDigests::from(Digests::of(b"b"))), Some(false));
    }
}
