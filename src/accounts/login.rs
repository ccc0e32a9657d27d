//! Checking logins.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::app_passwords::app_hash;
use super::network::Network;
use super::remembered::{Found, Proof, Remembered};
use super::throttle::{Place, Throttle, Ticket};
use super::turns::Turns;
use super::users::{Known, matches};
use super::{AccountError, Grant, NewAppPassword, Rights, Role, Users};
use crate::types::RelPath;

/// The hash of no password: its salt and output are valid, but nothing hashes to it. Verified against when the user is unknown, so that the
/// answer takes as long.
const DECOY: &str = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

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
    /// The id of the app password that they logged in with; none for the user's own password.
    pub app_password: Option<String>,
}

impl Login {
    /// Somebody with the rights that a role has by itself.
    pub fn of(user: impl Into<String>, role: Role) -> Self {
        Self::granted(user, &role.into())
    }

    pub(super) fn granted(user: impl Into<String>, grant: &Grant) -> Self {
        Self {
            user: user.into(),
            role: grant.role,
            folder: grant.root(),
            originals: grant.in_originals(),
            import: grant.in_import(),
            app_password: None,
        }
    }

    fn proven(user: &str, known: &Known, proof: &Proof) -> Self {
        let app_password = match proof {
            Proof::App(id, _) => Some(id.clone()),
            Proof::Password(_) => None,
        };
        Self { app_password, ..Self::granted(user, &known.grant) }
    }
}

/// What a login came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Checked {
    /// The password is right.
    Welcome(Login),
    /// The password is wrong or the user unknown.
    Wrong,
    /// Wrong, and not for the first time: so long the client should wait before the next try.
    TooOften(Duration),
}

/// Checks logins against the users. Cheap to clone.
#[derive(Clone)]
pub struct Logins {
    users: Users,
    /// Made anew at each start: what is remembered is worth nothing outside this process.
    key: [u8; 32],
    remembered: Remembered,
    throttle: Throttle,
    turns: Turns,
    /// Wrong ones since the start.
    refused: Arc<AtomicU64>,
    /// Nobody gets in, whatever the password: what else forgets to look whether the node is public has no login to go by.
    closed: bool,
}

/// Somebody's try.
struct Try<'a> {
    user: &'a str,
    password: &'a str,
    network: Network,
    ticket: Ticket,
}

impl Logins {
    /// Logins of these users.
    pub fn new(users: Users) -> Result<Self, AccountError> {
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(|error| AccountError::Hash(error.to_string()))?;
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        Ok(Self {
            users,
            key,
            remembered: Remembered::new(),
            throttle: Throttle::new(),
            turns: Turns::new(cores),
            refused: Arc::default(),
            closed: false,
        })
    }

    /// The same, but nobody gets in if `closed`: for a node in public mode.
    pub fn closed(self, closed: bool) -> Self {
        Self { closed, ..self }
    }

    /// The users that logins are checked against.
    pub fn users(&self) -> &Users {
        &self.users
    }

    /// How many logins were refused since the start: wrong passwords and unknown users.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Holds no answer back any more: the node is about to stop.
    pub fn release(&self) {
        self.throttle.release();
    }

    /// Who this is: by their own password or by one of their app passwords. A right one is welcome at once, at any time; wrong ones of one
    /// user from one address are answered more and more slowly.
    pub async fn check(&self, user: &str, password: &str, from: IpAddr) -> Result<Checked, AccountError> {
        if self.closed {
            return Ok(Checked::Wrong);
        }
        let network = Network::of(from);
        let ticket = self.keyed(&[user.as_bytes(), password.as_bytes(), &network.bytes()]);
        let attempt = Try { user, password, network, ticket };
        match self.remembered(&attempt)? {
            Some(login) => Ok(Checked::Welcome(login)),
            // Boxed: few requests come this far, and all would carry the room for it.
            None => Box::pin(self.verify(attempt)).await,
        }
    }

    /// Who this is, by an app password alone: for programs that send it without a name.
    pub async fn check_app_password(&self, password: &str, from: IpAddr) -> Result<Checked, AccountError> {
        // Wrong ones are counted, and slowed down, like those of a user whom nobody has: the empty name cannot be given.
        let user = if self.closed { None } else { self.users.owner_of(password)? };
        self.check(user.as_deref().unwrap_or_default(), password, from).await
    }

    /// Whether nobody has logged in yet with an app password that is there.
    pub fn is_unused(&self, made: &NewAppPassword) -> Result<bool, AccountError> {
        // That it was used is stored in the background; who logged in is remembered at once.
        if self.remembered.has_app_password(&made.id) {
            return Ok(false);
        }
        Ok(self.users.app_passwords(&made.user)?.iter().any(|app| app.id == made.id && app.last_used.is_none()))
    }

    fn keyed(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        for part in parts {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
        }
        *hasher.finalize().as_bytes()
    }

    /// Somebody who was verified before, if that still holds.
    fn remembered(&self, attempt: &Try<'_>) -> Result<Option<Login>, AccountError> {
        let generation = self.users.generation();
        let login = match self.remembered.find(&attempt.ticket, generation) {
            Found::Good { login, note } => {
                if note {
                    self.note_use(&login);
                }
                Some(login)
            }
            Found::Doubtful(proof) => match self.users.known(attempt.user)? {
                Some(known) if proof.holds(&known) => {
                    let login = Login::proven(attempt.user, &known, &proof);
                    self.remembered.put(attempt.ticket, login.clone(), proof, generation);
                    Some(login)
                }
                _ => {
                    self.remembered.forget(&attempt.ticket);
                    None
                }
            },
            Found::Nothing => None,
        };
        Ok(login)
    }

    async fn verify(&self, attempt: Try<'_>) -> Result<Checked, AccountError> {
        let place = self.keyed(&[attempt.user.as_bytes(), &attempt.network.bytes()]);
        let generation = self.users.generation();
        if !self.throttle.is_wrong(&attempt.ticket, generation) {
            if let Some(login) = self.by_app_password(&attempt, generation)? {
                self.throttle.forgive(&place);
                return Ok(Checked::Welcome(login));
            }
            let turn = self.turns.take(attempt.network, place).await;
            // Others with the same password may have had their turn meanwhile: a client opens many connections at once.
            if let Some(login) = self.remembered(&attempt)? {
                return Ok(Checked::Welcome(login));
            }
            if !self.throttle.is_wrong(&attempt.ticket, self.users.generation()) {
                let logins = self.clone();
                let Try { user, password, network, ticket } = attempt;
                let (user, password) = (user.to_owned(), password.to_owned());
                // It ends, and is counted, even if the client does not wait for the answer.
                let verified = tokio::task::spawn_blocking(move || {
                    let _turn = turn;
                    logins.by_password(&Try { user: &user, password: &password, network, ticket }, place)
                });
                return match verified.await.map_err(|error| AccountError::Hash(error.to_string()))?? {
                    Ok(login) => Ok(Checked::Welcome(login)),
                    Err(failures) => Ok(self.refuse(network, failures).await),
                };
            }
        }
        let failures = self.failed(&attempt, place);
        Ok(self.refuse(attempt.network, failures).await)
    }

    /// Whether it is an app password, which takes no time to find out.
    fn by_app_password(&self, attempt: &Try<'_>, generation: u64) -> Result<Option<Login>, AccountError> {
        let Some(known) = self.users.known(attempt.user)? else { return Ok(None) };
        if known.app_passwords.is_empty() {
            return Ok(None);
        }
        let hash = app_hash(attempt.user, attempt.password);
        let Some(stored) = known.app_passwords.iter().find(|stored| stored.has(hash)) else { return Ok(None) };
        let proof = Proof::App(stored.app.id.clone(), hash);
        let login = Login::proven(attempt.user, &known, &proof);
        self.note_use(&login);
        self.remembered.put(attempt.ticket, login.clone(), proof, generation);
        Ok(Some(login))
    }

    /// Whether it is the user's own password; otherwise how often it went wrong here. Blocks.
    fn by_password(&self, attempt: &Try<'_>, place: Place) -> Result<Result<Login, u32>, AccountError> {
        let generation = self.users.generation();
        let known = self.users.known(attempt.user)?;
        let right = matches(attempt.password, known.as_ref().map_or(DECOY, |known| &known.password_hash));
        match known {
            Some(known) if right => {
                self.throttle.forgive(&place);
                let proof = Proof::Password(known.password_hash.clone());
                let login = Login::proven(attempt.user, &known, &proof);
                self.remembered.put(attempt.ticket, login.clone(), proof, generation);
                Ok(Ok(login))
            }
            _ => {
                self.throttle.found_wrong(attempt.ticket, generation);
                Ok(Err(self.failed(attempt, place)))
            }
        }
    }

    fn failed(&self, attempt: &Try<'_>, place: Place) -> u32 {
        let failures = self.throttle.failed(place);
        // Now and then, not each time: a flood of guesses must not become one of log lines.
        if failures >= 8 && failures.is_power_of_two() {
            tracing::warn!(user = ?attempt.user, network = %attempt.network, failures, "many wrong logins");
        }
        failures
    }

    async fn refuse(&self, network: Network, failures: u32) -> Checked {
        self.refused.fetch_add(1, Ordering::Relaxed);
        self.throttle.hold(network, failures).await.map_or(Checked::Wrong, Checked::TooOften)
    }

    /// Notes that an app password is in use, in the background.
    fn note_use(&self, login: &Login) {
        let Some(id) = login.app_password.clone() else { return };
        let (users, user) = (self.users.clone(), login.user.clone());
        tokio::task::spawn_blocking(move || {
            if let Err(error) = users.note_use(&user, &id) {
                tracing::warn!(%error, user, "the use of an app password could not be noted");
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;
    use crate::accounts::GrantChange;
    use crate::store::Store;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const THERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    fn anna(folder: &tempfile::TempDir) -> (Users, Logins) {
        let users = Users::new(Store::open(&folder.path().join("s.redb")).unwrap());
        users.add("anna", Role::User, "first password").unwrap();
        (users.clone(), Logins::new(users).unwrap())
    }

    async fn check(logins: &Logins, user: &str, password: &str) -> Checked {
        logins.check(user, password, HERE).await.unwrap()
    }

    fn welcome() -> Checked {
        Checked::Welcome(Login::of("anna", Role::User))
    }

    #[tokio::test]
    async fn an_app_password_is_used_from_the_first_login_on() {
        let folder = tempfile::tempdir().unwrap();
        let (users, logins) = anna(&folder);
        let [one, other] = ["one", "other"].map(|label| users.create_app_password("anna", label).unwrap());
        assert!(logins.is_unused(&one).unwrap());
        assert!(matches!(check(&logins, "anna", &one.password).await, Checked::Welcome(_)));
        assert_eq!((logins.is_unused(&one).unwrap(), logins.is_unused(&other).unwrap()), (false, true));
        users.revoke_app_password("anna", &other.id).unwrap();
        assert!(!logins.is_unused(&other).unwrap(), "it is not there any more");
    }

    #[tokio::test]
    async fn whatever_changes_is_noticed_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let (users, logins) = anna(&folder);
        for _ in 0..2 {
            assert_eq!(check(&logins, "anna", "first password").await, welcome());
        }
        assert_eq!(logins.remembered.len(), 1);
        assert_eq!(check(&logins, "anna", "second password").await, Checked::Wrong);
        assert_eq!(check(&logins, "nobody", "first password").await, Checked::Wrong);
        users.set_password("anna", "second password").unwrap();
        assert_eq!(check(&logins, "anna", "first password").await, Checked::Wrong);
        assert_eq!(check(&logins, "anna", "second password").await, welcome());
        let viewer = GrantChange { role: Some(Role::Viewer), ..GrantChange::default() };
        users.edit("anna", viewer).unwrap();
        assert_eq!(check(&logins, "anna", "second password").await, Checked::Welcome(Login::of("anna", Role::Viewer)));
        users.add("bob", Role::Admin, "bob's password").unwrap();
        users.remove("anna").unwrap();
        assert_eq!(check(&logins, "anna", "second password").await, Checked::Wrong);
    }

    #[tokio::test]
    async fn a_change_of_others_costs_no_verification() {
        let folder = tempfile::tempdir().unwrap();
        let (users, logins) = anna(&folder);
        check(&logins, "anna", "first password").await;
        users.add("bob", Role::User, "bob's password").unwrap();
        // Answered without ever waiting: neither a turn nor argon2 is needed.
        let again = logins.check("anna", "first password", HERE).now_or_never();
        assert_eq!(again.unwrap().unwrap(), welcome());
    }

    #[tokio::test]
    async fn an_app_password_is_as_good_until_it_is_revoked() {
        let folder = tempfile::tempdir().unwrap();
        let (users, logins) = anna(&folder);
        let phone = users.create_app_password("anna", "Phone").unwrap();
        let expected = Login { app_password: Some(phone.id.clone()), ..Login::of("anna", Role::User) };
        for _ in 0..2 {
            assert_eq!(check(&logins, "anna", &phone.password).await, Checked::Welcome(expected.clone()));
        }
        users.add("bob", Role::User, "bob's password").unwrap();
        assert_eq!(check(&logins, "bob", &phone.password).await, Checked::Wrong);
        users.set_password("anna", "second password").unwrap();
        assert_eq!(check(&logins, "anna", &phone.password).await, Checked::Welcome(expected));
        users.revoke_app_password("anna", &phone.id).unwrap();
        assert_eq!(check(&logins, "anna", &phone.password).await, Checked::Wrong);
        // What was right is known to be wrong now.
        assert_eq!(check(&logins, "anna", &phone.password).await, Checked::Wrong);
        assert_eq!(check(&logins, "anna", "second password").await, welcome());
    }

    #[tokio::test]
    async fn failures_are_slowed_down_and_a_right_password_is_welcome() {
        let folder = tempfile::tempdir().unwrap();
        let (_, logins) = anna(&folder);
        for _ in 1..5 {
            assert_eq!(check(&logins, "anna", "guess").await, Checked::Wrong);
        }
        assert!(matches!(check(&logins, "anna", "guess").await, Checked::TooOften(_)));
        // Another address is not concerned, and the right password gets in and clears the slate.
        assert_eq!(logins.check("anna", "guess", THERE).await.unwrap(), Checked::Wrong);
        assert_eq!(check(&logins, "anna", "first password").await, welcome());
        assert_eq!(check(&logins, "anna", "guess").await, Checked::Wrong);
    }

    #[tokio::test]
    async fn a_right_password_is_welcome_while_wrong_ones_are_held_back() {
        let folder = tempfile::tempdir().unwrap();
        let (users, logins) = anna(&folder);
        let app = users.create_app_password("anna", "Phone").unwrap().password;
        let mut wrong = tokio::task::JoinSet::new();
        for n in 0..40 {
            let logins = logins.clone();
            wrong.spawn(async move { logins.check("anna", &format!("guess {}", n % 12), HERE).await.unwrap() });
        }
        while logins.throttle.held() < 8 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        for right in [app.as_str(), "first password"] {
            assert!(matches!(check(&logins, "anna", right).await, Checked::Welcome(_)));
        }
        assert!(logins.throttle.held() > 0, "the right ones waited until all pauses were over");
        logins.release();
        let answers = wrong.join_all().await;
        assert!(!answers.iter().any(|answer| matches!(answer, Checked::Welcome(_))));
        assert!(answers.iter().filter(|answer| matches!(answer, Checked::TooOften(_))).count() >= 8);
    }

    #[tokio::test]
    async fn a_flood_of_guesses_does_not_touch_who_was_here_before() {
        let folder = tempfile::tempdir().unwrap();
        let (users, logins) = anna(&folder);
        let app = users.create_app_password("anna", "Phone").unwrap().password;
        check(&logins, "anna", "first password").await;
        let mut guesses: Vec<_> = (0..50).map(|n| (logins.clone(), format!("guess {n}"))).collect();
        let mut flood: Vec<_> = guesses.iter_mut().map(|(logins, guess)| Box::pin(logins.check("anna", guess, HERE))).collect();
        assert!(flood.iter_mut().all(|guess| guess.as_mut().now_or_never().is_none()), "all of them wait for their turn");
        for right in ["first password", &app] {
            let answer = logins.check("anna", right, HERE).now_or_never();
            assert!(matches!(answer, Some(Ok(Checked::Welcome(_)))), "{right} waited");
        }
    }
}
