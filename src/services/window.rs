//! The hours in which a service may be synced by itself.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::openapi::{ObjectBuilder, RefOr, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

const DAY: u16 = 24 * 60;

/// From a minute of the day up to, but not including, another one, by the clock on the owner's wall. It may go past midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Window {
    from: u16,
    until: u16,
}

impl Window {
    /// Whether it is open at a minute of the day.
    pub fn is_open(self, minute: u16) -> bool {
        match self.from < self.until {
            true => (self.from..self.until).contains(&minute),
            false => minute >= self.from || minute < self.until,
        }
    }

    /// How many minutes from a minute of the day until it opens; 0 when it is open.
    pub fn opens_in(self, minute: u16) -> u16 {
        if self.is_open(minute) { 0 } else { (self.from + DAY - minute) % DAY }
    }
}

impl FromStr for Window {
    type Err = String;

    /// `22:00-06:00`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || "write it like 22:00-06:00".to_owned();
        let (from, until) = text.split_once('-').ok_or_else(wrong)?;
        let minute = |text: &str| -> Result<u16, String> {
            let (hours, minutes) = text.trim().split_once(':').ok_or_else(wrong)?;
            let (hours, minutes): (u16, u16) = (hours.parse().map_err(|_| wrong())?, minutes.parse().map_err(|_| wrong())?);
            let given = (minutes < 60).then(|| hours.checked_mul(60)?.checked_add(minutes)).flatten();
            given.filter(|minute| *minute <= DAY).ok_or_else(wrong)
        };
        let (from, until) = (minute(from)? % DAY, minute(until)? % DAY);
        if from == until {
            return Err("it begins when it ends; use off for the whole day".into());
        }
        Ok(Self { from, until })
    }
}

impl PartialSchema for Window {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new().schema_type(Type::String).examples(["22:00-06:00"]).into()
    }
}

impl ToSchema for Window {}

impl TryFrom<String> for Window {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Window> for String {
    fn from(window: Window) -> Self {
        window.to_string()
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, until } = self;
        write!(f, "{:02}:{:02}-{:02}:{:02}", from / 60, from % 60, until / 60, until % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_may_go_past_midnight() {
        let night: Window = "22:00-06:00".parse().unwrap();
        let open = |time: u16| night.is_open(time);
        assert_eq!([22 * 60, 0, 359, 360, 1319].map(open), [true, true, true, false, false]);
        assert_eq!((night.opens_in(360), night.opens_in(1319), night.opens_in(5)), (16 * 60, 1, 0));
        let noon: Window = "12:00-12:30".parse().unwrap();
        assert_eq!([719, 720, 749, 750].map(|time| noon.is_open(time)), [false, true, true, false]);
        assert_eq!(noon.opens_in(750), DAY - 30);
        assert_eq!("8:05-24:00".parse::<Window>().unwrap().to_string(), "08:05-00:00");
    }

    #[test]
    fn what_is_no_window_is_refused() {
        for bad in ["", "22-6", "22:00", "22:60-06:00", "25:00-06:00", "06:00-06:00", "00:00-24:00", "a:b-c:d", "1:99999-2:00"] {
            assert!(bad.parse::<Window>().is_err(), "{bad}");
        }
    }
}
