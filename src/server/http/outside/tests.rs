//! Requests as proxies pass them on, and what is made of them.

use http::Request;

use super::*;

const PROXY: &str = "10.0.0.1";
const LOCAL: &str = "127.0.0.1";
const STRANGER: &str = "203.0.113.9";

fn outside(external: &[&str], prefix: &str) -> Outside {
    Outside {
        trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()],
        external_urls: external.iter().map(|url| url.parse().unwrap()).collect(),
        url_prefix: prefix.parse().unwrap(),
    }
}

/// A request from an address, after its arrival; and who asks.
fn arrived(outside: &Outside, from: &str, path: &str, headers: &[(&str, &str)]) -> (Peer, Parts) {
    let mut request = Request::builder().uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (mut parts, ()) = request.body(()).unwrap().into_parts();
    let peer = outside.arrive(&mut parts, from.parse().unwrap(), false);
    assert_eq!(Peer::of(&parts.extensions), Some(&peer));
    (peer, parts)
}

#[test]
fn a_request_is_seen_as_its_client_sees_it() {
    let none = outside(&[], "");
    let photos = outside(&[], "/photos");
    let external = outside(&["https://photos.example.org:8443/p"], "");
    let host = ("host", "n.example");
    let x_host = ("x-forwarded-host", "photos.example.org");
    let x_proto = ("x-forwarded-proto", "https");
    let x_prefix = ("x-forwarded-prefix", "/photos");
    let cases = [
        // Directly.
        (&none, STRANGER, "/originals/a?b", &[host][..], "http://n.example", "/originals/a?b"),
        // A stranger's word does not count; a proxy's does, also one on this machine.
        (&none, STRANGER, "/originals/", &[host, x_host, x_proto, x_prefix], "http://n.example", "/originals/"),
        (&none, PROXY, "/originals/", &[host, x_host, x_proto], "https://photos.example.org", "/originals/"),
        (&none, LOCAL, "/originals/", &[host, x_host, x_proto], "https://photos.example.org", "/originals/"),
        // A prefix that the proxy takes off, and one that it leaves.
        (&none, PROXY, "/originals/?q", &[host, x_prefix], "http://n.example/photos", "/originals/?q"),
        (&none, PROXY, "/photos/originals/?q", &[host, x_prefix], "http://n.example/photos", "/originals/?q"),
        (&none, PROXY, "/photos", &[host, x_prefix], "http://n.example/photos", "/"),
        (&none, PROXY, "/photosx/", &[host, x_prefix], "http://n.example/photos", "/photosx/"),
        // A prefix of one of our own names is never taken off.
        (&none, PROXY, "/webdav/x", &[host, ("x-forwarded-prefix", "/webdav")], "http://n.example/webdav", "/webdav/x"),
        // A configured prefix: everybody may use it, and who comes by a proxy sees it.
        (&photos, STRANGER, "/photos/originals/", &[host], "http://n.example/photos", "/originals/"),
        (&photos, STRANGER, "/originals/", &[host], "http://n.example", "/originals/"),
        (&photos, PROXY, "/originals/", &[host], "http://n.example/photos", "/originals/"),
        (&photos, LOCAL, "/originals/", &[host], "http://n.example/photos", "/originals/"),
        // A configured address is known by its host, or by the trusted proxy that hides it.
        (&external, STRANGER, "/p/originals/", &[("host", "photos.example.org")], "https://photos.example.org:8443/p", "/originals/"),
        (&external, STRANGER, "/originals/", &[("host", "Photos.example.org:8443")], "https://photos.example.org:8443/p", "/originals/"),
        (&external, PROXY, "/originals/", &[host], "https://photos.example.org:8443/p", "/originals/"),
        (&external, STRANGER, "/originals/", &[host], "http://n.example", "/originals/"),
        (&external, PROXY, "/originals/", &[host, ("x-forwarded-host", "other.example")], "http://other.example", "/originals/"),
    ];
    for (outside, from, path, headers, base, local) in cases {
        let (peer, parts) = arrived(outside, from, path, headers);
        assert_eq!((peer.base().as_str(), parts.uri.to_string().as_str()), (base, local), "{from} {path} {headers:?}");
    }
    assert_eq!(arrived(&photos, PROXY, "/originals/", &[host]).0.href("/originals/a%20b"), "/photos/originals/a%20b");
}

#[test]
fn only_a_named_proxy_is_believed_about_the_client() {
    let none = outside(&[], "");
    let address = |from| arrived(&none, from, "/", &[("x-forwarded-for", "198.51.100.7")]).0.address.to_string();
    assert_eq!(address(PROXY), "198.51.100.7");
    assert_eq!(address("::ffff:10.0.0.1"), "198.51.100.7");
    assert_eq!(address(STRANGER), STRANGER);
    assert_eq!(address(LOCAL), LOCAL);
}

#[test]
fn a_destination_is_ours_under_every_name_that_we_have() {
    let outside = outside(&["https://photos.example.org/photos", "https://other.example:8443"], "/p");
    let local = |from, headers: &[(&str, &str)], destination: &str| {
        let headers = [headers, &[("destination", destination)]].concat();
        let (_, parts) = arrived(&outside, from, "/originals/a", &headers);
        parts.headers.get("destination").unwrap().to_str().unwrap_or("not ASCII").to_owned()
    };
    let direct = &[("host", "n.example:2342")][..];
    for (destination, expected) in [
        ("/originals/b", "/originals/b"),
        ("//originals//b", "//originals//b"),
        ("/originals/a://b", "/originals/a://b"),
        ("/p/originals/b%20c", "/originals/b%20c"),
        ("/photos/originals/b", "/originals/b"),
        ("http://n.example:2342/originals/b", "/originals/b"),
        ("http://N.EXAMPLE:2342/originals/b", "/originals/b"),
        ("HTTPS://n.example:2342/originals/b?x#y", "/originals/b"),
        ("https://n.example/originals/b", "/originals/b"),
        ("http://user:pw@n.example:2342/originals/b", "/originals/b"),
        ("http://n.example:2342/p/originals/b", "/originals/b"),
        ("https://photos.example.org/photos/originals/b", "/originals/b"),
        ("https://photos.example.org/originals/b", "/originals/b"),
        ("https://photos.example.org:443/photos/originals/b", "/originals/b"),
        ("https://other.example:8443/originals/b", "/originals/b"),
        ("https://other.example/originals/b", "/originals/b"),
        ("https://foreign.example/originals/b", "http://elsewhere.invalid/elsewhere"),
        ("https://foreign.example/photos/originals/b", "http://elsewhere.invalid/elsewhere"),
        ("https://n.example.evil/originals/b", "http://elsewhere.invalid/elsewhere"),
        ("http://n.example:81/originals/b", "http://elsewhere.invalid/elsewhere"),
        ("https://other.example:8444/originals/b", "http://elsewhere.invalid/elsewhere"),
        ("ftp://n.example:2342/originals/b", "http://elsewhere.invalid/elsewhere"),
        // Left as they are: no usable Destination, which the method refuses.
        ("originals/b", "originals/b"),
        ("http://n.example:2342", "http://n.example:2342"),
        ("", ""),
    ] {
        assert_eq!(local(STRANGER, direct, destination), expected, "{destination}");
    }
    // The host that a proxy tells.
    let proxied = &[("host", "127.0.0.1:2342"), ("x-forwarded-host", "third.example"), ("x-forwarded-prefix", "/q")][..];
    let destination = "https://third.example/q/originals/b";
    assert_eq!(local(PROXY, proxied, destination), "/originals/b");
    assert_eq!(local(LOCAL, proxied, destination), "/originals/b");
    assert_eq!(local(STRANGER, proxied, destination), "http://elsewhere.invalid/elsewhere");
}

#[test]
fn the_tags_of_an_if_header_become_local() {
    let outside = outside(&[], "/p");
    let local = |text: &str| {
        let (_, parts) = arrived(&outside, STRANGER, "/originals/a", &[("host", "n"), ("if", text)]);
        parts.headers.get("if").unwrap().to_str().unwrap().to_owned()
    };
    for (text, expected) in [
        ("(<urn:uuid:1>)", "(<urn:uuid:1>)"),
        ("<http://n/p/originals/a> (<urn:uuid:1>)", "<http://n/originals/a> (<urn:uuid:1>)"),
        ("</p/originals/a> (Not </p/x> [\"</p/y>\"]) </p/z> ([W/\"(\"])", "</originals/a> (Not </p/x> [\"</p/y>\"]) </z> ([W/\"(\"])"),
        ("<http://n/other/a> ([\"e\"])", "<http://n/other/a> ([\"e\"])"),
        ("<http://n/p/a (", "<http://n/p/a ("),
    ] {
        assert_eq!(local(text), expected, "{text}");
    }
}

#[test]
fn settings_are_read_strictly() {
    assert!("10.0.0.0/8".parse::<Network>().is_ok() && "::1".parse::<Network>().is_ok());
    assert!("10.0.0".parse::<Network>().is_err() && "example.org".parse::<Network>().is_err());
    assert!("https://a.example/x/".parse::<ExternalUrl>().is_ok_and(|url| &*url.prefix.0 == "/x"));
    for bad in ["a.example", "ftp://a.example", "https://", "https://u@a.example", "https://a.example/webdav"] {
        assert!(bad.parse::<ExternalUrl>().is_err(), "{bad}");
    }
    for bad in ["photos", "/originals", "/a/../b"] {
        assert!(bad.parse::<Prefix>().is_err(), "{bad}");
    }
}
