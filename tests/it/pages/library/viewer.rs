//! The viewer under fingers, and videos.

use serde_json::json;

use super::super::account::sign_in;
use super::{tiles, with_photos};
use crate::api::Client;
use crate::chromium::{Browser, DESKTOP, PHONE, Page, named};
use crate::support::{Sandbox, eventually, sample, write};

/// How much larger the picture is than the room that it has.
fn scale(page: &Page) -> f64 {
    page.eval("new DOMMatrix(getComputedStyle(document.querySelector('.viewer .media')).transform).a").as_f64().unwrap()
}

/// Until the picture is so large.
#[track_caller]
fn grown(page: &Page, is: impl Fn(f64) -> bool) {
    page.until("the size of the picture", || match scale(page) {
        now if is(now) => Ok(()),
        now => Err(now.to_string()),
    });
}

#[track_caller]
fn shown(page: &Page, name: &str) {
    page.wait_url(&format!("show={name}"));
    page.wait_for("dialog.viewer[open] .high.loaded");
}

#[test]
fn fingers_turn_zoom_and_close() {
    let Some(browser) = Browser::start() else { return };
    let sandbox = Sandbox::new();
    for look in [PHONE, PHONE.german().dark()] {
        let node = with_photos(&sandbox, &look.name(), &["a.jpg", "b.jpg", "c.jpg"]);
        let page = browser.page(look);
        sign_in(&page, look, &node, "library");
        tiles(&page, 3);
        page.select("#order", "name");
        page.click(".tile[aria-label^='a.jpg']");
        shown(&page, "a.jpg");
        page.swipe(".viewer .view", -200., 0.);
        shown(&page, "b.jpg");
        page.wait_text(look.pick("2 of 3", "2 von 3"));
        page.swipe(".viewer .view", 200., 0.);
        shown(&page, "a.jpg");
        // There is nothing before the first: it comes back to its place.
        page.swipe(".viewer .view", 200., 0.);
        page.until("it is in its place", || match page.eval("document.querySelector('.viewer .media').style.transform").as_str() {
            Some("") => Ok(()),
            moved => Err(format!("{moved:?}")),
        });
        shown(&page, "a.jpg");

        page.double_tap(".viewer .view");
        grown(&page, |scale| scale > 2.4);
        page.axe();
        page.screenshot("viewer-zoomed");
        // Whoever looks closely sees the file itself, and moves about in it.
        page.until("the whole file", || match page.attribute(".viewer .high", "src") {
            Some(source) if source.contains("library/file?path=a.jpg") => Ok(()),
            other => Err(format!("{other:?}")),
        });
        page.swipe(".viewer .view", -200., 0.);
        assert!(page.url().contains("show=a.jpg"), "{}", page.url());
        page.double_tap(".viewer .view");
        grown(&page, |scale| scale == 1.);
        page.pinch(".viewer .view", 3.);
        grown(&page, |scale| (2.5..=3.5).contains(&scale));
        page.pinch(".viewer .view", 0.2);
        grown(&page, |scale| scale == 1.);
        page.click(named("Zoom"));
        grown(&page, |scale| scale > 2.4);
        page.click(named("Zoom"));
        grown(&page, |scale| scale == 1.);

        page.swipe(".viewer .view", 0., 200.);
        page.wait_gone("dialog.viewer");
        page.wait_for(".tile[aria-label^='a.jpg']");
        assert!(!page.url().contains("show="), "{}", page.url());
    }
}

/// A video whose index is far behind its pictures: who plays it has to ask for parts of it.
fn far_apart(video: &[u8], gap: usize) -> Vec<u8> {
    let number = |at: usize| u32::from_be_bytes(video[at..at + 4].try_into().unwrap());
    let (mut boxes, mut at) = (std::collections::BTreeMap::new(), 0);
    while at < video.len() {
        let size = number(at) as usize;
        boxes.insert(&video[at + 4..at + 8], (at, &video[at..at + size]));
        at += size;
    }
    let [(_, kind), (_, index), (from, pictures)] = [b"ftyp", b"moov", b"mdat"].map(|name| boxes[name.as_slice()]);
    let nearer = (from - kind.len()) as u32;
    let mut index = index.to_vec();
    // The places of the pictures in the file.
    let places = index.windows(4).position(|name| name == b"stco").unwrap() + 12;
    let count = u32::from_be_bytes(index[places - 4..places].try_into().unwrap()) as usize;
    for place in (0..count).map(|one| places + 4 * one) {
        let was = u32::from_be_bytes(index[place..place + 4].try_into().unwrap());
        index[place..place + 4].copy_from_slice(&(was - nearer).to_be_bytes());
    }
    let free = [&(gap as u32).to_be_bytes()[..], b"free", &vec![0; gap - 8]].concat();
    [kind, pictures, &free, &index].concat()
}

#[test]
fn videos_play_and_their_parts_are_asked_for() {
    const GAP: usize = 24_000_000;
    let Some(browser) = Browser::start() else { return };
    let sandbox = Sandbox::new();
    for look in [DESKTOP, PHONE.german()] {
        let mut node = sandbox.node(&look.name());
        write(&node.library.join("parade.mp4"), &sample("parade.mp4"));
        write(&node.library.join("waves.mp4"), &far_apart(&sample("waves.mp4"), GAP));
        node.serve();
        node.run(&["index"]);
        let admin = Client::admin(&node);
        eventually("it is known how long they last", || {
            let lasts = admin.document("/library/grid")["lasts"].clone();
            lasts.as_array().unwrap().iter().all(|seconds| seconds.as_f64() > Some(0.0))
        });
        let page = browser.page(look);
        sign_in(&page, look, &node, "library");
        tiles(&page, 2);
        assert_eq!(page.text_of(".tile[aria-label^='parade.mp4'] .badges").trim(), "0:01");
        for name in ["parade.mp4", "waves.mp4"] {
            page.click(&format!(".tile[aria-label^='{name}']"));
            page.wait_for("dialog.viewer[open] video");
            let video = |what: &str| page.eval(&format!("document.querySelector('.viewer video').{what}"));
            page.until("it plays to its end", || match video("ended").as_bool() {
                Some(true) => Ok(()),
                _ => Err(format!("at {} of {}, ready {}", video("currentTime"), video("duration"), video("readyState"))),
            });
            assert!(video("currentTime").as_f64() >= Some(0.9) && video("videoWidth") == 160, "{name}");
            let sought = "new Promise(done => { const video = document.querySelector('.viewer video'); \
                 video.addEventListener('seeked', () => done([video.currentTime, video.readyState >= 2]), { once: true }); video.currentTime = 0.5 })";
            assert_eq!(page.eval(sought), json!([0.5, true]), "{name}");
            page.axe();
            page.screenshot("viewer-video");
            page.click(named(look.pick("Close", "Schließen")).within("dialog.viewer"));
            page.wait_gone("dialog.viewer");
        }
        let asked = "performance.getEntriesByType('resource').filter(entry => entry.name.includes('file?path=waves.mp4')) \
             .map(entry => entry.responseStatus)";
        let asked: Vec<u16> = serde_json::from_value(page.eval(asked)).unwrap();
        // One that is broken off, because another part is wanted, has no status. (What is told of its size is what it would have had.)
        assert!(asked.len() > 1 && asked.contains(&206) && asked.iter().all(|status| matches!(status, 0 | 206)), "{asked:?}");
    }
}
