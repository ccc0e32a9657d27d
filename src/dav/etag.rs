//! Entity tags (RFC 9110 section 8.8.3).

/// A longer one is none: it would be kept for each file, and sent back in headers.
const LIMIT: usize = 1024;

/// The opaque part of an entity tag as servers really send it: quoted, weak, bare, or marked by a compressing proxy.
pub fn parse(text: &str) -> Option<String> {
    let text = text.trim();
    let text = text.strip_prefix("W/").unwrap_or(text).trim_matches('"');
    let text = text.strip_suffix("-gzip").unwrap_or(text);
    (!text.is_empty() && text.len() <= LIMIT).then(|| text.to_owned())
}

/// Whether an entity tag is a weak one.
pub fn is_weak(text: &str) -> bool {
    text.trim_start().starts_with("W/")
}

/// The strong entity tag with this opaque part, as a header or property value.
pub fn quote(opaque: &str) -> String {
    format!("\"{opaque}\"")
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_spelling_is_one_tag() {
        for spelling in ["\"a-1\"", "W/\"a-1\"", "a-1", "\"a-1-gzip\"", " \"a-1\" "] {
            assert_eq!(super::parse(spelling).as_deref(), Some("a-1"), "{spelling}");
        }
        assert_eq!(super::parse("\"\""), None);
        assert_eq!(super::parse(&"x".repeat(1025)), None);
    }
}
