//! Checking logins.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::users::matches;
use super::{AccountError, Role, Users};

/// How long a verified login is remembered.
const REMEMBER: Duration = Duration::from_secs(300);
/// How many at the most; beyond that the table is emptied, which only costs time.
const ENTRIES: usize = 4096;

/// Somebody who proved to be who they say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The user's name.
    pub user: String,
    /// What they may do.
    pub role: Role,
}

/// Checks logins against the users. Cheap to clone.
#[derive(Clone)]
pub struct Logins {
    users: Users,
    /// Made anew at each start: what is remembered is worth nothing outside this process.
    key: [u8; 32],
    remembered: Arc<Mutex<HashMap<[u8; 32], Instant>>>,
    /// argon2 needs 19 MiB each time; more at once than cores would only cost memory.
    turns: Arc<tokio::sync::Semaphore>,
    /// Verified against when the user is unknown, so that the answer takes as long.
    decoy: Arc<str>,
}

impl Logins {
    /// Logins of these users.
    pub fn new(users: Users) -> Result<Self, AccountError> {
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(|error| AccountError::Hash(error.to_string()))?;
        let turns = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        // The hash of no password: its salt and output are valid, but nothing hashes to it.
        let decoy = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        let turns = Arc::new(tokio::sync::Semaphore::new(turns));
        Ok(Self { users, key, remembered: Arc::default(), turns, decoy: decoy.into() })
    }

    /// Who this is; none when the password is wrong or the user unknown.
    pub async fn check(&self, user: &str, password: &str) -> Result<Option<Login>, AccountError> {
        let known = self.users.credentials(user)?;
        // The stored hash is part of the key: a changed password makes what was remembered worthless.
        let stored = known.as_ref().map_or(&*self.decoy, |(_, hash)| hash.as_str());
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        for part in [user, stored, password] {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
        }
        let ticket = *hasher.finalize().as_bytes();
        let remembered = self.lock().get(&ticket).is_some_and(|since| since.elapsed() < REMEMBER);
        if !remembered {
            let (password, stored) = (password.to_owned(), stored.to_owned());
            let turn = self.turns.acquire().await;
            let right = tokio::task::spawn_blocking(move || matches(&password, &stored)).await.unwrap_or(false);
            drop(turn);
            if !right || known.is_none() {
                return Ok(None);
            }
            let mut table = self.lock();
            if table.len() >= ENTRIES {
                table.clear();
            }
            table.insert(ticket, Instant::now());
        }
        Ok(known.map(|(role, _)| Login { user: user.to_owned(), role }))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<[u8; 32], Instant>> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    #[tokio::test]
    async fn a_changed_password_is_noticed_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let users = Users::new(Store::open(&folder.path().join("s.redb")).unwrap());
        users.add("anna", Role::User, "first password").unwrap();
        let logins = Logins::new(users.clone()).unwrap();
        let login = Some(Login { user: "anna".into(), role: Role::User });
        for _ in 0..2 {
            assert_eq!(logins.check("anna", "first password").await.unwrap(), login);
        }
        assert_eq!(logins.lock().len(), 1);
        assert_eq!(logins.check("anna", "wrong password").await.unwrap(), None);
        assert_eq!(logins.check("nobody", "first password").await.unwrap(), None);
        users.set_password("anna", "second password").unwrap();
        assert_eq!(logins.check("anna", "first password").await.unwrap(), None);
        assert_eq!(logins.check("anna", "second password").await.unwrap(), login);
    }
}
