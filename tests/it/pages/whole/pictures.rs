//! What one does with pictures that are on both sides.

use std::collections::BTreeMap;

use serde_json::json;

use super::super::library::tiles;
use super::{Decision, MINE, Owner};
use crate::chromium::{named, saying};
use crate::support::{sample, tree, write};

impl Owner<'_> {
    pub(super) fn finds_it_proven(&self) {
        let (page, look) = (self.page, self.look);
        self.goes_to(look.pick("Library", "Bibliothek"));
        page.wait_for(saying("Spring").within("#folders"));
        page.click(saying("Autumn").within("#folders"));
        page.wait_url("library?folder=Autumn");
        page.select(named(look.pick("Order", "Reihenfolge")), look.pick("By name", "Nach Namen"));
        // A RAW file and its JPEG are one.
        tiles(page, MINE as u64 - 1);
        page.until("the pictures", || {
            let loaded =
                page.eval("[...document.querySelectorAll('.tile:not([hidden])')].filter(tile => tile.matches('.loaded, .bare')).length");
            if loaded == MINE - 1 { Ok(()) } else { Err(loaded.to_string()) }
        });
        // Each is the picture of what it is called.
        let strangers = "[...document.querySelectorAll('.tile.loaded:not([hidden])')].filter(tile => \
             !tile.querySelector('img').src.includes(`/${tile.ariaLabel.split(',')[0]}&`)).map(tile => tile.ariaLabel)";
        assert_eq!(page.eval(strangers), json!([]));
        let signs = "[...document.querySelectorAll('.tile:not([hidden])')].map(tile => \
             [tile.ariaLabel, tile.querySelector('.badges .there use')?.getAttribute('href').split('#')[1]].join('; '))";
        page.until("every picture is marked as proven", || {
            let all: Vec<String> = serde_json::from_value(page.eval(signs)).unwrap();
            let is_proven = |sign: &String| sign.contains(look.pick("on Attic", "auf Attic")) && sign.ends_with("cloud-check");
            if all.iter().all(is_proven) { Ok(()) } else { Err(format!("{all:?}")) }
        });
        self.looks_at("folder");
        page.click(".tile[aria-label^='cat.jpg']");
        page.wait_for("dialog.viewer[open] .high.loaded");
        page.click(named(look.pick("Information", "Informationen")).within("dialog.viewer"));
        page.wait_text(look.pick("It is there as it is here.", "Ist dort so wie hier."));
        page.wait_text(look.pick("Proven: ", "Bewiesen: "));
        self.looks_at("proven");
        page.click(named(look.pick("Close", "Schließen")).within("dialog.viewer"));
        page.wait_gone("dialog.viewer");
    }

    pub(super) fn uploads_chosen_pictures(&self) {
        let (page, look) = (self.page, self.look);
        if look.phone {
            page.long_press(".tile[aria-label^='beach.jpg']");
            page.wait_text(look.pick("1 selected", "1 ausgewählt"));
            for name in ["bridge.jpg", "cake.jpg"] {
                page.click(&format!(".tile[aria-label^='{name}']"));
            }
        } else {
            page.hover(".tile[aria-label^='beach.jpg']");
            page.click(".tile[aria-label^='beach.jpg'] .check");
            page.click_holding("Shift", ".tile[aria-label^='cake.jpg']");
        }
        page.wait_text(look.pick("3 selected", "3 ausgewählt"));
        self.looks_at("selected");
        page.click(named(look.pick("Upload to service", "Auf Dienst hochladen")));
        page.click(named(look.pick("Choose", "Wählen")));
        page.click(saying("Albums").within(".tree"));
        page.fill(named(look.pick("New folder", "Neuer Ordner")), "For Anna");
        page.click(named(look.pick("Create", "Anlegen")));
        page.wait_for("[data-path='Albums/For Anna'][aria-selected=true]");
        assert_eq!(page.value_of(named(look.pick("Folder", "Ordner")).within("dialog")), "/Albums/For Anna");
        self.looks_at("share");
        page.click(named(look.pick("Upload", "Hochladen")).within("dialog"));
        page.wait_text(look.pick("3 files are on their way to Attic.", "3 Dateien sind unterwegs zu Attic."));
        page.wait_gone("#selection");
        page.click(named(look.pick("Show activity", "Aktivität anzeigen")));
        page.wait_url("activity/uploads");
        page.wait_text(look.pick("3 uploaded", "3 hochgeladen"));
        self.looks_at("uploads");
        let sent = tree(&self.attic.library.join("Albums/For Anna"));
        let mine = self.below("Autumn/");
        assert_eq!(sent.keys().collect::<Vec<_>>(), ["beach.jpg", "bridge.jpg", "cake.jpg"]);
        assert!(sent.iter().all(|(name, bytes)| mine[name] == *bytes));
    }

    /// Both sides edit a picture while nothing is synced.
    pub(super) fn decides_a_conflict(&self, decision: Decision) {
        let (page, look) = (self.page, self.look);
        self.goes_to(look.pick("Services", "Dienste"));
        page.wait_text(look.pick("Both ways · /Photos", "In beide Richtungen · /Photos"));
        self.looks_at("services");
        self.goes_to(look.pick("Activity", "Aktivität"));
        page.click(named(look.pick("Pause the sync with Attic", "Synchronisation mit Attic pausieren")));
        page.wait_text(look.pick("Paused", "Pausiert"));
        let [mine, theirs] = [sample("balloons.jpg"), sample("rainbow.jpg")];
        write(&self.home.library.join("Autumn/cat.jpg"), &mine);
        write(&self.attic.library.join("Photos/Autumn/cat.jpg"), &theirs);
        self.attic.run(&["index"]);
        self.syncs();
        page.click(saying(look.pick("Conflicts", "Konflikte")).within(".tabs"));
        page.wait_text(look.pick("With Attic, ", "Mit Attic, "));
        page.until("both pictures", || {
            match page.eval("[...document.querySelectorAll('.version img')].filter(image => image.naturalWidth).length").as_u64() {
                Some(2) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
        self.looks_at("conflict");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let both = self.below("Autumn/cat");
        assert_eq!(both.len(), 2, "{:?}", both.keys());
        let (this, that) = (both[".jpg"].clone(), both.values().find(|bytes| **bytes != both[".jpg"]).unwrap().clone());
        assert!([text(&mine), text(&theirs)].iter().all(|version| [&this, &that].contains(&version)), "both versions are here");

        let (button, said) = match decision {
            Decision::This | Decision::ThisHereOnly => {
                (look.pick("Keep this", "Diese behalten"), look.pick("Kept this one: Autumn/cat.jpg", "Diese behalten: Autumn/cat.jpg"))
            }
            Decision::That => (
                look.pick("Keep that", "Jene behalten"),
                look.pick("Kept that one, as Autumn/cat.jpg", "Jene behalten, als Autumn/cat.jpg"),
            ),
            Decision::Both => {
                (look.pick("Keep both", "Beide behalten"), look.pick("Kept both: Autumn/cat.jpg", "Beide behalten: Autumn/cat.jpg"))
            }
        };
        page.click(named(button));
        page.wait_text(said);
        page.wait_text(look.pick("No conflicts", "Keine Konflikte"));
        page.wait_gone(saying(look.pick("What you give up goes to the trash", "Was du aufgibst, kommt in den Papierkorb")));
        self.looks_at("decided");
        self.goes_to(look.pick("Activity", "Aktivität"));
        self.syncs();
        let kept = match decision {
            Decision::Both => BTreeMap::from([(".jpg".to_owned(), this), (" (2).jpg".to_owned(), that)]),
            Decision::That => BTreeMap::from([(".jpg".to_owned(), that)]),
            Decision::This | Decision::ThisHereOnly => BTreeMap::from([(".jpg".to_owned(), this)]),
        };
        assert_eq!(self.below("Autumn/cat"), kept);
        if decision != Decision::ThisHereOnly {
            return self.are_the_same();
        }
        let mut there = self.attic.files();
        there.retain(|path, _| path.starts_with("Photos/Autumn/cat"));
        assert_eq!((there.len(), &there["Photos/Autumn/cat.jpg"]), (2, &kept[".jpg"]), "a deletion is not followed");
    }

    pub(super) fn takes_a_picture_back_from_the_trash(&self, decision: Decision) {
        let (page, look) = (self.page, self.look);
        self.goes_to(look.pick("Library", "Bibliothek"));
        page.click(saying("Autumn").within("#folders"));
        let before = self.below("Autumn/");
        if look.phone {
            page.long_press(".tile[aria-label^='cake.jpg']");
        } else {
            page.hover(".tile[aria-label^='cake.jpg']");
            page.click(".tile[aria-label^='cake.jpg'] .check");
        }
        page.click(named(look.pick("Move to trash", "In den Papierkorb")));
        page.wait_text(look.pick("Move “cake.jpg” to the trash?", "„cake.jpg“ in den Papierkorb verschieben?"));
        self.looks_at("discard");
        page.click(named(look.pick("Move to trash", "In den Papierkorb")).within("dialog"));
        page.wait_gone(".tile[aria-label^='cake.jpg']");
        assert!(!self.home.library.join("Autumn/cake.jpg").exists());
        self.goes_to(look.pick("Activity", "Aktivität"));
        page.click(saying(look.pick("Trash", "Papierkorb")).within(".tabs"));
        page.wait_text("cake.jpg");
        self.looks_at("trash");
        page.click(named(look.pick("Restore Autumn/cake.jpg", "Autumn/cake.jpg wiederherstellen")));
        page.wait_text(look.pick("Restored: Autumn/cake.jpg", "Wiederhergestellt: Autumn/cake.jpg"));
        assert_eq!(self.below("Autumn/"), before);
        self.looks_at("restored");

        // Nothing of it is missing on the other side either, once it is synced again.
        self.goes_to(look.pick("Activity", "Aktivität"));
        page.click(named(look.pick("Resume the sync with Attic", "Synchronisation mit Attic fortsetzen")));
        page.wait_gone(saying(look.pick("Paused", "Pausiert")));
        page.wait_for(named(look.pick("Sync with Attic now", "Jetzt mit Attic synchronisieren")));
        if decision != Decision::ThisHereOnly {
            self.are_the_same();
        }
    }
}
