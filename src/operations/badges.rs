//! What a page shows on the files of a folder: on which services they are and how that is known, and which of them belong together.
//!
//! It costs a few ranges of rows, not a look for every file.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::services::Service;
use crate::store::StoreError;
use crate::store::baseline::Baseline;
use crate::store::failures::Failures;
use crate::store::index::Index;
use crate::store::shares::{self, FileState, Retry, SentFile, Share, SharedFile};
use crate::types::stack::{self, Stack};
use crate::types::{ContentHash, Evidence, MediaKind, RelPath, ServiceId};

use super::blocking::blocking;
use super::{Failure, Operations};

/// What is to be said of the files of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Badges {
    /// In the order of the names; files of which there is nothing to say are left out.
    pub badges: Vec<Badge>,
    /// The name of the last file that was looked at, if there are more.
    pub next: Option<String>,
}

/// What is wanted of the files of a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct About {
    /// On which services they are.
    pub services: bool,
    /// Which of them belong together; that takes a look at all names of the folder for every page.
    pub stacks: bool,
}

/// What is to be said of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Badge {
    /// Its name.
    pub name: String,
    /// Where else it is, or is to be.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<OnService>,
    /// It is the main file of several that belong together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stack: Option<StackBadge>,
    /// It belongs to this file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part_of: Option<String>,
}

/// A file and a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct OnService {
    /// The service.
    pub service: String,
    /// What there is of it.
    pub state: BadgeState,
    /// What it is known by that the service holds these bytes. None: both were found equal by their checksums, or nothing is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proof: Option<Evidence>,
    /// Where it is: of a file in step below the folder that is synced, of a shared one below the service's WebDAV root.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// When it is removed from there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it is tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// What there is of a file on a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BadgeState {
    /// The sync holds both in step: it is there as it is here.
    InStep,
    /// An earlier version is there.
    Older,
    /// It was sent there, perhaps smaller.
    Shared,
    /// It is to be sent there.
    Waiting,
    /// It failed, and is tried again.
    Failed,
}

/// What a stack is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StackKind {
    /// A Live Photo: a picture and the moments around it.
    Live,
    /// What the sensor saw, and a picture that was made from it.
    Raw,
    /// Several versions of a picture or video.
    Versions,
    /// One picture or video with its sidecars.
    Sidecars,
}

/// Files that belong together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct StackBadge {
    /// What it is.
    pub kind: StackKind,
    /// The file that shows best what it is.
    pub cover: String,
    /// Pictures and videos, the main one first, and then their sidecars.
    pub members: Vec<String>,
}

impl OnService {
    fn new(service: &str, state: BadgeState) -> Self {
        Self { service: service.to_owned(), state, proof: None, at: None, expires: None, reason: None, next: None }
    }
}

impl Operations {
    /// What is to be said of at most `most` files of a folder of the library, those after the name `after`.
    pub async fn badges(&self, folder: RelPath, after: Option<String>, most: usize, about: About) -> Result<Badges, Failure> {
        let services = if about.services { self.services().await? } else { Vec::new() };
        let store = self.store.clone();
        blocking(move || {
            let tx = store.read()?;
            let index = Index::open(&tx)?;
            let (here, next) = files(&index, &folder, after.as_deref(), most)?;
            let mut on = on_services(&tx, &folder, &here, &services)?;
            let (mut stacks, mut parts) = if about.stacks { stacked(&names(&index, &folder)?) } else { Default::default() };
            let badges = here.into_keys().map(|name| Badge {
                services: on.remove(&name).unwrap_or_default(),
                stack: stacks.remove(&name),
                part_of: parts.remove(&name),
                name,
            });
            let badges = badges.filter(|badge| !badge.services.is_empty() || badge.stack.is_some() || badge.part_of.is_some()).collect();
            Ok(Badges { badges, next })
        })
        .await
    }

    /// What there is of one file of the library on services; nothing while it is not in the index.
    pub async fn on_services(&self, file: RelPath) -> Result<Vec<OnService>, Failure> {
        let (services, store) = (self.services().await?, self.store.clone());
        blocking(move || {
            let tx = store.read()?;
            let Some(row) = Index::open(&tx)?.get(&file)? else { return Ok(Vec::new()) };
            let folder = file.parent().unwrap_or_default();
            let here = BTreeMap::from([(file.name().to_owned(), row.digests.content)]);
            Ok(on_services(&tx, &folder, &here, &services)?.into_values().flatten().collect())
        })
        .await
    }
}

/// At most `most` files of a folder, those after the name `after`, with their contents; and the last name, if there are more.
fn files(
    index: &Index,
    folder: &RelPath,
    after: Option<&str>,
    most: usize,
) -> Result<(BTreeMap<String, ContentHash>, Option<String>), StoreError> {
    let mut here = BTreeMap::new();
    for item in index.members_from(folder, after.unwrap_or_default())? {
        let (path, row) = item?;
        if Some(path.name()) == after {
            continue;
        }
        if here.len() == most {
            let last = here.last_key_value().map(|(last, _): (&String, &ContentHash)| last.clone());
            return Ok((here, last));
        }
        here.insert(path.name().to_owned(), row.digests.content);
    }
    Ok((here, None))
}

/// The names of all files of a folder.
fn names(index: &Index, folder: &RelPath) -> Result<Vec<String>, StoreError> {
    index.members(folder, "")?.map(|item| Ok(item?.0.name().to_owned())).collect()
}

/// What there is of files of a folder on services, by their names.
fn on_services(
    tx: &redb::ReadTransaction,
    folder: &RelPath,
    here: &BTreeMap<String, ContentHash>,
    services: &[Service],
) -> Result<BTreeMap<String, Vec<OnService>>, StoreError> {
    let mut on = BTreeMap::new();
    let Some(((first, _), (last, _))) = here.first_key_value().zip(here.last_key_value()) else { return Ok(on) };
    let window = Window { folder, first, last, here };
    for service in services {
        window.in_step(&Baseline::open(tx, service.id)?, service, &mut on)?;
        window.failed(&Failures::open(tx, service.id)?, service, &mut on)?;
    }
    if !services.is_empty() {
        window.shared(tx, services, &mut on)?;
    }
    Ok(on)
}

/// The files that are looked at: from the first to the last name, with their contents.
struct Window<'a> {
    folder: &'a RelPath,
    first: &'a str,
    last: &'a str,
    here: &'a BTreeMap<String, ContentHash>,
}

impl Window<'_> {
    /// The rows of these files, of all that are in the order of their names.
    fn of<T>(
        &self,
        rows: impl Iterator<Item = Result<(RelPath, T), StoreError>>,
    ) -> impl Iterator<Item = Result<(String, ContentHash, T), StoreError>> {
        let within = rows.take_while(|item| item.as_ref().map_or(true, |(path, _)| path.name() <= self.last));
        within.filter_map(|item| match item {
            Ok((path, row)) => self.here.get(path.name()).map(|content| Ok((path.name().to_owned(), *content, row))),
            Err(error) => Some(Err(error)),
        })
    }

    fn in_step(&self, baseline: &Baseline, service: &Service, on: &mut BTreeMap<String, Vec<OnService>>) -> Result<(), StoreError> {
        let proofs = self.of(baseline.proofs_from(self.folder, self.first)?);
        let proofs: HashMap<String, (ContentHash, Evidence)> =
            proofs.map(|item| item.map(|(name, _, proof)| (name, proof))).collect::<Result<_, _>>()?;
        for item in self.of(baseline.members_from(self.folder, self.first)?) {
            let (name, content, row) = item?;
            let base = row.base();
            let (Some(local), Some(remote)) = (base.local, base.remote) else { continue };
            // Two versions that differ and may have been agreed on: which one is there is what counts.
            let is_there = remote.digests.content.unwrap_or(local.digests.content) == content && local.digests.content == content;
            let path = self.folder.join(&name).unwrap_or_default();
            let proof = proofs.get(&name).filter(|(then, _)| is_there && *then == content).map(|(_, evidence)| *evidence);
            let state = if is_there { BadgeState::InStep } else { BadgeState::Older };
            let at = Some(row.remote_path(&path).to_string());
            on.entry(name).or_default().push(OnService { proof, at, ..OnService::new(&service.name, state) });
        }
        Ok(())
    }

    fn failed(&self, failures: &Failures, service: &Service, on: &mut BTreeMap<String, Vec<OnService>>) -> Result<(), StoreError> {
        for item in self.of(failures.members_from(self.folder, self.first)?) {
            let (name, _, failed) = item?;
            let (reason, next) = (Some(failed.reason), Some(time(failed.next)));
            on.entry(name).or_default().push(OnService { reason, next, ..OnService::new(&service.name, BadgeState::Failed) });
        }
        Ok(())
    }

    fn shared(
        &self,
        tx: &redb::ReadTransaction,
        services: &[Service],
        on: &mut BTreeMap<String, Vec<OnService>>,
    ) -> Result<(), StoreError> {
        let mut known: HashMap<u64, Option<Share>> = HashMap::new();
        for item in self.of(shares::members_from(tx, self.folder, self.first)?) {
            let (name, content, place) = item?;
            let share = match known.get(&place.0) {
                Some(share) => share.clone(),
                None => known.entry(place.0).or_insert(shares::get(tx, place.0)?).clone(),
            };
            let Some(service) = share.and_then(|share| named(services, share.service)) else { continue };
            let Some(file) = shares::file(tx, place)? else { continue };
            on.entry(name).or_default().extend(told(service, &file, content));
        }
        // One file may have been shared often.
        on.values_mut().for_each(|all| all.dedup());
        Ok(())
    }
}

fn named(services: &[Service], id: ServiceId) -> Option<&str> {
    services.iter().find(|service| service.id == id).map(|service| service.name.as_str())
}

fn told(service: &str, file: &SharedFile, content: ContentHash) -> Option<OnService> {
    let sent = file.begun.as_ref().map_or(content, |begun| begun.version.digests.content);
    let there = if sent == content { BadgeState::Shared } else { BadgeState::Older };
    let new = |state| OnService::new(service, state);
    Some(match &file.state {
        FileState::Waiting { failed: None } => new(BadgeState::Waiting),
        FileState::Waiting { failed: Some(Retry { reason, next, .. }) } => {
            OnService { reason: Some(reason.clone()), next: Some(time(*next)), ..new(BadgeState::Failed) }
        }
        FileState::Sent(sent) => {
            let SentFile { at, evidence, expires, .. } = &**sent;
            OnService { proof: Some(*evidence), at: Some(at.to_string()), expires: expires.map(time), ..new(there) }
        }
        FileState::There { at, expires } => OnService { at: Some(at.to_string()), expires: expires.map(time), ..new(BadgeState::Shared) },
        FileState::Left { at, reason } => OnService { at: Some(at.to_string()), reason: Some(reason.clone()), ..new(there) },
        FileState::Skipped { .. } | FileState::Cancelled | FileState::Removed { .. } => return None,
    })
}

/// The stacks of a folder by their main files, and to which main file each other one belongs.
fn stacked(names: &[String]) -> (HashMap<String, StackBadge>, HashMap<String, String>) {
    let (mut stacks, mut parts) = (HashMap::new(), HashMap::new());
    for stack in stack::group(names, &stack::promised) {
        let Some((main, badge)) = badge_of(&stack) else { continue };
        parts.extend(badge.members.iter().filter(|name| **name != main).map(|name| (name.clone(), main.clone())));
        stacks.insert(main, badge);
    }
    (stacks, parts)
}

fn badge_of(stack: &Stack) -> Option<(String, StackBadge)> {
    let main = stack.media.first()?.clone();
    let members: Vec<String> = stack.media.iter().chain(stack.sidecars.iter().map(|sidecar| &sidecar.name)).cloned().collect();
    if members.len() < 2 {
        return None;
    }
    let shown: Vec<(&String, MediaKind)> =
        stack.media.iter().filter(|name| !stack::is_preview(name)).map(|name| (name, stack::promised(name))).collect();
    let has = |kind: MediaKind| shown.iter().any(|(_, other)| *other == kind);
    let kind = match () {
        () if has(MediaKind::Video) && (has(MediaKind::Image) || has(MediaKind::Raw)) => StackKind::Live,
        () if has(MediaKind::Raw) && has(MediaKind::Image) => StackKind::Raw,
        () if shown.len() > 1 => StackKind::Versions,
        () => StackKind::Sidecars,
    };
    let cover = shown.iter().find(|(_, kind)| *kind == MediaKind::Image).map_or(&main, |(name, _)| *name).clone();
    Some((main, StackBadge { kind, cover, members }))
}

fn time(seconds: i64) -> String {
    Timestamp::from_second(seconds).unwrap_or_default().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_together_is_one_with_the_picture_that_shows_it() {
        let names: Vec<String> = ["IMG_1.HEIC", "IMG_1.MOV", "a.CR2", "a.jpg", "a.xmp", "b.jpg", "c.jpg", "c.jpg.xmp", "v.MP4", "v.THM"]
            .map(str::to_owned)
            .into();
        let (stacks, parts) = stacked(&names);
        let of = |name: &str| stacks.get(name).map(|stack| (stack.kind, stack.cover.as_str(), stack.members.join(" ")));
        assert_eq!(of("IMG_1.HEIC"), Some((StackKind::Live, "IMG_1.HEIC", "IMG_1.HEIC IMG_1.MOV".into())));
        assert_eq!(of("a.CR2"), Some((StackKind::Raw, "a.jpg", "a.CR2 a.jpg a.xmp".into())));
        assert_eq!(of("c.jpg"), Some((StackKind::Sidecars, "c.jpg", "c.jpg c.jpg.xmp".into())));
        assert_eq!(of("v.MP4"), Some((StackKind::Sidecars, "v.MP4", "v.MP4 v.THM".into())));
        assert_eq!((of("b.jpg"), of("a.jpg"), parts["a.jpg"].as_str(), parts["IMG_1.MOV"].as_str()), (None, None, "a.CR2", "IMG_1.HEIC"));
    }
}
