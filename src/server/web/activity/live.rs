//! A run as it goes: how far, how fast, how long still, and with which files. Every number has its own place, whether it is known or not.

use maud::{Markup, html};

use super::super::format;
use super::super::words::Words;
use super::{graph, rows};
use crate::operations::Going;
use crate::sync::Pace;

/// So many of the files that are on their way have a place.
const PLACES: usize = 3;

pub(super) fn going(words: Words, going: &Going) -> Markup {
    let progress = &going.progress;
    // What there is to do is only known when both sides were looked at.
    let is_counted = progress.files_total > 0;
    let (done, total) = match progress.bytes_total {
        0 => (progress.files, progress.files_total),
        total => (total.saturating_sub(progress.bytes_left), total),
    };
    let counted = |done: String, total: String| match is_counted {
        true => words.fill("activity.of", &[("done", &done), ("total", &total)]),
        false => words.say("activity.counting").to_owned(),
    };
    let number = |number: u64| format::number(words.0, number);
    let size = |bytes: u64| format::size(words.0, bytes);
    html! {
        p.dim { (words.say(if is_counted { "activity.transferring" } else { "activity.looking" })) " " (since(words, &going.started)) }
        (bar(words, is_counted.then_some((done, total))))
        dl.facts.number {
            div { dt { (words.say("activity.files")) } dd { (counted(number(progress.files), number(progress.files_total))) } }
            div { dt { (words.say("activity.bytes")) } dd { (counted(size(progress.bytes_total.saturating_sub(progress.bytes_left)), size(progress.bytes_total))) } }
            (pace(words, &going.pace))
        }
        (graph::throughput(words, &going.pace.throughput))
        (files(words, going))
    }
}

/// How far something is; unknown when there is nothing.
pub(super) fn bar(words: Words, done: Option<(u64, u64)>) -> Markup {
    let percent = done.map(|(done, total)| (done.min(total) * 1000).checked_div(total).unwrap_or(1000));
    html! { progress.progress aria-label=(words.say("activity.progress")) max="1000" value=[percent] {} }
}

/// How fast, and how long still.
pub(super) fn pace(words: Words, pace: &Pace) -> Markup {
    html! {
        div { dt { (words.say("activity.speed")) } dd { (format::size(words.0, pace.bytes_per_second)) "/s" } }
        div {
            dt { (words.say("activity.left")) }
            dd { @match pace.seconds_left { Some(seconds) => { (format::span(seconds)) } None => { (words.say("activity.unknown")) } } }
        }
    }
}

fn since(words: Words, started: &str) -> Markup {
    html! { (words.say("activity.since")) " " (rows::moment(words, started)) }
}

fn files(words: Words, going: &Going) -> Markup {
    let rest = going.files.len().saturating_sub(PLACES);
    html! {
        ul.moving aria-label=(words.say("activity.moving")) {
            @for file in going.files.iter().take(PLACES) {
                li {
                    (rows::action(words, &file.action))
                    (rows::path(file.path.as_str()))
                    span.number.dim { (words.fill("activity.of", &[("done", &format::size(words.0, file.moved)), ("total", &format::size(words.0, file.bytes))])) }
                }
            }
        }
        p.dim.rest { @if rest > 0 { (words.count("activity.and-more", rest as u64)) } @else { "\u{a0}" } }
    }
}
