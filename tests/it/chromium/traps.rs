//! That the harness catches what it is there to catch, and that its hands arrive: on pages of the test's own.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::{Value, json};

use super::{Browser, DESKTOP, Look, PHONE, Page, named, saying};
use crate::connect::{Said, Site};
use crate::support::{Sandbox, write};

/// Serves these pages: the path, the Content-Security-Policy, the HTML. Everything else is not found.
fn site(pages: &'static [(&str, &str, &str)]) -> String {
    let answer = |kind: &str, policy: &str, body: &str| -> Said {
        let headers = vec![("Content-Type", format!("{kind}; charset=utf-8")), ("Content-Security-Policy", policy.to_owned())];
        (200, headers, body.to_owned())
    };
    let site = Site::new(move |request| match request.target.as_str() {
        "/code.js" => answer("text/javascript", "", &format!("/*{}*/", "x".repeat(5_000))),
        "/style.css" => answer("text/css", "", "p { color: #111 }"),
        "/favicon.ico" => answer("image/x-icon", "", ""),
        "/told" => answer("text/plain", "", &request.headers["accept-language"]),
        "/photos.zip" => (200, vec![("Content-Disposition", "attachment; filename=\"photos.zip\"".into())], "PK".into()),
        target => match pages.iter().find(|(path, ..)| *path == target) {
            Some((_, policy, html)) => answer("text/html", policy, &format!("<!doctype html><html lang=en><title>t</title>{html}")),
            None => (404, Vec::new(), String::new()),
        },
    });
    format!("http://{}", site.host)
}

/// What the end of a page says; nothing if it is content.
fn said_at_the_end(page: Page) -> String {
    let end = catch_unwind(AssertUnwindSafe(|| drop(page)));
    end.err().map(|panic| panic.downcast_ref::<String>().unwrap().clone()).unwrap_or_default()
}

#[test]
fn trouble_fails_a_page_that_does_not_expect_it() {
    let Some(browser) = Browser::start() else { return };
    let url = site(&[
        ("/calm", "", "<p>calm<script>console.log('nothing')</script>"),
        ("/alert", "", "<img src=/none onerror=\"alert('got in')\">"),
        ("/error", "", "<script>console.error('went', 'wrong', { a: 1 })</script>"),
        ("/throws", "", "<script>null.thing</script>"),
        ("/rejects", "", "<script>Promise.reject(new Error('not kept'))</script>"),
        ("/inline", "default-src 'self'", "<script>document.title = 'ran'</script>"),
        ("/style", "default-src 'self'", "<p style=\"color:red\">"),
        ("/eval", "script-src 'self' 'sha256-aNrCAqMpQAEItRKLWZeEvbfpWa9rLw8A1cxmNAaB19M='", "<script>eval('1')</script>"),
        ("/beacon", "", "<script>navigator.sendBeacon('http://elsewhere.invalid/x')</script>"),
        ("/leaves", "", "<script>location = '//elsewhere.invalid/x'</script>"),
        ("/missing", "", "<script src=/none.js></script>"),
        ("/asks", "", "<button onclick=\"document.title = confirm('Remove it?')\">Remove</button>"),
    ]);
    for (path, expected) in [
        ("/calm", ""),
        ("/alert", "dialog (alert): got in"),
        ("/error", "console.error: went wrong Object"),
        ("/throws", "Cannot read properties of null"),
        ("/rejects", "not kept"),
        ("/inline", "policy: script-src-elem"),
        ("/style", "policy: style-src-attr"),
        ("/eval", "policy: script-src"),
        ("/beacon", "a foreign address: http://elsewhere.invalid/x"),
        ("/leaves", "a foreign address: http://elsewhere.invalid/x"),
        ("/missing", "status of 404"),
        ("/asks", "dialog (confirm): Remove it?"),
    ] {
        let page = browser.page(DESKTOP);
        page.goto(&format!("{url}{path}"));
        if path == "/asks" {
            page.click("button");
            assert_eq!(page.eval("document.title"), "false");
        }
        let said = said_at_the_end(page);
        assert!(if expected.is_empty() { said.is_empty() } else { said.contains(expected) }, "{path}: {said}");
    }

    let page = browser.page(DESKTOP);
    page.goto(&format!("{url}/missing"));
    page.expect_trouble("status of 404");
    page.goto(&format!("{url}/asks"));
    page.accept_dialog("Remove");
    page.click(named("Remove"));
    assert_eq!(page.eval("document.title"), "true");
    page.accept_dialog("Never asked");
    assert!(said_at_the_end(page).contains("Never asked"));
}

const HANDS: &str = "<meta name=viewport content='width=device-width'>
<style>body { margin: 0 } #far { margin-top: 3000px } #late { display: none } #bar { position: fixed; bottom: 0; width: 100%; background: #fff }</style>
<label>Name <input id=name value=old></label><label>Size <select id=size><option value=s>Small<option value=l>Large</select></label>
<label>At <input id=at type=time></label><button id=plain aria-label='Plain button'>X</button><div id=row><button>Edit</button></div><button hidden>Edit</button>
<button id=far>Far away</button><div id=bar>bar</div><button id=late>Late</button><button id=off disabled>Off</button>
<div id=cover hidden style='position:fixed;inset:0;z-index:1'>cover</div>
<form action=/next><button>Go on</button></form><a href=/photos.zip>Download</a>
<div id=zone style='height:200px;margin:50px;touch-action:none'>Drop <b>here</b></div><input id=files type=file multiple hidden>
<script>
window.log = [];
const say = (...words) => log.push(words.join(' '));
for (const kind of ['click', 'touchstart', 'touchend', 'change', 'keydown']) addEventListener(kind, e =>
    say(kind, e.target.id || e.target.textContent, e.key ?? '', e.shiftKey ? 'shift' : '', e.target.value ?? ''));
zone.ondragover = e => e.preventDefault();
zone.ondrop = e => { e.preventDefault(); say('drop', ...[...e.dataTransfer.items].map(i => i.webkitGetAsEntry().isDirectory + i.getAsFile().name)) };
let from; zone.ontouchstart = e => from = e.touches[0].clientX;
zone.ontouchend = e => say('swiped', Math.round(e.changedTouches[0].clientX - from));
let held; plain.onpointerdown = () => held = setTimeout(say, 500, 'long press'); plain.onpointerup = () => clearTimeout(held);
plain.onclick = () => setTimeout(() => late.style.display = 'block', 200);
late.onclick = () => { cover.hidden = false; setTimeout(() => cover.remove(), 200) };
far.onclick = () => setTimeout(() => off.disabled = false, 200);
</script>";

#[test]
fn hands_arrive_on_a_desktop_and_on_a_phone() {
    let Some(browser) = Browser::start() else { return };
    let sandbox = Sandbox::new();
    let [one, folder] = ["one ä.jpg", "folder"].map(|name| sandbox.path().join(name));
    write(&one, b"1");
    fs::create_dir_all(&folder).unwrap();
    let url = site(&[("/", "", HANDS), ("/next?", "", "<h1>Next</h1>")]);
    for look in [DESKTOP, PHONE] {
        let page = browser.page(look);
        page.goto(&format!("{url}/"));
        let took = |expected: &str| {
            let log = page.eval("log.splice(0).join('|')").as_str().unwrap().to_owned();
            assert!(log.contains(expected), "{expected} in {log} ({})", look.name());
        };
        page.fill(named("Name"), "new ü");
        page.press("Tab");
        took("change name   new ü");
        assert_eq!(page.value_of("#name"), "new ü");
        page.fill("#name", "");
        page.press("a");
        page.press("Shift+ArrowLeft");
        took("keydown name ArrowLeft shift a");
        page.select(named("Size"), "Large");
        took("change size   l");
        page.fill(named("At"), "17:30");
        took("change at   17:30");
        assert_eq!(page.attribute("#at", "type").as_deref(), Some("time"));
        page.click(named("Plain button"));
        took("click plain");
        page.click("#late");
        took("click late");
        page.click("#far");
        took("click far");
        page.click("#off");
        took("click off");
        page.click(named("Edit").within("#row"));
        took("click Edit");
        page.click(saying("her").within("#zone"));
        took("click here");
        page.click_holding("Shift", "#plain");
        took("click plain  shift");
        page.drop_files("#zone", &[&one, &folder]);
        took("drop falseone ä.jpg truefolder");
        page.set_files("#files", &[&one]);
        assert_eq!(page.eval("files.files[0].name"), "one ä.jpg");
        page.hover("#far");
        page.wait_for("#far:hover");
        if look.phone {
            took("change files");
            page.long_press("#plain");
            took("long press");
            page.swipe("#zone", -120., 0.);
            took("swiped -120");
        }
        page.press("Escape");
        took("Escape");
        page.wait_gone("#cover");
        assert!(!page.shows("button[hidden]") && page.shows("#off"));
        page.click(named("Download"));
        assert_eq!(fs::read(page.downloaded("photos.zip")).unwrap(), b"PK");
        // The next document is there when the click is done.
        page.click(named("Go on"));
        assert_eq!(page.eval("document.querySelector('h1')?.innerText"), "Next");
        assert_eq!(page.text_of(saying("Next")), "Next");
        page.wait_url("/next");
    }
}

#[test]
fn a_page_is_seen_as_its_person_is_set() {
    let Some(browser) = Browser::start() else { return };
    let url = site(&[("/", "", "<meta name=viewport content='width=device-width'><p>here")]);
    let seen = "[innerWidth, devicePixelRatio, matchMedia('(pointer: coarse)').matches, matchMedia('(prefers-color-scheme: dark)').matches, \
                navigator.language, new Date(0).toLocaleString(undefined, { month: 'long' }), 'ontouchstart' in window]";
    for (look, expected) in [
        (PHONE.german().dark(), json!([390, 2, true, true, "de-DE", "Januar", true])),
        (DESKTOP, json!([1280, 1, false, false, "en-GB", "January", false])),
    ] {
        let page = browser.page(look);
        page.goto(&format!("{url}/"));
        assert_eq!(page.eval(seen), expected);
        assert_eq!(page.eval("fetch('/told').then(a => a.text())").as_str().unwrap().split('-').next(), Some(look.pick("en", "de")));
        page.eval("document.cookie = 'mine=1'");
        page.offline(true);
        assert_eq!(page.eval("fetch('/told').then(() => 'came', () => 'lost')"), "lost");
        page.expect_trouble("ERR_INTERNET_DISCONNECTED");
        page.throttle(250_000);
        assert_eq!(page.eval("Math.round(navigator.connection.downlink)"), 2);
        page.offline(false);
        assert_eq!(page.eval("fetch('/told').then(() => 'came', () => 'lost')"), "came");
        // Another person in the same browser.
        let other = browser.page(Look { width: 700, ..look });
        other.goto(&format!("{url}/"));
        assert_eq!(other.eval("document.cookie"), "");
    }
}

#[test]
fn jumps_bytes_and_what_axe_says_are_measured() {
    let Some(browser) = Browser::start() else { return };
    let url = site(&[
        ("/calm", "", "<link rel=stylesheet href=/style.css><script src=/code.js></script><main><h1>calm</h1><p>here</main>"),
        (
            "/jumps",
            "",
            "<main><h1>t</h1><p id=p style='color:#ccc;background:#fff'>pale<p>here<button></button></main><script>\
                        setInterval(() => p.style.marginTop = p.style.marginTop ? '' : '300px', 300)</script>",
        ),
    ]);
    let page = browser.page(DESKTOP);
    page.goto(&format!("{url}/calm"));
    assert_eq!(page.layout_shift(), 0.0);
    for _ in 0..2 {
        let code = page.code();
        assert_eq!((code[&format!("{url}/code.js")], code[&format!("{url}/style.css")], code.len()), (5_004, 17, 2));
        page.goto(&format!("{url}/calm"));
    }
    let ids = |page: &Page| page.violations().iter().map(|found| found["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    page.axe();
    page.goto(&format!("{url}/jumps"));
    page.until("the jump", || if page.layout_shift() > 0.01 { Ok(()) } else { Err(page.layout_shift().to_string()) });
    if super::browser::in_path("axe.min.js").is_some() {
        let ids = ids(&page);
        assert!(["button-name", "color-contrast"].iter().all(|id| ids.contains(&(*id).to_owned())), "{ids:?}");
        let said = catch_unwind(AssertUnwindSafe(|| page.axe())).unwrap_err().downcast_ref::<String>().unwrap().clone();
        assert!(said.contains("[\"#p\"] <p id=\"p\"") && said.contains("color-contrast (serious)"), "{said}");
    }
}

#[test]
fn what_is_waited_for_in_vain_is_told_with_the_page() {
    let Some(browser) = Browser::start() else { return };
    let url = site(&[("/", "", "<p>what is here<script>console.error('the cause')</script>")]);
    let page = browser.page(DESKTOP);
    page.goto(&format!("{url}/"));
    let said = catch_unwind(AssertUnwindSafe(|| page.fail("waiting")))
        .map(|()| Value::Null)
        .unwrap_err()
        .downcast_ref::<String>()
        .unwrap()
        .clone();
    let expected = format!("waiting\n--- at {url}/ (en-1280)\nwhat is here\n--- troubles\nconsole.error: the cause");
    assert!(said.starts_with(&expected), "{said}");
    page.expect_trouble("the cause");
}
