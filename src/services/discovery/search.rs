//! Where a service is looked for, and in which order.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::sync::watch;

use crate::client::{Client, ClientError, Endpoint, Knock, Product, Waits, site_of};
use crate::dav::href;
use crate::services::Kind;

use super::knocking::{path_here, secured, told};
use super::{Found, Stop, Tried, Wanted};

/// A server that answers nothing for so long is not there.
const IDLE: Duration = Duration::from_secs(15);
/// Where a cloud is often installed when it is not at the root.
const SUBFOLDERS: [&str; 3] = ["/nextcloud/", "/owncloud/", "/cloud/"];

pub(super) struct Search<'a> {
    pub(super) wanted: &'a Wanted,
    /// Nothing is wanted but who is there.
    pub(super) only_cloud: bool,
    pub(super) tried: Vec<Tried>,
    /// Who told of itself to everybody, and where.
    pub(super) product: Option<(String, Product)>,
    /// The password was accepted.
    pub(super) known: bool,
    pub(super) asked: BTreeSet<String>,
    /// Another host that it redirected to.
    pub(super) elsewhere: Option<String>,
    /// Where it is told what was tried.
    pub(super) watched: Option<watch::Sender<Vec<Tried>>>,
}

impl<'a> Search<'a> {
    pub(super) fn new(wanted: &'a Wanted) -> Self {
        let (tried, asked) = (Vec::new(), BTreeSet::new());
        Self { wanted, only_cloud: false, tried, product: None, known: false, asked, elsewhere: None, watched: None }
    }

    pub(super) fn client_of(&self, url: &str) -> Result<Client, ClientError> {
        Client::new(&self.endpoint(url)).map(|client| client.with_waits(Waits { idle: IDLE, busy: IDLE, broken: 1, ..Waits::default() }))
    }

    pub(super) fn endpoint(&self, url: &str) -> Endpoint {
        let Wanted { user, password, fingerprint, allow_http, .. } = self.wanted;
        Endpoint { url: url.to_owned(), user: user.clone(), password: password.clone(), fingerprint: *fingerprint, allow_http: *allow_http }
    }

    pub(super) fn note(&mut self, url: &str, answer: impl Into<String>) {
        self.tried.push(Tried { url: url.to_owned(), answer: answer.into() });
        if let Some(watched) = &self.watched {
            watched.send_replace(self.tried.clone());
        }
    }

    /// Tries the schemes.
    pub(super) async fn everywhere(&mut self) -> Result<Found, Stop> {
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
}
