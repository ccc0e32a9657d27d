//! PROPPATCH requests (RFC 4918 section 9.2), read. Values are kept verbatim: they are the client's business.

use quick_xml::events::Event;
use quick_xml::name::ResolveResult;
use quick_xml::reader::NsReader;

use super::PropName;
use super::propfind::{NAMESPACE, PROPERTIES};
use super::xml::{Reader, Token, XmlError};

/// The longest property value, in bytes.
const VALUE: usize = 16 << 10;

/// One instruction, in the order of the document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patch {
    /// The property.
    pub name: PropName,
    /// What it is to be; none to remove it.
    pub value: Option<Value>,
}

/// A property's new value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// The text directly in the element.
    pub text: String,
    /// The whole element, with every namespace in scope declared on it, so that it can stand anywhere.
    pub xml: String,
}

/// Reads a body.
pub fn parse(body: &str) -> Result<Vec<Patch>, XmlError> {
    // A first pass checks depth, entities and the absence of a DTD, and finds the texts; a second one the verbatim elements.
    let outline = outline(body)?;
    let mut elements = verbatim(body, 3)?.into_iter();
    let mut patches = Vec::new();
    for (set, name, text) in outline {
        let xml = elements.next().ok_or(XmlError::Unexpected("propertyupdate"))?;
        if patches.len() >= PROPERTIES || name.namespace.len() > NAMESPACE || xml.len() > VALUE {
            return Err(XmlError::TooMuch);
        }
        check(&xml, &name)?;
        patches.push(Patch { name, value: set.then_some(Value { text, xml }) });
    }
    Ok(patches)
}

fn outline(body: &str) -> Result<Vec<(bool, PropName, String)>, XmlError> {
    let mut reader = Reader::new(body);
    let mut found = Vec::new();
    reader.enter_root("propertyupdate")?;
    let mut set = None;
    let mut in_prop = false;
    loop {
        match reader.token()? {
            Token::Start(name) => match (set, in_prop) {
                (Some(set), true) => found.push((set, name, reader.text()?)),
                (Some(_), false) if name.is_dav("prop") => in_prop = true,
                (None, _) if name.is_dav("set") => set = Some(true),
                (None, _) if name.is_dav("remove") => set = Some(false),
                _ => reader.skip()?,
            },
            Token::Text(_) => {}
            Token::End if in_prop => in_prop = false,
            Token::End if set.is_some() => set = None,
            Token::End => break,
            Token::Eof => return Err(XmlError::Malformed("it ends early".into())),
        }
    }
    while reader.token()? != Token::Eof {}
    Ok(found)
}

/// The elements that so many others are around (of properties: three), as they were written, each with the namespaces in scope.
pub(super) fn verbatim(body: &str, level: usize) -> Result<Vec<String>, XmlError> {
    let malformed = |error: quick_xml::Error| XmlError::Malformed(error.to_string());
    let mut reader = NsReader::from_str(body);
    let mut found = Vec::new();
    let mut depth = 0;
    let mut open: Option<(String, String, usize)> = None;
    loop {
        let before = reader.buffer_position() as usize;
        match reader.read_event().map_err(malformed)? {
            Event::Start(start) => {
                if depth == level {
                    let name = start.name().as_ref().to_owned();
                    let head = format!("<{}{}>", start.as_ref(), bindings(&reader, start.as_ref()));
                    open = Some((name, head, reader.buffer_position() as usize));
                }
                depth += 1;
            }
            Event::Empty(start) if depth == level => {
                found.push(format!("<{}{}/>", start.as_ref().trim_end(), bindings(&reader, start.as_ref())));
            }
            Event::End(_) => {
                depth -= 1;
                if depth == level
                    && let Some((name, head, inner)) = open.take()
                {
                    let content = body.get(inner..before).unwrap_or_default();
                    found.push(format!("{head}{content}</{name}>"));
                }
            }
            Event::Eof => return Ok(found),
            _ => {}
        }
    }
}

/// Makes sure that an element can stand in every later answer: alone it is well-formed down to its attributes, it is the property that it
/// is kept for, and nothing in it needs what stood around it.
pub(super) fn check(xml: &str, name: &PropName) -> Result<(), XmlError> {
    let malformed = |reason: String| XmlError::Malformed(reason);
    let mut reader = NsReader::from_str(xml);
    let mut first = true;
    loop {
        let (namespace, event) = reader.read_resolved_event().map_err(|error| malformed(error.to_string()))?;
        match event {
            Event::Start(start) | Event::Empty(start) => {
                let namespace = match namespace {
                    ResolveResult::Bound(namespace) => namespace.as_ref().to_owned(),
                    ResolveResult::Unbound => String::new(),
                    ResolveResult::Unknown(_) => return Err(malformed("a namespace prefix is not declared".into())),
                };
                if std::mem::take(&mut first) && PropName::owned(&namespace, start.local_name().as_ref()) != *name {
                    return Err(XmlError::Unexpected("propertyupdate"));
                }
                for attribute in start.attributes() {
                    let attribute = attribute.map_err(|error| malformed(error.to_string()))?;
                    let (resolved, _) = reader.resolver().resolve_attribute(attribute.key);
                    let is_xml = attribute.key.as_ref().starts_with("xml");
                    if matches!(resolved, ResolveResult::Unknown(_)) && !is_xml
                        || attribute.value.contains(['<', '&']) && !is_clean(&attribute.value)
                    {
                        return Err(malformed("an attribute is not well-formed".into()));
                    }
                }
            }
            Event::Text(text) if text.as_ref().contains("]]>") || text.as_ref().chars().any(is_forbidden) => {
                return Err(malformed("a text is not well-formed".into()));
            }
            Event::GeneralRef(reference) if matches!(reference.resolve_char_ref(), Ok(Some(c)) if is_forbidden(c)) => {
                return Err(malformed("a character that XML does not have".into()));
            }
            Event::PI(_) | Event::Decl(_) | Event::DocType(_) => return Err(malformed("an instruction inside a property".into())),
            Event::Eof => return Ok(()),
            _ => {}
        }
    }
}

/// An attribute's value without `<` and with known entities only.
fn is_clean(value: &str) -> bool {
    !value.contains('<') && quick_xml::escape::unescape(value).is_ok_and(|text| !text.chars().any(is_forbidden))
}

/// XML 1.0 section 2.2.
fn is_forbidden(c: char) -> bool {
    (c < ' ' && !matches!(c, '\t' | '\n' | '\r')) || matches!(c, '\u{fffe}' | '\u{ffff}')
}

/// The declarations that are in scope, needed, and not on the element itself.
fn bindings(reader: &NsReader<&[u8]>, start: &str) -> String {
    let mut text = String::new();
    for (prefix, namespace) in reader.resolver().bindings() {
        let attribute = match prefix {
            quick_xml::name::PrefixDeclaration::Default => "xmlns".to_owned(),
            quick_xml::name::PrefixDeclaration::Named(prefix) => format!("xmlns:{prefix}"),
        };
        let declared = start.split_whitespace().any(|word| word.split('=').next() == Some(&attribute));
        if !declared && attribute != "xmlns:xml" && attribute != "xmlns:xmlns" && namespace.as_ref().len() <= NAMESPACE {
            // As it was written: its entities are still in it.
            text.push_str(&format!(" {attribute}=\"{}\"", namespace.as_ref().replace('"', "&quot;").replace('<', "&lt;")));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stand_by_themselves() {
        let body = "<?xml version='1.0'?><d:propertyupdate xmlns:d='DAV:' xmlns:n='urn:n'><d:set><d:prop><n:a xml:lang='de'>x &amp; <n:b/>\
            </n:a><d:lastmodified>17</d:lastmodified></d:prop></d:set><d:remove><d:prop><c xmlns='urn:c'/></d:prop></d:remove></d:propertyupdate>";
        let patches = parse(body).unwrap();
        assert_eq!(patches.len(), 3);
        assert_eq!(patches[0].name, PropName::owned("urn:n", "a"));
        let xml = &patches[0].value.as_ref().unwrap().xml;
        assert!(xml.contains("xml:lang='de'") && xml.contains("x &amp; <n:b/></n:a>") && xml.contains("xmlns:n=\"urn:n\""), "{xml}");
        let mut alone = Reader::new(xml);
        assert_eq!(alone.token(), Ok(Token::Start(PropName::owned("urn:n", "a"))));
        assert_eq!(patches[1].value.as_ref().unwrap().text, "17");
        assert_eq!(patches[2], Patch { name: PropName::owned("urn:c", "c"), value: None });
    }

    #[test]
    fn what_would_break_a_later_answer_is_refused() {
        let patch = |inner: &str| {
            parse(&format!("<d:propertyupdate xmlns:d='DAV:' xmlns:n='urn:n'><d:set><d:prop>{inner}</d:prop></d:set></d:propertyupdate>"))
        };
        assert!(patch("<n:a x='1'>good</n:a>").is_ok());
        for bad in [
            "<n:a x=1 y/>",
            "<n:a x='<'/>",
            "<n:a z:q='1'/>",
            "<n:a><?xml version='1.0'?></n:a>",
            "<n:a>&#1;</n:a>",
            "<n:a>]]></n:a>",
            "<n:a x='1' x='2'/>",
        ] {
            assert!(patch(bad).is_err(), "{bad} was accepted");
        }
        // An element that only looks like a property by its depth does not stand in for one.
        let spoof = "<d:propertyupdate xmlns:d='DAV:' xmlns:n='urn:n'><n:ext><n:e><d:resourcetype/></n:e></n:ext><d:set><d:prop><n:good/></d:prop>\
            </d:set></d:propertyupdate>";
        assert!(parse(spoof).is_err());
        let many: String = (0..1000).map(|n| format!("<n:p{n}/>")).collect();
        assert_eq!(patch(&many), Err(XmlError::TooMuch));
    }

    #[test]
    fn refuses_what_is_not_one() {
        assert!(parse("<d:propfind xmlns:d='DAV:'/>").is_err());
        assert!(parse("<!DOCTYPE a><d:propertyupdate xmlns:d='DAV:'/>").is_err());
        assert!(parse("<d:propertyupdate xmlns:d='DAV:'><d:set>").is_err());
        assert_eq!(parse("<d:propertyupdate xmlns:d='DAV:'/>"), Ok(vec![]));
    }
}
