//! How long an upload stays on a service.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::openapi::{ObjectBuilder, RefOr, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

const DAY: i64 = 24 * 3600;
const DAYS: [u32; 8] = [1, 3, 7, 14, 30, 60, 180, 365];

/// So many days after it arrived an upload is removed; or never. Written `never`, `1d`, `3d`, `7d`, `14d`, `30d`, `60d`, `180d`, `365d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Expires(Option<u32>);

impl Expires {
    /// It stays.
    pub const NEVER: Self = Self(None);

    /// All that can be chosen.
    pub fn all() -> impl Iterator<Item = Self> {
        std::iter::once(Self::NEVER).chain(DAYS.map(|days| Self(Some(days))))
    }

    /// When an upload that arrived at this second since 1970 is to be removed; none: never.
    pub fn after(self, arrived: i64) -> Option<i64> {
        self.0.map(|days| arrived.saturating_add(i64::from(days) * DAY))
    }
}

impl fmt::Display for Expires {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("never"),
            Some(days) => write!(f, "{days}d"),
        }
    }
}

impl FromStr for Expires {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = || Self::all().map(|expires| expires.to_string()).collect::<Vec<_>>().join(", ");
        Self::all().find(|expires| expires.to_string() == text).ok_or_else(|| format!("it is one of {}", names()))
    }
}

impl PartialSchema for Expires {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new().schema_type(Type::String).enum_values(Some(Self::all().map(|expires| expires.to_string()))).into()
    }
}

impl ToSchema for Expires {}

impl Serialize for Expires {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Expires {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_offered_spans_are_taken() {
        assert_eq!("never".parse::<Expires>().unwrap().after(5), None);
        assert_eq!("7d".parse::<Expires>().unwrap().after(5), Some(5 + 7 * 24 * 3600));
        assert!("2d".parse::<Expires>().unwrap_err().contains("never, 1d, 3d"));
        assert_eq!(serde_json::to_value("365d".parse::<Expires>().unwrap()).unwrap(), "365d");
    }
}
