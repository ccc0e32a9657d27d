//! A node: the composition root and the way to embed Twinlens.
//!
//! Rank 7. Opens the state, the library, the accounts and the services, serves them if asked to, and stops in order. Everything that
//! the command line can do is a method here, and a [`Command`] for a node that runs in another process.

mod care;
mod caretaker;
mod carry_out;
mod command;
mod conflicts;
mod control;
mod failure;
mod operations;
mod peers;
mod restored;
mod runs;
mod schedule;
mod start;
mod status;
mod syncing;
mod tombstones;
mod upkeep;
mod verify;

pub use care::{Care, TRASH_DAYS};
pub use caretaker::CareSettings;
pub use command::{AccountChange, Command, Limit, NewService, NewUser, SyncChange, SyncRequest};
pub use conflicts::Keep;
pub use control::{Control, Message};
pub use failure::{ExitCode, Failure};
pub use start::{Builder, FirstAdmin, Node};
pub use upkeep::UpkeepSettings;
