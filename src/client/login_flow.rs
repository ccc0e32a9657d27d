//! Login flow v2 of Nextcloud: its owner logs in with a browser, and we get an app password without anybody typing one.

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use reqwest::Url;
use serde::Deserialize;

use super::body::Payload;
use super::capabilities::short;
use super::retry::Call;
use super::{Client, ClientError};

/// The largest document that is read, in MiB.
const LIMIT: usize = 1;

/// A login that was begun. It holds a secret, so it has no `Debug`.
#[derive(Clone)]
pub struct BrowserLogin {
    client: Client,
    poll: Url,
    token: String,
    page: Url,
}

/// What was granted. It holds a password, so it has no `Debug`.
pub struct Granted {
    /// The account.
    pub user: String,
    /// The app password.
    pub password: String,
    /// What the server calls itself.
    pub server: String,
}

#[derive(Deserialize)]
struct Begun {
    poll: Poll,
    login: String,
}

#[derive(Deserialize)]
struct Poll {
    token: String,
    endpoint: String,
}

#[derive(Deserialize)]
struct Answer {
    server: String,
    #[serde(rename = "loginName")]
    user: String,
    #[serde(rename = "appPassword")]
    password: String,
}

impl Client {
    /// Takes the app password back with which this client logs in (`DELETE core/apppassword` of Nextcloud's OCS API): nobody can log in with it
    /// any more. One that is refused already is as good as taken back.
    pub async fn revoke_app_password(&self) -> Result<(), ClientError> {
        let refused = |reason: String| ClientError::Refused { path: "that its app password is taken back".into(), reason };
        let cloud = self.cloud().ok_or_else(|| refused("its address is none of a Nextcloud".into()))?;
        let headers = HeaderMap::from_iter([(HeaderName::from_static("ocs-apirequest"), HeaderValue::from_static("true"))]);
        let call = Call::new(Method::DELETE, cloud.url("ocs/v2.php/core/apppassword"), headers, Payload::Nothing);
        match self.exchange(&call, true).await?.status() {
            StatusCode::OK | StatusCode::UNAUTHORIZED => Ok(()),
            status => Err(refused(format!("it answers {status}"))),
        }
    }

    /// Begins a login at the cloud whose address this client's folder is. No password is sent.
    pub async fn begin_login(&self) -> Result<BrowserLogin, ClientError> {
        let url = self.base().join("index.php/login/v2").map_err(|_| ClientError::BadUrl(self.url().to_owned()))?;
        let answer = self.exchange(&Call::new(Method::POST, url.clone(), HeaderMap::new(), Payload::Whole("".into())), false).await?;
        let not_offered = |found: String| ClientError::Refused { path: "a login with a browser".into(), reason: found };
        if answer.status() != StatusCode::OK {
            return Err(not_offered(format!("it answers {}; an older Nextcloud or an ownCloud has no such login", answer.status())));
        }
        let text = self.text(answer, LIMIT).await?;
        let wrong = || not_offered("its answer cannot be understood".into());
        let Begun { poll, login } = serde_json::from_str(&text).map_err(|_| wrong())?;
        let page = Url::parse(&login).ok().filter(|page| matches!(page.scheme(), "http" | "https")).ok_or_else(wrong)?;
        // What comes of it is asked for at the server that was named, whatever it calls itself.
        let told = url.join(&poll.endpoint).map_err(|_| wrong())?;
        let mut at = url;
        at.set_path(told.path());
        at.set_query(told.query());
        Ok(BrowserLogin { client: self.clone(), poll: at, token: poll.token, page })
    }
}

impl BrowserLogin {
    /// The page on which one logs in.
    pub fn page(&self) -> &str {
        self.page.as_str()
    }

    /// The cloud that was asked.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The server of the page, when it is another one than was asked.
    pub fn other_host(&self) -> Option<&str> {
        (self.page.origin() != self.client.base().origin()).then(|| self.page.host_str().unwrap_or_default())
    }

    /// Asks what came of it. None as long as nobody has logged in. What was granted is told once.
    pub async fn poll(&self) -> Result<Option<Granted>, ClientError> {
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        let token = percent_encoding::utf8_percent_encode(&self.token, percent_encoding::NON_ALPHANUMERIC);
        let call = Call::new(
            Method::POST,
            self.poll.clone(),
            HeaderMap::from_iter([(header::CONTENT_TYPE, form)]),
            Payload::Whole(format!("token={token}").into()),
        );
        let answer = self.client.exchange(&call, false).await?;
        match answer.status() {
            StatusCode::OK => {}
            // A server that is busy or being restarted may still tell later.
            status if status == StatusCode::NOT_FOUND || status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() => {
                return Ok(None);
            }
            status => {
                return Err(ClientError::Status { status, method: "POST".into(), path: self.poll.path().to_owned(), told: None });
            }
        }
        let text = self.client.text(answer, LIMIT).await?;
        // Not even a part of the answer is shown: the password is in it.
        let wrong = || ClientError::Corrupt("the server granted the login, but its answer cannot be understood".into());
        let Answer { server, user, password } = serde_json::from_str(&text).map_err(|_| wrong())?;
        if user.is_empty() || password.is_empty() {
            return Err(wrong());
        }
        Ok(Some(Granted { user, password, server: short(&server) }))
    }
}
