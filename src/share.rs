//! The queue of chosen files: sent to a service in the size that its owner wants, proven as a sync proves, removed again when they expire.
//!
//! Rank 4. Promises:
//! - what was asked for is done in the end, across restarts, or it is told why not; nothing is sent twice because of a restart;
//! - nothing on the service is replaced: a name that is taken by other content gets a number;
//! - only what was sent from here is removed, and only while it is as it was sent; of folders only those that were made here, and only empty.

mod content;
mod deliver;
mod expire;
mod names;
mod place;
mod queue;
mod run;
mod send;
mod stop;
mod tidy;

pub use queue::{Counts, cancel, counts, prune, retry};
pub use run::{Courier, Ended, ShareError, Tally};
pub use stop::Stop;
