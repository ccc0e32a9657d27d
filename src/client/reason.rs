//! What a service says when it refuses something.

use http::header;
use reqwest::Response;

use crate::dav::xml::{Reader, Token};
use crate::types::RelPath;

use super::write::unexpected;
use super::{Client, ClientError};

/// So many MiB of an answer are read.
const LIMIT: usize = 1;
/// So many characters of a reason are told.
const LETTERS: usize = 300;

impl Client {
    /// The error for an answer that is none of those that were expected, with the reason that it gives.
    pub(super) async fn refusal(&self, method: &str, path: &RelPath, answer: Response) -> ClientError {
        let mut error = unexpected(method, path, answer.status());
        if let ClientError::Status { told, .. } = &mut error {
            let kind = answer.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
            // What cannot be read is no reason.
            *told = self.text(answer, LIMIT).await.ok().and_then(|body| reason(&kind, &body));
        }
        error
    }
}

/// The sentence in the body of an error: plain text, or the `message` that SabreDAV, Nextcloud and ownCloud write. A page for people has
/// none that could be found.
fn reason(kind: &str, body: &str) -> Option<String> {
    let text = match kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
        "text/plain" => body.to_owned(),
        "application/xml" | "text/xml" => message(body)?,
        _ => return None,
    };
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let told: String = words.chars().filter(|c| !c.is_control()).take(LETTERS).collect();
    Some(told).filter(|told| !told.is_empty())
}

fn message(document: &str) -> Option<String> {
    let mut reader = Reader::new(document);
    loop {
        match reader.token().ok()? {
            Token::Start(name) if name.local == "message" => return reader.text().ok(),
            Token::Eof => return None,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_is_found_and_a_page_is_not_told() {
        let sabre = r#"<?xml version="1.0"?><d:error xmlns:d="DAV:" xmlns:s="http://sabredav.org/ns">
            <s:exception>Sabre\DAV\Exception\Forbidden</s:exception><s:message>You are not
            allowed &amp; so on</s:message></d:error>"#;
        assert_eq!(reason("application/xml; charset=utf-8", sabre).as_deref(), Some("You are not allowed & so on"));
        assert_eq!(reason("text/plain", "Too many uploads.\n").as_deref(), Some("Too many uploads."));
        assert_eq!(reason("text/plain", "\u{1b}[31m\n").as_deref(), Some("[31m"));
        assert_eq!(reason("text/plain", &"x".repeat(5000)).map(|told| told.len()), Some(LETTERS));
        for nothing in [("text/html", "<h1>Forbidden</h1>"), ("application/xml", "<d:error xmlns:d='DAV:'/>"), ("text/xml", "<"), ("", "x")]
        {
            assert_eq!(reason(nothing.0, nothing.1), None, "{nothing:?}");
        }
    }
}
