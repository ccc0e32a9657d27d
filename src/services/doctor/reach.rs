//! From a name to a server that answers HTTP, and who it is.

use jiff::Timestamp;

use crate::client::{Certificate, Client, ClientError, Product, Roots};

use super::super::Service;
use super::Checkup;

/// A certificate that ends within so many days is worth a word.
const SOON: i64 = 14;

/// Name, port, TLS, HTTP. False when one of them fails; what comes after it makes no sense then.
pub(super) async fn reach(checkup: &mut Checkup, client: &Client, service: &Service) -> bool {
    let addresses = match client.resolve().await {
        Ok(addresses) => addresses,
        Err(error) => {
            checkup.fail("dns", error.to_string());
            return false;
        }
    };
    let ips: Vec<String> = addresses.iter().map(|address| address.ip().to_string()).collect();
    checkup.ok("dns", format!("the address of the host is {}", ips.join(", "))).detail("addresses", &ips);
    let stream = match client.reach(&addresses).await {
        Ok((stream, address)) => {
            checkup.ok("tcp", format!("{address} answers"));
            stream
        }
        Err(error) => {
            checkup.fail("tcp", unreachable(&error));
            return false;
        }
    };
    if client.url().starts_with("https:") {
        if !shake_hands(checkup, client, stream).await {
            return false;
        }
    } else {
        drop(stream);
        match service.user.is_empty() {
            true => checkup.skip("tls", "plain http: nothing is encrypted; there is no password that could be read on the way"),
            false if service.allow_http => checkup
                .warn("tls", "plain http: everybody on the way can read the password and the photos; you allowed that for this service"),
            false => checkup.ok("tls", "plain http, which goes no further than this machine or a private network; nothing is encrypted"),
        };
    }
    greet(checkup, client).await
}

fn unreachable(error: &ClientError) -> String {
    let text = error.to_string();
    match text.contains("refused") {
        true => format!("{text}. Nothing listens on that port: the port is wrong, or the server does not run"),
        false => format!("{text}. A wrong host, a firewall, or a server that is switched off look like this"),
    }
}

async fn shake_hands(checkup: &mut Checkup, client: &Client, stream: tokio::net::TcpStream) -> bool {
    let made = client.shake_hands(stream).await;
    let shown = client.certificate();
    let check = match (&made, &shown) {
        (Ok(made), Some(certificate)) => {
            let who = match made.roots {
                Roots::Pinned => "it is the one that was pinned",
                Roots::System => "an authority that this system trusts vouches for it",
                Roots::Bundled => "an authority vouches for it that comes with Twinlens, because this system has no list of its own",
            };
            let left = (certificate.until - Timestamp::now().as_second()) / 86_400;
            let text = format!(
                "{}; the certificate is for {}, by {}, good until {}; {who}; SHA-256 {}",
                made.version,
                certificate.subject,
                if certificate.self_signed { "itself" } else { &certificate.issuer },
                day(certificate.until),
                certificate.fingerprint
            );
            let roots = match made.roots {
                Roots::Pinned => "pinned",
                Roots::System => "system",
                Roots::Bundled => "bundled",
            };
            let check = match left {
                // A pinned one is trusted whatever it says of itself.
                left if left < SOON && made.roots != Roots::Pinned => {
                    checkup.warn("tls", format!("{text}. It ends in {left} days: have it renewed"))
                }
                _ => checkup.ok("tls", text),
            };
            check.detail("version", made.version).detail("trusted_by", roots);
            check
        }
        (Ok(made), None) => checkup.ok("tls", made.version),
        (Err(error), _) => checkup.fail("tls", error.to_string()),
    };
    if let Some(Certificate { fingerprint, subject, issuer, self_signed, until, .. }) = shown {
        check.detail("fingerprint", fingerprint).detail("subject", subject).detail("issuer", issuer);
        check.detail("self_signed", self_signed).detail("until", day(until));
    }
    made.is_ok()
}

/// A day, from seconds since 1970.
fn day(seconds: i64) -> String {
    Timestamp::from_second(seconds).map_or_else(|_| "an unknown day".into(), |time| time.to_string().chars().take(10).collect())
}

async fn greet(checkup: &mut Checkup, client: &Client) -> bool {
    let greeting = match client.greet(false).await {
        Ok(greeting) => greeting,
        Err(error @ ClientError::Broken { .. }) => {
            let hint = if client.url().starts_with("http:") { "; perhaps it speaks https there, not http" } else { "" };
            checkup.fail("http", format!("{error}{hint}"));
            return false;
        }
        Err(error) => {
            checkup.fail("http", error.to_string());
            return false;
        }
    };
    let server = client.server();
    let named = server.as_ref().map_or_else(|| "the server does not tell its name".to_owned(), |name| format!("the server is {name}"));
    if greeting.sabre {
        checkup.kind = "sabredav".into();
    }
    let version = greeting.version.clone();
    let (well, check) = match &greeting.location {
        Some(target) if greeting.status.is_redirection() => {
            (false, checkup.fail("http", format!("{}; {named}", ClientError::Redirect(target.clone()))))
        }
        _ => (true, checkup.ok("http", format!("{version}; {named}"))),
    };
    check.detail("version", version).detail("server", server).detail("redirects_to", greeting.location);
    check.detail("logins", greeting.logins);
    well
}

/// Which program it is.
pub(super) async fn server(checkup: &mut Checkup, client: &Client) -> Option<Product> {
    let product = client.product().await;
    if let Some(Product { name, version, maintenance }) = &product {
        checkup.kind = name.to_lowercase();
        // A node tells the version of the Nextcloud that it is like.
        let itself = name == "Twinlens";
        checkup.version = Some(version.clone()).filter(|_| !itself);
        match maintenance {
            true => checkup.fail("server", format!("{name} {version} is in maintenance and serves nobody; try again when it is done")),
            false if itself => checkup.ok("server", "a Twinlens node"),
            false => checkup.ok("server", format!("{name} {version}")),
        };
        return product;
    }
    let header = client.server().unwrap_or_default();
    let lower = match header.is_empty() {
        true => client.realm().await.unwrap_or_default().to_lowercase(),
        false => header.to_lowercase(),
    };
    let known = [
        ("rclone", "rclone"),
        ("wsgidav", "wsgidav"),
        ("apache", "apache"),
        ("nginx", "nginx"),
        ("lighttpd", "lighttpd"),
        ("caddy", "caddy"),
    ];
    let of_header = known.iter().find(|(word, _)| lower.contains(word)).map(|(_, kind)| *kind);
    if client.is_photoprism().await {
        checkup.kind = "photoprism".into();
    } else if checkup.kind == "unknown"
        && let Some(kind) = of_header
    {
        checkup.kind = kind.into();
    }
    let version = header.split_once('/').map(|(_, rest)| rest.split([' ', '(']).next().unwrap_or_default().to_owned());
    if of_header == Some(checkup.kind.as_str()) {
        checkup.version = version.filter(|version| !version.is_empty());
    }
    match checkup.kind.as_str() {
        "unknown" if header.is_empty() => checkup.ok("server", "it does not tell which program it is"),
        "photoprism" => checkup.ok("server", "PhotoPrism"),
        "sabredav" => checkup.ok("server", format!("SabreDAV; before it {header}")),
        kind if header.is_empty() => checkup.ok("server", format!("it does not tell its name, but asks for the login as {kind} does")),
        _ => checkup.ok("server", header),
    };
    None
}
