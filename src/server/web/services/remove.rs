//! *Remove*: what goes, what stays, and what had not been sent yet.

use axum::extract::State;
use maud::html;

use super::super::super::api::Shared;
use super::super::form::Query;
use super::super::page::{self, Answer};
use super::super::parts::{self, Tone, icon};
use super::super::refused::Refused;
use super::super::visit::Visit;
use super::{Named, at, closed};

pub(super) async fn ask(visit: Visit, State(shared): State<Shared>, Query(Named { name }): Query<Named>) -> Result<Answer, Refused> {
    visit.admin()?;
    let words = visit.words();
    let service = shared.operations.service(name).await?;
    let name = &service.name;
    let shares = shared.operations.shares().await?.shares.into_iter().filter(|share| share.service == *name);
    let unsent: Vec<(u64, u64)> =
        shares.map(|share| (share.share, share.counts.waiting + share.counts.failed)).filter(|(_, files)| *files > 0).collect();
    let files: u64 = unsent.iter().map(|(_, files)| files).sum();
    let running = shared.operations.status().await?.services.into_iter().any(|status| status.name == *name && status.running.is_some());
    let content = html! {
        form hx-post=(at("remove", name)) hx-swap="none" {
            div.two-lists {
                div {
                    h3 { (icon("check-circle")) (words.say("services.stays")) }
                    ul { li { (words.say("services.stays-here")) } li { (words.fill("services.stays-there", &[("name", name)])) } }
                }
                div {
                    h3 { (icon("circle-x")) (words.say("services.goes")) }
                    ul { li { (words.say("services.goes-login")) } li { (words.say("services.goes-agreed")) } li { (words.say("services.goes-history")) } }
                }
            }
            @if files > 0 { (parts::notice(Tone::Warning, &html! { p { (words.count("services.unsent", files)) } })) }
            @if running { (parts::notice(Tone::Warning, &html! { p { (words.say("services.remove-running")) } })) }
            p.dim { (words.say("services.remove-again")) }
            (parts::actions(words, &html! { button.button.danger type="submit" { (icon("trash")) (words.say("services.remove")) } }))
        }
    };
    Ok(page::part(parts::dialog(words, &words.fill("services.remove-of", &[("name", name)]), &html! {}, &content)))
}

pub(super) async fn remove(visit: Visit, State(shared): State<Shared>, Query(Named { name }): Query<Named>) -> Result<Answer, Refused> {
    visit.admin()?;
    shared.operations.remove_service(name.clone()).await?;
    let said = visit.words().fill("services.removed", &[("name", &name)]);
    Ok(closed(&said))
}
