//! People: users, their passwords, and logins that are remembered for a while.
//!
//! Rank 3. Passwords are kept as argon2id hashes only. A login that was verified is remembered for five minutes under a keyed hash,
//! so that not every request pays for argon2; a changed password is noticed at once.

mod login;
mod rights;
mod users;

pub use login::{Checked, Login, Logins};
pub use rights::Rights;
pub use users::{AccountError, Role, User, Users, random_password};
