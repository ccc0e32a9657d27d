//! How well it is known that a service holds the bytes that were sent.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a proof rests on, the weakest first. The name of a level is the same in JSON, in the store and for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Evidence {
    /// The service lists the size that was sent, under the entity tag that it answered, if it has any.
    Size,
    /// Besides, bytes at several places were read back.
    Samples,
    /// The service compared a checksum with the bytes that it received: it answered `X-Hash`, or refuses a wrong checksum.
    ServerVerified,
    /// The service told a checksum that it computed from the bytes that it stored.
    Computed,
    /// Every byte was read back.
    ReadBack,
}

impl Evidence {
    /// All of them, the weakest first.
    pub const ALL: [Self; 5] = [Self::Size, Self::Samples, Self::ServerVerified, Self::Computed, Self::ReadBack];

    /// The name of the level.
    pub fn name(self) -> &'static str {
        match self {
            Self::Size => "size",
            Self::Samples => "samples",
            Self::ServerVerified => "server-verified",
            Self::Computed => "computed",
            Self::ReadBack => "read-back",
        }
    }

    /// What the level means, as the end of a sentence about uploads.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Size => "the service lists the size that was sent; it tells nothing of the bytes themselves",
            Self::Samples => "the service lists the size that was sent, and bytes at several places were read back",
            Self::ServerVerified => "the service compared a checksum with the bytes that it received",
            Self::Computed => "the service computed a checksum from the bytes that it stored, and it is ours",
            Self::ReadBack => "every byte was read back and compared",
        }
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Evidence {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|level| level.name() == text).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_in_json_and_the_order_is_that_of_strength() {
        assert!(Evidence::ALL.is_sorted());
        for level in Evidence::ALL {
            assert_eq!(serde_json::to_value(level).unwrap(), level.name());
            assert_eq!(level.name().parse(), Ok(level));
        }
    }
}
