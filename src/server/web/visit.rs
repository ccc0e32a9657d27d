//! Somebody who looks at a page, and how they want it.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use http::header::ACCEPT_LANGUAGE;
use http::request::Parts;
use http::{HeaderValue, Uri};

use super::super::api::{Caller, Shared, Via, cookie};
use super::super::http::Peer;
use super::super::language::Language;
use super::refused::Refused;
use super::words::Words;

/// The cookie of the language that somebody chose.
pub(super) const LANGUAGE: &str = "twinlens_language";
/// The cookie of the theme that somebody chose.
pub(super) const THEME: &str = "twinlens_theme";

/// Dark, light, or as the system has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Theme {
    #[default]
    System,
    Light,
    Dark,
}

impl Theme {
    pub(super) const ALL: [Self; 3] = [Self::System, Self::Light, Self::Dark];

    /// As it stands in the page and in its cookie.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    pub(super) fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|theme| theme.name() == name)
    }
}

/// One request for a page: who, in which language, from where.
#[derive(Debug, Clone)]
pub(super) struct Visit {
    /// Nobody has signed in when there is none. In public mode there always is one, who has no name.
    pub(super) caller: Option<Caller>,
    pub(super) language: Language,
    pub(super) theme: Theme,
    /// The node serves without a login.
    pub(super) is_public: bool,
    /// The path that the client writes before all of ours, with a slash at its end: `/`, `/photos/`.
    pub(super) base: String,
    /// The address that the client knows the node by, without a slash at its end.
    pub(super) address: String,
    /// Path and query, without the prefix and the slash at its beginning.
    pub(super) here: String,
    /// Only a part of a page is wanted.
    pub(super) is_part: bool,
    /// The page that it is wanted for, as `here` would be of it.
    pub(super) page: Option<String>,
}

impl Visit {
    pub(super) fn of(parts: &Parts, shared: &Shared) -> Self {
        let peer = Peer::of(&parts.extensions);
        let address = peer.map(Peer::base).unwrap_or_default();
        let page = parts.headers.get("hx-current-url").and_then(|url| url.to_str().ok()).and_then(|url| url.strip_prefix(&address));
        let page = page.map(|page| page.trim_start_matches('/').to_owned());
        let chosen = cookie(&parts.headers, LANGUAGE).and_then(|code| Language::of_code(&code));
        Self {
            caller: parts.extensions.get::<Caller>().cloned(),
            language: chosen.unwrap_or_else(|| Language::of(parts.headers.get(ACCEPT_LANGUAGE))),
            theme: cookie(&parts.headers, THEME).and_then(|name| Theme::of(&name)).unwrap_or_default(),
            is_public: shared.operations.is_public(),
            base: peer.map_or_else(|| "/".to_owned(), |peer| peer.href("/")),
            address,
            here: here(&parts.uri),
            is_part: parts.headers.get("hx-request") == Some(&HeaderValue::from_static("true")),
            page,
        }
    }

    pub(super) fn words(&self) -> Words {
        Words(self.language)
    }

    /// The token that changes carry; empty without a session.
    pub(super) fn csrf(&self) -> &str {
        match self.caller.as_ref().map(|caller| &caller.via) {
            Some(Via::Session { csrf, .. }) => csrf,
            _ => "",
        }
    }

    /// The name of whoever signed in.
    pub(super) fn user(&self) -> Option<&str> {
        self.caller.as_ref().and_then(Caller::name)
    }

    pub(super) fn is_admin(&self) -> bool {
        self.caller.as_ref().is_some_and(Caller::is_admin)
    }

    /// Somebody who signed in; in public mode there is nobody.
    pub(super) fn person(&self) -> Result<&Caller, Refused> {
        if self.is_public {
            return Err(Refused::public());
        }
        self.caller.as_ref().ok_or_else(Refused::sign_in)
    }

    /// Somebody who signed in and administers the node.
    pub(super) fn admin(&self) -> Result<&Caller, Refused> {
        self.person().and_then(|caller| if caller.is_admin() { Ok(caller) } else { Err(Refused::not_admin()) })
    }

    /// Somebody who may look at the library: a person; anybody in public mode.
    pub(super) fn reader(&self) -> Result<&Caller, Refused> {
        self.caller.as_ref().ok_or_else(Refused::sign_in)
    }
}

impl FromRequestParts<Shared> for Visit {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, Infallible> {
        Ok(Self::of(parts, shared))
    }
}

fn here(uri: &Uri) -> String {
    uri.path_and_query().map_or("", |path| path.as_str().trim_start_matches('/')).to_owned()
}
