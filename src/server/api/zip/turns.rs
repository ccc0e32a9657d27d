//! Whose zips are being sent.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// So many zips are sent at once, and of them so many to one user: others find a turn whatever one does.
const AT_ONCE: usize = 4;
const OF_ONE: usize = 2;

/// The users to whom zips are being sent, each as often as it is one.
#[derive(Clone, Default)]
pub(super) struct Turns(Arc<Mutex<Vec<String>>>);

impl Turns {
    /// A turn for a user, until it is dropped; none when there are too many.
    pub(super) fn take(&self, user: &str) -> Option<Turn> {
        let mut taken = self.lock();
        if taken.len() >= AT_ONCE || taken.iter().filter(|other| *other == user).count() >= OF_ONE {
            return None;
        }
        taken.push(user.to_owned());
        Some(Turn { turns: self.clone(), user: user.to_owned() })
    }

    fn lock(&self) -> MutexGuard<'_, Vec<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A zip is being sent.
pub(super) struct Turn {
    turns: Turns,
    user: String,
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut taken = self.turns.lock();
        if let Some(at) = taken.iter().position(|user| *user == self.user) {
            taken.swap_remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_user_has_at_most_half_of_the_turns() {
        let turns = Turns::default();
        let take = |user| turns.take(user);
        let anna = [take("anna"), take("anna")];
        assert!(anna.iter().all(Option::is_some) && take("anna").is_none());
        let (ben, cleo) = (take("ben"), take("cleo"));
        assert!(ben.is_some() && cleo.is_some() && take("dora").is_none());
        drop(ben);
        // What ended was not hers.
        assert!(take("anna").is_none());
        let dora = take("dora");
        assert!(dora.is_some() && take("ben").is_none());
        drop(anna);
        assert!(take("ben").is_some() && take("anna").is_some());
    }
}
