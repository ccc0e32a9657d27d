//! "Connect via WebDAV": the addresses that programs and phones need.

use maud::{Markup, html};
use qrcode::{Color, EcLevel, QrCode};

use super::super::page::{self, Answer};
use super::super::parts::{self, Tone};
use super::super::refused::Refused;
use super::super::visit::Visit;

pub(super) async fn show(visit: Visit) -> Result<Answer, Refused> {
    let user = visit.person()?.login.user.clone();
    let words = visit.words();
    let originals = format!("{}/originals/", visit.address);
    let content = html! {
        div.body data-wide {
            p { (words.say("account.connect-help")) }
            div.beside {
                div {
                    (parts::copyable(words, words.say("account.library"), &originals))
                    (parts::copyable(words, words.say("account.import"), &format!("{}/import/", visit.address)))
                    (parts::copyable(words, "Windows Explorer", &explorer(&visit.address, "originals")))
                    (parts::copyable(words, "Nextcloud, ownCloud", &visit.address))
                    (parts::copyable(words, words.say("signin.user"), &user))
                }
                figure.code {
                    @if let Some(code) = qr(&originals, words.say("account.code")) { (code) }
                    figcaption.help { (words.say("account.code-help")) }
                }
            }
            ul.hints {
                li { strong { "Finder" } " – " (words.say("account.finder")) }
                li { strong { "Explorer" } " – " (words.say("account.explorer")) }
                li { strong { "PhotoSync" } " – " (words.say("account.photosync")) }
                li { strong { "Nextcloud" } " – " (words.say("account.nextcloud")) }
            }
            @if !visit.address.starts_with("https:") { (parts::notice(Tone::Warning, &html! { p { (words.say("account.not-secure")) } })) }
            (parts::notice(Tone::Info, &html! { p { (words.say("account.use-app-password")) } }))
        }
    };
    Ok(page::part(parts::dialog(words, words.say("account.connect"), &html! {}, &content)))
}

/// As Windows writes a WebDAV folder: `\\host@SSL@8443\originals\`.
fn explorer(address: &str, folder: &str) -> String {
    let (scheme, rest) = address.split_once("://").unwrap_or(("http", address));
    let (authority, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    // The colons of an IPv6 address are inside of brackets; Windows writes them another way (RFC 4291, ipv6-literal.net).
    let (host, port) = match authority.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')) {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => format!("{}.ipv6-literal.net", address.replace(':', "-")),
        None => host.to_owned(),
    };
    let secure = if scheme == "https" { "@SSL" } else { "" };
    let port = port.map(|port| format!("@{port}")).unwrap_or_default();
    let prefix: String = prefix.split('/').filter(|part| !part.is_empty()).map(|part| format!("{part}\\")).collect();
    format!("\\\\{host}{secure}{port}\\{prefix}{folder}\\")
}

/// A QR code as a drawing; none when the text is too long for one.
fn qr(text: &str, label: &str) -> Option<Markup> {
    let code = QrCode::with_error_correction_level(text, EcLevel::M).ok()?;
    let width = code.width();
    let mut path = String::new();
    for (at, color) in code.to_colors().iter().enumerate() {
        if *color == Color::Dark {
            path.push_str(&format!("M{} {}h1v1h-1z", at % width + 4, at / width + 4));
        }
    }
    let side = width + 8;
    Some(html! {
        svg.qr role="img" aria-label=(label) viewBox=(format!("0 0 {side} {side}")) shape-rendering="crispEdges" {
            rect width=(side) height=(side) fill="#fff" {}
            path d=(path) fill="#000" {}
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn explorer_writes_hosts_its_own_way() {
        assert_eq!(explorer("https://photos.example.org", "originals"), r"\\photos.example.org@SSL\originals\");
        assert_eq!(explorer("http://nas:2342/photos", "import"), r"\\nas@2342\photos\import\");
        assert_eq!(explorer("https://[fd00::1]:8443", "originals"), r"\\fd00--1.ipv6-literal.net@SSL@8443\originals\");
    }

    #[test]
    fn a_code_holds_an_address() {
        let drawn = qr("https://photos.example.org/originals/", "code").unwrap().into_string();
        assert!(drawn.contains("viewBox=\"0 0 37 37\"") && drawn.contains("M4 4h1v1h-1z"), "{drawn}");
        assert!(qr(&"x".repeat(4000), "code").is_none());
    }
}
