//! What a zip and the files in it are called.

use std::collections::{HashMap, HashSet};

use http::HeaderValue;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use unicode_normalization::UnicodeNormalization as _;

/// What may stand unencoded in the parameter of a header (RFC 8187).
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// `attachment` with the name, in ASCII for old clients (RFC 6266) and as it is (RFC 8187).
pub(super) fn disposition(name: &str) -> HeaderValue {
    let ascii: String =
        name.chars().map(|c| if c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '%') || c == ' ' { c } else { '_' }).collect();
    let text = format!("attachment; filename=\"{ascii}\"; filename*=UTF-8''{}", utf8_percent_encode(name, PLAIN));
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("attachment"))
}

/// The names of one folder of a zip: each once, also where case and Unicode forms do not count, and each one that Windows takes.
#[derive(Default)]
pub(super) struct Names {
    taken: HashSet<String>,
    /// With which number the search for a free name goes on: thousands of pictures may have the same one.
    next: HashMap<String, u64>,
}

impl Names {
    pub(super) fn free(&mut self, name: &str) -> String {
        let name = portable(name);
        let (stem, dot, extension) = match name.rsplit_once('.') {
            Some((stem, extension)) if !stem.is_empty() => (stem, ".", extension),
            _ => (name.as_str(), "", ""),
        };
        let next = self.next.entry(folded(&name)).or_insert(1);
        loop {
            let free = if *next == 1 { name.clone() } else { format!("{stem} ({next}){dot}{extension}") };
            *next += 1;
            if self.taken.insert(folded(&free)) {
                return free;
            }
        }
    }
}

/// The same for all names that some systems take for one.
fn folded(name: &str) -> String {
    name.nfc().flat_map(char::to_lowercase).nfc().collect()
}

/// A name that every system takes: none of the characters that mean something to Windows, no dot or space at its end, no device.
pub(super) fn portable(name: &str) -> String {
    let mut safe: String = name
        .chars()
        .map(|c| if c.is_control() || matches!(c, '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|') { '_' } else { c })
        .collect();
    if safe.ends_with(['.', ' ']) {
        safe.pop();
        safe.push('_');
    }
    let stem = safe.split('.').next().unwrap_or_default().trim_end().to_ascii_uppercase();
    let numbered = |prefix: &str| stem.strip_prefix(prefix).is_some_and(|rest| rest.len() == 1 && rest.as_bytes()[0].is_ascii_digit());
    match stem.as_str() {
        "CON" | "PRN" | "AUX" | "NUL" => format!("_{safe}"),
        _ if numbered("COM") || numbered("LPT") => format!("_{safe}"),
        _ if safe.is_empty() => "_".to_owned(),
        _ => safe,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_such_that_every_system_takes_them_and_each_is_there_once() {
        let mut names = Names::default();
        let given = ["a.jpg", "A.JPG", "a (2).jpg", "C:evil", "nul.txt", "COM1", "x.", "..", "ü", "u\u{308}", "a\\b", ".hidden", ".hidden"];
        let free: Vec<String> = given.iter().map(|name| names.free(name)).collect();
        let expected = [
            "a.jpg",
            "A (2).JPG",
            "a (2) (2).jpg",
            "C_evil",
            "_nul.txt",
            "_COM1",
            "x_",
            "._",
            "ü",
            "u\u{308} (2)",
            "a_b",
            ".hidden",
            ".hidden (2)",
        ];
        assert_eq!(free, expected);
    }

    #[test]
    fn the_name_of_a_download_is_told_to_old_clients_and_new_ones() {
        let told = disposition("Bücher \"x\"\r\n.zip");
        assert_eq!(told, "attachment; filename=\"B_cher _x___.zip\"; filename*=UTF-8''B%C3%BCcher%20%22x%22%0D%0A.zip");
    }

    #[test]
    fn thousands_of_one_name_are_numbered_without_a_search_from_the_beginning() {
        let mut names = Names::default();
        let last = (0..20_000).map(|_| names.free("IMG_0001.JPG")).last();
        assert_eq!(last.as_deref(), Some("IMG_0001 (20000).JPG"));
    }
}
