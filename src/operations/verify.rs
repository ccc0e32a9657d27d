//! Finding damaged files, and mending them from the services.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::client::Client;
use crate::events::Event;
use crate::library::{self, Pace};
use crate::services::Service;
use crate::store::damage::{self, Damage, Pass};
use crate::sync::mend;
use crate::types::RelPath;

use super::blocking::blocking;
use super::care::NotDone;
use super::{Failure, Operations};

/// What became of a damaged file.
pub(crate) struct Treated {
    pub path: RelPath,
    damage: Damage,
    /// The service that a good copy came from, or why there is none.
    pub mended: Result<String, String>,
}

/// A damaged file, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Damaged {
    /// The file.
    pub path: RelPath,
    /// Bytes.
    pub size: u64,
    /// The content that it should have, in hexadecimal.
    pub blake3: String,
    /// The content that was found.
    pub found: String,
    /// When it was found.
    pub since: Option<String>,
    /// The service that a good copy came from.
    pub mended_from: Option<String>,
    /// Why there is none.
    pub reason: Option<String>,
}

/// What reading every file again showed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct VerifyReport {
    /// Files that were read.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files that are, or were, damaged.
    pub damaged: Vec<Damaged>,
    /// Files that could not be read.
    pub failed: Vec<NotDone>,
}

/// Damaged files that are taken as they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Accepted {
    /// They.
    pub accepted: Vec<RelPath>,
    /// What could not be accepted.
    pub failed: Vec<NotDone>,
}

/// A file that is known to be damaged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Hurt {
    /// The file.
    pub path: RelPath,
    /// When it was found.
    pub since: Option<String>,
}

impl Operations {
    /// Reads every file again. What is damaged is fetched back from a service that has it, or stays reported.
    pub(crate) async fn verify(&self) -> Result<VerifyReport, Failure> {
        self.index().await?;
        let (tree, _) = self.library()?;
        let pace = Pace { stop: Arc::default(), rest: None };
        let (mut files, mut bytes, mut failed, mut after) = (0, 0, Vec::new(), None);
        loop {
            let (tree, pace, from) = (tree.clone(), pace.clone(), after.take());
            let checked = blocking(move || Ok(library::verify_some(&tree, from.as_ref(), &pace)?)).await?;
            files += checked.files;
            bytes += checked.bytes;
            self.events.publish(Event::Scanning { hashed: files, bytes });
            failed.extend(checked.failed.iter().map(|(path, reason)| NotDone::of(path, reason)));
            after = checked.last;
            if after.is_none() {
                break;
            }
        }
        let store = self.store.clone();
        let pass = Pass { after: None, ended: Some(self.store.clock().seconds()), whole: true };
        blocking(move || Ok(store.write(move |tx| pass.write(tx))?)).await?;
        let damaged = self.mend_all().await?.iter().map(treated).collect();
        Ok(VerifyReport { files, bytes, damaged, failed })
    }

    /// Fetches back whatever is known to be damaged.
    pub(crate) async fn mend_all(&self) -> Result<Vec<Treated>, Failure> {
        let (tree, _) = self.library()?;
        let store = self.store.clone();
        let damaged = blocking(move || Ok(damage::all(&store.read()?)?)).await?;
        if damaged.is_empty() {
            return Ok(Vec::new());
        }
        let mut services: Vec<(Service, Client)> = Vec::new();
        for service in self.services().await? {
            match self.services.client(&service.name) {
                Ok(client) => services.push((service, client)),
                Err(error) => tracing::warn!(service = %service.name, %error, "nothing can be fetched back from it"),
            }
        }
        let mut all = Vec::new();
        for (path, damage) in damaged {
            let mut tried = Vec::new();
            let mended = match mend(&tree, &self.store, &services, (&path, &damage), &mut tried).await {
                Ok(Some(service)) => Ok(service),
                Ok(None) if tried.is_empty() => Err("no service is known to have a good copy".to_owned()),
                Ok(None) => Err(tried.join("; ")),
                Err(error) => Err(error.to_string()),
            };
            match &mended {
                Ok(service) => {
                    tracing::warn!(%path, %service, "it was damaged, and a good copy was fetched back; the damaged one is in the trash")
                }
                Err(reason) => tracing::error!(%path, %reason, "it is damaged, and there is no good copy to be had"),
            }
            all.push(Treated { path, damage, mended });
        }
        Ok(all)
    }

    /// Takes damaged files as they are: edits, from now on.
    pub(crate) async fn accept_damage(&self, at: Vec<RelPath>) -> Result<Accepted, Failure> {
        let (tree, _) = self.library()?;
        let store = self.store.clone();
        blocking(move || {
            let (mut accepted, mut failed) = (Vec::new(), Vec::new());
            let damaged = damage::all(&store.read()?)?;
            for named in &at {
                let below = |path: &RelPath| path.strip_prefix(named).is_some();
                if !damaged.iter().any(|(path, _)| below(path)) {
                    failed.push(NotDone::of(named, "it is not known to be damaged; see `twinlens status`"));
                }
                for (path, _) in damaged.iter().filter(|(path, _)| below(path)) {
                    match library::accept(&tree, path) {
                        Ok(true) => accepted.push(path.clone()),
                        Ok(false) => {}
                        Err(error) => failed.push(NotDone::of(path, error)),
                    }
                }
            }
            Ok(Accepted { accepted, failed })
        })
        .await
    }

    /// What `status` says of damage: the files, and when every byte was read for the last time.
    pub(crate) async fn health(&self) -> Result<(Vec<Hurt>, Option<String>), Failure> {
        let store = self.store.clone();
        blocking(move || {
            let tx = store.read()?;
            let rows = damage::all(&tx)?.into_iter().map(|(path, damage)| Hurt { path, since: seconds(damage.since) }).collect();
            let pass = Pass::read(&tx)?;
            Ok((rows, pass.ended.filter(|_| pass.whole).and_then(seconds)))
        })
        .await
    }
}

fn treated(treated: &Treated) -> Damaged {
    let Treated { path, damage, mended } = treated;
    Damaged {
        path: path.clone(),
        size: damage.size,
        blake3: damage.good.content.to_string(),
        found: damage.found.content.to_string(),
        since: seconds(damage.since),
        mended_from: mended.clone().ok(),
        reason: mended.clone().err(),
    }
}

fn seconds(seconds: i64) -> Option<String> {
    Timestamp::from_second(seconds).ok().map(|at| at.to_string())
}
