//! Services as one document, to be taken to another node: settings in clear, passwords sealed with a passphrase.
//!
//! The settings are sealed with the passwords as a hash: whoever changes an address in the document, so that a password would go there, is
//! noticed.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::secret::{Kdf, SecretError};
use super::{Service, ServiceError, Services};

/// What the document says that it is.
const FORMAT: &str = "services";
const VERSION: u64 = 1;
/// A passphrase with fewer characters is guessed too soon.
const SHORTEST: usize = 8;

/// What can be wrong with a document or its passphrase.
#[derive(Debug, thiserror::Error)]
pub enum PortableError {
    /// It is something else.
    #[error("this is no document of `twinlens service export`")]
    Foreign,
    /// It is of the future.
    #[error("this document was made by a newer version of Twinlens (its format is {0}); update this one first")]
    Newer(u64),
    /// It cannot be opened.
    #[error("the passphrase is wrong, or the document is damaged; nothing was changed")]
    WrongPassphrase,
    /// It opens, but its settings are not those that were exported.
    #[error("the settings in this document were changed after it was exported; nothing was changed here. Export it again")]
    Changed,
    /// A passphrase that is too easy.
    #[error("a passphrase has at least 8 characters")]
    ShortPassphrase,
    /// A service in it that cannot be.
    #[error("the service {name} of this document cannot be used: {reason}")]
    Bad {
        /// Its name.
        name: String,
        /// Why.
        reason: String,
    },
}

/// A service of a document. Holds a password, so it has no `Debug`.
pub struct Carried {
    /// How it is set up; its id is none.
    pub service: Service,
    /// Its password.
    pub password: String,
}

/// What became of an import.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Imported {
    /// The services that are new.
    pub added: Vec<String>,
    /// Those that are set up in another way now.
    pub replaced: Vec<String>,
    /// Those of them that lead to another folder: what was agreed with the old one is forgotten.
    pub forgotten: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    settings: String,
    passwords: BTreeMap<String, String>,
}

/// The same bytes for the same value, in whatever order its parts were written.
fn canonical(value: &Value, into: &mut String) {
    match value {
        Value::Object(parts) => {
            let sorted: BTreeMap<_, _> = parts.iter().collect();
            into.push('{');
            for (name, part) in sorted {
                into.push_str(&Value::from(name.as_str()).to_string());
                canonical(part, into);
            }
            into.push('}');
        }
        Value::Array(parts) => {
            into.push('[');
            for part in parts {
                canonical(part, into);
                into.push(',');
            }
            into.push(']');
        }
        other => into.push_str(&other.to_string()),
    }
}

fn hash(settings: &Value) -> String {
    let mut text = String::new();
    canonical(settings, &mut text);
    blake3::hash(text.as_bytes()).to_hex().to_string()
}

/// Makes the document of some services; of all when none is named.
pub fn export(services: &Services, names: &[String], passphrase: &str) -> Result<Value, ServiceError> {
    if passphrase.chars().count() < SHORTEST {
        return Err(PortableError::ShortPassphrase.into());
    }
    let chosen = match names {
        [] => services.list()?,
        names => names.iter().map(|name| services.get(name)).collect::<Result<_, _>>()?,
    };
    let (mut settings, mut passwords) = (BTreeMap::new(), BTreeMap::new());
    for service in chosen {
        let name = service.name.clone();
        passwords.insert(name.clone(), services.endpoint(&name)?.password);
        let mut told = serde_json::to_value(&service).map_err(|error| SecretError::Failed(error.to_string()))?;
        // An id is given by the node.
        told.as_object_mut().map(|told| told.remove("id"));
        settings.insert(name, told);
    }
    let names: Vec<String> = settings.keys().cloned().collect();
    let settings = Value::Array(settings.into_values().collect());
    let kdf = Kdf::new()?;
    let sealed = json!(Sealed { settings: hash(&settings), passwords });
    let sealed = STANDARD.encode(kdf.sealer(passphrase)?.seal(&sealed.to_string())?);
    services.carried(&names)?;
    Ok(json!({ "twinlens": FORMAT, "version": VERSION, "kdf": kdf, "services": settings, "sealed": sealed }))
}

/// Reads a document. Nothing is believed before the passphrase has opened it.
pub fn read(document: &Value, passphrase: &str) -> Result<Vec<Carried>, ServiceError> {
    if document["twinlens"] != FORMAT {
        return Err(PortableError::Foreign.into());
    }
    match document["version"].as_u64() {
        Some(VERSION) => {}
        Some(newer) if newer > VERSION => return Err(PortableError::Newer(newer).into()),
        _ => return Err(PortableError::Foreign.into()),
    }
    let kdf: Kdf = serde_json::from_value(document["kdf"].clone()).map_err(|_| PortableError::Foreign)?;
    let sealed = document["sealed"].as_str().and_then(|text| STANDARD.decode(text).ok()).ok_or(PortableError::Foreign)?;
    let opened = kdf.sealer(passphrase)?.open(&sealed).map_err(|_| PortableError::WrongPassphrase)?;
    let Sealed { settings, mut passwords } = serde_json::from_str(&opened).map_err(|_| PortableError::WrongPassphrase)?;
    let all = &document["services"];
    if hash(all) != settings {
        return Err(PortableError::Changed.into());
    }
    let mut carried = Vec::new();
    for told in all.as_array().into_iter().flatten() {
        let mut told = told.clone();
        let name = told["name"].as_str().unwrap_or_default().to_owned();
        let bad = |reason: String| PortableError::Bad { name: name.clone(), reason };
        told["id"] = 0.into();
        let service: Service = serde_json::from_value(told).map_err(|error| bad(error.to_string()))?;
        let password = passwords.remove(&name).ok_or_else(|| bad("its password is missing, or it is there twice".into()))?;
        carried.push(Carried { service, password });
    }
    Ok(carried)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_in_which_a_document_is_written_says_nothing() {
        let hash_of = |text: &str| hash(&serde_json::from_str(text).unwrap());
        assert_eq!(hash_of(r#"[{"a":1,"b":{"c":null,"d":"x"}}]"#), hash_of(r#"[ {"b":{"d":"x","c":null}, "a":1} ]"#));
        for other in [r#"[{"a":1,"b":{"c":null,"d":"y"}}]"#, r#"[{"a":1,"b":{"c":null}}]"#, r#"[{"a":1},{"b":{"c":null,"d":"x"}}]"#] {
            assert_ne!(hash_of(r#"[{"a":1,"b":{"c":null,"d":"x"}}]"#), hash_of(other));
        }
    }
}
