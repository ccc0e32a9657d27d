//! Logins that were verified.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use super::Login;
use super::throttle::Ticket;
use super::users::Known;

/// How many seconds after its last use a login is forgotten: clients that come by once a day are still known.
const REMEMBER: u64 = 25 * 3600;
/// After how many seconds in use it is time to note again that an app password is in use.
const NOTE: u64 = 3600;
/// How many are remembered at the most.
const ENTRIES: usize = 4096;

/// What a login was verified with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Proof {
    /// The password that is stored like this.
    Password(String),
    /// The app password with this id and hash.
    App(String, blake3::Hash),
}

impl Proof {
    /// Whether it proves the same now.
    pub(super) fn holds(&self, known: &Known) -> bool {
        match self {
            Self::Password(stored) => *stored == known.password_hash,
            Self::App(id, hash) => known.app_passwords.iter().any(|stored| stored.app.id == *id && stored.has(*hash)),
        }
    }
}

struct Entry {
    login: Login,
    proof: Proof,
    /// Of the users, when the login was last compared with them.
    generation: u64,
    /// When it was last used and when that was last noted, in seconds of the table's own clock.
    used: AtomicU64,
    noted: AtomicU64,
}

/// What is remembered of a ticket.
pub(super) enum Found {
    /// It is as good as verified; `note` from time to time, when it is to be noted that it was used.
    Good { login: Login, note: bool },
    /// Something changed about users since: it is good if the proof still holds.
    Doubtful(Proof),
    /// Nothing.
    Nothing,
}

/// The table. Cheap to clone.
#[derive(Clone)]
pub(super) struct Remembered {
    entries: Arc<RwLock<HashMap<Ticket, Entry>>>,
    begin: Instant,
}

impl Remembered {
    pub(super) fn new() -> Self {
        Self { entries: Arc::default(), begin: Instant::now() }
    }

    /// What is known of a ticket while the users have this generation.
    pub(super) fn find(&self, ticket: &Ticket, generation: u64) -> Found {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        let Some(entry) = entries.get(ticket) else { return Found::Nothing };
        let now = self.now();
        let used = entry.used.load(Ordering::Relaxed);
        if now.saturating_sub(used) > REMEMBER {
            return Found::Nothing;
        }
        if entry.generation != generation {
            return Found::Doubtful(entry.proof.clone());
        }
        if now != used {
            entry.used.store(now, Ordering::Relaxed);
        }
        // Only one of many requests at the same time is told to note it.
        let noted = entry.noted.load(Ordering::Relaxed);
        let note =
            now.saturating_sub(noted) > NOTE && entry.noted.compare_exchange(noted, now, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        Found::Good { login: entry.login.clone(), note }
    }

    /// Remembers a login that was verified while the users had this generation.
    pub(super) fn put(&self, ticket: Ticket, login: Login, proof: Proof, generation: u64) {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        let now = self.now();
        if entries.len() >= ENTRIES && !entries.contains_key(&ticket) {
            let mut times: Vec<_> = entries.values().map(|entry| entry.used.load(Ordering::Relaxed)).collect();
            let middle = times.len() / 2;
            let (_, median, _) = times.select_nth_unstable(middle);
            let oldest = *median;
            entries.retain(|_, entry| entry.used.load(Ordering::Relaxed) > oldest);
        }
        entries.insert(ticket, Entry { login, proof, generation, used: AtomicU64::new(now), noted: AtomicU64::new(now) });
    }

    /// Whether somebody logged in with the app password of this id.
    pub(super) fn has_app_password(&self, id: &str) -> bool {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        entries.values().any(|entry| matches!(&entry.proof, Proof::App(own, _) if own == id))
    }

    /// Forgets a ticket.
    pub(super) fn forget(&self, ticket: &Ticket) {
        self.entries.write().unwrap_or_else(PoisonError::into_inner).remove(ticket);
    }

    fn now(&self) -> u64 {
        self.begin.elapsed().as_secs()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries.read().unwrap().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::Role;

    #[test]
    fn the_table_is_bounded() {
        let remembered = Remembered::new();
        for n in 0..3 * ENTRIES {
            let mut ticket = [0; 32];
            ticket[..8].copy_from_slice(&n.to_le_bytes());
            remembered.put(ticket, Login::of("anna", Role::User), Proof::Password(String::new()), 0);
            assert!(matches!(remembered.find(&ticket, 0), Found::Good { .. }));
            assert!(matches!(remembered.find(&ticket, 1), Found::Doubtful(_)));
        }
        assert!(remembered.len() <= ENTRIES);
    }
}
