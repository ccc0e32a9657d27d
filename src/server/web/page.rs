//! The frame of every page: its head, the ways to the other pages, and how answers are sent.

use axum::extract::State;
use axum::response::IntoResponse as _;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use maud::{DOCTYPE, Markup, html};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::super::api::Shared;
use super::assets;
use super::parts::{Tone, icon, notice, script_words, with_advice};
use super::refused::Refused;
use super::visit::Visit;

pub(super) type Answer = Response<axum::body::Body>;

/// Nothing inline, nothing from elsewhere. Pictures may be made by scripts of ours.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src 'self'; connect-src 'self'; \
                      font-src 'self'; form-action 'self'; base-uri 'self'; frame-ancestors 'none'";

/// What was folded out stays so when a part of the page is brought up to date.
const HTMX: &str = r#"{"includeIndicatorCSS":false,"history":false,"defaultTimeout":120000,"morphIgnore":["data-htmx-powered","open"]}"#;

/// Unreserved characters stay as they are (RFC 3986 section 2.3), and so does what separates folders.
const IN_QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// A name is one segment, whatever is in it.
const IN_SEGMENT: &AsciiSet = &IN_QUERY.add(b'/');

/// The pages that can be reached from everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Library,
    Activity,
    Services,
    Account,
    Users,
    /// None of them.
    None,
}

impl Place {
    fn all(visit: &Visit) -> Vec<(Self, &'static str, &'static str, &'static str)> {
        let mut all = vec![(Self::Library, "library", "images", "common.library")];
        if !visit.is_public {
            if visit.is_admin() {
                all.push((Self::Activity, "activity", "activity", "common.activity"));
                all.push((Self::Services, "settings/services", "cloud", "common.services"));
                all.push((Self::Users, "settings/users", "users", "common.users"));
            }
            all.push((Self::Account, "settings/account", "user", "common.account"));
        }
        all
    }
}

/// `?name=value&…`, escaped.
pub(super) fn query(pairs: &[(&str, &str)]) -> String {
    let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, IN_QUERY))).collect();
    if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
}

/// A page with everything around it. `scripts` are those that only it needs, and styles.
pub(super) fn whole_with(visit: &Visit, place: Place, title: &str, scripts: &[&str], content: &Markup) -> Answer {
    let words = visit.words();
    let places = if visit.caller.is_some() { Place::all(visit) } else { Vec::new() };
    let shown = html! {
        (DOCTYPE)
        html lang=(visit.language.code()) data-theme=(visit.theme.name()) {
            (head(visit, title, scripts))
            body hx-headers:inherited=(format!("{{\"X-CSRF-Token\":\"{}\"}}", visit.csrf())) {
                a.skip href=(format!("{}#main", visit.here)) { (words.say("common.skip")) }
                @if !places.is_empty() {
                    nav.places aria-label=(words.say("common.places")) {
                        a.brand href="library" { (icon("twinlens")) span { "Twinlens" } }
                        ul {
                            @for (other, href, sign, key) in &places {
                                li { a href=(href) aria-current=[(*other == place).then_some("page")] { (icon(sign)) span { (words.say(key)) } } }
                            }
                        }
                        @if let Some(user) = visit.user() {
                            form.leave hx-post="signin/end" {
                                span.who title=(user) { (user) }
                                button.quiet type="submit" title=(words.say("signin.leave")) aria-label=(words.say("signin.leave")) { (icon("log-out")) }
                            }
                        }
                    }
                }
                main #main tabindex="-1" {
                    @if !places.is_empty() { noscript { (notice(Tone::Warning, &with_advice(words.say("common.no-script")))) } }
                    (content)
                }
                dialog #dialog aria-labelledby="dialog-title" {}
                div #notices role="status" aria-live="polite" {}
                (script_words(words, "common"))
            }
        }
    };
    document(shown)
}

/// A page that needs no scripts of its own.
pub(super) fn whole(visit: &Visit, place: Place, title: &str, content: &Markup) -> Answer {
    whole_with(visit, place, title, &[], content)
}

fn head(visit: &Visit, title: &str, scripts: &[&str]) -> Markup {
    html! {
        head {
            meta charset="utf-8";
            title { (title) " · Twinlens" }
            base href=(visit.base);
            meta name="viewport" content="width=device-width, initial-scale=1, viewport-fit=cover";
            meta name="color-scheme" content="light dark";
            meta name="htmx-config" content=(HTMX);
            link rel="icon" type="image/svg+xml" href=(assets::href("favicon.svg"));
            link rel="stylesheet" href=(assets::href("app.css"));
            script src=(assets::href("htmx.min.js")) defer {}
            script src=(assets::href("app.js")) type="module" {}
            @for script in scripts {
                @if script.ends_with(".css") { link rel="stylesheet" href=(assets::href(script)); }
                @else { script src=(assets::href(script)) type="module" {} }
            }
        }
    }
}

fn document(shown: Markup) -> Answer {
    let mut answer = Response::new(axum::body::Body::from(shown.into_string()));
    let headers = answer.headers_mut();
    let said: [(HeaderName, &'static str); 6] = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_FRAME_OPTIONS, "DENY"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "same-origin"),
        // What somebody saw must not be there for the next one at the same browser.
        (CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in said {
        headers.insert(name, HeaderValue::from_static(value));
    }
    answer
}

/// A segment of a path, escaped.
pub(super) fn segment(text: &str) -> String {
    utf8_percent_encode(text, IN_SEGMENT).to_string()
}

/// A part of a page.
pub(super) fn part(content: Markup) -> Answer {
    document(content)
}

/// A form again, which says what is wrong with it.
pub(super) fn again(refused: &Refused, form: Markup) -> Answer {
    let mut answer = part(form);
    *answer.status_mut() = refused.status;
    answer
}

/// Sends somebody to another page of ours: `target` is relative to the base.
pub(super) fn go(visit: &Visit, target: &str) -> Answer {
    let mut answer = StatusCode::SEE_OTHER.into_response();
    let (name, value) = match visit.is_part {
        true => (HeaderName::from_static("hx-redirect"), format!("{}{target}", visit.base)),
        // The prefix of a proxy is put before it on its way out, as before every Location.
        false => (LOCATION, format!("/{target}")),
    };
    if visit.is_part {
        *answer.status_mut() = StatusCode::OK;
    }
    if let Ok(value) = HeaderValue::try_from(value) {
        answer.headers_mut().insert(name, value);
    }
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// Nothing to put in place. `happened` are events for the page, told to it as the members of an object: `close-dialog`, `said` with words for
/// people, and those of the page that was asked from.
pub(super) fn done(happened: &serde_json::Value) -> Answer {
    telling(StatusCode::NO_CONTENT.into_response(), happened)
}

/// The same with something to put in place.
pub(super) fn telling(mut answer: Answer, happened: &serde_json::Value) -> Answer {
    // Header values are ASCII: everything else is written as JSON can write it.
    let text: String = happened
        .to_string()
        .chars()
        .map(|letter| match letter.is_ascii() {
            true => letter.to_string(),
            false => letter.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect(),
        })
        .collect();
    if let Ok(value) = HeaderValue::try_from(text) {
        answer.headers_mut().insert("hx-trigger", value);
    }
    answer
}

/// A part that belongs into the page's dialog, wherever the answer was to go.
pub(super) fn into_dialog(content: Markup) -> Answer {
    let mut answer = part(content);
    answer.headers_mut().insert("hx-retarget", HeaderValue::from_static("#dialog"));
    answer.headers_mut().insert("hx-reswap", HeaderValue::from_static("innerHTML"));
    answer
}

/// The front page is where most people go on from.
pub(super) async fn front(visit: Visit) -> Answer {
    go(&visit, "library")
}

/// So is the first of the settings.
pub(super) async fn settings(visit: Visit, State(_): State<Shared>) -> Answer {
    go(&visit, if visit.is_admin() { "settings/services" } else { "settings/account" })
}
