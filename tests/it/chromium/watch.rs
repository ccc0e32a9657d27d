//! What a page does by itself, and what of it is trouble.

use std::collections::BTreeSet;

use serde_json::{Value, json};

/// All that was heard of one page.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// The main frame.
    frame: String,
    /// What no story wants, in the order in which it came.
    pub(super) troubles: Vec<String>,
    /// Parts of the questions that will be answered with yes.
    pub(super) welcome: Vec<String>,
    /// The addresses of scripts and styles.
    pub(super) code: BTreeSet<String>,
    scheduled: bool,
    loading: bool,
}

impl Watch {
    pub(super) fn of(frame: String) -> Self {
        Self { frame, ..Self::default() }
    }

    /// The main frame.
    pub(super) fn frame(&self) -> String {
        self.frame.clone()
    }

    /// Whether another document is on its way.
    pub(super) fn leaving(&self) -> bool {
        self.scheduled || self.loading
    }

    /// Takes an event in. The answer is a call that must be made at once.
    pub(super) fn hear(&mut self, method: &str, params: &Value) -> Option<(&'static str, Value)> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let main = params["frameId"] == self.frame.as_str();
        match method {
            "Page.frameScheduledNavigation" | "Page.frameRequestedNavigation" if main => self.scheduled = true,
            "Page.frameClearedScheduledNavigation" if main => self.scheduled = false,
            "Page.frameStartedLoading" if main => (self.loading, self.scheduled) = (true, false),
            "Page.frameStoppedLoading" if main => (self.loading, self.scheduled) = (false, false),
            "Page.javascriptDialogOpening" => return Some(self.dialog(&text(&params["type"]), &text(&params["message"]))),
            "Runtime.consoleAPICalled" if ["error", "warning", "assert"].contains(&text(&params["type"]).as_str()) => {
                let words = params["args"].as_array().into_iter().flatten();
                let words: Vec<_> = words
                    .map(|arg| match (arg["value"].as_str(), arg["description"].as_str()) {
                        (Some(word), _) | (None, Some(word)) => word.to_owned(),
                        (None, None) => arg["value"].to_string(),
                    })
                    .collect();
                self.troubles.push(format!("console.{}: {}", text(&params["type"]), words.join(" ")));
            }
            "Runtime.exceptionThrown" => {
                let details = &params["exceptionDetails"];
                let what = details["exception"]["description"].as_str().or(details["text"].as_str()).unwrap_or_default();
                self.troubles.push(format!("exception: {what} ({}:{})", text(&details["url"]), details["lineNumber"]));
            }
            "Log.entryAdded" if params["entry"]["level"] == "error" || params["entry"]["level"] == "warning" => {
                let entry = &params["entry"];
                self.troubles.push(format!("{}: {} ({})", text(&entry["source"]), text(&entry["text"]), text(&entry["url"])));
            }
            "Audits.issueAdded" if params["issue"]["code"] == "ContentSecurityPolicyIssue" => {
                let details = &params["issue"]["details"]["contentSecurityPolicyIssueDetails"];
                let what =
                    details["blockedURL"].as_str().map_or_else(|| text(&details["contentSecurityPolicyViolationType"]), str::to_owned);
                self.troubles.push(format!("policy: {} refuses {what}", text(&details["violatedDirective"])));
            }
            "Network.requestWillBeSent" => {
                let url = text(&params["request"]["url"]);
                if !["http://127.0.0.1:", "https://127.0.0.1:", "http://localhost:", "data:", "blob:"]
                    .iter()
                    .any(|here| url.starts_with(here))
                {
                    self.troubles.push(format!("a foreign address: {url}"));
                }
            }
            "Network.responseReceived" if params["type"] == "Script" || params["type"] == "Stylesheet" => {
                self.code.insert(text(&params["response"]["url"]));
            }
            "Inspector.targetCrashed" => self.troubles.push("the page crashed".into()),
            _ => {}
        }
        None
    }

    /// No dialog stays open: a page with one does nothing else. An alert is always trouble; no page of ours has one.
    fn dialog(&mut self, kind: &str, message: &str) -> (&'static str, Value) {
        let welcome = self.welcome.iter().position(|part| kind != "alert" && message.contains(part.as_str()));
        match welcome {
            Some(at) => drop(self.welcome.remove(at)),
            None => self.troubles.push(format!("dialog ({kind}): {message}")),
        }
        ("Page.handleJavaScriptDialog", json!({ "accept": welcome.is_some() }))
    }
}
