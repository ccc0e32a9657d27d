//! Conditions and ranges of HTTP requests (RFC 9110 sections 13 and 14), judged without I/O.

use http::header::{IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE};
use http::{HeaderMap, HeaderName};

/// What there is: its entity tag as it stands in a header, and when it was last modified, in whole seconds since 1970.
#[derive(Debug, Clone, Copy)]
pub struct Selected<'a> {
    /// Quoted, and strong.
    pub etag: &'a str,
    /// Last-Modified.
    pub modified: i64,
}

/// What a condition means for a GET or HEAD.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It holds, or there is none.
    Go,
    /// 304: the client has it already.
    NotModified,
    /// 412.
    Failed,
}

/// Judges the conditions of a GET or HEAD of something that exists, in the order of RFC 9110 section 13.2.2.
pub fn judge(headers: &HeaderMap, selected: Selected<'_>) -> Verdict {
    if headers.contains_key(IF_MATCH) {
        if !lists(headers, &IF_MATCH, |tag| tag == selected.etag) {
            return Verdict::Failed;
        }
    } else if date(headers, &IF_UNMODIFIED_SINCE).is_some_and(|date| selected.modified > date) {
        return Verdict::Failed;
    }
    if headers.contains_key(IF_NONE_MATCH) {
        // Weak comparison (section 8.8.3.2).
        if lists(headers, &IF_NONE_MATCH, |tag| tag.strip_prefix("W/").unwrap_or(tag) == selected.etag) {
            return Verdict::NotModified;
        }
    } else if date(headers, &IF_MODIFIED_SINCE).is_some_and(|date| selected.modified <= date) {
        return Verdict::NotModified;
    }
    Verdict::Go
}

/// Whether the conditions of a request that changes something hold (section 13.1): tags are compared strongly. `selected` is none when there is
/// nothing, and its tag none where there is none.
pub fn allow_change(headers: &HeaderMap, selected: Option<(Option<&str>, i64)>) -> bool {
    let tag = selected.and_then(|(tag, _)| tag);
    if headers.contains_key(IF_MATCH) {
        if !lists_there(headers, &IF_MATCH, selected.is_some(), |wanted| Some(wanted) == tag) {
            return false;
        }
    } else if let Some(date) = date(headers, &IF_UNMODIFIED_SINCE) {
        // What is gone is not what the client knew.
        if selected.is_none_or(|(_, modified)| modified > date) {
            return false;
        }
    }
    // A weak comparison would find more; here more means that less is changed.
    !lists_there(headers, &IF_NONE_MATCH, selected.is_some(), |wanted| Some(wanted.strip_prefix("W/").unwrap_or(wanted)) == tag)
}

fn lists_there(headers: &HeaderMap, name: &HeaderName, there: bool, matches: impl Fn(&str) -> bool) -> bool {
    there && lists(headers, name, matches)
}

/// Whether a header's list of entity tags is `*` or has one that matches.
fn lists(headers: &HeaderMap, name: &HeaderName, matches: impl Fn(&str) -> bool) -> bool {
    headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).any(|list| list.trim() == "*" || tags(list).any(&matches))
}

/// The entity tags of a list. A comma may stand inside the quotes.
fn tags(list: &str) -> impl Iterator<Item = &str> {
    let mut rest = list;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let open = rest.find('"')?;
        let close = open + 1 + rest[open + 1..].find('"')?;
        let (tag, after) = rest.split_at(close + 1);
        rest = after;
        Some(tag)
    })
}

fn date(headers: &HeaderMap, name: &HeaderName) -> Option<i64> {
    super::multistatus::parse_date(headers.get(name)?.to_str().ok()?)
}

/// Which part of a representation a client gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// All of it: 200.
    Whole,
    /// The bytes from the first to the last, both counted from 0: 206.
    Range {
        /// First byte.
        first: u64,
        /// Last byte.
        last: u64,
    },
    /// 416.
    Unsatisfiable,
}

/// What a Range header asks for, unless If-Range says that it is outdated (section 13.1.5). Several ranges at once are answered by the
/// whole, as section 14.2 allows.
pub fn part(headers: &HeaderMap, size: u64, selected: Selected<'_>) -> Part {
    let Some(range) = headers.get(RANGE).and_then(|value| value.to_str().ok()) else { return Part::Whole };
    let outdated = headers.get(IF_RANGE).is_some_and(|value| {
        let value = value.to_str().unwrap_or_default().trim();
        // A date must be the very one, and only a strong tag will do.
        value != selected.etag && super::multistatus::parse_date(value) != Some(selected.modified)
    });
    match range.trim().strip_prefix("bytes=").filter(|_| !outdated) {
        Some(spec) if !spec.contains(',') => one_range(spec.trim(), size),
        _ => Part::Whole,
    }
}

fn one_range(spec: &str, size: u64) -> Part {
    let Some((first, last)) = spec.split_once('-') else { return Part::Whole };
    let number = |text: &str| (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse::<u64>().ok());
    match (number(first), number(last)) {
        // A number too large to be read lies behind every end.
        (Some(first), _) if first.is_none_or(|first| first >= size) => Part::Unsatisfiable,
        (Some(Some(first)), None) if last.is_empty() => Part::Range { first, last: size - 1 },
        (Some(Some(first)), Some(last)) => match last.unwrap_or(u64::MAX).min(size - 1) {
            last if first <= last => Part::Range { first, last },
            // The end before the beginning is no range at all.
            _ => Part::Whole,
        },
        (None, Some(length)) if first.is_empty() => match length.unwrap_or(u64::MAX).min(size) {
            0 => Part::Unsatisfiable,
            length => Part::Range { first: size - length, last: size - 1 },
        },
        _ => Part::Whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAG: Selected<'static> = Selected { etag: "\"a,b\"", modified: 784_111_777 };

    fn headers(list: &[(&'static str, &'static str)]) -> HeaderMap {
        list.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    #[test]
    fn conditions_in_their_order() {
        let now = "Sun, 06 Nov 1994 08:49:37 GMT";
        let (before, after) = ("Sun, 06 Nov 1994 08:49:36 GMT", "Sun, 06 Nov 1994 08:49:38 GMT");
        for (list, expected) in [
            (vec![], Verdict::Go),
            (vec![("if-match", "\"x\", \"a,b\"")], Verdict::Go),
            (vec![("if-match", "*")], Verdict::Go),
            (vec![("if-match", "W/\"a,b\"")], Verdict::Failed),
            (vec![("if-match", "\"x\"")], Verdict::Failed),
            (vec![("if-none-match", "W/\"a,b\"")], Verdict::NotModified),
            (vec![("if-none-match", "*")], Verdict::NotModified),
            (vec![("if-none-match", "\"a\", \"b\"")], Verdict::Go),
            (vec![("if-modified-since", now)], Verdict::NotModified),
            (vec![("if-modified-since", before)], Verdict::Go),
            (vec![("if-modified-since", "rubbish")], Verdict::Go),
            (vec![("if-unmodified-since", before)], Verdict::Failed),
            (vec![("if-unmodified-since", now)], Verdict::Go),
            // The tag is the better witness.
            (vec![("if-match", "\"a,b\""), ("if-unmodified-since", before)], Verdict::Go),
            (vec![("if-none-match", "\"x\""), ("if-modified-since", after)], Verdict::Go),
        ] {
            assert_eq!(judge(&headers(&list), TAG), expected, "{list:?}");
        }
    }

    #[test]
    fn conditions_of_changes() {
        let now = "Sun, 06 Nov 1994 08:49:37 GMT";
        let before = "Sun, 06 Nov 1994 08:49:36 GMT";
        let (tag, untagged) = (Some((Some("\"a,b\""), 784_111_777)), Some((None, 784_111_777)));
        for (list, there, expected) in [
            (vec![], tag, true),
            (vec![], None, true),
            (vec![("if-match", "\"x\", \"a,b\"")], tag, true),
            (vec![("if-match", "\"x\"")], tag, false),
            (vec![("if-match", "W/\"a,b\"")], tag, false),
            (vec![("if-match", "\"a,b\"")], None, false),
            (vec![("if-match", "\"a,b\"")], untagged, false),
            (vec![("if-match", "*")], untagged, true),
            (vec![("if-match", "*")], None, false),
            (vec![("if-match", "rubbish")], tag, false),
            (vec![("if-none-match", "*")], untagged, false),
            (vec![("if-none-match", "*")], None, true),
            (vec![("if-none-match", "W/\"a,b\"")], tag, false),
            (vec![("if-none-match", "\"x\"")], tag, true),
            (vec![("if-unmodified-since", now)], tag, true),
            (vec![("if-unmodified-since", before)], tag, false),
            (vec![("if-unmodified-since", now)], None, false),
            (vec![("if-unmodified-since", "rubbish")], tag, true),
            (vec![("if-match", "\"a,b\""), ("if-unmodified-since", before)], tag, true),
            // Only for GET and HEAD.
            (vec![("if-modified-since", now)], tag, true),
        ] {
            assert_eq!(allow_change(&headers(&list), there), expected, "{list:?} {there:?}");
        }
    }

    #[test]
    fn ranges() {
        let part = |range: &'static str| super::part(&headers(&[("range", range)]), 10, TAG);
        for (range, expected) in [
            ("bytes=0-0", Part::Range { first: 0, last: 0 }),
            ("bytes=2-", Part::Range { first: 2, last: 9 }),
            ("bytes=-3", Part::Range { first: 7, last: 9 }),
            ("bytes=-99", Part::Range { first: 0, last: 9 }),
            ("bytes=5-99999999999999999999999", Part::Range { first: 5, last: 9 }),
            ("bytes=10-", Part::Unsatisfiable),
            ("bytes=-0", Part::Unsatisfiable),
            ("bytes=99999999999999999999999-", Part::Unsatisfiable),
            ("bytes=5-2", Part::Whole),
            ("bytes=0-1,3-4", Part::Whole),
            ("bytes=x-y", Part::Whole),
            ("lines=0-1", Part::Whole),
        ] {
            assert_eq!(part(range), expected, "{range}");
        }
        assert_eq!(super::part(&headers(&[("range", "bytes=0-")]), 0, TAG), Part::Unsatisfiable);
    }

    #[test]
    fn an_outdated_range_gets_the_whole() {
        let part = |condition: &'static str| super::part(&headers(&[("range", "bytes=0-0"), ("if-range", condition)]), 10, TAG);
        let first = Part::Range { first: 0, last: 0 };
        assert_eq!(part("\"a,b\""), first);
        assert_eq!(part("Sun, 06 Nov 1994 08:49:37 GMT"), first);
        for outdated in ["\"x\"", "W/\"a,b\"", "Sun, 06 Nov 1994 08:49:38 GMT", "Sun, 06 Nov 1994 08:49:36 GMT"] {
            assert_eq!(part(outdated), Part::Whole, "{outdated}");
        }
    }
}
