//! Files that are given to a page.

use std::path::Path;

use serde_json::json;

use super::by::By;
use super::page::Page;

impl Page {
    /// Drops files and folders on an element.
    #[track_caller]
    pub fn drop_files<'a>(&self, by: impl Into<By<'a>>, files: &[&Path]) {
        let (x, y) = self.point(by.into());
        let data = json!({ "items": [], "files": files, "dragOperationsMask": 1 });
        for kind in ["dragEnter", "dragOver", "drop"] {
            self.cdp("Input.dispatchDragEvent", json!({ "type": kind, "x": x, "y": y, "data": data }));
        }
        self.settle();
    }

    /// Gives files to an `input`, which may be hidden behind something nicer.
    #[track_caller]
    pub fn set_files(&self, css: &str, files: &[&Path]) {
        let script = format!("document.querySelector({})", json!(css));
        self.until(&format!("giving files to {css}"), || {
            let input = self.object(&script).ok_or("it is not there")?;
            self.call("DOM.setFileInputFiles", json!({ "objectId": input, "files": files }))
        });
        self.settle();
    }
}
