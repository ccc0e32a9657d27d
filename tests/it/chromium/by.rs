//! How a story says which element it means.

use serde_json::{Value, json};

use super::page::Page;

/// The first visible element that a selector finds, that is called so, or that says so.
#[derive(Debug, Clone, Copy)]
pub struct By<'a> {
    css: Option<&'a str>,
    what: What<'a>,
}

#[derive(Debug, Clone, Copy)]
enum What<'a> {
    Css,
    Name(&'a str),
    Text(&'a str),
}

/// By the whole accessible name, which a screen reader would say. Of several, a control goes first.
pub fn named(name: &str) -> By<'_> {
    By { css: None, what: What::Name(name) }
}

/// The innermost element whose visible text contains this.
pub fn saying(text: &str) -> By<'_> {
    By { css: None, what: What::Text(text) }
}

impl<'a> By<'a> {
    /// Only inside of the first visible element that this selector finds.
    pub fn within(self, css: &'a str) -> Self {
        Self { css: Some(css), ..self }
    }
}

impl<'a> From<&'a str> for By<'a> {
    fn from(css: &'a str) -> Self {
        Self { css: Some(css), what: What::Css }
    }
}

impl<'a> From<&'a String> for By<'a> {
    fn from(css: &'a String) -> Self {
        css.as_str().into()
    }
}

const VISIBLE: &str = "e => e.checkVisibility({ visibilityProperty: true }) && e.getClientRects().length > 0";

/// Roles that a hand can do something with.
const CONTROLS: [&str; 15] = [
    "button",
    "link",
    "textbox",
    "searchbox",
    "checkbox",
    "switch",
    "radio",
    "combobox",
    "option",
    "menuitem",
    "tab",
    "slider",
    "spinbutton",
    "gridcell",
    "treeitem",
];

impl Page {
    /// The remote object of an element, or why there is none.
    pub(super) fn find(&self, by: By<'_>) -> Result<String, String> {
        let root = match by.css {
            Some(css) => format!("[...document.querySelectorAll({})].find({VISIBLE})", json!(css)),
            None => "document".into(),
        };
        match by.what {
            What::Css => self.object(&root).ok_or_else(|| "no visible element matches".into()),
            What::Text(text) => {
                let says = format!("e => e.innerText?.includes({})", json!(text));
                let inside = format!("[...(({root})?.querySelectorAll('*') ?? [])]");
                let script = format!("{inside}.filter({VISIBLE}).filter({says}).find(e => ![...e.children].some({says}))");
                self.object(&script).ok_or_else(|| "no visible element says so".into())
            }
            What::Name(name) => self.called(&self.object(&root).ok_or("there is nothing to look in")?, name),
        }
    }

    fn called(&self, root: &str, name: &str) -> Result<String, String> {
        let found = self.call("Accessibility.queryAXTree", json!({ "objectId": root, "accessibleName": name }))?;
        let nodes = found["nodes"].as_array().into_iter().flatten().filter(|node| node["ignored"] != true);
        let rank = |node: &&Value| match node["role"]["value"].as_str().unwrap_or_default() {
            role if CONTROLS.contains(&role) => 0,
            "StaticText" | "InlineTextBox" | "LabelText" => 2,
            _ => 1,
        };
        // The first of the best rank.
        let node = nodes.min_by_key(rank).ok_or("nothing has this accessible name")?;
        let node = self.call("DOM.resolveNode", json!({ "backendNodeId": node["backendDOMNodeId"] }))?;
        let object = node["object"]["objectId"].as_str().ok_or("it is gone")?;
        let element = "function() { return this.nodeType === Node.TEXT_NODE ? this.parentElement : this }";
        let element = self.call("Runtime.callFunctionOn", json!({ "objectId": object, "functionDeclaration": element }))?;
        Ok(element["result"]["objectId"].as_str().ok_or("it is gone")?.to_owned())
    }

    /// Evaluates to an object that stays in the page. None for `null`, and while there is no document.
    pub(super) fn object(&self, script: &str) -> Option<String> {
        let answer = self.call("Runtime.evaluate", json!({ "expression": script })).ok()?;
        answer["result"]["objectId"].as_str().map(str::to_owned)
    }
}
