//! The runs that were: what each did, how it ended, and everything that it did not do.

use axum::extract::{Path, State};
use maud::{Markup, html};
use serde::Deserialize;

use super::super::super::api::Shared;
use super::super::form::Query;
use super::super::format;
use super::super::page::{self, Answer, query};
use super::super::parts::{self, Tone, icon};
use super::super::refused::Refused;
use super::super::visit::Visit;
use super::super::words::Words;
use super::{Tab, rows};
use crate::operations::{OneRun, RunFile, SkippedOfRun, ToldRun};

#[derive(Deserialize)]
pub(super) struct Which {
    /// Of one service only.
    #[serde(default)]
    service: String,
    /// Those before this one.
    before: Option<u64>,
}

/// The runs, the latest first, a page at a time.
pub(super) async fn list(visit: Visit, State(shared): State<Shared>, Query(which): Query<Which>) -> Result<Answer, Refused> {
    visit.admin()?;
    let words = visit.words();
    let service = Some(which.service.clone()).filter(|service| !service.is_empty());
    let all = shared.operations.runs(service).await?;
    let shown: Vec<&ToldRun> = all.iter().filter(|run| which.before.is_none_or(|before| run.id < before)).collect();
    let (page, rest) = shown.split_at(shown.len().min(rows::ROWS));
    let names: Vec<String> = shared.operations.services().await?.into_iter().map(|service| service.name).collect();
    let href = |before: Option<u64>| {
        let before = before.map(|before| before.to_string());
        let mut pairs = Vec::new();
        pairs.extend((!which.service.is_empty()).then_some(("service", which.service.as_str())));
        pairs.extend(before.as_deref().map(|before| ("before", before)));
        format!("activity/history{}", query(&pairs))
    };
    let content = html! {
        @if names.len() > 1 {
            form.filter action="activity/history" {
                label for="of-service" { (words.say("activity.of-service")) }
                select #of-service name="service" data-submit {
                    option value="" { (words.say("activity.all-services")) }
                    @for name in &names { option value=(name) selected[*name == which.service] { (name) } }
                }
                noscript { button.button type="submit" { (words.say("activity.show")) } }
            }
        }
        @if page.is_empty() {
            section.card {
                (parts::empty("clock", words.say("activity.no-runs"), words.say("activity.no-runs-help"), &html! {
                    a.button.main href="activity" { (icon("refresh")) (words.say("activity.to-running")) }
                }))
            }
        } @else {
            section.card.framed { (table(words, page)) }
            nav.pages aria-label=(words.say("activity.pages")) {
                @if which.before.is_some() { a.button href=(href(None)) { (words.say("activity.latest")) } }
                @if let (false, Some(last)) = (rest.is_empty(), page.last()) { a.button href=(href(Some(last.id))) { (words.say("activity.earlier")) (icon("chevron-right")) } }
            }
        }
    };
    Ok(super::whole(&visit, Tab::History, &html! {}, &content))
}

fn table(words: Words, runs: &[&ToldRun]) -> Markup {
    html! {
        table.table.folds.runs {
            thead { tr {
                th { (words.say("activity.service")) } th { (words.say("activity.began")) } th { (words.say("activity.took")) }
                th { (words.say("activity.what")) } th { (words.say("activity.result")) }
            } }
            tbody {
                @for run in runs {
                    tr {
                        td { a href=(format!("activity/history/{}", run.id)) { strong { (rows::name(&run.service)) } } }
                        td.number data-label=(words.say("activity.began")) { (rows::moment(words, &run.started)) }
                        td.number data-label=(words.say("activity.took")) { (took(words, run)) }
                        td data-label=(words.say("activity.what")) { (done(words, run)) }
                        td { (result(words, run)) }
                    }
                }
            }
        }
    }
}

fn took(words: Words, run: &ToldRun) -> String {
    match run.seconds {
        ..1.0 => words.say("activity.moment").to_owned(),
        seconds => format::span(seconds.round() as u64),
    }
}

fn count(run: &ToldRun, name: &str) -> u64 {
    run.counts.get(name).copied().unwrap_or(0)
}

/// What a run did, in a few words.
fn done(words: Words, run: &ToldRun) -> Markup {
    let did = [
        ("activity.did-uploaded", "uploaded"),
        ("activity.did-downloaded", "downloaded"),
        ("activity.did-moved", "moved"),
        ("activity.did-deleted", "deleted"),
        ("activity.did-adopted", "adopted"),
        ("activity.did-conflicts", "conflicts"),
    ];
    let did: Vec<String> =
        did.iter().filter(|(_, name)| count(run, name) > 0).map(|(key, name)| words.count(key, count(run, name))).collect();
    let bytes = count(run, "bytes_up") + count(run, "bytes_down");
    html! {
        @if did.is_empty() {
            @let is_whole = run.error.is_none() && count(run, "failed") == 0;
            span.dim { (words.say(if is_whole { "activity.did-nothing" } else { "activity.did-none" })) }
        } @else { (did.join(", ")) }
        @if bytes > 0 { span.dim.number { " · " (format::size(words.0, bytes)) } }
    }
}

fn result(words: Words, run: &ToldRun) -> Markup {
    let failed = count(run, "failed");
    let (tone, sign, text) = match &run.error {
        Some(_) => {
            let (tone, key) = rows::ended(run.cause.as_deref());
            (tone, "alert", words.say(key).to_owned())
        }
        None if failed > 0 => ("warning", "alert", words.count("activity.result-files", failed)),
        None => ("good", "check", words.say("activity.result-done").to_owned()),
    };
    html! { span.pill.(tone) { (icon(sign)) (text) } }
}

#[derive(Deserialize)]
pub(super) struct Part {
    /// Only this list.
    #[serde(default)]
    list: String,
    #[serde(default)]
    after: u32,
}

/// One run with what it did not do, and what it did; a page of each list.
pub(super) async fn show(
    visit: Visit,
    State(shared): State<Shared>,
    Path(id): Path<u64>,
    Query(part): Query<Part>,
) -> Result<Answer, Refused> {
    visit.admin()?;
    let words = visit.words();
    let from = |list: &str| if part.list == list { part.after } else { 0 };
    let OneRun { run, files, untold } = shared.operations.run(None, id).await?;
    let (failed, did): (Vec<RunFile>, Vec<RunFile>) = files.into_iter().partition(|file| file.failure.is_some());
    let after = from("skipped").checked_sub(1);
    let skipped = shared.operations.skipped(None, id, after, rows::ROWS).await?;
    let lists = [
        ("failed", failed.len() as u64, files_of(words, id, "failed", &failed, from("failed"))),
        ("skipped", skipped.total, skipped_of(words, id, &skipped)),
        ("done", did.len() as u64, files_of(words, id, "done", &did, from("done"))),
    ];
    if visit.is_part {
        let list = lists.into_iter().find(|(name, ..)| *name == part.list).ok_or_else(Refused::nothing_here)?;
        return Ok(page::part(list.2));
    }
    let content = html! {
        p { a href="activity/history" { (words.say("activity.back-history")) } }
        section.card {
            header { h2 { (rows::name(&run.service)) } (result(words, &run)) }
            dl.facts.number {
                div { dt { (words.say("activity.began")) } dd { (rows::moment(words, &run.started)) } }
                div { dt { (words.say("activity.took")) } dd { (took(words, &run)) } }
                div { dt { (words.say("activity.why")) } dd { (words.known(&format!("activity.trigger-{}", trigger(&run.trigger))).unwrap_or_default()) } }
                div { dt { (words.say("activity.what")) } dd { (done(words, &run)) } }
            }
            @if let Some(error) = &run.error {
                @let tone = if rows::ended(run.cause.as_deref()).0 == "bad" { Tone::Bad } else { Tone::Warning };
                (parts::notice(tone, &html! { p { strong { (words.say("activity.run-failed")) } } (rows::cause_of(words, run.cause.as_deref(), error)) }))
            }
        }
        @for (name, count, list) in &lists {
            section.card {
                header { h2 { (words.known(&format!("activity.list-{}", name)).unwrap_or_default()) } span.pill.number { (format::number(words.0, *count)) } }
                @if *count == 0 { p.dim { (words.known(&format!("activity.none-{}", name)).unwrap_or_default()) } } @else { ul.listed { (list) } }
                @if *name == "done" && untold > 0 { p.dim { (words.count("activity.untold", untold)) } }
            }
        }
    };
    Ok(super::whole(&visit, Tab::History, &html! {}, &content))
}

/// What a run began for, as a word for the catalogue.
fn trigger(text: &str) -> &'static str {
    match text {
        "by hand" => "manual",
        "by its interval" => "interval",
        "tried again" => "retry",
        "something changed here" => "here",
        "something changed there" => "there",
        _ => "other",
    }
}

fn files_of(words: Words, id: u64, list: &str, files: &[RunFile], after: u32) -> Markup {
    let from = after as usize;
    let end = from.saturating_add(rows::ROWS);
    html! {
        @for file in files.iter().skip(from).take(rows::ROWS) {
            li {
                (rows::action(words, &file.action))
                (rows::path(&file.path))
                @if let Some(reason) = &file.failure { (rows::cause_of(words, file.cause.as_deref(), reason)) }
                span.number.dim { @if file.bytes > 0 { (format::size(words.0, file.bytes)) } }
            }
        }
        @if files.len() > end { (rows::more(words, &format!("activity/history/{id}?list={list}&after={end}"))) }
    }
}

fn skipped_of(words: Words, id: u64, skipped: &SkippedOfRun) -> Markup {
    html! {
        @for file in &skipped.skipped { li { (rows::path(&file.path)) (rows::left_because(words, file.cause.as_deref(), &file.reason)) } }
        @if let Some(next) = skipped.next {
            (rows::more(words, &format!("activity/history/{id}?list=skipped&after={}", next.saturating_add(1))))
        } @else if skipped.total > 0 && skipped.skipped.is_empty() {
            li.dim { (words.say("activity.not-kept")) }
        }
    }
}
