//! What the parts of this area show alike: paths, times, files with causes, pages of long lists.

use jiff::Timestamp;
use maud::{Markup, html};

use super::super::format;
use super::super::parts::{self, Tone, icon};
use super::super::words::Words;
use crate::operations::{ServiceStatus, SyncState};
use crate::sync::Report;
use crate::types::MediaKind;

/// So many rows are shown at once.
pub(super) const ROWS: usize = 50;

/// Characters that are not seen, or that turn others around: a name must not look like another one.
fn is_odd(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{61c}' | '\u{feff}')
}

/// A name as text. What cannot be seen in it is shown by its number.
pub(super) fn name(text: &str) -> Markup {
    html! {
        bdi {
            @for piece in text.split_inclusive(is_odd) {
                @match piece.char_indices().next_back().filter(|(_, last)| is_odd(*last)) {
                    Some((at, last)) => { (piece[..at]) span.odd { (format!("U+{:04X}", u32::from(last))) } }
                    None => { (piece) }
                }
            }
        }
    }
}

/// A path: its folder small, its name large.
pub(super) fn path(text: &str) -> Markup {
    let (folder, file) = text.rsplit_once('/').unwrap_or(("", text));
    html! { span.path title=(text) { strong { (name(file)) } @if !folder.is_empty() { span.dim { (name(folder)) } } } }
}

/// A picture of a file, which is fetched when it comes into sight; a sign for what no picture can be made of.
pub(super) fn picture(path: &str, href: Option<&str>) -> Markup {
    let extension = path.rsplit_once('.').map_or("", |(_, extension)| extension);
    html! {
        span.picture {
            @match (MediaKind::of_extension(extension), href) {
                (MediaKind::Image | MediaKind::Raw, Some(href)) => { img.thumb src=(href) alt="" loading="lazy" decoding="async"; }
                (MediaKind::Video, _) => { (icon("film")) }
                _ => { (icon("file")) }
            }
        }
    }
}

/// A moment that is told in RFC 3339, for people.
pub(super) fn moment(words: Words, text: &str) -> Markup {
    match text.parse::<Timestamp>() {
        Ok(at) => html! { time datetime=(text) { (format::moment(words.0, at)) } },
        Err(_) => html! { (text) },
    }
}

/// When something is tried again.
pub(super) fn next_try(words: Words, text: &str) -> Markup {
    let Ok(at) = text.parse::<Timestamp>() else { return html! { (text) } };
    match u64::try_from(at.duration_since(Timestamp::now()).as_secs()) {
        Ok(seconds) if seconds > 0 => {
            html! { time datetime=(text) title=(format::moment(words.0, at)) { (words.fill("activity.tried-in", &[("span", &format::span(seconds))])) } }
        }
        _ => html! { (words.say("activity.tried-soon")) },
    }
}

/// What was to be done with a file.
pub(super) fn action(words: Words, verb: &str) -> Markup {
    let sign = match verb {
        "upload" => "arrow-up",
        "download" => "arrow-down",
        "delete" => "trash",
        "conflict" => "copies",
        "move" | "move-folder" | "copy" | "park" => "swap",
        _ => "check",
    };
    let told = words.known(&format!("activity.action-{}", verb)).unwrap_or_else(|| words.say("activity.action-other"));
    html! { span.action title=(told) { (icon(sign)) span.hidden { (told) } } }
}

/// How a run ended that did not come to its end: how bad that is, and what it is called.
pub(super) fn ended(cause: Option<&str>) -> (&'static str, &'static str) {
    match cause {
        Some("cancelled") => ("warning", "activity.result-cancelled"),
        Some("suspended") => ("warning", "activity.result-suspended"),
        _ => ("bad", "activity.result-failed"),
    }
}

/// The last run with a service, if it failed as a whole. Those that somebody stopped have not.
pub(super) fn run_failed(service: &ServiceStatus) -> Option<&Report> {
    service.last_run.as_ref().filter(|run| run.error.is_some() && ended(run.cause.as_deref()).0 == "bad")
}

/// Whether nothing goes on with a service that is to be synced: it is stopped, or its last run failed as a whole.
pub(super) fn stands_still(service: &ServiceStatus) -> bool {
    service.state != SyncState::Off && (service.reason.is_some() || run_failed(service).is_some())
}

/// Why nothing goes on with a service, if it is so.
pub(super) fn standstill(words: Words, service: &ServiceStatus) -> Option<Markup> {
    let told = match (&service.reason, run_failed(service)) {
        (Some(reason), _) => html! {
            p { strong { (words.say("activity.stopped-help")) } }
            p.detail lang="en" { (name(reason)) }
        },
        (None, run) => {
            let run = run?;
            cause_of(words, run.cause.as_deref(), run.error.as_deref()?)
        }
    };
    Some(parts::notice(Tone::Bad, &told))
}

/// Why a file failed, in words and with what to do.
pub(super) fn cause_of(words: Words, cause: Option<&str>, reason: &str) -> Markup {
    let told = cause.and_then(|cause| words.known(&format!("activity.cause-{}", cause)));
    because(told.unwrap_or_else(|| words.say("activity.cause-other")), reason)
}

/// Why a file was left as it is.
pub(super) fn left_because(words: Words, cause: Option<&str>, reason: &str) -> Markup {
    let told = cause.and_then(|cause| words.known(&format!("activity.left-{}", cause)));
    because(told.unwrap_or_else(|| words.say("activity.left-other")), reason)
}

/// What the program says of a reason stands below the words for its kind.
fn because(told: &str, reason: &str) -> Markup {
    html! {
        span.cause {
            span { (told) }
            span.detail lang="en" { (name(reason)) }
        }
    }
}

/// The rest of a list, when somebody asks for it: it comes in the place of this.
pub(super) fn more(words: Words, href: &str) -> Markup {
    html! {
        li.more {
            a.button href=(href) hx-get=(href) hx-target="closest .more" hx-swap="outerHTML" { (icon("chevron-down")) (words.say("activity.more")) }
        }
    }
}

/// The ways to the page before and the one after, where there are several. Pages count from 0.
pub(super) fn turning(words: Words, at: usize, pages: usize, href: impl Fn(usize) -> String) -> Markup {
    html! {
        @if pages > 1 {
            nav.pages aria-label=(words.say("activity.pages")) {
                @if at > 0 { a.button href=(href(at - 1)) { (icon("chevron-left")) (words.say("activity.back")) } }
                span.dim.number { (words.fill("activity.page-of", &[("page", &(at + 1)), ("pages", &pages)])) }
                @if at + 1 < pages { a.button href=(href(at + 1)) { (words.say("activity.next")) (icon("chevron-right")) } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::language::Language;
    use crate::sync::Stop;

    #[test]
    fn what_cannot_be_seen_in_a_name_is_shown() {
        assert_eq!(name("photo\u{202e}gpj.exe").into_string(), "<bdi>photo<span class=\"odd\">U+202E</span>gpj.exe</bdi>");
        assert_eq!(name("<script>\n").into_string(), "<bdi>&lt;script&gt;<span class=\"odd\">U+000A</span></bdi>");
        assert_eq!(name("Grüße 日本.jpg").into_string(), "<bdi>Grüße 日本.jpg</bdi>");
    }

    #[test]
    fn there_are_words_for_every_kind_of_reason() {
        use crate::client::ClientError as E;
        use crate::sync::SyncError;
        let host = || "photos.example".to_owned();
        let status = |status: u16| E::Status {
            method: "PUT".into(),
            path: "a.jpg".into(),
            status: http::StatusCode::from_u16(status).unwrap(),
            told: None,
        };
        let errors = [
            E::BadUrl("x".into()),
            E::UnknownHost(host()),
            E::Unreachable { host: host(), reason: "refused".into() },
            E::Tls { host: host(), reason: "x".into() },
            E::PlainHttp { host: host() },
            E::Unauthorized,
            E::Timeout { host: host() },
            E::Busy { host: host(), seconds: 7 },
            E::Broken { host: host(), reason: "reset".into() },
            E::Redirect("https://x".into()),
            E::TooLarge(4),
            E::Outside("/x".into()),
            E::NotFound("certificate.jpg".into()),
            E::Changed("a.jpg".into()),
            E::Refused { path: "a.jpg".into(), reason: "x".into() },
            E::Stopped,
        ];
        let of_client = errors.into_iter().chain([400, 403, 413, 423, 429, 500, 503, 507].map(status)).map(|error| error.cause());
        let of_runs = [Stop::Cancelled, Stop::Suspended].map(|stop| SyncError::Stopped(stop).cause());
        for cause in of_client.chain(of_runs).chain(["library", "disk-full", "not-proven"]) {
            let told = cause_of(Words(Language::German), Some(cause), "detail").into_string();
            assert!(!told.contains(Words(Language::German).say("activity.cause-other")), "{cause}");
        }
        let old = cause_of(Words(Language::German), None, "a text of an earlier version").into_string();
        assert!(old.contains(Words(Language::German).say("activity.cause-other")) && old.contains("earlier version"));
    }
}
