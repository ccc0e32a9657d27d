//! All state in one redb file: typed rows, group commit.
//!
//! Rank 2. Reads see one consistent state and never wait. Writes go through one writer that puts what waits into one
//! transaction, so that many small writers share one fsync. A write that returned from [`Store::write`] is durable; one from
//! [`Store::write_soon`] becomes durable within a second or so, and is only for what a scan can find again.

mod codec;
mod db;
mod disk;

pub mod baseline;
pub mod changes;
pub mod damage;
pub mod documents;
pub mod failures;
pub mod folders;
pub mod history;
pub mod ids;
pub mod index;
pub mod kinds;
pub mod listed;
pub mod meta;
pub mod origins;
pub mod outbox;
pub mod pictures;
pub mod properties;
pub mod remote;
pub mod shares;
pub mod snapshot;
pub mod traces;

pub use db::{Store, StoreError, check_copy};
pub use disk::Disk;
