//! The names of conflict copies.

use super::RelPath;

const OPENING: &str = " (conflict ";
const STAMP: &str = "YYYY-MM-DD HHMMSS";

/// What the name of a conflict copy tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyName {
    /// The file that it is another version of. A very long name was cut for the copy.
    pub original: RelPath,
    /// The service that it came from.
    pub service: String,
    /// When, in the time of the node that made it.
    pub when: String,
}

impl CopyName {
    /// The name of every conflict copy has this in it.
    pub const MARK: &str = OPENING;

    /// Reads `NAME (conflict SERVICE YYYY-MM-DD HHMMSS).EXT`.
    pub fn parse(path: &RelPath) -> Option<Self> {
        let name = path.name();
        let (stem, rest) = name.rsplit_once(OPENING)?;
        let (inner, tail) = rest.rsplit_once(')')?;
        let cut = inner.len().checked_sub(STAMP.len())?;
        let (service, when) = (inner.get(..cut)?.strip_suffix(' ')?, inner.get(cut..)?);
        let as_stamp = |(here, there): (char, char)| if there.is_ascii_alphabetic() { here.is_ascii_digit() } else { here == there };
        let is_stamp = when.chars().zip(STAMP.chars()).all(as_stamp);
        if service.is_empty() || !is_stamp || !(tail.is_empty() || tail.starts_with('.')) {
            return None;
        }
        let original = path.with_name(&format!("{stem}{tail}")).ok()?;
        Some(Self { original, service: service.to_owned(), when: when.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<(String, String, String)> {
        let found = CopyName::parse(&RelPath::parse(text).unwrap())?;
        Some((found.original.to_string(), found.service, found.when))
    }

    #[test]
    fn what_was_made_is_known_again() {
        for (original, service) in [("a/b.jpg", "home"), ("x", "my.cloud"), ("a (1).tar.gz", "a (b) c"), (".hidden", "peer")] {
            let path = RelPath::parse(original).unwrap();
            let copy = path.with_note(&format!("conflict {service} 2026-01-02 030405"));
            assert_eq!(parse(copy.as_str()), Some((original.into(), service.into(), "2026-01-02 030405".into())), "{copy}");
        }
    }

    #[test]
    fn other_names_are_not_taken_for_copies() {
        for name in ["x (conflict).jpg", "x (conflict a 2026-1-2 030405).jpg", "x (conflict 2026-01-02 030405).jpg", "(conflict a).jpg"] {
            assert_eq!(parse(name), None, "{name}");
        }
    }
}
