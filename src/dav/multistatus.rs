//! Multi-status answers (RFC 4918 section 13), read and written.

use std::io::BufRead;

use std::fmt;
use std::fmt::Write as _;

use crate::types::{ContentHash, KnownDigests};

use super::names::{self, DAV};
use super::xml::{Reader, Token, XmlError};
use super::{PropName, checksum, etag};

/// What one `response` says of a resource, as far as a sync wants to know.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Resource {
    /// As sent: encoded, absolute or not.
    pub href: String,
    /// The status of the whole response, where it has one instead of properties.
    pub status: Option<u16>,
    /// The resource's kind was told: without it nothing else means anything.
    pub has_type: bool,
    /// From `resourcetype`.
    pub is_collection: bool,
    /// `getcontentlength`.
    pub size: Option<u64>,
    /// The opaque part of `getetag`.
    pub etag: Option<String>,
    /// `getetag` is a weak one.
    pub weak: bool,
    /// `getlastmodified` in seconds since 1970.
    pub modified: Option<i64>,
    /// From `oc:checksums` and `tl:content-hash`.
    pub digests: KnownDigests,
    /// `tl:library-id`.
    pub library_id: Option<String>,
    /// `oc:id`: only ownCloud, Nextcloud and what behaves like them have one.
    pub cloud_id: Option<String>,
    /// `quota-available-bytes`; some servers tell negative numbers for what they do not know.
    pub available: Option<i64>,
    /// `quota-used-bytes`.
    pub used: Option<i64>,
    /// `sync-token` as a property (RFC 6578 section 4).
    pub sync_token: Option<String>,
}

/// One thing that a 207 body tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A `response`.
    Resource(Box<Resource>),
    /// The `sync-token` of a sync-collection answer (RFC 6578 section 6.2).
    SyncToken(String),
}

/// Reads a 207 body as it comes. Nothing was left out only when the end was reached: an error makes everything before it doubtful.
pub struct Items<R> {
    reader: Reader<R>,
    /// So many entries are read.
    limit: usize,
    seen: usize,
}

/// An answer about everything below a folder has no more entries than this.
const ENTRIES: usize = 10_000_000;
/// An answer that is held in memory has no more than this.
const HELD: usize = 300_000;

impl<R: BufRead> Items<R> {
    /// Begins; an error when the document is another one.
    pub fn new(source: R) -> Result<Self, XmlError> {
        Self::with_limit(source, ENTRIES)
    }

    fn with_limit(source: R, limit: usize) -> Result<Self, XmlError> {
        let mut reader = Reader::from_reader(source);
        reader.begin_entry();
        reader.enter_root("multistatus")?;
        Ok(Self { reader, limit, seen: 0 })
    }

    fn read(&mut self) -> Result<Option<Item>, XmlError> {
        self.reader.begin_entry();
        loop {
            match self.reader.token()? {
                Token::Start(name) if name.is_dav("response") => {
                    self.seen += 1;
                    if self.seen > self.limit {
                        return Err(XmlError::TooMany(self.limit));
                    }
                    return Ok(Some(Item::Resource(Box::new(response(&mut self.reader)?))));
                }
                Token::Start(name) if name.is_dav("sync-token") => return Ok(Some(Item::SyncToken(self.reader.text()?))),
                Token::Start(_) => self.reader.skip()?,
                Token::Text(_) => {}
                Token::End => break,
                Token::Eof => return Err(XmlError::Malformed("it ends early".into())),
            }
        }
        while self.reader.token()? != Token::Eof {}
        Ok(None)
    }
}

/// Ends where the whole document does. After an error there is nothing to be asked for.
impl<R: BufRead> Iterator for Items<R> {
    type Item = Result<Item, XmlError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

/// Reads a 207 body that is whole. Every `response` is there, or it is an error.
pub fn parse(body: &str) -> Result<Vec<Resource>, XmlError> {
    let resource = |item| match item {
        Ok(Item::Resource(resource)) => Some(Ok(*resource)),
        Ok(Item::SyncToken(_)) => None,
        Err(error) => Some(Err(error)),
    };
    Items::with_limit(body.as_bytes(), HELD)?.filter_map(resource).collect()
}

fn response(reader: &mut Reader<impl BufRead>) -> Result<Resource, XmlError> {
    let mut resource = Resource::default();
    loop {
        match reader.token()? {
            Token::Start(name) if name.is_dav("href") => resource.href = reader.text()?,
            Token::Start(name) if name.is_dav("status") => resource.status = status(&reader.text()?),
            Token::Start(name) if name.is_dav("propstat") => propstat(reader, &mut resource)?,
            Token::Start(_) => reader.skip()?,
            Token::Text(_) => {}
            Token::End => return Ok(resource),
            Token::Eof => return Err(XmlError::Malformed("it ends early".into())),
        }
    }
}

/// Properties count only when their `status`, which may come before or after them, is a success.
fn propstat(reader: &mut Reader<impl BufRead>, resource: &mut Resource) -> Result<(), XmlError> {
    let mut with_props = resource.clone();
    let mut ok = true;
    loop {
        match reader.token()? {
            Token::Start(name) if name.is_dav("prop") => props(reader, &mut with_props)?,
            Token::Start(name) if name.is_dav("status") => {
                ok = status(&reader.text()?).is_some_and(|code| (200..300).contains(&code));
            }
            Token::Start(_) => reader.skip()?,
            Token::Text(_) => {}
            Token::End if ok => {
                *resource = with_props;
                return Ok(());
            }
            Token::End => return Ok(()),
            Token::Eof => return Err(XmlError::Malformed("it ends early".into())),
        }
    }
}

fn props(reader: &mut Reader<impl BufRead>, resource: &mut Resource) -> Result<(), XmlError> {
    loop {
        let name = match reader.token()? {
            Token::Start(name) => name,
            Token::Text(_) => continue,
            Token::End => return Ok(()),
            Token::Eof => return Err(XmlError::Malformed("it ends early".into())),
        };
        if name == names::RESOURCETYPE {
            resource.is_collection |= contains_collection(reader)?;
            resource.has_type = true;
        } else if name == names::CHECKSUMS {
            for text in nested_texts(reader)? {
                let told = checksum::parse(&text);
                resource.digests.sha1 = resource.digests.sha1.or(told.sha1);
            }
        } else {
            let text = reader.text()?;
            if name == names::GETCONTENTLENGTH {
                resource.size = text.parse().ok();
                // Only files have a length; a server that leaves out an empty `resourcetype` means one.
                resource.has_type |= resource.size.is_some();
            } else if name == names::GETETAG {
                resource.etag = etag::parse(&text);
                resource.weak = etag::is_weak(&text);
            } else if name == names::GETLASTMODIFIED {
                resource.modified = parse_date(&text);
            } else if name == names::CONTENT_HASH {
                resource.digests.content = ContentHash::from_hex(&text);
            } else if name == names::LIBRARY_ID {
                resource.library_id = Some(text);
            } else if name == names::ID {
                resource.cloud_id = Some(text);
            } else if name == names::QUOTA_AVAILABLE {
                resource.available = text.parse().ok();
            } else if name == names::QUOTA_USED {
                resource.used = text.parse().ok();
            } else if name == names::SYNC_TOKEN {
                resource.sync_token = Some(text);
            }
        }
    }
}

fn contains_collection(reader: &mut Reader<impl BufRead>) -> Result<bool, XmlError> {
    let mut found = false;
    loop {
        match reader.token()? {
            Token::Start(name) => {
                found |= name.is_dav("collection");
                reader.skip()?;
            }
            Token::Text(_) => {}
            Token::End => return Ok(found),
            Token::Eof => return Err(XmlError::Malformed("it ends early".into())),
        }
    }
}

/// The texts directly inside and one element deeper.
fn nested_texts(reader: &mut Reader<impl BufRead>) -> Result<Vec<String>, XmlError> {
    let mut texts = Vec::new();
    loop {
        match reader.token()? {
            Token::Start(_) => texts.push(reader.text()?),
            Token::Text(text) => texts.push(text),
            Token::End => return Ok(texts),
            Token::Eof => return Err(XmlError::Malformed("it ends early".into())),
        }
    }
}

/// The code of a status line such as `HTTP/1.1 200 OK`.
fn status(line: &str) -> Option<u16> {
    line.split_whitespace().nth(1)?.parse().ok()
}

/// An HTTP date in seconds since 1970.
pub fn parse_date(text: &str) -> Option<i64> {
    httpdate::parse_http_date(text).ok().map(|time| crate::types::Mtime::from(time).seconds())
}

/// Writes a multistatus response by response, as fast as text can be put together: a folder may have ten thousand members.
pub struct Document {
    text: String,
}

impl Document {
    /// Begins the document.
    pub fn new() -> Self {
        let mut text = String::with_capacity(4096);
        text.push_str("<?xml version=\"1.0\" encoding=\"utf-8\"?><d:multistatus");
        for (prefix, namespace) in [("d", DAV), ("oc", names::OC), ("nc", names::NC), ("tl", names::TL)] {
            text.push_str(" xmlns:");
            text.push_str(prefix);
            text.push_str("=\"");
            text.push_str(namespace);
            text.push('"');
        }
        text.push('>');
        Self { text }
    }

    /// Adds a resource at an encoded href: `tell` writes what is found and names what is missing.
    pub fn resource(&mut self, href: &str, tell: impl FnOnce(&mut Found<'_>)) {
        self.text.push_str("<d:response><d:href>");
        push_escaped(&mut self.text, href);
        self.text.push_str("</d:href><d:propstat><d:prop>");
        let before = self.text.len();
        let mut found = Found { text: &mut self.text, missing: String::new() };
        tell(&mut found);
        let missing = found.missing;
        if self.text.len() == before && !missing.is_empty() {
            self.text.truncate(before - "<d:propstat><d:prop>".len());
        } else {
            self.text.push_str("</d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat>");
        }
        if !missing.is_empty() {
            self.text.push_str("<d:propstat><d:prop>");
            self.text.push_str(&missing);
            self.text.push_str("</d:prop><d:status>HTTP/1.1 404 Not Found</d:status></d:propstat>");
        }
        self.text.push_str("</d:response>");
    }

    /// Adds a resource of which only a status can be told: an error in its place, never a silent gap.
    pub fn failure(&mut self, href: &str, status: http::StatusCode) {
        self.text.push_str("<d:response><d:href>");
        push_escaped(&mut self.text, href);
        self.text.push_str("</d:href>");
        self.status(status);
        self.text.push_str("</d:response>");
    }

    /// Ends a list that was cut: there is more than fits one answer (RFC 6578 section 3.6).
    pub fn truncated(&mut self, href: &str) {
        self.text.push_str("<d:response><d:href>");
        push_escaped(&mut self.text, href);
        self.text.push_str("</d:href>");
        self.status(http::StatusCode::INSUFFICIENT_STORAGE);
        self.text.push_str("<d:error><d:number-of-matches-within-limits/></d:error></d:response>");
    }

    /// Adds a resource with a status for each property: the answer to a PROPPATCH.
    pub fn statuses(&mut self, href: &str, results: &[(PropName, http::StatusCode)]) {
        let mut codes: Vec<_> = results.iter().map(|(_, status)| *status).collect();
        codes.sort_unstable();
        codes.dedup();
        self.text.push_str("<d:response><d:href>");
        push_escaped(&mut self.text, href);
        self.text.push_str("</d:href>");
        for code in codes {
            self.text.push_str("<d:propstat><d:prop>");
            results.iter().filter(|(_, status)| *status == code).for_each(|(name, _)| push_empty(&mut self.text, name));
            self.text.push_str("</d:prop>");
            self.status(code);
            self.text.push_str("</d:propstat>");
        }
        self.text.push_str("</d:response>");
    }

    fn status(&mut self, status: http::StatusCode) {
        let _ = write!(self.text, "<d:status>HTTP/1.1 {status}</d:status>");
    }

    /// Adds the token of a sync-collection answer (RFC 6578 section 6.2).
    pub fn sync_token(&mut self, token: &str) {
        self.text.push_str("<d:sync-token>");
        push_escaped(&mut self.text, token);
        self.text.push_str("</d:sync-token>");
    }

    /// Bytes since the last call of [`Document::take`].
    pub fn len(&self) -> usize {
        self.text.len()
    }

    /// Whether nothing was written since then.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// What has been written since the last call: for an answer that is sent while it is made.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.text).into_bytes()
    }

    /// Ends the document.
    pub fn finish(mut self) -> Vec<u8> {
        self.text.push_str("</d:multistatus>");
        self.text.into_bytes()
    }
}

impl Default for Document {
    fn default() -> Self {
        Self::new()
    }
}

/// The properties of one resource on their way out. Tags are written with the prefixes `d`, `oc`, `nc` and `tl`.
pub struct Found<'a> {
    text: &'a mut String,
    missing: String,
}

impl Found<'_> {
    /// A property with a text.
    pub fn text(&mut self, tag: &'static str, value: &str) {
        self.open(tag);
        push_escaped(self.text, value);
        self.close(tag);
    }

    /// A property with a value that needs no escaping: a number, a date, a digest.
    pub fn plain(&mut self, tag: &'static str, value: impl fmt::Display) {
        self.open(tag);
        // A String takes everything.
        let _ = write!(self.text, "{value}");
        self.close(tag);
    }

    /// A property without content.
    pub fn empty(&mut self, tag: &'static str) {
        self.text.push('<');
        self.text.push_str(tag);
        self.text.push_str("/>");
    }

    /// A property with elements inside, written by us.
    pub fn elements(&mut self, tag: &'static str, xml: &str) {
        self.open(tag);
        self.text.push_str(xml);
        self.close(tag);
    }

    /// A whole property element that somebody else wrote, checked when it was taken.
    pub fn verbatim(&mut self, xml: &str) {
        self.text.push_str(xml);
    }

    /// The name of a property, without its value.
    pub fn name(&mut self, name: &PropName) {
        push_empty(self.text, name);
    }

    /// A property that the resource does not have.
    pub fn missing(&mut self, name: &PropName) {
        push_empty(&mut self.missing, name);
    }

    fn open(&mut self, tag: &str) {
        self.text.push('<');
        self.text.push_str(tag);
        self.text.push('>');
    }

    fn close(&mut self, tag: &str) {
        self.text.push_str("</");
        self.text.push_str(tag);
        self.text.push('>');
    }
}

fn push_escaped(text: &mut String, value: &str) {
    match value.bytes().any(|byte| matches!(byte, b'<' | b'>' | b'&' | b'\'' | b'"')) {
        true => text.push_str(&quick_xml::escape::escape(value)),
        false => text.push_str(value),
    }
}

/// An empty element of any name.
fn push_empty(text: &mut String, name: &PropName) {
    let escape = |value| quick_xml::escape::escape(value);
    let _ = match (name.prefix(), &*name.namespace) {
        (Some(prefix), _) => write!(text, "<{prefix}:{}/>", name.local),
        // A name without a namespace must be written without a prefix: `xmlns:x=""` is not allowed.
        (None, "") => write!(text, "<{}/>", name.local),
        (None, namespace) => write!(text, "<x:{} xmlns:x=\"{}\"/>", name.local, escape(namespace)),
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Digests;

    #[test]
    fn reads_what_it_writes() {
        let digests = Digests::of(b"x");
        let mut document = Document::new();
        document.resource("/a%26b.jpg", |found| {
            found.empty("d:resourcetype");
            found.plain("d:getcontentlength", 1);
            found.text("d:getetag", &etag::quote("e<&>"));
            found.plain("d:getlastmodified", "Mon, 23 Nov 2026 07:33:21 GMT");
            found.elements("oc:checksums", &format!("<oc:checksum>{}</oc:checksum>", checksum::oc_checksum(&digests.sha1)));
            found.plain("tl:content-hash", digests.content);
            found.missing(&PropName::owned("urn:other", "y"));
            found.missing(&PropName::owned("", "bare"));
        });
        document.resource("/f/", |found| found.elements("d:resourcetype", "<d:collection/>"));
        document.failure("/bad/", http::StatusCode::FORBIDDEN);
        let text = String::from_utf8(document.finish()).unwrap();
        let resources = parse(&text).unwrap();
        assert_eq!(resources[0].href, "/a%26b.jpg");
        assert_eq!(resources[0].digests, digests.into());
        assert_eq!((resources[0].size, resources[0].etag.as_deref()), (Some(1), Some("e<&>")));
        assert_eq!(resources[0].modified, Some(1_795_419_201));
        assert!(!resources[0].is_collection && resources[1].is_collection);
        assert_eq!(resources[2].status, Some(403));
        assert!(text.contains("<d:prop><x:y xmlns:x=\"urn:other\"/><bare/></d:prop><d:status>HTTP/1.1 404 Not Found"), "{text}");
    }

    #[test]
    fn a_recorded_nextcloud_is_read() {
        let body = include_str!("../../fixtures/nextcloud-24-names.xml");
        let resources = parse(body).unwrap();
        let names: Vec<_> = resources.iter().filter_map(|r| super::super::href::decode(&r.href)).collect();
        assert!(resources[0].is_collection && names.iter().any(|name| name.contains('+')), "{names:?}");
        let file = resources.iter().find(|r| !r.is_collection).unwrap();
        assert!(file.size.is_some() && file.etag.is_some() && file.modified.is_some());
    }

    #[test]
    fn a_property_that_was_not_found_does_not_count() {
        let text = "<multistatus xmlns='DAV:'><response><href>/x</href>\
            <propstat><prop><getcontentlength>7</getcontentlength></prop><status>HTTP/1.1 404 Not Found</status></propstat>\
            <propstat><status>HTTP/1.1 200 OK</status><prop><getetag>W/&quot;1&quot;</getetag></prop></propstat>\
            </response></multistatus>";
        let resource = &parse(text).unwrap()[0];
        assert_eq!((resource.size, resource.etag.as_deref()), (None, Some("1")));
    }

    #[test]
    fn no_prefix_of_an_answer_is_a_shorter_list() {
        let body = include_str!("../../fixtures/nextcloud-24-names.xml").trim_end();
        for end in (0..body.len()).filter(|&end| body.is_char_boundary(end)) {
            assert!(parse(&body[..end]).is_err(), "the first {end} bytes were accepted");
        }
    }

    #[test]
    fn a_list_that_was_broken_off_and_closed_is_no_shorter_list() {
        let body = "<multistatus xmlns='DAV:'><response><href>/</href></response></multistatus>";
        assert_eq!(parse(&format!("{body}\r\n <!-- a comment -->\n")).unwrap().len(), 1);
        for after in ["Internal Server Error", "\nInternal Server Error\n", "<![CDATA[x]]>", "&lt;", "<multistatus xmlns='DAV:'/>"] {
            assert!(parse(&format!("{body}{after}")).is_err(), "{after}");
        }
        assert_eq!(parse(&format!("{body}Oh dear")), Err(XmlError::After("Oh dear".into())));
    }

    #[test]
    fn an_answer_that_never_ends_is_not_read_for_ever() {
        use std::io::{BufReader, Read as _, repeat};
        // Without the limits these would read until the end of the world, or of the memory.
        struct Endless(&'static [u8], usize);
        impl std::io::Read for Endless {
            fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
                for place in buffer.iter_mut() {
                    *place = self.0[self.1 % self.0.len()];
                    self.1 += 1;
                }
                Ok(buffer.len())
            }
        }
        let begin = "<multistatus xmlns='DAV:'>";
        for (what, opened) in [
            ("<x/>", ""),
            ("&amp;", "<response><href>"),
            ("<x/>", "<response><propstat><prop><getetag>"),
            ("<checksum>SHA1:1</checksum>", "<response><propstat><prop><o:checksums xmlns:o='http://owncloud.org/ns'>"),
            ("<!-- -->", ""),
            (" ", "<response>"),
        ] {
            let head = format!("{begin}{opened}");
            let source = BufReader::new(head.as_bytes().chain(Endless(what.as_bytes(), 0)));
            let failed = Items::new(source).unwrap().find_map(Result::err);
            assert!(matches!(failed, Some(XmlError::Malformed(_))), "{what} after {opened}: {failed:?}");
        }
        assert!(Items::new(BufReader::new(repeat(b' '))).is_err());
        let three = format!("{begin}{}</multistatus>", "<response><href>/x</href></response>".repeat(3));
        assert_eq!(Items::with_limit(three.as_bytes(), 3).unwrap().filter(Result::is_ok).count(), 3);
        let mut two = Items::with_limit(three.as_bytes(), 2).unwrap();
        assert_eq!((two.next().is_some(), two.next().is_some(), two.next()), (true, true, Some(Err(XmlError::TooMany(2)))));
    }

    #[test]
    fn html_is_not_a_multistatus() {
        assert!(parse("<html><body>hello</body></html>").is_err());
        assert!(parse("<!DOCTYPE html><html></html>").is_err());
        assert!(parse("").is_err());
    }
}
