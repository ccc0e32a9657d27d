//! How long an upload stays on a service.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;

const DAY: i64 = 24 * 3600;
const DAYS: [u32; 8] = [1, 3, 7, 14, 30, 60, 180, 365];

/// So many days after it arrived an upload is removed; or never. Written `never`, `1d`, `3d`, `7d`, `14d`, `30d`, `60d`, `180d`, `365d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, ToSchema)]
#[schema(value_type = String, pattern = "^(never|(1|3|7|14|30|60|180|365)d)$")]
pub struct Expires(Option<u32>);

impl Expires {
    /// It stays.
    pub const NEVER: Self = Self(None);

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
        let all = || [Self::NEVER].into_iter().chain(DAYS.map(|days| Self(Some(days))));
        let names = || all().map(|expires| expires.to_string()).collect::<Vec<_>>().join(", ");
        all().find(|expires| expires.to_string() == text).ok_or_else(|| format!("it is one of {}", names()))
    }
}

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
