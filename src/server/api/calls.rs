//! What the command line asks of a running node: a [`Command`] as a request to the API.

use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde_json::{Value, json};

use crate::operations::{Care, Command, NewUser, SyncRequest};

use super::PREFIX;

/// A request to the API.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The method.
    pub method: Method,
    /// The path, with a query where one is needed.
    pub path: String,
    /// The document that is sent.
    pub body: Option<Value>,
    /// The list that comes in pages, by its name in the answer.
    pub list: Option<&'static str>,
}

impl Call {
    /// The live events.
    pub fn events() -> Self {
        get("events")
    }

    /// The request that a command is. The answer is the document that `--json` prints.
    pub fn of(command: &Command) -> Self {
        match command {
            Command::ServiceAdd(new) => post("services", new),
            Command::ServiceList => get("services"),
            Command::ServiceShow { name } => get(&at("services", name)),
            Command::ServiceTest { name, write } => post(&format!("{}/test", at("services", name)), &json!({ "write": write })),
            Command::ServiceEdit { name, change } => send(Method::PATCH, &at("services", name), change),
            Command::ServiceUndo { name } => post(&format!("{}/undo", at("services", name)), &json!({})),
            Command::ServiceFolders { name, path, create: true } => {
                post(&format!("{}/folders", at("services", name)), &json!({ "path": path }))
            }
            Command::ServiceFolders { name, path, create: false } => {
                get(&format!("{}/folders?path={}", at("services", name), utf8_percent_encode(path, NON_ALPHANUMERIC)))
            }
            Command::ServiceLogin(new) => post("service-logins/wait", new),
            Command::LoginBegin(new) => post("service-logins", new),
            Command::LoginPoll { token } => post(&format!("{}/poll", at("service-logins", token)), &json!({})),
            Command::LoginCancel { token } => delete(&at("service-logins", token)),
            Command::ServiceExport { names, passphrase } => post("service-export", &json!({ "names": names, "passphrase": passphrase })),
            Command::ServiceImport(new) => post("service-import", new),
            Command::ServiceReseal { old } => post("service-reseal", &json!({ "old": old })),
            Command::ServiceRemove { name } => delete(&at("services", name)),
            Command::ServiceSync { name, change } => send(Method::PATCH, &format!("{}/sync", at("services", name)), change),
            Command::ServiceUpload { name, change } => send(Method::PATCH, &format!("{}/upload", at("services", name)), change),
            Command::Share(request) => post("shares", request),
            Command::ShareList { share: None } => listed("shares", "shares", None),
            Command::ShareList { share: Some(share) } => listed(&format!("shares/{share}"), "files", None),
            Command::ShareRetry { share } => post("shares/retry", &json!({ "share": share })),
            Command::ShareCancel { share } => post("shares/cancel", &json!({ "share": share })),
            Command::Sync(SyncRequest { names, dry_run, force }) => {
                post("syncs", &json!({ "names": names, "dry_run": dry_run, "force": force, "wait": true }))
            }
            Command::Pause { name } => post("syncs/pause", &json!({ "name": name })),
            Command::Resume { name } => post("syncs/resume", &json!({ "name": name })),
            Command::Cancel { name } => post("syncs/cancel", &json!({ "name": name })),
            Command::History { name, run: None } => listed("runs", "runs", name.as_deref()),
            Command::History { name, run: Some(run) } => listed(&format!("runs/{run}"), "files", name.as_deref()),
            Command::Index => post("index", &json!({ "wait": true })),
            Command::Status => get("status"),
            Command::Care(care) => of_care(care),
            Command::Backup { to } => post("backup", &json!({ "to": to })),
            Command::UserAdd(NewUser { name, grant, password }) => post(
                "users",
                &json!({
                    "name": name, "password": password,
                    "role": grant.role, "folder": grant.folder, "originals": grant.originals, "import": grant.import,
                }),
            ),
            Command::UserList => get("users"),
            Command::UserPassword { name, password } => {
                send(Method::PUT, &format!("{}/password", at("users", name)), &json!({ "password": password }))
            }
            Command::UserEdit { name, change } => send(Method::PATCH, &at("users", name), change),
            Command::UserRemove { name } => delete(&at("users", name)),
            Command::AppPasswordAdd { name, label } => post(&format!("{}/app-passwords", at("users", name)), &json!({ "label": label })),
            Command::AppPasswordList { name } => get(&format!("{}/app-passwords", at("users", name))),
            Command::AppPasswordRevoke { name, app } => delete(&at(&format!("{}/app-passwords", at("users", name)), app)),
        }
    }
}

fn of_care(care: &Care) -> Call {
    match care {
        Care::TrashList => listed("trash", "files", None),
        Care::TrashRestore { what, to } => post("trash/restore", &json!({ "what": what, "to": to })),
        Care::TrashEmpty { older_than } => post("trash/empty", &json!({ "older_than": older_than.as_secs() })),
        Care::Verify => post("index/verify", &json!({ "wait": true })),
        Care::Accept { paths } => post("index/accept", &json!({ "paths": paths })),
        Care::Conflicts => listed("conflicts", "conflicts", None),
        Care::Resolve { path, keep } => post("conflicts/resolve", &json!({ "path": path, "keep": keep })),
        Care::Tombstones { service } => listed("tombstones", "tombstones", service.as_deref()),
        Care::ForgetTombstones { service, at } => post("tombstones/forget", &json!({ "service": service, "at": at })),
    }
}

/// A name below a path. It may hold anything.
fn at(path: &str, name: &str) -> String {
    format!("{path}/{}", utf8_percent_encode(name, NON_ALPHANUMERIC))
}

fn get(path: &str) -> Call {
    Call { method: Method::GET, path: format!("{PREFIX}/{path}"), body: None, list: None }
}

fn delete(path: &str) -> Call {
    Call { method: Method::DELETE, ..get(path) }
}

fn post(path: &str, body: &impl Serialize) -> Call {
    send(Method::POST, path, body)
}

fn send(method: Method, path: &str, body: &impl Serialize) -> Call {
    // What cannot be written, such as a path that is no text, the node refuses as missing.
    Call { method, body: Some(serde_json::to_value(body).unwrap_or_default()), ..get(path) }
}

/// A list, of one service perhaps, in the largest pages.
fn listed(path: &str, list: &'static str, service: Option<&str>) -> Call {
    let of = service.map(|name| format!("&service={}", utf8_percent_encode(name, NON_ALPHANUMERIC))).unwrap_or_default();
    Call { list: Some(list), ..get(&format!("{path}?limit=1000{of}")) }
}
