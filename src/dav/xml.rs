//! Reading XML that somebody else wrote.

use std::io::{self, BufRead, Read};

use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::ResolveResult;
use quick_xml::reader::NsReader;

use super::PropName;

/// Elements may not be nested deeper than this.
const DEPTH_LIMIT: usize = 32;
/// No tag and no piece of text is longer than this, in bytes: a reader holds one of them at a time.
const TOKEN_LIMIT: usize = 4 << 20;
/// Of a document that is a list, no entry is longer than this, and so much at most stands between two of them.
const ENTRY_LIMIT: usize = 4 << 20;

/// So many characters of what does not belong there are told.
const TOLD: usize = 60;

/// Why a document was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum XmlError {
    /// Not well-formed, or it ends early.
    #[error("not well-formed XML: {0}")]
    Malformed(String),
    /// It has a document type declaration; those are a way to attack a reader (RFC 4918 section 20.6).
    #[error("it has a document type declaration")]
    Doctype,
    /// Something else after its end. What comes before it cannot be believed.
    #[error("it was broken off there, with the words {0:?}; the log of the server says why")]
    After(String),
    /// An entity that XML itself does not define.
    #[error("it uses the undefined entity `{0}`")]
    Entity(String),
    /// Nested too deeply.
    #[error("it is nested deeper than {DEPTH_LIMIT} elements")]
    TooDeep,
    /// More entries than any library has.
    #[error("it has more than {0} entries")]
    TooMany(usize),
    /// More properties, or longer names, than any client needs.
    #[error("it names too many properties, or too long ones")]
    TooMuch,
    /// Well-formed, but not the document that was expected.
    #[error("it is not a {0} document")]
    Unexpected(&'static str),
}

/// What happens next in a document. Comments and processing instructions are passed over; an empty element is
/// reported as a start and an end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token {
    /// An element begins.
    Start(PropName),
    /// The innermost element ends.
    End,
    /// Characters, entities resolved. Long texts may come in pieces.
    Text(String),
    /// The document is complete.
    Eof,
}

/// A reader of one document, which need not be whole in memory.
pub struct Reader<R> {
    inner: NsReader<Bounded<R>>,
    /// Room for one token.
    buffer: Vec<u8>,
    depth: usize,
    seen_root: bool,
    pending_end: bool,
}

impl<'a> Reader<&'a [u8]> {
    /// Reads a document that is whole.
    pub fn new(document: &'a str) -> Self {
        Self::from_reader(document.as_bytes())
    }
}

impl<R: BufRead> Reader<R> {
    /// Reads a document, which must be UTF-8, as it comes.
    pub fn from_reader(source: R) -> Self {
        let inner = NsReader::from_reader(Bounded { source, left: TOKEN_LIMIT, entry: usize::MAX });
        Self { inner, buffer: Vec::new(), depth: 0, seen_root: false, pending_end: false }
    }

    /// From here to the next call of this it may take no more than one entry of a list does. Whoever reads something that never ends must
    /// call it again and again.
    pub fn begin_entry(&mut self) {
        self.inner.get_mut().entry = ENTRY_LIMIT;
    }

    /// The next token.
    pub fn token(&mut self) -> Result<Token, XmlError> {
        if std::mem::take(&mut self.pending_end) {
            self.depth -= 1;
            return Ok(Token::End);
        }
        loop {
            self.buffer.clear();
            self.inner.get_mut().left = TOKEN_LIMIT;
            let ended = self.depth == 0 && self.seen_root;
            let read = self.inner.read_resolved_event_into(&mut self.buffer);
            let (namespace, event) = read.map_err(|error| XmlError::Malformed(error.to_string()))?;
            match event {
                Event::Start(start) => {
                    let name = name(&namespace, &start)?;
                    return self.enter(name, false);
                }
                Event::Empty(start) => {
                    let name = name(&namespace, &start)?;
                    return self.enter(name, true);
                }
                Event::End(_) => {
                    self.depth = self.depth.saturating_sub(1);
                    return Ok(Token::End);
                }
                Event::Text(text) => return says(ended, text.xml_content(XmlVersion::Implicit1_0).into_owned()),
                Event::CData(text) => return says(ended, text.xml_content(XmlVersion::Implicit1_0).into_owned()),
                Event::GeneralRef(reference) => {
                    let entity = reference.xml_content(XmlVersion::Implicit1_0);
                    let text = match reference.resolve_char_ref() {
                        Ok(Some(c)) => c.to_string(),
                        Ok(None) => match quick_xml::escape::resolve_xml_entity(&entity) {
                            Some(text) => text.to_owned(),
                            None => return Err(XmlError::Entity(entity.into_owned())),
                        },
                        Err(error) => return Err(XmlError::Malformed(error.to_string())),
                    };
                    return says(ended, text);
                }
                Event::DocType(_) => return Err(XmlError::Doctype),
                Event::Eof if self.depth == 0 && self.seen_root => return Ok(Token::Eof),
                Event::Eof => return Err(XmlError::Malformed("it ends early".into())),
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            }
        }
    }

    fn enter(&mut self, name: PropName, empty: bool) -> Result<Token, XmlError> {
        if self.depth >= DEPTH_LIMIT {
            return Err(XmlError::TooDeep);
        }
        if self.depth == 0 && self.seen_root {
            return Err(XmlError::Malformed("it has more than one outermost element".into()));
        }
        self.depth += 1;
        self.seen_root = true;
        self.pending_end = empty;
        Ok(Token::Start(name))
    }

    /// Enters the document's outermost element, which must be the DAV: one of this name.
    pub fn enter_root(&mut self, local: &'static str) -> Result<(), XmlError> {
        loop {
            match self.token()? {
                Token::Start(name) if name.is_dav(local) => return Ok(()),
                Token::Text(text) if text.trim().is_empty() => {}
                _ => return Err(XmlError::Unexpected(local)),
            }
        }
    }

    /// The text of the element that was just entered, up to and including its end; elements inside are an empty text.
    pub fn text(&mut self) -> Result<String, XmlError> {
        let mut text = String::new();
        let mut inside = 0;
        loop {
            match self.token()? {
                Token::Text(piece) if inside == 0 => text.push_str(&piece),
                Token::Text(_) => {}
                Token::Start(_) => inside += 1,
                Token::End if inside == 0 => return Ok(text.trim().to_owned()),
                Token::End => inside -= 1,
                Token::Eof => return Err(XmlError::Malformed("it ends early".into())),
            }
        }
    }

    /// Passes over the rest of the element that was just entered.
    pub fn skip(&mut self) -> Result<(), XmlError> {
        self.text().map(drop)
    }
}

/// A source that ends with an error when one token, or one entry, takes too much of it.
struct Bounded<R> {
    source: R,
    /// For the token.
    left: usize,
    /// For the entry.
    entry: usize,
}

impl<R: BufRead> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut ready = self.fill_buf()?;
        let read = ready.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}

impl<R: BufRead> BufRead for Bounded<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.left == 0 {
            return Err(io::Error::other("a tag or text is too long"));
        }
        if self.entry == 0 {
            return Err(io::Error::other("an entry of it is too long"));
        }
        self.source.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.left = self.left.saturating_sub(amount);
        self.entry = self.entry.saturating_sub(amount);
        self.source.consume(amount);
    }
}

/// Text, if there may be one. Nothing may follow the outermost element: golang.org/x/net/webdav, which rclone and others use, closes a list that
/// it could not go on with as if it were whole, and writes "Internal Server Error" after it.
fn says(ended: bool, text: String) -> Result<Token, XmlError> {
    match text.trim() {
        after if ended && !after.is_empty() => Err(XmlError::After(after.chars().take(TOLD).collect())),
        _ => Ok(Token::Text(text)),
    }
}

fn name(namespace: &ResolveResult<'_>, start: &BytesStart<'_>) -> Result<PropName, XmlError> {
    let namespace = match namespace {
        ResolveResult::Bound(namespace) => namespace.as_ref(),
        ResolveResult::Unbound => "",
        ResolveResult::Unknown(_) => return Err(XmlError::Malformed("a namespace prefix is not declared".into())),
    };
    Ok(PropName::owned(namespace, start.local_name().as_ref()))
}
