//! An address as a person types it: a host, with or without scheme, port, path, user and password.

use percent_encoding::percent_decode_str;
use reqwest::Url;

use super::ClientError;

/// Where the address of a page of a Nextcloud or an ownCloud ends to be the address of the cloud.
const PAGES: [&str; 7] = ["index.php", "apps", "login", "settings", "status.php", "ocs", "s"];

/// An address that was typed, in its parts. The password is shown nowhere, so it has no `Debug`.
#[derive(Clone)]
pub struct Typed {
    /// Without user, query and fragment. Its path ends with a slash.
    url: Url,
    /// The scheme was typed too.
    pub has_scheme: bool,
    /// The user that it names.
    pub user: Option<String>,
    /// The password that it carries.
    pub password: Option<String>,
}

impl Typed {
    /// Reads what was typed. `dav:` and `webdav:` are other words for http, `davs:` and `webdavs:` for https. What a browser appends (`?` and
    /// `#`) is left out.
    pub fn parse(text: &str) -> Result<Self, ClientError> {
        let text = text.trim();
        let bad = || ClientError::BadUrl(redacted(text));
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (Some(scheme.to_ascii_lowercase()), rest),
            None => (None, text.trim_start_matches('/')),
        };
        let https = match scheme.as_deref() {
            None | Some("https" | "davs" | "webdavs") => true,
            Some("http" | "dav" | "webdav") => false,
            Some(_) => return Err(bad()),
        };
        // An address of IPv6 without its brackets.
        let rest = match rest.parse::<std::net::Ipv6Addr>() {
            Ok(address) => format!("[{address}]"),
            Err(_) => rest.to_owned(),
        };
        let mut url = Url::parse(&format!("{}://{rest}", if https { "https" } else { "http" })).map_err(|_| bad())?;
        let foreign = |part: Option<&str>| part.is_some_and(|part| part.contains('@'));
        // A `?` or `#` in a password that should have been encoded: what was read as the host is a part of the login.
        if !url.has_host() || rest.chars().any(char::is_whitespace) || foreign(url.query()) || foreign(url.fragment()) {
            return Err(bad());
        }
        let decoded = |text: &str| percent_decode_str(text).decode_utf8().map(String::from).map_err(|_| bad());
        let user = Some(decoded(url.username())?).filter(|user| !user.is_empty());
        let password = url.password().map(decoded).transpose()?;
        url.set_username("").and_then(|()| url.set_password(None)).map_err(|()| bad())?;
        url.set_query(None);
        url.set_fragment(None);
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        Ok(Self { url, has_scheme: scheme.is_some(), user, password })
    }

    /// The address itself.
    pub fn url(&self) -> &str {
        self.url.as_str()
    }

    /// The same over plain http; none when https was asked for, or is not what was guessed.
    pub fn over_http(&self) -> Option<String> {
        if self.has_scheme {
            return None;
        }
        let mut url = self.url.clone();
        url.set_scheme("http").ok()?;
        Some(url.into())
    }
}

/// What somebody typed as an address, without the login that it may carry.
pub(super) fn redacted(text: &str) -> String {
    match text.rsplit_once('@') {
        Some((before, rest)) => match before.split_once("://") {
            Some((scheme, _)) => format!("{scheme}://…@{rest}"),
            None => format!("…@{rest}"),
        },
        None => text.to_owned(),
    }
}

/// The part of an encoded path that a cloud, or another program, is below: `/nextcloud/` of `/nextcloud/index.php/apps/files/`. And whether the
/// whole is only the address of a page.
pub fn site_of(path: &str) -> (String, bool) {
    let mut before = String::from("/");
    let mut segments = path.split('/').filter(|segment| !segment.is_empty()).peekable();
    while let Some(segment) = segments.next() {
        if PAGES.contains(&segment) {
            return (before, true);
        }
        if segment == "remote.php" {
            let rest: Vec<&str> = segments.collect();
            return (before, matches!(rest[..], [] | ["dav"] | ["dav", "files"]));
        }
        before.push_str(segment);
        before.push('/');
    }
    (before, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_as_people_type_them() {
        for (text, url, scheme, user, password) in [
            ("photos.example.org", "https://photos.example.org/", false, None, None),
            (" nas:5006/home ", "https://nas:5006/home/", false, None, None),
            ("http://nas:5006", "http://nas:5006/", true, None, None),
            ("anna@cloud.example.org/nextcloud", "https://cloud.example.org/nextcloud/", false, Some("anna"), None),
            ("https://anna:p%40ss@h/dav", "https://h/dav/", true, Some("anna"), Some("p@ss")),
            ("davs://h/remote.php/dav/files/a%20b", "https://h/remote.php/dav/files/a%20b/", true, None, None),
            ("dav://h", "http://h/", true, None, None),
            ("https://h/index.php/apps/files/?dir=/Fotos&fileid=7#x", "https://h/index.php/apps/files/", true, None, None),
            ("::1", "https://[::1]/", false, None, None),
            ("[::1]:2342", "https://[::1]:2342/", false, None, None),
        ] {
            let typed = Typed::parse(text).map_err(|error| error.to_string()).unwrap();
            let told = (typed.url(), typed.has_scheme, typed.user.as_deref(), typed.password.as_deref());
            assert_eq!(told, (url, scheme, user, password), "{text}");
        }
        for bad in ["", "ftp://h/", "http://", "two words", "https://u:p#x@h/", "https://u:s3cr/t@h:x"] {
            let error = Typed::parse(bad).err().unwrap_or_else(|| panic!("{bad} was taken")).to_string();
            assert!(!error.contains("s3cr") && !error.contains("p#x"), "{error}");
        }
    }

    #[test]
    fn only_what_was_guessed_may_be_http() {
        assert_eq!(Typed::parse("nas:81").ok().and_then(|typed| typed.over_http()).as_deref(), Some("http://nas:81/"));
        assert_eq!(Typed::parse("https://nas:81").ok().and_then(|typed| typed.over_http()), None);
    }

    #[test]
    fn pages_of_a_cloud_lead_to_the_cloud() {
        for (path, site, page) in [
            ("/", "/", false),
            ("/index.php/apps/files/", "/", true),
            ("/apps/files/", "/", true),
            ("/nextcloud/login/", "/nextcloud/", true),
            ("/remote.php/dav/", "/", true),
            ("/nc/remote.php/dav/files/anna/", "/nc/", false),
            ("/remote.php/webdav/", "/", false),
            ("/originals/2024/", "/originals/2024/", false),
        ] {
            assert_eq!(site_of(path), (site.to_owned(), page), "{path}");
        }
    }
}
