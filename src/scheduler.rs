//! When which service is synced.
//!
//! Rank 5. A pure core: it is told the time and what happened, and says what is to be started or stopped now. It starts nothing itself, reads
//! no clock and never sleeps. It promises:
//! - a service is run once in its interval, and a second or two after something changed here or there;
//! - never twice at the same time, and never more than a few services at once;
//! - after a sleep of the machine, or when its clock is set, each service is run once at the most, one after the other;
//! - a service that fails is left alone for longer and longer; one that refuses the password is not asked again by itself.

mod agenda;
mod standing;

pub use agenda::{Action, Agenda, Now, Setting, Trigger};
pub use standing::{Ending, Standing, Stopped};
