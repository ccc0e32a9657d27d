//! The OpenAPI document (3.1): made from the routes, completed with what holds for all of them.

use std::sync::Arc;

use axum::Extension;
use http::Request;
use serde_json::{Value, json};
use utoipa::openapi::OpenApi;
use utoipa::{PartialSchema as _, ToSchema as _};

use super::super::http::Peer;
use super::problem::{Document, FieldError, Problem};
use super::{Told, told};

/// What the document says before the routes are added.
pub(super) fn begun() -> OpenApi {
    OpenApi::default()
}

const ABOUT: &str = "Everything that a node can do. People log in with their password (Basic, or a session), programs better with an app \
    password (Bearer). Changes with a session's cookie carry the session's token in X-CSRF-Token. Every refusal is a problem document \
    (RFC 9457) whose `code` stays the same. Long lists come in pages: `next`, where there is one, is the `cursor` of the next page.";

/// Refusals: their status, what they mean, and whether an operation can have them.
const REFUSALS: [(u16, &str); 13] = [
    (400, "The request cannot be used; the fields are named."),
    (401, "Nobody is logged in, or the login is wrong."),
    (403, "Whoever asks may not; or the node is in public mode."),
    (404, "There is no such thing, or it is not for whoever asks."),
    (405, "There is no such method here; the header Allow says which ones there are."),
    (408, "Nothing more of the body came."),
    (409, "It cannot be done as things are."),
    (413, "The body is too large."),
    (414, "The URL is too long."),
    (415, "The body is not of the type that is taken."),
    (422, "The request is understood, but what it says cannot be used."),
    (429, "Too often, or too many at once; the header Retry-After says when to come again."),
    (500, "Something went wrong here; the log says what."),
];

/// The document as it is served: with the ways to log in, and the refusals that every operation can answer with.
pub(super) fn finished(document: OpenApi) -> Value {
    let mut document = serde_json::to_value(&document).unwrap_or_default();
    document["openapi"] = "3.1.0".into();
    document["info"] = json!({
        "title": "Twinlens",
        "description": ABOUT,
        "version": "1",
        "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
    });
    let schemas =
        [(Document::name(), serde_json::to_value(Document::schema())), (FieldError::name(), serde_json::to_value(FieldError::schema()))];
    for (name, schema) in schemas {
        document["components"]["schemas"][name.as_ref()] = schema.unwrap_or_default();
    }
    document["components"]["securitySchemes"] = json!({
        "basic": { "type": "http", "scheme": "basic", "description": "User and password, or user and app password." },
        "bearer": { "type": "http", "scheme": "bearer", "description": "An app password." },
        "session": {
            "type": "apiKey", "in": "cookie", "name": "twinlens_",
            "description": "The cookie of a session; its name ends with the beginning of the library's id. What changes something carries the session's token in X-CSRF-Token besides.",
        },
    });
    for (status, meaning) in REFUSALS.into_iter().chain([(503, "The node is too busy, or the library is not there.")]) {
        document["components"]["responses"][format!("problem-{status}")] = json!({
            "description": meaning,
            "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } },
        });
    }
    // From the connection itself, which knows nothing of documents.
    document["components"]["responses"]["problem-431"] = json!({ "description": "The headers are too large." });
    let schemas = document["components"]["schemas"].clone();
    let operations =
        document["paths"].as_object_mut().into_iter().flatten().flat_map(|(_, path)| path.as_object_mut().into_iter().flatten());
    for (method, operation) in operations {
        if let Some(body) = operation.get_mut("requestBody")
            && may_be_missing(&body["content"]["application/json"]["schema"], &schemas)
        {
            body["required"] = false.into();
        }
        let answers = operation["responses"].as_object_mut().into_iter().flatten().map(|(_, answer)| answer);
        answers.filter_map(|answer| answer.get_mut("content")).for_each(plain_bytes);
        operation.get_mut("requestBody").and_then(|body| body.get_mut("content")).into_iter().for_each(plain_bytes);
        complete(method, operation);
    }
    document
}

/// Bytes as they are have no schema (OpenAPI 3.1, 4.8.14.3); they are no list of numbers.
fn plain_bytes(content: &mut Value) {
    for (kind, media) in content.as_object_mut().into_iter().flatten() {
        if !kind.ends_with("json") && media["schema"]["type"] == "array" {
            *media = json!({});
        }
    }
}

/// Whether a body needs no members: one that is missing is an empty object.
fn may_be_missing(body: &Value, schemas: &Value) -> bool {
    let name = body["$ref"].as_str().and_then(|place| place.strip_prefix("#/components/schemas/"));
    let schema = name.map(|name| &schemas[name]).unwrap_or(body);
    schema["type"] == "object" && schema["required"].as_array().is_none_or(Vec::is_empty)
}

/// Adds what every operation has.
fn complete(method: &str, operation: &mut Value) {
    // Handlers are named by what they do, in files named by what they do it with.
    if let (Some(tag), Some(verb)) = (operation["tags"][0].as_str(), operation["operationId"].as_str()) {
        operation["operationId"] = format!("{tag}-{}", verb.replace('_', "-")).into();
    }
    let is_open = operation["security"].as_array().is_some_and(Vec::is_empty);
    if operation["security"].is_null() {
        operation["security"] = json!([{ "basic": [] }, { "bearer": [] }, { "session": [] }]);
    }
    let has_body = !operation["requestBody"].is_null();
    let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
    let in_query = parameters.iter().any(|one| one["in"] != "path");
    let mut statuses = vec![403, 405, 414, 429, 431, 500, 503];
    statuses.extend((!is_open || has_body).then_some(401));
    statuses.extend((has_body || in_query).then_some([400, 422]).into_iter().flatten());
    statuses.extend((!parameters.is_empty()).then_some(404));
    if has_body {
        statuses.extend([404, 408, 409, 413, 415]);
    } else if method != "get" {
        statuses.extend([409, 422]);
    }
    for status in statuses {
        let answers = &mut operation["responses"];
        if answers[status.to_string()].is_null() {
            answers[status.to_string()] = json!({ "$ref": format!("#/components/responses/problem-{status}") });
        }
    }
    // In the order of the statuses, so that the document is the same each time.
    if let Some(answers) = operation["responses"].as_object_mut() {
        let sorted: std::collections::BTreeMap<_, _> = std::mem::take(answers).into_iter().collect();
        answers.extend(sorted);
    }
}

/// This document.
#[utoipa::path(get, path = "/openapi.json", tag = "api", security(), responses((status = 200, description = "The OpenAPI document.", body = Value)))]
pub(super) async fn show(Extension(document): Extension<Arc<Value>>, request: Request<axum::body::Body>) -> Result<Told<Value>, Problem> {
    let mut document = Value::clone(&document);
    let prefix = Peer::of(request.extensions()).map(|peer| peer.href("")).unwrap_or_default();
    if !prefix.is_empty() {
        document["servers"] = json!([{ "url": prefix }]);
    }
    told(document)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The document as it was agreed on: a change of the API is a visible difference. `TWINLENS_WRITE_FIXTURES=1` writes it anew.
    #[test]
    fn the_document_is_the_one_that_was_agreed_on() {
        let (_, document) = super::super::all_routes().split_for_parts();
        let text = format!("{}\n", serde_json::to_string_pretty(&finished(document)).unwrap());
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/openapi.json");
        if std::env::var_os("TWINLENS_WRITE_FIXTURES").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        let agreed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(agreed == text, "the API is another one than fixtures/openapi.json says; look at the difference and write it anew");
    }

    /// The files of the program in a folder, and in those below it.
    fn sources(folder: impl Into<std::path::PathBuf>) -> Vec<std::path::PathBuf> {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(folder.into());
        let all = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        all.flat_map(|path| if path.is_dir() { sources(path) } else { vec![path] })
            .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
            .collect()
    }

    /// Whoever adds a route adds it to the document: there is no other way in the source.
    #[test]
    fn every_route_is_in_the_document() {
        let (_, document) = super::super::all_routes().split_for_parts();
        let document = finished(document);
        let mut handlers = 0;
        for file in sources("src/server/api").into_iter().chain(["src/server/api.rs".into()]) {
            let text = std::fs::read_to_string(&file).unwrap();
            let code: String = text.split("#[cfg(test)]").next().unwrap().into();
            assert!(![".route(", ".route_service(", ".nest_service("].iter().any(|way| code.contains(way)), "{}", file.display());
            handlers += code.matches("#[utoipa::path(").count();
        }
        let paths = document["paths"].as_object().unwrap();
        assert_eq!(handlers, paths.values().map(|path| path.as_object().unwrap().len()).sum::<usize>(), "a handler has no route");
        assert!(paths.keys().all(|path| super::super::covers(path)));
        let ids: std::collections::HashSet<_> =
            paths.values().flat_map(|path| path.as_object().unwrap().values()).map(|one| one["operationId"].as_str().unwrap()).collect();
        assert_eq!(ids.len(), handlers, "an operation's name is there twice");
    }

    /// Two types of one name would be one schema, and one of them told wrongly.
    #[test]
    fn every_schema_has_a_name_of_its_own() {
        let mut names = Vec::new();
        for path in sources("src") {
            let text = std::fs::read_to_string(&path).unwrap();
            for (_, after) in text.match_indices(concat!("ToSchema", ")]")).map(|(at, found)| text.split_at(at + found.len())) {
                let end = after.find([';', '{']).unwrap_or(after.len());
                let (attributes, name) = after[..end].rsplit_once("struct ").or_else(|| after[..end].rsplit_once("enum ")).unwrap();
                let renamed = attributes.split("#[schema(as = ").nth(1).map(|rest| rest.split([')', ',']).next().unwrap());
                let name = renamed.unwrap_or(name).split(|letter: char| !letter.is_alphanumeric()).next().unwrap();
                names.push(name.to_owned());
            }
        }
        names.sort_unstable();
        assert!(names.len() > 50, "{names:?}");
        let twice: Vec<_> = names.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| &pair[0]).collect();
        assert!(twice.is_empty(), "{twice:?}");
    }
}
