//! The two sides of a sync.

use serde::{Deserialize, Serialize};

/// One side of a sync. Code that treats both sides alike takes a `Side` instead of being written twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The library on this node.
    Local,
    /// The service.
    Remote,
}

impl Side {
    /// The other one.
    pub fn other(self) -> Side {
        match self {
            Side::Local => Side::Remote,
            Side::Remote => Side::Local,
        }
    }
}
