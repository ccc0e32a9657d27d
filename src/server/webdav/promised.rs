//! Checksums that a client promises for a body, in the notations of the field, and whether the body keeps them.

use adler2::Adler32;
use base64::Engine as _;
use http::HeaderMap;
use md5::Md5;
use sha2::{Digest as _, Sha256};

use crate::types::Sha1;

/// One promised checksum and the sum so far.
#[derive(Clone)]
struct Promise {
    name: &'static str,
    sum: Sum,
    expected: Vec<u8>,
}

#[derive(Clone)]
enum Sum {
    Md5(Md5),
    /// The stage computes it for every file.
    Sha1,
    Sha256(Sha256),
    Adler32(Adler32),
}

/// Everything that a client promises of one body.
#[derive(Clone, Default)]
pub(in crate::server) struct Promises(Vec<Promise>);

impl Promises {
    /// From OC-Checksum (`SHA1:hex`, several separated by spaces), Content-MD5 (RFC 1864), Digest (RFC 3230) and Content-Digest
    /// (RFC 9530). Kinds that nobody here knows are passed over; a value that is none of its kind is an error.
    pub(in crate::server) fn of(headers: &HeaderMap) -> Result<Self, String> {
        let mut promises = Self::default();
        let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
        for item in text("oc-checksum").unwrap_or_default().split([' ', ',']).filter(|item| !item.is_empty()) {
            if let Some((kind, value)) = item.split_once(':') {
                promises.add(kind, unhex(value), "OC-Checksum")?;
            }
        }
        if let Some(value) = text("content-md5") {
            promises.add("md5", unbase64(value), "Content-MD5")?;
        }
        for (header, name) in [("digest", "Digest"), ("content-digest", "Content-Digest")] {
            for item in text(header).unwrap_or_default().split(',').filter(|item| !item.trim().is_empty()) {
                if let Some((kind, value)) = item.trim().split_once('=') {
                    promises.add(kind, unbase64(value.trim_matches(':')), name)?;
                }
            }
        }
        Ok(promises)
    }

    fn add(&mut self, kind: &str, expected: Option<Vec<u8>>, header: &'static str) -> Result<(), String> {
        let (name, sum, size) = match kind.trim().to_ascii_lowercase().as_str() {
            "md5" => ("MD5", Sum::Md5(Md5::new()), 16),
            "sha1" | "sha" => ("SHA1", Sum::Sha1, 20),
            "sha256" | "sha-256" => ("SHA256", Sum::Sha256(Sha256::new()), 32),
            "adler32" => ("ADLER32", Sum::Adler32(Adler32::new()), 4),
            _ => return Ok(()),
        };
        let expected = expected.filter(|bytes| bytes.len() == size).ok_or_else(|| format!("{header} has no {name} in it.\n"))?;
        self.0.push(Promise { name, sum, expected });
        Ok(())
    }

    /// Takes the next bytes of the body.
    pub(in crate::server) fn update(&mut self, bytes: &[u8]) {
        for promise in &mut self.0 {
            match &mut promise.sum {
                Sum::Md5(sum) => sum.update(bytes),
                Sum::Sha1 => {}
                Sum::Sha256(sum) => sum.update(bytes),
                Sum::Adler32(sum) => sum.write_slice(bytes),
            }
        }
    }

    /// The kind of a promise that the body, whose SHA-1 is known already, did not keep.
    pub(in crate::server) fn broken(self, sha1: &Sha1) -> Option<&'static str> {
        self.0.into_iter().find_map(|promise| {
            let kept = match promise.sum {
                Sum::Md5(sum) => sum.finalize().as_slice() == promise.expected,
                Sum::Sha1 => sha1.0.as_slice() == promise.expected,
                Sum::Sha256(sum) => sum.finalize().as_slice() == promise.expected,
                Sum::Adler32(sum) => sum.checksum().to_be_bytes().as_slice() == promise.expected,
            };
            (!kept).then_some(promise.name)
        })
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.bytes().map(|byte| char::from(byte).to_digit(16)).collect::<Option<Vec<_>>>()?;
    (digits.len() % 2 == 0).then(|| digits.chunks_exact(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect())
}

fn unbase64(text: &str) -> Option<Vec<u8>> {
    base64::engine::general_purpose::STANDARD.decode(text.trim()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn promises(headers: &[(&'static str, &'static str)]) -> Result<Promises, String> {
        let mut map = HeaderMap::new();
        headers.iter().for_each(|(name, value)| drop(map.insert(*name, value.parse().unwrap())));
        Promises::of(&map)
    }

    fn sha1(bytes: &[u8]) -> Sha1 {
        crate::types::Digests::of(bytes).sha1
    }

    #[test]
    fn every_notation_is_kept_or_broken() {
        for header in [
            ("oc-checksum", "SHA1:a9993e364706816aba3e25717850c26c9cd0d89d"),
            ("oc-checksum", "MD5:900150983cd24fb0d6963f7d28e17f72 ADLER32:024d0127"),
            ("oc-checksum", "SHA256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            ("content-md5", "kAFQmDzST7DWlj99KOF/cg=="),
            ("digest", "SHA-256=ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="),
            ("content-digest", "sha-256=:ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=:"),
        ] {
            let mut kept = promises(&[header]).unwrap();
            kept.update(b"a");
            kept.update(b"bc");
            assert_eq!(kept.broken(&sha1(b"abc")), None, "{header:?}");
            let mut broken = promises(&[header]).unwrap();
            broken.update(b"abd");
            assert!(broken.broken(&sha1(b"abd")).is_some(), "{header:?}");
        }
    }

    #[test]
    fn the_unknown_is_passed_over_and_nonsense_refused() {
        assert!(promises(&[("oc-checksum", "SHA3:00"), ("digest", "unixsum=1")]).unwrap().broken(&sha1(b"")).is_none());
        assert!(promises(&[("oc-checksum", "SHA1:xyz")]).is_err());
        assert!(promises(&[("content-md5", "short")]).is_err());
    }
}
