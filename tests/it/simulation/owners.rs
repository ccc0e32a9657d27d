//! What owners do with their files, on the disk of the library or with the service itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use crate::support;

use super::chance::Chance;
use super::network::Service;

pub type Files = BTreeMap<String, String>;

/// The names that owners use. Sidecars are never taken for copies of each other.
const PATHS: [&str; 8] = ["a.jpg", "b.jpg", "c.xmp", "d/a.jpg", "d/e.jpg", "d/i.xmp", "f/a.jpg", "f/g/h.jpg"];
const FOLDERS: [&str; 5] = ["d", "f", "f/g", "k", "m/n"];

/// One side, as its owner sees it.
pub enum Place {
    Library {
        root: PathBuf,
        /// Every change of a file has a later time, and all are long ago.
        clock: u64,
    },
    Service(Arc<Mutex<Service>>),
}

impl Place {
    pub fn name(&self) -> &'static str {
        match self {
            Place::Library { .. } => "here",
            Place::Service(_) => "there",
        }
    }

    /// All files but those that Twinlens has under names of its own.
    pub fn files(&self) -> Files {
        let mut files = match self {
            Place::Library { root, .. } => support::tree(root),
            Place::Service(service) => service.lock().unwrap().world.files.contents(),
        };
        files.retain(|path, _| !is_own(path));
        files
    }

    fn write(&mut self, path: &str, content: &str) {
        match self {
            Place::Library { root, clock } => {
                let file = root.join(path);
                support::write(&file, content.as_bytes());
                *clock += 1;
                let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_500_000_000 + *clock);
                fs::File::options().write(true).open(file).unwrap().set_modified(time).unwrap();
            }
            Place::Service(service) => service.lock().unwrap().world.files.put(path, content),
        }
    }

    fn remove(&mut self, path: &str) {
        match self {
            Place::Library { root, .. } => fs::remove_file(root.join(path)).unwrap(),
            Place::Service(service) => service.lock().unwrap().world.files.remove(path),
        }
    }

    /// Renames a file or a folder; nothing is at the new name.
    fn rename(&mut self, from: &str, to: &str) {
        match self {
            Place::Library { root, .. } => {
                fs::create_dir_all(parent(&root.join(to))).unwrap();
                fs::rename(root.join(from), root.join(to)).unwrap();
            }
            Place::Service(service) => service.lock().unwrap().world.files.rename(from, to),
        }
    }
}

fn parent(path: &Path) -> PathBuf {
    path.parent().unwrap().to_owned()
}

/// A name of Twinlens's own.
pub fn is_own(path: &str) -> bool {
    path.split('/').any(|name| name.starts_with(".twinlens") || name.starts_with("twinlens-probe-"))
}

/// All contents that there ever were.
#[derive(Default)]
pub struct Contents {
    pub made: BTreeSet<String>,
    /// Those that an owner deleted or overwrote somewhere himself.
    pub given_up: BTreeSet<String>,
}

impl Contents {
    /// A content that was never there before: often of a size that others have too.
    fn new_one(&mut self, chance: &mut Chance) -> String {
        let content = format!("{:04}{}", self.made.len(), ".".repeat(chance.below(3)));
        self.made.insert(content.clone());
        content
    }
}

/// One thing that an owner does. The answer says what it was.
pub fn act(place: &mut Place, contents: &mut Contents, chance: &mut Chance) -> Option<String> {
    let files = place.files();
    let paths: Vec<&String> = files.keys().collect();
    let free = *chance.pick(&PATHS);
    let is_free = !files.contains_key(free);
    let what = match chance.below(12) {
        0..4 if is_free => {
            let content = contents.new_one(chance);
            place.write(free, &content);
            format!("new {free} = {content}")
        }
        _ if paths.is_empty() => return None,
        4 | 5 => {
            let path = *chance.pick(&paths);
            let content = contents.new_one(chance);
            contents.given_up.insert(files[path].clone());
            place.write(path, &content);
            format!("edit {path}: {} -> {content}", files[path])
        }
        6 => {
            let path = *chance.pick(&paths);
            contents.given_up.insert(files[path].clone());
            place.remove(path);
            format!("delete {path} = {}", files[path])
        }
        7 | 8 if is_free => {
            let path = *chance.pick(&paths);
            place.rename(path, free);
            format!("rename {path} -> {free}")
        }
        9 => {
            let (from, to) = (*chance.pick(&FOLDERS), *chance.pick(&FOLDERS));
            let (inside, outside) = (format!("{from}/"), format!("{to}/"));
            let there = |folder: &str| paths.iter().any(|path| path.starts_with(folder));
            if !there(&inside) || place.has(to) || outside.starts_with(&inside) {
                return None;
            }
            place.rename(from, to);
            format!("rename folder {from} -> {to}")
        }
        10 => {
            let (one, other) = (*chance.pick(&paths), *chance.pick(&paths));
            if one == other {
                return None;
            }
            let aside = "aside.tmp";
            place.rename(one, aside);
            place.rename(other, one);
            place.rename(aside, other);
            format!("swap {one} and {other}")
        }
        11 if is_free => {
            let path = *chance.pick(&paths);
            place.write(free, &files[path]);
            format!("copy {path} -> {free}")
        }
        _ => return None,
    };
    Some(format!("{}: {what}", place.name()))
}

impl Place {
    fn has(&self, path: &str) -> bool {
        match self {
            Place::Library { root, .. } => root.join(path).exists(),
            Place::Service(service) => service.lock().unwrap().world.files.has(path),
        }
    }
}
