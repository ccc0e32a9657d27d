//! A backup of the DATA folder, while the node runs, and putting it back.
//!
//! One tar file: what it is first, then the state, the key and the settings. The photos are not in it. What is put back is older than
//! the library and than what others were told of it; the next start notices that, and the next sync with each service deletes nothing.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::store::meta::FORMAT;
use crate::store::{StoreError, check_copy};
use crate::types::Clock;

use super::blocking::blocking;
use super::{Failure, Operations};

/// What is backed up, of the DATA folder. What is not there is left out.
const STATE: &str = "state.redb";
const OTHERS: [&str; 4] = ["secret.key", "twinlens.toml", "tls-certificate.pem", "tls-key.pem"];
const MANIFEST: &str = "twinlens-backup.json";
/// A manifest larger than this is none.
const MANIFEST_LIMIT: u64 = 1 << 16;

#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    /// Of the state.
    format: u8,
    /// By which version of the program.
    program: String,
    created: String,
    library: Option<String>,
    files: Vec<Member>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Member {
    name: String,
    size: u64,
    /// Of its bytes, in hexadecimal.
    blake3: String,
}

fn failed(path: &Path) -> impl Fn(io::Error) -> Failure {
    move |error| Failure::unreachable(format!("{}: {error}", path.display()))
}

fn hash(path: &Path) -> io::Result<(u64, String)> {
    let mut hasher = blake3::Hasher::new();
    let size = io::copy(&mut File::open(path)?, &mut hasher)?;
    Ok((size, hasher.finalize().to_hex().to_string()))
}

/// A folder that only its owner can look into, with all above it that are missing.
pub(crate) fn private_folder(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// A new file that only its owner can read.
fn private(path: &Path) -> io::Result<File> {
    fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

impl Operations {
    /// Backs up the state, the key and the settings into one new file, as they are at one moment. Everything goes on meanwhile. The file holds
    /// secrets: only its owner can read it.
    pub async fn backup(&self, to: PathBuf) -> Result<Value, Failure> {
        let (store, data) = (self.store.clone(), self.data.clone());
        let tree = self.library().ok().map(|(tree, _)| tree);
        let library = self.library_path().map(|path| path.display().to_string());
        blocking(move || {
            if to.exists() {
                return Err(Failure::usage(format!("{} is there already; name a new file", to.display())));
            }
            // The same file system as the state, so that a copy may cost nothing.
            let copy = tempfile_in(&data)?;
            store.copy_to(&copy.0)?;
            let mut sources = vec![(STATE, copy.0.clone())];
            sources.extend(OTHERS.map(|name| (name, data.join(name))).into_iter().filter(|(_, path)| path.is_file()));
            let mut files = Vec::new();
            for (name, path) in &sources {
                let (size, blake3) = hash(path).map_err(failed(path))?;
                files.push(Member { name: (*name).to_owned(), size, blake3 });
            }
            let created = store.clock().now().to_string();
            let manifest = Manifest { format: FORMAT, program: env!("CARGO_PKG_VERSION").into(), created, library, files };
            let unfinished = to.with_added_extension("part");
            let written = write(&unfinished, &manifest, &sources).and_then(|()| fs::rename(&unfinished, &to));
            if let Err(error) = written {
                // What is left of it is of no use to anybody.
                let _ = fs::remove_file(&unfinished);
                return Err(failed(&to)(error));
            }
            // So that this state, put back, is known to be older than the library, however soon that is.
            if let Some(tree) = tree {
                tree.renew_seal()?;
            }
            let size = fs::metadata(&to).map_err(failed(&to))?.len();
            Ok(json!({ "backup": to, "bytes": size, "created": manifest.created, "files": manifest.files }))
        })
        .await
    }
}

/// A path for a temporary copy; removed when this is dropped.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        // It may never have been made.
        let _ = fs::remove_file(&self.0);
    }
}

fn tempfile_in(data: &Path) -> Result<Temporary, Failure> {
    let path = data.join("state.redb.backup");
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(&path)(error)),
        _ => Ok(Temporary(path)),
    }
}

fn write(to: &Path, manifest: &Manifest, sources: &[(&str, PathBuf)]) -> io::Result<()> {
    let mut archive = tar::Builder::new(private(to)?);
    let text = serde_json::to_vec_pretty(manifest)?;
    let header = |size: u64| {
        let mut header = tar::Header::new_gnu();
        header.set_size(size);
        header.set_mode(0o600);
        header
    };
    archive.append_data(&mut header(text.len() as u64), MANIFEST, text.as_slice())?;
    for ((name, path), member) in sources.iter().zip(&manifest.files) {
        archive.append_data(&mut header(member.size), name, File::open(path)?.take(member.size))?;
    }
    archive.into_inner()?.sync_all()?;
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

/// Puts a backup into a DATA folder that no node uses. Nothing is changed before the whole backup was read and found good. What is there
/// is refused, or with `replace` moved into a folder beside it.
pub fn restore(from: &Path, data: &Path, replace: bool, clock: &Clock) -> Result<Value, Failure> {
    let is_there = |name: &&str| data.join(name).exists();
    let (before, names) = (data.join(STATE), std::iter::once(STATE).chain(OTHERS));
    if let Ok(state) = File::open(&before)
        && let Err(TryLockError::WouldBlock) = state.try_lock()
    {
        return Err(StoreError::InUse(before).into());
    }
    if before.exists() && !replace {
        return Err(Failure::usage(format!(
            "{} is there already; with --replace it is moved aside, or name another --data folder",
            before.display()
        )));
    }
    let place = data.join("restoring");
    match fs::remove_dir_all(&place) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(&place)(error)),
        _ => private_folder(&place).map_err(failed(&place))?,
    }
    let unpacked = unpack(from, &place);
    let manifest = match unpacked {
        Ok(manifest) => manifest,
        Err(failure) => {
            let _ = fs::remove_dir_all(&place);
            return Err(failure);
        }
    };
    let mut aside = None;
    let old: Vec<&str> = names.filter(is_there).collect();
    if !old.is_empty() {
        let folder = data.join(format!("before-restore-{}", clock.here().strftime("%Y%m%d-%H%M%S")));
        private_folder(&folder).map_err(failed(&folder))?;
        for name in old {
            fs::rename(data.join(name), folder.join(name)).map_err(failed(&folder))?;
        }
        aside = Some(folder);
    }
    // The state comes last: as long as it is missing nobody begins with half of a backup.
    for member in manifest.files.iter().rev() {
        fs::rename(place.join(&member.name), data.join(&member.name)).map_err(failed(data))?;
    }
    fs::remove_dir(&place).map_err(failed(&place))?;
    File::open(data).and_then(|folder| folder.sync_all()).map_err(failed(data))?;
    let Manifest { created, library, files, .. } = manifest;
    Ok(json!({ "restored": data, "created": created, "library": library, "files": files, "before": aside }))
}

/// Unpacks a backup into an empty folder, and looks whether it is whole.
fn unpack(from: &Path, place: &Path) -> Result<Manifest, Failure> {
    let foreign = || Failure::usage(format!("{} is no backup of twinlens", from.display()));
    let damaged = |what: &str| Failure::usage(format!("the backup {} is damaged: {what}; nothing was changed", from.display()));
    let mut archive = tar::Archive::new(File::open(from).map_err(failed(from))?);
    let mut entries = archive.entries().map_err(failed(from))?;
    let first = entries.next().and_then(Result::ok).ok_or_else(foreign)?;
    if first.path().ok().is_none_or(|path| path.as_os_str() != MANIFEST) {
        return Err(foreign());
    }
    let mut text = Vec::new();
    first.take(MANIFEST_LIMIT).read_to_end(&mut text).map_err(failed(from))?;
    let manifest: Manifest = serde_json::from_slice(&text).map_err(|_| damaged("what it holds cannot be read"))?;
    if manifest.format > FORMAT {
        return Err(Failure::usage(format!(
            "the backup {} was made by a newer twinlens ({}); please use that version or a later one",
            from.display(),
            manifest.program
        )));
    }
    let known = |name: &str| name == STATE || OTHERS.contains(&name);
    if !manifest.files.iter().all(|member| known(&member.name)) || manifest.files.first().is_none_or(|member| member.name != STATE) {
        return Err(damaged("it holds other files than it should"));
    }
    for member in &manifest.files {
        let mut entry = entries.next().and_then(Result::ok).ok_or_else(|| damaged("it ends too early"))?;
        if entry.path().ok().is_none_or(|path| path.as_os_str() != member.name.as_str()) {
            return Err(damaged("its files are not in order"));
        }
        let path = place.join(&member.name);
        let mut write = || -> io::Result<()> {
            let mut file = private(&path)?;
            io::copy(&mut entry, &mut file)?;
            file.flush()?;
            file.sync_all()
        };
        write().map_err(failed(&path))?;
        if hash(&path).map_err(failed(&path))? != (member.size, member.blake3.clone()) {
            return Err(damaged(&format!("{} has other bytes", member.name)));
        }
    }
    check_copy(&place.join(STATE))?;
    Ok(manifest)
}
