//! Conflicts: two versions of one file side by side, and which of them is to stay.

use axum::extract::State;
use jiff::Timestamp;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::json;

use super::super::super::api::Shared;
use super::super::form::{Form, Query};
use super::super::format;
use super::super::page::{self, Answer, query};
use super::super::parts::{self, Tone, icon};
use super::super::refused::Refused;
use super::super::visit::Visit;
use super::super::words::Words;
use super::{Tab, rows};
use crate::operations::{CameFrom, Keep, Resolved, ToldConflict, ToldVersion};
use crate::types::RelPath;

/// So many are on a page: each has two pictures.
const ROWS: usize = 12;

#[derive(Deserialize)]
pub(super) struct From {
    #[serde(default)]
    page: usize,
}

pub(super) async fn show(visit: Visit, State(shared): State<Shared>, Query(from): Query<From>) -> Result<Answer, Refused> {
    visit.admin()?;
    let words = visit.words();
    let all = shared.operations.list_conflicts().await?.conflicts;
    // The last page may have been emptied by what was just decided.
    let at = from.page.min(all.len().saturating_sub(1) / ROWS);
    let href = |page: usize| format!("activity/conflicts?page={page}");
    let list = html! {
        @if !all.is_empty() { p.dim { (words.say("activity.conflicts-help")) } }
        @for conflict in all.iter().skip(at * ROWS).take(ROWS) { (card(words, conflict)) }
        @if all.is_empty() {
            section.card { (parts::empty("copies", words.say("activity.no-conflicts"), words.say("activity.no-conflicts-help"), &html! {})) }
        }
        (super::rows::turning(words, at, all.len().div_ceil(ROWS), href))
    };
    if visit.is_part {
        return Ok(page::part(list));
    }
    let can_keep_all = all.iter().filter(|conflict| conflict.here).count() > 1;
    let beside = html! {
        @if can_keep_all { button.button hx-get="activity/conflicts/both" hx-target="#dialog" { (icon("copies")) (words.say("activity.both-all")) } }
    };
    let content = html! { div.stack hx-get=(href(at)) hx-trigger="conflicts-changed from:body" hx-swap="innerHTML" { (list) } };
    Ok(super::whole(&visit, Tab::Conflicts, &beside, &content))
}

fn card(words: Words, conflict: &ToldConflict) -> Markup {
    let ToldConflict { path, copy, service, here, this, other, .. } = conflict;
    let picture = |path: &RelPath| format!("api/v1/library/thumbnail{}", query(&[("path", path.as_str()), ("size", "640")]));
    let there = conflict.on.first().map(|on| format!("api/v1/conflicts/remote{}", query(&[("copy", copy.as_str()), ("service", on)])));
    let is_peers = other.as_ref().is_some_and(|other| other.from == Some(CameFrom::Library));
    let noticed = if is_peers { "activity.conflict-by-peer" } else { "activity.conflict-with" };
    let of_copy = if *here { Some(picture(copy)) } else { there };
    html! {
        section.card.conflict {
            header { h2 { (rows::path(path.as_str())) } }
            p.dim { (words.fill(noticed, &[("service", service), ("when", &when(words, &conflict.when))])) }
            div.sides {
                (side(words, ("activity.this", path.as_str()), this.as_ref(), other.as_ref(), this.is_some().then(|| picture(path))))
                (side(words, (if *here { "activity.other" } else { "activity.other-there" }, path.as_str()), other.as_ref(), this.as_ref(), of_copy))
            }
            @if *here {
                form.buttons hx-post="activity/conflicts/resolve" hx-swap="none" {
                    input type="hidden" name="copy" value=(copy);
                    button.button type="submit" name="keep" value="this" disabled[this.is_none()] { (words.say("activity.keep-this")) }
                    button.button type="submit" name="keep" value="both" { (icon("copies")) (words.say("activity.keep-both")) }
                    button.button type="submit" name="keep" value="other" { (words.say("activity.keep-other")) }
                }
            } @else {
                (parts::notice(Tone::Info, &html! { p { (words.fill("activity.only-there", &[("services", &conflict.on.join(", "))])) } }))
            }
        }
    }
}

/// When a conflict arose, as the name of its copy tells it: `2026-11-29 140545`.
fn when(words: Words, stamp: &str) -> String {
    let at = jiff::civil::DateTime::strptime("%Y-%m-%d %H%M%S", stamp);
    at.map_or_else(|_| stamp.to_owned(), |at| format::local(words.0, at))
}

/// One version, and what it has more of than the other.
fn side(
    words: Words,
    (title, path): (&'static str, &str),
    version: Option<&ToldVersion>,
    than: Option<&ToldVersion>,
    picture: Option<String>,
) -> Markup {
    let size = |version: Option<&ToldVersion>| version.and_then(|version| version.size);
    let at = |version: Option<&ToldVersion>| version.and_then(|version| version.modified.as_deref()?.parse::<Timestamp>().ok());
    let is_larger = size(version).zip(size(than)).is_some_and(|(one, other)| one > other);
    let is_newer = at(version).zip(at(than)).is_some_and(|(one, other)| one > other);
    html! {
        figure.version {
            (rows::picture(path, picture.as_deref()))
            figcaption {
                strong { (words.say(title)) }
                @match version {
                    Some(version) => {
                        @if let Some(from) = &version.from { (came_from(words, from)) }
                        span.number {
                            @match version.size { Some(size) => { (format::size(words.0, size)) } None => { (words.say("activity.unknown")) } }
                            @if is_larger { " " span.pill.accent { (words.say("activity.larger")) } }
                        }
                        span.number {
                            @match &version.modified { Some(modified) => { (rows::moment(words, modified)) } None => { (words.say("activity.unknown")) } }
                            @if is_newer { " " span.pill.accent { (words.say("activity.newer")) } }
                        }
                    }
                    None => { span.dim { (words.say("activity.gone")) } }
                }
            }
        }
    }
}

/// Which side a version came from.
fn came_from(words: Words, from: &CameFrom) -> Markup {
    let (sign, said) = match from {
        CameFrom::Library => ("images", words.say("activity.from-library").to_owned()),
        CameFrom::Service { service } => ("cloud", words.fill("activity.from-service", &[("service", service)])),
    };
    html! { span.from { (icon(sign)) (said) } }
}

#[derive(Deserialize)]
pub(super) struct Decision {
    #[serde(default)]
    copy: String,
    keep: Keep,
}

pub(super) async fn resolve(visit: Visit, State(shared): State<Shared>, Form(decision): Form<Decision>) -> Result<Answer, Refused> {
    visit.admin()?;
    let words = visit.words();
    let copy = RelPath::parse(&decision.copy).map_err(|error| Refused::bad("copy", error.to_string()))?;
    let Resolved { path, kept, now, stays_on, .. } = shared.operations.resolve_conflict(copy, decision.keep).await?;
    let mut said = match kept {
        Keep::This => words.fill("activity.kept-this", &[("path", &path)]),
        Keep::Other => words.fill("activity.kept-other", &[("path", &path)]),
        Keep::Both => words.fill("activity.kept-both", &[("paths", &now.join(", "))]),
    };
    if !stays_on.is_empty() {
        said.push(' ');
        said.push_str(&words.fill("activity.stays-on", &[("services", &stays_on.join(", "))]));
    }
    Ok(page::done(&json!({ "conflicts-changed": true, "amounts-changed": true, "said": said })))
}

pub(super) async fn ask_both(visit: Visit, State(shared): State<Shared>) -> Result<Answer, Refused> {
    visit.admin()?;
    let words = visit.words();
    let count = shared.operations.list_conflicts().await?.conflicts.iter().filter(|conflict| conflict.here).count() as u64;
    let form = html! {
        form hx-post="activity/conflicts/both" {
            p { (words.count("activity.both-all-ask", count)) }
            (parts::actions(words, &html! { button.button.main type="submit" { (words.say("activity.both-all")) } }))
        }
    };
    Ok(page::part(parts::dialog(words, words.say("activity.both-all"), &html! {}, &form)))
}

pub(super) async fn keep_both(visit: Visit, State(shared): State<Shared>) -> Result<Answer, Refused> {
    visit.admin()?;
    let words = visit.words();
    let (resolved, failed) = shared.operations.keep_both_everywhere().await?;
    let mut said = words.count("activity.kept-both-all", resolved);
    if !failed.is_empty() {
        said.push(' ');
        said.push_str(&words.count("activity.not-resolved", failed.len() as u64));
    }
    Ok(page::done(&json!({ "close-dialog": true, "conflicts-changed": true, "amounts-changed": true, "said": said })))
}
