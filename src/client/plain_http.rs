//! Passwords over plain http: everybody on the way can read them. They go only to this machine and to private networks, unless the owner
//! allows it for the service.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::Endpoint;

/// The host has no address in a private network.
#[derive(Debug, thiserror::Error)]
#[error("it has no address on this machine or in a private network")]
pub(super) struct NotPrivate;

/// What is to be done about a service's address.
pub(super) enum Care {
    /// Nothing: it is encrypted, carries no password, is this machine or a private network, or its owner allows it.
    None,
    /// Its address is public.
    Refuse,
    /// Only addresses in private networks are used; which they are is known when its name is looked up.
    OnlyPrivate,
}

impl Care {
    pub(super) fn about(endpoint: &Endpoint, base: &Url) -> Self {
        if base.scheme() != "http" || endpoint.user.is_empty() || endpoint.allow_http {
            return Self::None;
        }
        match base.host_str().and_then(|host| host.trim_matches(['[', ']']).parse::<IpAddr>().ok()) {
            Some(address) if is_private(address) => Self::None,
            Some(_) => Self::Refuse,
            None => Self::OnlyPrivate,
        }
    }
}

/// Whether an address is this machine's or in a private network: RFC 1918, RFC 3927, RFC 4193, RFC 4291 section 2.5.6.
pub(super) fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => address.is_loopback() || address.is_private() || address.is_link_local(),
        IpAddr::V6(address) => address == Ipv6Addr::LOCALHOST || address.is_unique_local() || address.is_unicast_link_local(),
    }
}

/// Looks names up and tells only private addresses: a name that leads elsewhere tomorrow gets no password either.
pub(super) struct OnlyPrivate;

impl Resolve for OnlyPrivate {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let private: Vec<SocketAddr> = found.filter(|address| is_private(address.ip())).collect();
            if private.is_empty() {
                return Err(NotPrivate.into());
            }
            Ok(Box::new(private.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_is_what_does_not_leave_the_house() {
        for private in ["127.0.0.1", "::1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.1.1", "fd00::1", "fe80::1", "::ffff:10.0.0.1"]
        {
            assert!(is_private(private.parse().unwrap()), "{private}");
        }
        for public in ["8.8.8.8", "172.32.0.1", "100.64.0.1", "0.0.0.0", "2001:db8::1", "::ffff:8.8.8.8", "192.0.2.1", "::"] {
            assert!(!is_private(public.parse().unwrap()), "{public}");
        }
    }
}
