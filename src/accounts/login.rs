//! Checking logins.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::users::matches;
use super::{AccountError, Rights, Role, Users};
use crate::types::RelPath;

/// How long a verified login is remembered.
const REMEMBER: Duration = Duration::from_secs(300);
/// So many wrong passwords are answered at once.
const FREE: u32 = 5;
/// After so long without another one, failures are forgotten.
const FORGIVE: Duration = Duration::from_secs(900);
/// How many at the most; beyond that the table is emptied, which only costs time.
const ENTRIES: usize = 4096;

/// Somebody who proved to be who they say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The user's name.
    pub user: String,
    /// What they may do.
    pub role: Role,
    /// The folder of the library that is their root; the library's own root for most.
    pub folder: RelPath,
    /// What they may do in the library.
    pub originals: Rights,
    /// What they may do in the import folder.
    pub import: Rights,
}

impl Login {
    /// Somebody with the rights that a role has by itself.
    pub fn of(user: impl Into<String>, role: Role) -> Self {
        let rights = if role == Role::Viewer { Rights::READ } else { Rights::ALL };
        Self { user: user.into(), role, folder: RelPath::root(), originals: rights, import: rights }
    }
}

/// What a login came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Checked {
    /// The password is right.
    Welcome(Login),
    /// The password is wrong or the user unknown.
    Wrong,
    /// Wrong, and not for the first time: so long the next answer will take.
    TooOften(Duration),
}

/// Failed logins of one user from one address.
#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    last: Instant,
}

/// Checks logins against the users. Cheap to clone.
#[derive(Clone)]
pub struct Logins {
    users: Users,
    /// Made anew at each start: what is remembered is worth nothing outside this process.
    key: [u8; 32],
    remembered: Arc<Mutex<HashMap<[u8; 32], Instant>>>,
    failures: Arc<Mutex<HashMap<(String, IpAddr), Failures>>>,
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
        Ok(Self { users, key, remembered: Arc::default(), failures: Arc::default(), turns, decoy: decoy.into() })
    }

    /// Who this is. Wrong passwords of one user from one address are answered more and more slowly; a right one is welcome at any time,
    /// and at once when it was right lately.
    pub async fn check(&self, user: &str, password: &str, from: IpAddr) -> Result<Checked, AccountError> {
        let known = self.users.credentials(user)?;
        // The stored hash is part of the key: a changed password makes what was remembered worthless.
        let stored = known.as_ref().map_or(&*self.decoy, |(_, hash)| hash.as_str());
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        for part in [user, stored, password] {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
        }
        let ticket = *hasher.finalize().as_bytes();
        let remembered = lock(&self.remembered).get(&ticket).is_some_and(|since| since.elapsed() < REMEMBER);
        if !remembered {
            let who = (user.to_owned(), from);
            self.wait_after_failures(&who).await;
            let (password, stored) = (password.to_owned(), stored.to_owned());
            let turn = self.turns.acquire().await;
            let right = tokio::task::spawn_blocking(move || matches(&password, &stored)).await.unwrap_or(false);
            drop(turn);
            if !right || known.is_none() {
                return Ok(self.failed(who));
            }
            lock(&self.failures).remove(&who);
            let mut table = lock(&self.remembered);
            if table.len() >= ENTRIES {
                table.clear();
            }
            table.insert(ticket, Instant::now());
        }
        let login = known.map(|(role, _)| Login::of(user, role));
        Ok(login.map_or(Checked::Wrong, Checked::Welcome))
    }

    /// After several failures the next check waits. Whoever knows the password gets in all the same, only later.
    async fn wait_after_failures(&self, who: &(String, IpAddr)) {
        let failures = lock(&self.failures).get(who).copied();
        if let Some(Failures { count, last }) = failures {
            tokio::time::sleep_until((last + pause(count)).into()).await;
        }
    }

    fn failed(&self, who: (String, IpAddr)) -> Checked {
        let mut table = lock(&self.failures);
        table.retain(|_, failures| failures.last.elapsed() < FORGIVE);
        if table.len() >= ENTRIES {
            table.clear();
        }
        let failures = table.entry(who).or_insert(Failures { count: 0, last: Instant::now() });
        failures.count += 1;
        failures.last = Instant::now();
        match pause(failures.count) {
            Duration::ZERO => Checked::Wrong,
            pause => Checked::TooOften(pause),
        }
    }
}

/// How long the check after so many failures waits: the first few are typing errors, then it doubles.
fn pause(failures: u32) -> Duration {
    match failures.checked_sub(FREE) {
        None => Duration::ZERO,
        Some(over) => Duration::from_millis(500 * (1 << over.min(6))),
    }
}

/// What these guard is whole even when a thread panicked while it held them.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
        let here = IpAddr::from([127, 0, 0, 1]);
        let login = Checked::Welcome(Login::of("anna", Role::User));
        for _ in 0..2 {
            assert_eq!(logins.check("anna", "first password", here).await.unwrap(), login);
        }
        assert_eq!(lock(&logins.remembered).len(), 1);
        assert_eq!(logins.check("anna", "wrong password", here).await.unwrap(), Checked::Wrong);
        assert_eq!(logins.check("nobody", "first password", here).await.unwrap(), Checked::Wrong);
        users.set_password("anna", "second password").unwrap();
        assert_eq!(logins.check("anna", "first password", here).await.unwrap(), Checked::Wrong);
        assert_eq!(logins.check("anna", "second password", here).await.unwrap(), login);
    }

    #[tokio::test]
    async fn failures_are_slowed_down_and_a_right_password_is_welcome() {
        let folder = tempfile::tempdir().unwrap();
        let users = Users::new(Store::open(&folder.path().join("s.redb")).unwrap());
        users.add("anna", Role::User, "first password").unwrap();
        let logins = Logins::new(users).unwrap();
        let (here, there) = (IpAddr::from([127, 0, 0, 1]), IpAddr::from([127, 0, 0, 2]));
        for _ in 1..FREE {
            assert_eq!(logins.check("anna", "guess", here).await.unwrap(), Checked::Wrong);
        }
        assert!(matches!(logins.check("anna", "guess", here).await.unwrap(), Checked::TooOften(_)));
        // Another address is not concerned, and the right password gets in and clears the slate.
        assert_eq!(logins.check("anna", "guess", there).await.unwrap(), Checked::Wrong);
        assert!(matches!(logins.check("anna", "first password", here).await.unwrap(), Checked::Welcome(_)));
        assert_eq!(logins.check("anna", "guess", here).await.unwrap(), Checked::Wrong);
    }

    #[test]
    fn the_pause_doubles_and_ends() {
        assert_eq!(pause(4), Duration::ZERO);
        assert_eq!(pause(5), Duration::from_millis(500));
        assert_eq!(pause(6), Duration::from_secs(1));
        assert_eq!(pause(1000), Duration::from_secs(32));
    }
}
