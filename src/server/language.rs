//! The languages that pages speak.

use http::HeaderValue;

/// What people read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    English,
    German,
}

impl Language {
    pub(super) const ALL: [Self; 2] = [Self::English, Self::German];

    /// The first of an Accept-Language header that is spoken here.
    pub(super) fn of(header: Option<&HeaderValue>) -> Self {
        let text = header.and_then(|value| value.to_str().ok()).unwrap_or_default();
        let spoken = text.split(',').find_map(|item| Self::of_code(item.trim().split(['-', ';']).next().unwrap_or_default()));
        spoken.unwrap_or(Self::English)
    }

    /// By its code (BCP 47), where it is spoken here.
    pub(super) fn of_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|language| language.code().eq_ignore_ascii_case(code))
    }

    /// Its code (BCP 47).
    pub(super) fn code(self) -> &'static str {
        self.pick("en", "de")
    }

    /// One of two texts.
    pub(super) fn pick<T>(self, english: T, german: T) -> T {
        if self == Self::German { german } else { english }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_language_that_is_spoken_counts() {
        let language = |text: &'static str| Language::of(Some(&HeaderValue::from_static(text)));
        assert_eq!(language("de-AT,de;q=0.9,en;q=0.8"), Language::German);
        assert_eq!(language("fr,en;q=0.5,de;q=0.4"), Language::English);
        assert_eq!(Language::of(None), Language::English);
    }
}
