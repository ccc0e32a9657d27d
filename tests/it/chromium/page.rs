//! A page: where it is, what it shows, how a story waits for it.

use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::LIMIT;
use super::browser::Wire;
use super::by::By;
use super::device::Look;
use super::watch::Watch;

pub struct Page {
    wire: Rc<Wire>,
    session: String,
    pub(super) context: String,
    pub(super) look: Look,
}

impl Page {
    #[track_caller]
    pub(super) fn open(wire: &Rc<Wire>, look: Look) -> Self {
        let id = |method, params, key: &str| wire.call(None, method, &params).unwrap()[key].as_str().unwrap().to_owned();
        let context = id("Target.createBrowserContext", json!({}), "browserContextId");
        let target = id("Target.createTarget", json!({ "url": "about:blank", "browserContextId": context }), "targetId");
        let session = id("Target.attachToTarget", json!({ "targetId": target, "flatten": true }), "sessionId");
        wire.watches.borrow_mut().insert(session.clone(), Watch::of(target));
        let mut page = Self { wire: Rc::clone(wire), session, context, look };
        for domain in ["Page", "Runtime", "Log", "Network", "Audits", "Inspector"] {
            page.cdp(&format!("{domain}.enable"), json!({}));
        }
        page.allow();
        page.look(look);
        page
    }

    /// What is seen and done as the page would do it for a person: downloads are kept, the clipboard can be read back.
    #[track_caller]
    fn allow(&self) {
        let folder = self.wire.downloads(&self.context);
        std::fs::create_dir_all(&folder).unwrap();
        let params = json!({ "behavior": "allow", "browserContextId": self.context, "downloadPath": folder });
        self.wire.call(None, "Browser.setDownloadBehavior", &params).unwrap();
        let permissions = ["clipboardReadWrite", "clipboardSanitizedWrite"];
        let params = json!({ "permissions": permissions, "browserContextId": self.context });
        self.wire.call(None, "Browser.grantPermissions", &params).unwrap();
    }

    pub(super) fn call(&self, method: &str, params: Value) -> Result<Value, String> {
        self.wire.call(Some(&self.session), method, &params)
    }

    /// A call that is answered only when something happens.
    pub(super) fn begin(&self, method: &str, params: Value) -> u64 {
        self.wire.send(Some(&self.session), method, &params)
    }

    #[track_caller]
    pub(super) fn answer(&self, call: u64) -> Result<Value, String> {
        self.wire.answer(call)
    }

    /// A call of the DevTools protocol, for what has no words here yet.
    #[track_caller]
    pub fn cdp(&self, method: &str, params: Value) -> Value {
        self.call(method, params).unwrap_or_else(|error| self.fail(&error))
    }

    pub(super) fn watch<T>(&self, look: impl FnOnce(&mut Watch) -> T) -> T {
        look(self.wire.watches.borrow_mut().get_mut(&self.session).unwrap())
    }

    /// Opens an address and waits until it has loaded.
    #[track_caller]
    pub fn goto(&self, url: &str) {
        let answer = self.cdp("Page.navigate", json!({ "url": url }));
        if let Some(error) = answer["errorText"].as_str() {
            self.fail(&format!("{url} cannot be opened: {error}"));
        }
        self.settle();
    }

    /// Until what an action began in the page has been heard of, and a document that it asked for is there.
    #[track_caller]
    pub(super) fn settle(&self) {
        let started = Instant::now();
        loop {
            // The page answers after all that it had to say.
            let _ = self.try_eval("0");
            if !self.watch(|watch| watch.leaving()) {
                return;
            }
            if started.elapsed() > LIMIT {
                self.fail("the next document does not finish loading");
            }
            self.wire.hear();
        }
    }

    /// The value of a script's expression; of what it promises, if it is a promise.
    #[track_caller]
    pub fn eval(&self, script: &str) -> Value {
        self.try_eval(script).unwrap_or_else(|error| self.fail(&format!("{script}: {error}")))
    }

    pub(super) fn try_eval(&self, script: &str) -> Result<Value, String> {
        let params = json!({ "expression": script, "awaitPromise": true, "returnByValue": true });
        value(self.call("Runtime.evaluate", params)?)
    }

    /// What a function answers that is called with an element as `this`.
    pub(super) fn on(&self, object: &str, function: &str, arguments: &[Value]) -> Result<Value, String> {
        let arguments: Vec<_> = arguments.iter().map(|argument| json!({ "value": argument })).collect();
        let params = json!({ "objectId": object, "functionDeclaration": function, "arguments": arguments, "awaitPromise": true,
            "returnByValue": true, "userGesture": true });
        value(self.call("Runtime.callFunctionOn", params)?)
    }

    /// Waits until something can be had; the check says why not yet.
    #[track_caller]
    pub fn until<T>(&self, what: &str, mut check: impl FnMut() -> Result<T, String>) -> T {
        let started = Instant::now();
        loop {
            match check() {
                Ok(value) => return value,
                Err(why) if started.elapsed() > LIMIT => self.fail(&format!("{what}: {why}")),
                Err(_) => std::thread::sleep(Duration::from_millis(30)),
            }
        }
    }

    #[track_caller]
    pub fn wait_for<'a>(&self, by: impl Into<By<'a>>) {
        let by = by.into();
        self.until(&format!("waiting for {by:?}"), || self.find(by));
    }

    #[track_caller]
    pub fn wait_gone<'a>(&self, by: impl Into<By<'a>>) {
        let by = by.into();
        self.until(&format!("waiting until {by:?} is gone"), || match self.find(by) {
            Ok(_) => Err("it is there".to_owned()),
            // Nothing can be found in a document that is not there yet.
            Err(_) => self.try_eval("0").map(drop),
        });
    }

    #[track_caller]
    pub fn wait_text(&self, text: &str) {
        self.until(&format!("waiting for the text {text:?}"), || {
            if self.text().contains(text) { Ok(()) } else { Err("it is not there".into()) }
        });
    }

    /// Until the address contains this.
    #[track_caller]
    pub fn wait_url(&self, part: &str) {
        self.until(&format!("waiting for an address with {part:?}"), || if self.url().contains(part) { Ok(()) } else { Err(self.url()) });
    }

    /// Whether it is to be seen now. To wait, use the words that begin so.
    pub fn shows<'a>(&self, by: impl Into<By<'a>>) -> bool {
        self.find(by.into()).is_ok()
    }

    pub fn url(&self) -> String {
        self.try_eval("location.href").ok().and_then(|url| url.as_str().map(str::to_owned)).unwrap_or_default()
    }

    /// All that can be read now.
    pub fn text(&self) -> String {
        self.try_eval("document.body?.innerText").ok().and_then(|text| text.as_str().map(str::to_owned)).unwrap_or_default()
    }

    #[track_caller]
    pub fn text_of<'a>(&self, by: impl Into<By<'a>>) -> String {
        self.read(by.into(), "function() { return this.innerText }", &[]).as_str().unwrap_or_default().to_owned()
    }

    /// What stands in a field.
    #[track_caller]
    pub fn value_of<'a>(&self, by: impl Into<By<'a>>) -> String {
        self.read(by.into(), "function() { return this.value }", &[]).as_str().unwrap_or_default().to_owned()
    }

    #[track_caller]
    pub fn attribute<'a>(&self, by: impl Into<By<'a>>, name: &str) -> Option<String> {
        self.read(by.into(), "function(name) { return this.getAttribute(name) }", &[name.into()]).as_str().map(str::to_owned)
    }

    #[track_caller]
    fn read(&self, by: By<'_>, function: &str, arguments: &[Value]) -> Value {
        self.until(&format!("reading {by:?}"), || self.on(&self.find(by)?, function, arguments))
    }

    /// Waits for a download of this name; where it is.
    #[track_caller]
    pub fn downloaded(&self, name: &str) -> PathBuf {
        let path = self.wire.downloads(&self.context).join(name);
        self.until(&format!("downloading {name}"), || if path.is_file() { Ok(()) } else { Err("it is not there".into()) });
        path
    }

    /// Waits for trouble that says this, and forgets it: the story wanted it.
    #[track_caller]
    pub fn expect_trouble(&self, part: &str) {
        self.until(&format!("trouble with {part:?}"), || {
            let _ = self.try_eval("0");
            self.watch(|watch| {
                let before = watch.troubles.len();
                watch.troubles.retain(|trouble| !trouble.contains(part));
                if watch.troubles.len() < before { Ok(()) } else { Err("there was none".into()) }
            })
        });
    }

    /// Forgets trouble that says this, if there was any: whether there is depends on how fast the machine is.
    pub fn forgive(&self, part: &str) {
        let _ = self.try_eval("0");
        self.watch(|watch| watch.troubles.retain(|trouble| !trouble.contains(part)));
    }

    /// Answers the next question with this in it (confirm, prompt, leaving the page) with yes. It must come.
    pub fn accept_dialog(&self, part: &str) {
        self.watch(|watch| watch.welcome.push(part.to_owned()));
    }

    /// Fails with what was on the page.
    #[track_caller]
    pub fn fail(&self, what: &str) -> ! {
        let troubles = self.watch(|watch| watch.troubles.join("\n"));
        panic!("{what}\n--- at {} ({})\n{}\n--- troubles\n{troubles}", self.url(), self.look.name(), self.text())
    }
}

/// What an evaluation came to.
fn value(mut answer: Value) -> Result<Value, String> {
    match answer.get("exceptionDetails") {
        Some(details) => Err(details["exception"]["description"].as_str().or(details["text"].as_str()).unwrap_or_default().to_owned()),
        None => Ok(answer["result"]["value"].take()),
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let url = self.url();
        let watch = self.wire.watches.borrow_mut().remove(&self.session).unwrap();
        let _ = self.wire.call(None, "Target.disposeBrowserContext", &json!({ "browserContextId": self.context }));
        assert!(watch.troubles.is_empty(), "trouble at {url} ({}):\n{}", self.look.name(), watch.troubles.join("\n"));
        assert!(watch.welcome.is_empty(), "never asked at {url} ({}): {:?}", self.look.name(), watch.welcome);
    }
}
