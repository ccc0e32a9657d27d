//! Names that a Nextcloud or an ownCloud says it does not take.

use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde::Deserialize;

use crate::types::RelPath;

use super::{Client, ClientError};

/// The largest document that is read, in MiB.
const LIMIT: usize = 4;

/// What a service forbids in names, as its capabilities tell. Compared without regard to case.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct NameRules {
    #[serde(rename = "forbidden_filenames")]
    names: Vec<String>,
    /// Up to the first dot.
    #[serde(rename = "forbidden_filename_basenames")]
    basenames: Vec<String>,
    #[serde(rename = "forbidden_filename_characters")]
    characters: Vec<String>,
    /// What a name may not end with.
    #[serde(rename = "forbidden_filename_extensions")]
    extensions: Vec<String>,
    /// ownCloud, and Nextcloud before 30.
    #[serde(rename = "blacklisted_files")]
    blacklisted: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Document {
    ocs: Ocs,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Ocs {
    data: Data,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Data {
    capabilities: Capabilities,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Capabilities {
    files: NameRules,
}

impl NameRules {
    /// Why the service would refuse a path; none when it has nothing against it.
    pub fn refusal(&self, path: &RelPath) -> Option<String> {
        path.segments().find_map(|name| self.refuses(name))
    }

    fn refuses(&self, name: &str) -> Option<String> {
        let lower = name.to_lowercase();
        let base = lower.split('.').next().unwrap_or_default();
        let equal = |list: &[String], name: &str| list.iter().any(|entry| entry.to_lowercase() == name);
        if equal(&self.names, &lower) || equal(&self.blacklisted, &lower) || equal(&self.basenames, base) {
            return Some(format!("the service does not take the name {name}"));
        }
        if let Some(text) = self.characters.iter().find(|text| !text.is_empty() && name.contains(text.as_str())) {
            return Some(format!("the service takes no name with {text} in it, such as {name}"));
        }
        let end = self.extensions.iter().find(|end| !end.is_empty() && lower.ends_with(&end.to_lowercase()));
        end.map(|end| format!("the service takes no name that ends with \"{end}\", such as {name}"))
    }
}

impl Client {
    /// What the service forbids in names: none when it does not look like a Nextcloud or an ownCloud, or does not tell.
    pub async fn name_rules(&self) -> Result<Option<NameRules>, ClientError> {
        let mut url = self.url_of(&RelPath::root(), true);
        let Some((before, _)) = url.path().split_once("/remote.php/") else { return Ok(None) };
        url.set_path(&format!("{before}/ocs/v1.php/cloud/capabilities"));
        url.set_query(Some("format=json"));
        let mut headers = HeaderMap::new();
        headers.insert("ocs-apirequest", HeaderValue::from_static("true"));
        let response = match self.send(Method::GET, url, headers, None).await {
            Ok(response) if response.status() == StatusCode::OK => response,
            Err(error) if error.stops_everything() => return Err(error),
            // It does not tell; each name that it refuses is reported then.
            _ => return Ok(None),
        };
        let Ok(text) = self.text(response, LIMIT).await else { return Ok(None) };
        Ok(serde_json::from_str::<Document>(&text).ok().map(|document| document.ocs.data.capabilities.files))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_of_nextcloud_and_owncloud_are_understood() {
        let text = r#"{"ocs":{"meta":{"status":"ok"},"data":{"version":{"major":30},"capabilities":{"files":{"bigfilechunking":true,
            "blacklisted_files":[".htaccess"],"forbidden_filenames":[".htaccess","Thumbs.db"],"forbidden_filename_basenames":["con","nul"],
            "forbidden_filename_characters":["\\","/",":","?"],"forbidden_filename_extensions":[" ",".",".part"]},"dav":{"chunking":"1.0"}}}}}"#;
        let rules = serde_json::from_str::<Document>(text).unwrap().ocs.data.capabilities.files;
        for refused in ["a/.HTACCESS", "thumbs.DB", "Con.jpg", "nul", "10:30.jpg", "what?/x.jpg", "dot.", "space /x.jpg", "x.jpg.PART"] {
            assert!(rules.refusal(&RelPath::parse(refused).unwrap()).is_some(), "{refused}");
        }
        for fine in ["a.jpg", "console.jpg", "a/b c.jpg", ".hidden"] {
            assert_eq!(rules.refusal(&RelPath::parse(fine).unwrap()), None);
        }
        let old = r#"{"ocs":{"data":{"capabilities":{"files":{"blacklisted_files":[".htaccess"]}}}}}"#;
        let rules = serde_json::from_str::<Document>(old).unwrap().ocs.data.capabilities.files;
        assert!(rules.refusal(&RelPath::parse(".htaccess").unwrap()).is_some());
    }
}
