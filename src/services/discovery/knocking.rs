//! Asking at one address, and what its answer means.

use crate::client::{Client, ClientError, Knock, Listing, Typed, site_of};
use crate::services::doctor;
use crate::types::RelPath;

use super::search::Search;
use super::{Found, Stop};

impl Search<'_> {
    /// Knocks at a path, and looks into it when WebDAV is spoken there.
    pub(super) async fn look(&mut self, client: &Client, path: &str) -> Result<Option<Found>, Stop> {
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
    pub(super) async fn answered(&mut self, client: &Client, path: &str, knock: Knock) -> Result<Option<Found>, Stop> {
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

    pub(super) fn failed(&mut self, at: &Client, error: ClientError) -> Result<Option<Found>, Stop> {
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
}

/// Where a redirect leads when all it does is to ask for https.
pub(super) fn secured(url: &str, to: &str) -> Option<String> {
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
pub(super) fn path_here(client: &Client, to: &str) -> Option<String> {
    let at = Typed::parse(to).ok().and_then(|to| client.path_of(to.url()))?;
    (at != client.path()).then_some(at)
}

pub(super) fn told(knock: &Knock) -> String {
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
