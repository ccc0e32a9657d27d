//! What kind of reason a text of ours tells: state on disk holds the texts, and pages say it in other languages.

/// The kinds of reasons that a file fails for, by words of their texts: those of [`ClientError::cause`](crate::client::ClientError::cause), and `library` and `disk-full` for what is
/// wrong here. The first that is met counts.
const FAILURES: [(&str, &str); 32] = [
    ("the service said that it stored the file", "not-proven"),
    ("the service stored ", "not-proven"),
    ("the service said that the new version took the place", "not-proven"),
    ("the service does not tell how many bytes", "not-proven"),
    ("its checksum differs", "not-proven"),
    ("is not a web address", "unreachable"),
    ("is not known; check the spelling", "unreachable"),
    (" does not answer (", "unreachable"),
    ("the certificate of ", "tls"),
    ("shows another certificate", "tls"),
    ("no secure connection to", "tls"),
    ("is reached over plain http", "tls"),
    ("does not accept this user and password", "unauthorized"),
    (" stopped answering", "timeout"),
    ("is busy and asked to be left alone", "busy"),
    ("the connection to ", "broken"),
    ("the service redirects to", "bad-answer"),
    ("the answer of the service", "bad-answer"),
    ("the service answered about", "bad-answer"),
    ("the service has no ", "not-found"),
    ("was changed by somebody else meanwhile", "changed"),
    ("the service did not take", "refused"),
    ("the service answered 403", "forbidden"),
    ("the service answered 413", "too-large"),
    ("the service answered 423", "locked"),
    ("the service answered 507", "full"),
    ("the service answered 5", "server-error"),
    ("the service received other bytes", "not-proven"),
    ("it was stopped on the way", "stopped"),
    ("the file could not be sent", "library"),
    ("no room left on the disk", "disk-full"),
    ("the service answered", "refused"),
];

/// The kinds of reasons that a file is left as it is for, as a report names them.
const SKIPS: [(&str, &str); 17] = [
    ("uploads are off for this service", "upload-off"),
    ("downloads are off for this service", "download-off"),
    ("has this content already", "same-content-at"),
    ("uses this name for the file", "name-taken"),
    ("became empty", "emptied"),
    ("a run that broke off left it", "left-parked"),
    ("could not be read", "unreadable"),
    ("tried again", "waiting"),
    ("does not tell upper from lower case", "refused-name"),
    ("its name ", "unnamable"),
    ("RAW files and videos are off", "raw-video"),
    ("a pattern of this service excludes it", "excluded"),
    ("includes only what its patterns name", "not-included"),
    ("an ignore file of the library", "ignored"),
    ("what the library ignores is not known", "unreadable"),
    ("could not be found out", "unreadable"),
    ("no deletion was followed", "careful"),
];

/// What kind of reason a file failed for; `other` if it is none of them.
pub fn of_failure(reason: &str) -> &'static str {
    // In the busy answers the status says it.
    if ["425", "429", "503"].iter().any(|status| reason.contains(&format!("the service answered {status}"))) {
        return "busy";
    }
    of(&FAILURES, reason)
}

/// What kind of reason a file was left as it is for; `other` if it is none of them.
pub fn of_skip(reason: &str) -> &'static str {
    of(&SKIPS, reason)
}

fn of(kinds: &[(&str, &'static str)], reason: &str) -> &'static str {
    kinds.iter().find(|(words, _)| reason.contains(words)).map_or("other", |(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::ClientError;
    use http::StatusCode;

    #[test]
    fn texts_tell_what_the_errors_themselves_say() {
        let host = || "photos.example".to_owned();
        let status = |status: u16| ClientError::Status {
            method: "PUT".into(),
            path: "a.jpg".into(),
            status: StatusCode::from_u16(status).unwrap(),
            told: None,
        };
        let errors = [
            ClientError::BadUrl("x".into()),
            ClientError::UnknownHost(host()),
            ClientError::Unreachable { host: host(), reason: "refused".into() },
            ClientError::Tls { host: host(), reason: "x".into() },
            ClientError::PlainHttp { host: host() },
            ClientError::Unauthorized,
            ClientError::Timeout { host: host() },
            ClientError::Busy { host: host(), seconds: 7 },
            ClientError::Broken { host: host(), reason: "reset".into() },
            ClientError::Redirect("https://x".into()),
            ClientError::TooLarge(4),
            ClientError::Outside("/x".into()),
            ClientError::NotFound("certificate.jpg".into()),
            ClientError::Changed("a.jpg".into()),
            ClientError::Refused { path: "a.jpg".into(), reason: "x".into() },
            ClientError::Stopped,
            status(400),
            status(403),
            status(413),
            status(423),
            status(429),
            status(500),
            status(503),
            status(507),
        ];
        for error in errors {
            assert_eq!(of_failure(&error.to_string()), error.cause(), "{error}");
        }
        use crate::client::NotProven;
        let size = |stored| NotProven::WrongSize { stored, sent: 5 };
        for unproven in
            [NotProven::Vanished, size(0), size(3), size(9), NotProven::NoSize, NotProven::WrongChecksum, NotProven::NotReplaced]
        {
            assert_eq!(of_failure(&unproven.to_string()), "not-proven", "{unproven}");
        }
        assert_eq!(of_failure("something new"), "other");
    }

    #[test]
    fn texts_tell_why_files_are_left() {
        use crate::reconcile::Why;
        use crate::types::{RelPath, Side};
        let path = RelPath::parse("a.jpg").unwrap();
        for (why, kind) in [
            (Why::UploadOff, "upload-off"),
            (Why::DownloadOff, "download-off"),
            (Why::SameContentAt { path: path.clone() }, "same-content-at"),
            (Why::NameTaken { path }, "name-taken"),
            (Why::Emptied { side: Side::Local }, "emptied"),
            (Why::LeftParked { side: Side::Remote }, "left-parked"),
            (Why::Unreadable { side: Side::Remote, reason: "x".into(), failed: false }, "unreadable"),
        ] {
            assert_eq!(of_skip(&why.to_string()), kind, "{why}");
        }
    }
}
