//! Users in the store.

use std::fmt;
use std::str::FromStr;

use argon2::Argon2;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash};
use serde::{Deserialize, Serialize};

use crate::store::documents::USERS;
use crate::store::{Store, StoreError};

const NAME_LIMIT: usize = 64;
const PASSWORD_MINIMUM: usize = 8;
/// Bytes; argon2 would take more, but nobody types it.
const PASSWORD_LIMIT: usize = 1024;

/// What a user may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Everything, users and services included.
    Admin,
    /// Read and change the library.
    User,
    /// Read the library.
    Viewer,
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

/// A person.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct User {
    /// The name they log in with.
    pub name: String,
    /// What they may do.
    pub role: Role,
}

#[derive(Serialize, Deserialize)]
struct UserRow {
    role: Role,
    /// A PHC string.
    password_hash: String,
}

/// What can go wrong with accounts.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// No such user.
    #[error("there is no user {0}; see `twinlens user list`")]
    Unknown(String),
    /// The name is taken.
    #[error("there is a user {0} already")]
    Taken(String),
    /// The name cannot be used.
    #[error("a user name has 1 to 64 characters, without control characters, `:` and `/`")]
    BadName,
    /// The password cannot be used.
    #[error("a password has at least 8 characters and at most 1024 bytes")]
    BadPassword,
    /// Nobody could administer the node any more.
    #[error("{0} is the only admin; make another user admin first")]
    LastAdmin(String),
    /// Hashing failed.
    #[error("the password could not be hashed: {0}")]
    Hash(String),
    /// The state failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The users of a node. Cheap to clone. Hashing blocks for tens of milliseconds.
#[derive(Clone)]
pub struct Users {
    store: Store,
}

impl Users {
    /// The users in this store.
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    /// All of them, by name.
    pub fn list(&self) -> Result<Vec<User>, AccountError> {
        let rows = USERS.all::<UserRow>(&self.store.read()?)?;
        Ok(rows.into_iter().map(|(name, row)| User { name, role: row.role }).collect())
    }

    /// Adds a user.
    pub fn add(&self, name: &str, role: Role, password: &str) -> Result<(), AccountError> {
        check_name(name)?;
        let row = UserRow { role, password_hash: hash(password)? };
        let key = name.to_owned();
        let added = self.store.write(move |tx| {
            let free = !USERS.contains(tx, &key)?;
            if free {
                USERS.put(tx, &key, &row)?;
            }
            Ok(free)
        })?;
        if added { Ok(()) } else { Err(AccountError::Taken(name.to_owned())) }
    }

    /// Gives a user another password.
    pub fn set_password(&self, name: &str, password: &str) -> Result<(), AccountError> {
        let row = self.row(name)?.ok_or_else(|| AccountError::Unknown(name.to_owned()))?;
        let row = UserRow { password_hash: hash(password)?, ..row };
        let key = name.to_owned();
        Ok(self.store.write(move |tx| USERS.put(tx, &key, &row))?)
    }

    /// Removes a user.
    pub fn remove(&self, name: &str) -> Result<(), AccountError> {
        let users = self.list()?;
        let user = users.iter().find(|user| user.name == name).ok_or_else(|| AccountError::Unknown(name.to_owned()))?;
        let admins = users.iter().filter(|user| user.role == Role::Admin).count();
        if user.role == Role::Admin && admins == 1 {
            return Err(AccountError::LastAdmin(name.to_owned()));
        }
        let key = name.to_owned();
        self.store.write(move |tx| USERS.remove(tx, &key))?;
        Ok(())
    }

    fn row(&self, name: &str) -> Result<Option<UserRow>, AccountError> {
        Ok(USERS.get(&self.store.read()?, name)?)
    }

    /// The stored hash and role of a user; what a remembered login is bound to.
    pub(super) fn credentials(&self, name: &str) -> Result<Option<(Role, String)>, AccountError> {
        Ok(self.row(name)?.map(|row| (row.role, row.password_hash)))
    }
}

fn check_name(name: &str) -> Result<(), AccountError> {
    let bad = name.is_empty() || name.len() > NAME_LIMIT || name.chars().any(|c| c.is_control() || c == ':' || c == '/');
    if bad { Err(AccountError::BadName) } else { Ok(()) }
}

fn hash(password: &str) -> Result<String, AccountError> {
    if password.chars().count() < PASSWORD_MINIMUM || password.len() > PASSWORD_LIMIT {
        return Err(AccountError::BadPassword);
    }
    let hash = Argon2::default().hash_password(password.as_bytes());
    hash.map(|hash| hash.to_string()).map_err(|error| AccountError::Hash(error.to_string()))
}

/// Whether a password has this hash.
pub(super) fn matches(password: &str, hash: &str) -> bool {
    PasswordHash::new(hash).is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
}

/// A password that nobody guesses: 20 letters and digits, none of which look alike.
pub fn random_password() -> Result<String, AccountError> {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut bytes = [0_u8; 20];
    getrandom::fill(&mut bytes).map_err(|error| AccountError::Hash(error.to_string()))?;
    Ok(bytes.iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_come_and_go() {
        let folder = tempfile::tempdir().unwrap();
        let users = Users::new(Store::open(&folder.path().join("s.redb")).unwrap());
        users.add("admin", Role::Admin, "correct horse").unwrap();
        assert!(matches!(users.add("admin", Role::User, "another one"), Err(AccountError::Taken(_))));
        assert!(matches!(users.add("bob", Role::User, "short"), Err(AccountError::BadPassword)));
        assert!(matches!(users.add("b:b", Role::User, "long enough"), Err(AccountError::BadName)));
        assert!(matches!(users.remove("admin"), Err(AccountError::LastAdmin(_))));
        assert!(matches!(users.set_password("bob", "long enough"), Err(AccountError::Unknown(_))));
        users.add("bob", Role::Viewer, "long enough").unwrap();
        users.remove("bob").unwrap();
        assert_eq!(users.list().unwrap().len(), 1);
        let (_, hash) = users.credentials("admin").unwrap().unwrap();
        assert!(hash.starts_with("$argon2id$") && matches("correct horse", &hash) && !matches("wrong horse", &hash));
    }
}
