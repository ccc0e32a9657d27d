//! sync-collection requests (RFC 6578), and the tokens that nodes give.

use uuid::Uuid;

use super::PropName;
use super::xml::{Reader, Token, XmlError};

/// What a client wants to know has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The token of an earlier answer; none at the first time.
    pub token: Option<String>,
    /// `infinite` rather than `1`.
    pub deep: bool,
    /// At most so many members in one answer.
    pub limit: Option<u64>,
    /// What to tell of each.
    pub props: Vec<PropName>,
}

impl Request {
    /// Reads a body.
    pub fn parse(body: &str) -> Result<Self, XmlError> {
        let mut reader = Reader::new(body);
        reader.enter_root("sync-collection")?;
        let mut request = Self { token: None, deep: false, limit: None, props: Vec::new() };
        loop {
            match reader.token()? {
                Token::Start(name) if name.is_dav("sync-token") => request.token = Some(reader.text()?).filter(|token| !token.is_empty()),
                Token::Start(name) if name.is_dav("sync-level") => {
                    request.deep = matches!(reader.text()?.as_str(), "infinite" | "infinity")
                }
                Token::Start(name) if name.is_dav("limit") => loop {
                    match reader.token()? {
                        Token::Start(name) if name.is_dav("nresults") => {
                            request.limit = Some(reader.text()?.parse().map_err(|_| XmlError::Unexpected("sync-collection"))?);
                        }
                        Token::Start(_) => reader.skip()?,
                        Token::Text(_) => {}
                        Token::End | Token::Eof => break,
                    }
                },
                Token::Start(name) if name.is_dav("prop") => request.props = super::propfind::names_of(&mut reader)?,
                Token::Start(_) => reader.skip()?,
                Token::Text(_) => {}
                Token::End => break,
                Token::Eof => return Err(XmlError::Malformed("it ends early".into())),
            }
        }
        while reader.token()? != Token::Eof {}
        Ok(request)
    }
}

/// A request body that asks what changed anywhere below a folder since a token, with `props` of each member.
pub fn body(token: &str, props: &[PropName]) -> String {
    let token = quick_xml::escape::escape(token);
    let question = format!("<d:sync-token>{token}</d:sync-token><d:sync-level>infinite</d:sync-level>");
    super::propfind::document("sync-collection", &question, props)
}

const PREFIX: &str = "urn:twinlens:sync:";

/// What a token says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Everything up to this change was told.
    pub number: u64,
    /// The latest change at the time when a listing began that has not come to its end: nothing that was gone before matters to it.
    pub begun: Option<u64>,
}

/// The token of a position in the changes of a node: a URI, as section 3.2 wants it.
pub fn token(epoch: Uuid, number: u64) -> String {
    format!("{PREFIX}{epoch}:{number}")
}

/// The token of a first listing that goes on after `number`, and that began at `begun`.
pub fn token_within(epoch: Uuid, number: u64, begun: u64) -> String {
    format!("{PREFIX}{epoch}:{number}:{begun}")
}

/// The position of a token of this epoch; none for another's.
pub fn position(token: &str, epoch: Uuid) -> Option<Position> {
    let (found, numbers) = token.strip_prefix(PREFIX)?.split_once(':')?;
    if Uuid::parse_str(found).ok()? != epoch {
        return None;
    }
    let (number, begun) = match numbers.split_once(':') {
        Some((number, begun)) => (number, Some(begun.parse().ok()?)),
        None => (numbers, None),
    };
    Some(Position { number: number.parse().ok()?, begun })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read() {
        let body = "<d:sync-collection xmlns:d='DAV:'><d:sync-token>t</d:sync-token><d:sync-level>infinite</d:sync-level>\
            <d:limit><d:nresults>5</d:nresults></d:limit><d:prop><d:getetag/></d:prop></d:sync-collection>";
        let expected = Request { token: Some("t".into()), deep: true, limit: Some(5), props: vec![super::super::names::GETETAG] };
        assert_eq!(Request::parse(body), Ok(expected));
        let first =
            Request::parse("<sync-collection xmlns='DAV:'><sync-token/><sync-level>1</sync-level><prop/></sync-collection>").unwrap();
        assert_eq!((first.token, first.deep, first.limit), (None, false, None));
        assert!(Request::parse("<x xmlns='DAV:'/>").is_err());
    }

    #[test]
    fn reads_what_it_writes() {
        let props = super::super::propfind::WANTED.to_vec();
        let expected = Request { token: Some("a&b".into()), deep: true, limit: None, props: props.clone() };
        assert_eq!(Request::parse(&body("a&b", &props)), Ok(expected));
    }

    #[test]
    fn a_token_of_another_epoch_is_none() {
        let (epoch, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        assert_eq!(position(&token(epoch, 7), epoch), Some(Position { number: 7, begun: None }));
        assert_eq!(position(&token_within(epoch, 7, 9), epoch), Some(Position { number: 7, begun: Some(9) }));
        assert_eq!(position(&format!("{}x", token(epoch, 7)), epoch), None);
        assert_eq!(position(&token(epoch, 7), other), None);
        assert_eq!(position("7", epoch), None);
    }
}
