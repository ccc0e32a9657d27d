//! What somebody may do in a folder tree.

use serde::{Deserialize, Serialize};

/// Rights in one tree. Without `read` nothing else is of use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
