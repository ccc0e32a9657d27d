//! What is measured of a page, and pictures of it.

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine as _;
use serde_json::{Value, json};

use super::page::Page;

impl Page {
    /// How much the layout has jumped without anybody's doing (CLS, without unit; 0.1 is still called good).
    #[track_caller]
    pub fn layout_shift(&self) -> f64 {
        let script = "new Promise(done => { const all = []; \
             new PerformanceObserver(list => all.push(...list.getEntries())).observe({ type: 'layout-shift', buffered: true }); \
             setTimeout(() => requestAnimationFrame(() => setTimeout(() => \
                 done(all.filter(e => !e.hadRecentInput).reduce((sum, e) => sum + e.value, 0))))) })";
        self.eval(script).as_f64().unwrap()
    }

    /// The bytes of each script and style of this document, as they travelled or would without a cache.
    #[track_caller]
    pub fn code(&self) -> BTreeMap<String, u64> {
        let entries = self.eval("performance.getEntriesByType('resource').map(e => [e.name, e.encodedBodySize])");
        let entries: Vec<(String, u64)> = serde_json::from_value(entries).unwrap();
        self.watch(|watch| entries.into_iter().filter(|(url, _)| watch.code.contains(url)).collect())
    }

    /// Until nothing moves any more, and the letters and all pictures that are in sight have come.
    #[track_caller]
    pub(super) fn rest(&self) {
        let still = "document.fonts.ready.then(() => { const seen = i => { const r = i.getBoundingClientRect(); \
             return i.checkVisibility() && r.bottom > 0 && r.right > 0 && r.top < innerHeight && r.left < innerWidth }; \
             const moves = a => a.playState === 'running' && a.effect?.getComputedTiming().endTime !== Infinity; \
             return document.readyState === 'complete' && !document.getAnimations().some(moves) \
                 && [...document.images].filter(seen).every(i => i.complete) })";
        self.until("the page comes to rest", || if self.try_eval(still)? == true { Ok(()) } else { Err("it moves".into()) });
    }

    /// A picture of what is to be seen, as `STORY-LANGUAGE-WIDTH.png` in TWINLENS_SCREENSHOTS; nothing without that.
    #[track_caller]
    pub fn screenshot(&self, story: &str) {
        self.picture(story, json!({ "format": "png" }));
    }

    /// The same from the top of the page to its end. The layout may shift for it.
    #[track_caller]
    pub fn screenshot_whole(&self, story: &str) {
        let size = self.cdp("Page.getLayoutMetrics", json!({}))["cssContentSize"].take();
        let clip = json!({ "x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1 });
        self.picture(story, json!({ "format": "png", "captureBeyondViewport": true, "clip": clip }));
    }

    #[track_caller]
    fn picture(&self, story: &str, params: Value) {
        let Some(folder) = std::env::var_os("TWINLENS_SCREENSHOTS") else { return };
        self.rest();
        let picture = self.cdp("Page.captureScreenshot", params);
        let picture = base64::engine::general_purpose::STANDARD.decode(picture["data"].as_str().unwrap()).unwrap();
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(Path::new(&folder).join(format!("{story}-{}.png", self.look.name())), picture).unwrap();
    }
}
