//! PROPFIND requests (RFC 4918 section 9.1), read and written.

use std::io::BufRead;

use super::PropName;
use super::names;
use super::xml::{Reader, Token, XmlError};

/// The most properties that a request may name, and the longest namespace, in bytes.
pub(super) const PROPERTIES: usize = 200;
pub(super) const NAMESPACE: usize = 512;

/// What a client wants to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Everything that is cheap, and what is named besides.
    AllProp {
        /// RFC 4918 section 14.8.
        include: Vec<PropName>,
    },
    /// The names of everything.
    PropName,
    /// Just these.
    Props(Vec<PropName>),
}

impl Request {
    /// Reads a body; an empty one means all properties (section 9.1).
    pub fn parse(body: &str) -> Result<Self, XmlError> {
        if body.trim().is_empty() {
            return Ok(Self::AllProp { include: Vec::new() });
        }
        let mut reader = Reader::new(body);
        let mut request = None;
        let mut include = Vec::new();
        reader.enter_root("propfind")?;
        while let Some(name) = next_element(&mut reader)? {
            if name.is_dav("prop") {
                request = Some(Self::Props(names_of(&mut reader)?));
            } else if name.is_dav("include") {
                include = names_of(&mut reader)?;
            } else {
                if name.is_dav("allprop") {
                    request = Some(Self::AllProp { include: Vec::new() });
                } else if name.is_dav("propname") {
                    request = Some(Self::PropName);
                }
                reader.skip()?;
            }
        }
        while reader.token()? != Token::Eof {}
        match request {
            Some(Self::AllProp { .. }) => Ok(Self::AllProp { include }),
            Some(request) => Ok(request),
            None => Err(XmlError::Unexpected("propfind")),
        }
    }
}

/// The properties named in the current element, each once; a small request must not make a large answer.
pub(super) fn names_of(reader: &mut Reader<impl BufRead>) -> Result<Vec<PropName>, XmlError> {
    let mut names: Vec<PropName> = Vec::new();
    while let Some(name) = next_element(reader)? {
        reader.skip()?;
        if names.len() >= PROPERTIES || name.namespace.len() > NAMESPACE {
            return Err(XmlError::TooMuch);
        }
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

/// The next element inside the current one; none at its end.
fn next_element(reader: &mut Reader<impl BufRead>) -> Result<Option<PropName>, XmlError> {
    loop {
        match reader.token()? {
            Token::Start(name) => return Ok(Some(name)),
            Token::End | Token::Eof => return Ok(None),
            Token::Text(_) => {}
        }
    }
}

/// What the client asks of every server: only what a sync needs, and nothing for which a server must open files.
pub const WANTED: [PropName; 7] = [
    names::RESOURCETYPE,
    names::GETCONTENTLENGTH,
    names::GETETAG,
    names::GETLASTMODIFIED,
    names::CHECKSUMS,
    names::CONTENT_HASH,
    names::LIBRARY_ID,
];

/// What is asked of a folder that is about to be listed: besides, who is there and where its changes are.
pub const WANTED_OF_ROOT: [PropName; 5] = [names::RESOURCETYPE, names::GETETAG, names::LIBRARY_ID, names::ID, names::SYNC_TOKEN];

/// How much room there is (RFC 4331).
pub const QUOTA: [PropName; 2] = [names::QUOTA_AVAILABLE, names::QUOTA_USED];

/// A request body that asks for `props`.
pub fn body(props: &[PropName]) -> String {
    document("propfind", "", props)
}

/// A document of the DAV: element `root`, which holds `first` and then a `prop` that names `props`.
pub(super) fn document(root: &str, first: &str, props: &[PropName]) -> String {
    let mut body = format!("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<d:{root} xmlns:d=\"DAV:\"");
    for (prefix, namespace) in [("oc", names::OC), ("nc", names::NC), ("tl", names::TL)] {
        body.push_str(&format!(" xmlns:{prefix}=\"{namespace}\""));
    }
    body.push('>');
    body.push_str(first);
    body.push_str("<d:prop>");
    for prop in props {
        if let Some(prefix) = prop.prefix() {
            body.push_str(&format!("<{prefix}:{}/>", prop.local));
        }
    }
    body.push_str(&format!("</d:prop></d:{root}>"));
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        assert_eq!(Request::parse(&body(&WANTED)), Ok(Request::Props(WANTED.to_vec())));
    }

    #[test]
    fn reads_the_other_kinds() {
        assert_eq!(Request::parse(""), Ok(Request::AllProp { include: vec![] }));
        let text = "<propfind xmlns='DAV:'><allprop/><include><getetag/></include></propfind>";
        assert_eq!(Request::parse(text), Ok(Request::AllProp { include: vec![names::GETETAG] }));
        assert_eq!(Request::parse("<propfind xmlns='DAV:'><propname/></propfind>"), Ok(Request::PropName));
        let empty = Request::parse("<propfind xmlns='DAV:'><prop/></propfind>");
        assert_eq!(empty, Ok(Request::Props(vec![])));
    }

    #[test]
    fn refuses_what_is_not_one() {
        assert_eq!(Request::parse("<x/>"), Err(XmlError::Unexpected("propfind")));
        assert_eq!(Request::parse("<!DOCTYPE x><x/>"), Err(XmlError::Doctype));
        assert!(matches!(Request::parse("<d:propfind xmlns:d='DAV:'><d:prop>"), Err(XmlError::Malformed(_))));
        assert!(matches!(Request::parse("<d:propfind><d:prop/></d:propfind>"), Err(XmlError::Malformed(_))));
        let deep = "<a>".repeat(100);
        assert!(Request::parse(&format!("<propfind xmlns='DAV:'><prop>{deep}")).is_err());
    }
}
