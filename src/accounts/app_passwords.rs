//! Passwords for one device or program each, which can be taken back one by one.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::users::random_letters;
use super::{AccountError, Users};
use crate::store::StoreError;
use crate::store::documents::{APP_PASSWORDS, USERS};

/// 125 bits: 25 letters of five bits each, in groups that can be read aloud.
const GROUPS: usize = 5;
const LETTERS: usize = 5;
const ID_LETTERS: usize = 8;
const LABEL_LIMIT: usize = 128;
/// For one user. Each login through a browser makes one.
const MOST: usize = 200;
/// What the hashes of app passwords are for; another purpose would have other hashes.
const PURPOSE: &str = "twinlens 2026 app password of a user";

/// An app password, without the password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AppPassword {
    /// Its own among those of its user, never given again.
    pub id: String,
    /// The device or program that it is for.
    pub label: String,
    /// When it was made: `2026-01-31T12:00:00Z`.
    pub created: String,
    /// The day when it was last used: `2026-01-31`.
    #[serde(default)]
    pub last_used: Option<String>,
}

/// An app password that was just made: the only time that the password itself is there. Has no `Debug` for that reason.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NewAppPassword {
    /// The user.
    pub user: String,
    /// Its id.
    pub id: String,
    /// What it is for.
    pub label: String,
    /// To be shown once.
    pub password: String,
}

/// How it is stored. The password is random and long: what a slow hash is for, a weak password, is not there.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Stored {
    #[serde(flatten)]
    pub(super) app: AppPassword,
    /// BLAKE3 of user and password, in hex.
    hash: String,
}

impl Stored {
    /// Whether this is the hash that a password was found to have.
    pub(super) fn has(&self, hash: blake3::Hash) -> bool {
        // `Hash` compares in constant time.
        blake3::Hash::from_hex(&self.hash).is_ok_and(|own| own == hash)
    }
}

/// What an app password of a user is stored as.
pub(super) fn app_hash(user: &str, password: &str) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new_derive_key(PURPOSE);
    hasher.update(&(user.len() as u64).to_le_bytes()).update(user.as_bytes()).update(password.as_bytes());
    hasher.finalize()
}

impl Users {
    /// Makes an app password for a user.
    pub fn create_app_password(&self, user: &str, label: &str) -> Result<NewAppPassword, AccountError> {
        let label = label.trim().to_owned();
        if label.is_empty() || label.chars().count() > LABEL_LIMIT || label.chars().any(char::is_control) {
            return Err(AccountError::BadLabel);
        }
        let letters = random_letters(GROUPS * LETTERS)?;
        let groups: Vec<_> = (0..GROUPS).map(|group| &letters[group * LETTERS..][..LETTERS]).collect();
        let new = NewAppPassword { user: user.to_owned(), id: random_letters(ID_LETTERS)?, label, password: groups.join("-") };
        let (user, made, now) = (user.to_owned(), new.clone(), self.store.clock().now());
        self.change(move |tx| {
            if !USERS.contains(tx, &user)? {
                return Ok(Err(AccountError::Unknown(user)));
            }
            let mut all: Vec<Stored> = APP_PASSWORDS.get_to_change(tx, &user)?.unwrap_or_default();
            if all.len() >= MOST {
                return Ok(Err(AccountError::TooMany(user)));
            }
            let created = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
            let app = AppPassword { id: made.id, label: made.label, created, last_used: None };
            all.push(Stored { app, hash: app_hash(&user, &made.password).to_hex().to_string() });
            APP_PASSWORDS.put(tx, &user, &all)?;
            Ok(Ok(()))
        })?;
        Ok(new)
    }

    /// The app passwords of a user, oldest first.
    pub fn app_passwords(&self, user: &str) -> Result<Vec<AppPassword>, AccountError> {
        let known = self.known(user)?.ok_or_else(|| AccountError::Unknown(user.to_owned()))?;
        Ok(known.app_passwords.into_iter().map(|stored| stored.app).collect())
    }

    /// Takes back the app password of this id, or of this label if there is only one. It is refused from the next request on.
    pub fn revoke_app_password(&self, user: &str, app: &str) -> Result<AppPassword, AccountError> {
        let (user, app) = (user.to_owned(), app.to_owned());
        self.change(move |tx| {
            if !USERS.contains(tx, &user)? {
                return Ok(Err(AccountError::Unknown(user)));
            }
            let mut all: Vec<Stored> = APP_PASSWORDS.get_to_change(tx, &user)?.unwrap_or_default();
            let by_label = || {
                let mut of_label = all.iter().enumerate().filter(|(_, stored)| stored.app.label == app).map(|(at, _)| at);
                (of_label.next(), of_label.next())
            };
            let found = match all.iter().position(|stored| stored.app.id == app) {
                Some(at) => (Some(at), None),
                None => by_label(),
            };
            match found {
                (None, _) => Ok(Err(AccountError::UnknownApp { user, app })),
                (Some(_), Some(_)) => Ok(Err(AccountError::Ambiguous { user, label: app })),
                (Some(at), None) => {
                    let revoked = all.remove(at).app;
                    APP_PASSWORDS.put(tx, &user, &all)?;
                    Ok(Ok(revoked))
                }
            }
        })
    }

    /// The user whose app password this is.
    pub(super) fn owner_of(&self, password: &str) -> Result<Option<String>, StoreError> {
        let all: Vec<(String, Vec<Stored>)> = APP_PASSWORDS.all(&self.store.read()?)?;
        let has = |(user, apps): &(String, Vec<Stored>)| {
            let hash = app_hash(user, password);
            apps.iter().any(|stored| stored.has(hash))
        };
        Ok(all.into_iter().find(has).map(|(user, _)| user))
    }

    /// Notes that an app password was used today. Writes once a day; no login depends on it.
    pub(super) fn note_use(&self, user: &str, id: &str) -> Result<(), StoreError> {
        let today = self.store.clock().now().strftime("%Y-%m-%d").to_string();
        let noted: Option<Vec<Stored>> = APP_PASSWORDS.get(&self.store.read()?, user)?;
        let of_id = |stored: &&Stored| stored.app.id == id;
        if noted.is_none_or(|all| all.iter().find(of_id).is_none_or(|stored| stored.app.last_used.as_ref() == Some(&today))) {
            return Ok(());
        }
        let (user, id) = (user.to_owned(), id.to_owned());
        self.store.write_soon(move |tx| {
            // It may have been revoked meanwhile: then there is nothing to note.
            let mut all: Vec<Stored> = APP_PASSWORDS.get_to_change(tx, &user)?.unwrap_or_default();
            if let Some(stored) = all.iter_mut().find(|stored| stored.app.id == id) {
                stored.app.last_used = Some(today);
                APP_PASSWORDS.put(tx, &user, &all)?;
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::Role;
    use crate::store::Store;

    fn anna(folder: &tempfile::TempDir) -> Users {
        let users = Users::new(Store::open(&folder.path().join("s.redb")).unwrap());
        users.add("anna", Role::Admin, "first password").unwrap();
        users
    }

    #[test]
    fn app_passwords_are_made_and_revoked() {
        let folder = tempfile::tempdir().unwrap();
        let users = anna(&folder);
        let phone = users.create_app_password("anna", " Phone ").unwrap();
        assert_eq!((phone.label.as_str(), phone.password.len(), phone.password.matches('-').count()), ("Phone", 29, 4));
        let laptop = users.create_app_password("anna", "Laptop").unwrap();
        assert!(laptop.password != phone.password && laptop.id != phone.id);
        let text = std::fs::read(folder.path().join("s.redb")).unwrap();
        assert!(!text.windows(29).any(|window| window == phone.password.as_bytes()), "the password itself is stored");
        assert_eq!(users.app_passwords("anna").unwrap().iter().map(|app| &*app.label).collect::<Vec<_>>(), ["Phone", "Laptop"]);
        users.create_app_password("anna", "Phone").unwrap();
        assert!(matches!(users.revoke_app_password("anna", "Phone"), Err(AccountError::Ambiguous { .. })));
        assert_eq!(users.revoke_app_password("anna", &phone.id).unwrap().label, "Phone");
        users.revoke_app_password("anna", "Phone").unwrap();
        assert!(matches!(users.revoke_app_password("anna", &phone.id), Err(AccountError::UnknownApp { .. })));
        assert_eq!(users.app_passwords("anna").unwrap().len(), 1);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let users = anna(&folder);
        assert!(matches!(users.create_app_password("bob", "Phone"), Err(AccountError::Unknown(_))));
        assert!(matches!(users.create_app_password("anna", " "), Err(AccountError::BadLabel)));
        assert!(matches!(users.create_app_password("anna", "a\nb"), Err(AccountError::BadLabel)));
        for n in 0..MOST {
            users.create_app_password("anna", &n.to_string()).unwrap();
        }
        assert!(matches!(users.create_app_password("anna", "one more"), Err(AccountError::TooMany(_))));
    }

    #[test]
    fn a_user_of_the_same_name_inherits_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let users = anna(&folder);
        users.add("bob", Role::User, "long enough").unwrap();
        users.create_app_password("bob", "Phone").unwrap();
        users.remove("bob").unwrap();
        users.add("bob", Role::User, "long enough").unwrap();
        assert_eq!(users.app_passwords("bob").unwrap(), []);
    }

    #[test]
    fn a_use_is_noted_once_a_day() {
        let folder = tempfile::tempdir().unwrap();
        let users = anna(&folder);
        let phone = users.create_app_password("anna", "Phone").unwrap();
        let before = users.generation();
        users.note_use("anna", &phone.id).unwrap();
        users.note_use("anna", &phone.id).unwrap();
        users.note_use("anna", "revoked").unwrap();
        let last_used = users.app_passwords("anna").unwrap()[0].last_used.clone().unwrap();
        assert_eq!((last_used.len(), users.generation()), (10, before), "{last_used}");
    }
}
