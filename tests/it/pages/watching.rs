//! Activity, as people see it: a sync watched to its end, conflicts decided, the trash, in both languages and sizes.

use serde_json::json;

use super::account::sign_in;
use super::activity::{make_conflicts, pair};
use crate::api::Client;
use crate::chromium::{Browser, DESKTOP, PHONE, named, saying};
use crate::support::{Node, Sandbox, eventually, http};

#[test]
fn a_sync_is_watched_to_its_end() {
    let Some(browser) = Browser::start() else { return };
    let sandbox = Sandbox::new();
    for look in [DESKTOP, PHONE.german()] {
        let (here, there) = pair(&sandbox, &look.name(), &["--upload", "yes", "--rate", "250k"]);
        // Smaller ones would go together, in one piece.
        for number in 0..3 {
            std::fs::write(here.library.join(format!("large {number}.mov")), vec![number; 3_000_000]).unwrap();
        }
        here.put("<img src=x onerror=alert(1)>.jpg", "no script");
        here.run(&["index"]);
        let page = browser.page(look);
        sign_in(&page, look, &here, "activity");
        page.wait_text(look.pick("Paused", "Pausiert"));
        page.axe();
        page.click(named(look.pick("Sync with peer now", "Jetzt mit peer synchronisieren")));
        page.wait_text(look.pick("Syncing since", "Läuft seit"));
        // The numbers are those of the run, and they change by themselves.
        page.wait_text(look.pick(" of 4", " von 4"));
        let done =
            |text: &str| text.lines().find(|line| line.ends_with(look.pick(" of 9.0\u{a0}MB", " von 9,0\u{a0}MB"))).map(str::to_owned);
        let first = page.until("the amount", || done(&page.text()).ok_or_else(|| page.text()));
        page.until("the amount grows", || match done(&page.text()) {
            Some(now) if now != first => Ok(()),
            other => Err(format!("{other:?}")),
        });
        page.wait_for(".moving li");
        let speed = page.attribute(".graph svg", "aria-label").unwrap();
        assert!(speed.contains("/s"), "{speed}");
        page.axe();
        page.screenshot("activity-running");
        assert!(page.layout_shift() < 0.1, "{}", page.layout_shift());
        // Nobody has to reload: the end comes by itself, and is read out.
        page.wait_text(look.pick("Last sync", "Letzte Synchronisation"));
        page.until("the end is told", || match page.eval("document.querySelector('#told').textContent").as_str() {
            Some(told) if told == look.pick("Sync with peer is done.", "Synchronisation mit peer ist fertig.") => Ok(()),
            other => Err(format!("{other:?}")),
        });
        assert_eq!(there.files().len(), 4);
        page.click(named(look.pick("History", "Verlauf")).within(".tabs"));
        page.wait_text(look.pick("4 uploaded", "4 hochgeladen"));
        page.axe();
        page.screenshot("activity-history");
        page.click(named("peer").within("table"));
        page.wait_text("<img src=x onerror=alert(1)>.jpg");
        page.axe();
        page.screenshot_whole("activity-run");
    }
}

#[test]
fn a_lost_connection_is_said_and_comes_back() {
    let Some(browser) = Browser::start() else { return };
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.serve();
    let page = browser.page(DESKTOP);
    sign_in(&page, DESKTOP, &node, "activity");
    page.wait_text("Nothing to sync with yet");
    let address = node.url().replace("http://", "");
    node.stop();
    page.wait_text("The connection to the node is lost");
    page.screenshot("activity-lost");
    node.serve_with(&["--listen", &address]);
    page.wait_gone("#lost");
    // It was asked for when it went, and before it was back.
    page.forgive("ERR_CONNECTION_REFUSED");
    page.forgive("Failed to fetch");
}

#[test]
fn a_page_that_nobody_looks_at_holds_no_connection_and_catches_up() {
    let Some(browser) = Browser::start() else { return };
    let sandbox = Sandbox::new();
    let (here, _there) = pair(&sandbox, "n", &["--upload", "yes"]);
    let page = browser.page(DESKTOP);
    sign_in(&page, DESKTOP, &here, "activity");
    page.wait_text("Paused");
    page.eval(
        "window.sources = []; window.EventSource = class extends EventSource { constructor(url) { super(url); sources.push(this); } }; 0",
    );
    let seen = |is: bool| {
        page.eval(&format!(
            "Object.defineProperty(document, 'hidden', {{ value: {}, configurable: true }}); document.dispatchEvent(new Event('visibilitychange'))",
            !is
        ))
    };
    let states = || page.eval("sources.map((source) => source.readyState)");
    seen(false);
    seen(true);
    page.until("it listens", || if states() == json!([1]) { Ok(()) } else { Err(states().to_string()) });
    seen(false);
    assert_eq!(states(), json!([2]));
    here.put("a.jpg", "a");
    here.run(&["sync", "peer"]);
    assert_eq!(page.eval("document.querySelector('#told').textContent"), "");
    seen(true);
    page.until("what happened is told", || match page.eval("document.querySelector('#told').textContent").as_str() {
        Some("Sync with peer is done.") => Ok(()),
        other => Err(format!("{other:?}")),
    });
}

#[test]
fn conflicts_and_the_trash_are_decided_by_people() {
    let Some(browser) = Browser::start() else { return };
    let sandbox = Sandbox::new();
    for look in [DESKTOP, PHONE.german()] {
        let (here, there) = pair(&sandbox, &look.name(), &["--upload", "yes"]);
        make_conflicts((&here, &there), &["a.jpg", "b.jpg", "c.jpg", "d.jpg"]);
        let page = browser.page(look);
        sign_in(&page, look, &here, "activity/conflicts");
        // Both pictures are there.
        page.until("the pictures", || match page.eval("document.querySelectorAll('.version img').length").as_u64() {
            Some(8) => Ok(()),
            other => Err(format!("{other:?}")),
        });
        page.until("the first two", || {
            match page.eval("[...document.querySelectorAll('.version img')].slice(0, 2).every(i => i.naturalWidth > 0)").as_bool() {
                Some(true) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
        page.wait_text(look.pick("from this library", "aus dieser Bibliothek"));
        page.axe();
        page.screenshot("activity-conflicts");
        page.click(named(look.pick("Keep that", "Jene behalten")));
        page.wait_text(look.pick("Kept that one, as a.jpg", "Jene behalten, als a.jpg"));
        conflicts_left(&here, 3);
        page.wait_gone(saying("a.jpg").within(".stack"));
        // By keyboard: what is next has the focus.
        page.wait_for(".conflict button:focus");
        page.press("Tab");
        page.press("Enter");
        page.wait_text(look.pick("Kept both: b.jpg", "Beide behalten: b.jpg"));
        conflicts_left(&here, 2);
        page.click(named(look.pick("Keep both for all", "Bei allen beide behalten")));
        page.wait_for("dialog[open]");
        page.axe();
        page.click(named(look.pick("Keep both for all", "Bei allen beide behalten")).within("dialog"));
        page.wait_text(look.pick("No conflicts", "Keine Konflikte"));
        conflicts_left(&here, 0);

        page.click(saying(look.pick("Trash", "Papierkorb")).within(".tabs"));
        page.wait_text(look.pick("30 days left", "noch 30 Tage"));
        let trashed = Client::admin(&here).document("/trash")["files"].as_array().unwrap().len();
        page.axe();
        page.screenshot("activity-trash");
        page.click(".items input");
        page.wait_text(look.pick("1 chosen", "1 ausgewählt"));
        page.axe();
        page.click(named(look.pick("Restore chosen", "Ausgewählte wiederherstellen")));
        page.wait_text(look.pick("Restored: ", "Wiederhergestellt: "));
        eventually("one is back", || Client::admin(&here).document("/trash")["files"].as_array().unwrap().len() == trashed - 1);
        page.wait_gone(saying(look.pick("1 chosen", "1 ausgewählt")));
        assert_eq!(http("DELETE", &format!("{}b.jpg", here.originals()), &[], b"").status, 204);
        page.goto(&format!("{}/activity/trash", here.url()));
        page.click(named(look.pick("Empty the trash", "Papierkorb leeren")));
        page.click(named(look.pick("Go on", "Weiter")).within("dialog"));
        page.wait_text(look.pick("There is no way back.", "Es gibt keinen Weg zurück."));
        page.axe();
        page.screenshot("activity-empty");
        page.click("dialog button[type=submit]");
        page.wait_text(look.pick("The trash is empty", "Der Papierkorb ist leer"));
        assert_eq!(Client::admin(&here).document("/trash")["files"], json!([]));
    }
}

#[track_caller]
fn conflicts_left(node: &Node, count: usize) {
    eventually("the conflicts that are left", || {
        Client::admin(node).document("/conflicts")["conflicts"].as_array().unwrap().len() == count
    });
}
