//! What goes on now: every service with its state, and the run with it as it goes.

use axum::extract::State;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::json;

use super::super::super::api::Shared;
use super::super::form::Form;
use super::super::page::{self, Answer};
use super::super::parts::{self, icon};
use super::super::refused::Refused;
use super::super::visit::Visit;
use super::super::words::Words;
use super::{Tab, live, rows, uploads};
use crate::operations::{Sending, ServiceStatus, ShareReport, SyncRequest, SyncState};

/// The page; only what changes in it, when that is asked for.
pub(super) async fn show(visit: Visit, State(shared): State<Shared>) -> Result<Answer, Refused> {
    visit.admin()?;
    let words = visit.words();
    let services = shared.operations.status().await?.services;
    let sending: Vec<ShareReport> =
        shared.operations.shares().await?.shares.into_iter().filter(|share| share.counts.waiting + share.counts.failed > 0).collect();
    let now = now(words, &services, &sending, &shared.operations.sending());
    if visit.is_part {
        return Ok(page::part(now));
    }
    let can_sync = services.iter().any(|service| service.on);
    let beside = html! {
        @if can_sync { button.button hx-post="activity/sync" hx-swap="none" { (icon("refresh")) (words.say("activity.sync-all")) } }
    };
    let content = html! {
        div.stack #now hx-get="activity" hx-trigger="now-changed from:body" hx-swap="innerMorph" { (now) }
    };
    Ok(super::whole(&visit, Tab::Running, &beside, &content))
}

fn now(words: Words, services: &[ServiceStatus], shares: &[ShareReport], sending: &[Sending]) -> Markup {
    html! {
        @if services.is_empty() {
            section.card {
                (parts::empty("cloud", words.say("activity.no-services"), words.say("activity.no-services-help"), &html! {
                    a.button.main href="settings/services" { (icon("plus")) (words.say("activity.to-services")) }
                }))
            }
        }
        @for service in services { (card(words, service)) }
        @if !shares.is_empty() || !sending.is_empty() {
            h2 { (words.say("activity.uploads-now")) }
            @for one in sending { (uploads::sending(words, one)) }
            @for share in shares { (uploads::card(words, share)) }
        }
    }
}

fn card(words: Words, service: &ServiceStatus) -> Markup {
    let is_going = service.running.is_some();
    html! {
        section.card.service data-going[is_going] {
            header {
                (icon("cloud"))
                h2 { (rows::name(&service.name)) }
                (state(words, service))
                (buttons(words, service))
            }
            @match &service.running {
                Some(going) => { (live::going(words, going)) }
                None => { (resting(words, service)) }
            }
        }
    }
}

fn state(words: Words, service: &ServiceStatus) -> Markup {
    let (tone, sign, key) = match (&service.running, service.state) {
        (Some(going), _) if going.stopping => ("warning", "stop", "activity.state-stopping"),
        (Some(going), _) if going.preview => ("accent", "eye", "activity.state-preview"),
        (Some(_), _) => ("accent", "refresh", "activity.state-running"),
        (None, SyncState::Stopped) => ("bad", "alert", "activity.state-stopped"),
        (None, SyncState::Paused) => ("warning", "pause", "activity.state-paused"),
        (None, SyncState::On) if rows::run_failed(service).is_some() => ("bad", "alert", "activity.result-failed"),
        (None, SyncState::On) => ("good", "check", "activity.state-on"),
        (None, SyncState::Off) => ("plain", "minus", "activity.state-off"),
    };
    html! { span.pill.(tone) { (icon(sign)) (words.say(key)) } }
}

/// A service with which no run goes on.
fn resting(words: Words, service: &ServiceStatus) -> Markup {
    html! {
        @if let Some(standstill) = rows::standstill(words, service) { (standstill) }
        dl.facts {
            div {
                dt { (words.say("activity.last-sync")) }
                dd {
                    @match (&service.last_ended, &service.last_run) {
                        (Some(ended), Some(report)) => { (rows::moment(words, ended)) " – " (words.known(&format!("activity.result-{}", report.result())).unwrap_or_default()) }
                        (Some(ended), None) => { (rows::moment(words, ended)) }
                        _ => { (words.say("activity.never")) }
                    }
                }
            }
            div {
                dt { (words.say("activity.next-sync")) }
                dd { @match &service.next_run { Some(next) => { (rows::moment(words, next)) } None => { (words.say("activity.by-hand")) } } }
            }
            @if service.waiting.count > 0 {
                div {
                    dt { (words.say("activity.failures")) }
                    dd { a href="activity/failures" { (words.files(service.waiting.count)) } }
                }
            }
        }
    }
}

/// What can be done with a service. The buttons keep their places when its state changes: above what grows and shrinks with it.
fn buttons(words: Words, service: &ServiceStatus) -> Markup {
    let is_paused = service.state == SyncState::Paused;
    let named = |key: &'static str| words.fill(key, &[("service", &service.name)]);
    let (to_run, run_sign, run_key, run_label) = match &service.running {
        Some(_) => ("activity/cancel", "stop", "activity.cancel", "activity.cancel-named"),
        None => ("activity/sync", "refresh", "activity.sync", "activity.sync-named"),
    };
    let (to_rest, rest_sign, rest_key, rest_label) = match is_paused {
        true => ("activity/resume", "play", "activity.resume", "activity.resume-named"),
        false => ("activity/pause", "pause", "activity.pause", "activity.pause-named"),
    };
    let is_stopping = service.running.as_ref().is_some_and(|going| going.stopping);
    html! {
        div.buttons {
            form hx-post=(to_run) hx-swap="none" {
                input type="hidden" name="service" value=(service.name);
                button.button type="submit" aria-label=(named(run_label)) disabled[is_stopping] { (icon(run_sign)) (words.say(run_key)) }
            }
            @if service.state != SyncState::Off || service.running.is_some() {
                form hx-post=(to_rest) hx-swap="none" {
                    input type="hidden" name="service" value=(service.name);
                    button.button type="submit" aria-label=(named(rest_label)) { (icon(rest_sign)) (words.say(rest_key)) }
                }
            }
        }
    }
}

/// Which service is meant; all when there is none.
#[derive(Deserialize)]
pub(super) struct Which {
    service: Option<String>,
}

/// Begins a sync, and does not wait for it.
pub(super) async fn sync(visit: Visit, State(shared): State<Shared>, Form(which): Form<Which>) -> Result<Answer, Refused> {
    visit.admin()?;
    let request = SyncRequest { names: which.service.into_iter().collect(), ..SyncRequest::default() };
    shared.operations.start_sync(request).await?;
    Ok(page::done(&json!({ "now-changed": true })))
}

pub(super) async fn pause(visit: Visit, State(shared): State<Shared>, Form(which): Form<Which>) -> Result<Answer, Refused> {
    visit.admin()?;
    shared.operations.pause(which.service).await?;
    Ok(changed())
}

pub(super) async fn resume(visit: Visit, State(shared): State<Shared>, Form(which): Form<Which>) -> Result<Answer, Refused> {
    visit.admin()?;
    shared.operations.resume(which.service).await?;
    Ok(changed())
}

pub(super) async fn cancel(visit: Visit, State(shared): State<Shared>, Form(which): Form<Which>) -> Result<Answer, Refused> {
    visit.admin()?;
    shared.operations.cancel(which.service).await?;
    Ok(changed())
}

/// Services shows the same, and has the same buttons.
fn changed() -> Answer {
    page::done(&json!({ "now-changed": true, "services-changed": true }))
}
