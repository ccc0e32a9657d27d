//! Login flow v2: a client asks for a login, the user logs in with a browser, and the client gets an app password. Should the answer not arrive, it
//! is told again until the password is used.
//!
//! All of it is in memory: a restart only means that the user begins again.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::header::{ACCEPT_LANGUAGE, HOST, ORIGIN, USER_AGENT};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use serde_json::json;

use crate::accounts::{Checked, Logins, NewAppPassword, same_secret};

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
    state: State,
}

/// How far a login is.
#[derive(Clone)]
enum State {
    /// The user has not logged in.
    Begun,
    /// This user has, and nobody has asked for it yet.
    Granted(String),
    /// The app password is being made.
    Making,
    /// It was told.
    Made(NewAppPassword),
}

/// The logins on their way, by the token in the page's address.
#[derive(Clone, Default)]
pub(super) struct Flows {
    open: Arc<Mutex<HashMap<String, Flow>>>,
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
        open.insert(token, Flow { poll, form, label: label(headers), from, begun: Instant::now(), state: State::Begun });
        json(StatusCode::OK, &answer)
    }

    /// A client asks what came of it. The app password is made now, so that none is left over that nobody fetched; a client that hung up
    /// before it had the answer asks again.
    pub(super) async fn poll(&self, request: Request<Incoming>, logins: &Logins, base: &Base) -> Response<Body> {
        let form = read_form(request.into_body()).await.unwrap_or_default();
        let nothing = || json(StatusCode::NOT_FOUND, &json!([]));
        let Some((key, label, state)) = self.take(field(&form, "token")) else { return nothing() };
        let made = match state {
            State::Begun | State::Making => return nothing(),
            State::Made(made) if app_passwords::is_unused(logins, &made).await => made,
            State::Made(_) => {
                self.lock().remove(&key);
                return nothing();
            }
            State::Granted(user) => {
                let (flows, logins) = (self.clone(), logins.clone());
                // Whoever asked may hang up meanwhile.
                let making = tokio::spawn(async move {
                    let made = app_passwords::create(&logins, &user, &label).await;
                    if let Some(flow) = flows.lock().get_mut(&key) {
                        flow.state = made.as_ref().map_or(State::Granted(user), |made| State::Made(made.clone()));
                    }
                    made.ok()
                });
                match making.await {
                    Ok(Some(made)) => made,
                    _ => return text(StatusCode::INTERNAL_SERVER_ERROR, "The app password could not be made; the log says why.\n"),
                }
            }
        };
        json(StatusCode::OK, &json!({ "server": base.url(), "loginName": made.user, "appPassword": made.password }))
    }

    /// The login that a client asks for by its token, with its key and its label. One that was granted is being made from now on.
    fn take(&self, poll: &str) -> Option<(String, String, State)> {
        let mut open = self.lock();
        let (key, flow) = open.iter_mut().find(|(_, flow)| same_secret(flow.poll.as_bytes(), poll.as_bytes()))?;
        let state = flow.state.clone();
        if matches!(state, State::Granted(_)) {
            flow.state = State::Making;
        }
        Some((key.clone(), flow.label.clone(), state))
    }

    /// The page for the user.
    pub(super) fn show(&self, token: &str, headers: &HeaderMap) -> Response<Body> {
        let language = Language::of(headers.get(ACCEPT_LANGUAGE));
        match self.lock().get(token).filter(|flow| matches!(flow.state, State::Begun)) {
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
        let known =
            self.lock().get(token).filter(|flow| matches!(flow.state, State::Begun)).map(|flow| (flow.label.clone(), flow.form.clone()));
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
                match self.lock().get_mut(token).filter(|flow| matches!(flow.state, State::Begun)) {
                    Some(flow) => flow.state = State::Granted(login.user),
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
