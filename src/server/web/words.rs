//! The one catalogue of what pages say, in English and German.
//!
//! `words/AREA.toml` holds the texts of an area: a table a key, with `en` and `de`. A key is called by `area.key`. A text that depends on a number
//! is a table of `one` and `other`; `{name}` is a place for something. Tests fail when a text is missing in a language, when its places differ
//! between them, when a key that the code uses is not there, and when one that is there is used by nothing.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::LazyLock;

use serde::Deserialize;

use super::super::language::Language;
use super::format;

/// Each area and its file.
const AREAS: &[(&str, &str)] = &[
    ("account", include_str!("words/account.toml")),
    ("activity", include_str!("words/activity.toml")),
    ("common", include_str!("words/common.toml")),
    ("library", include_str!("words/library.toml")),
    ("problem", include_str!("words/problem.toml")),
    ("services", include_str!("words/services.toml")),
    ("signin", include_str!("words/signin.toml")),
    ("users", include_str!("words/users.toml")),
];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    en: Text,
    de: Text,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Text {
    Plain(String),
    Counted { one: String, other: String },
}

impl Text {
    fn of(&self, count: u64) -> &str {
        match self {
            Self::Plain(text) => text,
            Self::Counted { one, .. } if count == 1 => one,
            Self::Counted { other, .. } => other,
        }
    }
}

type Catalogue = BTreeMap<String, Entry>;

static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(|| match read() {
    Ok(catalogue) => catalogue,
    Err(error) => {
        tracing::error!(%error, "the catalogue of the pages cannot be read");
        Catalogue::new()
    }
});

fn read() -> Result<Catalogue, toml::de::Error> {
    let mut all = Catalogue::new();
    for (area, text) in AREAS {
        let entries: BTreeMap<String, Entry> = toml::from_str(text)?;
        all.extend(entries.into_iter().map(|(key, entry)| (format!("{area}.{key}"), entry)));
    }
    Ok(all)
}

/// What pages say, in a language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Words(pub(super) Language);

impl Words {
    /// A text.
    pub(super) fn say(self, key: &'static str) -> &'static str {
        self.known(key).unwrap_or(key)
    }

    /// A text whose key is made from what a part of the program is called; none if there is no such text.
    pub(super) fn known(self, key: &str) -> Option<&'static str> {
        self.counted(key, 0)
    }

    fn counted(self, key: &str, count: u64) -> Option<&'static str> {
        let entry = CATALOGUE.get(key)?;
        Some(self.0.pick(&entry.en, &entry.de).of(count))
    }

    /// A text with something in its places.
    pub(super) fn fill(self, key: &'static str, places: &[(&str, &dyn Display)]) -> String {
        filled(self.say(key), places)
    }

    /// A text that depends on a number, which stands in its place `{n}`.
    pub(super) fn count(self, key: &'static str, count: u64) -> String {
        self.count_with(key, count, &[])
    }

    /// `3 files`.
    pub(super) fn files(self, count: u64) -> String {
        self.count("common.files", count)
    }

    /// The same, with something in other places besides.
    pub(super) fn count_with(self, key: &'static str, count: u64, places: &[(&str, &dyn Display)]) -> String {
        let text = filled(self.counted(key, count).unwrap_or(key), &[("n", &format::number(self.0, count))]);
        filled(&text, places)
    }

    /// The texts of an area that its script needs: those whose keys begin with `js-`, by the rest of the key. Of a text that depends on a number
    /// the one for a single thing has `-one` after that.
    pub(super) fn of_script(self, area: &str) -> BTreeMap<String, &'static str> {
        let prefix = format!("{area}.js-");
        let keys = CATALOGUE
            .range(prefix.clone()..)
            .map_while(|(key, entry)| Some((key.strip_prefix(&prefix)?, self.0.pick(&entry.en, &entry.de))));
        let mut texts = BTreeMap::new();
        for (name, text) in keys {
            if let Text::Counted { one, .. } = text {
                texts.insert(format!("{name}-one"), one.as_str());
            }
            texts.insert(name.to_owned(), text.of(0));
        }
        texts
    }

    /// What each refusal means, by its code.
    pub(super) fn of_refusals(self) -> BTreeMap<&'static str, &'static str> {
        let prefix = format!("{}.", "problem");
        let all = CATALOGUE.range(prefix.clone()..);
        all.map_while(|(key, entry)| Some((key.strip_prefix(&prefix)?, self.0.pick(&entry.en, &entry.de).of(0)))).collect()
    }
}

fn filled(text: &str, places: &[(&str, &dyn Display)]) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, (name, after))) = rest.split_once('{').and_then(|(before, tail)| Some((before, tail.split_once('}')?))) {
        filled.push_str(before);
        match places.iter().find(|(place, _)| *place == name) {
            Some((_, value)) => filled.push_str(&value.to_string()),
            None => filled.push_str(&format!("{{{name}}}")),
        }
        rest = after;
    }
    filled + rest
}

#[cfg(test)]
mod tests;
