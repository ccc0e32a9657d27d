//! What somebody is given: a role, a folder as their root, rights in each tree.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{AccountError, Rights};
use crate::types::{RelPath, media};

/// What a user may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Everything, users and services included.
    Admin,
    /// Read and change the library.
    User,
    /// Read the library.
    Viewer,
}

impl Role {
    /// What the role gives in each tree.
    pub fn rights(self) -> Rights {
        if self == Self::Viewer { Rights::READ } else { Rights::ALL }
    }
}

impl FromStr for Role {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "admin" => Ok(Self::Admin),
            "user" => Ok(Self::User),
            "viewer" => Ok(Self::Viewer),
            other => Err(format!("there is no role {other}; the roles are admin, user and viewer")),
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Admin => "admin",
            Self::User => "user",
            Self::Viewer => "viewer",
        })
    }
}

/// Rights as they are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Given {
    /// Whatever the role gives.
    Default,
    /// These, as far as the role allows.
    These(Rights),
}

impl FromStr for Given {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "default" { Ok(Self::Default) } else { text.parse().map(Self::These) }
    }
}

/// What a user is given. Rows written before folders and rights could be given have only a role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Grant {
    /// The role: no rights go beyond it.
    pub role: Role,
    /// The folder of the library that is their root. It need not exist yet.
    #[serde(default)]
    pub folder: RelPath,
    /// Rights in the library; none is what the role gives.
    #[serde(default)]
    pub originals: Option<Rights>,
    /// Rights in the import folder; none is what the role gives, or nothing to somebody with a folder as their root.
    #[serde(default)]
    pub import: Option<Rights>,
}

impl From<Role> for Grant {
    fn from(role: Role) -> Self {
        Self { role, folder: RelPath::root(), originals: None, import: None }
    }
}

/// Changes to what a user is given; what is none stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GrantChange {
    /// Another role.
    pub role: Option<Role>,
    /// Another root.
    pub folder: Option<RelPath>,
    /// Other rights in the library.
    pub originals: Option<Given>,
    /// Other rights in the import folder.
    pub import: Option<Given>,
}

impl Grant {
    /// This grant with changes.
    pub fn changed(self, change: &GrantChange) -> Self {
        let pick = |given: Option<Given>, old: Option<Rights>| match given {
            None => old,
            Some(Given::Default) => None,
            Some(Given::These(rights)) => Some(rights),
        };
        Self {
            role: change.role.unwrap_or(self.role),
            folder: change.folder.clone().unwrap_or(self.folder),
            originals: pick(change.originals, self.originals),
            import: pick(change.import, self.import),
        }
    }

    /// The root that follows from it.
    pub fn root(&self) -> RelPath {
        if self.role == Role::Admin { RelPath::root() } else { self.folder.clone() }
    }

    /// The rights in the library that follow from it.
    pub fn in_originals(&self) -> Rights {
        self.within_role(self.originals)
    }

    /// The rights in the import folder that follow from it. What is dropped there is sorted into the whole library: somebody whose root is a
    /// folder of it has none, unless they were given.
    pub fn in_import(&self) -> Rights {
        match self.import {
            None if !self.root().is_root() => Rights::NONE,
            given => self.within_role(given),
        }
    }

    /// Whatever is stored: an admin has everything, and nobody has more than the role gives.
    fn within_role(&self, given: Option<Rights>) -> Rights {
        let most = self.role.rights();
        match given {
            Some(given) if self.role != Role::Admin => most.and(given),
            _ => most,
        }
    }

    /// Refuses what would not mean what it says.
    pub(super) fn check(&self) -> Result<(), AccountError> {
        let given = [self.originals, self.import];
        if self.folder.segments().any(|segment| segment.eq_ignore_ascii_case(media::OWN_FOLDER)) {
            return Err(AccountError::OwnFolder);
        }
        match self.role {
            Role::Admin if !self.folder.is_root() || given.iter().flatten().any(|rights| *rights != Rights::ALL) => {
                Err(AccountError::AdminHasAll)
            }
            Role::Viewer if given.iter().flatten().any(|rights| rights.may_write()) => Err(AccountError::ViewerReads),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(role: Role, folder: &str, originals: &str) -> Grant {
        let originals = Some(originals.parse().unwrap());
        Grant { role, folder: RelPath::parse(folder).unwrap(), originals, import: None }
    }

    #[test]
    fn nobody_has_more_than_the_role_gives() {
        // Stored rows may say anything.
        assert_eq!(grant(Role::Viewer, "", "all").in_originals(), Rights::READ);
        assert_eq!(grant(Role::Viewer, "", "none").in_originals(), Rights::NONE);
        assert_eq!(grant(Role::Viewer, "", "none").in_import(), Rights::READ);
        let admin = grant(Role::Admin, "family", "read");
        assert_eq!((admin.root(), admin.in_originals()), (RelPath::root(), Rights::ALL));
        let user = grant(Role::User, "family", "read,add");
        assert_eq!((user.root().as_str(), user.in_originals().to_string(), user.in_import()), ("family", "read,add".into(), Rights::NONE));
        assert_eq!(grant(Role::User, "", "read,add").in_import(), Rights::ALL);
    }

    #[test]
    fn what_would_not_mean_what_it_says_is_refused() {
        assert!(matches!(grant(Role::Admin, "", "read").check(), Err(AccountError::AdminHasAll)));
        assert!(matches!(grant(Role::Admin, "family", "all").check(), Err(AccountError::AdminHasAll)));
        assert!(matches!(grant(Role::Viewer, "", "read,add").check(), Err(AccountError::ViewerReads)));
        assert!(matches!(grant(Role::User, "a/.Twinlens", "all").check(), Err(AccountError::OwnFolder)));
        for fine in [grant(Role::Admin, "", "all"), grant(Role::Viewer, "a/b", "none"), grant(Role::User, "a", "read,delete")] {
            fine.check().unwrap();
        }
    }

    #[test]
    fn a_change_leaves_the_rest() {
        let old = grant(Role::User, "family", "read,add");
        let role = GrantChange { role: Some(Role::Viewer), ..GrantChange::default() };
        assert_eq!(old.clone().changed(&role), grant(Role::Viewer, "family", "read,add"));
        let back = GrantChange { originals: Some(Given::Default), ..GrantChange::default() };
        assert_eq!(old.changed(&back).originals, None);
    }
}
