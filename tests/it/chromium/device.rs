//! What a person holds and how it is set: size, touch, language, light, network.

use serde_json::{Value, json};

use super::page::Page;

/// How a person looks at a page.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    pub width: u32,
    pub height: u32,
    /// A phone: fingers, and two dots for each pixel.
    pub phone: bool,
    pub german: bool,
    pub dark: bool,
}

pub const PHONE: Look = Look { width: 390, height: 844, phone: true, german: false, dark: false };
pub const DESKTOP: Look = Look { width: 1280, height: 800, phone: false, german: false, dark: false };

impl Look {
    /// Both sizes in both languages.
    pub fn all() -> [Self; 4] {
        [DESKTOP, PHONE, DESKTOP.german(), PHONE.german()]
    }

    pub fn german(self) -> Self {
        Self { german: true, ..self }
    }

    pub fn dark(self) -> Self {
        Self { dark: true, ..self }
    }

    /// The words of the language.
    pub fn pick<'a>(self, english: &'a str, german: &'a str) -> &'a str {
        if self.german { german } else { english }
    }

    /// `de-390`, `en-1280-dark`.
    pub fn name(self) -> String {
        format!("{}-{}{}", self.pick("en", "de"), self.width, if self.dark { "-dark" } else { "" })
    }
}

impl Page {
    /// Takes another look, for what is open and what follows. The language counts from the next document on.
    #[track_caller]
    pub fn look(&mut self, look: Look) {
        self.look = look;
        let dots = if look.phone { 2 } else { 1 };
        let size = json!({ "width": look.width, "height": look.height, "deviceScaleFactor": dots, "mobile": look.phone });
        self.cdp("Emulation.setDeviceMetricsOverride", size);
        self.cdp("Emulation.setTouchEmulationEnabled", json!({ "enabled": look.phone, "maxTouchPoints": 5 }));
        let features = json!([{ "name": "prefers-color-scheme", "value": if look.dark { "dark" } else { "light" } }]);
        self.cdp("Emulation.setEmulatedMedia", json!({ "features": features }));
        let agent = self.cdp("Browser.getVersion", json!({}))["userAgent"].as_str().unwrap().replace("Headless", "");
        let languages = look.pick("en-GB,en", "de-DE,de");
        self.cdp("Emulation.setUserAgentOverride", json!({ "userAgent": agent, "acceptLanguage": languages }));
        self.cdp("Emulation.setLocaleOverride", json!({ "locale": look.pick("en_GB", "de_DE") }));
    }

    #[track_caller]
    pub fn offline(&self, offline: bool) {
        self.network(offline, &json!(-1));
    }

    /// Sends and receives no more than this many bytes a second.
    #[track_caller]
    pub fn throttle(&self, bytes: u64) {
        self.network(false, &json!(bytes));
    }

    #[track_caller]
    fn network(&self, offline: bool, bytes: &Value) {
        let params = json!({ "offline": offline, "latency": 0, "downloadThroughput": bytes, "uploadThroughput": bytes });
        self.cdp("Network.emulateNetworkConditions", params);
    }
}
