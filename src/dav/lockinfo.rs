//! LOCK requests (RFC 4918 section 9.10), read.

use std::io::BufRead;

use std::time::Duration;

use super::PropName;
use super::names::DAV;
use super::proppatch::{check, verbatim};
use super::xml::{Reader, Token, XmlError};

/// An owner element longer than this is none that a client would send.
const OWNER: usize = 4 << 10;

/// What kind of lock is wanted. All locks are write locks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockInfo {
    /// Others may hold one too.
    pub shared: bool,
    /// The `owner` element as it was written, able to stand anywhere.
    pub owner: Option<String>,
}

impl LockInfo {
    /// Reads a body.
    pub fn parse(body: &str) -> Result<Self, XmlError> {
        let mut reader = Reader::new(body);
        reader.enter_root("lockinfo")?;
        let (mut shared, mut write, mut owner, mut at) = (None, false, None, 0);
        loop {
            match reader.token()? {
                Token::Start(name) => {
                    match () {
                        () if name.is_dav("lockscope") => shared = Some(choice(&mut reader, ["exclusive", "shared"])? == "shared"),
                        () if name.is_dav("locktype") => write = choice(&mut reader, ["write", "write"])? == "write",
                        () => {
                            owner = owner.or(name.is_dav("owner").then_some(at));
                            reader.skip()?;
                        }
                    }
                    at += 1;
                }
                Token::Text(_) => {}
                Token::End => break,
                Token::Eof => return Err(XmlError::Unexpected("lockinfo")),
            }
        }
        while reader.token()? != Token::Eof {}
        let shared = shared.filter(|_| write).ok_or(XmlError::Unexpected("lockinfo"))?;
        let owner = match owner {
            Some(at) => Some(verbatim(body, 1)?.into_iter().nth(at).ok_or(XmlError::Unexpected("lockinfo"))?),
            None => None,
        };
        if let Some(owner) = &owner {
            if owner.len() > OWNER {
                return Err(XmlError::TooMuch);
            }
            check(owner, &PropName::owned(DAV, "owner"))?;
        }
        Ok(Self { shared, owner })
    }
}

/// The one element inside, which must be one of these.
fn choice(reader: &mut Reader<impl BufRead>, known: [&'static str; 2]) -> Result<&'static str, XmlError> {
    let mut found = None;
    loop {
        match reader.token()? {
            Token::Start(name) => {
                let known = known.into_iter().find(|known| name.is_dav(known)).ok_or(XmlError::Unexpected("lockinfo"))?;
                found = Some(known);
                reader.skip()?;
            }
            Token::Text(_) => {}
            Token::End => return found.ok_or(XmlError::Unexpected("lockinfo")),
            Token::Eof => return Err(XmlError::Unexpected("lockinfo")),
        }
    }
}

/// The first time of a Timeout header (section 10.7) that can be understood; `Infinite` is the longest there is.
pub fn timeout(header: &str) -> Option<Duration> {
    header.split(',').map(str::trim).find_map(|time| match time.strip_prefix("Second-") {
        // More than a number can hold is as good as infinite.
        Some(seconds) if !seconds.is_empty() && seconds.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some(Duration::from_secs(seconds.parse().unwrap_or(u64::from(u32::MAX))))
        }
        None if time.eq_ignore_ascii_case("infinite") => Some(Duration::from_secs(u64::from(u32::MAX))),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scope_type_and_owner() {
        let body = "<?xml version='1.0'?><D:lockinfo xmlns:D='DAV:' xmlns:x='urn:x'><D:locktype><D:write/></D:locktype><D:lockscope>\
            <D:shared/></D:lockscope><D:owner><D:href>mailto:me</D:href><x:more/></D:owner></D:lockinfo>";
        let read = LockInfo::parse(body).unwrap();
        assert!(read.shared);
        let owner = read.owner.unwrap();
        assert!(
            owner.contains("<D:href>mailto:me</D:href>") && owner.contains("xmlns:x='urn:x'") | owner.contains("xmlns:x=\"urn:x\""),
            "{owner}"
        );
        let plain = "<lockinfo xmlns='DAV:'><lockscope><exclusive/></lockscope><locktype><write/></locktype></lockinfo>";
        assert_eq!(LockInfo::parse(plain), Ok(LockInfo { shared: false, owner: None }));
    }

    #[test]
    fn anything_else_is_refused() {
        for body in [
            "",
            "<lockinfo xmlns='DAV:'/>",
            "<lockinfo xmlns='DAV:'><lockscope><exclusive/></lockscope></lockinfo>",
            "<lockinfo xmlns='DAV:'><lockscope><local/></lockscope><locktype><write/></locktype></lockinfo>",
            "<lockinfo xmlns='DAV:'><lockscope><exclusive/></lockscope><locktype><read/></locktype></lockinfo>",
            "<lockinfo xmlns='urn:x'><lockscope><exclusive/></lockscope><locktype><write/></locktype></lockinfo>",
            "<lockinfo xmlns='DAV:'><lockscope><exclusive/></lockscope><locktype><write/></locktype></lockinfo><more/>",
        ] {
            assert!(LockInfo::parse(body).is_err(), "{body}");
        }
    }

    #[test]
    fn timeouts() {
        for (header, seconds) in [
            ("Second-600", Some(600)),
            ("Infinite, Second-4100000000", Some(u64::from(u32::MAX))),
            ("Extend-1, Second-5", Some(5)),
            ("Second-99999999999999999999999", Some(u64::from(u32::MAX))),
            ("Second-", None),
            ("Second--1", None),
            ("soon", None),
        ] {
            assert_eq!(timeout(header), seconds.map(Duration::from_secs), "{header}");
        }
    }
}
