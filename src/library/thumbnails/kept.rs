//! The files that are kept: `ab/HASH-SIDE.jpg` a picture, `ab/HASH.none` that there is none.

use std::fs::{self, File, FileTimes};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::library::RenditionError;
use crate::store::Disk;
use crate::types::ContentHash;

use super::Thumbnails;

/// Behind a picture stand so many bytes of its BLAKE3 hash: what a disk made of it is not shown to anybody.
const SEAL: usize = 16;
/// That a picture was looked at is written down once in this time.
const USED: Duration = Duration::from_secs(24 * 3600);
/// What took too long is tried again after this.
const AGAIN: Duration = Duration::from_secs(24 * 3600);
/// What the names of unfinished files begin with.
pub(super) const UNFINISHED: &str = "new-";

/// What is kept of a content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// A JPEG.
    Picture(Vec<u8>),
    /// None can be made, and why.
    Refusal(String),
}

/// That there is no picture.
#[derive(Debug, Serialize, Deserialize)]
struct Refusal {
    /// By which version of the program, and with which decoders.
    by: String,
    reason: String,
    /// It may only have been a busy moment.
    again: bool,
}

impl Thumbnails {
    /// What is kept of a content; none when a picture is to be made.
    pub fn kept(&self, content: &ContentHash, side: u32) -> Option<Kept> {
        self.picture(content, side).map(Kept::Picture).or_else(|| self.refusal(content).map(Kept::Refusal))
    }

    /// Whether anything is kept of a content, without reading it.
    pub fn has(&self, content: &ContentHash, side: u32) -> bool {
        let length = fs::metadata(self.place_of(content, &format!("-{side}.jpg"))).map_or(0, |told| told.len());
        length > SEAL as u64 || self.refusal(content).is_some()
    }

    fn picture(&self, content: &ContentHash, side: u32) -> Option<Vec<u8>> {
        let place = self.place_of(content, &format!("-{side}.jpg"));
        let mut bytes = fs::read(&place).ok()?;
        let seal = bytes.split_off(bytes.len().checked_sub(SEAL)?);
        if bytes.is_empty() || blake3::hash(&bytes).as_bytes()[..SEAL] != seal[..] {
            tracing::warn!(place = %place.display(), "a thumbnail is damaged; it is made again");
            return None;
        }
        note_use(&place);
        Some(bytes)
    }

    fn refusal(&self, content: &ContentHash) -> Option<String> {
        let place = self.place_of(content, ".none");
        let text = fs::read(&place).ok()?;
        let Refusal { by, reason, again } = serde_json::from_slice(&text).ok()?;
        if by != self.stamp() || (again && age(&place)? > AGAIN) {
            return None;
        }
        note_use(&place);
        Some(reason)
    }

    /// Another one whenever what could not be made may be by now.
    fn stamp(&self) -> String {
        format!("{} {}", env!("CARGO_PKG_VERSION"), self.tools().stamp())
    }

    /// Keeps a picture. That it cannot be kept is no reason not to show it.
    pub(super) fn keep(&self, content: &ContentHash, side: u32, jpeg: &[u8]) {
        let seal = blake3::hash(jpeg);
        self.write(&self.place_of(content, &format!("-{side}.jpg")), &[jpeg, &seal.as_bytes()[..SEAL]]);
    }

    pub(super) fn keep_refusal(&self, content: &ContentHash, error: &RenditionError) {
        let refusal = Refusal { by: self.stamp(), reason: error.to_string(), again: matches!(error, RenditionError::TooSlow) };
        match serde_json::to_vec(&refusal) {
            Ok(text) => self.write(&self.place_of(content, ".none"), &[&text]),
            Err(error) => tracing::error!(%error, "it could not be written down that there is no thumbnail"),
        }
    }

    fn write(&self, place: &Path, parts: &[&[u8]]) {
        // What can be made again does not take what the state needs.
        if Disk::of(&self.place).is_some_and(|disk| disk.room() == 0) {
            tracing::debug!(place = %place.display(), "a thumbnail was not kept: there is no room");
            return;
        }
        match whole(place, parts) {
            Ok(()) => {
                self.bytes.fetch_add(parts.iter().map(|part| part.len() as u64).sum(), Ordering::Relaxed);
            }
            Err(error) => tracing::warn!(%error, place = %place.display(), "a thumbnail could not be kept"),
        }
    }

    fn place_of(&self, content: &ContentHash, ending: &str) -> PathBuf {
        let name = content.to_string();
        self.place.join(name.get(..2).unwrap_or_default()).join(format!("{name}{ending}"))
    }
}

/// Writes a file as a whole or not at all. A crash may leave an empty one, which is none.
fn whole(place: &Path, parts: &[&[u8]]) -> io::Result<()> {
    let Some(folder) = place.parent() else { return Err(io::ErrorKind::InvalidFilename.into()) };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let unfinished = folder.join(format!("{UNFINISHED}{}", uuid::Uuid::new_v4().simple()));
    let written = (|| {
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
        parts.iter().try_for_each(|part| file.write_all(part))?;
        drop(file);
        fs::rename(&unfinished, place)
    })();
    if written.is_err() {
        // What is left of it is swept.
        let _ = fs::remove_file(&unfinished);
    }
    written
}

fn age(place: &Path) -> Option<Duration> {
    SystemTime::now().duration_since(fs::metadata(place).ok()?.modified().ok()?).ok()
}

/// What was used lately is kept longest. The time of the last change of a picture is that of its last use.
fn note_use(place: &Path) {
    if place.extension().is_some_and(|ending| ending == "jpg") && age(place).is_some_and(|age| age > USED) {
        // Without it, it goes a little earlier.
        let _ = File::options().write(true).open(place).and_then(|file| file.set_times(FileTimes::new().set_modified(SystemTime::now())));
    }
}
