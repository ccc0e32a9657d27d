//! People: users and what they may do, their passwords and app passwords, logins that are remembered for a while, guesses that are slowed
//! down.
//!
//! Rank 3. Passwords are kept as argon2id hashes, app passwords, which nobody could guess, as BLAKE3 hashes. A login that was verified is
//! remembered under a keyed hash, so that not every request pays for argon2. Whatever changes a user is noticed by the very next request.
//!
//! # Whom the throttle is for
//!
//! A *place* is a user name as seen from a *network*: an IPv4 address, or the /64 of an IPv6 address, which is what one household or server
//! has to itself. Somebody who guesses a user's password from there gets 401 for the first few wrong answers, then 429 with Retry-After, each
//! held back for a pause that doubles. The owner of the password, perhaps behind the same NAT or proxy, must not feel any of it:
//!
//! - The pause comes after the verification and only for what was found wrong. No right password is ever refused or made to wait for a pause.
//! - What was right from this network during the last day needs no verification, and neither does an app password: a flood is nothing to
//!   them. Being right is remembered per network, so that guesses from elsewhere gain nothing from it.
//! - What was wrong lately is known to be wrong without argon2: a forgotten device with an old password costs nothing.
//! - The rest takes turns for argon2: one a place, half of the cores a network, a core each in all, first come first served at each gate. A
//!   flood against one user leaves a core to other networks and delays other users of its own network by a turn.
//! - So many pauses are held a network; beyond that a 429 goes out at once. Tables are bounded; the oldest half makes room.
//!
//! What this cannot do: a right password that is welcome at once, whoever else is guessing, is welcome to a guesser too. Somebody who drops
//! connections instead of waiting for pauses has as many guesses as argon2 takes turns of half the cores, some dozens a second (and while the
//! owner logs in from the very same network, as many as the server answers: behind a proxy whose word is not trusted, that network is
//! everybody's). They are counted and logged all the same. People's passwords should stand that; app passwords, of 125 random bits, do.
//! Under such a flood, a right password that was not used from that network during the last day waits for its turn among the guesses for the
//! same user from there that are still connected.

mod app_passwords;
mod grant;
mod login;
mod network;
mod remembered;
mod rights;
mod sessions;
mod throttle;
mod turns;
mod users;

pub use app_passwords::{AppPassword, NewAppPassword};
pub use grant::{Given, Grant, GrantChange, Role};
pub use login::{Checked, Login, Logins};
pub use rights::Rights;
pub use sessions::Session;
pub(crate) use users::same_secret;
pub use users::{AccountError, User, Users, random_password};
