//! Times as people write them.

use std::time::Duration;

/// `30d`, `12h`, `1h 30m`.
pub fn span(text: &str) -> Result<Duration, String> {
    const HOW: &str = "write it like 30d, 12h or 90m";
    let days = text.strip_suffix('d').and_then(|days| days.parse::<u64>().ok()).and_then(|days| days.checked_mul(86_400));
    if let Some(seconds) = days {
        return Ok(Duration::from_secs(seconds));
    }
    let span: jiff::SignedDuration = text.parse().map_err(|_| HOW.to_owned())?;
    Duration::try_from(span).map_err(|_| HOW.to_owned())
}

/// `30d`, `12h`, or `off`: none.
pub fn interval(text: &str) -> Result<Option<Duration>, String> {
    if text == "off" { Ok(None) } else { span(text).map(|span| (!span.is_zero()).then_some(span)) }
}

/// `30`, `30d`: so many days; or `off`: none.
pub fn days(text: &str) -> Result<Option<Duration>, String> {
    if text == "off" {
        return Ok(None);
    }
    let days: Option<u32> = text.strip_suffix('d').unwrap_or(text).parse().ok().filter(|days| *days > 0);
    let days = days.ok_or("write a number of days, or off")?;
    Ok(Some(Duration::from_secs(u64::from(days) * 86_400)))
}

/// `500ms`, `60s`, `5m`, `1h 30m`, `90` (seconds); `off` or `0`: none.
pub fn pause(text: &str) -> Result<Option<Duration>, String> {
    if matches!(text, "off" | "0") {
        return Ok(None);
    }
    if let Ok(seconds) = text.parse() {
        return Ok(Some(Duration::from_secs(seconds)));
    }
    let span: jiff::SignedDuration = text.parse().map_err(|_| "write it like 90s, 15m, 1h or off".to_owned())?;
    let span = Duration::try_from(span).map_err(|_| "a time before now makes no sense".to_owned())?;
    Ok((!span.is_zero()).then_some(span))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        let seconds = |time: Result<Option<Duration>, String>| time.map(|time| time.map(|time| time.as_secs()));
        assert_eq!([days("30"), days("2d"), days("off")].map(seconds), [Ok(Some(2_592_000)), Ok(Some(172_800)), Ok(None)]);
        assert_eq!([interval("12h"), interval("1d"), interval("off")].map(seconds), [Ok(Some(43_200)), Ok(Some(86_400)), Ok(None)]);
        assert_eq!([pause("90"), pause("1h 30m"), pause("0")].map(seconds), [Ok(Some(90)), Ok(Some(5400)), Ok(None)]);
        for bad in ["", "0", "-1", "x"] {
            assert!(days(bad).is_err(), "{bad}");
        }
        for bad in ["", "1y", "-5m", "x"] {
            assert!(pause(bad).is_err() && interval(bad).is_err(), "{bad}");
        }
    }
}
