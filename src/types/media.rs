//! What kind of file a name promises, and which names are never photos.

use serde::{Deserialize, Serialize};

/// What a file is: by its extension, and where that means several things by its first bytes (see [`magic`](super::magic)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MediaKind {
    /// A picture that every program shows.
    Image,
    /// A camera's raw format, DNG included.
    Raw,
    /// A moving picture.
    Video,
    /// A drawing.
    Vector,
    /// Anything else: metadata beside a picture, or unknown.
    Sidecar,
}

#[rustfmt::skip]
const IMAGE: &[&str] = &[
    "jpg", "jpeg", "jpe", "jif", "jfif", "jfi", "jxl", "thm", "tif", "tiff", "psd", "png", "apng", "pnga", "pn", "gif",
    "bmp", "avif", "avis", "avifs", "hif", "heif", "heic", "avci", "avcs", "heifs", "heics", "webp", "mpo", "jp2", "j2k",
    "jpx", "jpf", "jpm", "jxr", "insp",
];
#[rustfmt::skip]
const RAW: &[&str] = &[
    "dng", "3fr", "ari", "arw", "bay", "cap", "crw", "cr2", "cr3", "data", "dcs", "dcr", "drf", "eip", "erf", "fff", "gpr",
    "iiq", "k25", "kdc", "mdc", "mef", "mos", "mrw", "nef", "nrw", "obm", "orf", "ori", "pef", "ptx", "pxn", "r3d", "raf",
    "raw", "rwl", "rwz", "rw2", "srf", "srw", "sr2", "x3f",
];
#[rustfmt::skip]
const VIDEO: &[&str] = &[
    "avc", "hevc", "vvc", "evc", "mov", "qt", "avi", "av1", "mpg", "mpeg", "mjpg", "mjpeg", "mp2", "mpv", "mp", "mp4", "m4v",
    "mxf", "3gp", "3g2", "3gpp", "flv", "f4v", "mkv", "mts", "m2ts", "ogv", "ogg", "ogx", "webm", "asf", "wmv", "dv", "mpe",
    "vob", "insv", "lrv", "mv", "m1v", "m2v", "mod", "tod", "divx", "av01", "avc1", "avc2", "avc3", "avc10", "dva", "dva1", "dvav", "dvh",
    "dvh1", "dvhe", "evc1", "h264", "h265", "h266", "hev", "hev1", "hev2", "hev3", "hev10", "hevc10", "hvc", "hvc1", "hvc2",
    "hvc3", "hvc10", "vp8", "vp9", "vvc1",
];
#[rustfmt::skip]
const VECTOR: &[&str] = &[
    "svg", "ai", "ps", "ps2", "ps3", "eps", "eps2", "eps3", "epi", "ept", "epsf", "epsi",
];
/// Extensions that photographers' files share with others: Leaf's `.data` with anybody's, a sensor's `.raw` with a disk image, Phase One's
/// `.cap` with a network trace, Google's `.mp` with a project plan, video in `.ogg`, `.mp2` and `.ts` with music and source text.
const AMBIGUOUS: &[&str] = &["data", "raw", "cap", "mp", "mv", "mod", "ogg", "mp2", "ts"];

impl MediaKind {
    /// By the extension, upper- or lower-case, without its dot.
    pub fn of_extension(extension: &str) -> Self {
        let extension = extension.to_ascii_lowercase();
        let among = |list: &[&str]| list.contains(&extension.as_str());
        if among(IMAGE) {
            Self::Image
        } else if among(RAW) {
            Self::Raw
        } else if among(VIDEO) {
            Self::Video
        } else if among(VECTOR) {
            Self::Vector
        } else {
            Self::Sidecar
        }
    }

    /// Whether an extension means several things, so that the first bytes of the file decide.
    pub fn is_ambiguous(extension: &str) -> bool {
        AMBIGUOUS.contains(&extension.to_ascii_lowercase().as_str())
    }

    /// A picture, raw or moving: something whose loss would be missed.
    pub fn is_media(self) -> bool {
        self != Self::Sidecar
    }
}

/// The folder in a library's root that is Twinlens's own: never listed, served, synced or indexed.
pub const OWN_FOLDER: &str = ".twinlens";

/// Whether a name is, or is taken by some file system for, that of Twinlens's own folder: in any case, with characters that are ignored, with
/// dots or spaces at its end, as the short name that Windows gives it.
pub fn is_own(name: &str) -> bool {
    // Almost no name gets further.
    if name.is_ascii() && !name.starts_with('.') && !name.contains('~') {
        return false;
    }
    let ignored =
        |c: &char| matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    // The long s is one to file systems that fold case.
    let folded: String =
        name.chars().filter(|c| !ignored(c)).flat_map(char::to_lowercase).map(|c| if c == 'ſ' { 's' } else { c }).collect();
    let folded = folded.split(':').next().unwrap_or_default().trim_end_matches(['.', ' ']);
    folded == OWN_FOLDER || folded.starts_with("twinle~")
}

#[rustfmt::skip]
const JUNK_NAMES: &[&str] = &[
    ".ds_store", ".appledouble", ".spotlight-v100", ".trashes", ".fseventsd", "thumbs.db", "ehthumbs.db", "desktop.ini",
    "$recycle.bin", "system volume information", "#recycle", "@eadir", "#snapshot", "__macosx", ".stfolder", ".stversions",
    ".stignore", ".photoprism", ".ppstorage", ".ppignore", ".tlignore", "lost+found", ".thumbnails", ".nomedia", ".owncloudsync.log",
    ".csync_journal.db", "@recycle", ".@__thumb", ".recycle", ".temporaryitems", ".documentrevisions-v100", ".apdisk", OWN_FOLDER,
];
#[rustfmt::skip]
const JUNK_SUFFIXES: &[&str] = &[
    ".part", ".tacitpart", ".filepart", ".partial", ".crdownload", ".download", ".swp",
];
#[rustfmt::skip]
const JUNK_PREFIXES: &[&str] = &[
    "._", "~syncthing~", ".syncthing.", ".unison.", ".mutagen-temporary-", ".~lock.", "~$", ".fuse_hidden", ".nfs", ".trash-",
    "._sync_", ".sync_", ".twinlens-", PROBE_PREFIX,
];
/// Photos that wait under a name of ours for their place (see `reconcile::parking`): they must be found again.
pub const PARKED_PREFIX: &str = ".twinlens-moving-";
/// What the names of files begin with that a node writes to a service to find something out. They are removed at once.
pub const PROBE_PREFIX: &str = "twinlens-probe-";

/// What such a file says at its beginning.
pub const PROBE_TEXT: &str = "Twinlens made this file to find out ";

/// Whether a file has the whole name of a probe: no owner gives such a name.
pub fn is_probe(name: &str) -> bool {
    let id = name.strip_prefix(PROBE_PREFIX).map(|rest| rest.strip_suffix("-new").unwrap_or(rest));
    id.is_some_and(|id| id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// True for a file or folder name that is known to be no photo: a system's litter or somebody's unfinished transfer.
/// Such names are stored and served like any other, but not indexed, counted or synced.
pub fn is_junk(name: &str) -> bool {
    let name = name.to_lowercase();
    if name.starts_with(PARKED_PREFIX) {
        return false;
    }
    JUNK_NAMES.contains(&name.as_str())
        || JUNK_SUFFIXES.iter().any(|suffix| name.ends_with(suffix))
        || JUNK_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        || is_nextcloud_temporary(&name)
}

/// `.IMG_1.jpg.~1a2b3c`: what the clients of Nextcloud and ownCloud call a download that is not complete.
fn is_nextcloud_temporary(name: &str) -> bool {
    let hex = |digits: &str| !digits.is_empty() && digits.len() <= 8 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    name.starts_with('.') && name.rsplit_once(".~").is_some_and(|(_, digits)| hex(digits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_ignore_case_and_dng_is_raw() {
        assert_eq!(MediaKind::of_extension("JPG"), MediaKind::Image);
        assert_eq!(MediaKind::of_extension("dng"), MediaKind::Raw);
        assert_eq!(MediaKind::of_extension("MOV"), MediaKind::Video);
        assert_eq!(MediaKind::of_extension("xmp"), MediaKind::Sidecar);
        assert_eq!(MediaKind::of_extension(""), MediaKind::Sidecar);
    }

    #[test]
    fn the_own_folder_is_known_in_every_disguise() {
        for own in [
            ".twinlens",
            ".TwinLens",
            ".TWINLENS",
            ".twinlen\u{17f}",
            ".twin\u{200c}lens",
            "\u{feff}.twinlens",
            ".twinlens.",
            ".twinlens .",
            ".twinlens::$INDEX_ALLOCATION",
            "TWINLE~1",
        ] {
            assert!(is_own(own), "{own:?}");
        }
        for other in ["twinlens", ".twinlens2", ".twinlens.jpg", ".hidden", "a~1", "twinl~1", "é", ""] {
            assert!(!is_own(other), "{other:?}");
        }
    }

    #[test]
    fn junk_is_known_by_name() {
        for junk in [
            ".DS_Store",
            "Thumbs.db",
            "IMG_1.jpg.ocTransferId77.part",
            "._IMG.jpg",
            ".twinlens",
            ".twinlens-0a1b2c",
            "a.jpg.tacitpart",
            ".a.jpg.~5f3a",
            "$RECYCLE.BIN",
        ] {
            assert!(is_junk(junk), "{junk}");
        }
        for photo in ["IMG_1.jpg", "part.jpg", ".hidden.jpg", "Thumbs.db.jpg", "a.~notes.jpg", "a.~5f3a"] {
            assert!(!is_junk(photo), "{photo}");
        }
    }
}
