//! The library as people see and use it.

use std::fs;

use serde_json::json;

use super::super::account::sign_in;
use super::{picture, tiles, with_photos};
use crate::api::{Client, json_of};
use crate::chromium::{Browser, DESKTOP, Look, PHONE, named, saying};
use crate::support::{Sandbox, eventually, write};

/// A name that would be markup, if names were.
const EVIL: &str = "x\"><img src=x onerror=alert(1)>.jpg";

fn looks() -> [Look; 2] {
    [PHONE.german(), DESKTOP]
}

#[test]
fn somebody_looks_around() {
    let Some(browser) = Browser::start() else { return };
    let sandbox = Sandbox::new();
    for look in looks().into_iter().chain([DESKTOP.german().dark()]) {
        let photos = ["2024/05/a.jpg", "2024/05/b.jpg", "2024/05/c.jpg", &format!("2024/{EVIL}"), "<b>bold<b>/d.jpg"];
        let node = with_photos(&sandbox, &look.name(), &photos);
        let page = browser.page(look);
        sign_in(&page, look, &node, "library");
        page.wait_text("<b>bold<b>");
        page.axe();
        page.screenshot("library");
        // Into a folder and back: the address says where somebody is.
        page.click(".album[data-folder='2024']");
        page.wait_text(look.pick("1 entry", "1 Eintrag"));
        page.wait_url("library?folder=2024");
        page.wait_for(".tile.loaded");
        assert!(page.attribute(".tile", "aria-label").unwrap().starts_with(EVIL));
        page.click(".album");
        page.wait_url("library?folder=2024/05");
        tiles(&page, 3);
        page.wait_for(".tile.loaded");
        page.axe();
        page.screenshot("library-folder");
        page.eval("history.back()");
        page.wait_text(look.pick("1 entry", "1 Eintrag"));
        page.click(named(look.pick("Library", "Bibliothek")).within(".crumbs"));
        page.wait_text("<b>bold<b>");
        assert!(page.layout_shift() < 0.1, "{}", page.layout_shift());

        // The address of a picture opens it; the keyboard turns the pages.
        page.goto(&format!("{}/library?folder=2024/05&show=a.jpg", node.url()));
        page.wait_for("dialog.viewer[open] .high.loaded");
        page.axe();
        page.screenshot("viewer");
        let before = page.url();
        page.press("ArrowRight");
        page.until("another picture", || if page.url() == before { Err("the same".into()) } else { Ok(()) });
        page.press("i");
        page.click(saying(look.pick("Checksums", "Prüfsummen")));
        page.wait_text("BLAKE3");
        page.axe();
        page.screenshot("viewer-about");
        page.press("Escape");
        page.wait_gone("dialog[open]");
        page.wait_for(".tile:focus");
        assert!(!page.url().contains("show="), "{}", page.url());
        page.goto(&format!("{}/library?folder=nowhere", node.url()));
        page.wait_text(look.pick("There is no such folder", "Diesen Ordner gibt es nicht"));
        page.expect_trouble("status of 404");
        page.axe();
    }
}

#[test]
fn somebody_selects_discards_and_restores() {
    let Some(browser) = Browser::start() else { return };
    let sandbox = Sandbox::new();
    for look in looks() {
        let node = with_photos(&sandbox, &look.name(), &["a.jpg", "b.jpg", "c.jpg", "d.jpg"]);
        let page = browser.page(look);
        sign_in(&page, look, &node, "library");
        tiles(&page, 4);
        page.select("#order", "name");
        if look.phone {
            page.long_press(".tile[aria-posinset='1']");
            page.wait_text("1 ausgewählt");
            // From then on a tap selects.
            page.click(".tile[aria-posinset='3']");
        } else {
            page.hover(".tile[aria-posinset='1']");
            page.click(".tile[aria-posinset='1'] .check");
            page.wait_text("1 selected");
            page.click_holding("Shift", ".tile[aria-posinset='3']");
            page.wait_text("3 selected");
            page.click(".tile[aria-posinset='2']");
        }
        page.wait_text(look.pick("2 selected", "2 ausgewählt"));
        page.axe();
        page.screenshot("selected");
        page.click(named(look.pick("Download", "Herunterladen")));
        let zip = fs::read(page.downloaded("photos.zip")).unwrap();
        assert!(zip.starts_with(b"PK\x03\x04") && zip.windows(5).any(|name| name == b"c.jpg"));

        page.click(named(look.pick("Move to trash", "In den Papierkorb")));
        page.wait_for("dialog[open]");
        page.axe();
        page.screenshot("discard");
        page.click(named(look.pick("Move to trash", "In den Papierkorb")).within("dialog"));
        tiles(&page, 2);
        page.wait_gone("#selection");
        assert_eq!(node.files().into_keys().collect::<Vec<_>>(), ["b.jpg", "d.jpg"]);
        page.click(named(look.pick("Undo", "Rückgängig")));
        tiles(&page, 4);
        assert_eq!(node.files().len(), 4);

        // What cannot be brought back is said, and nothing else.
        page.press("Escape");
        page.hover(".tile[aria-posinset='1']");
        page.eval("document.querySelector('.tile[aria-posinset=\"1\"] .check').click()");
        page.click(named(look.pick("Move to trash", "In den Papierkorb")));
        page.click(named(look.pick("Move to trash", "In den Papierkorb")).within("dialog"));
        tiles(&page, 3);
        let kept = fs::read(node.library.join("b.jpg")).unwrap();
        assert_eq!(Client::admin(&node).post("/trash/empty", &json!({ "older_than": 0 })).status, 200);
        page.click(named(look.pick("Undo", "Rückgängig")));
        page.wait_text("a.jpg: the trash has no such path");
        assert!(!page.text().contains(look.pick("1 file is back", "1 Datei ist wieder da")), "{}", page.text());
        write(&node.library.join("a.jpg"), &kept);
        node.run(&["index"]);
        page.goto(&format!("{}/library", node.url()));
        tiles(&page, 4);

        // All of it by keys.
        page.eval("document.querySelector('.tile[tabindex=\"0\"]').focus()");
        page.press("End");
        page.press("Space");
        page.wait_text(look.pick("1 selected", "1 ausgewählt"));
        page.press("Control+a");
        page.wait_text(look.pick("4 selected", "4 ausgewählt"));
        page.press("Escape");
        page.wait_gone("#selection");
        page.press("Home");
        page.press("Enter");
        page.wait_for("dialog.viewer[open]");
        page.press("Delete");
        page.wait_for("#dialog[open]");
        page.press("Escape");
        page.wait_gone("#dialog[open]");
        assert_eq!(node.files().len(), 4);

        // In the viewer the next one takes the place of what was discarded, and the one before stays when that comes back.
        page.press("Delete");
        page.wait_for("#dialog[open]");
        page.click(named(look.pick("Move to trash", "In den Papierkorb")).within("#dialog"));
        page.until("the next one", || match page.text_of("#viewer-title").as_str() {
            "b.jpg" => Ok(()),
            other => Err(other.to_owned()),
        });
        page.wait_text(look.pick("1 of 3", "1 von 3"));
        assert_eq!(node.files().into_keys().collect::<Vec<_>>(), ["b.jpg", "c.jpg", "d.jpg"]);
        page.click(named(look.pick("Undo", "Rückgängig")));
        page.wait_text(look.pick("2 of 4", "2 von 4"));
        assert_eq!(page.text_of("#viewer-title"), "b.jpg");
        page.press("Escape");
        page.wait_gone("dialog[open]");
        assert_eq!(node.files().len(), 4);
    }
}

#[test]
fn somebody_sends_pictures_to_a_service() {
    let Some(browser) = Browser::start() else { return };
    let sandbox = Sandbox::new();
    for look in looks() {
        let node = with_photos(&sandbox, &look.name(), &["a.jpg", "b.jpg", "c.jpg"]);
        let mut peer = sandbox.node(&format!("peer-{}", look.name()));
        peer.serve();
        assert!(node.add_service("Attic <b>", &peer.url()).status.success());
        let page = browser.page(look);
        sign_in(&page, look, &node, "library");
        tiles(&page, 3);
        page.select("#order", "name");
        page.eval("document.querySelector('.tile[tabindex=\"0\"]').focus()");
        page.press("Home");
        page.press("Space");
        page.press("ArrowRight");
        page.press("Space");
        page.wait_text(look.pick("2 selected", "2 ausgewählt"));
        page.click(named(look.pick("Upload to service", "Auf Dienst hochladen")));
        page.wait_for("form.share");
        page.axe();
        // A folder that is made for it, and one that cannot be.
        page.click("[data-tree]");
        page.wait_for("[role=treeitem]:focus");
        page.fill("[data-new-folder]", "For Anna");
        page.press("Enter");
        page.wait_for("[data-path='For Anna'][aria-selected=true]");
        assert_eq!(page.value_of("[name=folder]"), "/For Anna");
        page.fill("[name=folder]", "../elsewhere");
        page.click("form.share button[type=submit]");
        page.wait_for("form.share .notice.bad");
        page.expect_trouble("status of 422");
        page.axe();
        page.screenshot("share-refused");
        page.fill("[name=folder]", "/For Anna");
        page.select("[name=expires]", "7d");
        page.axe();
        page.screenshot("share");
        page.click("form.share button[type=submit]");
        page.wait_text(look.pick("2 files are on their way to Attic <b>.", "2 Dateien sind unterwegs zu Attic <b>."));
        page.wait_gone("#selection");
        eventually("both pictures on the service", || peer.files().into_keys().collect::<Vec<_>>() == ["For Anna/a.jpg", "For Anna/b.jpg"]);
        // It is told where it was asked for, and on the pictures.
        page.goto(&format!("{}/activity/uploads", node.url()));
        page.wait_text("For Anna");
        page.wait_text(look.pick("2 uploaded", "2 hochgeladen"));
        page.axe();
        page.screenshot("uploads");
        page.goto(&format!("{}/library?show=a.jpg", node.url()));
        page.wait_for("dialog.viewer[open]");
        page.press("i");
        page.wait_text(look.pick("It was uploaded there.", "Wurde dorthin hochgeladen."));
        page.axe();
    }
}

#[test]
fn somebody_uploads_and_goes_on_after_the_network_was_away() {
    let Some(browser) = Browser::start() else { return };
    let sandbox = Sandbox::new();
    for look in looks() {
        let node = with_photos(&sandbox, &look.name(), &["there.jpg", "taken.jpg"]);
        let from = sandbox.path().join(format!("from-{}", look.name()));
        let same = fs::read(node.library.join("there.jpg")).unwrap();
        write(&from.join("there.jpg"), &same);
        let [other, evil] = ["another one of this name", "evil"].map(picture);
        write(&from.join("taken.jpg"), &other);
        write(&from.join(EVIL), &evil);
        let large: Vec<u8> = (0..5_000_000_u32).map(|at| (at % 251) as u8).collect();
        write(&from.join("folder/deep/large.mp4"), &large);
        let page = browser.page(look);
        sign_in(&page, look, &node, "library");
        tiles(&page, 2);
        let files = ["there.jpg", "taken.jpg", EVIL].map(|name| from.join(name));
        page.set_files("#files", &files.each_ref().map(|file| file.as_path()));
        page.wait_text(look.pick("2 files uploaded", "2 Dateien hochgeladen"));
        page.wait_text(look.pick("1 was there already", "1 war schon da"));
        page.axe();
        page.screenshot("uploaded");
        tiles(&page, 4);
        assert_eq!(fs::read(node.library.join("taken (2).jpg")).unwrap(), other);
        assert_eq!(fs::read(node.library.join(EVIL)).unwrap(), evil);
        assert_eq!(node.files().len(), 4);

        // A folder that is dropped, over a network that goes away in between.
        page.throttle(700_000);
        page.drop_files("#library", &[&from.join("folder")]);
        page.until("something of it is here", || {
            let uploads = Client::admin(&node).document("/uploads");
            let offset = uploads["uploads"][0]["offset"].as_u64().unwrap_or(0);
            if offset > 0 { Ok(()) } else { Err(uploads.to_string()) }
        });
        page.offline(true);
        page.wait_text(look.pick("waits for the network", "wartet auf das Netz"));
        page.screenshot("uploading");
        page.offline(false);
        page.wait_text(look.pick("1 file uploaded", "1 Datei hochgeladen"));
        page.expect_trouble("ERR_INTERNET_DISCONNECTED");
        assert_eq!(fs::read(node.library.join("folder/deep/large.mp4")).unwrap(), large);
        page.wait_for(saying("folder").within("#folders"));

        // Half of another film of this name and size is here already: this one is not put behind it.
        let film: Vec<u8> = (0..2_500_000_u32).map(|at| (at % 241) as u8).collect();
        write(&from.join("film.mp4"), &film);
        let admin = Client::admin(&node);
        let begun = admin.post("/uploads", &json!({ "path": "film.mp4", "size": film.len(), "modified": "2001-02-03T04:05:06Z" }));
        let begun = json_of(&begun)["id"].as_str().unwrap().to_owned();
        let piece = admin.with("Content-Type", "application/partial-upload").with("Upload-Offset", "0");
        assert_eq!(piece.ask("PATCH", &format!("/uploads/{begun}"), &vec![7; 1_500_000]).status, 200);
        page.set_files("#files", &[&from.join("film.mp4")]);
        page.until("the film is here", || match fs::read(node.library.join("film.mp4")) {
            Ok(stored) if stored == film => Ok(()),
            Ok(_) => panic!("two films were mixed"),
            Err(error) => Err(error.to_string()),
        });
    }
}
