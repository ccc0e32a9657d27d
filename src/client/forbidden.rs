//! Names that a Nextcloud or an ownCloud says it does not take.

use serde::Deserialize;

use crate::types::RelPath;

/// What a service forbids in names, as its capabilities tell. Compared without regard to case.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct NameRules {
    #[serde(rename = "forbidden_filenames")]
    names: Vec<String>,
    /// Up to the first dot.
    #[serde(rename = "forbidden_filename_basenames")]
    basenames: Vec<String>,
    #[serde(rename = "forbidden_filename_characters")]
    characters: Vec<String>,
    /// What a name may not end with.
    #[serde(rename = "forbidden_filename_extensions")]
    extensions: Vec<String>,
    /// ownCloud, and Nextcloud before 30.
    #[serde(rename = "blacklisted_files")]
    blacklisted: Vec<String>,
}

impl NameRules {
    /// From the part of the capabilities that is about files. What makes no sense forbids nothing: each name that is refused is told then.
    pub(super) fn parse(files: &serde_json::Value) -> Self {
        Self::deserialize(files).unwrap_or_default()
    }

    /// What is forbidden, in a few words; none when nothing is.
    pub fn summary(&self) -> Option<String> {
        let lists = [
            ("names", &self.names),
            ("names", &self.blacklisted),
            ("bases", &self.basenames),
            ("characters", &self.characters),
            ("endings", &self.extensions),
        ];
        let told = lists.iter().filter(|(_, list)| !list.is_empty()).map(|(what, list)| {
            let first: Vec<String> = list.iter().take(8).map(|entry| format!("{entry:?}")).collect();
            format!("{what} {}{}", first.join(" "), if list.len() > 8 { " ..." } else { "" })
        });
        let told: Vec<String> = told.collect();
        (!told.is_empty()).then(|| told.join("; "))
    }

    /// Why the service would refuse a path; none when it has nothing against it.
    pub fn refusal(&self, path: &RelPath) -> Option<String> {
        path.segments().find_map(|name| self.refuses(name))
    }

    fn refuses(&self, name: &str) -> Option<String> {
        let lower = name.to_lowercase();
        let base = lower.split('.').next().unwrap_or_default();
        let equal = |list: &[String], name: &str| list.iter().any(|entry| entry.to_lowercase() == name);
        if equal(&self.names, &lower) || equal(&self.blacklisted, &lower) || equal(&self.basenames, base) {
            return Some(format!("the service does not take the name {name}"));
        }
        if let Some(text) = self.characters.iter().find(|text| !text.is_empty() && name.contains(text.as_str())) {
            return Some(format!("the service takes no name with {text} in it, such as {name}"));
        }
        let end = self.extensions.iter().find(|end| !end.is_empty() && lower.ends_with(&end.to_lowercase()));
        end.map(|end| format!("the service takes no name that ends with \"{end}\", such as {name}"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rules_of_nextcloud_and_owncloud_are_understood() {
        let rules = NameRules::parse(&json!({
            "bigfilechunking": true,
            "blacklisted_files": [".htaccess"],
            "forbidden_filenames": [".htaccess", "Thumbs.db"],
            "forbidden_filename_basenames": ["con", "nul"],
            "forbidden_filename_characters": ["\\", "/", ":", "?"],
            "forbidden_filename_extensions": [" ", ".", ".part"],
        }));
        for refused in ["a/.HTACCESS", "thumbs.DB", "Con.jpg", "nul", "10:30.jpg", "what?/x.jpg", "dot.", "space /x.jpg", "x.jpg.PART"] {
            assert!(rules.refusal(&RelPath::parse(refused).unwrap()).is_some(), "{refused}");
        }
        for fine in ["a.jpg", "console.jpg", "a/b c.jpg", ".hidden"] {
            assert_eq!(rules.refusal(&RelPath::parse(fine).unwrap()), None);
        }
        let rules = NameRules::parse(&json!({ "blacklisted_files": [".htaccess"] }));
        assert!(rules.refusal(&RelPath::parse(".htaccess").unwrap()).is_some());
        assert_eq!(NameRules::parse(&json!({ "blacklisted_files": 5 })), NameRules::default());
        assert_eq!(NameRules::parse(&json!(null)), NameRules::default());
    }
}
