//! As what chosen files are sent to a service, where to, and for how long.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::store::documents::SERVICES;
use crate::types::{Expires, Gps, RelPath, Size, Unfit};

use super::{Service, ServiceError, Services};

/// What `twinlens share` does with a service unless it is told otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct UploadSettings {
    /// Whether files may be shared with it.
    pub on: bool,
    /// The folder that they are sent to, below the service's WebDAV root; it is made when it is missing.
    pub folder: RelPath,
    /// How large pictures are sent.
    pub size: Size,
    /// How long they stay.
    pub expires: Expires,
    /// What becomes of files that cannot be sent in that size.
    pub unfit: Unfit,
    /// Whether the JPEGs that are made tell where a picture was taken.
    pub gps: Gps,
}

impl Default for UploadSettings {
    fn default() -> Self {
        Self {
            on: true,
            folder: RelPath::root(),
            size: Size::ORIGINAL,
            expires: Expires::NEVER,
            unfit: Unfit::default(),
            gps: Gps::default(),
        }
    }
}

impl UploadSettings {
    /// Why these settings contradict each other: a file that is sent as it is tells what it tells.
    pub fn contradiction(&self) -> Option<&'static str> {
        match (self.gps, self.size, self.unfit) {
            (Gps::Keep, _, _) => None,
            (Gps::Remove, Size::ORIGINAL, _) => Some(
                "originals are sent byte for byte, and tell where they were taken; to leave that out choose a size too, such as --size fit_2048, \
                 or say --gps keep",
            ),
            (Gps::Remove, _, Unfit::Original) => Some(
                "RAW files, videos and other files of which no JPEG can be made would be sent as they are, and tell where they were taken; say \
                 --unfit jpeg or --unfit skip too, or --gps keep",
            ),
            (Gps::Remove, _, Unfit::Jpeg | Unfit::Skip) => None,
        }
    }
}

impl Services {
    /// Changes what is done with files that are shared with a service. What is on its way already is not changed.
    pub fn set_upload(&self, name: &str, upload: UploadSettings) -> Result<Service, ServiceError> {
        let mut row = self.row(name)?;
        row.service.upload = upload;
        let (key, service) = (name.to_owned(), row.service.clone());
        self.store.write(move |tx| SERVICES.put(tx, &key, &row))?;
        Ok(service)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_of_an_older_version_opens_with_what_is_safe() {
        let old = serde_json::json!({
            "id": 1, "name": "n", "url": "https://h/", "user": "u", "fingerprint": null, "sync": { "on": true },
        });
        let service: Service = serde_json::from_value(old).unwrap();
        assert_eq!(service.upload, UploadSettings::default());
        let older = serde_json::json!({ "size": "fit_720" });
        let upload: UploadSettings = serde_json::from_value(older).unwrap();
        assert_eq!((upload.size.to_string().as_str(), upload.on, upload.gps), ("fit_720", true, Gps::Keep));
    }

    #[test]
    fn what_cannot_be_without_its_place_is_not_promised() {
        let upload =
            |size: &str, unfit| UploadSettings { size: size.parse().unwrap(), unfit, gps: Gps::Remove, ..UploadSettings::default() };
        assert!(upload("original", Unfit::Skip).contradiction().unwrap().contains("--size"));
        assert!(upload("fit_720", Unfit::Original).contradiction().unwrap().contains("--unfit"));
        assert_eq!(upload("fit_720", Unfit::Jpeg).contradiction(), None);
    }
}
