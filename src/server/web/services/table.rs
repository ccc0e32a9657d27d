//! The table of the services; on a phone a card each.

use jiff::Timestamp;
use maud::{Markup, html};
use serde_json::json;

use super::super::super::api::Shared;
use super::super::format;
use super::super::parts::{self, icon};
use super::super::refused::Refused;
use super::super::words::Words;
use super::{at, kind_name};
use crate::operations::{Going, ServiceStatus, SyncState};
use crate::services::{Kind, Service};
use crate::sync::Report;
use crate::types::RelPath;

/// A service, and how things are with it.
pub(super) struct Row {
    service: Service,
    status: ServiceStatus,
    /// Conflicts with it that nobody has decided.
    conflicts: u64,
}

pub(super) async fn rows(shared: &Shared) -> Result<Vec<Row>, Refused> {
    let services = shared.operations.services().await?;
    let mut all = shared.operations.status().await?.services;
    let undecided = shared.operations.list_conflicts().await?.conflicts;
    let rows = services.into_iter().filter_map(|service| {
        let at = all.iter().position(|status| status.name == service.name)?;
        let conflicts = undecided.iter().filter(|conflict| conflict.is_with(&service.name)).count() as u64;
        Some(Row { service, status: all.swap_remove(at), conflicts })
    });
    Ok(rows.collect())
}

pub(super) fn show(words: Words, rows: &[Row]) -> Markup {
    if rows.is_empty() {
        return parts::empty(
            "cloud",
            words.say("services.none"),
            words.say("services.none-help"),
            &html! {
                button.button.main type="button" hx-get="settings/services/connect" hx-target="#dialog" { (icon("plus")) (words.say("services.connect")) }
            },
        );
    }
    html! {
        table.table.services {
            thead { tr {
                th { (words.say("services.name")) } th { (words.say("services.upload")) } th { (words.say("services.sync")) }
                th { (words.say("services.last")) } th { span.hidden { (words.say("services.actions")) } }
            } }
            tbody { @for row in rows { (row_of(words, row)) } }
        }
    }
}

fn row_of(words: Words, Row { service, status, conflicts }: &Row) -> Markup {
    let name = &service.name;
    let label = |key| words.fill(key, &[("name", name)]);
    html! {
        tr data-service=(name) {
            td.who {
                span.sign { (icon("cloud")) }
                div {
                    strong { (name) }
                    span.dim title=(service.url) { (kind_name(service.kind)) " · " (address(service)) }
                }
            }
            td data-label=(words.say("services.upload")) {
                button.cell type="button" hx-get=(at("upload", name)) hx-target="#dialog" aria-label=(label("services.upload-of")) {
                    @if service.upload.on { span.pill.accent { (icon("upload")) (words.say("services.on")) } span.dim { (folder(words, &service.upload.folder)) } }
                    @else { span.pill { (words.say("services.off")) } }
                }
            }
            td data-label=(words.say("services.sync")) {
                button.cell type="button" hx-get=(at("sync", name)) hx-target="#dialog" aria-label=(label("services.sync-of")) {
                    @if service.sync.on {
                        span.pill.accent { (icon(direction(service).0)) (every(words, service.sync.interval_minutes)) }
                        span.dim { (words.say(direction(service).1)) " · " (folder(words, &service.sync.folder)) }
                    } @else { span.pill { (words.say("services.off")) } }
                }
            }
            td.last data-label=(words.say("services.last")) { (last(words, status, *conflicts)) }
            td.end.actions { (actions(words, service, status)) }
        }
    }
}

/// What can be done with a service: a sign each, on a phone with a word below it.
fn actions(words: Words, service: &Service, status: &ServiceStatus) -> Markup {
    let name = &service.name;
    let of_sync = |key| words.fill(key, &[("service", name)]);
    let of_it = |key| words.fill(key, &[("name", name)]);
    let say = |key| words.say(key);
    let this = json!({ "service": name }).to_string();
    let quick = |action: &str, sign, word, label: String| {
        html! { button.quiet type="button" hx-post=(action) hx-vals=(this) hx-swap="none" title=(label) aria-label=(label) { (icon(sign)) span.word { (word) } } }
    };
    let open = |action, sign, word, label: String| {
        html! { button.quiet type="button" hx-get=(at(action, name)) hx-target="#dialog" title=(label) aria-label=(label) { (icon(sign)) span.word { (word) } } }
    };
    let tested = of_it("services.test-of");
    html! {
        @match status.state {
            SyncState::Paused => (quick("activity/resume", "play", say("activity.resume"), of_sync("activity.resume-named"))),
            SyncState::Off if status.running.is_none() => {}
            _ => (quick("activity/pause", "pause", say("activity.pause"), of_sync("activity.pause-named"))),
        }
        @match &status.running {
            Some(_) => (quick("activity/cancel", "stop", say("activity.cancel"), of_sync("activity.cancel-named"))),
            None => (quick(&at("start", name), "refresh", say("services.sync"), of_it("services.now-of"))),
        }
        button.quiet type="button" hx-post=(at("test", name)) hx-target="#dialog" title=(tested) aria-label=(tested) { (icon("test")) span.word { (say("services.test")) } }
        (open("edit", "pencil", say("services.edit"), of_it("services.edit-of")))
        (open("remove", "trash", say("services.remove"), of_it("services.remove-of")))
    }
}

/// A folder of a service, for people.
fn folder(words: Words, folder: &RelPath) -> String {
    if folder.is_root() { words.say("services.top-folder").to_owned() } else { format!("/{folder}") }
}

/// Without what everybody knows of an address.
fn address(service: &Service) -> &str {
    let address = service.url.split_once("://").map_or(service.url.as_str(), |(_, rest)| rest).trim_end_matches('/');
    match service.kind {
        Some(Kind::Twinlens | Kind::PhotoPrism) => address.strip_suffix("/originals").unwrap_or(address),
        _ => address,
    }
}

fn direction(service: &Service) -> (&'static str, &'static str) {
    match (service.sync.download, service.sync.upload) {
        (true, true) => ("swap", "services.both-ways"),
        (false, true) => ("arrow-up", "services.only-up"),
        _ => ("arrow-down", "services.only-down"),
    }
}

/// `every 6 hours`.
pub(super) fn every(words: Words, minutes: u32) -> String {
    match u64::from(minutes) {
        days if days.is_multiple_of(1440) => words.count("services.every-days", days / 1440),
        hours if hours.is_multiple_of(60) => words.count("services.every-hours", hours / 60),
        minutes => words.count("services.every-minutes", minutes),
    }
}

/// When the last run was and how it ended; that of one that goes on how far it is.
fn last(words: Words, status: &ServiceStatus, conflicts: u64) -> Markup {
    let moment = |text: &str| text.parse::<Timestamp>().map_or_else(|_| text.to_owned(), |at| format::moment(words.0, at));
    if let Some(going) = &status.running {
        return running(words, going);
    }
    html! {
        @match &status.last_ended {
            Some(ended) => span.when { (moment(ended)) },
            None => span.dim { (words.say("services.never")) },
        }
        @if let Some(Trouble { sign, text, cause, detail }) = trouble(words, status) {
            details.trouble {
                summary { span class=(format!("pill {sign}")) { (icon("alert")) (text) (icon("chevron-down")) } }
                @if let Some(told) = cause.and_then(|cause| words.known(&format!("activity.cause-{}", cause))) { p.why { (told) } }
                @if !detail.is_empty() { p.detail lang="en" { (detail) } }
            }
        } @else if let Some(run) = &status.last_run {
            span.dim { (icon("check")) (summary(words, run)) }
        }
        @if conflicts > 0 { a.pill.warning href="activity/conflicts" { (icon("copies")) (words.count("services.conflicts", conflicts)) } }
        @if status.state == SyncState::Paused { span.pill { (icon("pause")) (words.say("services.paused")) } }
        @if let Some(next) = &status.next_run { span.dim { (words.fill("services.next", &[("when", &moment(next))])) } }
    }
}

fn running(words: Words, going: &Going) -> Markup {
    let progress = going.progress;
    let key = match going {
        Going { stopping: true, .. } => "services.stopping",
        Going { preview: true, .. } => "services.previewing",
        _ => "services.running",
    };
    html! {
        span.pill.accent { span.icon.spin { (icon("loader")) } (words.say(key)) }
        progress.live data-progress max=(progress.files_total.max(1)) value=[(progress.files_total > 0).then_some(progress.files)]
            aria-label=(words.say("services.progress")) {}
        span.dim.number data-progress-text {
            @if progress.files_total == 0 { (words.say("services.js-looking")) }
            @else {
                (words.fill("services.js-done", &[("files", &format::number(words.0, progress.files)), ("total", &format::number(words.0, progress.files_total))]))
                " · " (format::size(words.0, progress.bytes))
            }
        }
    }
}

/// What is wrong with a service.
struct Trouble {
    /// How bad that is.
    sign: &'static str,
    text: String,
    /// The kind of reason, where there is one.
    cause: Option<String>,
    /// As the program says it.
    detail: String,
}

fn trouble(words: Words, status: &ServiceStatus) -> Option<Trouble> {
    if let Some(reason) = &status.reason {
        // Nothing else stops one.
        let cause = Some("unauthorized".to_owned());
        return Some(Trouble { sign: "bad", text: words.say("services.stopped").to_owned(), cause, detail: reason.clone() });
    }
    let run = status.last_run.as_ref();
    if let Some((run, error)) = run.and_then(|run| Some((run, run.error.as_ref()?))) {
        let key = match run {
            Report { cancelled: true, .. } => "services.run-cancelled",
            Report { refused: true, .. } => "services.run-refused",
            Report { unreachable: true, .. } => "services.run-unreachable",
            _ => "services.run-failed",
        };
        let sign = if run.cancelled { "warning" } else { "bad" };
        return Some(Trouble { sign, text: words.say(key).to_owned(), cause: run.cause.clone(), detail: error.clone() });
    }
    (status.waiting.count > 0).then(|| {
        let first = status.waiting.first.first();
        Trouble {
            sign: "warning",
            text: words.count("services.files-failed", status.waiting.count),
            cause: first.and_then(|file| file.cause.clone()),
            detail: first.map(|file| format!("{}: {}", file.path, file.reason)).unwrap_or_default(),
        }
    })
}

/// What a run did, in a few words.
fn summary(words: Words, run: &Report) -> String {
    let counts = [
        ("services.did-upload", run.uploaded),
        ("services.did-download", run.downloaded),
        ("services.did-move", run.moved + run.copied),
        ("services.did-delete", run.deleted),
    ];
    let did: Vec<String> = counts.into_iter().filter(|(_, count)| *count > 0).map(|(key, count)| words.count(key, count)).collect();
    if did.is_empty() { words.say("services.up-to-date").to_owned() } else { did.join(", ") }
}
