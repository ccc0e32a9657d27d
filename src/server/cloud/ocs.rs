//! Open Collaboration Services: small questions, answered in JSON or XML inside one envelope.

use http::header::ACCEPT;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};
use serde_json::{Value, json};

use crate::accounts::{Login, Role};

use super::super::http::{Body, text};
use super::answers::{Base, whole};
use super::capabilities::Asker;
use super::{Cloud, app_passwords, capabilities};

/// The two kinds: the second tells with the HTTP status what the first tells inside the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server) enum Version {
    One,
    Two,
}

impl Version {
    pub(super) fn of(segment: &str) -> Option<Self> {
        match segment {
            "v1.php" => Some(Self::One),
            "v2.php" => Some(Self::Two),
            _ => None,
        }
    }
}

/// An answer, or the status and message of a refusal.
type Outcome = Result<Value, (StatusCode, &'static str)>;

/// What people are told who have not logged in.
pub(super) fn anonymous<B>(version: Version, rest: &[String], request: &Request<B>) -> Response<Body> {
    let outcome = match rest {
        [cloud, capabilities] if cloud == "cloud" && capabilities == "capabilities" => Ok(capabilities::capabilities(Asker::Stranger)),
        _ => Err((StatusCode::NOT_FOUND, "Invalid query, please check the syntax.")),
    };
    envelope(version, outcome, wants_json(request))
}

impl Cloud {
    pub(super) async fn ocs<B>(
        &self,
        version: Version,
        rest: &[String],
        request: &Request<B>,
        login: &Login,
        base: &Base,
    ) -> Response<Body> {
        let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
        let get = request.method() == Method::GET;
        let outcome = match (&rest[..], get) {
            (["cloud", "capabilities"], true) => Ok(capabilities::capabilities(Asker::of(request.headers()))),
            (["config"], true) => Ok(config(base)),
            (["cloud", "user"], true) => self.person(login).await,
            (["cloud", "users", user], true) if *user == login.user => self.person(login).await,
            (["core", "navigation", "apps"], true) => Ok(json!([])),
            (["core", "getapppassword"], true) => self.give_app_password(login, request.headers()).await,
            (["core", "apppassword"], false) if request.method() == Method::DELETE => self.revoke(login).await,
            _ => Err((StatusCode::NOT_FOUND, "Invalid query, please check the syntax.")),
        };
        envelope(version, outcome, wants_json(request))
    }

    /// Who somebody is, and how much room there is: the disk's, since nobody has a quota.
    async fn person(&self, login: &Login) -> Outcome {
        let tree = self.webdav.originals().clone();
        let room = tokio::task::spawn_blocking(move || (tree.room(), tree.disk_bytes())).await.unwrap_or_default();
        let (free, total) = (room.0.unwrap_or(0), room.1.unwrap_or(0));
        let used = total.saturating_sub(free);
        let relative = if total == 0 { 0.0 } else { (used as f64 * 10_000.0 / total as f64).round() / 100.0 };
        // -3 is Nextcloud's word for "no quota".
        let quota = json!({ "free": free, "used": used, "total": total, "relative": relative, "quota": -3 });
        let groups = if login.role == Role::Admin { json!(["admin"]) } else { json!([]) };
        Ok(json!({
            "enabled": true,
            "id": login.user,
            "display-name": login.user,
            "displayname": login.user,
            "email": null,
            "quota": quota,
            "groups": groups,
            "language": "en",
            "locale": "",
            "backendCapabilities": { "setDisplayName": false, "setPassword": false },
        }))
    }

    /// An app password for a client that logged in with the user's own.
    async fn give_app_password(&self, login: &Login, headers: &HeaderMap) -> Outcome {
        if app_passwords::is_app_password(login) {
            return Err((StatusCode::FORBIDDEN, "You are logged in with an app password already."));
        }
        let label = super::login_flow::label(headers);
        match app_passwords::create(&self.logins, &login.user, &label).await {
            Ok(made) => Ok(json!({ "apppassword": made.password })),
            Err(_) => Err((StatusCode::INTERNAL_SERVER_ERROR, "The app password could not be made; the log says why.")),
        }
    }

    /// Makes the app password that this very request was made with worthless.
    async fn revoke(&self, login: &Login) -> Outcome {
        match app_passwords::revoke(&self.logins, login).await {
            Ok(true) => Ok(json!([])),
            Ok(false) => Err((StatusCode::FORBIDDEN, "You are not logged in with an app password.")),
            Err(_) => Err((StatusCode::INTERNAL_SERVER_ERROR, "The app password could not be revoked; the log says why.")),
        }
    }
}

fn config(base: &Base) -> Value {
    let url = base.url();
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", &url));
    let host = rest.split('/').next().unwrap_or(rest);
    json!({ "version": "1.7", "website": "Twinlens", "host": host, "contact": "", "ssl": (scheme == "https").to_string() })
}

/// `format=json`, or else what the client says that it takes; XML is the rule.
fn wants_json<B>(request: &Request<B>) -> bool {
    let query = request.uri().query().unwrap_or_default();
    match query.split('&').find_map(|pair| pair.strip_prefix("format=")) {
        Some(format) => format == "json",
        None => request.headers().get(ACCEPT).and_then(|value| value.to_str().ok()).is_some_and(|value| value.contains("application/json")),
    }
}

fn envelope(version: Version, outcome: Outcome, as_json: bool) -> Response<Body> {
    let (status, message, data) = match outcome {
        Ok(data) => (StatusCode::OK, "OK", data),
        Err((status, message)) => (status, message, json!([])),
    };
    let ok = status == StatusCode::OK;
    let code = match (version, status) {
        (Version::One, StatusCode::OK) => 100,
        (Version::One, StatusCode::NOT_FOUND) => 998,
        _ => status.as_u16(),
    };
    let mut meta = json!({ "status": if ok { "ok" } else { "failure" }, "statuscode": code, "message": message });
    if version == Version::One {
        meta["totalitems"] = json!("");
        meta["itemsperpage"] = json!("");
    }
    let document = json!({ "ocs": { "meta": meta, "data": data } });
    if as_json {
        return whole(status, Some("application/json; charset=utf-8"), document.to_string().into_bytes());
    }
    match xml(&document["ocs"]) {
        Ok(body) => whole(status, Some("application/xml; charset=utf-8"), body),
        Err(error) => {
            tracing::error!(%error, "an answer could not be written");
            text(StatusCode::INTERNAL_SERVER_ERROR, "The answer could not be written.\n")
        }
    }
}

fn xml(ocs: &Value) -> std::io::Result<Vec<u8>> {
    let mut writer = Writer::new(Vec::new());
    writer.write_event(Event::Decl(BytesDecl::new("1.0", None, None)))?;
    element(&mut writer, "ocs", ocs)?;
    Ok(writer.into_inner())
}

/// Objects become elements, members of lists become `element`; truth is 1 and everything false or missing is empty, as PHP writes it.
fn element(writer: &mut Writer<Vec<u8>>, name: &str, value: &Value) -> std::io::Result<()> {
    let tag = writer.create_element(name);
    match value {
        Value::Object(members) => {
            tag.write_inner_content(|writer| members.iter().try_for_each(|(name, value)| element(writer, name, value)))?;
        }
        Value::Array(items) => {
            tag.write_inner_content(|writer| items.iter().try_for_each(|value| element(writer, "element", value)))?;
        }
        Value::Bool(true) => drop(tag.write_text_content(BytesText::new("1"))?),
        Value::Bool(false) | Value::Null => drop(tag.write_empty()?),
        Value::Number(number) => drop(tag.write_text_content(BytesText::new(&number.to_string()))?),
        Value::String(text) => drop(tag.write_text_content(BytesText::new(text))?),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_becomes_xml_as_php_writes_it() {
        let value = json!({ "a": true, "b": false, "c": [1, "x<y"], "d": null });
        let text = String::from_utf8(xml(&value).unwrap()).unwrap();
        assert!(text.ends_with("<ocs><a>1</a><b/><c><element>1</element><element>x&lt;y</element></c><d/></ocs>"), "{text}");
    }
}
