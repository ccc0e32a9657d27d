//! What a cloud says that it can (OCS capabilities); asked once per run.

use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde_json::Value;

use super::body::Payload;
use super::retry::Call;
use super::{Client, ClientError, NameRules};

/// The largest document that is read, in MiB.
const LIMIT: usize = 4;

/// What a service can beyond WebDAV; nothing, when it does not say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// Uploads in pieces (chunked upload v2): `dav.chunking`.
    pub chunking: bool,
    /// Many small files in one request: `dav.bulkupload`.
    pub bulk: bool,
    /// The largest piece that it wants, in bytes: `files.chunked_upload.max_size`.
    pub largest_chunk: Option<u64>,
    /// It says that it is a node.
    pub node: bool,
    /// What it says that it is: Nextcloud, ownCloud, ... Older ones do not tell here.
    pub product: Option<String>,
    /// The version that it tells.
    pub version: Option<String>,
    /// What it forbids in names.
    pub names: NameRules,
}

impl Capabilities {
    /// Whether it has capabilities at all: a Nextcloud, an ownCloud, or what behaves like one.
    pub fn is_cloud(&self) -> bool {
        self.version.is_some()
    }

    fn parse(document: &Value) -> Self {
        let data = &document["ocs"]["data"]["capabilities"];
        let at_least_one = |value: &Value| {
            let text = value.as_str().map(str::to_owned).or_else(|| value.as_f64().map(|number| number.to_string()));
            text.and_then(|text| text.split('.').next()?.parse::<u32>().ok()).is_some_and(|major| major >= 1)
        };
        Self {
            chunking: at_least_one(&data["dav"]["chunking"]),
            bulk: at_least_one(&data["dav"]["bulkupload"]),
            largest_chunk: data["files"]["chunked_upload"]["max_size"].as_u64().filter(|size| *size > 0),
            node: data["core"]["status"]["productname"] == "Twinlens",
            product: data["core"]["status"]["productname"].as_str().map(short),
            version: document["ocs"]["data"]["version"]["string"].as_str().map(short),
            names: NameRules::parse(&data["files"]),
        }
    }
}

/// A word of a service that is shown to people: no longer than one needs to see.
pub(super) fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(100).collect()
}

impl Client {
    /// What the service can. One that has no such document can nothing more than WebDAV; that it cannot be reached is an error.
    pub async fn capabilities(&self) -> Result<&Capabilities, ClientError> {
        self.can.get_or_try_init(|| self.ask_capabilities()).await
    }

    async fn ask_capabilities(&self) -> Result<Capabilities, ClientError> {
        let Some(cloud) = self.cloud() else { return Ok(Capabilities::default()) };
        let mut url = cloud.url("ocs/v1.php/cloud/capabilities");
        url.set_query(Some("format=json"));
        let headers = HeaderMap::from_iter([(http::HeaderName::from_static("ocs-apirequest"), HeaderValue::from_static("true"))]);
        let answer = self.call(&Call::new(Method::GET, url, headers, Payload::Nothing)).await;
        let answer = match answer {
            Ok(answer) if answer.status() == StatusCode::OK => answer,
            // Other servers have something else there, or nothing, or want no such login there.
            Ok(_) | Err(ClientError::Redirect(_) | ClientError::Unauthorized) => return Ok(Capabilities::default()),
            Err(error) => return Err(error),
        };
        match self.text(answer, LIMIT).await {
            Ok(text) => Ok(serde_json::from_str(&text).map(|document| Capabilities::parse(&document)).unwrap_or_default()),
            Err(ClientError::Malformed(_) | ClientError::TooLarge(_)) => Ok(Capabilities::default()),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_told_is_understood_and_what_is_not_is_no() {
        let dav = json!({ "dav": { "chunking": "1.0", "bulkupload": "1.0" }, "core": { "status": { "productname": "Twinlens" } } });
        let told = Capabilities::parse(&json!({ "ocs": { "data": { "capabilities": dav } } }));
        assert_eq!(
            told,
            Capabilities {
                chunking: true,
                bulk: true,
                largest_chunk: None,
                node: true,
                product: Some("Twinlens".into()),
                ..Capabilities::default()
            }
        );
        let files = json!({ "dav": { "chunking": 1.0 }, "files": { "chunked_upload": { "max_size": 104_857_600 } } });
        let told = Capabilities::parse(&json!({ "ocs": { "data": { "capabilities": files } } }));
        assert_eq!(told, Capabilities { chunking: true, bulk: false, largest_chunk: Some(104_857_600), ..Capabilities::default() });
        for nothing in [json!(null), json!([1]), json!({ "ocs": { "data": { "capabilities": { "dav": { "chunking": "0.9" } } } } })] {
            assert_eq!(Capabilities::parse(&nothing), Capabilities::default());
        }
    }
}
