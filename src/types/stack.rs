//! Which files of a folder belong together, by their names, and what they are going to be called.
//!
//! Nothing here looks at a file: whoever asks says what each is. The rules are those of the programs that write such names: cameras,
//! telephones, Lightroom, Google Takeout, PhotoPrism, icloudpd.

use std::collections::{BTreeMap, BTreeSet};

use unicode_normalization::UnicodeNormalization as _;

use super::MediaKind;

/// Google cuts the name of a JSON, without `.json`, to so many characters.
const TAKEOUT_CUT: usize = 46;
const TAKEOUT: &str = ".supplemental-metadata";
/// What Google adds to the name of a picture that was edited, in the language of its owner.
const EDITED: &[&str] =
    &["-edited", "-bearbeitet", "-modifié", "-editado", "-editada", "-modificato", "-bewerkt", "-edytowane", "-編集済み"];

/// Files that belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stack {
    /// Pictures and videos, the main one first. None: sidecars without a picture.
    pub media: Vec<String>,
    /// What lies beside them.
    pub sidecars: Vec<Sidecar>,
}

/// Metadata beside a picture.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sidecar {
    /// What it is called.
    pub name: String,
    /// It is called after this picture or video with its extension; none: after the stem of the stack.
    pub of: Option<usize>,
    /// What follows that in its new name.
    pub ending: String,
}

/// A name's stem and extension.
pub fn split(name: &str) -> (&str, &str) {
    match name.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() => (stem, extension),
        _ => (name, ""),
    }
}

/// What a name stands for.
pub type KindOf<'a> = &'a dyn Fn(&str) -> MediaKind;

/// The kind of file that a name promises.
pub fn promised(name: &str) -> MediaKind {
    MediaKind::of_extension(split(name).1)
}

/// Sorts the names of one folder into stacks, in the order of their names.
pub fn group(names: &[String], kind: KindOf<'_>) -> Vec<Stack> {
    let known: Vec<(&String, MediaKind)> = names.iter().map(|name| (name, kind(name))).collect();
    let (media, beside): (Vec<_>, Vec<_>) = known.into_iter().partition(|(_, kind)| kind.is_media());
    let folder = Folder::new(&media);
    let mut stacks: BTreeMap<String, Vec<(&String, MediaKind)>> = BTreeMap::new();
    for (name, kind) in media {
        stacks.entry(folder.key(name, kind)).or_default().push((name, kind));
    }
    let mut stacks: BTreeMap<String, Stack> = stacks
        .into_iter()
        .map(|(key, mut media)| {
            media.sort_by_key(|(name, kind)| (rank(name, *kind), split(name).0 != key, name.len(), *name));
            (key, Stack { media: media.into_iter().map(|(name, _)| name.clone()).collect(), sidecars: Vec::new() })
        })
        .collect();
    let owners = Owners::new(&stacks);
    let mut alone = Vec::new();
    let mut found: Vec<(String, Sidecar)> = Vec::new();
    for (name, _) in beside {
        match owners.of(name) {
            Some(owned) => found.push(owned),
            None => alone.push(name.clone()),
        }
    }
    for (key, sidecar) in found {
        if let Some(stack) = stacks.get_mut(&key) {
            stack.sidecars.push(sidecar);
        }
    }
    let mut all: Vec<Stack> = stacks.into_values().collect();
    all.iter_mut().for_each(|stack| stack.sidecars.sort());
    all.extend(alone.into_iter().map(|name| {
        let root = name.split_once('.').map_or(name.as_str(), |(root, _)| root);
        let letter = apple(root).map(|(_, letter)| format!("_{letter}"));
        let ending = format!("{}{}", letter.unwrap_or_default(), name[root.len()..].to_lowercase());
        Stack { media: Vec::new(), sidecars: vec![Sidecar { name, of: None, ending }] }
    }));
    all
}

/// Which of a stack is its main file: what the camera took before what was made from it, a picture before its video, previews last.
fn rank(name: &str, kind: MediaKind) -> u8 {
    let extension = split(name).1.to_ascii_lowercase();
    match (kind, extension.as_str()) {
        _ if is_preview(name) => 3,
        (MediaKind::Raw | MediaKind::Vector, _) => 0,
        (MediaKind::Image, "heic" | "heif" | "hif" | "heics" | "heifs" | "avci" | "avcs") => 0,
        (MediaKind::Image, _) => 1,
        _ => 2,
    }
}

/// Whether a name is that of a small picture or video which a camera makes to show another one.
pub fn is_preview(name: &str) -> bool {
    matches!(split(name).1.to_ascii_lowercase().as_str(), "thm" | "lrv")
}

/// A stem as file systems that fold case and composition see it.
fn folded(stem: &str) -> String {
    if stem.is_ascii() { stem.to_ascii_lowercase() } else { stem.nfc().flat_map(char::to_lowercase).collect() }
}

/// Stems, and which of them differ only in case or composition.
#[derive(Default)]
struct Stems(BTreeMap<String, BTreeSet<String>>);

impl Stems {
    fn of<'a>(stems: impl Iterator<Item = &'a str>) -> Self {
        let mut all = Self::default();
        for stem in stems {
            all.0.entry(folded(stem)).or_default().insert(stem.to_owned());
        }
        all
    }

    /// This stem, or the only one that differs from it in nothing but case.
    fn find(&self, stem: &str) -> Option<&str> {
        let alike = self.0.get(&folded(stem))?;
        alike.get(stem).or_else(|| alike.first().filter(|_| alike.len() == 1)).map(String::as_str)
    }
}

/// The pictures and videos of a folder.
struct Folder {
    /// Their stems.
    stems: Stems,
    /// The stems of those that do not move.
    stills: Stems,
    /// The stems of those that every program shows.
    images: Stems,
}

impl Folder {
    fn new(media: &[(&String, MediaKind)]) -> Self {
        let stems =
            |wanted: &dyn Fn(MediaKind) -> bool| Stems::of(media.iter().filter(|(_, kind)| wanted(*kind)).map(|(name, _)| split(name).0));
        Self { stems: stems(&|_| true), stills: stems(&|kind| kind != MediaKind::Video), images: stems(&|kind| kind == MediaKind::Image) }
    }

    /// What the members of a stack have in common.
    fn key(&self, name: &str, kind: MediaKind) -> String {
        let stem = split(name).0;
        if kind == MediaKind::Video {
            // PXL_1.MP beside PXL_1.MP.jpg.
            if let Some(still) = self.stills.find(name) {
                return still.to_owned();
            }
            // IMG_1_HEVC.MOV (icloudpd) and UUID_3.mov (Photos) beside the still of a Live Photo.
            let still = ["_HEVC", "_hevc", "_3"].into_iter().find_map(|end| stem.strip_suffix(end));
            let still = still.filter(|still| !stem.ends_with("_3") || still.len() == 36);
            if let Some(still) = still.and_then(|still| self.stills.find(still)) {
                return still.to_owned();
            }
            if let Some(still) = self.stills.find(stem) {
                let still = self.images.find(still).unwrap_or(still);
                return self.key(&format!("{still}.jpg"), MediaKind::Image);
            }
        }
        // PXL_1.RAW-01.COVER.jpg and PXL_1.RAW-02.ORIGINAL.dng.
        if let Some((common, _)) = stem.split_once(".RAW-0") {
            return common.to_owned();
        }
        if let Some((original, 'E')) = apple(stem)
            && let Some(original) = self.stems.find(&original)
        {
            return original.to_owned();
        }
        if let Some(original) = unedited(stem).and_then(|original| self.stems.find(&original).map(str::to_owned)) {
            return original;
        }
        match kind {
            MediaKind::Raw => self.images.find(stem).unwrap_or(stem).to_owned(),
            _ => stem.to_owned(),
        }
    }
}

/// The stem of the picture that `a-edited(1)` was made from: `a(1)`.
fn unedited(stem: &str) -> Option<String> {
    let (plain, counter) = without_counter(stem);
    let original = EDITED.iter().find_map(|edited| plain.strip_suffix(edited))?;
    Some(format!("{original}{counter}"))
}

/// Where a picture or video is: its stack and its place in it.
type At = (String, usize);

/// Finds the pictures of sidecars; a folder can hold tens of thousands of both.
struct Owners {
    keys: Stems,
    /// By the whole name in lower case.
    names: BTreeMap<String, At>,
    stems: BTreeMap<String, At>,
    /// By the name without its counter, in lower case, and that.
    uncounted: BTreeMap<(String, String), At>,
}

impl Owners {
    fn new(stacks: &BTreeMap<String, Stack>) -> Self {
        let mut owners = Self {
            keys: Stems::of(stacks.keys().map(String::as_str)),
            names: BTreeMap::new(),
            stems: BTreeMap::new(),
            uncounted: BTreeMap::new(),
        };
        for (key, stack) in stacks {
            for (at, media) in stack.media.iter().enumerate() {
                let at = (key.clone(), at);
                let (stem, extension) = split(media);
                let (plain, counter) = without_counter(stem);
                owners.uncounted.entry((folded(&format!("{plain}.{extension}")), counter.to_owned())).or_insert_with(|| at.clone());
                owners.stems.entry(stem.to_owned()).or_insert_with(|| at.clone());
                owners.names.entry(media.to_lowercase()).or_insert(at);
            }
        }
        owners
    }

    /// The stack that a sidecar belongs to.
    fn of(&self, name: &str) -> Option<(String, Sidecar)> {
        let (stem, extension) = split(name);
        let lower = extension.to_ascii_lowercase();
        let sidecar = |of, ending: String| Sidecar { name: name.to_owned(), of, ending };
        // a.jpg.xmp
        if let Some((key, at)) = self.names.get(&stem.to_lowercase()) {
            return Some((key.clone(), sidecar(Some(*at), format!(".{lower}"))));
        }
        // a.xmp
        if self.keys.0.get(&folded(stem)).is_some_and(|alike| alike.contains(stem)) {
            return Some((stem.to_owned(), sidecar(None, format!(".{lower}"))));
        }
        // IMG_E1.xmp, IMG_1_HEVC.xmp: it is about one of the stack, not about the main one.
        if let Some((key, at)) = self.stems.get(stem) {
            return Some((key.clone(), sidecar(Some(*at), format!(".{lower}"))));
        }
        // IMG_O1.AAE: what was done to IMG_1 before it was done anew.
        if let Some((original, letter)) = apple(stem)
            && let Some(key) = self.keys.find(&original)
        {
            return Some((key.to_owned(), sidecar(None, format!("_{letter}.{lower}"))));
        }
        // A.xmp beside a.jpg
        if let Some(key) = self.keys.find(stem) {
            return Some((key.to_owned(), sidecar(None, format!(".{lower}"))));
        }
        let stem = folded(stem);
        let (key, at) = self.takeout(&stem).filter(|_| lower == "json")?;
        let whole = self.uncounted.contains_key(&own(without_counter(&stem)));
        let ending = if whole { ".json".to_owned() } else { format!("{TAKEOUT}.json") };
        Some((key, sidecar(Some(at), ending)))
    }

    /// The picture that a JSON of a Google Takeout is about. Its name is that of the picture with an addition, cut; a counter such as `(1)`
    /// comes after that, while in the picture's name it comes before the extension.
    fn takeout(&self, json: &str) -> Option<At> {
        let (json, counter) = without_counter(json);
        let added = |(length, _): (usize, char)| {
            let (name, addition) = json.split_at(length);
            self.uncounted.get(&own((name, counter))).filter(|_| TAKEOUT.starts_with(addition))
        };
        // The longest name first.
        let whole = self.uncounted.get(&own((json, counter)));
        whole.or_else(|| json.char_indices().rev().find_map(added)).cloned().or_else(|| {
            let mut after = self.uncounted.range(own((json, ""))..).take_while(|((name, _), _)| name.starts_with(json));
            let (_, at) = after.find(|((_, of_media), _)| of_media == counter).filter(|_| json.chars().count() == TAKEOUT_CUT)?;
            Some(at.clone())
        })
    }
}

fn own((name, counter): (&str, &str)) -> (String, String) {
    (name.to_owned(), counter.to_owned())
}

/// `IMG_E1234` and `IMG_O1234` are about `IMG_1234`: the edited picture, the adjustments of the original.
fn apple(stem: &str) -> Option<(String, char)> {
    let rest = stem.strip_prefix("IMG_")?;
    let letter = rest.chars().next().filter(|letter| matches!(letter, 'E' | 'O'))?;
    let number = &rest[1..];
    let digits = number.bytes().take_while(u8::is_ascii_digit).count();
    (digits >= 4).then(|| (format!("IMG_{number}"), letter))
}

/// What the names of a stack begin with, whatever the member.
pub fn root(name: &str) -> String {
    let root = name.split_once('.').map_or(name, |(root, _)| root);
    let root = root.strip_suffix("_HEVC").unwrap_or(root);
    apple(root).map_or_else(|| root.to_owned(), |(original, _)| original)
}

/// A name without the `(1)` at its end, and that.
fn without_counter(name: &str) -> (&str, &str) {
    let counted = name.strip_suffix(')').and_then(|rest| {
        let (before, number) = rest.rsplit_once('(')?;
        (!number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())).then_some(before)
    });
    counted.map_or((name, ""), |before| (before, &name[before.len()..]))
}

/// The new names of a stack with this stem: of its pictures and videos, and of its sidecars. No two are the same.
pub fn names(stack: &Stack, stem: &str) -> (Vec<String>, Vec<String>) {
    let mut taken = BTreeSet::new();
    let mut free = |stem: &str, ending: &str| {
        let numbered = |number: u32| if number == 0 { format!("{stem}{ending}") } else { format!("{stem}.{number:05}{ending}") };
        let name = (0..).map(numbered).find(|name| !taken.contains(name)).unwrap_or_default();
        taken.insert(name.clone());
        name
    };
    let media: Vec<String> = stack.media.iter().map(|name| free(stem, &format!(".{}", split(name).1.to_lowercase()))).collect();
    let beside = |sidecar: &Sidecar| sidecar.of.and_then(|at| media.get(at)).map_or_else(|| stem.to_owned(), Clone::clone);
    let sidecars = stack.sidecars.iter().map(|sidecar| free(&beside(sidecar), &sidecar.ending)).collect();
    (media, sidecars)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grouped(names: &[&str]) -> Vec<(Vec<String>, Vec<String>)> {
        let owned: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let shown = |stack: &Stack| (stack.media.clone(), stack.sidecars.iter().map(|sidecar| sidecar.name.clone()).collect());
        group(&owned, &promised).iter().map(shown).collect()
    }

    fn one(names: &[&str], media: &[&str], renamed: &[(&str, &str)]) {
        let owned: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let stacks = group(&owned, &promised);
        assert_eq!(stacks.len(), 1, "{stacks:?}");
        assert_eq!(stacks[0].media, media);
        let (new_media, new_sidecars) = self::names(&stacks[0], "S");
        let old = stacks[0].media.iter().chain(stacks[0].sidecars.iter().map(|sidecar| &sidecar.name));
        let new: Vec<_> = old.map(String::as_str).zip(new_media.iter().chain(&new_sidecars).map(String::as_str)).collect();
        assert_eq!(new, renamed);
    }

    #[test]
    fn raw_and_jpeg_with_a_sidecar() {
        one(
            &["IMG_0001.JPG", "IMG_0001.xmp", "IMG_0001.DNG"],
            &["IMG_0001.DNG", "IMG_0001.JPG"],
            &[("IMG_0001.DNG", "S.dng"), ("IMG_0001.JPG", "S.jpg"), ("IMG_0001.xmp", "S.xmp")],
        );
    }

    #[test]
    fn live_photos_in_every_spelling() {
        one(
            &["IMG_2041.MOV", "IMG_2041.HEIC", "IMG_2041.AAE", "IMG_O2041.AAE"],
            &["IMG_2041.HEIC", "IMG_2041.MOV"],
            &[("IMG_2041.HEIC", "S.heic"), ("IMG_2041.MOV", "S.mov"), ("IMG_2041.AAE", "S.aae"), ("IMG_O2041.AAE", "S_O.aae")],
        );
        one(&["IMG_2_HEVC.MOV", "IMG_2.JPG"], &["IMG_2.JPG", "IMG_2_HEVC.MOV"], &[("IMG_2.JPG", "S.jpg"), ("IMG_2_HEVC.MOV", "S.mov")]);
        let uuid = "5F2A9C1E-0B3D-4E5F-8A7B-1C2D3E4F5A6B";
        let (still, video) = (format!("{uuid}.heic"), format!("{uuid}_3.mov"));
        one(&[&still, &video], &[&still, &video], &[(&still, "S.heic"), (&video, "S.mov")]);
        assert_eq!(grouped(&["IMG_3.mov", "IMG.jpg"]).len(), 2, "a number is no Live Photo");
        assert_eq!(grouped(&["IMG_2_HEVC.MOV"]), [(vec!["IMG_2_HEVC.MOV".to_owned()], vec![])]);
    }

    #[test]
    fn an_edited_picture_stays_with_its_original() {
        one(
            &["IMG_1234.HEIC", "IMG_E1234.JPG", "IMG_E1234.xmp", "IMG_1234.JPG"],
            &["IMG_1234.HEIC", "IMG_1234.JPG", "IMG_E1234.JPG"],
            &[
                ("IMG_1234.HEIC", "S.heic"),
                ("IMG_1234.JPG", "S.jpg"),
                ("IMG_E1234.JPG", "S.00001.jpg"),
                ("IMG_E1234.xmp", "S.00001.jpg.xmp"),
            ],
        );
        assert_eq!(grouped(&["IMG_E1234.JPG"]).len(), 1);
    }

    #[test]
    fn pixel_and_motion_pictures() {
        one(
            &["PXL_1.RAW-01.COVER.jpg", "PXL_1.RAW-02.ORIGINAL.dng"],
            &["PXL_1.RAW-02.ORIGINAL.dng", "PXL_1.RAW-01.COVER.jpg"],
            &[("PXL_1.RAW-02.ORIGINAL.dng", "S.dng"), ("PXL_1.RAW-01.COVER.jpg", "S.jpg")],
        );
        one(&["PXL_1.MP", "PXL_1.MP.jpg"], &["PXL_1.MP.jpg", "PXL_1.MP"], &[("PXL_1.MP.jpg", "S.jpg"), ("PXL_1.MP", "S.mp")]);
        one(
            &["GX01.MP4", "GX01.THM", "GX01.LRV"],
            &["GX01.MP4", "GX01.LRV", "GX01.THM"],
            &[("GX01.MP4", "S.mp4"), ("GX01.LRV", "S.lrv"), ("GX01.THM", "S.thm")],
        );
    }

    #[test]
    fn halves_that_differ_in_case_belong_together_when_there_is_no_doubt() {
        one(
            &["IMG_1.HEIC", "img_1.mov", "Img_1.xmp"],
            &["IMG_1.HEIC", "img_1.mov"],
            &[("IMG_1.HEIC", "S.heic"), ("img_1.mov", "S.mov"), ("Img_1.xmp", "S.xmp")],
        );
        one(&["P1.JPG", "p1.rw2"], &["p1.rw2", "P1.JPG"], &[("p1.rw2", "S.rw2"), ("P1.JPG", "S.jpg")]);
        one(&["e\u{301}.jpg", "\u{e9}.mov"], &["e\u{301}.jpg", "\u{e9}.mov"], &[("e\u{301}.jpg", "S.jpg"), ("\u{e9}.mov", "S.mov")]);
        assert_eq!(grouped(&["a.jpg", "A.jpg", "a.mov"]).len(), 2, "two pictures");
        assert_eq!(grouped(&["ab.jpg", "Ab.jpg", "AB.mov"]).len(), 3, "whose half it is cannot be told");
    }

    #[test]
    fn a_picture_that_google_edited_stays_with_its_original() {
        one(
            &["a.jpg", "a-edited.jpg", "a.jpg.json"],
            &["a.jpg", "a-edited.jpg"],
            &[("a.jpg", "S.jpg"), ("a-edited.jpg", "S.00001.jpg"), ("a.jpg.json", "S.jpg.json")],
        );
        one(
            &["a(1).jpg", "a-bearbeitet(1).jpg"],
            &["a(1).jpg", "a-bearbeitet(1).jpg"],
            &[("a(1).jpg", "S.jpg"), ("a-bearbeitet(1).jpg", "S.00001.jpg")],
        );
        assert_eq!(grouped(&["a-edited.jpg", "b.jpg"]).len(), 2);
    }

    #[test]
    fn sidecars_keep_what_they_are_called_after() {
        one(
            &["a.jpg", "a.dng", "a.jpg.xmp", "a.xmp", "a.yml", "a.JPG.json"],
            &["a.dng", "a.jpg"],
            &[
                ("a.dng", "S.dng"),
                ("a.jpg", "S.jpg"),
                ("a.JPG.json", "S.jpg.json"),
                ("a.jpg.xmp", "S.jpg.xmp"),
                ("a.xmp", "S.xmp"),
                ("a.yml", "S.yml"),
            ],
        );
        assert_eq!(grouped(&["notes.txt", "a.jpg"]), [(vec!["a.jpg".to_owned()], vec![]), (vec![], vec!["notes.txt".to_owned()])]);
    }

    #[test]
    fn a_takeout_json_is_found_however_its_name_was_cut() {
        let cat = "Cat at the window on a May afternoon.jpg";
        let cut = format!("{cat}.suppl.json");
        one(&[cat, &cut], &[cat], &[(cat, "S.jpg"), (&cut, "S.jpg.supplemental-metadata.json")]);
        one(&["B.MP4", "b.mp4.suppl.json"], &["B.MP4"], &[("B.MP4", "S.mp4"), ("b.mp4.suppl.json", "S.mp4.supplemental-metadata.json")]);
        one(&["b.jpg", "b.jpg.s.json"], &["b.jpg"], &[("b.jpg", "S.jpg"), ("b.jpg.s.json", "S.jpg.supplemental-metadata.json")]);
        one(&["b(1).jpg", "b.jpg(1).json"], &["b(1).jpg"], &[("b(1).jpg", "S.jpg"), ("b.jpg(1).json", "S.jpg.json")]);
        one(
            &["b(2).jpg", "b.jpg.supplemental-metadata(2).json"],
            &["b(2).jpg"],
            &[("b(2).jpg", "S.jpg"), ("b.jpg.supplemental-metadata(2).json", "S.jpg.supplemental-metadata.json")],
        );
        let long = format!("{}.jpg", "x".repeat(47));
        let json = format!("{}.json", "x".repeat(46));
        one(&[&long, &json], &[&long], &[(&long, "S.jpg"), (&json, "S.jpg.supplemental-metadata.json")]);
        let both = grouped(&["b.jpg", "b(1).jpg", "b.jpg.supplemental-metadata.json", "b.jpg.supplemental-metadata(1).json"]);
        assert_eq!(both[0].1, ["b.jpg.supplemental-metadata.json"]);
        assert_eq!(both[1].1, ["b.jpg.supplemental-metadata(1).json"]);
        assert_eq!(grouped(&["b.jpg", "c.jpg.json"]).len(), 2);
    }

    #[test]
    fn nothing_is_lost_or_doubled_and_no_two_get_one_name() {
        let names =
            ["a.jpg", "a.JPG", "a.jpeg", "A.jpg", "a.xmp", "a.jpg.xmp", "a.JPG.xmp", "a.XMP", "a", "a.b.c", "IMG_E1.jpg", "ü (1).heic"];
        let owned: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let stacks = group(&owned, &promised);
        let mut all: Vec<_> = stacks.iter().flat_map(|stack| stack.media.iter().chain(stack.sidecars.iter().map(|s| &s.name))).collect();
        all.sort();
        let mut expected: Vec<_> = owned.iter().collect();
        expected.sort();
        assert_eq!(all, expected);
        for stack in &stacks {
            let (media, sidecars) = self::names(stack, "S");
            let unique: BTreeSet<_> = media.iter().chain(&sidecars).collect();
            assert_eq!(unique.len(), media.len() + sidecars.len(), "{stack:?}");
        }
    }
}
