//! A node: the composition root and the way to embed Twinlens.
//!
//! Rank 8. Opens the state, the library, the accounts and the services, serves them if asked to, and stops in order. What can be done with
//! it are the [`Operations`](crate::operations::Operations).

mod caretaker;
mod control;
mod painter;
mod peers;
mod schedule;
mod sharing;
mod start;
mod upkeep;
mod webhook;

pub use caretaker::CareSettings;
pub use control::Control;
pub use painter::ThumbnailSettings;
pub use start::{Builder, FirstAdmin, Node};
pub use upkeep::UpkeepSettings;
pub use webhook::{HookOn, HookSettings};
