//! What somebody may do in a folder tree.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Rights in one tree. Without `read` nothing else is of use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rights {
    /// List folders, read files.
    pub read: bool,
    /// Make what was not there before.
    pub add: bool,
    /// Replace files, change their times and properties, rename within the tree.
    pub change: bool,
    /// Remove, or move away.
    pub delete: bool,
}

impl Rights {
    /// Everything.
    pub const ALL: Self = Self { read: true, add: true, change: true, delete: true };
    /// Look, but change nothing.
    pub const READ: Self = Self { read: true, add: false, change: false, delete: false };
    /// Not even look.
    pub const NONE: Self = Self { read: false, add: false, change: false, delete: false };

    /// What both allow.
    pub fn and(self, other: Self) -> Self {
        Self {
            read: self.read && other.read,
            add: self.add && other.add,
            change: self.change && other.change,
            delete: self.delete && other.delete,
        }
    }

    /// Whether anything may change at all.
    pub fn may_write(self) -> bool {
        self.add || self.change || self.delete
    }
}

impl FromStr for Rights {
    type Err = String;
    /// `all`, `none`, or some of `read,add,change,delete`.
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "all" => return Ok(Self::ALL),
            "none" => return Ok(Self::NONE),
            _ => {}
        }
        let mut rights = Self::NONE;
        for word in text.split(',') {
            match word.trim() {
                "read" => rights.read = true,
                "add" => rights.add = true,
                "change" => rights.change = true,
                "delete" => rights.delete = true,
                other => return Err(format!("there is no right {other}; write all, none, or some of read,add,change,delete")),
            }
        }
        Ok(rights)
    }
}

impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::ALL => return f.write_str("all"),
            Self::NONE => return f.write_str("none"),
            _ => {}
        }
        let words = [(self.read, "read"), (self.add, "add"), (self.change, "change"), (self.delete, "delete")];
        let words: Vec<_> = words.iter().filter(|(has, _)| *has).map(|(_, word)| *word).collect();
        f.write_str(&words.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_are_words() {
        for text in ["all", "none", "read", "read,add", "add,delete", "read,change,delete"] {
            assert_eq!(text.parse::<Rights>().unwrap().to_string(), text);
        }
        assert_eq!("read, add, change, delete".parse(), Ok(Rights::ALL));
        assert!("".parse::<Rights>().is_err() && "read,write".parse::<Rights>().is_err());
    }
}
