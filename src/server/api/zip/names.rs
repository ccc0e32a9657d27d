//! Names that every system takes.

use std::collections::{HashMap, HashSet};

use unicode_normalization::UnicodeNormalization as _;

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
    fn thousands_of_one_name_are_numbered_without_a_search_from_the_beginning() {
        let mut names = Names::default();
        let last = (0..20_000).map(|_| names.free("IMG_0001.JPG")).last();
        assert_eq!(last.as_deref(), Some("IMG_0001 (20000).JPG"));
    }
}
