//! Sessions: what a browser has instead of the password, after it was typed once.
//!
//! The id is 256 random bits that only the browser has; what is stored is their hash. A session rests on the password, or app password, that it
//! began with: when that is changed, or the user removed, the session is over with the very next request. It ends as well when it was not used
//! for a week, and after a month in any case. Sessions survive a restart.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::users::Known;
use super::{AccountError, Login, Users};
use crate::store::StoreError;
use crate::store::documents::SESSIONS;

/// So many seconds after its last use it ends, ...
const IDLE: i64 = 7 * 86_400;
/// ... and so many after its beginning.
const LONGEST: i64 = 30 * 86_400;
/// Its use is noted when the last note is so many seconds old.
const NOTE: i64 = 300;
/// For one user; the one that was not used for the longest time makes room.
const MOST: usize = 50;
const STORED: &str = "twinlens 2026 session of a user";
const CSRF: &str = "twinlens 2026 CSRF token of a session";

/// How it is stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Row {
    user: String,
    /// What it rests on: the hash of the stored password, or the id of the app password, which is never given again.
    password: Option<String>,
    app_password: Option<String>,
    began: i64,
    used: i64,
}

impl Row {
    fn ends(&self) -> i64 {
        (self.used + IDLE).min(self.began + LONGEST)
    }

    /// Whether what it rests on is still there.
    fn holds(&self, known: &Known) -> bool {
        match (&self.password, &self.app_password) {
            (Some(password), None) => *password == proof(known),
            (None, Some(id)) => known.app_passwords.iter().any(|stored| stored.app.id == *id),
            _ => false,
        }
    }
}

/// A session that goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Whose it is, and what they may do now.
    pub login: Login,
    /// What a page of ours says with every change, and a page of somebody else cannot know.
    pub csrf: String,
    /// When it ends unless it is used, in seconds since 1970.
    pub ends: i64,
}

impl Users {
    /// Begins a session for somebody who has just logged in. Returns its id, which nobody else may see.
    pub fn begin_session(&self, login: &Login) -> Result<String, AccountError> {
        let mut bytes = [0_u8; 32];
        getrandom::fill(&mut bytes).map_err(|error| AccountError::Hash(error.to_string()))?;
        let id = URL_SAFE_NO_PAD.encode(bytes);
        let known = self.known(&login.user)?.ok_or_else(|| AccountError::Unknown(login.user.clone()))?;
        let app_password = login.app_password.clone();
        let now = self.store.clock().seconds();
        let password = app_password.is_none().then(|| proof(&known));
        let row = Row { user: login.user.clone(), password, app_password, began: now, used: now };
        let key = key(&id);
        self.store.write(move |tx| {
            let mut own = Vec::new();
            for (key, other) in SESSIONS.all_to_change::<Row>(tx)? {
                if other.ends() <= now {
                    SESSIONS.remove(tx, &key)?;
                } else if other.user == row.user {
                    own.push((other.used, key));
                }
            }
            own.sort();
            for (_, key) in own.iter().take((own.len() + 1).saturating_sub(MOST)) {
                SESSIONS.remove(tx, key)?;
            }
            SESSIONS.put(tx, &key, &row)
        })?;
        Ok(id)
    }

    /// The session of this id, if it goes on. Blocks for as long as a look into the state.
    pub fn session(&self, id: &str) -> Result<Option<Session>, AccountError> {
        let key = key(id);
        let Some(row) = SESSIONS.get::<Row>(&self.store.read()?, &key)? else { return Ok(None) };
        let now = self.store.clock().seconds();
        let known = self.known(&row.user)?.filter(|known| row.holds(known) && row.ends() > now);
        let Some(known) = known else {
            self.store.write_soon(move |tx| SESSIONS.remove(tx, &key).map(drop))?;
            return Ok(None);
        };
        let login = Login { app_password: row.app_password.clone(), ..Login::granted(&row.user, &known.grant) };
        let used = Row { used: now, ..row.clone() };
        let session = Session { login, csrf: csrf(id), ends: used.ends() };
        if (now - row.used).abs() >= NOTE {
            self.store.write_soon(move |tx| match SESSIONS.contains(tx, &key)? {
                true => SESSIONS.put(tx, &key, &used),
                // It was ended meanwhile.
                false => Ok(()),
            })?;
        }
        Ok(Some(session))
    }

    /// Ends a session; nothing happens when there is none of this id.
    pub fn end_session(&self, id: &str) -> Result<(), StoreError> {
        let key = key(id);
        self.store.write(move |tx| SESSIONS.remove(tx, &key).map(drop))?;
        self.changed();
        Ok(())
    }
}

fn key(id: &str) -> String {
    blake3::Hasher::new_derive_key(STORED).update(id.as_bytes()).finalize().to_hex().to_string()
}

fn csrf(id: &str) -> String {
    URL_SAFE_NO_PAD.encode(blake3::Hasher::new_derive_key(CSRF).update(id.as_bytes()).finalize().as_bytes())
}

fn proof(known: &Known) -> String {
    blake3::hash(known.password_hash.as_bytes()).to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::{GrantChange, Role};
    use crate::store::Store;

    fn anna(folder: &tempfile::TempDir) -> Users {
        let users = Users::new(Store::open(&folder.path().join("s.redb")).unwrap());
        users.add("root", Role::Admin, "first password").unwrap();
        users.add("anna", Role::User, "first password").unwrap();
        users
    }

    #[test]
    fn a_session_ends_with_what_it_rests_on() {
        let folder = tempfile::tempdir().unwrap();
        let users = anna(&folder);
        let login = Login::of("anna", Role::User);
        let (one, two) = (users.begin_session(&login).unwrap(), users.begin_session(&login).unwrap());
        assert!(one != two && one.len() == 43);
        let session = users.session(&one).unwrap().unwrap();
        assert_eq!(session.login, login);
        assert_ne!(session.csrf, users.session(&two).unwrap().unwrap().csrf);
        users.end_session(&one).unwrap();
        assert_eq!(users.session(&one).unwrap(), None);
        users.edit("anna", GrantChange { role: Some(Role::Viewer), ..GrantChange::default() }).unwrap();
        assert_eq!(users.session(&two).unwrap().unwrap().login, Login::of("anna", Role::Viewer));
        users.set_password("anna", "second password").unwrap();
        assert_eq!(users.session(&two).unwrap(), None);

        let phone = users.create_app_password("anna", "Phone").unwrap();
        let by_app = Login { app_password: Some(phone.id.clone()), ..Login::of("anna", Role::Viewer) };
        let three = users.begin_session(&by_app).unwrap();
        users.set_password("anna", "third password").unwrap();
        assert_eq!(users.session(&three).unwrap().unwrap().login, by_app);
        users.revoke_app_password("anna", &phone.id).unwrap();
        assert_eq!(users.session(&three).unwrap(), None);

        let four = users.begin_session(&Login::of("anna", Role::Viewer)).unwrap();
        users.remove("anna").unwrap();
        users.add("anna", Role::User, "third password").unwrap();
        assert_eq!(users.session(&four).unwrap(), None);
    }

    #[test]
    fn an_old_session_is_none_and_is_swept() {
        let folder = tempfile::tempdir().unwrap();
        let users = anna(&folder);
        let login = Login::of("anna", Role::User);
        let [idle, long] = [(); 2].map(|()| users.begin_session(&login).unwrap());
        let now = users.store.clock().seconds();
        for (id, began, used) in [(&idle, now - IDLE - 1, now - IDLE - 1), (&long, now - LONGEST - 1, now)] {
            let key = key(id);
            let change = move |tx: &redb::WriteTransaction| {
                let row: Row = SESSIONS.get_to_change(tx, &key)?.unwrap();
                SESSIONS.put(tx, &key, &Row { began, used, ..row })
            };
            users.store.write(change).unwrap();
        }
        assert!(users.session(&idle).unwrap().is_none() && users.session(&long).unwrap().is_none());
        users.begin_session(&login).unwrap();
        assert_eq!(SESSIONS.all::<Row>(&users.store.read().unwrap()).unwrap().len(), 1);
    }

    #[test]
    fn the_id_is_not_in_the_state() {
        let folder = tempfile::tempdir().unwrap();
        let users = anna(&folder);
        let id = users.begin_session(&Login::of("anna", Role::User)).unwrap();
        let state = std::fs::read(folder.path().join("s.redb")).unwrap();
        assert!(!state.windows(id.len()).any(|window| window == id.as_bytes()));
        for _ in 0..MOST + 3 {
            users.begin_session(&Login::of("anna", Role::User)).unwrap();
        }
        assert_eq!(SESSIONS.all::<Row>(&users.store.read().unwrap()).unwrap().len(), MOST);
    }
}
