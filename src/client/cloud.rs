//! Where a service that is a Nextcloud, an ownCloud or a node has what is not WebDAV of files: found from the address that its owner gave.

use reqwest::Url;

use crate::dav::href;
use crate::types::RelPath;

use super::Client;

/// The addresses of a cloud, and where in it the client's folder lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cloud {
    /// What comes before `remote.php`; ends with a slash.
    root: Url,
    /// The account as the cloud writes it in paths.
    pub(super) user: String,
    /// The client's folder, below the account's files.
    folder: RelPath,
}

impl Cloud {
    /// From a WebDAV address (`…/remote.php/dav/files/USER/`, `…/remote.php/webdav/`, `…/originals/`) and the account's name.
    pub(super) fn of(base: &Url, login: &str) -> Option<Self> {
        let path = href::decode(base.path())?;
        let (before, after) = path.split_once("/remote.php/").or_else(|| path.split_once("/originals/"))?;
        let (user, folder) = match after.strip_prefix("dav/files/") {
            Some(home) => home.split_once('/')?,
            None => (login, after.strip_prefix("webdav/").unwrap_or(after)),
        };
        let folder = RelPath::parse(folder.trim_end_matches('/')).ok()?;
        let mut root = base.clone();
        root.set_path(&format!("{}/", href::encode_text(before)));
        (!user.is_empty()).then(|| Self { root, user: user.to_owned(), folder })
    }

    /// The URL of an encoded path of the cloud.
    pub(super) fn url(&self, path: &str) -> Url {
        let mut url = self.root.clone();
        url.set_path(&format!("{}{path}", self.root.path()));
        url
    }

    /// A path of the client, below the account's files.
    pub(super) fn in_home(&self, path: &RelPath) -> RelPath {
        self.folder.join_path(path)
    }

    /// The URL of a path of the client in the form that goes with `/remote.php/dav/`.
    pub(super) fn url_in_home(&self, path: &RelPath) -> Url {
        let path = href::encode(&self.in_home(path));
        self.url(&format!("remote.php/dav/files/{}/{path}", href::encode_text(&self.user)))
    }
}

impl Client {
    /// Whether its address is one that clouds and nodes have.
    pub fn is_cloud(&self) -> bool {
        self.cloud().is_some()
    }

    /// Whose files the address leads to, where it says so (`.../remote.php/dav/files/USER/`).
    pub fn cloud_user(&self) -> Option<String> {
        self.cloud().map(|cloud| cloud.user)
    }

    /// Whose files its folder is below, and where there: the same of two addresses of one cloud, when they are two ways to one folder.
    pub fn place(&self) -> Option<(String, RelPath)> {
        self.cloud().map(|cloud| (cloud.user, cloud.folder))
    }

    pub(super) fn cloud(&self) -> Option<Cloud> {
        Cloud::of(self.base(), self.user())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cloud_is_found_from_its_webdav_address() {
        let of = |url: &str| Cloud::of(&Url::parse(url).unwrap(), "anna");
        let path = RelPath::parse("b/c d.jpg").unwrap();
        for (url, user, capabilities, there) in [
            (
                "https://h/cloud/remote.php/dav/files/M%C3%BCller/Fotos/2024/",
                "Müller",
                "https://h/cloud/ocs",
                "https://h/cloud/remote.php/dav/files/M%C3%BCller/Fotos/2024/b/c%20d.jpg",
            ),
            ("http://h:81/remote.php/webdav/", "anna", "http://h:81/ocs", "http://h:81/remote.php/dav/files/anna/b/c%20d.jpg"),
            ("http://h:81/originals/x/", "anna", "http://h:81/ocs", "http://h:81/remote.php/dav/files/anna/x/b/c%20d.jpg"),
        ] {
            let cloud = of(url).unwrap();
            assert_eq!((cloud.user.as_str(), cloud.url("ocs").as_str()), (user, capabilities), "{url}");
            assert_eq!(cloud.url_in_home(&path).as_str(), there);
        }
        for none in ["http://h/dav/", "http://h/", "http://h/remote.php/dav/files/", "http://h/originalsx/"] {
            assert_eq!(of(none), None, "{none}");
        }
    }
}
