//! Numbers, sizes, times and dates as people of a language write them.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::super::language::Language;

/// `12,345`; in German `12.345`.
pub(super) fn number(language: Language, number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(language.pick(',', '.'));
        }
        text.push(digit);
    }
    text
}

/// `2.4 MB`, in powers of a thousand.
pub(super) fn size(language: Language, bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "kB", "MB", "GB", "TB", "PB"];
    let (mut shown, mut unit) = (bytes as f64, 0);
    // What would be shown as 1000 belongs to the next unit.
    while shown >= 999.5 && unit + 1 < UNITS.len() {
        shown /= 1000.0;
        unit += 1;
    }
    let text = if unit == 0 || shown >= 99.95 { format!("{shown:.0}") } else { format!("{shown:.1}") };
    format!("{}\u{a0}{}", text.replace('.', language.pick(".", ",")), UNITS[unit])
}

/// A day and a time of it, where the node is: `29 Nov 2026, 14:05`; in German `29.11.2026, 14:05`.
pub(super) fn moment(language: Language, at: Timestamp) -> String {
    local(language, at.to_zoned_datetime(TimeZone::system()).datetime())
}

/// The same of a time that says itself where it is.
pub(super) fn local(language: Language, at: jiff::civil::DateTime) -> String {
    at.strftime(language.pick("%-d %b %Y, %H:%M", "%d.%m.%Y, %H:%M")).to_string()
}

/// A day: `29 Nov 2026`; in German `29.11.2026`.
pub(super) fn day(language: Language, day: jiff::civil::Date) -> String {
    day.strftime(language.pick("%-d %b %Y", "%d.%m.%Y")).to_string()
}

/// How long something takes or took, in its two largest units: `2 h 5 min`.
pub(super) fn span(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}\u{a0}s"),
        60..3600 => two((seconds / 60, "min"), (seconds % 60, "s")),
        3600..86_400 => two((seconds / 3600, "h"), (seconds % 3600 / 60, "min")),
        _ => two((seconds / 86_400, "d"), (seconds % 86_400 / 3600, "h")),
    }
}

/// How long a video lasts, as players write it: `1:05`. What lasts less than a second lasts one.
pub(super) fn lasting(seconds: f64) -> String {
    let all = std::time::Duration::try_from_secs_f64(seconds.round()).unwrap_or_default().as_secs().max(1);
    let (hours, minutes, rest) = (all / 3600, all / 60 % 60, all % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{rest:02}") } else { format!("{minutes}:{rest:02}") }
}

/// The smaller one only if there is something of it.
fn two((more, large): (u64, &str), (less, small): (u64, &str)) -> String {
    if less == 0 { format!("{more}\u{a0}{large}") } else { format!("{more}\u{a0}{large} {less}\u{a0}{small}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_numbers_are_of_their_language() {
        assert_eq!(number(Language::English, 1_234_567), "1,234,567");
        assert_eq!(number(Language::German, 999), "999");
        assert_eq!(size(Language::German, 2_481_152), "2,5\u{a0}MB");
        assert_eq!(size(Language::English, 999_700), "1.0\u{a0}MB");
        assert_eq!(size(Language::English, 0), "0\u{a0}B");
        assert_eq!(size(Language::English, u64::MAX), "18447\u{a0}PB");
    }

    #[test]
    fn videos_last_as_players_write_it() {
        assert_eq!([0.2, 59.6, 754.0, 3723.4].map(lasting), ["0:01", "1:00", "12:34", "1:02:03"]);
    }

    #[test]
    fn spans_have_two_units() {
        assert_eq!(span(59), "59\u{a0}s");
        assert_eq!(span(120), "2\u{a0}min");
        assert_eq!(span(3725), "1\u{a0}h 2\u{a0}min");
        assert_eq!(span(90_000), "1\u{a0}d 1\u{a0}h");
    }
}
