//! From what a person typed to the WebDAV address of a service, and what it is.
//!
//! https comes before http, and http only where a password may travel so. Who is there is asked first, without the password; it is sent only
//! where a login is asked for, and never again once it was refused: servers lock out whoever tries too often. Nothing is sent to another host.

mod knocking;
mod missed;
mod search;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use utoipa::ToSchema;

use crate::client::{Client, ClientError, Endpoint, Fingerprint, Listing, Product, Typed};

use super::Kind;
pub use missed::Missed;
use search::Search;

/// All of it takes no longer.
const WHOLE: Duration = Duration::from_secs(90);

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
