//! The collections above people's homes: what clients see who begin at `/remote.php/dav/`.

use http::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};

use crate::accounts::Login;
use crate::dav::multistatus::Document;
use crate::dav::names::{DAV, PropName};
use crate::dav::{href, propfind};

use super::super::http::{Body, Incoming, text};
use super::answers::{Base, empty, whole};

/// A request body larger than this is none that a client would send.
const BODY_LIMIT: usize = 64 << 10;

/// A collection that holds no files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::server) enum Collection {
    /// `/remote.php/dav/`.
    Top,
    /// `/remote.php/dav/files/`.
    Homes,
    /// `/remote.php/dav/principals/` and what lies in it, except people.
    Principals(Vec<String>),
    /// `/remote.php/dav/principals/users/USER/`.
    Principal(String),
}

impl Collection {
    /// From the segments below `/remote.php/dav/`.
    pub(super) fn of(segments: &[&str]) -> Option<Self> {
        match *segments {
            [] => Some(Self::Top),
            ["files"] => Some(Self::Homes),
            ["principals"] => Some(Self::Principals(Vec::new())),
            ["principals", "users"] => Some(Self::Principals(vec!["users".into()])),
            ["principals", "users", user] => Some(Self::Principal(user.to_owned())),
            _ => None,
        }
    }
}

/// The value of a property on its way out.
pub(super) enum Value {
    Text(String),
    /// Elements, written by us.
    Elements(String),
}

/// A resource of an answer with the DAV: properties that it has, by their tags.
pub(super) struct Entry {
    pub(super) href: String,
    pub(super) properties: Vec<(&'static str, Value)>,
}

impl Entry {
    /// A collection of this name.
    pub(super) fn folder(href: String, name: &str) -> Self {
        let kind = Value::Elements("<d:collection/>".into());
        Self { href, properties: vec![("d:resourcetype", kind), ("d:displayname", Value::Text(name.to_owned()))] }
    }

    pub(super) fn with(mut self, tag: &'static str, value: Value) -> Self {
        self.properties.push((tag, value));
        self
    }
}

/// The name of a property with this tag.
fn name_of(tag: &str) -> PropName {
    PropName::owned(DAV, tag.trim_start_matches("d:"))
}

pub(super) async fn answer(collection: &Collection, request: Request<Incoming>, login: &Login, base: &Base) -> Response<Body> {
    match request.method().as_str() {
        "OPTIONS" => options(),
        "PROPFIND" => match entries(collection, login, base) {
            Some((itself, members)) => listing(request, itself, members).await,
            None => text(StatusCode::NOT_FOUND, "There is no such place.\n"),
        },
        _ => {
            let mut refusal = text(StatusCode::METHOD_NOT_ALLOWED, "Files are in /remote.php/dav/files/ and the user's name.\n");
            refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("OPTIONS, PROPFIND"));
            refusal
        }
    }
}

fn options() -> Response<Body> {
    let mut answer = empty(StatusCode::OK);
    answer.headers_mut().insert("dav", HeaderValue::from_static("1, 2, 3"));
    answer.headers_mut().insert("ms-author-via", HeaderValue::from_static("DAV"));
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static("OPTIONS, PROPFIND"));
    answer
}

fn entries(collection: &Collection, login: &Login, base: &Base) -> Option<(Entry, Vec<Entry>)> {
    let user = href::encode_text(&login.user);
    let principal = base.href(&format!("/remote.php/dav/principals/users/{user}/"));
    let link = || Value::Elements(format!("<d:href>{principal}</d:href>"));
    let own = |entry: Entry| entry.with("d:current-user-principal", link());
    let folder = |path: &str, name: &str| own(Entry::folder(base.href(&format!("/remote.php/dav/{path}")), name));
    let person = || folder(&format!("principals/users/{user}/"), &login.user).with("d:principal-URL", link());
    match collection {
        Collection::Top => {
            let members = ["files", "principals", "uploads"].map(|name| folder(&format!("{name}/"), name));
            Some((folder("", ""), members.into()))
        }
        Collection::Homes => Some((folder("files/", "files"), vec![folder(&format!("files/{user}/"), &login.user)])),
        Collection::Principals(below) if below.is_empty() => {
            Some((folder("principals/", "principals"), vec![folder("principals/users/", "users")]))
        }
        Collection::Principals(_) => Some((folder("principals/users/", "users"), vec![person()])),
        Collection::Principal(name) if *name == login.user => Some((person(), Vec::new())),
        Collection::Principal(_) => None,
    }
}

/// A PROPFIND of a collection and its members.
pub(super) async fn listing(request: Request<Incoming>, itself: Entry, members: Vec<Entry>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let members = match parts.headers.get("depth").map(HeaderValue::as_bytes) {
        Some(b"0") => Vec::new(),
        // Nextcloud takes a request without the header for one of Depth 1.
        Some(b"1") | None => members,
        _ => return finite(),
    };
    let Ok(body) = Limited::new(body, BODY_LIMIT).collect().await else {
        return text(StatusCode::BAD_REQUEST, "The request body is too large or did not come.\n");
    };
    let body = body.to_bytes();
    let Some(Ok(wanted)) = str::from_utf8(&body).ok().map(propfind::Request::parse) else {
        return text(StatusCode::BAD_REQUEST, "The request body is no PROPFIND.\n");
    };
    let mut document = Document::new();
    std::iter::once(itself).chain(members).for_each(|entry| write(&mut document, &entry, &wanted));
    whole(StatusCode::MULTI_STATUS, Some("application/xml; charset=utf-8"), document.finish())
}

fn write(document: &mut Document, entry: &Entry, wanted: &propfind::Request) {
    document.resource(&entry.href, |found| {
        for (tag, value) in &entry.properties {
            match (value, wanted) {
                (_, propfind::Request::PropName) => found.name(&name_of(tag)),
                (_, propfind::Request::Props(wanted)) if !wanted.contains(&name_of(tag)) => {}
                (Value::Text(text), _) => found.text(tag, text),
                (Value::Elements(xml), _) => found.elements(tag, xml),
            }
        }
        if let propfind::Request::Props(wanted) = wanted {
            let has = |name: &PropName| entry.properties.iter().any(|(tag, _)| name_of(tag) == *name);
            wanted.iter().filter(|name| !has(name)).for_each(|name| found.missing(name));
        }
    });
}

/// RFC 4918 section 9.1: there is no answer without end here.
fn finite() -> Response<Body> {
    let body = "<?xml version=\"1.0\" encoding=\"utf-8\"?><d:error xmlns:d=\"DAV:\"><d:propfind-finite-depth/></d:error>";
    let mut answer = whole(StatusCode::FORBIDDEN, None, body.into());
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/xml; charset=utf-8"));
    answer
}
