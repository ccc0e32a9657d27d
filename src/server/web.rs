//! The pages: what a person without a terminal uses, in German and English.
//!
//! HTML is rendered here and sent whole; parts of a page are fetched and put in place by htmx. Pages have no logic of their own: they call the same
//! [`Operations`](crate::operations::Operations) as the API. All links are relative to the `base` of the page, so that they hold behind a proxy
//! that adds a path.
//!
//! What keeps a page safe: no inline script or style (Content-Security-Policy), every text is escaped by maud, every change carries the token
//! of the session in `X-CSRF-Token` and comes from our own origin, nothing may frame a page.

mod account;
mod activity;
mod assets;
mod form;
mod format;
mod library;
mod page;
mod parts;
mod refused;
mod services;
mod signin;
mod users;
mod visit;
mod words;

use std::net::IpAddr;

use axum::Router;
use axum::routing::{get, post};
use http::{Method, Request, Response};
use tower_http::compression::CompressionLayer;

use super::api::{self, Shared};
use super::http::{Body, Incoming};

/// What the pages' paths begin with, besides the front page.
const PLACES: [&str; 5] = ["/signin", "/library", "/activity", "/settings", "/assets"];

/// Whether a request is for a page, whoever asks.
pub(super) fn covers(method: &Method, path: &str) -> bool {
    let is_front = path == "/" && matches!(*method, Method::GET | Method::HEAD);
    is_front || PLACES.iter().any(|place| path.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
}

/// Answers requests for pages.
pub(super) struct Web {
    router: Router,
    shared: Shared,
}

impl Web {
    pub(super) fn new(shared: Shared) -> Self {
        let router = routes()
            .fallback(refused::nothing_here)
            .method_not_allowed_fallback(refused::wrong_method)
            .layer(axum::middleware::from_fn_with_state(shared.clone(), refused::shown))
            .with_state(shared.clone());
        Self { router, shared }
    }

    pub(super) async fn answer(&self, request: Request<Incoming>, from: IpAddr) -> Response<Body> {
        let (mut parts, body) = request.into_parts();
        let caller = match api::find_caller(&self.shared, &parts, from).await {
            Ok(caller) => caller,
            // Shown as a page, like any other refusal.
            Err(problem) => {
                parts.extensions.insert(refused::Beforehand::from(problem));
                None
            }
        };
        api::dispatch(&self.router, Request::from_parts(parts, body), from, caller).await
    }
}

/// Every page.
fn routes() -> Router<Shared> {
    Router::new()
        .route("/", get(page::front))
        .route("/assets/{version}/{name}", get(assets::serve).layer(CompressionLayer::new()))
        .route("/signin", get(signin::show).post(signin::begin))
        .route("/signin/end", post(signin::end))
        .route("/settings", get(page::settings))
        .merge(account::routes())
        .merge(activity::routes())
        .merge(library::routes())
        .merge(users::routes())
        .merge(services::routes())
}
