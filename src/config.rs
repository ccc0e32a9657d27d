//! Settings as they are written: the file `twinlens.toml`, and times as people write them.
//!
//! Rank 1. It knows how a setting is written and where, not what it means. A value that cannot be used is told with the file, the line and the
//! key.

mod file;
mod spans;

pub use file::{ConfigError, Entry, SettingsFile};
pub use spans::{days, interval, pause, span};

/// Its name in the data folder.
pub const FILE: &str = "twinlens.toml";
