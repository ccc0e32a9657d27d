//! Users in the store.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use argon2::Argon2;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash};
use redb::WriteTransaction;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::app_passwords::Stored;
use super::{Grant, GrantChange, Rights, Role};
use crate::store::documents::{APP_PASSWORDS, USERS};
use crate::store::{Store, StoreError, ids};
use crate::types::RelPath;

const NAME_LIMIT: usize = 64;
const PASSWORD_MINIMUM: usize = 8;
/// Bytes; argon2 would take more, but nobody types it.
const PASSWORD_LIMIT: usize = 1024;

/// A person, and what they may do: what follows from role and grant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct User {
    /// The name they log in with.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// The folder of the library that is their root; empty for the library itself.
    pub folder: RelPath,
    /// What they may do in the library.
    pub originals: Rights,
    /// What they may do in the import folder.
    pub import: Rights,
}

impl User {
    fn of(name: String, grant: &Grant) -> Self {
        Self { name, role: grant.role, folder: grant.root(), originals: grant.in_originals(), import: grant.in_import() }
    }
}

#[derive(Serialize, Deserialize)]
struct UserRow {
    #[serde(flatten)]
    grant: Grant,
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
    #[error("a user name has 1 to 64 characters, without control characters, `:` and `/`, and is not `.` or `..`")]
    BadName,
    /// The password cannot be used.
    #[error("a password has at least 8 characters and at most 1024 bytes")]
    BadPassword,
    /// Nobody could administer the node any more.
    #[error("{0} is the only admin; make another user admin first")]
    LastAdmin(String),
    /// Less than everything for an admin.
    #[error(
        "an admin always has the whole library and all rights; give another role, or set what was given before back with \
         --folder / --originals default --import default"
    )]
    AdminHasAll,
    /// More than reading for a viewer.
    #[error("a viewer only reads; give the role user, or only the right to read (--originals default --import default)")]
    ViewerReads,
    /// The folder that holds the trash and unfinished uploads.
    #[error("nobody's folder can lie in .twinlens, which is for Twinlens itself")]
    OwnFolder,
    /// The label cannot be used.
    #[error("the label of an app password has 1 to 128 characters, none of them control characters; name the device or program")]
    BadLabel,
    /// Too many.
    #[error("{0} has too many app passwords already; revoke some that are not used any more, see `twinlens user app-passwords {0}`")]
    TooMany(String),
    /// No such app password.
    #[error("{user} has no app password {app}; see `twinlens user app-passwords {user}`")]
    UnknownApp {
        /// The user.
        user: String,
        /// What was looked for.
        app: String,
    },
    /// A label of several.
    #[error("{user} has several app passwords {label}; name one by its id, see `twinlens user app-passwords {user}`")]
    Ambiguous {
        /// The user.
        user: String,
        /// What was looked for.
        label: String,
    },
    /// Hashing failed.
    #[error("the password could not be hashed: {0}")]
    Hash(String),
    /// The state failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Everything that a login is checked against.
pub(super) struct Known {
    pub(super) grant: Grant,
    /// A PHC string.
    pub(super) password_hash: String,
    pub(super) app_passwords: Vec<Stored>,
}

/// The users of a node. Cheap to clone. Hashing blocks for tens of milliseconds.
#[derive(Clone)]
pub struct Users {
    pub(super) store: Store,
    /// Grows with every change that a login could depend on. One process has the state, and in it all users are clones of one value.
    generation: Arc<AtomicU64>,
}

impl Users {
    /// The users in this store.
    pub fn new(store: Store) -> Self {
        Self { store, generation: Arc::default() }
    }

    /// All of them, by name.
    pub fn list(&self) -> Result<Vec<User>, AccountError> {
        let rows = USERS.all::<UserRow>(&self.store.read()?)?;
        Ok(rows.into_iter().map(|(name, row)| User::of(name, &row.grant)).collect())
    }

    /// Adds a user; with a role alone, they have what the role gives.
    pub fn add(&self, name: &str, grant: impl Into<Grant>, password: &str) -> Result<User, AccountError> {
        check_name(name)?;
        let row = UserRow { grant: grant.into(), password_hash: hash(password)? };
        row.grant.check()?;
        let name = name.to_owned();
        self.change(move |tx| {
            if USERS.contains(tx, &name)? {
                return Ok(Err(AccountError::Taken(name)));
            }
            USERS.put(tx, &name, &row)?;
            Ok(Ok(User::of(name, &row.grant)))
        })
    }

    /// Changes what a user may do.
    pub fn edit(&self, name: &str, change: GrantChange) -> Result<User, AccountError> {
        let name = name.to_owned();
        self.change(move |tx| {
            let Some(UserRow { grant, password_hash }) = USERS.get_to_change(tx, &name)? else {
                return Ok(Err(AccountError::Unknown(name)));
            };
            let was_admin = grant.role == Role::Admin;
            let row = UserRow { grant: grant.changed(&change), password_hash };
            if let Err(error) = row.grant.check() {
                return Ok(Err(error));
            }
            if was_admin && row.grant.role != Role::Admin && is_only_admin(tx, &name)? {
                return Ok(Err(AccountError::LastAdmin(name)));
            }
            USERS.put(tx, &name, &row)?;
            Ok(Ok(User::of(name, &row.grant)))
        })
    }

    /// Gives a user another password. App passwords stay.
    pub fn set_password(&self, name: &str, password: &str) -> Result<(), AccountError> {
        let name = name.to_owned();
        let password_hash = hash(password)?;
        self.change(move |tx| {
            let Some(row) = USERS.get_to_change::<UserRow>(tx, &name)? else {
                return Ok(Err(AccountError::Unknown(name)));
            };
            USERS.put(tx, &name, &UserRow { password_hash, ..row })?;
            Ok(Ok(()))
        })
    }

    /// Removes a user and their app passwords.
    pub fn remove(&self, name: &str) -> Result<(), AccountError> {
        let name = name.to_owned();
        self.change(move |tx| {
            if !USERS.contains(tx, &name)? {
                return Ok(Err(AccountError::Unknown(name)));
            }
            if is_only_admin(tx, &name)? {
                return Ok(Err(AccountError::LastAdmin(name)));
            }
            USERS.remove(tx, &name)?;
            APP_PASSWORDS.remove(tx, &name)?;
            ids::forget_user(tx, &name)?;
            Ok(Ok(()))
        })
    }

    /// Runs a change that logins could depend on. What it refuses it must refuse before it writes.
    pub(super) fn change<R, F>(&self, work: F) -> Result<R, AccountError>
    where
        R: Send + 'static,
        F: FnOnce(&WriteTransaction) -> Result<Result<R, AccountError>, StoreError> + Send + 'static,
    {
        let done = self.store.write(work);
        self.changed();
        done?
    }

    /// Says, after the commit, that something changed: whoever reads the new number reads the new rows.
    pub(super) fn changed(&self) {
        self.generation.fetch_add(1, Ordering::SeqCst);
    }

    /// The number of the state of all users: to be read before the rows that are kept with it. As long as it is the same, whoever was somebody
    /// still is.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }

    /// What a login of this user is checked against.
    pub(super) fn known(&self, name: &str) -> Result<Option<Known>, AccountError> {
        let tx = self.store.read()?;
        let Some(UserRow { grant, password_hash }) = USERS.get(&tx, name)? else { return Ok(None) };
        let app_passwords = APP_PASSWORDS.get(&tx, name)?.unwrap_or_default();
        Ok(Some(Known { grant, password_hash, app_passwords }))
    }
}

/// Whether this is an admin and there is no other.
fn is_only_admin(tx: &WriteTransaction, name: &str) -> Result<bool, StoreError> {
    let all = USERS.all_to_change::<UserRow>(tx)?;
    let mut admins = all.iter().filter(|(_, row)| row.grant.role == Role::Admin);
    Ok(admins.next().is_some_and(|(first, _)| first == name) && admins.next().is_none())
}

fn check_name(name: &str) -> Result<(), AccountError> {
    // In addresses these two mean folders.
    let is_way = matches!(name, "." | "..");
    let bad = name.is_empty() || is_way || name.len() > NAME_LIMIT || name.chars().any(|c| c.is_control() || c == ':' || c == '/');
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
    random_letters(20)
}

/// Compares secrets in a time that tells nothing of where they differ.
pub(crate) fn same_secret(one: &[u8], other: &[u8]) -> bool {
    blake3::hash(one) == blake3::hash(other)
}

/// So many letters and digits, none of which look alike; each has five bits.
pub(super) fn random_letters(count: usize) -> Result<String, AccountError> {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut bytes = vec![0_u8; count];
    getrandom::fill(&mut bytes).map_err(|error| AccountError::Hash(error.to_string()))?;
    Ok(bytes.iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::Given;

    fn users(folder: &tempfile::TempDir) -> Users {
        Users::new(Store::open(&folder.path().join("s.redb")).unwrap())
    }

    #[test]
    fn users_come_and_go() {
        let folder = tempfile::tempdir().unwrap();
        let users = users(&folder);
        users.add("admin", Role::Admin, "correct horse").unwrap();
        assert!(matches!(users.add("admin", Role::User, "another one"), Err(AccountError::Taken(_))));
        assert!(matches!(users.add("bob", Role::User, "short"), Err(AccountError::BadPassword)));
        for name in ["b:b", "a/b", "", ".", ".."] {
            assert!(matches!(users.add(name, Role::User, "long enough"), Err(AccountError::BadName)), "{name}");
        }
        assert!(matches!(users.remove("admin"), Err(AccountError::LastAdmin(_))));
        assert!(matches!(users.set_password("bob", "long enough"), Err(AccountError::Unknown(_))));
        users.add("bob", Role::Viewer, "long enough").unwrap();
        users.remove("bob").unwrap();
        assert_eq!(users.list().unwrap().len(), 1);
        let hash = users.known("admin").unwrap().unwrap().password_hash;
        assert!(hash.starts_with("$argon2id$") && matches("correct horse", &hash) && !matches("wrong horse", &hash));
    }

    #[test]
    fn the_last_admin_stays_one() {
        let folder = tempfile::tempdir().unwrap();
        let users = users(&folder);
        let to = |role| GrantChange { role: Some(role), ..GrantChange::default() };
        users.add("admin", Role::Admin, "correct horse").unwrap();
        users.add("bob", Role::User, "long enough").unwrap();
        assert!(matches!(users.edit("admin", to(Role::User)), Err(AccountError::LastAdmin(_))));
        assert_eq!(users.edit("bob", to(Role::Admin)).unwrap().role, Role::Admin);
        users.edit("admin", to(Role::Viewer)).unwrap();
        assert!(matches!(users.remove("bob"), Err(AccountError::LastAdmin(_))));
        let less = GrantChange { originals: Some(Given::These(Rights::READ)), ..GrantChange::default() };
        assert!(matches!(users.edit("bob", less), Err(AccountError::AdminHasAll)));
        assert!(matches!(users.edit("eve", to(Role::User)), Err(AccountError::Unknown(_))));
    }

    #[test]
    fn rows_from_before_folders_and_rights_still_open() {
        let folder = tempfile::tempdir().unwrap();
        let users = users(&folder);
        let hash = hash("first password").unwrap();
        let old = serde_json::json!({ "role": "user", "password_hash": hash });
        users.store.write(move |tx| USERS.put(tx, "anna", &old)).unwrap();
        let anna = &users.list().unwrap()[0];
        assert_eq!((anna.name.as_str(), anna.role, anna.originals, &anna.folder), ("anna", Role::User, Rights::ALL, &RelPath::root()));
        let album = GrantChange { folder: Some(RelPath::parse("anna").unwrap()), ..GrantChange::default() };
        assert_eq!(users.edit("anna", album).unwrap().folder.as_str(), "anna");
        assert!(matches("first password", &users.known("anna").unwrap().unwrap().password_hash));
    }
}
