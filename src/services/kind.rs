//! What the owner says about a service: which kind of server it is, and how patient to be with it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::openapi::{ObjectBuilder, RefOr, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

/// For ever, as far as timers go.
const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);
/// The longest time-out that can be set, in seconds: an hour.
const LONGEST: u32 = 3600;

/// A kind of server. It says where its files are below an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = ServiceKind)]
pub enum Kind {
    /// Another node: `/originals/`.
    Twinlens,
    /// A PhotoPrism: `/originals/`.
    PhotoPrism,
    /// A Nextcloud: `/remote.php/dav/files/USER/`.
    Nextcloud,
    /// An ownCloud: the same.
    OwnCloud,
    /// Any other server: only the address itself.
    WebDav,
}

impl Kind {
    /// Of the word by which a server was recognised.
    pub fn of(word: &str) -> Self {
        match word {
            "twinlens" => Self::Twinlens,
            "photoprism" => Self::PhotoPrism,
            "nextcloud" => Self::Nextcloud,
            "owncloud" => Self::OwnCloud,
            _ => Self::WebDav,
        }
    }
}

/// How long a service may be silent before a request is given up. There is no limit on the whole of a transfer that moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Timeout {
    /// 120 seconds.
    High,
    /// 60 seconds.
    #[default]
    Default,
    /// 30 seconds.
    Low,
    /// For ever.
    None,
    /// So many seconds, 1 to 3600.
    Seconds(u32),
}

impl Timeout {
    /// As a time.
    pub fn idle(self) -> Duration {
        match self {
            Self::High => Duration::from_secs(120),
            Self::Default => Duration::from_secs(60),
            Self::Low => Duration::from_secs(30),
            Self::None => NEVER,
            Self::Seconds(seconds) => Duration::from_secs(seconds.into()),
        }
    }
}

impl FromStr for Timeout {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "high" => Ok(Self::High),
            "default" => Ok(Self::Default),
            "low" => Ok(Self::Low),
            "none" => Ok(Self::None),
            seconds => match seconds.strip_suffix('s').unwrap_or(seconds).parse() {
                Ok(seconds @ 1..=LONGEST) => Ok(Self::Seconds(seconds)),
                _ => Err(format!("a time-out is high, default, low, none, or 1 to {LONGEST} seconds")),
            },
        }
    }
}

impl fmt::Display for Timeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::High => f.write_str("high"),
            Self::Default => f.write_str("default"),
            Self::Low => f.write_str("low"),
            Self::None => f.write_str("none"),
            Self::Seconds(seconds) => write!(f, "{seconds}"),
        }
    }
}

impl PartialSchema for Timeout {
    fn schema() -> RefOr<Schema> {
        let object = ObjectBuilder::new().schema_type(Type::String).pattern(Some("^(high|default|low|none|[1-9][0-9]{0,3}s?)$"));
        object.description(Some("`high` (120 s), `default` (60 s), `low` (30 s), `none`, or 1 to 3600 seconds.")).into()
    }
}

impl ToSchema for Timeout {}

impl TryFrom<String> for Timeout {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Timeout> for String {
    fn from(timeout: Timeout) -> Self {
        timeout.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_outs_are_words_or_seconds() {
        let seconds = |text: &str| text.parse::<Timeout>().map(|timeout| timeout.idle().as_secs());
        assert_eq!(["high", "default", "low", "7", "90s"].map(seconds), [Ok(120), Ok(60), Ok(30), Ok(7), Ok(90)]);
        assert_eq!("none".parse::<Timeout>().map(Timeout::idle), Ok(NEVER));
        for bad in ["", "0", "3601", "-1", "1h", "forever", "99999999999"] {
            assert!(bad.parse::<Timeout>().is_err(), "{bad}");
        }
        for text in ["high", "default", "low", "none", "7"] {
            assert_eq!(text.parse::<Timeout>().map(|timeout| timeout.to_string()), Ok(text.to_owned()));
        }
    }
}
