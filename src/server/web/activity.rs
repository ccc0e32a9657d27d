//! Activity: what goes on, what was done, what was not and why, conflicts, the trash, uploads. For admins.

mod conflicts;
mod failures;
mod graph;
mod history;
mod live;
mod rows;
mod running;
mod skipped;
mod trash;
mod uploads;

use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use maud::{Markup, html};
use serde::Deserialize;

use super::super::api::Shared;
use super::form::Query;
use super::format;
use super::page::{self, Answer, Place};
use super::parts::{self, script_words};
use super::refused::Refused;
use super::visit::Visit;

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/activity", get(running::show))
        .route("/activity/tabs", get(tabs_now))
        .route("/activity/sync", post(running::sync))
        .route("/activity/pause", post(running::pause))
        .route("/activity/resume", post(running::resume))
        .route("/activity/cancel", post(running::cancel))
        .route("/activity/history", get(history::list))
        .route("/activity/history/{id}", get(history::show))
        .route("/activity/failures", get(failures::show))
        .route("/activity/failures/retry", post(failures::retry))
        .route("/activity/skipped", get(skipped::show))
        .route("/activity/conflicts", get(conflicts::show))
        .route("/activity/conflicts/resolve", post(conflicts::resolve))
        .route("/activity/conflicts/both", get(conflicts::ask_both).post(conflicts::keep_both))
        .route("/activity/trash", get(trash::show))
        .route("/activity/trash/picture", get(trash::picture))
        .route("/activity/trash/restore", post(trash::restore))
        .route("/activity/trash/empty", get(trash::ask_empty).post(trash::empty))
        .route("/activity/uploads", get(uploads::list))
        .route("/activity/uploads/retry", post(uploads::retry))
        .route("/activity/uploads/{number}", get(uploads::show))
        .route("/activity/uploads/{number}/cancel", get(uploads::ask_cancel).post(uploads::cancel))
}

/// The parts of this area. Each has its own address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tab {
    Running,
    History,
    Failures,
    Conflicts,
    Trash,
    Uploads,
}

impl Tab {
    const ALL: [Self; 6] = [Self::Running, Self::Uploads, Self::History, Self::Failures, Self::Conflicts, Self::Trash];

    fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::History => "history",
            Self::Failures => "failures",
            Self::Conflicts => "conflicts",
            Self::Trash => "trash",
            Self::Uploads => "uploads",
        }
    }

    fn href(self) -> &'static str {
        match self {
            Self::Running => "activity",
            Self::History => "activity/history",
            Self::Failures => "activity/failures",
            Self::Conflicts => "activity/conflicts",
            Self::Trash => "activity/trash",
            Self::Uploads => "activity/uploads",
        }
    }

    fn key(self) -> &'static str {
        match self {
            Self::Running => "activity.running",
            Self::History => "activity.history",
            Self::Failures => "activity.failures",
            Self::Conflicts => "activity.conflicts",
            Self::Trash => "activity.trash",
            Self::Uploads => "activity.uploads",
        }
    }
}

/// How much there is in each part.
#[derive(Debug, Clone, Copy, Default)]
struct Amounts {
    running: u64,
    failures: u64,
    conflicts: u64,
    trash: u64,
    uploads: u64,
}

impl Amounts {
    async fn of(shared: &Shared) -> Result<Self, Refused> {
        let status = shared.operations.status().await?;
        let shares = shared.operations.shares().await?.shares;
        let count = |length: usize| length as u64;
        Ok(Self {
            running: count(status.services.iter().filter(|service| service.running.is_some()).count()),
            failures: status.services.iter().map(|service| service.waiting.count + u64::from(rows::stands_still(service))).sum(),
            conflicts: count(shared.operations.list_conflicts().await?.conflicts.len()),
            // A library that is not there has no trash either; its page says so.
            trash: shared.operations.list_trash().await.map_or(0, |trash| count(trash.files.len())),
            uploads: shares.iter().map(|share| share.counts.waiting + share.counts.failed).sum(),
        })
    }

    fn shown(&self, tab: Tab) -> u64 {
        match tab {
            Tab::Running => self.running,
            Tab::History => 0,
            Tab::Failures => self.failures,
            Tab::Conflicts => self.conflicts,
            Tab::Trash => self.trash,
            Tab::Uploads => self.uploads,
        }
    }
}

/// The ways to the parts. The amounts come a moment later: to count them takes longer than to show a page.
fn tabs(visit: &Visit, here: Tab, amounts: Option<&Amounts>) -> Markup {
    let words = visit.words();
    html! {
        ul {
            @for tab in Tab::ALL {
                @let count = amounts.map_or(0, |amounts| amounts.shown(tab));
                li {
                    a href=(tab.href()) aria-current=[(tab == here).then_some("page")] {
                        (words.say(tab.key()))
                        @if tab != Tab::History {
                            span.count.(if matches!(tab, Tab::Failures | Tab::Conflicts) { "warning" } else { "plain" })
                                data-none[count == 0] { @if count > 0 { (format::number(words.0, count)) } }
                        }
                    }
                }
            }
        }
    }
}

#[derive(Deserialize)]
struct Here {
    #[serde(default)]
    here: String,
}

async fn tabs_now(visit: Visit, State(shared): State<Shared>, Query(asked): Query<Here>) -> Result<Answer, Refused> {
    visit.admin()?;
    let here = Tab::ALL.into_iter().find(|tab| tab.name() == asked.here).ok_or_else(Refused::nothing_here)?;
    Ok(page::part(tabs(&visit, here, Some(&Amounts::of(&shared).await?))))
}

/// A whole page of this area. `beside` stands at the right of its title.
fn whole(visit: &Visit, tab: Tab, beside: &Markup, content: &Markup) -> Answer {
    let words = visit.words();
    let shown = html! {
        div.page.activity {
            header.top { h1 { (words.say("common.activity")) } (beside) }
            nav.tabs aria-label=(words.say("activity.parts")) hx-get=(format!("activity/tabs?here={}", tab.name()))
                hx-trigger="load, amounts-changed from:body" hx-swap="innerMorph" { (tabs(visit, tab, None)) }
            (parts::lost(words))
            p.hidden #told role="status" aria-live="polite" {}
            (content)
            (script_words(words, "activity"))
        }
    };
    let title = format!("{} – {}", words.say(tab.key()), words.say("common.activity"));
    page::whole_with(visit, Place::Activity, &title, &["activity.js"], &shown)
}
