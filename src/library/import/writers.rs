//! Who has a file open for writing, as far as the system lets us see: processes of our own user, and all of them for root.
//!
//! It finds those who opened their file before anything was watched, and stopped for longer than the quiet time.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// So long an answer is good. Asking goes through all open files of all processes.
const FRESH: Duration = Duration::from_secs(5);

/// Remembers the answer for a moment.
#[derive(Default)]
pub(super) struct Writers {
    asked: Option<Instant>,
    open: HashSet<PathBuf>,
}

impl Writers {
    /// Whether a file below `root` is open for writing.
    pub(super) fn have(&mut self, root: &Path, place: &Path) -> bool {
        if self.asked.is_none_or(|asked| asked.elapsed() > FRESH) {
            self.open = open_for_writing(root);
            self.asked = Some(Instant::now());
        }
        self.open.contains(place)
    }

    /// The next answer is a new one.
    pub(super) fn forget(&mut self) {
        self.asked = None;
    }
}

/// The files below a folder that some process has open for writing. What cannot be seen is left out.
fn open_for_writing(root: &Path) -> HashSet<PathBuf> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbered = |name: &std::ffi::OsStr| name.as_encoded_bytes().iter().all(u8::is_ascii_digit);
    let mut open = HashSet::new();
    for process in processes.filter(|process| numbered(&process.file_name())) {
        for file in fs::read_dir(process.path().join("fd")).into_iter().flatten().flatten() {
            let Ok(place) = fs::read_link(file.path()) else { continue };
            if place.starts_with(root) && is_for_writing(&process.path().join("fdinfo").join(file.file_name())) {
                open.insert(place);
            }
        }
    }
    open
}

/// From the flags, in octal: the two lowest bits are 1 for writing and 2 for both.
fn is_for_writing(info: &Path) -> bool {
    let text = fs::read_to_string(info).unwrap_or_default();
    let flags = text.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("flags:")?.trim(), 8).ok());
    flags.is_some_and(|flags| flags & 3 != 0)
}
