//! Connecting a service by logging in with a browser: an app password is made there, and nobody types or sees it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::client::{BrowserLogin, ClientError, Fingerprint, Granted, Typed};
use crate::events::Event;
use crate::services::Origin;
use crate::services::discovery::{Wanted, discover, find_cloud};

use super::{AccountChange, Connected, Edited, Failure, Operations};

/// How long its owner may take. Nextcloud forgets a login after the same time.
const LIFE: Duration = Duration::from_secs(20 * 60);
/// How often one asks what came of it.
const PAUSE: Duration = Duration::from_secs(1);
/// So many logins may be on their way.
const LIMIT: usize = 32;
/// Stands for the user that is not known yet: what is granted is a password, and may travel only as passwords may.
const SOMEBODY: &str = "somebody";

/// A login to be begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewLogin {
    /// The service: a new one, or with `again` one that is there.
    pub name: String,
    /// The address of the Nextcloud, as a person types it; that of the service when it is left out with `again`.
    #[serde(default)]
    pub url: Option<String>,
    /// The certificate to trust.
    #[serde(default)]
    pub fingerprint: Option<Fingerprint>,
    /// The password may travel over plain http through public networks.
    #[serde(default)]
    pub allow_http: bool,
    /// It is another password for a service that is there.
    #[serde(default)]
    pub again: bool,
}

/// A login on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BegunLogin {
    /// The page on which its owner logs in.
    pub login_url: String,
    /// By which one asks what came of it.
    pub token: String,
    /// Who was asked: name and version.
    pub server: String,
    /// The page is at another host than the one that was asked.
    pub other_host: Option<String>,
    /// The login is forgotten after so many seconds.
    pub seconds: u64,
}

/// What came of a login.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum LoginState {
    /// Nobody has logged in yet.
    Waiting,
    /// The service was added.
    Added(Box<Connected>),
    /// The service has another password.
    Edited(Box<Edited>),
}

/// The logins on their way, by their tokens.
#[derive(Default)]
pub(crate) struct BrowserLogins(Mutex<HashMap<String, Pending>>);

#[derive(Clone)]
struct Pending {
    login: BrowserLogin,
    new: NewLogin,
    begun: Instant,
}

impl BrowserLogins {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Pending>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, pending| pending.begun.elapsed() < LIFE);
        all
    }
}

/// Forgets a login that nobody waits for any more.
struct Waiting<'a>(&'a Operations, &'a str);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.cancel_login(self.1);
    }
}

impl Operations {
    /// Begins a login with a browser.
    pub async fn begin_login(&self, new: NewLogin) -> Result<BegunLogin, Failure> {
        let old = match new.again {
            true => Some(self.service(new.name.clone()).await?),
            false => {
                self.services.check_new_name(&new.name)?;
                None
            }
        };
        let url = new.url.clone().or_else(|| old.as_ref().map(|old| old.url.clone()));
        let typed = Typed::parse(&url.ok_or_else(|| Failure::usage("url: the address of the server is missing").about("url"))?)?;
        let fingerprint = new.fingerprint.or(old.as_ref().and_then(|old| old.fingerprint));
        let allow_http = new.allow_http || old.as_ref().is_some_and(|old| old.allow_http);
        let (user, password) = (SOMEBODY.to_owned(), String::new());
        let (cloud, product) = find_cloud(&Wanted { typed, user, password, fingerprint, allow_http, kind: None }).await?;
        let login = cloud.begin_login().await?;
        let token = Uuid::new_v4().simple().to_string();
        let begun = BegunLogin {
            login_url: login.page().to_owned(),
            token: token.clone(),
            server: if product.name == "Twinlens" { product.name } else { format!("{} {}", product.name, product.version) },
            other_host: login.other_host().map(str::to_owned),
            seconds: LIFE.as_secs(),
        };
        let mut all = self.browser_logins.lock();
        if all.len() >= LIMIT {
            return Err(Failure::unreachable("too many logins are on their way; try again later"));
        }
        all.insert(token, Pending { login, new: NewLogin { fingerprint, allow_http, ..new }, begun: Instant::now() });
        Ok(begun)
    }

    /// Asks what came of a login. When it was granted, the service is added with the app password, which is not told.
    pub async fn poll_login(&self, token: &str) -> Result<LoginState, Failure> {
        let pending = self.browser_logins.lock().get(token).cloned();
        let pending = pending.ok_or_else(|| {
            Failure::not_found("there is no such login, or it took longer than 20 minutes; begin it again").about("token")
        })?;
        let granted = match pending.login.poll().await {
            Ok(granted) => granted,
            // The server, or the way to it, may come back.
            Err(error @ (ClientError::Broken { .. } | ClientError::Timeout { .. } | ClientError::Unreachable { .. })) => {
                tracing::debug!(service = %pending.new.name, %error, "what came of a login could not be asked");
                None
            }
            Err(error) => {
                self.cancel_login(token);
                return Err(error.into());
            }
        };
        let Some(granted) = granted else { return Ok(LoginState::Waiting) };
        self.cancel_login(token);
        let outcome = self.take(pending, granted).await;
        outcome.map_err(|failure| Failure {
            message: format!(
                "{}\nThe server has granted the login and made an app password, which nobody knows now: take it back in its settings",
                failure.message
            ),
            ..failure
        })
    }

    /// A login that nobody waits for any more; true when there was one.
    pub fn cancel_login(&self, token: &str) -> bool {
        self.browser_logins.lock().remove(token).is_some()
    }

    /// Begins a login, tells the page by an event, and waits until it is granted or 20 minutes are over. When this is dropped the login is
    /// forgotten.
    pub async fn log_in(&self, new: NewLogin) -> Result<LoginState, Failure> {
        let name = new.name.clone();
        let begun = self.begin_login(new).await?;
        let _forgotten = Waiting(self, &begun.token);
        let server = match &begun.other_host {
            Some(host) => format!("{} (at {host}, which is not the host that you named)", begun.server),
            None => begun.server.clone(),
        };
        self.events.publish(Event::Login { service: name, url: begun.login_url.clone(), server });
        let deadline = Instant::now() + LIFE;
        loop {
            tokio::time::sleep(PAUSE).await;
            if Instant::now() > deadline {
                return Err(Failure::unreachable("nobody logged in within 20 minutes; nothing was changed"));
            }
            match self.poll_login(&begun.token).await? {
                LoginState::Waiting => {}
                state => return Ok(state),
            }
        }
    }

    async fn take(&self, pending: Pending, granted: Granted) -> Result<LoginState, Failure> {
        let Pending { login, new, .. } = pending;
        let Granted { user, password, server } = granted;
        // The server that was asked is used, whatever it calls itself.
        let url = login.client().url().to_owned();
        tracing::info!(service = %new.name, %server, %url, %user, "a login was granted");
        let NewLogin { name, fingerprint, allow_http, again, .. } = new;
        if again {
            let url = Some(url).filter(|_| new.url.is_some());
            let (user, password, allow_http) = (Some(user), Some(password), allow_http.then_some(true));
            let change = AccountChange { url, user, password, fingerprint, allow_http, ..AccountChange::default() };
            return Ok(LoginState::Edited(Box::new(self.edit_with(name, change, Origin::Granted).await?)));
        }
        let found = discover(&Wanted { typed: Typed::parse(&url)?, user, password, fingerprint, allow_http, kind: None }, None).await?;
        Ok(LoginState::Added(Box::new(self.add_found(name, found, None, Origin::Granted).await?)))
    }
}
