//! Modification times.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// A modification time in nanoseconds since 1970, negative before. Only ever compared for equality with a time
/// from the same clock: clocks of two machines are never compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Mtime(pub i64);

impl Mtime {
    /// From whole seconds since 1970.
    pub fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1_000_000_000))
    }

    /// Whole seconds since 1970, rounded down.
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(1_000_000_000)
    }

    /// The header value of X-OC-MTime: whole seconds. Servers refuse times up to the first day of 1970
    /// (a Nextcloud answers 500 but stores the file all the same), so those are not sent at all.
    pub fn to_oc_mtime(self) -> Option<String> {
        (self.seconds() > 86_400).then(|| self.seconds().to_string())
    }

    /// Parses X-OC-MTime: seconds since 1970, perhaps with decimals (the Nextcloud app for iOS sends them).
    pub fn parse_oc_mtime(text: &str) -> Option<Self> {
        let (whole, fraction) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
        let seconds: i64 = whole.parse().ok()?;
        if !fraction.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let nanos: i64 = format!("{fraction:0<9}")[..9].parse().ok()?;
        let nanos = if whole.starts_with('-') { -nanos } else { nanos };
        seconds.checked_mul(1_000_000_000)?.checked_add(nanos).map(Self)
    }
}

impl From<SystemTime> for Mtime {
    fn from(time: SystemTime) -> Self {
        let nanos = |d: Duration| i64::try_from(d.as_nanos()).unwrap_or(i64::MAX);
        match time.duration_since(UNIX_EPOCH) {
            Ok(after) => Self(nanos(after)),
            Err(before) => Self(-nanos(before.duration())),
        }
    }
}

impl From<Mtime> for SystemTime {
    fn from(mtime: Mtime) -> Self {
        let distance = Duration::from_nanos(mtime.0.unsigned_abs());
        if mtime.0 >= 0 { UNIX_EPOCH + distance } else { UNIX_EPOCH - distance }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oc_mtime_takes_decimals_and_refuses_words() {
        assert_eq!(Mtime::parse_oc_mtime("1700000000"), Some(Mtime::from_seconds(1_700_000_000)));
        assert_eq!(Mtime::parse_oc_mtime("1700000000.123"), Some(Mtime(1_700_000_000_123_000_000)));
        assert_eq!(Mtime::parse_oc_mtime("-1.5"), Some(Mtime(-1_500_000_000)));
        for bad in ["", "yesterday", "1e9", "1.x", "9999999999999999999"] {
            assert_eq!(Mtime::parse_oc_mtime(bad), None, "{bad}");
        }
    }

    #[test]
    fn system_time_and_back() {
        for nanos in [0, 1, -1, 1_700_000_000_123_456_789, -5_000_000_000] {
            assert_eq!(Mtime::from(SystemTime::from(Mtime(nanos))), Mtime(nanos));
        }
    }
}
