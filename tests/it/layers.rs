//! The rooms know only rooms of lower rank.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

const RANKS: [(&str, u8); 17] = [
    ("types", 0),
    ("reconcile", 1),
    ("dav", 1),
    ("config", 1),
    ("events", 1),
    ("store", 2),
    ("client", 2),
    ("library", 3),
    ("accounts", 3),
    ("services", 3),
    ("sync", 4),
    ("share", 4),
    ("scheduler", 5),
    ("operations", 6),
    ("server", 7),
    ("node", 8),
    ("cli", 9),
];

fn sources(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.path().is_dir() {
            sources(&entry.path(), found);
        } else if entry.path().extension().is_some_and(|extension| extension == "rs") {
            found.push(entry.path());
        }
    }
}

/// The rooms that a line of code names: `crate::room`, also in `use crate::{room, ...}`.
fn rooms_named(line: &str) -> Vec<String> {
    let code = line.split("//").next().unwrap_or_default();
    let mut rooms = Vec::new();
    for rest in code.split("crate::").skip(1) {
        let list = rest.strip_prefix('{').and_then(|rest| rest.split('}').next());
        for item in list.map_or_else(|| vec![rest], |list| list.split(',').collect()) {
            let name: String = item.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            rooms.push(name);
        }
    }
    rooms
}

#[test]
fn no_room_imports_upward_or_sideways() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let ranks = BTreeMap::from(RANKS);
    let mut files = Vec::new();
    sources(&src, &mut files);
    assert!(files.len() > 30, "the sources were not found");
    let mut wrong = Vec::new();
    for file in files {
        let relative = file.strip_prefix(&src).unwrap().to_str().unwrap().to_owned();
        let room = relative.split(['/', '.']).next().unwrap().to_owned();
        if matches!(room.as_str(), "lib" | "main") {
            continue;
        }
        let rank = *ranks.get(room.as_str()).unwrap_or_else(|| panic!("{relative} lies in no known room"));
        for line in fs::read_to_string(&file).unwrap().lines() {
            for named in rooms_named(line) {
                match ranks.get(named.as_str()) {
                    Some(other) if *other < rank || named == room => {}
                    Some(_) => wrong.push(format!("{relative}: {}", line.trim())),
                    None => panic!("{relative} names the unknown room {named}: {line}"),
                }
            }
        }
    }
    assert!(wrong.is_empty(), "imports that point upward or sideways:\n{}", wrong.join("\n"));
}

#[test]
fn the_check_itself_sees_imports() {
    assert_eq!(rooms_named("use crate::store::{Store, meta};"), ["store"]);
    assert_eq!(rooms_named("let x = crate::cli::main(); // crate::node"), ["cli"]);
    assert_eq!(rooms_named("use crate::{types::RelPath, node};"), ["types", "node"]);
}

#[test]
fn every_room_has_something_in_it() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for entry in fs::read_dir(&src).unwrap().map(Result::unwrap).filter(|entry| entry.path().is_dir()) {
        assert!(fs::read_dir(entry.path()).unwrap().next().is_some(), "{} is empty", entry.path().display());
        assert!(entry.path().with_extension("rs").is_file(), "{} has no head", entry.path().display());
    }
}
