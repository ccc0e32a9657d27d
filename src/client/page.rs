//! A page for people, or the error of a program, where a picture was asked for: a login form, a proxy that gave up, a quota that is used up.

use crate::types::RelPath;
use crate::types::media::MediaKind;

/// So much of a file is looked at.
pub(super) const HEAD: usize = 512;

/// Whether the beginning of what came is a page instead of the picture or video that has this name.
pub(super) fn is_page(path: &RelPath, head: &[u8], content_type: Option<&str>) -> bool {
    let (_, extension) = path.stem_and_extension();
    if !MediaKind::of_extension(extension).is_media() {
        return false;
    }
    // Itself a document in XML.
    let is_xml = extension.eq_ignore_ascii_case("svg");
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    let begins = |with: &str| text.get(..with.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(with.as_bytes()));
    let kind = content_type.map(|kind| kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
    match kind.as_deref() {
        Some("text/html" | "application/xhtml+xml" | "text/xml" | "application/xml") if begins("<") && !is_xml => true,
        Some("application/json" | "application/problem+json") if begins("{") => true,
        _ => begins("<!doctype html") || begins("<html"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_told_by_its_beginning_and_its_type() {
        let page = |name: &str, head: &str, kind: Option<&str>| is_page(&RelPath::parse(name).unwrap(), head.as_bytes(), kind);
        assert!(page("a.jpg", "<!DOCTYPE html><html>", None) && page("a/b.MOV", "\n <HTML lang=de>", Some("image/jpeg")));
        assert!(page("a.jpg", "<?xml version='1.0'?><d:error/>", Some("application/xml; charset=utf-8")));
        assert!(page("a.heic", "{\"error\": 1}", Some("application/json")));
        // A server that has no type for a name may call it a page.
        assert!(!page("a.heic", "\0\0\0\u{18}ftypheic", Some("text/html")) && !page("a.jpg", "{", None));
        assert!(!page("a.svg", "<svg xmlns='x'/>", Some("text/xml")));
        // These are text.
        assert!(
            !page("a.xmp", "<html>", Some("text/html"))
                && !page("a.html", "<html>", None)
                && !page("a.json", "{", Some("application/json"))
        );
    }
}
