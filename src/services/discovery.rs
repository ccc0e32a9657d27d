//! From what a person typed to the WebDAV address of a service, and what it is.
//!
//! https comes before http, and http only where a password may travel so. Who is there is asked first, without the password; it is sent only
//! where a login is asked for, and never again once it was refused: servers lock out whoever tries too often. Nothing is sent to another host.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use utoipa::ToSchema;

use crate::client::{Client, ClientError, Endpoint, Fingerprint, Knock, Listing, Product, Typed, Waits, site_of};
use crate::dav::href;
use crate::types::RelPath;

use super::{Kind, doctor};

/// A server that answers nothing for so long is not there.
const IDLE: Duration = Duration::from_secs(15);
/// All of it takes no longer.
const WHOLE: Duration = Duration::from_secs(90);
/// Where a cloud is often installed when it is not at the root.
const SUBFOLDERS: [&str; 3] = ["/nextcloud/", "/owncloud/", "/cloud/"];

/// What is known before.
pub struct Wanted {
    /// The address.
    pub typed: Typed,
    /// The account; empty for none.
    pub user: String,
    /// Its password.
    pub password: String,
    /// The certificate to trust.
    pub fingerprint: Option<Fingerprint>,
    /// The password may travel over plain http through public networks.
    pub allow_http: bool,
    /// What the owner says that it is.
    pub kind: Option<Kind>,
}

/// A service that was found.
pub struct Found {
    /// Where it is, and who we are there.
    pub endpoint: Endpoint,
    /// A client of it.
    pub client: Client,
    /// What is in its root.
    pub listing: Listing,
    /// What kind of server it is, in one word.
    pub kind: String,
    /// Its version, if it tells.
    pub version: Option<String>,
    /// What was tried.
    pub tried: Vec<Tried>,
}

/// An address that was tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Tried {
    /// The address.
    pub url: String,
    /// What came of it.
    pub answer: String,
}

/// Why nothing was found.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.text())]
pub struct Missed {
    /// What stopped the search; none when nothing was left to try.
    pub error: Option<ClientError>,
    /// What there is at this host.
    pub server: Option<String>,
    /// What was tried.
    pub tried: Vec<Tried>,
    /// What to do.
    pub hint: String,
    /// It asks for a login, and none was given.
    pub needs_login: bool,
}

impl Missed {
    /// Why nothing was found where no error is to blame, in one word.
    pub fn word(&self) -> &'static str {
        if self.needs_login { "needs-login" } else { "no-dav" }
    }

    fn text(&self) -> String {
        let mut text = match (&self.error, &self.server) {
            (Some(error), Some(server)) => format!("{error}. The server is {server}"),
            (Some(error), None) => error.to_string(),
            (None, Some(server)) => format!("there is {server}, but no WebDAV was found there"),
            (None, None) => "no WebDAV was found there".to_owned(),
        };
        if !self.hint.is_empty() {
            text += &format!(". {}", self.hint);
        }
        // What was tried tells nothing more where the first address was the last.
        if self.tried.len() > 1 || self.error.is_none() {
            text += "\nTried:";
            for Tried { url, answer } in &self.tried {
                text += &format!("\n  {url}  {answer}");
            }
        }
        text
    }
}

/// Why a search at one server ended without a service.
enum Stop {
    /// A cloud was found, and more is not wanted.
    Cloud(Box<Client>),
    /// Nothing answers there in this way: another scheme may do.
    NotHere(ClientError),
    /// It sends everybody to https.
    Secure(String),
    /// It makes no sense to go on.
    Final(ClientError),
    /// A user and a password are needed.
    NeedsLogin,
    /// Nothing is left.
    Nothing,
}

/// Looks for the service at an address. Who looks on is told what is tried as it happens.
pub async fn discover(wanted: &Wanted, watched: Option<watch::Sender<Vec<Tried>>>) -> Result<Found, Missed> {
    let mut search = Search { watched, ..Search::new(wanted) };
    match tokio::time::timeout(WHOLE, search.everywhere()).await {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(stop)) => Err(search.missed(stop)),
        Err(_) => Err(search.too_long()),
    }
}

/// Looks for the Nextcloud, ownCloud or node at an address. No password is sent.
pub async fn find_cloud(wanted: &Wanted) -> Result<(Client, Product), Missed> {
    let mut search = Search { only_cloud: true, ..Search::new(wanted) };
    let outcome = tokio::time::timeout(WHOLE, search.everywhere()).await;
    match (outcome, &search.product) {
        (Ok(Err(Stop::Cloud(client))), Some((_, product))) => Ok((*client, product.clone())),
        (Ok(Err(Stop::Nothing)), _) => {
            let hint = "There is no Nextcloud, so nobody can log in with a browser; say --user U and give the password".to_owned();
            Err(Missed { hint, ..search.missed(Stop::Nothing) })
        }
        (Ok(Err(stop)), _) => Err(search.missed(stop)),
        (Ok(Ok(_)) | Err(_), _) => Err(search.too_long()),
    }
}

struct Search<'a> {
    wanted: &'a Wanted,
    /// Nothing is wanted but who is there.
    only_cloud: bool,
    tried: Vec<Tried>,
    /// Who told of itself to everybody, and where.
    product: Option<(String, Product)>,
    /// The password was accepted.
    known: bool,
    asked: BTreeSet<String>,
    /// Another host that it redirected to.
    elsewhere: Option<String>,
    /// Where it is told what was tried.
    watched: Option<watch::Sender<Vec<Tried>>>,
}

impl<'a> Search<'a> {
    fn new(wanted: &'a Wanted) -> Self {
        let (tried, asked) = (Vec::new(), BTreeSet::new());
        Self { wanted, only_cloud: false, tried, product: None, known: false, asked, elsewhere: None, watched: None }
    }

    fn too_long(self) -> Missed {
        let url = self.wanted.typed.url();
        let host = self.client_of(url).map_or_else(|_| url.to_owned(), |client| client.host());
        self.missed(Stop::Final(ClientError::Timeout { host }))
    }

    fn client_of(&self, url: &str) -> Result<Client, ClientError> {
        Client::new(&self.endpoint(url)).map(|client| client.with_waits(Waits { idle: IDLE, busy: IDLE, broken: 1, ..Waits::default() }))
    }

    fn endpoint(&self, url: &str) -> Endpoint {
        let Wanted { user, password, fingerprint, allow_http, .. } = self.wanted;
        Endpoint { url: url.to_owned(), user: user.clone(), password: password.clone(), fingerprint: *fingerprint, allow_http: *allow_http }
    }

    fn note(&mut self, url: &str, answer: impl Into<String>) {
        self.tried.push(Tried { url: url.to_owned(), answer: answer.into() });
        if let Some(watched) = &self.watched {
            watched.send_replace(self.tried.clone());
        }
    }

    /// Tries the schemes.
    async fn everywhere(&mut self) -> Result<Found, Stop> {
        let typed = self.wanted.typed.clone();
        let first = match self.at(typed.url()).await {
            Err(Stop::NotHere(error)) => error,
            Err(Stop::Secure(url)) => return self.at(&url).await,
            ended => return ended,
        };
        let Some(plain) = typed.over_http() else { return Err(Stop::Final(first)) };
        match self.at(&plain).await {
            // That nothing listens for https says less than that something does not do http.
            Err(Stop::NotHere(second)) => Err(Stop::Final(if matches!(first, ClientError::Tls { .. }) { first } else { second })),
            Err(Stop::Secure(url)) if url != typed.url() => self.at(&url).await,
            Err(Stop::Secure(_)) => Err(Stop::Final(first)),
            ended => ended,
        }
    }

    /// Searches at one server.
    async fn at(&mut self, url: &str) -> Result<Found, Stop> {
        let client = match self.client_of(url) {
            Ok(client) => client,
            Err(error) => {
                self.note(url, error.to_string());
                return Err(Stop::Final(error));
            }
        };
        let (site, is_page) = site_of(client.path());
        // The first question tells whether anybody is there.
        let given = client.path().to_owned();
        let first = match client.knock().await {
            Ok(first) => first,
            Err(
                error @ (ClientError::Unreachable { .. }
                | ClientError::Tls { .. }
                | ClientError::Broken { .. }
                | ClientError::Timeout { .. }),
            ) => {
                self.note(url, error.to_string());
                return Err(Stop::NotHere(error));
            }
            Err(error) => {
                self.note(url, error.to_string());
                return Err(Stop::Final(error));
            }
        };
        if let Knock::Redirect(to) = &first
            && let Some(secure) = secured(url, to)
        {
            self.note(url, format!("redirects to {to}"));
            return Err(Stop::Secure(secure));
        }
        let mut sites = vec![site.clone()];
        if site != "/" && !client.path().contains("/remote.php/") {
            sites.push("/".into());
        }
        for at in &sites {
            self.who(&client, at).await?;
        }
        if self.only_cloud {
            return Err(self.cloud_only(&client).await?);
        }
        // The front door of a cloud or a node may ask for a login, or even list something: the files are elsewhere all the same.
        let cloud = self.product.clone().filter(|(_, product)| product.name != "Twinlens");
        let is_site = self.product.as_ref().is_some_and(|(at, _)| *at == given);
        if !is_page
            && !is_site
            && let Some(found) = self.answered(&client, &given, first).await?
        {
            return Ok(found);
        }
        if let Some((at, _)) = cloud
            && let Some(found) = self.cloud(&client, &at).await?
        {
            return Ok(found);
        }
        for site in &sites {
            for place in self.places() {
                if let Some(found) = self.look(&client, &format!("{site}{place}")).await? {
                    return Ok(found);
                }
            }
        }
        if self.wanted.kind != Some(Kind::WebDav) {
            for well_known in ["/.well-known/webdav", "/.well-known/caldav"] {
                if let Some(found) = self.well_known(&client, well_known).await? {
                    return Ok(found);
                }
            }
            for at in SUBFOLDERS {
                self.who(&client, at).await?;
                if let Some(found) = self.cloud_if(&client, at).await? {
                    return Ok(found);
                }
            }
        }
        Err(Stop::Nothing)
    }

    /// The cloud at a server, for a login: it is below one of the sites, in a usual folder, or where a well-known address leads.
    async fn cloud_only(&mut self, client: &Client) -> Result<Stop, Stop> {
        let mut sites: Vec<String> = SUBFOLDERS.map(str::to_owned).into();
        for well_known in ["/.well-known/webdav", "/.well-known/caldav"] {
            if let Ok(at) = client.at_path(well_known)
                && self.product.is_none()
                && let Ok(Knock::Redirect(to)) = at.knock().await
                && let Some(path) = path_here(&at, &to)
            {
                self.note(at.url(), format!("leads to {path}"));
                sites.insert(0, site_of(&path).0);
            }
        }
        for site in sites {
            self.who(client, &site).await?;
        }
        let Some((at, _)) = &self.product else { return Ok(Stop::Nothing) };
        client.at_path(at).map(|client| Stop::Cloud(Box::new(client))).map_err(Stop::Final)
    }

    /// Where WebDAV often is, below a site.
    fn places(&self) -> Vec<String> {
        let user = href::encode_text(&self.wanted.user);
        let mine = |place: &str| (!user.is_empty()).then(|| format!("{place}{user}/"));
        let cloud = [mine("remote.php/dav/files/"), Some("remote.php/webdav/".into())];
        let places: Vec<Option<String>> = match self.wanted.kind {
            Some(Kind::Twinlens | Kind::PhotoPrism) => vec![Some("originals/".into())],
            Some(Kind::Nextcloud | Kind::OwnCloud) => cloud.into(),
            Some(Kind::WebDav) => Vec::new(),
            None => {
                let [files, webdav] = cloud;
                let before = [Some("originals/".to_owned()), Some("webdav/".to_owned())];
                let after = [mine("dav/files/"), Some("servlet/webdav.infostore/".into())];
                before.into_iter().chain([files, webdav]).chain(after).collect()
            }
        };
        places.into_iter().flatten().collect()
    }

    /// Asks who is below a site, if nobody has told yet.
    async fn who(&mut self, client: &Client, site: &str) -> Result<(), Stop> {
        if self.product.is_some() {
            return Ok(());
        }
        let Ok(client) = client.at_path(site) else { return Ok(()) };
        if let Some(product) = client.product_here().await {
            if product.maintenance {
                let reason = format!("{} {} is in maintenance and serves nobody; try again when it is done", product.name, product.version);
                self.note(client.url(), reason.clone());
                self.product = Some((site.to_owned(), product));
                return Err(Stop::Final(ClientError::Unreachable { host: client.host(), reason }));
            }
            self.product = Some((site.to_owned(), product));
        }
        Ok(())
    }

    async fn cloud_if(&mut self, client: &Client, site: &str) -> Result<Option<Found>, Stop> {
        match &self.product {
            Some((at, _)) if at == site => self.cloud(client, site).await,
            _ => Ok(None),
        }
    }

    /// The files of a cloud.
    async fn cloud(&mut self, client: &Client, site: &str) -> Result<Option<Found>, Stop> {
        let files = |user: &str| format!("{site}remote.php/dav/files/{}/", href::encode_text(user));
        let user = self.wanted.user.clone();
        if user.is_empty() {
            return match self.look(client, &format!("{site}remote.php/webdav/")).await? {
                Some(found) => Ok(Some(found)),
                None => Err(Stop::NeedsLogin),
            };
        }
        if let Some(found) = self.look(client, &files(&user)).await? {
            return Ok(Some(found));
        }
        if self.known
            && let Ok(there) = client.at_path(&files(&user))
            && let Some(id) = there.account_id().await.filter(|id| *id != user)
            && let Some(found) = self.look(client, &files(&id)).await?
        {
            return Ok(Some(found));
        }
        self.look(client, &format!("{site}remote.php/webdav/")).await
    }

    /// Where an address that every server may have (RFC 8615, RFC 6764 section 5) leads.
    async fn well_known(&mut self, client: &Client, path: &str) -> Result<Option<Found>, Stop> {
        let Ok(at) = client.at_path(path) else { return Ok(None) };
        if !self.asked.insert(at.url().to_owned()) {
            return Ok(None);
        }
        match at.knock().await {
            Ok(Knock::Redirect(to)) => match path_here(&at, &to) {
                Some(path) => {
                    self.note(at.url(), format!("leads to {path}"));
                    match path.contains("/remote.php/") {
                        true => self.cloud(client, &site_of(&path).0).await,
                        false => self.look(client, &path).await,
                    }
                }
                None => {
                    self.note(at.url(), format!("redirects to {to}, which is another server"));
                    self.elsewhere.get_or_insert(to);
                    Ok(None)
                }
            },
            Ok(other) => {
                self.note(at.url(), told(&other));
                Ok(None)
            }
            Err(error) => self.failed(&at, error),
        }
    }

    /// Knocks at a path, and looks into it when WebDAV is spoken there.
    async fn look(&mut self, client: &Client, path: &str) -> Result<Option<Found>, Stop> {
        let Ok(at) = client.at_path(path) else { return Ok(None) };
        if self.asked.contains(at.url()) {
            return Ok(None);
        }
        // Who was let in once need not knock.
        let knock = if self.known {
            Knock::Folder
        } else {
            match at.knock().await {
                Ok(knock) => knock,
                Err(error) => {
                    self.asked.insert(at.url().to_owned());
                    return self.failed(&at, error);
                }
            }
        };
        self.answered(client, path, knock).await
    }

    /// Goes on after a knock.
    async fn answered(&mut self, client: &Client, path: &str, knock: Knock) -> Result<Option<Found>, Stop> {
        let Ok(at) = client.at_path(path) else { return Ok(None) };
        self.asked.insert(at.url().to_owned());
        match &knock {
            Knock::Redirect(to) => {
                self.note(at.url(), format!("redirects to {to}"));
                match path_here(&at, to) {
                    // Only a slash more, or another folder of the same server.
                    Some(path) if !site_of(&path).1 => return Box::pin(self.look(client, &path)).await,
                    Some(_) => {}
                    None => drop(self.elsewhere.get_or_insert(to.clone())),
                }
                return Ok(None);
            }
            // Some say so instead of asking for a login.
            Knock::Other(status) if status.as_u16() == 403 && !self.wanted.user.is_empty() => {}
            Knock::Other(_) => {
                self.note(at.url(), told(&knock));
                return Ok(None);
            }
            Knock::Login(ways) if !ways.is_empty() && !ways.iter().any(|way| way.eq_ignore_ascii_case("basic")) => {
                self.note(at.url(), format!("asks for a login by {}, which Twinlens does not know", ways.join(" or ")));
                return Ok(None);
            }
            Knock::Login(_) if self.wanted.user.is_empty() => {
                self.note(at.url(), "asks for a user and a password");
                return Err(Stop::NeedsLogin);
            }
            Knock::Login(_) | Knock::Folder => {}
        }
        match at.list(&RelPath::root()).await {
            Ok(Some(listing)) => {
                self.note(at.url(), "is it");
                Ok(Some(self.found(at, listing).await))
            }
            Ok(None) => {
                self.known = !self.wanted.user.is_empty();
                self.note(at.url(), "there is nothing (404)");
                Ok(None)
            }
            Err(error @ ClientError::Unauthorized) => {
                self.note(at.url(), "does not accept this user and password");
                Err(Stop::Final(error))
            }
            Err(
                error @ (ClientError::NotDav { .. } | ClientError::Malformed(_) | ClientError::Outside(_) | ClientError::Status { .. }),
            ) => {
                self.known = !self.wanted.user.is_empty() && matches!(error, ClientError::NotDav { .. });
                self.note(at.url(), brief(&error));
                Ok(None)
            }
            Err(error @ ClientError::Redirect(_)) => {
                self.note(at.url(), error.to_string());
                Ok(None)
            }
            Err(error) => {
                self.note(at.url(), error.to_string());
                Err(Stop::Final(error))
            }
        }
    }

    fn failed(&mut self, at: &Client, error: ClientError) -> Result<Option<Found>, Stop> {
        self.note(at.url(), error.to_string());
        // One place that breaks is no reason to leave the others; a server that does not answer any more is.
        if matches!(error, ClientError::Broken { .. }) { Ok(None) } else { Err(Stop::Final(error)) }
    }

    async fn found(&mut self, client: Client, listing: Listing) -> Found {
        let (kind, version) = match &self.product {
            Some((_, product)) if product.name == "Twinlens" => ("twinlens".to_owned(), None),
            Some((_, product)) => (product.name.to_lowercase(), Some(product.version.clone())),
            None => doctor::kind_of(&client, listing.library_id.is_some()).await,
        };
        let endpoint = self.endpoint(client.url());
        Found { endpoint, client, listing, kind, version, tried: std::mem::take(&mut self.tried) }
    }

    fn missed(self, stop: Stop) -> Missed {
        let server = self.product.as_ref().map(|(_, product)| match product.name.as_str() {
            "Twinlens" => "a Twinlens node".to_owned(),
            name => format!("{name} {}", product.version),
        });
        let needs_login = matches!(stop, Stop::NeedsLogin);
        let is_cloud = self.product.as_ref().is_some_and(|(_, product)| product.name != "Twinlens");
        let (error, hint) = match stop {
            Stop::NeedsLogin if is_cloud => (
                None,
                "It asks for a login: say --user U, and give an app password (in its settings under Security); or log in with a browser: \
                 --browser"
                    .to_owned(),
            ),
            Stop::NeedsLogin => (None, "It asks for a login: say --user U".to_owned()),
            Stop::Final(error @ ClientError::Unauthorized) if is_cloud => (
                Some(error),
                "After several failures it answers slowly for a while; --browser logs in with a browser and needs no password here"
                    .to_owned(),
            ),
            Stop::Final(error) | Stop::NotHere(error) => (Some(error), String::new()),
            Stop::Cloud(_) | Stop::Secure(_) | Stop::Nothing => {
                let elsewhere =
                    self.elsewhere.as_ref().map(|to| format!("It redirects to {to}: if that is your server, give that address. "));
                let typed = "Give the WebDAV address itself, such as https://HOST/originals/ (PhotoPrism, Twinlens) or \
                             https://HOST/remote.php/dav/files/USER/ (Nextcloud); with its port if that is not the usual one, such as HOST:2342";
                (None, format!("{}{typed}", elsewhere.unwrap_or_default()))
            }
        };
        Missed { error, server, tried: self.tried, hint, needs_login }
    }
}

/// Where a redirect leads when all it does is to ask for https.
fn secured(url: &str, to: &str) -> Option<String> {
    let rest = to.strip_prefix("https://")?;
    let host = |url: &str| url.split('/').next().unwrap_or_default().split(':').next().unwrap_or_default().to_ascii_lowercase();
    let asked = url.strip_prefix("http://")?;
    (host(asked) == host(rest)).then(|| {
        // The path that was asked for, not a page for people.
        let path = asked.split_once('/').map_or("", |(_, path)| path);
        format!("https://{}/{path}", rest.split('/').next().unwrap_or_default())
    })
}

/// The path of an address of the same server; none when it is another one. It ends with a slash.
fn path_here(client: &Client, to: &str) -> Option<String> {
    let at = Typed::parse(to).ok().and_then(|to| client.path_of(to.url()))?;
    (at != client.path()).then_some(at)
}

fn told(knock: &Knock) -> String {
    match knock {
        Knock::Folder => "is a folder of WebDAV".into(),
        Knock::Login(_) => "asks for a login".into(),
        Knock::Redirect(to) => format!("redirects to {to}"),
        Knock::Other(status) if status.is_success() => format!("is a page, not WebDAV ({status})"),
        Knock::Other(status) => format!("answers {status}"),
    }
}

/// An error of which the address was told already.
fn brief(error: &ClientError) -> String {
    match error {
        ClientError::NotDav { found, .. } => format!("does not speak WebDAV ({found})"),
        ClientError::Status { status, .. } => format!("answers {status}"),
        error => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_to_https_keeps_the_path_and_the_host() {
        assert_eq!(secured("http://h/dav/", "https://h/login").as_deref(), Some("https://h/dav/"));
        assert_eq!(secured("http://h:80/", "https://H:8443/x").as_deref(), Some("https://H:8443/"));
        for other in ["https://evil.example/", "http://h/x/"] {
            assert_eq!(secured("http://h/", other), None);
        }
        assert_eq!(secured("https://h/", "https://h/x"), None);
    }
}
