//! A node that everybody may look at: the library is there, and what would not be safe says why it is not.

use super::library::tiles;
use crate::chromium::{Browser, DESKTOP, PHONE, named, saying};
use crate::support::{Sandbox, sample, write};

#[test]
fn everybody_looks_and_services_say_why_they_are_not_there() {
    let Some(browser) = Browser::start() else { return };
    let sandbox = Sandbox::new();
    for look in [DESKTOP, PHONE.german()] {
        let mut node = sandbox.node(&look.name());
        for name in ["beach.jpg", "cake.jpg", "lake.jpg"] {
            write(&node.library.join("Trip").join(name), &sample(name));
        }
        node.serve_with(&["--public"]);
        node.run(&["index"]);
        let page = browser.page(look);
        // Nobody is asked who they are.
        page.goto(&node.url());
        page.wait_url("/library");
        page.click(saying("Trip").within("#folders"));
        tiles(&page, 3);
        page.wait_for(".tile.loaded");
        page.axe();
        page.screenshot("public-library");
        assert!(page.layout_shift() < 0.1, "{}", page.layout_shift());
        for (english, german) in [("Services", "Dienste"), ("Activity", "Aktivität"), ("Account", "Konto"), ("Upload", "Hochladen")] {
            assert!(!page.shows(named(look.pick(english, german))), "{english}");
        }
        page.click(".tile[aria-label^='cake.jpg']");
        page.wait_for("dialog.viewer[open] .high.loaded");
        page.click(named(look.pick("Information", "Informationen")).within("dialog.viewer"));
        page.wait_text(look.pick("Checksums", "Prüfsummen"));
        assert!(!page.shows(named(look.pick("Move to trash", "In den Papierkorb"))));
        page.axe();
        page.screenshot("public-viewer");

        for place in ["settings/services", "settings/users", "settings/account", "activity", "activity/trash"] {
            page.goto(&format!("{}/{place}", node.url()));
            page.expect_trouble("status of 403");
            page.wait_text(look.pick(
                "This node runs in public mode, without a login: services, WebDAV and users are not available, because it would not be safe.",
                "Dieser Knoten läuft im öffentlichen Modus, ohne Anmeldung: Dienste, WebDAV und Benutzer sind nicht verfügbar, \
                 weil das nicht sicher wäre.",
            ));
            page.axe();
        }
        page.screenshot("public-refused");
        page.click(named(look.pick("To the library", "Zur Bibliothek")));
        page.wait_for(saying("Trip").within("#folders"));
        page.goto(&format!("{}/signin", node.url()));
        page.wait_url("/library");
    }
}
