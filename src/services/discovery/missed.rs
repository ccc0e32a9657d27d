//! What is said when nothing was found.

use crate::client::ClientError;

use super::search::Search;
use super::{Stop, Tried};

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

impl Search<'_> {
    pub(super) fn too_long(self) -> Missed {
        let url = self.wanted.typed.url();
        let host = self.client_of(url).map_or_else(|_| url.to_owned(), |client| client.host());
        self.missed(Stop::Final(ClientError::Timeout { host }))
    }

    pub(super) fn missed(self, stop: Stop) -> Missed {
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
