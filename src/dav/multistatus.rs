//! Multi-status answers (RFC 4918 section 13), read and written.

use std::io;

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};

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
}

/// Reads a 207 body. Every `response` is there, or it is an error.
pub fn parse(body: &str) -> Result<Vec<Resource>, XmlError> {
    let mut reader = Reader::new(body);
    reader.enter_root("multistatus")?;
    let mut resources = Vec::new();
    loop {
        match reader.token()? {
            Token::Start(name) if name.is_dav("response") => resources.push(response(&mut reader)?),
            Token::Start(_) => reader.skip()?,
            Token::Text(_) => {}
            Token::End => break,
            Token::Eof => return Err(XmlError::Malformed("it ends early".into())),
        }
    }
    while reader.token()? != Token::Eof {}
    Ok(resources)
}

fn response(reader: &mut Reader<'_>) -> Result<Resource, XmlError> {
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
fn propstat(reader: &mut Reader<'_>, resource: &mut Resource) -> Result<(), XmlError> {
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

fn props(reader: &mut Reader<'_>, resource: &mut Resource) -> Result<(), XmlError> {
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
            }
        }
    }
}

fn contains_collection(reader: &mut Reader<'_>) -> Result<bool, XmlError> {
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
fn nested_texts(reader: &mut Reader<'_>) -> Result<Vec<String>, XmlError> {
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

/// A property's value on its way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Characters.
    Text(String),
    /// No content.
    Empty,
    /// One empty element inside.
    Element(PropName),
    /// Several texts, each in an element of this name.
    Texts(PropName, Vec<String>),
    /// XML that somebody else wrote as a whole property element, checked when it was taken.
    Raw(String),
}

/// Writes a multistatus response by response.
pub struct Document {
    writer: Writer<Vec<u8>>,
}

impl Document {
    /// Begins the document.
    pub fn new() -> io::Result<Self> {
        let mut writer = Writer::new(Vec::with_capacity(4096));
        writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("utf-8"), None)))?;
        let start = quick_xml::events::BytesStart::new("d:multistatus").with_attributes([
            ("xmlns:d", DAV),
            ("xmlns:oc", names::OC),
            ("xmlns:nc", names::NC),
            ("xmlns:tl", names::TL),
        ]);
        writer.write_event(Event::Start(start))?;
        Ok(Self { writer })
    }

    /// Adds a resource: what was found, and the names of what it does not have.
    pub fn resource(&mut self, href: &str, found: &[(PropName, Value)], missing: &[PropName]) -> io::Result<()> {
        self.writer.create_element("d:response").write_inner_content(|writer| {
            writer.create_element("d:href").write_text_content(BytesText::new(href))?;
            if !found.is_empty() || missing.is_empty() {
                propstat_out(writer, "HTTP/1.1 200 OK", found)?;
            }
            if !missing.is_empty() {
                let empty: Vec<_> = missing.iter().map(|name| (name.clone(), Value::Empty)).collect();
                propstat_out(writer, "HTTP/1.1 404 Not Found", &empty)?;
            }
            Ok(())
        })?;
        Ok(())
    }

    /// Adds a resource of which only a status can be told: an error in its place, never a silent gap.
    pub fn failure(&mut self, href: &str, status: http::StatusCode) -> io::Result<()> {
        self.writer.create_element("d:response").write_inner_content(|writer| {
            writer.create_element("d:href").write_text_content(BytesText::new(href))?;
            let line = format!("HTTP/1.1 {status}");
            writer.create_element("d:status").write_text_content(BytesText::new(&line))?;
            Ok(())
        })?;
        Ok(())
    }

    /// Ends a list that was cut: there is more than fits one answer (RFC 6578 section 3.6).
    pub fn truncated(&mut self, href: &str) -> io::Result<()> {
        self.writer.create_element("d:response").write_inner_content(|writer| {
            writer.create_element("d:href").write_text_content(BytesText::new(href))?;
            let line = format!("HTTP/1.1 {}", http::StatusCode::INSUFFICIENT_STORAGE);
            writer.create_element("d:status").write_text_content(BytesText::new(&line))?;
            writer.create_element("d:error").write_inner_content(|writer| {
                writer.create_element("d:number-of-matches-within-limits").write_empty()?;
                Ok(())
            })?;
            Ok(())
        })?;
        Ok(())
    }

    /// Adds a resource with a status for each property: the answer to a PROPPATCH.
    pub fn statuses(&mut self, href: &str, results: &[(PropName, http::StatusCode)]) -> io::Result<()> {
        let mut codes: Vec<_> = results.iter().map(|(_, status)| *status).collect();
        codes.sort_unstable();
        codes.dedup();
        self.writer.create_element("d:response").write_inner_content(|writer| {
            writer.create_element("d:href").write_text_content(BytesText::new(href))?;
            codes.iter().try_for_each(|code| {
                let of_code = results.iter().filter(|(_, status)| status == code);
                let props: Vec<_> = of_code.map(|(name, _)| (name.clone(), Value::Empty)).collect();
                propstat_out(writer, &format!("HTTP/1.1 {code}"), &props)
            })
        })?;
        Ok(())
    }

    /// Adds the token of a sync-collection answer (RFC 6578 section 6.2).
    pub fn sync_token(&mut self, token: &str) -> io::Result<()> {
        self.writer.create_element("d:sync-token").write_text_content(BytesText::new(token))?;
        Ok(())
    }

    /// What has been written since the last call: for an answer that is sent while it is made.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(self.writer.get_mut())
    }

    /// Ends the document.
    pub fn finish(mut self) -> io::Result<Vec<u8>> {
        self.writer.write_event(Event::End(quick_xml::events::BytesEnd::new("d:multistatus")))?;
        Ok(self.writer.into_inner())
    }
}

fn propstat_out(writer: &mut Writer<Vec<u8>>, status: &str, props: &[(PropName, Value)]) -> io::Result<()> {
    writer.create_element("d:propstat").write_inner_content(|writer| {
        writer
            .create_element("d:prop")
            .write_inner_content(|writer| props.iter().try_for_each(|(name, value)| prop_out(writer, name, value)))?;
        writer.create_element("d:status").write_text_content(BytesText::new(status))?;
        Ok(())
    })?;
    Ok(())
}

fn prop_out(writer: &mut Writer<Vec<u8>>, name: &PropName, value: &Value) -> io::Result<()> {
    if let Value::Raw(xml) = value {
        return writer.write_event(Event::Text(BytesText::from_escaped(xml.as_str())));
    }
    let (tag, namespace) = match name.prefix() {
        Some(prefix) => (format!("{prefix}:{}", name.local), None),
        None => (format!("x:{}", name.local), Some(&*name.namespace)),
    };
    // A name without a namespace must be written without a prefix: `xmlns:x=""` is not allowed.
    let tag = if namespace == Some("") { name.local.to_string() } else { tag };
    let mut element = writer.create_element(tag.as_str());
    if let Some(namespace) = namespace.filter(|namespace| !namespace.is_empty()) {
        element = element.with_attribute(("xmlns:x", namespace));
    }
    match value {
        Value::Text(text) => element.write_text_content(BytesText::new(text))?,
        Value::Empty | Value::Raw(_) => element.write_empty()?,
        Value::Element(inner) => element.write_inner_content(|writer| prop_out(writer, inner, &Value::Empty))?,
        Value::Texts(inner, texts) => {
            element.write_inner_content(|writer| texts.iter().try_for_each(|text| prop_out(writer, inner, &Value::Text(text.clone()))))?
        }
    };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Digests;

    #[test]
    fn reads_what_it_writes() {
        let digests = Digests::of(b"x");
        let mut document = Document::new().unwrap();
        let found = [
            (names::RESOURCETYPE, Value::Empty),
            (names::GETCONTENTLENGTH, Value::Text("1".into())),
            (names::GETETAG, Value::Text(etag::quote("e<&>"))),
            (names::GETLASTMODIFIED, Value::Text("Mon, 23 Nov 2026 07:33:21 GMT".into())),
            (names::CHECKSUMS, Value::Texts(PropName::owned(names::OC, "checksum"), vec![checksum::oc_checksum(&digests.sha1)])),
            (names::CONTENT_HASH, Value::Text(digests.content.to_string())),
        ];
        document.resource("/a%26b.jpg", &found, &[PropName::owned("urn:other", "y"), PropName::owned("", "bare")]).unwrap();
        document.resource("/f/", &[(names::RESOURCETYPE, Value::Element(PropName::owned(DAV, "collection")))], &[]).unwrap();
        document.failure("/bad/", http::StatusCode::FORBIDDEN).unwrap();
        let text = String::from_utf8(document.finish().unwrap()).unwrap();
        let resources = parse(&text).unwrap();
        assert_eq!(resources[0].href, "/a%26b.jpg");
        assert_eq!(resources[0].digests, digests.into());
        assert_eq!((resources[0].size, resources[0].etag.as_deref()), (Some(1), Some("e<&>")));
        assert_eq!(resources[0].modified, Some(1_795_419_201));
        assert!(!resources[0].is_collection && resources[1].is_collection);
        assert_eq!(resources[2].status, Some(403));
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
    fn html_is_not_a_multistatus() {
        assert!(parse("<html><body>hello</body></html>").is_err());
        assert!(parse("<!DOCTYPE html><html></html>").is_err());
        assert!(parse("").is_err());
    }
}
