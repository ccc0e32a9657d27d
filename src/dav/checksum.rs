//! ownCloud's checksum notation: `SHA1:hex`, several separated by spaces.

use crate::types::{KnownDigests, Sha1};

/// The header's name.
pub const OC_CHECKSUM: &str = "oc-checksum";

/// The value of OC-Checksum for a SHA-1.
pub fn oc_checksum(sha1: &Sha1) -> String {
    format!("SHA1:{sha1}")
}

/// The digests that a checksum text tells; kinds that we do not keep are passed over.
pub fn parse(text: &str) -> KnownDigests {
    let mut known = KnownDigests::default();
    for (kind, value) in text.split([' ', ',']).filter_map(|item| item.split_once(':')) {
        if kind.eq_ignore_ascii_case("sha1") {
            known.sha1 = Sha1::from_hex(value);
        }
    }
    known
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_sha1_among_others() {
        let hex = "a9993e364706816aba3e25717850c26c9cd0d89d";
        let known = parse(&format!("MD5:900150983cd24fb0d6963f7d28e17f72 sha1:{hex} ADLER32:024d0127"));
        assert_eq!(known.sha1.map(|sha1| sha1.to_string()).as_deref(), Some(hex));
        assert!(parse("SHA1:tooshort nonsense").is_empty());
    }
}
