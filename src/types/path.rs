//! Relative paths that are safe to join.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization as _;
use utoipa::ToSchema;

/// The longest file name, in bytes, that common file systems store.
const NAME_LIMIT: usize = 255;
/// How many ways to write one path are looked at.
const SPELLINGS: usize = 64;
/// The longest whole path, in bytes; Linux and Nextcloud both stop near here.
const PATH_LIMIT: usize = 4000;

/// Why a text is not a [`RelPath`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// A segment is empty, `.` or `..`.
    #[error("it has an empty, `.` or `..` segment")]
    Segment,
    /// A control character or NUL, or a backslash, which is a separator on some systems.
    #[error("it has a control character or a backslash")]
    Character,
    /// A name over 255 bytes or a path over 4000.
    #[error("a name is longer than 255 bytes or the path longer than 4000")]
    Length,
    /// The name is not UTF-8.
    #[error("its name is not valid UTF-8")]
    NotUtf8,
}

/// A path relative to the root of a side: UTF-8, `/` between segments, none of them empty, `.` or `..`.
///
/// The empty path is the root. Ordered by folder first, then by name, so that the direct members of a folder
/// are neighbours in every sorted stream: this is what lets merge-joins go one folder at a time.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, max_length = 4000, examples("2024/holiday/IMG_0001.jpg"))]
pub struct RelPath(Box<str>);

impl RelPath {
    /// The root itself.
    pub fn root() -> Self {
        Self::default()
    }

    /// Parses `a/b/c`. Leading and trailing slashes are not accepted; see [`RelPath::parse_lenient`].
    pub fn parse(text: &str) -> Result<Self, PathError> {
        if text.is_empty() {
            return Ok(Self::root());
        }
        if text.len() > PATH_LIMIT {
            return Err(PathError::Length);
        }
        for segment in text.split('/') {
            check_segment(segment)?;
        }
        Ok(Self(text.into()))
    }

    /// Parses what a person or a URL says: slashes at either end are ignored.
    pub fn parse_lenient(text: &str) -> Result<Self, PathError> {
        Self::parse(text.trim_matches('/'))
    }

    /// Whether a text could be the name of a file or folder.
    pub fn is_name(text: &str) -> bool {
        Self::check_name(text).is_ok()
    }

    /// Why a text cannot be the name of a file or folder, if it cannot.
    pub fn check_name(text: &str) -> Result<(), PathError> {
        check_segment(text)
    }

    /// This path with one more segment.
    pub fn join(&self, name: &str) -> Result<Self, PathError> {
        check_segment(name)?;
        let text = if self.is_root() { name.to_owned() } else { format!("{}/{name}", self.0) };
        if text.len() > PATH_LIMIT {
            return Err(PathError::Length);
        }
        Ok(Self(text.into()))
    }

    /// `below` seen from this folder: this path followed by all of `below`.
    pub fn join_path(&self, below: &RelPath) -> RelPath {
        match (self.is_root(), below.is_root()) {
            (true, _) => below.clone(),
            (_, true) => self.clone(),
            _ => RelPath(format!("{}/{}", self.0, below.0).into()),
        }
    }

    /// Whether the path of `below` would still be one if this folder were called `to`.
    pub fn fits_below(to: &RelPath, below: &RelPath) -> bool {
        to.as_str().len() + below.as_str().len() < PATH_LIMIT
    }

    /// What is left of this path below `folder`; none when it does not lie there.
    pub fn strip_prefix(&self, folder: &RelPath) -> Option<RelPath> {
        if folder.is_root() {
            return Some(self.clone());
        }
        let rest = self.0.strip_prefix(&*folder.0)?;
        if rest.is_empty() {
            return Some(Self::root());
        }
        rest.strip_prefix('/').map(|rest| RelPath(rest.into()))
    }

    /// True for the root.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The text, without slashes at its ends.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The segments from the top.
    pub fn segments(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/').filter(|segment| !segment.is_empty())
    }

    /// The last segment; empty for the root.
    pub fn name(&self) -> &str {
        self.split().1
    }

    /// The folder that holds this path; none for the root.
    pub fn parent(&self) -> Option<RelPath> {
        (!self.is_root()).then(|| RelPath(self.split().0.into()))
    }

    /// The folders above this path, nearest first, the root last.
    pub fn ancestors(&self) -> impl Iterator<Item = RelPath> {
        std::iter::successors(self.parent(), RelPath::parent)
    }

    /// Folder and name, as text.
    pub fn split(&self) -> (&str, &str) {
        self.0.rsplit_once('/').unwrap_or(("", &self.0))
    }

    /// The name without its extension, and the extension without the dot (empty when there is none).
    pub fn stem_and_extension(&self) -> (&str, &str) {
        match self.name().rsplit_once('.') {
            Some((stem, extension)) if !stem.is_empty() => (stem, extension),
            _ => (self.name(), ""),
        }
    }

    /// The same folder, another name.
    pub fn with_name(&self, name: &str) -> Result<RelPath, PathError> {
        self.parent().unwrap_or_default().join(name)
    }

    /// The other ways to write this path that Unicode takes for the same: each name composed (NFC), decomposed (NFD) or as it is. Nothing for
    /// a path with one form only, as almost all are.
    pub fn spellings(&self) -> Vec<RelPath> {
        if self.0.is_ascii() {
            return Vec::new();
        }
        let mut all = vec![String::new()];
        for (at, name) in self.segments().enumerate() {
            let mut forms = vec![name.to_owned(), name.nfc().collect(), name.nfd().collect()];
            forms.sort();
            forms.dedup();
            // Names deep below each in another form: the first ones stand for all.
            forms.truncate(if all.len() < SPELLINGS { forms.len() } else { 1 });
            let longer = |begin: &String| {
                forms.iter().map(move |form| if at == 0 { form.clone() } else { format!("{begin}/{form}") }).collect::<Vec<_>>()
            };
            all = all.iter().flat_map(longer).collect();
        }
        all.iter().filter(|text| ***text != *self.0).filter_map(|text| RelPath::parse(text).ok()).collect()
    }

    /// Whether Unicode takes both for the same path: equal but for the form of their characters.
    pub fn is_same_name(&self, other: &RelPath) -> bool {
        self == other || (!(self.0.is_ascii() && other.0.is_ascii()) && self.0.nfc().eq(other.0.nfc()))
    }

    /// The path under which it is found where its names may be written in another form: as it is, if that is there, otherwise as far as
    /// `is_there` finds a folder in another form.
    pub fn respelled(&self, is_there: impl Fn(&RelPath) -> bool) -> RelPath {
        let Some(parent) = self.parent().filter(|parent| !parent.as_str().is_ascii()) else { return self.clone() };
        let mut folder = RelPath::root();
        for name in parent.segments() {
            let forms = [name.to_owned(), name.nfc().collect(), name.nfd().collect::<String>()];
            let mut found = forms.iter().filter_map(|form| folder.join(form).ok());
            let Some(as_it_is) = found.next() else { return self.clone() };
            folder = if is_there(&as_it_is) { as_it_is } else { found.find(&is_there).unwrap_or(as_it_is) };
        }
        folder.join(self.name()).unwrap_or_else(|_| self.clone())
    }

    /// The same path with ` (note)` before the extension, the stem cut so that the name still fits 255 bytes.
    pub fn with_note(&self, note: &str) -> RelPath {
        let (stem, extension) = self.stem_and_extension();
        let dot = if extension.is_empty() { "" } else { "." };
        let room = NAME_LIMIT.saturating_sub(note.len() + extension.len() + dot.len() + 3);
        let mut cut = stem.len().min(room);
        while !stem.is_char_boundary(cut) {
            cut -= 1;
        }
        let name = format!("{} ({note}){dot}{extension}", &stem[..cut]);
        let (folder, _) = self.split();
        RelPath(if folder.is_empty() { name.into() } else { format!("{folder}/{name}").into() })
    }
}

fn check_segment(segment: &str) -> Result<(), PathError> {
    if segment.is_empty() || segment == "." || segment == ".." {
        return Err(PathError::Segment);
    }
    if segment.len() > NAME_LIMIT {
        return Err(PathError::Length);
    }
    // Of the characters beyond ASCII only U+0080 to U+009F are control characters: 0xc2 0x80 to 0xc2 0x9f.
    let bytes = segment.as_bytes();
    let forbidden = |byte: &u8| byte.is_ascii_control() || matches!(byte, b'/' | b'\\');
    if bytes.iter().any(forbidden) || bytes.windows(2).any(|pair| pair[0] == 0xc2 && pair[1] < 0xa0) {
        return Err(PathError::Character);
    }
    Ok(())
}

impl Ord for RelPath {
    fn cmp(&self, other: &Self) -> Ordering {
        self.split().cmp(&other.split())
    }
}

impl PartialOrd for RelPath {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for RelPath {
    type Error = PathError;
    fn try_from(text: String) -> Result<Self, PathError> {
        Self::parse(&text)
    }
}

impl From<RelPath> for String {
    fn from(path: RelPath) -> String {
        path.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> RelPath {
        RelPath::parse(text).unwrap()
    }

    #[test]
    fn refuses_what_could_leave_the_root() {
        for text in ["..", "a/../b", "/a", "a/", "a//b", ".", "a/./b", "a\0b", "a\\b", "a\nb"] {
            assert!(RelPath::parse(text).is_err(), "{text:?} was accepted");
        }
        assert!(RelPath::parse(&"x".repeat(256)).is_err());
        assert!(path("a").join("b/c").is_err());
    }

    #[test]
    fn members_of_a_folder_are_neighbours() {
        let mut paths: Vec<_> = ["a/b/z.jpg", "a/c.jpg", "a.jpg", "a/b.jpg", "a-b/x.jpg", "a/b/a.jpg"].map(path).into();
        paths.sort();
        let sorted: Vec<_> = paths.iter().map(RelPath::as_str).collect();
        assert_eq!(sorted, ["a.jpg", "a/b.jpg", "a/c.jpg", "a-b/x.jpg", "a/b/a.jpg", "a/b/z.jpg"]);
    }

    #[test]
    fn prefix_is_by_segment() {
        assert_eq!(path("a/b/c").strip_prefix(&path("a")), Some(path("b/c")));
        assert_eq!(path("ab/c").strip_prefix(&path("a")), None);
        assert_eq!(path("a").strip_prefix(&path("a")), Some(RelPath::root()));
    }

    #[test]
    fn a_name_in_another_form_is_the_same_name() {
        let (composed, decomposed) = (path("M\u{fc}ll/\u{e9}.jpg"), path("Mu\u{308}ll/e\u{301}.jpg"));
        let mixed = path("M\u{fc}ll/e\u{301}.jpg");
        for path in [&composed, &decomposed, &mixed] {
            let others = path.spellings();
            assert_eq!(others.len(), 3, "{others:?}");
            assert!(others.iter().all(|other| other != path && other.is_same_name(path)));
        }
        assert!(composed.spellings().contains(&mixed) && decomposed.spellings().contains(&composed));
        assert!(path("a/b.jpg").spellings().is_empty() && path("\u{4e00}.jpg").spellings().is_empty());
        assert!(!path("e.jpg").is_same_name(&path("\u{e9}.jpg")));
        let deep = path(&["\u{e9}"; 40].join("/"));
        assert!(deep.spellings().len() <= 2 * SPELLINGS);
    }

    #[test]
    fn a_new_name_goes_into_the_folder_that_is_there() {
        let there = path("Mu\u{308}ll");
        let respelled = path("M\u{fc}ll/new/\u{e9}.jpg").respelled(|folder| *folder == there);
        assert_eq!(respelled, path("Mu\u{308}ll/new/\u{e9}.jpg"));
        let both = path("M\u{fc}ll/x.jpg");
        assert_eq!(both.respelled(|_| true), both);
    }

    #[test]
    fn a_note_never_makes_the_name_too_long() {
        let long = path(&format!("x/{}.jpg", "ü".repeat(125)));
        let noted = long.with_note("conflict home 2026-01-01 000000");
        assert!(noted.name().len() <= 255 && noted.as_str().ends_with("(conflict home 2026-01-01 000000).jpg"));
        assert_eq!(path("a/.hidden").with_note("n").as_str(), "a/.hidden (n)");
    }
}
