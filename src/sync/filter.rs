//! What takes part in a sync. One filter for both sides: a path is judged by the names that either side has in its folder, so that both are
//! held back or neither.
//!
//! What is held back is invisible: it is not recorded, not deleted, not remembered as deleted. Without the filter it is new again.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::library::{IgnoreFiles, Patterns, Tree};
use crate::services::SyncSettings;
use crate::store::StoreError;
use crate::store::index::Index;
use crate::store::kinds::Kinds;
use crate::store::remote::RemoteView;
use crate::types::media::is_junk;
use crate::types::stack::{self, Stack};
use crate::types::{MediaKind, RelPath, RemoteVersion};

use super::report::{HeldBack, Noted};

/// Paths of each filter that are named in the report.
const NAMED: usize = 100;
/// Folders whose stacks are kept in mind: that of the moment on either side, and some for paths that are elsewhere on the service.
const FOLDERS: usize = 16;

/// Why a file takes no part.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Held {
    /// It is a RAW file or a video, or lies beside one.
    RawAndVideo,
    /// A pattern of the service.
    Excluded,
    /// The service has patterns, and none fits.
    NotIncluded,
    /// An ignore file of the library.
    Ignored,
    /// An ignore file cannot be read.
    Unreadable(String),
    /// Its first bytes cannot be read.
    Unclear(String),
}

impl Held {
    /// It is not held back on purpose: something that decides about it could not be read.
    fn is_failure(&self) -> bool {
        matches!(self, Self::Unreadable(_) | Self::Unclear(_))
    }

    /// The kind of reason, in a word that stays the same.
    fn cause(&self) -> &'static str {
        match self {
            Self::RawAndVideo => "raw-video",
            Self::Excluded => "excluded",
            Self::NotIncluded => "not-included",
            Self::Ignored => "ignored",
            Self::Unreadable(_) | Self::Unclear(_) => "unreadable",
        }
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Held::RawAndVideo => f.write_str("RAW files and videos are off for this service"),
            Held::Excluded => f.write_str("a pattern of this service excludes it"),
            Held::NotIncluded => f.write_str("this service includes only what its patterns name"),
            Held::Ignored => f.write_str("an ignore file of the library excludes it"),
            Held::Unreadable(reason) => write!(f, "what the library ignores is not known: {reason}"),
            Held::Unclear(reason) => write!(f, "whether it is a RAW file or a video could not be found out: {reason}"),
        }
    }
}

/// What the filter looks at.
pub(super) struct Sides<'a> {
    pub index: &'a Index,
    pub view: &'a RemoteView,
    pub kinds: &'a Kinds,
}

/// The filter of one run.
pub(super) struct Filter {
    raw_and_video: bool,
    include: Patterns,
    exclude: Patterns,
    tree: Tree,
    state: Mutex<State>,
}

/// The names of a folder that are held back, and why.
type HeldNames = Arc<HashMap<String, Held>>;

struct State {
    ignore: IgnoreFiles,
    folders: VecDeque<(RelPath, HeldNames)>,
    /// Files of the service that were looked at in this run, or could not be.
    looked: HashMap<RelPath, Result<MediaKind, String>>,
    wanted: BTreeMap<RelPath, RemoteVersion>,
    held: BTreeMap<Held, (u64, Vec<RelPath>)>,
}

impl Filter {
    /// The filter that a service's settings ask for. The error names a pattern that cannot be understood.
    pub(super) fn new(settings: &SyncSettings, tree: &Tree) -> Result<Self, String> {
        let patterns = |lines: &[String]| Patterns::parse(lines.iter().map(String::as_str));
        Ok(Self {
            raw_and_video: settings.raw_and_video,
            include: patterns(&settings.include)?,
            exclude: patterns(&settings.exclude)?,
            tree: tree.clone(),
            state: Mutex::new(State {
                ignore: IgnoreFiles::of(tree),
                folders: VecDeque::new(),
                looked: HashMap::new(),
                wanted: BTreeMap::new(),
                held: BTreeMap::new(),
            }),
        })
    }

    /// Whether a file is held back, which is at these paths of the library and the service; none where it is not. It is counted.
    pub(super) fn holds_back(&self, sides: &Sides<'_>, local: Option<&RelPath>, remote: Option<&RelPath>) -> Result<bool, StoreError> {
        let held = match self.by_path(local, remote) {
            Some(held) => Some(held),
            None if self.raw_and_video => None,
            None => {
                let mut held = None;
                let paths = [local, remote.filter(|remote| Some(*remote) != local)];
                for path in paths.into_iter().flatten() {
                    held = held.or(self.names_held(sides, &path.parent().unwrap_or_default())?.get(path.name()).cloned());
                }
                held
            }
        };
        if let (Some(held), Some(path)) = (&held, local.or(remote)) {
            let mut state = self.lock();
            let (count, first) = state.held.entry(held.clone()).or_default();
            *count += 1;
            if first.len() < NAMED {
                first.push(path.clone());
            }
        }
        Ok(held.is_some())
    }

    /// Whether the name of a file alone keeps it out: what nobody sees is no reason to leave a copy out either.
    pub(super) fn hides(&self, path: &RelPath) -> bool {
        is_litter(path) || self.by_path(Some(path), None).is_some()
    }

    /// Whether a pattern of the service excludes a file, or a folder with everything in it.
    pub(super) fn excludes(&self, path: &RelPath) -> bool {
        self.exclude.match_file(path) || path.join("anything").is_ok_and(|below| self.exclude.match_file(&below))
    }

    fn by_path(&self, local: Option<&RelPath>, remote: Option<&RelPath>) -> Option<Held> {
        let paths = [local, remote.filter(|remote| Some(*remote) != local)];
        let mut paths = paths.into_iter().flatten();
        if paths.clone().any(|path| self.exclude.match_file(path)) {
            return Some(Held::Excluded);
        }
        // Which name counts where a file has two cannot be told: the one that fits.
        if !self.include.is_empty() && local.or(remote).is_some() && !paths.clone().any(|path| self.include.match_file(path)) {
            return Some(Held::NotIncluded);
        }
        let mut state = self.lock();
        paths.find_map(|path| match state.ignore.ignore(path) {
            Ok(ignored) => ignored.then_some(Held::Ignored),
            Err(reason) => Some(Held::Unreadable(reason)),
        })
    }

    fn names_held(&self, sides: &Sides<'_>, folder: &RelPath) -> Result<HeldNames, StoreError> {
        let known = self.lock().folders.iter().find(|(known, _)| known == folder).map(|(_, names)| Arc::clone(names));
        if let Some(known) = known {
            return Ok(known);
        }
        let names = Arc::new(self.judge(sides, folder)?);
        let mut state = self.lock();
        state.folders.truncate(FOLDERS - 1);
        state.folders.push_front((folder.clone(), Arc::clone(&names)));
        Ok(names)
    }

    /// Looks at a whole folder, as it is on both sides together.
    fn judge(&self, sides: &Sides<'_>, folder: &RelPath) -> Result<HashMap<String, Held>, StoreError> {
        let mut held = HashMap::new();
        let mut kinds: BTreeMap<String, MediaKind> = BTreeMap::new();
        for item in sides.index.members(folder, "")? {
            let (path, _) = item?;
            match self.tree.kind(&path) {
                Ok(kind) => drop(kinds.insert(path.name().to_owned(), kind)),
                Err(error) => drop(held.insert(path.name().to_owned(), Held::Unclear(error.to_string()))),
            }
        }
        for item in sides.view.members(folder, "")? {
            let (path, version) = item?;
            // A file that is here under the same name needs no second look.
            if kinds.contains_key(path.name()) || held.contains_key(path.name()) {
                continue;
            }
            match self.remote_kind(sides.kinds, &path, &version)? {
                Ok(kind) => drop(kinds.insert(path.name().to_owned(), kind)),
                Err(reason) => drop(held.insert(path.name().to_owned(), Held::Unclear(reason))),
            }
        }
        let names: Vec<String> = kinds.keys().cloned().collect();
        let kind = |name: &str| kinds.get(name).copied().unwrap_or(MediaKind::Sidecar);
        for stack in stack::group(&names, &kind) {
            held.extend(raw_and_video_of(&stack, &kind).into_iter().map(|name| (name, Held::RawAndVideo)));
        }
        Ok(held)
    }

    /// What a file of the service is. One that must be looked at for that is asked for.
    fn remote_kind(&self, known: &Kinds, path: &RelPath, version: &RemoteVersion) -> Result<Result<MediaKind, String>, StoreError> {
        let (_, extension) = path.stem_and_extension();
        if !MediaKind::is_ambiguous(extension) {
            return Ok(Ok(MediaKind::of_extension(extension)));
        }
        if let Some(kind) = known.get(path, version)? {
            return Ok(Ok(kind));
        }
        let mut state = self.lock();
        if let Some(looked) = state.looked.get(path) {
            return Ok(looked.clone());
        }
        state.wanted.insert(path.clone(), version.clone());
        Ok(Err("it has not been looked at".into()))
    }

    /// The files of the service that must be looked at before this filter is right.
    pub(super) fn wanted(&self) -> Vec<(RelPath, RemoteVersion)> {
        std::mem::take(&mut self.lock().wanted).into_iter().collect()
    }

    /// Everything is going to be judged, perhaps not for the first time.
    pub(super) fn begin(&self) {
        self.lock().held.clear();
    }

    /// What those looks told. Everything is to be judged anew.
    pub(super) fn tell(&self, looked: impl IntoIterator<Item = (RelPath, Result<MediaKind, String>)>) {
        let mut state = self.lock();
        state.looked.extend(looked);
        state.folders.clear();
    }

    /// Whether everything that the filter needs could be read.
    pub(super) fn is_sure(&self) -> bool {
        !self.lock().held.keys().any(Held::is_failure)
    }

    /// What was held back: how much, and the first of it.
    /// True: because something could not be read.
    pub(super) fn held_back(&self) -> Vec<(HeldBack, Vec<Noted>, bool)> {
        let told = |(held, (files, first)): (&Held, &(u64, Vec<RelPath>))| {
            let (cause, reason) = (held.cause(), held.to_string());
            let first = first.iter().map(|path| Noted::new(path, cause, &reason)).collect();
            (HeldBack { reason, cause: Some(cause.to_owned()), files: *files }, first, held.is_failure())
        };
        self.lock().held.iter().map(told).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The members of a stack that are RAW or video, or only beside one. A video beside a picture that every program shows is the moving half of
/// a Live Photo and counts as part of the picture; sidecars go with what they describe; previews with what they show.
fn raw_and_video_of(stack: &Stack, kind: stack::KindOf<'_>) -> Vec<String> {
    let is_picture = |name: &str| matches!(kind(name), MediaKind::Image | MediaKind::Vector) && !stack::is_preview(name);
    if stack.media.is_empty() {
        return Vec::new();
    }
    let has_picture = stack.media.iter().any(|name| is_picture(name));
    let stays = |name: &str| has_picture && kind(name) != MediaKind::Raw;
    let held: BTreeSet<usize> = (0..stack.media.len()).filter(|at| !stays(&stack.media[*at])).collect();
    let about = |of: Option<usize>| of.map_or(!has_picture, |at| held.contains(&at));
    let beside = stack.sidecars.iter().filter(|sidecar| about(sidecar.of)).map(|sidecar| sidecar.name.clone());
    held.iter().map(|at| stack.media[*at].clone()).chain(beside).collect()
}

/// Whether a path can take part at all.
pub(super) fn is_litter(path: &RelPath) -> bool {
    path.segments().any(is_junk)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(names: &[&str]) -> Vec<String> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut held: Vec<String> =
            stack::group(&names, &stack::promised).iter().flat_map(|stack| raw_and_video_of(stack, &stack::promised)).collect();
        held.sort();
        held
    }

    #[test]
    fn raw_files_and_videos_are_held_with_what_lies_beside_only_them() {
        let none: [&str; 0] = [];
        assert_eq!(held(&["a.jpg", "a.CR2", "a.xmp", "a.cr2.xmp", "a.jpg.xmp"]), ["a.CR2", "a.cr2.xmp"]);
        assert_eq!(held(&["a.dng", "a.xmp", "a.thm"]), ["a.dng", "a.thm", "a.xmp"]);
        assert_eq!(held(&["a.HEIC", "a.MOV", "a.AAE", "IMG_1.JPG", "IMG_1_HEVC.MOV", "x.jpg", "X.mp4"]), none);
        assert_eq!(held(&["v.MP4", "v.THM", "v.LRV", "v.MP4.json"]), ["v.LRV", "v.MP4", "v.MP4.json", "v.THM"]);
        assert_eq!(held(&["a.dng", "a.mov"]), ["a.dng", "a.mov"], "the picture of this Live Photo is a RAW file");
        assert_eq!(held(&["a.xmp", "notes.txt"]), none);
    }
}
