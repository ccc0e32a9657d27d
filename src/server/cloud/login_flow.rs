//! Login flow v2: a client asks for a login, the user logs in with a browser, and the client gets an app password, once.
//!
//! All of it is in memory: a restart only means that the user begins again.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::header::{ACCEPT_LANGUAGE, HOST, ORIGIN, USER_AGENT};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use serde_json::json;

use crate::accounts::{Checked, Logins, same_secret};

use super::super::http::{Body, Incoming, text};
use super::super::language::Language;
use super::answers::{Base, json};
use super::app_passwords;
use super::login_page::{self, Page};

/// How long the user may take.
const LIFE: Duration = Duration::from_secs(20 * 60);
/// More logins than this at once are not begun; and more than this from one address.
const LIMIT: usize = 1024;
const LIMIT_OF_ADDRESS: usize = 32;
/// A form is small.
const FORM_LIMIT: usize = 16 << 10;
/// A label longer than this is cut.
const LABEL_LIMIT: usize = 100;

/// A login on its way.
struct Flow {
    /// What the client asks with.
    poll: String,
    /// Proves that the form came from the page.
    form: String,
    label: String,
    from: IpAddr,
    begun: Instant,
    /// The user who granted it.
    granted: Option<String>,
}

/// The logins on their way, by the token in the page's address.
#[derive(Default)]
pub(super) struct Flows {
    open: Mutex<HashMap<String, Flow>>,
}

impl Flows {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Flow>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|_, flow| flow.begun.elapsed() < LIFE);
        open
    }

    /// A client begins.
    pub(super) fn start(&self, headers: &HeaderMap, from: IpAddr, base: &Base) -> Response<Body> {
        let (Ok(token), Ok(poll), Ok(form)) = (random(), random(), random()) else {
            return text(StatusCode::INTERNAL_SERVER_ERROR, "There is no randomness to make a login from.\n");
        };
        let mut open = self.lock();
        if open.len() >= LIMIT || open.values().filter(|flow| flow.from == from).count() >= LIMIT_OF_ADDRESS {
            return text(StatusCode::TOO_MANY_REQUESTS, "Too many logins are on their way; please try again later.\n");
        }
        let answer = json!({
            "poll": { "token": poll, "endpoint": format!("{}/login/v2/poll", base.url()) },
            "login": format!("{}/login/v2/flow/{token}", base.url()),
        });
        open.insert(token, Flow { poll, form, label: label(headers), from, begun: Instant::now(), granted: None });
        json(StatusCode::OK, &answer)
    }

    /// A client asks what came of it. The app password is made now, so that none is left over that nobody fetched.
    pub(super) async fn poll(&self, request: Request<Incoming>, logins: &Logins, base: &Base) -> Response<Body> {
        let form = read_form(request.into_body()).await.unwrap_or_default();
        let token = field(&form, "token");
        let not_yet = || json(StatusCode::NOT_FOUND, &json!([]));
        let granted = {
            let mut open = self.lock();
            let found = open.iter().find(|(_, flow)| flow.granted.is_some() && same_secret(flow.poll.as_bytes(), token.as_bytes()));
            let key = found.map(|(key, _)| key.clone());
            key.and_then(|key| open.remove(&key))
        };
        let Some((user, label)) = granted.and_then(|flow| Some((flow.granted?, flow.label))) else { return not_yet() };
        match app_passwords::create(logins, &user, &label).await {
            Ok(secret) => json(StatusCode::OK, &json!({ "server": base.url(), "loginName": user, "appPassword": secret })),
            Err(_) => text(StatusCode::INTERNAL_SERVER_ERROR, "The app password could not be made; the log says why.\n"),
        }
    }

    /// The page for the user.
    pub(super) fn show(&self, token: &str, headers: &HeaderMap) -> Response<Body> {
        let language = Language::of(headers.get(ACCEPT_LANGUAGE));
        match self.lock().get(token).filter(|flow| flow.granted.is_none()) {
            Some(flow) => login_page::answer(StatusCode::OK, language, &Page::Form { label: &flow.label, form: &flow.form, problem: None }),
            None => login_page::answer(StatusCode::NOT_FOUND, language, &Page::Gone),
        }
    }

    /// The user sends the form.
    pub(super) async fn log_in(
        &self,
        token: &str,
        request: Request<Incoming>,
        logins: &Logins,
        from: IpAddr,
        base: &Base,
    ) -> Response<Body> {
        let language = Language::of(request.headers().get(ACCEPT_LANGUAGE));
        let foreign = is_foreign(request.headers(), &base.url());
        let form = read_form(request.into_body()).await.unwrap_or_default();
        let known = self.lock().get(token).filter(|flow| flow.granted.is_none()).map(|flow| (flow.label.clone(), flow.form.clone()));
        let Some((label, secret)) = known else { return login_page::answer(StatusCode::NOT_FOUND, language, &Page::Gone) };
        let again =
            |status, problem| login_page::answer(status, language, &Page::Form { label: &label, form: &secret, problem: Some(problem) });
        if foreign || !same_secret(secret.as_bytes(), field(&form, "form").as_bytes()) {
            return again(StatusCode::FORBIDDEN, login_page::Problem::Foreign);
        }
        match logins.check(field(&form, "user"), field(&form, "password"), from).await {
            Ok(Checked::Welcome(login)) if app_passwords::is_app_password(&login) => {
                again(StatusCode::FORBIDDEN, login_page::Problem::AppPassword)
            }
            Ok(Checked::Welcome(login)) => {
                match self.lock().get_mut(token) {
                    Some(flow) => flow.granted = Some(login.user),
                    None => return login_page::answer(StatusCode::NOT_FOUND, language, &Page::Gone),
                }
                tracing::info!(%label, "a client was given access");
                login_page::answer(StatusCode::OK, language, &Page::Done)
            }
            Ok(Checked::TooOften(pause)) => {
                let mut answer = again(StatusCode::TOO_MANY_REQUESTS, login_page::Problem::TooOften);
                answer.headers_mut().insert(http::header::RETRY_AFTER, pause.as_secs().max(1).into());
                answer
            }
            Ok(Checked::Wrong) => again(StatusCode::UNAUTHORIZED, login_page::Problem::Wrong),
            Err(error) => {
                tracing::error!(%error, "a login could not be checked");
                text(StatusCode::INTERNAL_SERVER_ERROR, "The login could not be checked; the log says why.\n")
            }
        }
    }
}

/// Whether a browser says that a form was sent from another site.
fn is_foreign(headers: &HeaderMap, base: &str) -> bool {
    let told = |name| headers.get(name).map(|value: &http::HeaderValue| value.to_str().unwrap_or_default().to_owned());
    if told("sec-fetch-site".parse().unwrap_or(HOST)).is_some_and(|site| site == "cross-site") {
        return true;
    }
    // A proxy may have another scheme: only the host is compared.
    let host = |url: &str| url.split_once("://").map_or(url, |(_, rest)| rest.split('/').next().unwrap_or(rest)).to_owned();
    told(ORIGIN).is_some_and(|origin| origin != "null" && host(&origin) != host(base))
}

/// What an app password is called: how the client names itself.
pub(super) fn label(headers: &HeaderMap) -> String {
    let told = headers.get(USER_AGENT).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).unwrap_or_default();
    let shown: String = told.chars().filter(|c| !c.is_control()).take(LABEL_LIMIT).collect();
    if shown.trim().is_empty() { "unnamed client".to_owned() } else { shown.trim().to_owned() }
}

async fn read_form(body: Incoming) -> Option<Vec<(String, String)>> {
    let bytes = Limited::new(body, FORM_LIMIT).collect().await.ok()?.to_bytes();
    Some(parse_form(str::from_utf8(&bytes).ok()?))
}

/// The fields of a form (application/x-www-form-urlencoded).
fn parse_form(text: &str) -> Vec<(String, String)> {
    let decoded = |text: &str| {
        let spaced = text.replace('+', " ");
        percent_encoding::percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
    };
    text.split('&').filter_map(|pair| pair.split_once('=')).map(|(name, value)| (decoded(name), decoded(value))).collect()
}

fn field<'a>(form: &'a [(String, String)], name: &str) -> &'a str {
    form.iter().find(|(own, _)| own == name).map_or("", |(_, value)| value)
}

/// 256 random bits in hexadecimal.
fn random() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_read_as_browsers_send_them() {
        let form = parse_form("user=anna+b%C3%A4r&password=a%26b%3D%2B&empty=");
        assert_eq!(field(&form, "user"), "anna bär");
        assert_eq!(field(&form, "password"), "a&b=+");
        assert_eq!((field(&form, "empty"), field(&form, "missing")), ("", ""));
    }

    #[test]
    fn forms_of_other_sites_are_noticed() {
        let told = |name: &'static str, value: &str| {
            is_foreign(&HeaderMap::from_iter([(name.parse().unwrap(), value.parse().unwrap())]), "https://photos.example/cloud")
        };
        assert!(!is_foreign(&HeaderMap::new(), "https://photos.example"));
        assert!(!told("origin", "http://photos.example"));
        assert!(told("origin", "https://evil.example"));
        assert!(told("sec-fetch-site", "cross-site"));
        assert!(!told("sec-fetch-site", "same-origin"));
    }
}
