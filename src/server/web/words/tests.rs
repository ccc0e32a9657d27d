use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::*;

fn texts(text: &Text) -> Vec<&str> {
    match text {
        Text::Plain(text) => vec![text],
        Text::Counted { one, other } => vec![one, other],
    }
}

fn places(text: &str) -> BTreeSet<&str> {
    text.split('{').skip(1).filter_map(|tail| tail.split_once('}')).map(|(name, _)| name).collect()
}

/// With the place of what is wrong, if something is, and not with all of it.
fn catalogue() -> Catalogue {
    read().unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn both_languages_say_everything_with_the_same_places() {
    // Each entry has both, or it cannot be read at all.
    let all = catalogue();
    assert!(all.len() > 50, "{}", all.len());
    for (key, entry) in &all {
        let (english, german) = (texts(&entry.en), texts(&entry.de));
        assert!(english.iter().chain(&german).all(|text| !text.trim().is_empty()), "{key} is empty");
        assert_eq!(english.len(), german.len(), "{key} depends on a number in one language only");
        assert_eq!(places(english[english.len() - 1]), places(german[german.len() - 1]), "{key} has other places");
    }
}

/// Everything in the pages' own code, scripts too.
fn sources() -> String {
    fn collect(folder: &Path, text: &mut String) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, text);
            } else if matches!(path.extension().and_then(|end| end.to_str()), Some("rs" | "js")) && !path.ends_with("tests.rs") {
                text.push_str(&fs::read_to_string(&path).unwrap());
            }
        }
    }
    let mut text = String::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/server/web"), &mut text);
    text
}

#[test]
fn every_key_that_is_used_is_there() {
    let (all, text) = (catalogue(), sources());
    for (area, _) in AREAS {
        for tail in text.split(&format!("\"{area}.")).skip(1) {
            let name = tail.split('"').next().unwrap();
            // The area's own files.
            if matches!(name, "js" | "css") {
                continue;
            }
            // A key that is made of parts ends with a dash: what follows is another one's name for it.
            let is_there = match name.ends_with('-') || name.ends_with('{') || name.contains("{}") {
                true => true,
                false => all.contains_key(&format!("{area}.{name}")),
            };
            assert!(is_there, "{area}.{name} is used and is in no catalogue");
        }
    }
}

#[test]
fn every_key_that_is_there_is_used() {
    let (all, text) = (catalogue(), sources());
    for key in all.keys() {
        let (area, name) = key.split_once('.').unwrap();
        let literal = text.contains(&format!("\"{key}\""));
        // Of a group that is looked up by what a part of the program is called: `"area.group-{}"`.
        let group = name.match_indices('-').any(|(at, _)| text.contains(&format!("\"{area}.{}{{}}\"", &name[..=at])));
        let script = name
            .strip_prefix("js-")
            .is_some_and(|name| text.contains(&format!("words.{}", name.replace('-', "_"))) || text.contains(&format!("\"{name}\"")));
        assert!(literal || group || script || text.contains(&format!("\"{area}.{{}}\"")), "{key} is used by nothing");
    }
}

#[test]
fn numbers_and_places_are_filled_in() {
    assert_eq!(filled("{a} of {b}, {c}", &[("a", &1), ("b", &"{a}")]), "1 of {a}, {c}");
    assert_eq!(Words(Language::German).count("common.files", 1), "1 Datei");
    assert_eq!(Words(Language::German).count("common.files", 12_000), "12.000 Dateien");
    assert_eq!(Words(Language::English).count("common.files", 0), "0 files");
}
