//! What axe-core finds against the accessibility of a page.

use std::fs;

use serde_json::{Value, json};

use super::browser::in_path;
use super::page::Page;
use crate::support::is_missing;

impl Page {
    /// Fails with what breaks WCAG 2.1 A and AA or axe's best practice.
    #[track_caller]
    pub fn axe(&self) {
        let found = self.violations();
        let lines: Vec<_> = found.iter().map(told).collect();
        assert!(found.is_empty(), "axe at {} ({}):\n{}", self.url(), self.look.name(), lines.join("\n"));
    }

    /// The same as axe tells it. Nothing where there is no axe, which is said by name.
    #[track_caller]
    pub fn violations(&self) -> Vec<Value> {
        let Some(axe) = in_path("axe.min.js") else {
            is_missing("axe.min.js");
            return Vec::new();
        };
        self.rest();
        // In a world of its own: the page does not notice.
        let frame = self.watch(|watch| watch.frame());
        let world = self.cdp("Page.createIsolatedWorld", json!({ "frameId": frame, "worldName": "axe" }));
        let rules = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"];
        let run = json!({ "runOnly": rules, "resultTypes": ["violations"] });
        let script = format!("{}\naxe.run(document, {run}).then(found => found.violations)", fs::read_to_string(axe).unwrap());
        let params = json!({ "expression": script, "contextId": world["executionContextId"], "awaitPromise": true, "returnByValue": true });
        let mut answer = self.cdp("Runtime.evaluate", params);
        match answer["result"]["value"].take() {
            Value::Array(found) => found,
            _ => self.fail(&format!("axe did not run: {answer}")),
        }
    }
}

/// `color-contrast (serious): Elements must ...`, and each element that does not.
fn told(violation: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut told = format!("{} ({}): {}", text(&violation["id"]), text(&violation["impact"]), text(&violation["help"]));
    for node in violation["nodes"].as_array().into_iter().flatten() {
        let target = node["target"].to_string();
        told += &format!("\n  {target} {}\n    {}", text(&node["html"]), text(&node["failureSummary"]).replace('\n', "\n    "));
    }
    told
}
