//! What was found out about a service and is remembered: by the probe of the connection doctor, and by the proofs of uploads.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::client::Client;
use crate::store::documents::{EVIDENCE, FINDINGS, UPLOAD_WAYS};
use crate::store::{Store, StoreError};
use crate::types::{Evidence, ServiceId};

/// A way to send a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// A PUT; in pieces when the file is large.
    #[default]
    Put,
    /// A PUT on a connection that nothing was sent on before.
    FreshConnection,
    /// In pieces, however small.
    Chunks,
    /// A PUT to a name of ours, then a MOVE.
    TemporaryName,
}

impl Way {
    /// What it is, for people.
    pub fn text(self) -> &'static str {
        match self {
            Self::Put => "a plain PUT",
            Self::FreshConnection => "a PUT on a connection of its own",
            Self::Chunks => "in pieces (chunked upload v2)",
            Self::TemporaryName => "a PUT to a temporary name, then a MOVE",
        }
    }
}

/// What the checksums are worth that a service lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Checksums {
    /// Nobody has tried: they prove nothing.
    #[default]
    Unknown,
    /// It lists none.
    None,
    /// It lists what it was told, right or wrong: they prove nothing.
    Echoed,
    /// It refuses an upload whose checksum is wrong.
    Verified,
    /// It computes them from the bytes that it stored.
    Computed,
}

/// What the probe found. It is true as long as the server is the same and does not show otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Findings {
    /// When, in seconds since 1970.
    pub at: i64,
    /// The server as it called itself then, in its header.
    pub server: Option<String>,
    /// The version that a cloud told.
    pub version: Option<String>,
    /// The way of uploading that worked; none when none did.
    pub way: Option<Way>,
    /// What its checksums are worth.
    pub checksums: Checksums,
    /// It computes checksums when asked to (`X-Recalculate-Hash`).
    pub recalculates: bool,
    /// The level of evidence that an upload reaches.
    pub evidence: Option<Evidence>,
    /// Why it is not true any more.
    pub outdated: Option<String>,
}

impl Findings {
    /// What was found with a service, true or not; none when it was never probed.
    pub fn read(store: &Store, service: ServiceId) -> Result<Option<Self>, StoreError> {
        FINDINGS.get(&store.read()?, &service.0.to_string())
    }

    /// Writes down what was found, and with it the way that uploads go from now on.
    pub fn write(self, store: &Store, service: ServiceId) -> Result<(), StoreError> {
        let key = service.0.to_string();
        store.write(move |tx| {
            if let Some(way) = self.way {
                UPLOAD_WAYS.put(tx, &key, &way)?;
            }
            FINDINGS.put(tx, &key, &self)
        })
    }

    /// Notes why what was found is not true any more. The way of uploading that was remembered is forgotten with it.
    pub fn outdate(store: &Store, service: ServiceId, why: &str) -> Result<(), StoreError> {
        let (key, why) = (service.0.to_string(), why.to_owned());
        store.write(move |tx| match FINDINGS.get_to_change::<Self>(tx, &key)? {
            Some(found) if found.outdated.is_none() => {
                UPLOAD_WAYS.remove(tx, &key)?;
                FINDINGS.put(tx, &key, &Self { outdated: Some(why), ..found })
            }
            _ => Ok(()),
        })
    }

    /// Why this cannot be true any more: the server is another one.
    pub async fn contradicted_by(&self, client: &Client) -> Option<String> {
        let other = |then: &str, now: &str| format!("the server is {now} now; it was {then} when it was probed");
        if let (Some(then), Some(now)) = (&self.server, client.server())
            && *then != now
        {
            return Some(other(then, &now));
        }
        let then = self.version.as_ref()?;
        let now = client.capabilities().await.ok()?.version.as_ref()?;
        (then != now).then(|| other(then, now))
    }
}

/// What the proofs of the uploads to a service rested on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reached {
    /// The weakest of the last run that uploaded something.
    pub last: Evidence,
    /// The weakest since this was set up.
    pub lowest: Evidence,
}

impl Reached {
    /// What was reached with a service so far.
    pub fn read(store: &Store, service: ServiceId) -> Result<Option<Self>, StoreError> {
        EVIDENCE.get(&store.read()?, &service.0.to_string())
    }

    /// Notes the weakest level of a run.
    pub fn note(store: &Store, service: ServiceId, last: Evidence) -> Result<(), StoreError> {
        let key = service.0.to_string();
        store.write_soon(move |tx| {
            let before = EVIDENCE.get_to_change::<Self>(tx, &key)?;
            let now = Self { last, lowest: before.map_or(last, |before| before.lowest.min(last)) };
            if before != Some(now) { EVIDENCE.put(tx, &key, &now) } else { Ok(()) }
        })
    }
}
