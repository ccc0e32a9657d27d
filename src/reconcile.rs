//! The pure merge kernel: (local, remote, baseline, policy) in, decisions out.
//!
//! Rank 1. No I/O, no clock, no HTTP, no database. It promises:
//! - a deletion derives only from an absence inside coverage ([`Seen::Absent`] needs a [`Covered`] token);
//! - what is unknown on either side is left alone and reported;
//! - contents of two sides are equal only by digest; where one is missing the answer is [`Decision::NeedDigest`];
//! - a [`Plan`] is made only from an outcome that the guard [`Approved`].
//!
//! Flow: [`decide`] one row at a time, [`Outcome`] collects decisions and finds moves and contents that the other side
//! already has, [`guard`](guard::guard) halts what looks like an accident, [`Plan`] is the plain data that is executed.

mod arrange;
pub mod coverage;
mod finder;
pub mod guard;
mod order;
pub mod outcome;
pub mod parking;
pub mod plan;
pub mod policy;
pub mod table;

#[cfg(test)]
mod properties;

pub use coverage::{Coverage, Covered};
pub use guard::{Approved, Halt, Totals};
pub use outcome::{Contents, Outcome};
pub use plan::{Action, Held, Plan, Skipped, Step, Why};
pub use policy::{Deletes, Policy};
pub use table::{Base, Decision, Row, Seen, decide};
