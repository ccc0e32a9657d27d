//! Settings > Services as people see and use it: at both sizes, in both languages.

use super::{hostile, services, two};
use crate::chromium::{Browser, DESKTOP, Look, PHONE, Page, named, saying};
use crate::support::{Node, PASSWORD, Sandbox, eventually};

#[track_caller]
fn signed_in(browser: &Browser, node: &Node, look: Look) -> Page {
    let page = browser.page(look);
    page.goto(&format!("{}/signin?next=settings/services", node.url()));
    page.fill("[name=user]", "admin");
    page.fill("[name=password]", PASSWORD);
    page.click("button[type=submit]");
    page.wait_url("/settings/services");
    page
}

#[test]
fn a_person_connects_looks_and_syncs() {
    let Some(browser) = Browser::start() else { return };
    for look in Look::all() {
        let sandbox = Sandbox::new();
        let (node, peer) = two(&sandbox);
        let page = signed_in(&browser, &node, look);
        page.wait_text(look.pick("No services yet", "Noch keine Dienste"));
        page.axe();
        page.screenshot("services-empty");

        page.click(".top button");
        page.wait_for("dialog [name=url]:focus");
        page.fill("dialog [name=url]", &peer.url().replace("http://", ""));
        page.fill("dialog [name=user]", "admin");
        page.fill("dialog [name=password]", "wrong password");
        page.click("dialog .button.main");
        page.wait_text(look.pick("does not accept this user name", "akzeptiert Nutzername und Passwort nicht"));
        // The field that is to be corrected has the focus, and what was typed.
        page.wait_for("dialog [name=password][aria-invalid]:focus");
        assert_eq!(page.value_of("dialog [name=password]"), "wrong password");
        page.axe();
        page.screenshot("services-refused");
        page.fill("dialog [name=password]", PASSWORD);
        page.fill("dialog [name=name]", "Attic");
        page.press("Enter");
        page.wait_text(look.pick("“Attic” is connected.", "„Attic“ ist verbunden."));
        page.wait_for(".examination[aria-busy=false]");
        page.axe();
        page.screenshot("services-connected");

        page.click("dialog footer .button.main");
        page.wait_for("#sync-form");
        page.click("[data-tree]");
        page.wait_for("[role=treeitem]:focus");
        for key in ["ArrowDown", "ArrowRight"] {
            page.press(key);
        }
        page.wait_for("[data-path='Trips/2025']");
        page.press("ArrowRight");
        page.press("Enter");
        assert_eq!(page.value_of("[name=folder]"), "/Trips/2025");
        page.press("ArrowLeft");
        page.press("Enter");
        assert_eq!(page.value_of("[name=folder]"), "/Trips");
        page.axe();
        page.screenshot("services-folders");
        // Escape folds the tree; what was filled in stays.
        page.press("Escape");
        page.wait_for("[data-tree]:focus");
        assert_eq!(page.value_of("[name=folder]"), "/Trips");
        page.click("[data-tree]");
        page.wait_for("[role=treeitem]:focus");
        page.click(".tree [data-path='Trips'] .name");
        page.wait_for("[data-path='Trips/2025']");
        page.fill("[data-new-folder]", "2026");
        page.press("Enter");
        page.wait_for("[data-path='Trips/2026'][aria-selected=true]");
        // One that is made before the members of its parent have come is chosen as well.
        page.eval(
            "document.querySelector(\"[data-path='Trips/2025'] .name\").click(); document.querySelector('[data-new-folder]').value = 'Sea'; \
             document.querySelector('[data-make]').click()",
        );
        page.wait_for("[data-path='Trips/2025/Sea'][aria-selected=true]");
        assert_eq!(page.value_of("[name=folder]"), "/Trips/2025/Sea");
        page.fill("[name=folder]", "/Trips");
        page.click("#field-on");
        page.select("[name=interval]", "other");
        page.fill("[name=minutes]", "0");
        page.click("dialog footer .button.main");
        page.wait_text(look.pick("Between 1 and 10080 minutes", "Zwischen 1 und 10080 Minuten"));
        page.expect_trouble("status of 422");
        page.wait_for("[name=minutes][aria-invalid]:focus");
        page.axe();
        page.screenshot("services-sync");
        page.select("[name=interval]", "360");
        page.click("dialog footer [value=preview]");
        page.wait_for(".preview[aria-busy=false] .plan");
        page.click(".plan summary");
        page.wait_text("2025/a.jpg");
        page.axe();
        page.screenshot("services-preview");
        assert_eq!(node.files().len(), 1);
        page.click(".preview .button.main");
        page.wait_gone("dialog");
        page.wait_text(look.pick("2 downloaded", "2 heruntergeladen"));
        page.wait_text(look.pick("Every 6 hours", "Alle 6 Stunden"));
        page.axe();
        page.screenshot("services-table");
        page.click(named(look.pick("Pause the sync with Attic", "Synchronisation mit Attic pausieren")));
        page.wait_text(look.pick("Paused", "Pausiert"));
        page.click(named(look.pick("Resume the sync with Attic", "Synchronisation mit Attic fortsetzen")));
        page.wait_for(named(look.pick("Pause the sync with Attic", "Synchronisation mit Attic pausieren")));
        assert!(page.layout_shift() < 0.1, "{}", page.layout_shift());

        page.click(named(look.pick("Upload settings of Attic", "Upload-Einstellungen von Attic")));
        page.wait_for("#upload-form");
        page.axe();
        page.screenshot("services-upload");
        page.press("Escape");
        page.wait_gone("dialog");
        page.click(named(look.pick("Edit Attic", "Attic bearbeiten")));
        page.wait_for("#edit-form");
        page.axe();
        page.screenshot("services-edit");
        page.fill("dialog [name=url]", "http://127.0.0.1:1/");
        page.click("dialog footer .button.main");
        page.wait_for(".choice");
        page.expect_trouble("status of 422");
        page.click(".choice .danger");
        page.wait_text(look.pick("was saved, but cannot be reached", "wurde gespeichert, ist so aber nicht erreichbar"));
        page.axe();
        page.screenshot("services-broken");
        page.click(named(look.pick("Undo", "Rückgängig machen")));
        page.wait_gone("dialog");
        eventually("the address to be the old one", || services(&node)[0]["url"] == peer.originals());
        page.click(named(look.pick("Remove Attic", "Attic entfernen")));
        page.wait_text(look.pick("All pictures of your library", "Alle Bilder deiner Bibliothek"));
        page.axe();
        page.screenshot("services-remove");
        page.click("dialog footer .danger");
        page.wait_text(look.pick("No services yet", "Noch keine Dienste"));
        assert!(services(&node).is_empty());
    }
}

#[test]
fn a_hostile_service_does_nothing_in_a_browser() {
    let Some(browser) = Browser::start() else { return };
    for look in [DESKTOP.dark(), PHONE.german().dark()] {
        let sandbox = Sandbox::new();
        let node = hostile::connected(&sandbox);
        let page = signed_in(&browser, &node, look);
        page.wait_text("<script>alert(0)<b>");
        page.axe();
        page.screenshot("services-hostile");
        page.click(".services .cell");
        page.wait_for("#upload-form");
        page.click("[data-tree]");
        page.wait_text("<img src=x onerror=alert(1)>");
        page.click(saying("<script>alert(1)<").within(".tree"));
        assert_eq!(page.value_of("[name=folder]"), "/<script>alert(1)<");
        page.axe();
        page.screenshot("services-hostile-folders");
        page.press("Escape");
        page.wait_gone(".tree");
        page.press("Escape");
        page.wait_gone("dialog");
        page.click(named(look.pick("Test the connection to <script>alert(0)<b>", "Verbindung zu <script>alert(0)<b> testen")));
        page.wait_for(".examination[aria-busy=false]");
        page.axe();
        page.screenshot("services-hostile-test");
        // An alert, an error or anything that the policy refused would fail this story at its end.
    }
}
