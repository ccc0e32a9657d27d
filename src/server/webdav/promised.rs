//! Checksums that a client promises for a body, in the notations of the field, and whether the body keeps them; and those that it asks for.

use adler2::Adler32;
use base64::Engine as _;
use http::HeaderMap;
use md5::Md5;
use sha2::{Digest as _, Sha256};

use crate::types::Sha1;

/// One checksum: the sum so far, and what it is to be, if the client says.
#[derive(Clone)]
struct Promise {
    name: &'static str,
    sum: Sum,
    expected: Option<Vec<u8>>,
}

/// The kinds of checksums, and how many bytes each has.
const KINDS: [(&str, usize); 4] = [("SHA1", 20), ("MD5", 16), ("SHA256", 32), ("ADLER32", 4)];

#[derive(Clone)]
enum Sum {
    Md5(Md5),
    /// The stage computes it for every file.
    Sha1,
    /// Of what is no file.
    OwnSha1(sha1::Sha1),
    Sha256(Sha256),
    Adler32(Adler32),
}

/// Everything that a client promises of one body.
#[derive(Clone, Default)]
pub(in crate::server) struct Promises(Vec<Promise>);

impl Promises {
    /// From OC-Checksum (`SHA1:hex`, several separated by spaces), Content-MD5 (RFC 1864), Digest (RFC 3230) and Content-Digest
    /// (RFC 9530), and what X-Hash asks for. Kinds that nobody here knows are passed over; a value that is none of its kind is an error.
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
        if let Some(asked) = text("x-hash").and_then(Self::asked) {
            promises.0.extend(asked.0);
        }
        Ok(promises)
    }

    /// The checksums that a header asks for by name: `sha1`, `md5`, `sha256`, `adler32`, or `all`; several separated by commas. None when it
    /// names nothing that anybody here knows.
    pub(super) fn asked(value: &str) -> Option<Self> {
        let names = || value.split([',', ' ']).map(str::trim);
        let all = names().any(|name| name.eq_ignore_ascii_case("all"));
        let wanted = |kind: &str| all || names().any(|name| name.eq_ignore_ascii_case(kind));
        let asked = KINDS.iter().filter(|(kind, _)| wanted(kind)).map(|(name, _)| Promise { name, sum: Sum::new(name), expected: None });
        Some(Self(asked.collect())).filter(|asked| !asked.0.is_empty())
    }

    fn add(&mut self, kind: &str, expected: Option<Vec<u8>>, header: &'static str) -> Result<(), String> {
        let kind = match kind.trim().to_ascii_uppercase().as_str() {
            "SHA" => "SHA1".to_owned(),
            "SHA-256" => "SHA256".to_owned(),
            kind => kind.to_owned(),
        };
        let Some((name, size)) = KINDS.iter().find(|(name, _)| *name == kind) else { return Ok(()) };
        let expected = expected.filter(|bytes| bytes.len() == *size).ok_or_else(|| format!("{header} has no {name} in it.\n"))?;
        self.0.push(Promise { name, sum: Sum::new(name), expected: Some(expected) });
        Ok(())
    }

    /// The same of a body that nobody else computes the SHA-1 of.
    pub(in crate::server) fn alone(mut self) -> Self {
        self.0
            .iter_mut()
            .filter(|promise| matches!(promise.sum, Sum::Sha1))
            .for_each(|promise| promise.sum = Sum::OwnSha1(Default::default()));
        self
    }

    /// Whether there is anything that the bytes must be read for.
    pub(super) fn need_bytes(&self) -> bool {
        self.0.iter().any(|promise| !matches!(promise.sum, Sum::Sha1))
    }

    /// Takes the next bytes of the body.
    pub(in crate::server) fn update(&mut self, bytes: &[u8]) {
        for promise in &mut self.0 {
            match &mut promise.sum {
                Sum::Md5(sum) => sum.update(bytes),
                Sum::Sha1 => {}
                Sum::OwnSha1(sum) => sum.update(bytes),
                Sum::Sha256(sum) => sum.update(bytes),
                Sum::Adler32(sum) => sum.write_slice(bytes),
            }
        }
    }

    /// The kind of a promise that the body, whose SHA-1 is known already, did not keep.
    pub(in crate::server) fn broken(self, sha1: &Sha1) -> Option<&'static str> {
        self.first_broken(Some(sha1))
    }

    /// The same of a body that nobody else computes the SHA-1 of.
    pub(in crate::server) fn broken_alone(self) -> Option<&'static str> {
        self.first_broken(None)
    }

    fn first_broken(self, sha1: Option<&Sha1>) -> Option<&'static str> {
        self.0.into_iter().find_map(|promise| {
            let kept = promise.expected.is_none_or(|expected| promise.sum.finish(sha1) == Some(expected));
            (!kept).then_some(promise.name)
        })
    }

    /// What was asked for, as name and hexadecimal digits.
    pub(super) fn answers(&self, sha1: &Sha1) -> Vec<(&'static str, String)> {
        let asked = self.0.iter().filter(|promise| promise.expected.is_none());
        let hex = |bytes: Vec<u8>| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        asked.filter_map(|promise| Some((promise.name, hex(promise.sum.clone().finish(Some(sha1))?)))).collect()
    }
}

impl Sum {
    /// Of one of the [`KINDS`].
    fn new(kind: &str) -> Self {
        match kind {
            "MD5" => Self::Md5(Md5::new()),
            "SHA256" => Self::Sha256(Sha256::new()),
            "ADLER32" => Self::Adler32(Adler32::new()),
            _ => Self::Sha1,
        }
    }

    /// The digits; none of a SHA-1 that the stage was to compute and did not.
    fn finish(self, sha1: Option<&Sha1>) -> Option<Vec<u8>> {
        Some(match self {
            Self::Md5(sum) => sum.finalize().to_vec(),
            Self::Sha1 => sha1?.0.to_vec(),
            Self::OwnSha1(sum) => sum.finalize().to_vec(),
            Self::Sha256(sum) => sum.finalize().to_vec(),
            Self::Adler32(sum) => sum.checksum().to_be_bytes().to_vec(),
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
            let mut alone = promises(&[header]).unwrap().alone();
            alone.update(b"abc");
            assert_eq!(alone.clone().broken_alone(), None, "{header:?}");
            alone.update(b"d");
            assert!(alone.broken_alone().is_some(), "{header:?}");
            let mut broken = promises(&[header]).unwrap();
            broken.update(b"abd");
            assert!(broken.broken(&sha1(b"abd")).is_some(), "{header:?}");
        }
    }

    #[test]
    fn what_is_asked_for_is_answered() {
        let mut all = promises(&[("x-hash", "all"), ("oc-checksum", "ADLER32:024d0127")]).unwrap();
        all.update(b"abc");
        let answers = all.answers(&sha1(b"abc"));
        let of = |kind: &str| answers.iter().find(|(name, _)| *name == kind).map(|(_, hex)| hex.as_str());
        assert_eq!(of("SHA1"), Some("a9993e364706816aba3e25717850c26c9cd0d89d"));
        assert_eq!(of("MD5"), Some("900150983cd24fb0d6963f7d28e17f72"));
        assert_eq!(of("ADLER32"), Some("024d0127"));
        assert_eq!((answers.len(), all.broken(&sha1(b"abc"))), (4, None));
        assert_eq!(promises(&[("x-hash", "MD5, sha256")]).unwrap().answers(&sha1(b"")).len(), 2);
        assert!(Promises::asked("crc32").is_none());
    }

    #[test]
    fn the_unknown_is_passed_over_and_nonsense_refused() {
        assert!(promises(&[("oc-checksum", "SHA3:00"), ("digest", "unixsum=1")]).unwrap().broken(&sha1(b"")).is_none());
        assert!(promises(&[("oc-checksum", "SHA1:xyz")]).is_err());
        assert!(promises(&[("content-md5", "short")]).is_err());
    }
}
