//! What a service wants to be told again with each request (RFC 6265). A Nextcloud checks a login password anew in each request that does
//! not bring its session back, which takes ten times as long as the request.
//!
//! Kept in memory, for as long as the client and its clones, which talk to one origin only. Paths and lifetimes are not looked at beyond what
//! takes a cookie back: the session ends with the run.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use http::{HeaderMap, HeaderValue, header};

/// So many cookies are kept, of so many bytes each: name, `=` and value.
const MOST: usize = 32;
const LARGEST: usize = 4096;

/// The cookies of one service.
#[derive(Clone, Default)]
pub(super) struct Cookies(Arc<Mutex<BTreeMap<String, String>>>);

impl Cookies {
    /// Takes note of what an answer sets and takes back.
    pub(super) fn take(&self, answer: &HeaderMap) {
        for text in answer.get_all(header::SET_COOKIE).iter().filter_map(|value| value.to_str().ok()) {
            let mut parts = text.split(';').map(str::trim);
            let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else { continue };
            let (name, value) = (name.trim(), value.trim());
            let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if parts.any(takes_back) {
                kept.remove(name);
            } else if !name.is_empty() && name.len() + value.len() < LARGEST && (kept.len() < MOST || kept.contains_key(name)) {
                kept.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    /// The header that brings them back, marked so that it is never logged.
    pub(super) fn header(&self) -> Option<HeaderValue> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let pairs: Vec<String> = kept.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut value = HeaderValue::from_str(&pairs.join("; ")).ok().filter(|value| !value.is_empty())?;
        value.set_sensitive(true);
        Some(value)
    }
}

/// Whether an attribute says that the cookie is over.
fn takes_back(attribute: &str) -> bool {
    let Some((name, value)) = attribute.split_once('=') else { return false };
    match name.trim().to_ascii_lowercase().as_str() {
        "max-age" => value.trim().parse::<i64>().is_ok_and(|seconds| seconds <= 0),
        // Some write the date with dashes, which are all the same to whoever knows the year.
        "expires" => httpdate::parse_http_date(&value.trim().replace('-', " ")).is_ok_and(|date| date <= std::time::SystemTime::now()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (header::SET_COOKIE, HeaderValue::from_str(value).unwrap())).collect()
    }

    #[test]
    fn what_a_nextcloud_sets_is_brought_back_and_what_it_takes_back_is_not() {
        let cookies = Cookies::default();
        assert_eq!(cookies.header(), None);
        cookies.take(&answer(&[
            "oc_sessionPassphrase=a%2Fb; path=/; HttpOnly; SameSite=Lax",
            "nc_sameSiteCookielax=true; path=/; httponly;expires=Fri, 31-Dec-2100 23:59:59 GMT; SameSite=lax",
            "cookie_test=test; expires=Mon, 23 Nov 2126 08:33:27 GMT; Max-Age=3600",
        ]));
        assert_eq!(cookies.header().unwrap(), "cookie_test=test; nc_sameSiteCookielax=true; oc_sessionPassphrase=a%2Fb");
        assert!(cookies.header().unwrap().is_sensitive());
        cookies.take(&answer(&["cookie_test=deleted; Max-Age=0", "nc_sameSiteCookielax=; expires=Thu, 01-Jan-1970 00:00:01 GMT"]));
        assert_eq!(cookies.header().unwrap(), "oc_sessionPassphrase=a%2Fb");
    }

    #[test]
    fn a_hostile_service_is_not_remembered_without_bounds() {
        let cookies = Cookies::default();
        let long = format!("long={}", "x".repeat(LARGEST));
        cookies.take(&answer(&[&long, "=empty", "nothing", "; ;"]));
        assert_eq!(cookies.header(), None);
        for number in 0..1000 {
            cookies.take(&answer(&[&format!("c{number}=x")]));
        }
        assert_eq!(cookies.header().unwrap().to_str().unwrap().split("; ").count(), MOST);
    }
}
