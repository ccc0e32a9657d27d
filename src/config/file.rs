//! `twinlens.toml`: one `key = value` a line, without tables. What is written by hand in it, comments too, stays when a value is changed.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::ops::Range;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use toml::{Spanned, Value};

/// A file larger than this is none of settings.
const LIMIT: u64 = 1 << 20;

/// What is wrong with it.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read or written.
    #[error("the settings {} cannot be used: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It cannot be understood.
    #[error("{}:{line}: {reason}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Of the file, from 1.
        line: usize,
        /// What is wrong there.
        reason: String,
    },
    /// A value cannot be used.
    #[error("{}:{line}: {key}: {reason}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Of the file, from 1.
        line: usize,
        /// Which setting.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// A setting in the file.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its name.
    pub key: String,
    /// Its value.
    pub value: Value,
    /// On which line it is, from 1.
    pub line: usize,
    /// Where the value is in the text, in bytes.
    place: Range<usize>,
}

/// The file as it is.
#[derive(Debug, Clone, Default)]
pub struct SettingsFile {
    path: PathBuf,
    text: String,
    entries: Vec<Entry>,
}

impl Entry {
    /// The values as they would be typed behind a flag: several for a list. An error says which types there are.
    pub fn words(&self) -> Result<Vec<String>, String> {
        let one = |value: &Value| match value {
            Value::String(text) => Ok(text.clone()),
            Value::Integer(number) => Ok(number.to_string()),
            Value::Boolean(yes) => Ok(yes.to_string()),
            _ => Err(format!("it is a text, a whole number, true or false, or a list of texts, not a {}", value.type_str())),
        };
        match &self.value {
            Value::Array(values) => values.iter().map(one).collect(),
            value => Ok(vec![one(value)?]),
        }
    }
}

impl SettingsFile {
    /// Reads the file; one that is not there has no settings.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let failed = |source| ConfigError::Io { path: path.to_owned(), source };
        match fs::metadata(path) {
            Ok(data) if data.len() > LIMIT => return Err(failed(io::Error::other("it is too large"))),
            _ => {}
        }
        match fs::read_to_string(path) {
            Ok(text) => Self::parse(path, text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self { path: path.to_owned(), ..Self::default() }),
            Err(error) => Err(failed(error)),
        }
    }

    fn parse(path: &Path, text: String) -> Result<Self, ConfigError> {
        let line_of = |at: usize| text.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count() + 1;
        let read: BTreeMap<Spanned<String>, Spanned<Value>> = toml::from_str(&text).map_err(|error| ConfigError::Syntax {
            path: path.to_owned(),
            line: error.span().map_or(1, |span| line_of(span.start)),
            reason: error.message().to_owned(),
        })?;
        let mut entries: Vec<Entry> = read
            .into_iter()
            .map(|(key, value)| {
                let (line, place) = (line_of(key.span().start), value.span());
                Entry { key: key.into_inner(), value: value.into_inner(), line, place }
            })
            .collect();
        entries.sort_by_key(|entry| entry.line);
        Ok(Self { path: path.to_owned(), text, entries })
    }

    /// Its settings, in the order in which they are written.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The setting of this name.
    pub fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// An error about a setting of the file.
    pub fn wrong(&self, entry: &Entry, reason: impl Into<String>) -> ConfigError {
        ConfigError::Key { path: self.path.clone(), line: entry.line, key: entry.key.clone(), reason: reason.into() }
    }

    /// Writes a value, or takes it away; everything else stays as it is written. The file is the old or the new one at any moment.
    pub fn set(&self, key: &str, value: Option<&str>) -> Result<Self, ConfigError> {
        let mut text = self.text.clone();
        let written = value.map(|value| Value::from(value).to_string());
        match (self.get(key), written) {
            (Some(entry), Some(value)) => text.replace_range(entry.place.clone(), &value),
            (Some(entry), None) => {
                let from = text[..entry.place.start].rfind('\n').map_or(0, |at| at + 1);
                let to = text[entry.place.end..].find('\n').map_or(text.len(), |at| entry.place.end + at + 1);
                text.replace_range(from..to, "");
            }
            (None, Some(value)) => {
                if !text.is_empty() && !text.ends_with('\n') {
                    text.push('\n');
                }
                text.push_str(&format!("{key} = {value}\n"));
            }
            (None, None) => return Ok(self.clone()),
        }
        // What cannot be read again is not written.
        let changed = Self::parse(&self.path, text)?;
        changed.write().map_err(|source| ConfigError::Io { path: self.path.clone(), source })?;
        Ok(changed)
    }

    fn write(&self) -> io::Result<()> {
        let new = self.path.with_extension("toml.new");
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(self.text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        match self.path.parent() {
            Some(folder) => fs::File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("twinlens.toml");
        fs::write(&path, text).unwrap();
        (folder, path)
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (text, line) in [("a = 1\nb = \n", ":2: "), ("a = 1\na = 2\n", ":2: "), ("x", ":1: ")] {
            let (_folder, path) = file(text);
            let error = SettingsFile::read(&path).unwrap_err().to_string();
            assert!(error.contains(line), "{text:?}: {error}");
        }
        let (_folder, path) = file("# first\n\nlisten = \"x\"\nd = 1.5\n");
        let read = SettingsFile::read(&path).unwrap();
        let entry = read.get("listen").unwrap();
        assert!(read.wrong(entry, "no address").to_string().ends_with("twinlens.toml:3: listen: no address"));
        assert!(read.get("d").unwrap().words().unwrap_err().contains("float"));
        assert_eq!(SettingsFile::read(&path.with_extension("none")).unwrap().entries().len(), 0);
    }

    #[test]
    fn a_change_leaves_everything_else_as_it_is_written() {
        let (_folder, path) = file("# mine\nlisten = '0.0.0.0:1' # why\n  trash_days = 30\nlast = [\"a\", \"b\"]");
        let text = || fs::read_to_string(&path).unwrap();
        let read = SettingsFile::read(&path).unwrap().set("trash_days", Some("7d")).unwrap();
        assert_eq!(text(), "# mine\nlisten = '0.0.0.0:1' # why\n  trash_days = \"7d\"\nlast = [\"a\", \"b\"]");
        let read = read.set("scan_interval", Some("of\"f")).unwrap();
        assert!(text().ends_with("last = [\"a\", \"b\"]\nscan_interval = 'of\"f'\n"), "{}", text());
        assert_eq!(SettingsFile::read(&path).unwrap().get("scan_interval").unwrap().words().unwrap(), ["of\"f"]);
        let read = read.set("trash_days", None).unwrap().set("nothing", None).unwrap();
        assert!(text().starts_with("# mine\nlisten = '0.0.0.0:1' # why\nlast"), "{}", text());
        assert_eq!(read.get("last").unwrap().words().unwrap(), ["a", "b"]);
    }
}
