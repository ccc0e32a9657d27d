//! Taking services to another node, and putting their passwords under another key.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::client::{Client, Endpoint};
use crate::services::{Carried, Imported, RETRIES_LIMIT, export, read};

use super::blocking::blocking;
use super::runs::Note;
use super::services::check_sync;
use super::{Failure, Kind, Operations};

/// Services to be taken over. Holds a passphrase, so it has no `Debug`.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewImport {
    /// What `export` made.
    #[schema(value_type = Object)]
    pub document: Value,
    /// The passphrase with which it was made.
    #[schema(format = "password", write_only)]
    pub passphrase: String,
    /// Services of the same names are replaced; without it nothing is imported when there are any.
    #[serde(default)]
    pub replace: bool,
}

impl Operations {
    /// Services as one document: settings in clear, passwords sealed with a passphrase. All when none is named.
    pub async fn export_services(&self, names: Vec<String>, passphrase: String) -> Result<Value, Failure> {
        let services = self.services.clone();
        blocking(move || Ok(export(&services, &names, &passphrase)?)).await
    }

    /// Takes over the services of a document, all or none of them. Nothing is sent to them.
    pub async fn import_services(&self, new: NewImport) -> Result<Imported, Failure> {
        let NewImport { document, passphrase, replace } = new;
        let carried = blocking(move || Ok(read(&document, &passphrase)?)).await?;
        for one in &carried {
            check(one).map_err(|failure| Failure {
                message: format!("the service {} of this document cannot be used: {}", one.service.name, failure.message),
                ..failure.about("document")
            })?;
        }
        // Runs that go on must not write down anything about what is replaced.
        let mut turns = Vec::new();
        for old in self.services().await?.into_iter().filter(|old| replace && carried.iter().any(|one| one.service.name == old.name)) {
            turns.push(self.end_runs(old.id).await);
        }
        let services = self.services.clone();
        let imported = blocking(move || Ok(services.import(carried, replace)?)).await?;
        drop(turns);
        self.runs.tell(Note::Settings);
        Ok(imported)
    }

    /// Seals all passwords anew, with the key of TWINLENS_SECRET, or of the key file where that is not set. `old` is what TWINLENS_SECRET was
    /// before. The number of passwords and the new key's place are the answer. A node that serves keeps the key that it began with, so it must
    /// not.
    pub async fn reseal(&self, old: Option<String>) -> Result<(usize, &'static str), Failure> {
        if self.url().is_some() {
            return Err(Failure::new(
                super::ExitCode::Usage,
                Kind::WrongState,
                "stop the node first: it goes by the key with which it began",
            ));
        }
        let services = self.services.clone();
        blocking(move || Ok(services.reseal(old.as_deref())?)).await
    }
}

/// Whether a service can be as a document says.
fn check(Carried { service, password }: &Carried) -> Result<(), Failure> {
    crate::services::check_name(&service.name)?;
    let (url, user, password) = (service.url.clone(), service.user.clone(), password.clone());
    Client::new(&Endpoint { url, user, password, fingerprint: service.fingerprint, allow_http: service.allow_http })?;
    if service.retries > RETRIES_LIMIT {
        return Err(Failure::usage(format!("retries: between 0 and {RETRIES_LIMIT}")));
    }
    check_sync(&service.sync)
}
