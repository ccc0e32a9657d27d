//! How `twinlens serve` meets the network: TLS, proxies, limits.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use crate::server::{ExternalUrl, Front, Limits, Network, Outside, Prefix, TlsFiles};

#[derive(Args)]
pub(super) struct FrontArgs {
    /// Serve TLS with this certificate (PEM, with its chain); read again when it changes
    #[arg(long, env = "TWINLENS_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The certificate's private key (PEM)
    #[arg(long, env = "TWINLENS_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Serve TLS with a certificate of our own, which clients pin by its fingerprint
    #[arg(long, env = "TWINLENS_TLS_SELF_SIGNED", conflicts_with_all = ["tls_cert", "tls_key"])]
    tls_self_signed: bool,
    /// A proxy that is believed about the client's address; several by commas. Others, this machine included, are only believed about
    /// scheme, host and prefix, or nothing
    #[arg(long, env = "TWINLENS_TRUSTED_PROXY", value_name = "CIDR", value_delimiter = ',', help_heading = "Proxies")]
    trusted_proxy: Vec<Network>,
    /// An address that clients use, such as https://photos.example.org; needed where the proxy tells neither Host nor X-Forwarded-Host
    #[arg(long, env = "TWINLENS_EXTERNAL_URL", value_name = "URL", value_delimiter = ',', help_heading = "Proxies")]
    external_url: Vec<ExternalUrl>,
    /// The path that clients see in front of ours, whether the proxy takes it off or not
    #[arg(long, env = "TWINLENS_URL_PREFIX", value_name = "/PHOTOS", help_heading = "Proxies")]
    url_prefix: Option<Prefix>,
    /// How long the headers of a request may take [default: 30s]
    #[arg(long, env = "TWINLENS_HEADER_TIMEOUT", value_name = "30s", value_parser = duration, help_heading = "Limits")]
    header_timeout: Option<Duration>,
    /// How long a connection without requests is kept [default: 3m]
    #[arg(long, env = "TWINLENS_IDLE_TIMEOUT", value_name = "3m", value_parser = duration, help_heading = "Limits")]
    idle_timeout: Option<Duration>,
    /// How long a transfer may stand still; one that moves may take any time [default: 1m]
    #[arg(long, env = "TWINLENS_BODY_TIMEOUT", value_name = "1m", value_parser = duration, help_heading = "Limits")]
    body_timeout: Option<Duration>,
    /// Connections at the same time; others wait [default: 16384]
    #[arg(long, env = "TWINLENS_MAX_CONNECTIONS", value_name = "N", help_heading = "Limits")]
    max_connections: Option<usize>,
    /// Connections at the same time from one address; trusted proxies may have any number [default: 512]
    #[arg(long, env = "TWINLENS_MAX_CONNECTIONS_PER_ADDRESS", value_name = "N", help_heading = "Limits")]
    max_connections_per_address: Option<usize>,
    /// Requests answered at the same time; others wait a little, then get 503 [default: 2048]
    #[arg(long, env = "TWINLENS_MAX_REQUESTS", value_name = "N", help_heading = "Limits")]
    max_requests: Option<usize>,
    /// Requests at the same time on one HTTP/2 connection [default: 128]
    #[arg(long, env = "TWINLENS_MAX_STREAMS", value_name = "N", help_heading = "Limits")]
    max_streams: Option<u32>,
    /// The headers of a request together [default: 64K]
    #[arg(long, env = "TWINLENS_MAX_HEADERS", value_name = "64K", value_parser = size, help_heading = "Limits")]
    max_headers: Option<u64>,
    /// The URL of a request [default: 16K]
    #[arg(long, env = "TWINLENS_MAX_URL", value_name = "16K", value_parser = size, help_heading = "Limits")]
    max_url: Option<u64>,
    /// The largest upload; 0: no limit [default: 0]
    #[arg(long, env = "TWINLENS_MAX_UPLOAD", value_name = "10G", value_parser = size, help_heading = "Limits")]
    max_upload: Option<u64>,
}

impl FrontArgs {
    /// What was said, as it is meant; a certificate of our own is kept in the data folder.
    pub(super) fn front(self, data: &Path) -> Front {
        let tls = match (self.tls_cert, self.tls_key, self.tls_self_signed) {
            (Some(certificate), Some(key), _) => Some(TlsFiles::Given { certificate, key }),
            (_, _, true) => Some(TlsFiles::SelfSigned { data: data.to_owned() }),
            _ => None,
        };
        let outside = Outside {
            trusted_proxies: self.trusted_proxy,
            external_urls: self.external_url,
            url_prefix: self.url_prefix.unwrap_or_default(),
        };
        let usual = Limits::default();
        let bytes = |said: Option<u64>, usual: usize| said.map_or(usual, |size| usize::try_from(size).unwrap_or(usize::MAX));
        let limits = Limits {
            header_timeout: self.header_timeout.unwrap_or(usual.header_timeout),
            idle_timeout: self.idle_timeout.unwrap_or(usual.idle_timeout),
            body_timeout: self.body_timeout.unwrap_or(usual.body_timeout),
            max_connections: self.max_connections.unwrap_or(usual.max_connections),
            max_connections_per_address: self.max_connections_per_address.unwrap_or(usual.max_connections_per_address),
            max_requests: self.max_requests.unwrap_or(usual.max_requests),
            max_streams: self.max_streams.unwrap_or(usual.max_streams),
            max_headers: bytes(self.max_headers, usual.max_headers),
            max_url: bytes(self.max_url, usual.max_url),
            max_upload: self.max_upload.unwrap_or(usual.max_upload),
        };
        Front { tls, outside, limits }
    }
}

/// `500ms`, `90`, `90s`, `3m`, `1h`.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "write it like 90s, 3m or 1h".to_owned();
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let milliseconds = match unit {
        "ms" => Some(number),
        "" | "s" => number.checked_mul(1000),
        "m" => number.checked_mul(60_000),
        "h" => number.checked_mul(3_600_000),
        _ => None,
    };
    // A year is for ever; more would overflow clocks.
    milliseconds.filter(|ms| (1..=31_536_000_000).contains(ms)).map(Duration::from_millis).ok_or_else(wrong)
}

/// `4096`, `64K`, `500M`, `10G` in bytes.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let wrong = || "write it like 64K, 500M or 10G".to_owned();
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let shift = match unit {
        "" => 0,
        "k" | "K" => 10,
        "m" | "M" => 20,
        "g" | "G" => 30,
        "t" | "T" => 40,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(1 << shift).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units() {
        assert_eq!(duration("90"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("3m"), Ok(Duration::from_secs(180)));
        assert!(["", "0", "s", "1d", "-1", "99999999h"].iter().all(|text| duration(text).is_err()));
        assert_eq!(size("0"), Ok(0));
        assert_eq!(size("64K"), Ok(65_536));
        assert_eq!(size("10G"), Ok(10 << 30));
        assert!(["", "K", "1X", "1.5G", "99999999T"].iter().all(|text| size(text).is_err()));
    }
}
