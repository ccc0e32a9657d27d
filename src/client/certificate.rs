//! What a server's certificate says of itself, for people.

use rustls::pki_types::CertificateDer;
use x509_parser::parse_x509_certificate;

use super::Fingerprint;
use super::capabilities::short;

/// A certificate that a server showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// SHA-256 of it: what is pinned.
    pub fingerprint: Fingerprint,
    /// Whom it is for.
    pub subject: String,
    /// Who made it.
    pub issuer: String,
    /// It was made by whom it is for.
    pub self_signed: bool,
    /// It is good from this time on, in seconds since 1970.
    pub from: i64,
    /// It is good until this time, in seconds since 1970.
    pub until: i64,
}

impl Certificate {
    /// Reads it. What cannot be read is left empty: the fingerprint alone is enough to pin it.
    pub(super) fn read(der: &CertificateDer<'_>) -> Self {
        let fingerprint = Fingerprint::of(der);
        match parse_x509_certificate(der) {
            Ok((_, read)) => Self {
                fingerprint,
                subject: short(&read.subject().to_string()),
                issuer: short(&read.issuer().to_string()),
                self_signed: read.subject() == read.issuer(),
                from: read.validity().not_before.timestamp(),
                until: read.validity().not_after.timestamp(),
            },
            Err(_) => {
                Self { fingerprint, subject: String::new(), issuer: String::new(), self_signed: false, from: i64::MIN, until: i64::MAX }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_read_and_nonsense_is_only_counted() {
        let made = rcgen::generate_simple_self_signed(["photos.example.org".to_owned()]).unwrap();
        let read = Certificate::read(made.cert.der());
        assert!(read.self_signed && read.from < read.until && read.subject.contains("rcgen"), "{read:?}");
        assert_eq!(read.fingerprint, Fingerprint::of(made.cert.der()));
        assert_eq!(Certificate::read(&CertificateDer::from(vec![1, 2, 3])).issuer, "");
    }
}
