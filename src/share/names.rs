//! Names on the service.

use unicode_normalization::UnicodeNormalization as _;

use crate::types::{PathError, RelPath};

/// Extensions that a JPEG may keep.
const JPEG: [&str; 6] = ["jpg", "jpeg", "jpe", "jif", "jfif", "jfi"];

/// The name of the JPEG that was made of a file: its own, with an extension that says so.
pub(super) fn as_jpeg(wanted: &RelPath) -> Result<RelPath, PathError> {
    let (stem, extension) = wanted.stem_and_extension();
    if JPEG.contains(&extension.to_ascii_lowercase().as_str()) {
        return Ok(wanted.clone());
    }
    wanted.with_name(&format!("{stem}.jpg"))
}

/// `IMG_1.jpg`, then `IMG_1 (2).jpg`, `IMG_1 (3).jpg`, ...
pub(super) fn numbered(wanted: &RelPath, number: u32) -> Result<RelPath, PathError> {
    if number < 2 {
        return Ok(wanted.clone());
    }
    let (stem, extension) = wanted.stem_and_extension();
    let dot = if extension.is_empty() { "" } else { "." };
    wanted.with_name(&format!("{stem} ({number}){dot}{extension}"))
}

/// Whether a name is the wanted one with a number.
pub(super) fn is_numbered(at: &RelPath, wanted: &RelPath) -> bool {
    let ((stem, extension), (wanted, wanted_extension)) = (at.stem_and_extension(), wanted.stem_and_extension());
    let number =
        folded(stem).strip_prefix(&folded(wanted)).and_then(|rest| rest.strip_prefix(" (")?.strip_suffix(')')?.parse::<u32>().ok());
    number.is_some() && folded(extension) == folded(wanted_extension)
}

/// The same for names that some services take for one: of other case, or composed in another way.
pub(super) fn folded(name: &str) -> String {
    name.nfc().flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> RelPath {
        RelPath::parse(text).unwrap()
    }

    #[test]
    fn numbers_go_before_the_extension() {
        assert_eq!(numbered(&path("a/IMG_1.jpg"), 1).unwrap(), path("a/IMG_1.jpg"));
        assert_eq!(numbered(&path("a/IMG_1.jpg"), 2).unwrap(), path("a/IMG_1 (2).jpg"));
        assert_eq!(numbered(&path("notes"), 12).unwrap(), path("notes (12)"));
    }

    #[test]
    fn a_number_is_known_again() {
        for (name, numbered) in
            [("IMG_1 (3).JPG", true), ("img_1 (12).jpg", true), ("IMG_1.jpg", false), ("IMG_1 (x).jpg", false), ("IMG_1 (3).png", false)]
        {
            assert_eq!(is_numbered(&path(name), &path("IMG_1.jpg")), numbered, "{name}");
        }
    }

    #[test]
    fn a_jpeg_is_called_one() {
        for (before, after) in [("a/b.NEF", "a/b.jpg"), ("b.JPEG", "b.JPEG"), ("b.x.png", "b.x.jpg"), ("b", "b.jpg")] {
            assert_eq!(as_jpeg(&path(before)).unwrap(), path(after));
        }
    }

    #[test]
    fn names_that_may_be_one_are_taken_for_one() {
        assert_eq!(folded("É.JPG"), folded("e\u{301}.jpg"));
    }
}
