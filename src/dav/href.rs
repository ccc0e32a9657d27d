//! Paths in URLs.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::types::{PathError, RelPath};

/// Everything but RFC 3986's unreserved characters and `/`. `+` too: some clients read a bare one as a space.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// The path percent-encoded, without slashes at its ends.
pub fn encode(path: &RelPath) -> String {
    encode_text(path.as_str())
}

/// Any text as part of a path, `/` left as it is.
pub fn encode_text(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}

/// Appends a name to an href that ends with `/`.
pub fn push(href: &mut String, name: &str) {
    href.extend(utf8_percent_encode(name, ESCAPED));
}

/// The path below `base` (which is encoded and ends with `/`), as an absolute href; folders end with `/`.
pub fn below(base: &str, path: &RelPath, folder: bool) -> String {
    let slash = if folder && !path.is_root() { "/" } else { "" };
    format!("{base}{}{slash}", encode(path))
}

/// The decoded path of an href: absolute (`/a/b`) or a whole URL. None when it is not UTF-8 once decoded.
pub fn decode(href: &str) -> Option<String> {
    // A path may have `://` in it too.
    let path = match href.split_once("://").filter(|_| !href.starts_with('/')) {
        Some((_, rest)) => rest.find('/').map_or("/", |at| &rest[at..]),
        None => href,
    };
    let path = path.split(['?', '#']).next().unwrap_or_default();
    percent_decode_str(path).decode_utf8().ok().map(|text| text.into_owned())
}

/// Why an href is not a place below the folder that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HrefError {
    /// Not UTF-8 once decoded.
    #[error("is not UTF-8 once decoded")]
    NotUtf8,
    /// It points outside.
    #[error("lies outside the folder that was asked for")]
    Outside,
    /// It is no path that could be joined to a folder here.
    #[error("is no usable path: {0}")]
    Path(#[from] PathError),
}

/// Where an href lies below `base`, a decoded path that ends with `/`.
pub fn relative_to(base: &str, href: &str) -> Result<RelPath, HrefError> {
    let path = decode(href).ok_or(HrefError::NotUtf8)?;
    let path = path.strip_suffix('/').unwrap_or(&path);
    if path == base.trim_end_matches('/') {
        return Ok(RelPath::root());
    }
    let rest = path.strip_prefix(base).ok_or(HrefError::Outside)?;
    Ok(RelPath::parse(rest)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_special_character_survives() {
        let path = RelPath::parse("2021/Müller & Söhne/50 % + #1 'a' \"b\" ;=@ 🔥 %20.jpg").unwrap();
        let href = below("/originals/", &path, false);
        assert!(href.is_ascii() && !href.contains(['+', '#', '&', ' ', '"']) && href.contains("%2B"));
        assert_eq!(relative_to("/originals/", &href), Ok(path));
    }

    #[test]
    fn both_escape_cases_and_whole_urls_are_read() {
        let expected = Ok(RelPath::parse("ä+b/c").unwrap());
        for href in ["/dav/%c3%a4%2b%62/c/", "/dav/%C3%A4+b/c", "http://host:1/dav/%C3%A4+b/c"] {
            assert_eq!(relative_to("/dav/", href), expected);
        }
        assert_eq!(relative_to("/dav/", "/dav"), Ok(RelPath::root()));
    }

    #[test]
    fn nothing_leads_outside() {
        assert_eq!(relative_to("/dav/", "/other/x"), Err(HrefError::Outside));
        assert_eq!(relative_to("/dav/", "/davx/x"), Err(HrefError::Outside));
        assert!(matches!(relative_to("/dav/", "/dav/%2e%2e/x"), Err(HrefError::Path(_))));
        assert!(matches!(relative_to("/dav/", "/dav/a%2f%2e%2e%2fx"), Err(HrefError::Path(_))));
        assert!(matches!(relative_to("/dav/", "/dav/a%00"), Err(HrefError::Path(_))));
        assert_eq!(relative_to("/dav/", "/dav/%ff"), Err(HrefError::NotUtf8));
    }
}
